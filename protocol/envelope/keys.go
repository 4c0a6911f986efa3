package envelope

import "rushlight/protocol/suite"

const (
	labelTag      suite.Label = "rushlight/envelope/tag/2"
	labelKey      suite.Label = "rushlight/envelope/key/1"
	labelCureHash suite.Label = "rushlight/envelope/cure-hash/1"
	labelFirst    suite.Label = "rushlight/envelope/first/1"
	labelCureAt   suite.Label = "rushlight/envelope/cure-at/1"
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
	k := Keys{Key: suite.MAC(mk[:], labelKey, relay[:])}
	k.Tag, k.Cure = tagAndCure(mk, relay)
	k.CureHash = CureHash(k.Cure)
	return k
}

// TagFor derives only the tag of [KeysFor].
func TagFor(mk, relay [32]byte) [16]byte {
	tag, _ := tagAndCure(mk, relay)
	return tag
}

// tagAndCure are the halves of one MAC: whoever sees one learns nothing of the
// other.
func tagAndCure(mk, relay [32]byte) (tag, cure [16]byte) {
	m := suite.MAC(mk[:], labelTag, relay[:])
	return [16]byte(m[:16]), [16]byte(m[16:])
}

// CureHash is what an envelope carries so that whoever holds it can check a
// cure without knowing anybody (spec §7.2).
func CureHash(cure [16]byte) (h [16]byte) {
	full := suite.Hash(labelCureHash, cure[:])
	copy(h[:], full[:])
	return h
}

// NewCure returns a random cure for [FirstKeys].
func NewCure() (cure [16]byte) {
	suite.Random(cure[:])
	return cure
}

// FirstKeys derives the keys of an envelope that carries a first flight, when
// no delivery chain exists yet: opener and tag are those of the handshake
// (spec §5.5). Every envelope needs a fresh [NewCure], because flights of
// several people share opener and tag; it travels inside the payload (spec
// §7.5).
func FirstKeys(opener [32]byte, tag [16]byte, relay [32]byte, cure [16]byte) Keys {
	k := firstKeys(opener, tag, relay, CureHash(cure))
	k.Cure = cure
	return k
}

// FirstKeysOf derives the keys to [Open] a first flight's envelope with. The
// cure is not among them: [UnpackFirstFlight] finds it.
func FirstKeysOf(opener, relay [32]byte, env []byte) Keys {
	return firstKeys(opener, TagOf(env), relay, CureHashOf(env))
}

func firstKeys(opener [32]byte, tag [16]byte, relay [32]byte, cureHash [16]byte) Keys {
	return Keys{
		Tag:      tag,
		Key:      suite.MAC(opener[:], labelFirst, tag[:], relay[:], cureHash[:]),
		CureHash: cureHash,
	}
}

// CureAt derives the cure of a first flight's copy at a relay from that of its
// direct envelope, so that the same flight is sealed alike each time and its
// copies share nothing (spec §7.5).
func CureAt(cure [16]byte, relay [32]byte) [16]byte {
	m := suite.MAC(cure[:], labelCureAt, relay[:])
	return [16]byte(m[:16])
}
