package message

import (
	"errors"
	"fmt"
	"slices"

	"rushlight/protocol/wire"
)

// MaxRanges bounds how many ranges an [Intervals] holds.
const MaxRanges = 64

// ErrTooSparse is returned when a number would need one range more than
// [MaxRanges]. It can be added once earlier gaps have closed.
var ErrTooSparse = errors.New("message: too many gaps")

// Range is the numbers First to Last, both included.
type Range struct{ First, Last uint64 }

// Intervals is a set of sequence numbers from 1 to [MaxSeq], held as ranges.
// The zero value is the empty set (spec §9.5).
type Intervals struct{ ranges []Range }

// Ranges returns a copy of the ranges, in ascending order, with a gap of at
// least one number between any two.
func (s *Intervals) Ranges() []Range { return slices.Clone(s.ranges) }

// Empty reports whether the set is empty.
func (s *Intervals) Empty() bool { return len(s.ranges) == 0 }

// Last returns the highest number, 0 when the set is empty.
func (s *Intervals) Last() uint64 {
	if len(s.ranges) == 0 {
		return 0
	}
	return s.ranges[len(s.ranges)-1].Last
}

// Contiguous returns the n for which 1 to n are all in the set and n+1 is not.
func (s *Intervals) Contiguous() uint64 {
	if len(s.ranges) == 0 || s.ranges[0].First != 1 {
		return 0
	}
	return s.ranges[0].Last
}

// find returns the index of the first range that ends at or after n.
func (s *Intervals) find(n uint64) int {
	i, _ := slices.BinarySearchFunc(s.ranges, n, func(r Range, n uint64) int {
		switch {
		case r.Last < n:
			return -1
		case r.Last > n:
			return 1
		}
		return 0
	})
	return i
}

// Has reports whether n is in the set.
func (s *Intervals) Has(n uint64) bool {
	i := s.find(n)
	return i < len(s.ranges) && s.ranges[i].First <= n
}

// Contains reports whether every number of o is in the set.
func (s *Intervals) Contains(o *Intervals) bool {
	for _, r := range o.ranges {
		i := s.find(r.First)
		if i == len(s.ranges) || s.ranges[i].First > r.First || s.ranges[i].Last < r.Last {
			return false
		}
	}
	return true
}

// Add adds n. The set is unchanged on error: [ErrTooSparse], or n out of
// range. Adding a number twice is no error.
func (s *Intervals) Add(n uint64) error { return s.AddRange(Range{n, n}) }

// AddRange adds a range of numbers; errors as [Intervals.Add].
func (s *Intervals) AddRange(r Range) error {
	if r.First == 0 || r.First > r.Last || r.Last > MaxSeq {
		return fmt.Errorf("message: %w: sequence number out of range", wire.ErrMalformed)
	}
	lo := s.find(r.First - 1) // touches or follows r
	hi := lo
	for hi < len(s.ranges) && s.ranges[hi].First <= r.Last+1 {
		r.First = min(r.First, s.ranges[hi].First)
		r.Last = max(r.Last, s.ranges[hi].Last)
		hi++
	}
	if lo == hi && len(s.ranges) == MaxRanges {
		return ErrTooSparse
	}
	s.ranges = slices.Replace(s.ranges, lo, hi, r)
	return nil
}

// Missing returns at most limit ranges of the numbers from 1 to upto that are
// not in the set, in ascending order.
func (s *Intervals) Missing(upto uint64, limit int) (out []Range) {
	next := uint64(1)
	for _, r := range s.ranges {
		if next > upto || len(out) >= limit {
			return out
		}
		if r.First > next {
			out = append(out, Range{next, min(r.First-1, upto)})
		}
		next = r.Last + 1
	}
	if next <= upto && len(out) < limit {
		out = append(out, Range{next, upto})
	}
	return out
}

// Clone returns a copy that shares nothing.
func (s *Intervals) Clone() Intervals { return Intervals{slices.Clone(s.ranges)} }

// Append writes the set: the number of ranges u8, then for each the numbers
// skipped and the numbers held, each less the least it can be.
func (s *Intervals) Append(w *wire.Writer) {
	w.U8(uint8(len(s.ranges)))
	least := uint64(1)
	for _, r := range s.ranges {
		w.Uvarint(r.First - least).Uvarint(r.Last - r.First)
		least = r.Last + 2
	}
}

// Read reverses [Intervals.Append]; errors stick to r.
func (s *Intervals) Read(r *wire.Reader) {
	n := int(r.U8())
	if n > MaxRanges {
		r.Fail("too many ranges")
		return
	}
	s.ranges = nil
	least := uint64(1)
	for range n {
		first := least + r.Uvarint(MaxSeq)
		last := first + r.Uvarint(MaxSeq)
		if last > MaxSeq {
			r.Fail("range over its limit")
		}
		if r.Err() != nil {
			s.ranges = nil
			return
		}
		s.ranges = append(s.ranges, Range{first, last})
		least = last + 2
	}
}

// Marshal encodes the set by itself.
func (s *Intervals) Marshal() []byte {
	w := wire.NewWriter(nil)
	s.Append(w)
	return w.Out()
}

// ParseIntervals reverses [Intervals.Marshal].
func ParseIntervals(b []byte) (*Intervals, error) {
	r := wire.NewReader(b)
	s := &Intervals{}
	s.Read(r)
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("reading a set of sequence numbers: %w", err)
	}
	return s, nil
}
