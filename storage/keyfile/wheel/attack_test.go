package wheel

import (
	"bytes"
	"encoding/binary"
	"testing"

	"golang.org/x/crypto/chacha20"

	"rushlight/protocol/suite"
)

// attack is the strongest attacker that the wheel is to withstand: it has every
// byte of the medium and the kek. It looks for every record at any offset, of
// any age, whole or not, decrypts without asking for a valid tag, and follows
// all keys it finds.
type attack struct {
	anchors, tops, segments int

	nodes  map[uint32]map[found]bool
	shares map[uint32]map[[32]byte]bool
	convs  map[[16]byte]map[[32]byte]bool
}

// found is a node of a tree.
type found struct {
	depth uint8
	first uint32
	seed  [32]byte
}

// each calls f with what follows each occurrence of magic, which is left out.
func each(raw []byte, magic [4]byte, f func(at int, rest []byte)) {
	for at := 0; ; at++ {
		i := bytes.Index(raw[at:], magic[:])
		if i < 0 {
			return
		}
		at += i
		f(at, raw[at+4:])
	}
}

// A keychain finds the key that a text of [suite.Seal] was sealed with by the
// commitment in front of it.
type keychain[K comparable] map[[32]byte]map[K]opener

type opener [44]byte // cipher's key and nonce

func (c keychain[K]) add(what K, key [32]byte) {
	o := suite.Derive(key[:], nil, 76, "rushlight/suite/seal/1")
	commitment := [32]byte(o[44:])
	if c[commitment] == nil {
		c[commitment] = map[K]opener{}
	}
	c[commitment][what] = opener(o)
}

// open decrypts what follows each head in raw, as far as it goes and without
// asking for the tag, whatever its generation, and however long it was.
func (c keychain[K]) open(raw []byte, magic [4]byte, f func(what K, pt []byte)) {
	each(raw, magic, func(_ int, b []byte) {
		if len(b) < 8+32 {
			return
		}
		for what, o := range c[[32]byte(b[8:])] {
			cipher, err := chacha20.NewUnauthenticatedCipher(o[:32], o[32:])
			if err != nil {
				panic(err)
			}
			cipher.SetCounter(1)
			pt := make([]byte, min(1<<20, len(b)-40))
			cipher.XORKeyStream(pt, b[40:][:len(pt)])
			f(what, pt)
		}
	})
}

func carve(raw []byte, kek [32]byte) *attack {
	a := &attack{
		nodes:  map[uint32]map[found]bool{},
		shares: map[uint32]map[[32]byte]bool{},
		convs:  map[[16]byte]map[[32]byte]bool{},
	}
	ring := newRing(kek)
	tops, segments := keychain[uint64]{}, keychain[uint32]{}
	each(raw, magicAnchor, func(at int, _ []byte) {
		const size = headSize + 16 + 32 + suite.BoxOverhead
		if at+size > len(raw) {
			return
		}
		if gen, key, err := ring.openAnchor(raw[at : at+size]); err == nil {
			tops.add(gen, key)
		}
	})
	a.anchors = len(tops)
	tops.open(raw, magicTop, func(_ uint64, pt []byte) {
		a.tops++
		a.readTop(pt, segments)
	})
	segments.open(raw, magicSegment, func(bucket uint32, pt []byte) {
		a.segments++
		for next := uint32(0); len(pt) >= nodeSize; pt = pt[nodeSize:] {
			n := found{pt[0], binary.BigEndian.Uint32(pt) & (Leaves - 1), [32]byte(pt[4:])}
			if n.depth > depth || n.first < next { // here it ended
				break
			}
			next = n.first + 1
			add(a.nodes, bucket, n)
		}
	})
	each(raw, magicShards, func(_ int, b []byte) {
		for n := 0; n < sharesAFile && len(b) >= shareSize; n++ {
			add(a.shares, binary.BigEndian.Uint32(b), [32]byte(b[4:]))
			b = b[shareSize:]
		}
	})
	return a
}

func (a *attack) readTop(pt []byte, segments keychain[uint32]) {
	if len(pt) < topFixed {
		return
	}
	nb, nc := binary.BigEndian.Uint32(pt[26:]), binary.BigEndian.Uint32(pt[30:])
	pt = pt[topFixed:]
	for ; nb > 0 && len(pt) >= entrySize; nb-- {
		segments.add(binary.BigEndian.Uint32(pt), [32]byte(pt[28:]))
		pt = pt[entrySize:]
	}
	for ; nc > 0 && len(pt) >= convSize; nc-- {
		add(a.convs, [16]byte(pt), [32]byte(pt[16:]))
		pt = pt[convSize:]
	}
}

func add[K, V comparable](m map[K]map[V]bool, k K, v V) {
	if m[k] == nil {
		m[k] = map[V]bool{}
	}
	m[k][v] = true
}

// recovers reports whether a record's key can be worked out.
func (a *attack) recovers(bucket, leaf uint32, conv [16]byte, want [32]byte) bool {
	convs := a.convs[conv]
	if conv == [16]byte{} {
		convs = map[[32]byte]bool{{}: true}
	}
	seeds := map[[32]byte]bool{}
	for n := range a.nodes[bucket] {
		if n.depth > depth || leaf>>(depth-n.depth) != n.first>>(depth-n.depth) {
			continue
		}
		for d := int(n.depth); d < depth; d++ {
			n.seed = child(&n.seed, branch(leaf, d))
		}
		seeds[n.seed] = true
	}
	where := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, bucket), leaf)
	for seed := range seeds {
		for share := range a.shares[bucket] {
			for ck := range convs {
				secret := append(append(append([]byte(nil), seed[:]...), share[:]...), ck[:]...)
				of := suite.Derive(secret, nil, 32, labelLeaf, where, conv[:])
				if bytes.Equal(suite.Expand([32]byte(of), 32, labelKey, []byte("id")), want[:]) {
					return true
				}
			}
		}
	}
	return false
}

// secrets returns all that is in memory now, so that it can be looked for
// later. Shares are left out: they stand on the disk as they are.
func (w *Wheel) secrets() (out [][]byte) {
	for _, b := range w.buckets {
		out = append(out, bytes.Clone(b.key[:]))
		for pt := b.tree.marshal(); len(pt) > 0; pt = pt[nodeSize:] {
			out = append(out, pt[4:nodeSize])
		}
	}
	for _, k := range w.convs {
		out = append(out, bytes.Clone(k[:]))
	}
	return out
}

// The attacker finds what is alive, and with one old anchor everything, which
// is the control for all tests that find nothing.
func TestAttack(t *testing.T) {
	w := testWheel(t)
	old := snapshot(t, w.dir)
	live, dead := key(t, w, 1, 1, convA), key(t, w, 1, 2, convA)
	gone, conv := key(t, w, 2, 1, convA), key(t, w, 3, 1, convB)
	must(t, w.Commit(Forget{Leaves: []Ref{{1, 2}}, Buckets: []uint32{2}, Conversations: [][16]byte{convB}}))
	all := append(old.raw(), snapshot(t, w.dir).raw()...)
	for at := range 3 { // at any offset
		a := carve(append(make([]byte, at*7), all...), testKek)
		if !a.recovers(1, 1, convA, live) || !a.recovers(1, 2, convA, dead) || !a.recovers(2, 1, convA, gone) || !a.recovers(3, 1, convB, conv) {
			t.Fatal("control: the attacker is weak")
		}
	}
	delete(old, fileAnchor) // the one that was overwritten
	all = append(old.raw(), snapshot(t, w.dir).raw()...)
	a := carve(all, testKek)
	if !a.recovers(1, 1, convA, live) {
		t.Fatal("control: a live key")
	}
	if a.recovers(1, 2, convA, dead) || a.recovers(2, 1, convA, gone) || a.recovers(3, 1, convB, conv) {
		t.Fatal("a forgotten key is recovered")
	}
	if a := carve(all, [32]byte{8}); a.anchors+a.tops+a.segments > 0 {
		t.Fatal("another kek opens something")
	}
}
