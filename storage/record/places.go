package record

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"rushlight/protocol/identity"
	"rushlight/protocol/relayset"
	"rushlight/protocol/stamp"
	"rushlight/protocol/wire"
	"rushlight/storage"
)

// Places is where mail for a contact can be left. With each message that goes that
// way it changes, so what is large stands in records of its own: stamps, which are
// written once and then only marked as taken, and [Bundles].
type Places struct {
	Account identity.AccountID
	Device  identity.DeviceID
	Seq     uint64 // of the newest set
	Relays  []Place
	Owed    [][16]byte // acknowledgements to send
	Heard   [][16]byte // hashes of the last packets that were taken, at most [MaxHeard]
	Issued  int64      // unix seconds of the newest set, or of the beacon that named the relays
	Asked   int64      // unix seconds at which a request lane was used last

	next   uint32                   // number of the next record of stamps
	parts  map[uint32][]stamp.Stamp // those that there are, once they were read
	former *Bundles                 // of a record of before, which had all in it
}

// Place is one relay of a contact.
type Place struct {
	Key    [32]byte
	Addrs  [][]byte
	Lane   [32]byte
	Stamps [3][]stamp.Stamp // by class; [LoadPlaces] reads them
	Full   int64            // unix seconds since which it has no room for the contact's mail; 0 is not

	held [3][]Batch // where Stamps stand; First is the place among those of the record
}

// MaxOwed is how many acknowledgements wait to be sent to a contact, and MaxHeard
// how many packets of it are remembered.
const (
	MaxOwed  = 512
	MaxHeard = 64
)

// maxParts is in how many records the stamps for one contact stand. With more
// they are written anew as one.
const maxParts = 8

// PlacesKey is the key of one [Places].
func PlacesKey(n Namer, a identity.AccountID) storage.Key {
	p := n.Pseudonym("account", a[:])
	return key(FamilyPlaces, p[:])
}

// PlacesPrefix is the prefix of all.
func PlacesPrefix() storage.Key { return key(FamilyPlaces) }

// ReservePrefix is the prefix of the stamps and the bundles for one contact.
func ReservePrefix(n Namer, a identity.AccountID) storage.Key { return BundlesKey(n, a) }

func partKey(n Namer, a identity.AccountID, number uint32) storage.Key {
	p := n.Pseudonym("account", a[:])
	return key(FamilyReserve, p[:], binary.BigEndian.AppendUint32(nil, number))
}

// LoadPlaces reads the places of a contact with their stamps; get returns nil for
// a record that there isn't.
func LoadPlaces(n Namer, a identity.AccountID, get func(storage.Key) ([]byte, error)) (*Places, error) {
	b, err := get(PlacesKey(n, a))
	if err != nil || b == nil {
		return &Places{Account: a}, err
	}
	p, err := ParsePlaces(b)
	if err != nil || p.former != nil {
		return p, err
	}
	p.parts = map[uint32][]stamp.Stamp{}
	for i := range p.Relays {
		x := &p.Relays[i]
		for c, held := range x.held {
			for _, h := range held {
				all, ok := p.parts[h.Number]
				if !ok {
					b, err := get(partKey(n, a, h.Number))
					if err != nil {
						return nil, err
					}
					s, err := ParseStamps(b)
					if err != nil {
						return nil, fmt.Errorf("stamps for a contact: %w", err)
					}
					all = s.All
					p.parts[h.Number] = all
				}
				if int(h.First)+int(h.Count) > len(all) {
					return nil, fmt.Errorf("record: there are %d stamps for a contact, fewer than are marked", len(all))
				}
				for k := range int(h.Count) {
					if h.Has(k) {
						x.Stamps[c] = append(x.Stamps[c], all[int(h.First)+k])
					}
				}
			}
		}
	}
	return p, nil
}

// at is where a stamp stands.
type at struct {
	part  uint32
	index int
}

// Save writes the places, and of their stamps those that aren't written yet.
func (p *Places) Save(n Namer, put func(storage.Key, []byte) error, del func(storage.Key) error) error {
	if p.former != nil {
		if err := put(BundlesKey(n, p.Account), p.former.Marshal()); err != nil {
			return err
		}
		p.former = nil
	}
	where := map[stamp.Stamp]at{}
	for number, all := range p.parts {
		for i, s := range all {
			where[s] = at{number, i}
		}
	}
	parts, fresh := p.sort(where)
	if len(parts) > maxParts {
		parts, fresh = p.sort(nil)
	}
	for all := range slices.Chunk(fresh, MaxBatch) {
		parts[p.next] = all
		if err := put(partKey(n, p.Account, p.next), (&Stamps{All: all}).Marshal()); err != nil {
			return err
		}
		p.next++
	}
	for number := range p.parts {
		if parts[number] == nil {
			if err := del(partKey(n, p.Account, number)); err != nil {
				return err
			}
		}
	}
	p.parts = parts
	return put(PlacesKey(n, p.Account), p.Marshal())
}

// sort finds where each stamp stands, or is going to if it isn't written yet, and
// what is still needed of what was read.
func (p *Places) sort(where map[stamp.Stamp]at) (parts map[uint32][]stamp.Stamp, fresh []stamp.Stamp) {
	parts = map[uint32][]stamp.Stamp{}
	for i := range p.Relays {
		x := &p.Relays[i]
		for c, all := range x.Stamps {
			by := map[uint32][]int{}
			for _, s := range all {
				a, ok := where[s]
				if !ok {
					a = at{p.next + uint32(len(fresh)/MaxBatch), len(fresh) % MaxBatch}
					fresh = append(fresh, s)
				}
				by[a.part] = append(by[a.part], a.index)
				parts[a.part] = p.parts[a.part]
			}
			x.held[c] = nil
			for _, number := range slices.Sorted(maps.Keys(by)) {
				x.held[c] = append(x.held[c], batchOf(number, by[number]))
			}
		}
	}
	return parts, fresh
}

// batchOf is a batch of just those stamps of a record.
func batchOf(number uint32, indexes []int) Batch {
	first, last := slices.Min(indexes), slices.Max(indexes)
	b := Batch{Number: number, First: uint32(first), Count: uint16(last - first + 1), Left: make([]byte, (last-first)/8+1)}
	for _, i := range indexes {
		b.Left[(i-first)/8] |= 1 << ((i - first) % 8)
	}
	return b
}

// Former is the bundles of a record of before, which had them in it, until it is
// saved; else nil.
func (p *Places) Former() *Bundles { return p.former }

// Marshal encodes p without its stamps.
func (p *Places) Marshal() []byte {
	former := p.former != nil
	w := wire.NewWriter(nil)
	if former {
		w.U8(1)
	} else {
		w.U8(2)
	}
	w.Raw(p.Account[:]).Raw(p.Device[:]).U64(p.Seq).U8(uint8(len(p.Relays)))
	for _, x := range p.Relays {
		w.Raw(x.Key[:])
		writeAddrs(w, x.Addrs)
		w.Raw(x.Lane[:])
		for c := range x.held {
			if former {
				writeStamps(w, x.Stamps[c])
			} else {
				writeHeld(w, x.held[c])
			}
		}
		w.U64(uint64(x.Full))
	}
	if former {
		p.former.writeSpares(w)
	} else {
		w.U32(p.next)
	}
	w.U16(uint16(len(p.Owed)))
	for _, m := range p.Owed {
		w.Raw(m[:])
	}
	w.U8(uint8(len(p.Heard)))
	for _, h := range p.Heard {
		w.Raw(h[:])
	}
	w.U64(uint64(p.Issued)).U64(uint64(p.Asked))
	if former {
		w.Vec16(p.former.Standing)
	}
	return w.Out()
}

// ParsePlaces decodes a [Places] without its stamps. One of version 1 has all in
// it, and is rewritten when it is saved.
func ParsePlaces(b []byte) (*Places, error) {
	r := wire.NewReader(b)
	p := &Places{}
	switch v := r.U8(); {
	case v == 1:
		p.former = &Bundles{}
	case v != 2:
		r.Fail("unknown version")
	}
	p.Account, p.Device, p.Seq = r.A32(), r.A16(), r.U64()
	n := int(r.U8())
	if n > relayset.MaxRelays {
		r.Fail("too many relays")
	}
	for ; n > 0 && r.Err() == nil; n-- {
		x := Place{Key: r.A32(), Addrs: readAddrs(r), Lane: r.A32()}
		for c := range x.held {
			if p.former != nil {
				x.Stamps[c] = readStamps(r)
			} else {
				x.held[c] = readHeld(r)
			}
		}
		x.Full = int64(r.U64())
		p.Relays = append(p.Relays, x)
	}
	if p.former != nil {
		p.former.readSpares(r)
	} else {
		p.next = r.U32()
	}
	for n := int(r.U16()); n > 0 && r.Err() == nil; n-- {
		p.Owed = append(p.Owed, r.A16())
	}
	for n := int(r.U8()); n > 0 && r.Err() == nil; n-- {
		p.Heard = append(p.Heard, r.A16())
	}
	p.Issued, p.Asked = int64(r.U64()), int64(r.U64())
	if p.former != nil {
		p.former.Standing = r.Vec16(maxBundle)
	}
	return p, r.Close()
}

func writeHeld(w *wire.Writer, all []Batch) {
	w.U8(uint8(len(all)))
	for _, b := range all {
		w.U32(b.Number).U16(uint16(b.First)).U16(b.Count).Raw(b.Left)
	}
}

func readHeld(r *wire.Reader) (all []Batch) {
	for n := int(r.U8()); n > 0 && r.Err() == nil; n-- {
		b := Batch{Number: r.U32(), First: uint32(r.U16()), Count: r.U16()}
		switch {
		case b.Count == 0 || int(b.First)+int(b.Count) > MaxBatch:
			r.Fail("not as many stamps as a record has")
			return nil
		case len(all) > 0 && b.Number <= all[len(all)-1].Number:
			r.Fail("records of stamps out of order")
		}
		b.Left = make([]byte, (int(b.Count)+7)/8)
		r.Fill(b.Left)
		last := int(b.Count) - 1
		if k := last%8 + 1; !b.Has(0) || !b.Has(last) || b.Left[last/8]>>k != 0 {
			r.Fail("what is marked is wider than what is left")
		}
		all = append(all, b)
	}
	return all
}

func writeStamps(w *wire.Writer, all []stamp.Stamp) {
	w.U16(uint16(len(all)))
	for _, s := range all {
		w.Raw(s[:])
	}
}

func readStamps(r *wire.Reader) (all []stamp.Stamp) {
	for n := int(r.U16()); n > 0 && r.Err() == nil; n-- {
		var s stamp.Stamp
		r.Fill(s[:])
		all = append(all, s)
	}
	return all
}
