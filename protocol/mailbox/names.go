package mailbox

import (
	"crypto/ed25519"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

const (
	labelObject  suite.Label = "rushlight/mailbox/object/1"
	labelLane    suite.Label = "rushlight/mailbox/lane/1"
	labelRequest suite.Label = "rushlight/mailbox/request/1"
	labelHost    suite.Label = "rushlight/mailbox/host/1"
	labelAuth    suite.Label = "rushlight/mailbox/auth/1"
)

// Object is the id of an envelope at a relay: a hash of all its bytes (spec
// §12.2).
func Object(env []byte) (id [16]byte) {
	h := suite.Hash(labelObject, env)
	copy(id[:], h[:])
	return id
}

// LaneAddr is the address of a mailbox's request lane, which strangers may
// know: nobody else can claim it, and it doesn't tell the mailbox's key. A new
// nonce gives a new address (spec §12.4).
func LaneAddr(mailbox [32]byte, nonce [16]byte) [32]byte {
	return suite.Hash(labelLane, mailbox[:], nonce[:])
}

// RequestChallenge is what the proof of work of a request is about (spec
// §12.4).
func RequestChallenge(relay, lane [32]byte, day uint16, object [16]byte) [32]byte {
	return suite.Hash(labelRequest, relay[:], lane[:], dayBytes(day), object[:])
}

// HostChallenge is what the proof of work for a new mailbox is about (spec
// §12.6).
func HostChallenge(relay, mailbox [32]byte, day uint16) [32]byte {
	return suite.Hash(labelHost, relay[:], mailbox[:], dayBytes(day))
}

func dayBytes(day uint16) []byte { return wire.NewWriter(nil).U16(day).Out() }

// SignAuth is an owner's proof that the mailbox is theirs, for one nonce of
// the relay and one channel: the binary peer id that the connection has
// authenticated for the owner (spec §12.5).
func SignAuth(key ed25519.PrivateKey, relay, nonce [32]byte, channel []byte) Auth {
	a := Auth{Mailbox: [32]byte(key.Public().(ed25519.PublicKey))}
	copy(a.Sig[:], suite.Sign(key, labelAuth, relay[:], nonce[:], channel))
	return a
}

// Verify checks what SignAuth made. A relay MUST refuse every other frame
// before this (spec §12.5).
func (a *Auth) Verify(relay, nonce [32]byte, channel []byte) bool {
	return suite.Verify(a.Mailbox[:], a.Sig[:], labelAuth, relay[:], nonce[:], channel)
}
