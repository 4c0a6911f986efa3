package wheel

import (
	"bytes"
	"math/bits"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"rushlight/protocol/wire"
)

// plain works a leaf's seed out from the root, as long as nothing is punctured.
func plain(root [32]byte, leaf uint32) [32]byte {
	for d := range depth {
		root = child(&root, branch(leaf, d))
	}
	return root
}

// Every leaf but the punctured ones keeps its seed, also through the encoding,
// and no seed from which a punctured one follows is left.
func TestTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := newTree()
		root := tr.root.seed
		dead := map[uint32]bool{}
		leaf := rapid.OneOf(rapid.Uint32Range(0, 40), rapid.Uint32Range(Leaves-40, Leaves-1), rapid.Uint32Range(0, Leaves-1))
		for range rapid.IntRange(0, 60).Draw(t, "punctures") {
			l := leaf.Draw(t, "leaf")
			if tr.puncture(l) == dead[l] {
				t.Fatalf("leaf %d: punctured twice, or not at all", l)
			}
			dead[l] = true
			if rapid.Bool().Draw(t, "reload") {
				b := tr.marshal()
				if len(b) != tr.intact*nodeSize {
					t.Fatal("the count of nodes is wrong")
				}
				again, err := parseTree(b)
				if err != nil || !bytes.Equal(again.marshal(), b) || again.intact != tr.intact {
					t.Fatalf("reload: %v", err)
				}
				tr = again
			}
		}
		for range 20 {
			l := leaf.Draw(t, "probe")
			seed, ok := tr.leaf(l)
			if ok == dead[l] || ok && seed != plain(root, l) {
				t.Fatalf("leaf %d: alive %v, punctured %v", l, ok, dead[l])
			}
		}
		b := tr.marshal()
		for l := range dead {
			seed := root
			for d := range depth {
				if bytes.Contains(b, seed[:]) {
					t.Fatalf("a seed over punctured leaf %d is left", l)
				}
				seed = child(&seed, branch(l, d))
			}
			if bytes.Contains(b, seed[:]) {
				t.Fatalf("the seed of punctured leaf %d is left", l)
			}
		}
	})
}

// A whole bucket can be punctured, and then holds nothing.
func TestTreeEmpties(t *testing.T) {
	// The last 64 leaves only, with all to their left gone already.
	tr := newTree()
	keep := parseLast(t, tr, Leaves-64)
	for l := uint32(Leaves - 64); l < Leaves; l++ {
		if !keep.puncture(l) {
			t.Fatal("not there")
		}
	}
	if keep.root != nil || keep.intact != 0 || len(keep.marshal()) != 0 {
		t.Fatalf("%d nodes are left", keep.intact)
	}
}

// parseLast returns the tree with the leaves from first on.
func parseLast(t *testing.T, tr *tree, first uint32) *tree {
	t.Helper()
	tr.puncture(first - 1)
	b := tr.marshal()
	r, w := wire.NewReader(b), wire.NewWriter(nil)
	for r.Len() > 0 {
		d, at, seed := r.U8(), r.U24(), r.A32()
		if at >= first {
			w.U8(d).U24(at).Raw(seed[:])
		}
	}
	out, err := parseTree(w.Out())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Puncturing one leaf after the other keeps a bucket under 1 KiB.
func TestSequentialStaysSmall(t *testing.T) {
	tr := newTree()
	largest := 0
	for l := range uint32(10_000) {
		tr.puncture(l)
		largest = max(largest, tr.intact*nodeSize)
	}
	key := [32]byte{}
	if n := len(sealSegment(1, 1, &key, tr)); n >= 1024 || largest+segmentOver >= 1024 {
		t.Fatalf("%d bytes, at most %d", n, largest+segmentOver)
	}
	if want := depth - bits.OnesCount32(9_999); tr.intact != want {
		t.Fatalf("%d nodes, want %d", tr.intact, want)
	}
	t.Logf("%d bytes after 10,000 punctures, at most %d", tr.intact*nodeSize+segmentOver, largest+segmentOver)
}

// What leaves the tree leaves the memory. The control is a seed that stays.
func TestPunctureWipes(t *testing.T) {
	tr := newTree()
	for range 300 {
		tr.puncture(rand.Uint32N(Leaves))
	}
	const leaf = 12344
	tr.puncture(leaf + 1) // so that the leaf's own node exists
	var path []*node
	n := tr.root
	for d := range depth {
		path = append(path, n)
		n = n.kid[branch(leaf, d)]
	}
	if n == nil || n.seed == ([32]byte{}) {
		t.Fatal("control: the leaf's node has no seed")
	}
	tr.puncture(leaf)
	for _, n := range append(path, n) {
		if n.seed != ([32]byte{}) {
			t.Fatal("a seed over the leaf is left in memory")
		}
	}
	other, _ := tr.find(1 << 23)
	tr.wipe()
	if other.seed != ([32]byte{}) {
		t.Fatal("a seed is left after wipe")
	}
}

func TestParseTreeRefuses(t *testing.T) {
	for name, nodes := range map[string][][2]uint32{ // depth, first
		"too deep":          {{25, 0}},
		"not aligned":       {{1, 1}},
		"out of order":      {{2, 1 << 23}, {2, 0}},
		"twice":             {{3, 0}, {3, 0}},
		"inside":            {{1, 0}, {5, 1 << 20}},
		"around":            {{5, 0}, {1, 0}},
		"siblings":          {{24, 6}, {24, 7}},
		"siblings at top":   {{1, 0}, {1, 1 << 23}},
		"siblings, further": {{3, 0}, {2, 1 << 22}, {2, 1 << 23}, {2, 3 << 22}},
	} {
		w := wire.NewWriter(nil)
		for i, n := range nodes {
			w.U8(uint8(n[0])).U24(n[1]).Raw(bytes.Repeat([]byte{byte(i + 1)}, 32))
		}
		if _, err := parseTree(w.Out()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	ok := wire.NewWriter(nil).U8(24).U24(6).Raw(make([]byte, 32)).U8(24).U24(9).Raw(make([]byte, 32)).Out()
	if _, err := parseTree(ok); err != nil {
		t.Errorf("control: %v", err)
	}
	if _, err := parseTree(ok[:len(ok)-1]); err == nil {
		t.Error("cut short: accepted")
	}
}

func FuzzTree(f *testing.F) {
	tr := newTree()
	f.Add(tr.marshal())
	tr.puncture(77)
	tr.puncture(Leaves - 1)
	f.Add(tr.marshal())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		tr, err := parseTree(b)
		if err == nil && !bytes.Equal(tr.marshal(), b) {
			t.Fatal("a tree has two spellings")
		}
	})
}
