package reconcile_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rushlight/protocol/reconcile"
)

// talk lets two sides compare what they have. It returns what each was found to
// lack, by the other, how many frames that took, and how many bytes.
func talk(t interface {
	Helper()
	Fatalf(string, ...any)
}, key [16]byte, a, b []reconcile.Item) (aLacks, bLacks []reconcile.Item, frames, size int,
) {
	t.Helper()
	x, y := reconcile.New(key, a), reconcile.New(key, b)
	for f := x.Open(); f != nil; frames++ {
		raw := f.Marshal()
		size += len(raw)
		if frames > 200 {
			t.Fatalf("it doesn't end")
		}
		got, err := reconcile.ParseFrame(raw)
		if err != nil {
			t.Fatalf("%v", err)
		}
		var lacks []reconcile.Item
		if lacks, f = y.Answer(got); frames%2 == 0 {
			aLacks = append(aLacks, lacks...)
		} else {
			bLacks = append(bLacks, lacks...)
		}
		x, y = y, x
	}
	slices.SortFunc(aLacks, reconcile.Item.Compare)
	slices.SortFunc(bLacks, reconcile.Item.Compare)
	return slices.Compact(aLacks), slices.Compact(bLacks), frames, size
}

func item(at uint64, n uint64) (x reconcile.Item) {
	x.At = at
	binary.BigEndian.PutUint64(x.ID[:], n*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(x.ID[8:], n)
	return x
}

func minus(a, b []reconcile.Item) (out []reconcile.Item) {
	has := map[reconcile.Item]bool{}
	for _, x := range b {
		has[x] = true
	}
	for _, x := range a {
		if !has[x] {
			out = append(out, x)
		}
	}
	slices.SortFunc(out, reconcile.Item.Compare)
	return slices.Compact(out)
}

// TestFindsEveryDifference compares sets of all sizes, whose items are spread
// evenly or stand in heaps.
func TestFindsEveryDifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{0, 1, 30, 100, 3000}).Draw(t, "items")
		heap := rapid.Uint64Range(1, 500).Draw(t, "heap")
		half := rapid.SampledFrom([]int{0, 1, 20, 500, 1000}).Draw(t, "per mille that one side lacks")
		seed := rapid.Uint64().Draw(t, "seed")
		var a, b []reconcile.Item
		for i := range uint64(n) {
			x := item(i/heap, i+1)
			switch r := (seed ^ i*0x9e3779b97f4a7c15) >> 20 % 2000; {
			case r < uint64(half):
				a = append(a, x)
			case r < 2*uint64(half):
				b = append(b, x)
			default:
				a, b = append(a, x), append(b, x)
			}
		}
		key := reconcile.Key([]byte{1}, binary.BigEndian.AppendUint64(nil, seed))
		aLacks, bLacks, _, _ := talk(t, key, a, b)
		if !slices.Equal(aLacks, minus(b, a)) || !slices.Equal(bLacks, minus(a, b)) {
			t.Fatalf("%d and %d items: found %d and %d that are missing, not %d and %d", len(a), len(b),
				len(aLacks), len(bLacks), len(minus(b, a)), len(minus(a, b)))
		}
	})
}

// TestCostGoesWithTheDifference: a hundred thousand items that differ in three.
func TestCostGoesWithTheDifference(t *testing.T) {
	var a []reconcile.Item
	for i := range uint64(100_000) {
		a = append(a, item(i, i+1))
	}
	b := slices.Delete(slices.Clone(a), 500, 502)
	a = slices.Delete(a, 70_000, 70_001)
	aLacks, bLacks, frames, size := talk(t, reconcile.Key([]byte{2}, nil), a, b)
	if len(aLacks) != 1 || len(bLacks) != 2 {
		t.Fatal("missing:", len(aLacks), len(bLacks))
	}
	t.Logf("%d frames, %d bytes", frames, size)
	if frames > 10 || size > 20_000 {
		t.Errorf("%d frames, %d bytes", frames, size)
	}
	if aLacks, bLacks, frames, size := talk(t, reconcile.Key([]byte{2}, nil), a, a); len(aLacks)+len(bLacks) > 0 || frames != 1 || size > 100 {
		t.Error("of one set with itself:", len(aLacks), len(bLacks), frames, size)
	}
}

// TestCraftedIDs: somebody gave two sides ids whose sums are the same, and whose
// exclusive-or is. Whoever compares sums of ids finds no difference.
func TestCraftedIDs(t *testing.T) {
	id := func(n uint64) (x reconcile.Item) {
		x.At = 7
		binary.BigEndian.PutUint64(x.ID[8:], n)
		return x
	}
	var a, b []reconcile.Item
	for i := range uint64(100) {
		x := item(i, i+1)
		a, b = append(a, x), append(b, x)
	}
	a = append(a, id(1<<40|1), id(2<<40|2))
	b = append(b, id(1<<40|2), id(2<<40|1))
	for n := range byte(20) {
		aLacks, bLacks, _, _ := talk(t, reconcile.Key([]byte{n}, []byte("fresh")), a, b)
		if len(aLacks) != 2 || len(bLacks) != 2 {
			t.Fatalf("a difference is not found: %d, %d", len(aLacks), len(bLacks))
		}
	}
}

// FuzzFrame: what decodes is encoded the same, and can be answered.
func FuzzFrame(f *testing.F) {
	var some []reconcile.Item
	for i := range uint64(300) {
		some = append(some, item(i/7, i))
	}
	x, y := reconcile.New([16]byte{1}, some), reconcile.New([16]byte{1}, some[:250])
	for g, n := x.Open(), 0; g != nil && n < 20; n++ {
		f.Add(g.Marshal())
		_, g = y.Answer(g)
		x, y = y, x
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		g, err := reconcile.ParseFrame(raw)
		if err != nil {
			return
		}
		if !bytes.Equal(g.Marshal(), raw) {
			t.Fatal("another spelling")
		}
		lacks, reply := x.Answer(g)
		if len(lacks) > len(some) {
			t.Fatal("more than there is")
		}
		if reply == nil {
			return
		}
		out := reply.Marshal()
		if _, err := reconcile.ParseFrame(out); err != nil || len(out) > reconcile.MaxFrame {
			t.Fatalf("an answer of %d bytes: %v", len(out), err)
		}
	})
}
