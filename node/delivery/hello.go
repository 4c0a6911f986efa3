package delivery

import (
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"rushlight/node/host"
	"rushlight/protocol/identity"
	"rushlight/protocol/suite"
)

// The opening of a stream (spec §8.2):
//
//	dialler → listener   HELLO     kind, nonce
//	listener → dialler   CHALLENGE nonce
//	dialler → listener   PROOF     of the dialler; MSG frames may follow at once
//	listener → dialler   PROOF     of the listener, only for a known contact
//
// The transcript that each signs binds its role, the two peer ids that the
// connection has authenticated, and both nonces; the listener's also binds the
// dialler it answers. A dialler that the listener doesn't know, or that
// announced itself as anonymous, gets no proof: it may send first flights and
// learns nothing. When one of them makes it a contact the proof follows.
const labelHello suite.Label = "rushlight/delivery/hello/1"

// Roles in a transcript.
const (
	roleDialler  byte = 1
	roleListener byte = 2
)

var errImpostor = errors.New("delivery: proof does not hold")

// opening is what both sides know of a stream when they sign.
type opening struct {
	dialler, listener peer.ID
	helloNonce        [32]byte
	challengeNonce    [32]byte
}

// transcript is what the given role signs. answered is the signing key of the
// dialler in the listener's transcript and nil in the dialler's.
func (o opening) transcript(role byte, answered []byte) []byte {
	return suite.Frame(labelHello, []byte{role}, []byte(o.dialler), []byte(o.listener),
		o.helloNonce[:], o.challengeNonce[:], answered)
}

func (o opening) prove(e Engine, role byte, answered []byte) (proof, error) {
	var p proof
	key, sig := e.SignHello(o.transcript(role, answered))
	if len(sig) != len(p.sig) {
		return p, fmt.Errorf("delivery: signing the hello: %d bytes", len(sig))
	}
	p.key = key
	copy(p.sig[:], sig)
	return p, nil
}

// checker verifies the proof of a role and returns the device that made it.
type checker func(o opening, p proof, role byte, answered []byte) (identity.DeviceID, error)

// checkProof is the checker in use.
func checkProof(o opening, p proof, role byte, answered []byte) (identity.DeviceID, error) {
	if !suite.Verify(p.key[:], p.sig[:], labelHello, []byte{role}, []byte(o.dialler), []byte(o.listener),
		o.helloNonce[:], o.challengeNonce[:], answered) {
		return identity.DeviceID{}, errImpostor
	}
	return identity.NewDeviceID(p.key), nil
}

// dialHello runs the dialler's half. The caller sends the proof, together with
// whatever it has to say.
func dialHello(s network.Stream, in *host.FrameReader, e Engine) (o opening, own proof, err error) {
	o = opening{dialler: s.Conn().LocalPeer(), listener: s.Conn().RemotePeer()}
	suite.Random(o.helloNonce[:])
	if err = writeFrame(s, frameHello, hello{kind: kindNamed, nonce: o.helloNonce}.marshal()); err != nil {
		return o, own, err
	}
	body, err := expect(in, frameChallenge)
	if err != nil {
		return o, own, err
	}
	if o.challengeNonce, err = parseChallenge(body); err != nil {
		return o, own, err
	}
	own, err = o.prove(e, roleDialler, nil)
	return o, own, err
}

// acceptHello runs the listener's half up to the dialler's proof. named is
// false for a dialler that stays anonymous. It takes the same steps whether or
// not the dialler is known.
func acceptHello(s network.Stream, in *host.FrameReader, check checker) (o opening, p proof, named bool, err error) {
	body, err := expect(in, frameHello)
	if err != nil {
		return o, p, false, err
	}
	h, err := parseHello(body)
	if err != nil {
		return o, p, false, err
	}
	o = opening{dialler: s.Conn().RemotePeer(), listener: s.Conn().LocalPeer(), helloNonce: h.nonce}
	if h.kind == kindAnonymous {
		return o, p, false, nil
	}
	suite.Random(o.challengeNonce[:])
	if err = writeFrame(s, frameChallenge, o.challengeNonce[:]); err != nil {
		return o, p, false, err
	}
	if body, err = expect(in, frameProof); err != nil {
		return o, p, false, err
	}
	if p, err = parseProof(body); err != nil {
		return o, p, false, err
	}
	_, err = check(o, p, roleDialler, nil)
	return o, p, true, err
}
