package message_test

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"rushlight/protocol/message"
)

// TestIntervals compares a set with a map.
func TestIntervals(t *testing.T) {
	const top = 300
	rapid.Check(t, func(t *rapid.T) {
		var s message.Intervals
		model := map[uint64]bool{}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			first := rapid.Uint64Range(1, top).Draw(t, "first")
			last := min(top, first+rapid.SampledFrom([]uint64{0, 0, 0, 1, 2, 10}).Draw(t, "more"))
			before := s.Marshal()
			if err := s.AddRange(message.Range{First: first, Last: last}); err != nil {
				if !errors.Is(err, message.ErrTooSparse) || len(s.Ranges()) != message.MaxRanges || !bytes.Equal(before, s.Marshal()) {
					t.Fatal(err)
				}
				continue
			}
			for n := first; n <= last; n++ {
				model[n] = true
			}
		}
		gaps := uint64(0)
		missing := s.Missing(top, top)
		for n := uint64(1); n <= top; n++ {
			if s.Has(n) != model[n] {
				t.Fatalf("%d: %v, want %v", n, s.Has(n), model[n])
			}
			listed := false
			for _, r := range missing {
				listed = listed || r.First <= n && n <= r.Last
			}
			if listed == model[n] {
				t.Fatalf("%d: listed as missing %v, held %v", n, listed, model[n])
			}
			if !model[n] {
				gaps++
			}
		}
		held := uint64(0)
		for i, r := range s.Ranges() {
			held += r.Last - r.First + 1
			if i > 0 && s.Ranges()[i-1].Last+1 >= r.First {
				t.Fatal("ranges touch")
			}
		}
		if held+gaps != top {
			t.Fatalf("%d held, %d missing", held, gaps)
		}
		c := uint64(0)
		for model[c+1] {
			c++
		}
		if s.Contiguous() != c {
			t.Fatalf("contiguous to %d, want %d", s.Contiguous(), c)
		}
		if limited := s.Missing(top, 2); len(limited) > 2 || len(missing) >= 2 && limited[1] != missing[1] {
			t.Fatalf("limited: %v of %v", limited, missing)
		}
		got, err := message.ParseIntervals(s.Marshal())
		if err != nil || !bytes.Equal(got.Marshal(), s.Marshal()) || !got.Contains(&s) || !s.Contains(got) {
			t.Fatalf("round trip: %v", err)
		}
	})
}

func TestIntervalsLimits(t *testing.T) {
	var s message.Intervals
	for i := range uint64(message.MaxRanges) {
		if err := s.Add(2 + 2*i); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Add(1000); !errors.Is(err, message.ErrTooSparse) {
		t.Errorf("one range too many: %v", err)
	}
	if err := s.Add(3); err != nil {
		t.Errorf("closing a gap: %v", err)
	}
	if err := s.Add(1000); err != nil {
		t.Errorf("after a gap closed: %v", err)
	}
	for _, n := range []uint64{0, message.MaxSeq + 1, 1 << 63} {
		if err := s.Add(n); err == nil {
			t.Errorf("%d was added", n)
		}
	}
	if err := s.AddRange(message.Range{First: 9, Last: 8}); err == nil {
		t.Error("an empty range was added")
	}
	if err := s.AddRange(message.Range{First: 1, Last: message.MaxSeq}); err != nil {
		t.Error(err)
	}
	if got := s.Missing(message.MaxSeq, 1); len(got) != 0 || s.Contiguous() != message.MaxSeq {
		t.Errorf("the full set misses %v", got)
	}
	a, c := setOf(message.Range{First: 1, Last: 5}), setOf(message.Range{First: 4, Last: 6})
	if a.Contains(&c) || !a.Contains(&message.Intervals{}) {
		t.Error("wrong answer about a subset")
	}
	d := a.Clone()
	if err := d.Add(6); err != nil || a.Has(6) {
		t.Error("a clone shares its ranges")
	}
}

// TestReceiptSize holds the size of a receipt for one conversation in order.
func TestReceiptSize(t *testing.T) {
	b, err := message.MarshalPacket(&message.Receipt{Entries: []message.ReceiptEntry{{
		Delivered: setOf(message.Range{First: 1, Last: 1000}), Read: setOf(message.Range{First: 1, Last: 1000}),
	}}})
	if err != nil || len(b) != 42 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func FuzzIntervals(f *testing.F) {
	s := setOf(message.Range{First: 1, Last: 9}, message.Range{First: 12, Last: 400})
	f.Add(s.Marshal())
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := message.ParseIntervals(b); err == nil && !bytes.Equal(s.Marshal(), b) {
			t.Fatal("two spellings")
		}
	})
}
