package wheel

import (
	"math/bits"
	"sync"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

// Leaves is how many leaves a bucket has.
const Leaves = 1 << depth

const (
	depth    = 24
	nodeSize = 1 + 3 + 32

	labelChild suite.Label = "rushlight/wheel/child/1"
)

// A tree is the punctured key of a bucket: the GGM tree (Goldreich, Goldwasser,
// Micali 1986) over 2^24 leaves, reduced to the largest subtrees without a
// punctured leaf. A child's seed is a hash of its parent's, so what is left
// gives every other leaf and nothing about a punctured one.
type tree struct {
	root   *node // nil when every leaf is punctured
	intact int   // nodes that hold a seed

	// The seeds on the way to the leaf that was asked for last: leaves are
	// mostly asked for one after the other.
	last struct {
		sync.Mutex
		known bool
		leaf  uint32
		from  int // depth of the intact node over it
		seeds [depth + 1][32]byte
	}
}

// A node with children has no seed any more; one without children is intact.
type node struct {
	seed [32]byte
	kid  [2]*node
}

func newTree() *tree {
	t := &tree{root: new(node), intact: 1}
	suite.Random(t.root.seed[:])
	return t
}

func (n *node) split() bool { return n.kid[0] != nil || n.kid[1] != nil }

// branch is the way from depth d towards leaf.
func branch(leaf uint32, d int) int { return int(leaf>>(depth-1-d)) & 1 }

func child(seed *[32]byte, bit int) [32]byte {
	return suite.Hash(labelChild, seed[:], []byte{byte(bit)})
}

// leaf returns the leaf's seed; false when it was punctured.
func (t *tree) leaf(leaf uint32) (seed [32]byte, ok bool) {
	n, d := t.find(leaf)
	if n == nil {
		return seed, false
	}
	l := &t.last
	l.Lock()
	defer l.Unlock()
	at := d // from where on the seeds have to be worked out
	if same := bits.LeadingZeros32((l.leaf ^ leaf) << (32 - depth)); l.known && l.from == d && same >= d {
		at = min(same, depth)
	} else {
		l.seeds[d] = n.seed
	}
	for ; at < depth; at++ {
		l.seeds[at+1] = child(&l.seeds[at], branch(leaf, at))
	}
	l.known, l.leaf, l.from = true, leaf, d
	seed = l.seeds[depth]
	return seed, true
}

// find returns the intact node over leaf, and its depth.
func (t *tree) find(leaf uint32) (*node, int) {
	n, d := t.root, 0
	for n != nil && n.split() {
		n = n.kid[branch(leaf, d)]
		d++
	}
	return n, d
}

// puncture forgets every seed from which leaf follows. It reports whether
// there was one.
func (t *tree) puncture(leaf uint32) bool {
	if n, _ := t.find(leaf); n == nil {
		return false
	}
	t.forgetLast()
	var path [depth]*node
	n := t.root
	for d := range depth {
		if !n.split() {
			for bit := range n.kid {
				n.kid[bit] = &node{seed: child(&n.seed, bit)}
			}
			clear(n.seed[:])
			t.intact++
		}
		path[d] = n
		n = n.kid[branch(leaf, d)]
	}
	clear(n.seed[:])
	t.intact--
	for d := depth - 1; d >= 0; d-- {
		path[d].kid[branch(leaf, d)] = nil
		if path[d].split() {
			return true
		}
	}
	t.root = nil
	return true
}

func (t *tree) forgetLast() {
	t.last.Lock()
	defer t.last.Unlock()
	t.last.known = false
	clear(t.last.seeds[:])
}

// live returns at most limit leaves below end that aren't punctured, ascending.
func (t *tree) live(end uint32, limit int) (out []uint32) {
	t.root.live(0, 0, end, limit, &out)
	return out
}

func (n *node) live(d int, first, end uint32, limit int, out *[]uint32) {
	switch {
	case n == nil || first >= end:
	case n.split():
		n.kid[0].live(d+1, first, end, limit, out)
		n.kid[1].live(d+1, first|1<<(depth-1-d), end, limit, out)
	default:
		for leaf := first; leaf < min(end, first+Leaves>>d) && len(*out) < limit; leaf++ {
			*out = append(*out, leaf)
		}
	}
}

// wipe forgets all seeds.
func (t *tree) wipe() {
	t.forgetLast()
	t.root.wipe()
	t.root, t.intact = nil, 0
}

func (n *node) wipe() {
	if n == nil {
		return
	}
	clear(n.seed[:])
	n.kid[0].wipe()
	n.kid[1].wipe()
}

// marshal lays the intact nodes out from left to right, each as
// depth u8 ‖ first leaf u24 ‖ seed[32]. The result is the caller's to wipe.
func (t *tree) marshal() []byte {
	w := wire.NewWriter(make([]byte, 0, nodeSize*t.intact))
	t.root.marshal(w, 0, 0)
	return w.Out()
}

func (n *node) marshal(w *wire.Writer, d int, first uint32) {
	if n == nil {
		return
	}
	if !n.split() {
		w.U8(uint8(d)).U24(first).Raw(n.seed[:])
		return
	}
	n.kid[0].marshal(w, d+1, first)
	n.kid[1].marshal(w, d+1, first|1<<(depth-1-d))
}

// parseTree refuses nodes that overlap, are out of order or could be one.
func parseTree(b []byte) (*tree, error) {
	t, r := new(tree), wire.NewReader(b)
	next := uint32(0) // first leaf that may follow
	for r.Err() == nil && r.Len() > 0 {
		d, first := int(r.U8()), r.U24()
		n := &node{seed: r.A32()}
		switch {
		case r.Err() != nil:
		case d > depth || first&(Leaves>>d-1) != 0:
			r.Fail("node without a place")
		case first < next:
			r.Fail("nodes out of order")
		case !t.insert(n, d, first):
			r.Fail("two nodes instead of their parent")
		default:
			next = first + Leaves>>d
		}
		if r.Err() != nil {
			clear(n.seed[:])
		}
	}
	if err := r.Close(); err != nil {
		t.wipe()
		return nil, err
	}
	return t, nil
}

// insert puts n where it belongs; the nodes left of it are there already.
func (t *tree) insert(n *node, d int, first uint32) bool {
	at := &t.root
	for i := range d {
		if *at == nil {
			*at = new(node)
		}
		left := (*at).kid[0]
		at = &(*at).kid[branch(first, i)]
		if i == d-1 && branch(first, i) == 1 && left != nil && !left.split() {
			return false
		}
	}
	*at = n
	t.intact++
	return true
}
