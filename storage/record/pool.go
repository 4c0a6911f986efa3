package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"rushlight/protocol/stamp"
	"rushlight/protocol/wire"
	"rushlight/storage"
)

// Pool is what is left of the stamps of one class that a relay gave. The stamps
// themselves stand in records of their own, which are written once: taking some
// rewrites only which are left.
type Pool struct {
	Next    uint32  // number of the next batch
	Batches []Batch // oldest first, at most [MaxBatches], none without a stamp left
}

// Batch is stamps with consecutive serials that were given together.
type Batch struct {
	Number uint32 // under which their [Stamps] stand
	First  uint32 // serial of the first, by which they can be taken back
	Week   uint8  // name of the key of the one that ends first
	Count  uint16 // stamps that there were
	Left   []byte // bit i mod 8 of byte i / 8: stamp i is left
}

// MaxBatches bounds the batches of a [Pool], and MaxBatch the stamps of one.
const (
	MaxBatches = 32
	MaxBatch   = 2048
)

// NewBatch is a batch of which all are left.
func NewBatch(number, first uint32, week uint8, count int) Batch {
	b := Batch{Number: number, First: first, Week: week, Count: uint16(count), Left: make([]byte, (count+7)/8)}
	for i := range count {
		b.Left[i/8] |= 1 << (i % 8)
	}
	return b
}

// Has reports whether stamp i is left.
func (b *Batch) Has(i int) bool { return b.Left[i/8]&(1<<(i%8)) != 0 }

// Take marks stamp i as taken.
func (b *Batch) Take(i int) { b.Left[i/8] &^= 1 << (i % 8) }

// Len is how many stamps are left.
func (b *Batch) Len() (n int) {
	for _, x := range b.Left {
		n += bits.OnesCount8(x)
	}
	return n
}

// PoolKey is the key of the pool of one relay and class, 0 to 2.
func PoolKey(n Namer, relay [32]byte, class int) storage.Key {
	p := n.Pseudonym("relay", relay[:])
	return key(FamilyPool, p[:], []byte{byte(class)})
}

// Marshal encodes p.
func (p *Pool) Marshal() []byte {
	w := wire.NewWriter(nil).U8(2).U32(p.Next).U8(uint8(len(p.Batches)))
	for _, b := range p.Batches {
		w.U32(b.Number).U32(b.First).U8(b.Week).U16(b.Count).Raw(b.Left)
	}
	return w.Out()
}

// ErrFormer: the record has a layout of before, which isn't read any more.
var ErrFormer = errors.New("record: a former layout")

// ParsePool decodes a [Pool]. Version 1 held the stamps: [ErrFormer].
func ParsePool(b []byte) (*Pool, error) {
	r := wire.NewReader(b)
	switch v := r.U8(); {
	case r.Err() == nil && v == 1:
		return nil, fmt.Errorf("a pool of stamps: %w", ErrFormer)
	case v != 2:
		r.Fail("unknown version")
	}
	p := &Pool{Next: r.U32()}
	n := int(r.U8())
	if n > MaxBatches {
		r.Fail("too many batches")
	}
	for ; n > 0 && r.Err() == nil; n-- {
		x := Batch{Number: r.U32(), First: r.U32(), Week: r.U8(), Count: r.U16()}
		if x.Count > MaxBatch {
			r.Fail("a batch is too large")
			break
		}
		x.Left = make([]byte, (int(x.Count)+7)/8)
		r.Fill(x.Left)
		if k := int(x.Count) % 8; k > 0 && x.Left[len(x.Left)-1]>>k != 0 {
			r.Fail("more stamps are left than there were")
		}
		if x.Len() == 0 {
			r.Fail("a batch without stamps")
		}
		p.Batches = append(p.Batches, x)
	}
	return p, r.Close()
}

// Stamps are the stamps of one [Batch].
type Stamps struct{ All []stamp.Stamp }

// StampsKey is the key of the stamps of one batch.
func StampsKey(n Namer, relay [32]byte, class int, batch uint32) storage.Key {
	p := n.Pseudonym("relay", relay[:])
	return key(FamilyPool, p[:], binary.BigEndian.AppendUint32([]byte{byte(class)}, batch))
}

// Marshal encodes s.
func (s *Stamps) Marshal() []byte {
	w := wire.NewWriter(make([]byte, 0, 3+len(s.All)*stamp.Size)).U8(1).U16(uint16(len(s.All)))
	for _, x := range s.All {
		w.Raw(x[:])
	}
	return w.Out()
}

// ParseStamps decodes a [Stamps].
func ParseStamps(b []byte) (*Stamps, error) {
	r := wire.NewReader(b)
	version(r)
	n := int(r.U16())
	if n > MaxBatch || n*stamp.Size != r.Len() {
		r.Fail("not as many stamps as it says")
	}
	s := &Stamps{}
	for ; n > 0 && r.Err() == nil; n-- {
		var x stamp.Stamp
		r.Fill(x[:])
		s.All = append(s.All, x)
	}
	return s, r.Close()
}
