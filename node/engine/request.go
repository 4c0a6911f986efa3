package engine

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"rushlight/protocol/handshake"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

const (
	labelAsk      suite.Label = "rushlight/engine/invite-request/1"
	labelGreeting suite.Label = "rushlight/engine/invite-greeting/1"
)

// request is what somebody who accepted an invite leaves for its maker, who is
// away (spec §12.10).
type request struct {
	card     []byte
	bundle   []byte // one-time, for the maker alone
	relays   []byte // the packet with the sender's set of relays, or nothing
	standing []byte // bundle of last resort, for the maker alone, or nothing

	greeting  string // what the maker is told before it decides, or nothing
	signature [ed25519.SignatureSize]byte
}

const maxRequestBundle = 16 << 10

// body is what the signature is for.
func (q *request) body() []byte {
	version := uint8(1)
	if q.greeting != "" {
		version = 2
	}
	w := wire.NewWriter(nil).U8(version).Vec16(q.card).Vec16(q.bundle).Vec24(q.relays).Vec16(q.standing)
	if q.greeting != "" {
		w.Vec16([]byte(q.greeting))
	}
	return w.Out()
}

// marshal encodes q. One without a greeting needs no signature: everything in it
// has its own.
func (q *request) marshal() []byte {
	if q.greeting == "" {
		return q.body()
	}
	return append(q.body(), q.signature[:]...)
}

func (q *request) sign(key ed25519.PrivateKey, invite [16]byte) {
	q.signature = [ed25519.SignatureSize]byte(suite.Sign(key, labelGreeting, invite[:], q.body()))
}

func parseRequest(b []byte) (*request, error) {
	r := wire.NewReader(b)
	version := r.U8()
	if version != 1 && version != 2 {
		r.Fail("unknown version")
	}
	q := &request{
		card: r.Vec16(identity.MaxCard), bundle: r.Vec16(maxRequestBundle),
		relays: r.Vec24(message.MaxPacket), standing: r.Vec16(maxRequestBundle),
	}
	if version == 2 {
		q.greeting = string(r.Vec16(1<<16 - 1))
		if q.greeting == "" || !message.IsNote(q.greeting) {
			r.Fail("greeting empty, no text or over its limit")
		}
		r.Fill(q.signature[:])
	}
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("reading a request: %w", err)
	}
	return q, nil
}

// open checks a request to the maker of an invite, and what is in it. There may
// be no set of relays.
func (q *request) open(invite [16]byte) (*identity.Card, *handshake.Bundle, *message.Relays, error) {
	card, err := identity.ParseCard(q.card)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := card.Verify(); err != nil {
		return nil, nil, nil, err
	}
	b, err := handshake.ParseBundle(q.bundle)
	if err != nil {
		return nil, nil, nil, err
	}
	if b.Account != card.ID() || b.Device != card.Device {
		return nil, nil, nil, errors.New("the bundle is not the card's")
	}
	if d, ok := card.Manifest.Device(card.Device); !ok ||
		q.greeting != "" && !suite.Verify(d.Signing[:], q.signature[:], labelGreeting, invite[:], q.body()) {
		return nil, nil, nil, errors.New("the greeting is not the card's")
	}
	if len(q.relays) == 0 {
		return card, b, nil, nil
	}
	p, err := message.ParsePacket(q.relays)
	if err != nil {
		return nil, nil, nil, err
	}
	relays, ok := p.(*message.Relays)
	if !ok {
		return nil, nil, nil, errors.New("no set of relays")
	}
	return card, b, relays, nil
}
