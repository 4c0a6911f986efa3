package envelope

import "rushlight/protocol/suite"

const (
	labelTag       suite.Label = "rushlight/envelope/tag/1"
	labelKey       suite.Label = "rushlight/envelope/key/1"
	labelCure      suite.Label = "rushlight/envelope/cure/1"
	labelCureHash  suite.Label = "rushlight/envelope/cure-hash/1"
	labelFirst     suite.Label = "rushlight/envelope/first/1"
	labelFirstCure suite.Label = "rushlight/envelope/first-cure/1"
)

// Direct stands for the relay in the keys of an envelope that no relay
// carries: a direct stream or a bundle (spec §7.2).
var Direct [32]byte

// Keys belong to one message for one relay (spec §7.2).
type Keys struct {
	Tag      [16]byte // what the relay and the recipient see
	Key      [32]byte // encrypts the envelope, used once
	Cure     [16]byte // reveals the right to delete the envelope
	CureHash [16]byte // what carriers check a cure against
}

// KeysFor derives the keys of the message with key mk for a relay, named by
// its public key.
func KeysFor(mk, relay [32]byte) Keys {
	k := Keys{Tag: TagFor(mk, relay), Key: suite.MAC(mk[:], labelKey, relay[:])}
	cure := suite.MAC(mk[:], labelCure, relay[:])
	copy(k.Cure[:], cure[:])
	k.CureHash = CureHash(k.Cure)
	return k
}

// TagFor derives only the tag of [KeysFor].
func TagFor(mk, relay [32]byte) (tag [16]byte) {
	m := suite.MAC(mk[:], labelTag, relay[:])
	copy(tag[:], m[:])
	return tag
}

// CureHash is what an envelope carries so that whoever holds it can check a
// cure without knowing anybody (spec §7.2).
func CureHash(cure [16]byte) (h [16]byte) {
	full := suite.Hash(labelCureHash, cure[:])
	copy(h[:], full[:])
	return h
}

// FirstTag returns a fresh random tag for an envelope that carries a first
// flight.
func FirstTag() (tag [16]byte) {
	suite.Random(tag[:])
	return tag
}

// FirstKeys derives the keys of an envelope that carries a first flight, where
// no delivery chain exists yet, from a secret both sides know and the random
// tag of the envelope (spec §7.5). The sender must take a fresh [FirstTag] for
// every envelope: several people may hold the secret, and the tag alone keeps
// their keys apart.
func FirstKeys(secret [32]byte, tag [16]byte, relay [32]byte) Keys {
	k := Keys{Tag: tag, Key: suite.MAC(secret[:], labelFirst, tag[:], relay[:])}
	cure := suite.MAC(secret[:], labelFirstCure, tag[:], relay[:])
	copy(k.Cure[:], cure[:])
	k.CureHash = CureHash(k.Cure)
	return k
}
