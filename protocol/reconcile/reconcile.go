// Package reconcile finds what two sides lack of each other's ids, at a cost
// that goes with the difference and not with what they have: ranges of a sorted
// set are compared by fingerprints, and those that differ are split (spec §16).
//
// A fingerprint is a sum of blocks that depend on a key which the two make for
// the occasion. Whoever chose the ids beforehand can't make sets that differ and
// look the same; with a sum of the ids themselves that is easy.
//
// It sends nothing and knows no conversations.
package reconcile

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"rushlight/protocol/suite"
)

const labelKey suite.Label = "rushlight/reconcile/key/1"

// Key is the key of one comparison, from a secret of the two and what is fresh
// (spec §16.1).
func Key(secret, nonce []byte) [16]byte {
	return [16]byte(suite.Derive(secret, nil, 16, labelKey, nonce))
}

// A range that differs is split in so many, or listed when it has so few.
const (
	parts = 16
	few   = 32
)

// Set is what one side has.
type Set struct {
	items []Item
	sums  []sum // of the items before each
}

// New makes a set of items in any order. Those that stand twice count once.
func New(key [16]byte, items []Item) *Set {
	h := suite.NewIDHash(key)
	s := &Set{items: slices.Clone(items)}
	slices.SortFunc(s.items, Item.Compare)
	s.items = slices.DeleteFunc(slices.Compact(s.items), func(i Item) bool { return i == last })
	s.sums = make([]sum, len(s.items)+1)
	for i, x := range s.items {
		s.sums[i+1] = s.sums[i].add(h.Of(x.ID))
	}
	return s
}

// sum is a number modulo 2^128.
type sum struct{ hi, lo uint64 }

func (s sum) add(b [16]byte) sum {
	lo, carry := bits.Add64(s.lo, binary.BigEndian.Uint64(b[8:]), 0)
	hi, _ := bits.Add64(s.hi, binary.BigEndian.Uint64(b[:8]), carry)
	return sum{hi, lo}
}

func (s sum) minus(o sum) (b [16]byte) {
	lo, borrow := bits.Sub64(s.lo, o.lo, 0)
	hi, _ := bits.Sub64(s.hi, o.hi, borrow)
	binary.BigEndian.PutUint64(b[:8], hi)
	binary.BigEndian.PutUint64(b[8:], lo)
	return b
}

// Open begins a comparison.
func (s *Set) Open() Frame { return Frame{s.about(0, len(s.items), last)} }

// about is a range's fingerprint, or its list when it has few items.
func (s *Set) about(from, to int, end Item) Range {
	if to-from <= few {
		return Range{End: end, Mode: Lists, Items: s.items[from:to]}
	}
	return s.sum(from, to, end)
}

func (s *Set) sum(from, to int, end Item) Range {
	return Range{End: end, Mode: Sum, Count: uint32(to - from), Sum: s.sums[to].minus(s.sums[from])}
}

// Answer takes what the other side says: it returns what the other lacks of
// this set, as far as that shows, and what to answer, nil when nothing is left
// to be said. Who answers, each time the other does, has learned all of it then.
func (s *Set) Answer(f Frame) (lacks []Item, reply Frame) {
	from, size := 0, 1
	for n, r := range f {
		to, _ := slices.BinarySearchFunc(s.items, r.End, Item.Compare)
		if size > MaxFrame-8192 { // the rest is looked at again
			if rest := s.items[from:]; len(rest) == 0 {
				reply = reply.add(Range{End: last, Mode: Lists})
			} else {
				reply = reply.add(s.sum(from, len(s.items), last))
			}
			return lacks, reply
		}
		mine := s.items[from:to]
		switch r.Mode {
		case Same:
			reply = reply.add(Range{End: r.End})
		case Wants:
			for _, x := range r.Items {
				if _, has := slices.BinarySearchFunc(mine, x, Item.Compare); has {
					lacks = append(lacks, x)
				}
			}
			reply = reply.add(Range{End: r.End})
		case Lists:
			lacks = append(lacks, without(mine, r.Items)...)
			if want := without(r.Items, mine); len(want) > 0 {
				reply = reply.add(Range{End: r.End, Mode: Wants, Items: want})
			} else {
				reply = reply.add(Range{End: r.End})
			}
		case Sum:
			same := int(r.Count) == len(mine) && s.sums[to].minus(s.sums[from]) == r.Sum
			reply = s.split(reply, f[n].End, from, to, same)
		}
		from = to
		size = reply.size()
	}
	if !slices.ContainsFunc(reply, func(r Range) bool { return r.Mode != Same }) {
		return lacks, nil
	}
	return lacks, reply
}

// split says more of a range whose fingerprints differ.
func (s *Set) split(reply Frame, end Item, from, to int, same bool) Frame {
	switch n := to - from; {
	case same:
		return reply.add(Range{End: end})
	case n <= few:
		return reply.add(s.about(from, to, end))
	default:
		for i := range parts {
			lo, hi, until := from+n*i/parts, from+n*(i+1)/parts, end
			if hi < to {
				until = s.items[hi]
			}
			reply = reply.add(s.sum(lo, hi, until))
		}
		return reply
	}
}

// add appends a range, and makes one of two about which nothing is to be said.
func (f Frame) add(r Range) Frame {
	if n := len(f) - 1; n >= 0 && f[n].Mode == Same && r.Mode == Same {
		f[n].End = r.End
		return f
	}
	return append(f, r)
}

// without is what of a isn't in b; both are sorted.
func without(a, b []Item) (out []Item) {
	for _, x := range a {
		if _, has := slices.BinarySearchFunc(b, x, Item.Compare); !has {
			out = append(out, x)
		}
	}
	return out
}
