// Package relayset is the record by which a person tells contacts at which
// relays mail for them waits.
//
// It is not the mailbox: it holds no stamp and no key of one. It promises that
// a record has one encoding, that what it decodes is bounded, and that nobody
// but the device that made it can change it (spec §12.8).
package relayset

import (
	"crypto/ed25519"
	"fmt"

	"rushlight/protocol/identity"
	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

const labelSet suite.Label = "rushlight/relayset/set/1"

// Limits of a set (spec §12.8).
const (
	MaxRelays = 3
	MaxAddrs  = 3
	MaxAddr   = 128  // bytes of one address
	MaxSet    = 2048 // bytes of a whole record
)

// Relay is one relay at which mail waits.
type Relay struct {
	Key   [32]byte // the relay's Ed25519 key
	Addrs [][]byte // binary multiaddrs without the peer id, at most 3
	Lane  [32]byte // address of the request lane; zeros is none
}

// Set is where mail for one device of an account waits, best relay first. A
// set with a higher number takes the place of one with a lower.
type Set struct {
	Account identity.AccountID
	Device  identity.DeviceID
	Seq     uint64
	Issued  uint64 // unix seconds
	Relays  []Relay
}

func (s *Set) body() []byte {
	w := wire.NewWriter(nil).U8(1).Raw(s.Account[:]).Raw(s.Device[:]).U64(s.Seq).U64(s.Issued).U8(uint8(len(s.Relays)))
	for _, r := range s.Relays {
		w.Raw(r.Key[:]).U8(uint8(len(r.Addrs)))
		for _, a := range r.Addrs {
			w.Vec8(a)
		}
		w.Raw(r.Lane[:])
	}
	return w.Out()
}

// Sign encodes the set with the signature of the device that made it.
func (s *Set) Sign(key ed25519.PrivateKey) []byte {
	b := s.body()
	return append(b, suite.Sign(key, labelSet, b)...)
}

// Open reads a set and verifies it with the signing key of its device. The
// caller checks that account and device are whose set this should be.
func Open(b []byte, signing [32]byte) (*Set, error) {
	r := wire.NewReader(b)
	if len(b) > MaxSet {
		r.Fail("set over its limit")
	}
	if r.U8() != 1 {
		r.Fail("unknown version")
	}
	s := &Set{Account: r.A32(), Device: r.A16(), Seq: r.U64(), Issued: r.U64()}
	n := int(r.U8())
	if n > MaxRelays {
		r.Fail("too many relays")
	}
	for ; n > 0 && r.Err() == nil; n-- {
		x := Relay{Key: r.A32()}
		m := int(r.U8())
		if m > MaxAddrs {
			r.Fail("too many addresses")
		}
		for ; m > 0 && r.Err() == nil; m-- {
			x.Addrs = append(x.Addrs, r.Vec8(MaxAddr))
		}
		x.Lane = r.A32()
		for _, o := range s.Relays {
			if o.Key == x.Key {
				r.Fail("a relay twice")
			}
		}
		s.Relays = append(s.Relays, x)
	}
	var sig [64]byte
	r.Fill(sig[:])
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("reading a set of relays: %w", err)
	}
	if !suite.Verify(signing[:], sig[:], labelSet, b[:len(b)-len(sig)]) {
		return nil, fmt.Errorf("reading a set of relays: %w: bad signature", wire.ErrMalformed)
	}
	return s, nil
}
