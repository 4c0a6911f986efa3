package beacon

import (
	"fmt"
	"slices"

	"rushlight/protocol/wire"
)

// Limits of a body (spec §13.4).
const (
	MaxAddrs      = 8 // addresses, of all peers together
	MaxRelays     = 5
	MaxRelayAddrs = 3
	MaxRelayAddr  = 64

	maxPeer = 64
	maxAddr = 128
)

const (
	recordPeers  uint16 = 1
	recordRelays uint16 = 2
)

// Peer is a device and the addresses it can be reached at.
type Peer struct {
	ID    []byte   // binary peer id, 1 to 64 bytes
	Addrs [][]byte // binary multiaddrs, 1 to 128 bytes each, best first
}

// Relay is a relay that keeps the owner's mail.
type Relay struct {
	Key     [32]byte // Ed25519
	Addrs   [][]byte // binary multiaddrs, at most 3 of 1 to 64 bytes
	HopID   uint32   // names HopKey
	HopKey  [32]byte // X25519
	Request [32]byte // address of the owner's request lane there
}

// Body is what a beacon says to contacts.
type Body struct {
	Peers  []Peer // distinct
	Relays []Relay
	Other  []wire.Record // of later versions, kept as they are
}

// Trim takes addresses off the end until the body fits. It reports false when
// it doesn't fit without any.
func (b *Body) Trim() bool {
	for {
		if _, err := b.marshal(); err == nil {
			return true
		}
		last := len(b.Peers) - 1
		if last < 0 {
			return false
		}
		if p := &b.Peers[last]; len(p.Addrs) > 1 {
			p.Addrs = p.Addrs[:len(p.Addrs)-1]
		} else {
			b.Peers = b.Peers[:last]
		}
	}
}

// marshal encodes the body: records in ascending order (spec §1.3, §13.4).
func (b *Body) marshal() ([]byte, error) {
	if err := b.check(0); err != nil {
		return nil, err
	}
	w := wire.NewWriter(nil)
	if len(b.Peers) > 0 {
		v := wire.NewWriter(nil).U8(uint8(len(b.Peers)))
		for _, p := range b.Peers {
			writeAddrs(v.Vec8(p.ID), p.Addrs)
		}
		w.Record(recordPeers, v.Out())
	}
	if len(b.Relays) > 0 {
		v := wire.NewWriter(nil).U8(uint8(len(b.Relays)))
		for _, r := range b.Relays {
			writeAddrs(v.Raw(r.Key[:]), r.Addrs).U32(r.HopID).Raw(r.HopKey[:]).Raw(r.Request[:])
		}
		w.Record(recordRelays, v.Out())
	}
	for _, o := range b.Other {
		w.Record(o.Type, o.Value)
	}
	return w.Out(), b.check(len(w.Out()))
}

func writeAddrs(w *wire.Writer, addrs [][]byte) *wire.Writer {
	w.U8(uint8(len(addrs)))
	for _, a := range addrs {
		w.Vec8(a)
	}
	return w
}

// ParseBody decodes a [Body].
func ParseBody(b []byte) (*Body, error) {
	in := wire.NewReader(b)
	out := &Body{}
	for _, rec := range in.Records(MaxBody) {
		r := wire.NewReader(rec.Value)
		switch rec.Type {
		case recordPeers:
			for n := int(r.U8()); n > 0 && r.Err() == nil; n-- {
				out.Peers = append(out.Peers, Peer{ID: r.Vec8(maxPeer), Addrs: readAddrs(r, MaxAddrs, maxAddr)})
			}
			if len(out.Peers) == 0 {
				r.Fail("empty record")
			}
		case recordRelays:
			for n := int(r.U8()); n > 0 && r.Err() == nil; n-- {
				out.Relays = append(out.Relays, Relay{
					Key: r.A32(), Addrs: readAddrs(r, MaxRelayAddrs, MaxRelayAddr),
					HopID: r.U32(), HopKey: r.A32(), Request: r.A32(),
				})
			}
			if len(out.Relays) == 0 {
				r.Fail("empty record")
			}
		default:
			out.Other = append(out.Other, wire.Record{Type: rec.Type, Value: r.Rest()})
		}
		if err := r.Close(); err != nil {
			in.Fail("record of a beacon: " + err.Error())
		}
	}
	err := in.Close()
	if err == nil {
		err = out.check(len(b))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the body of a beacon: %w", err)
	}
	return out, nil
}

func readAddrs(r *wire.Reader, most, longest int) (out [][]byte) {
	n := int(r.U8())
	if n > most {
		r.Fail("too many addresses")
	}
	for ; n > 0 && r.Err() == nil; n-- {
		out = append(out, r.Vec8(longest))
	}
	return out
}

// check holds a body of so many bytes to its limits.
func (b *Body) check(size int) error {
	all := 0
	bad := size > MaxBody || len(b.Relays) > MaxRelays
	for i, p := range b.Peers {
		all += len(p.Addrs)
		bad = bad || len(p.ID) == 0 || len(p.ID) > maxPeer || len(p.Addrs) == 0 || !sized(p.Addrs, maxAddr) ||
			slices.ContainsFunc(b.Peers[:i], func(o Peer) bool { return slices.Equal(o.ID, p.ID) })
	}
	for _, r := range b.Relays {
		bad = bad || len(r.Addrs) > MaxRelayAddrs || !sized(r.Addrs, MaxRelayAddr)
	}
	last := recordRelays
	for _, o := range b.Other {
		bad = bad || o.Type <= last
		last = o.Type
	}
	if bad || all > MaxAddrs {
		return fmt.Errorf("%w: body of a beacon over its limits", wire.ErrMalformed)
	}
	return nil
}

func sized(addrs [][]byte, longest int) bool {
	for _, a := range addrs {
		if len(a) == 0 || len(a) > longest {
			return false
		}
	}
	return true
}
