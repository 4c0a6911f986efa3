package message

import (
	"bytes"
	"fmt"

	"rushlight/protocol/relayset"
	"rushlight/protocol/stamp"
	"rushlight/protocol/wire"
)

// Limits of the packets about relays (spec §9.6).
const (
	MaxStamps = 512 // of one class for one relay
	MaxAcks   = 30  // in one packet, which then fits envelope class S

	beaconSize = 64
)

// Relays tells a contact where mail waits, and gives it stamps to pay with
// (spec §12.8).
type Relays struct {
	Set []byte // signed, see package relayset
	// Resend asks for everything that isn't acknowledged to be deposited
	// again: a relay has lost mail.
	Resend bool
	Stamps []RelayStamps // for each relay of the set, in its order
	// Beacon is what reads the sender's beacon (spec §13.1): public key ‖ secret,
	// or nothing.
	Beacon []byte
}

// RelayStamps are stamps of the classes S, M and L.
type RelayStamps [3][]stamp.Stamp

// Acks acknowledges envelopes that came by way of a relay, by the same proofs
// as on a direct stream (spec §8.3). It is itself never acknowledged.
type Acks struct{ MACs [][16]byte }

// Low says how many stamps are left to whoever sends it, and asks for more:
// stamps are lost with what a relay dropped (spec §12.8).
type Low struct{ Relays []LowRelay } // ascending by key

// LowRelay is how many stamps of the classes S, M and L are left for a relay.
type LowRelay struct {
	Key  [32]byte
	Left [3]uint16
}

func (*Relays) kind() Kind { return KindRelays }
func (*Acks) kind() Kind   { return KindAcks }
func (*Low) kind() Kind    { return KindLow }

func (p *Low) append(w *wire.Writer) error {
	if len(p.Relays) == 0 || len(p.Relays) > relayset.MaxRelays {
		return fmt.Errorf("%w: bad number of relays", wire.ErrMalformed)
	}
	w.U8(uint8(len(p.Relays)))
	for i, r := range p.Relays {
		if i > 0 && bytes.Compare(r.Key[:], p.Relays[i-1].Key[:]) <= 0 {
			return fmt.Errorf("%w: relays out of order", wire.ErrMalformed)
		}
		w.Raw(r.Key[:])
		for _, n := range r.Left {
			w.U16(n)
		}
	}
	return nil
}

func parseLow(content []byte) (*Low, error) {
	r := wire.NewReader(content)
	n := int(r.U8())
	if n == 0 || n > relayset.MaxRelays {
		r.Fail("bad number of relays")
	}
	p := &Low{}
	for i := 0; i < n && r.Err() == nil; i++ {
		one := LowRelay{Key: r.A32(), Left: [3]uint16{r.U16(), r.U16(), r.U16()}}
		if i > 0 && bytes.Compare(one.Key[:], p.Relays[i-1].Key[:]) <= 0 {
			r.Fail("relays out of order")
		}
		p.Relays = append(p.Relays, one)
	}
	return p, r.Close()
}

func (p *Relays) append(w *wire.Writer) error {
	if len(p.Set) > relayset.MaxSet || len(p.Stamps) > relayset.MaxRelays || len(p.Beacon) != 0 && len(p.Beacon) != beaconSize {
		return fmt.Errorf("%w: set of relays over its limit", wire.ErrMalformed)
	}
	w.Vec16(p.Set).Bool(p.Resend).U8(uint8(len(p.Stamps)))
	for _, r := range p.Stamps {
		for _, class := range r {
			if len(class) > MaxStamps {
				return fmt.Errorf("%w: too many stamps", wire.ErrMalformed)
			}
			w.U16(uint16(len(class)))
			for _, s := range class {
				w.Raw(s[:])
			}
		}
	}
	w.Vec8(p.Beacon)
	return nil
}

func parseRelays(content []byte) (*Relays, error) {
	r := wire.NewReader(content)
	p := &Relays{Set: r.Vec16(relayset.MaxSet), Resend: r.Bool()}
	n := int(r.U8())
	if n > relayset.MaxRelays {
		r.Fail("too many relays")
	}
	for ; n > 0 && r.Err() == nil; n-- {
		var one RelayStamps
		for c := range one {
			m := int(r.U16())
			if m > MaxStamps {
				r.Fail("too many stamps")
			}
			for ; m > 0 && r.Err() == nil; m-- {
				var s stamp.Stamp
				r.Fill(s[:])
				one[c] = append(one[c], s)
			}
		}
		p.Stamps = append(p.Stamps, one)
	}
	if p.Beacon = r.Vec8(beaconSize); len(p.Beacon) != 0 && len(p.Beacon) != beaconSize {
		r.Fail("not a key of a beacon")
	}
	return p, r.Close()
}

func (p *Acks) append(w *wire.Writer) error {
	if len(p.MACs) == 0 || len(p.MACs) > MaxAcks {
		return fmt.Errorf("%w: bad number of acknowledgements", wire.ErrMalformed)
	}
	w.U8(uint8(len(p.MACs)))
	for _, m := range p.MACs {
		w.Raw(m[:])
	}
	return nil
}

func parseAcks(content []byte) (*Acks, error) {
	r := wire.NewReader(content)
	n := int(r.U8())
	if n == 0 || n > MaxAcks {
		r.Fail("bad number of acknowledgements")
	}
	p := &Acks{}
	for ; n > 0 && r.Err() == nil; n-- {
		p.MACs = append(p.MACs, r.A16())
	}
	return p, r.Close()
}
