package engine

import (
	"bytes"
	"math"
	"testing"

	"rushlight/protocol/envelope"
	"rushlight/protocol/identity"
	"rushlight/protocol/suite"
	"rushlight/storage/record"
)

// freshOf makes the entry of an outbox under a number.
func freshOf(t *testing.T, seq uint64, expires int64) *freshEntry {
	t.Helper()
	o := &record.Outbox{Kind: record.OutboxSession, Class: envelope.S, Content: envelope.NewContentKey()}
	suite.Random(o.Key[:])
	slot := make([]byte, envelope.SlotSize)
	suite.Random(slot)
	payload, err := envelope.Pack(o.Class, o.Content, [][]byte{slot}, make([]byte, 100))
	if err != nil {
		t.Fatal(err)
	}
	o.Folded = envelope.Fold(o.Class, 1, payload)
	return &freshEntry{seq: seq, entry: o, payload: payload, expires: expires}
}

// What is taken out of memory follows without a gap and is what the store would
// give; what doesn't fit is left to the store, and the room comes back.
func TestFresh(t *testing.T) {
	const all = 10_000 // more than there is room for
	var f fresh
	a := identity.AccountID{1}
	want := map[uint64][]byte{}
	for seq := uint64(1); seq <= all; seq++ {
		e := freshOf(t, seq, 0)
		_, env, err := e.entry.Sealed()
		if err != nil {
			t.Fatal(err)
		}
		want[seq] = env[:64]
		f.add(a, &freshBatch{[]*freshEntry{e}, seq})
	}
	kept := uint64(len(f.all[a].entries))
	if kept <= maxPayloads || kept >= all || f.bytes > maxFreshBytes {
		t.Fatalf("%d of %d are kept, in %d bytes", kept, all, f.bytes)
	}
	f.drop(a, 5)
	f.drop(a, 5)
	f.drop(identity.AccountID{2}, 1)
	after := uint64(0)
	for _, c := range []struct {
		after uint64
		limit int
		want  int
		more  bool
	}{
		{0, 100, 4, true}, // up to the gap
		{4, 100, 0, true}, // that one may be in the store
		{5, 3, 3, true},
		{8, math.MaxInt, int(kept) - 8, true},
		{all, 10, 0, false},
	} {
		after = c.after
		got, more := f.take(a, after, c.limit, 0)
		if len(got) != c.want || more != c.more {
			t.Fatalf("after %d: %d entries, more is %v", c.after, len(got), more)
		}
		ps, err := parcels(got)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range ps {
			if after++; p.Seq != after || !bytes.Equal(p.Envelope[:64], want[p.Seq]) {
				t.Fatalf("after %d comes %d, or with another envelope", after-1, p.Seq)
			}
		}
	}
	if f.bytes != 0 {
		t.Errorf("%d bytes are left of nothing", f.bytes)
	}
	// One that has expired stays where it is.
	f.add(a, &freshBatch{[]*freshEntry{freshOf(t, all+1, 10), freshOf(t, all+2, 0)}, all + 2})
	if got, _ := f.take(a, all, 10, 10); len(got) != 0 {
		t.Error("an expired one is taken")
	}
	if got, _ := f.take(a, all+1, 10, 10); len(got) != 1 || f.bytes != 0 {
		t.Errorf("%d entries after it, %d bytes left", len(got), f.bytes)
	}
}
