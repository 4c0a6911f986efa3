package wheel

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"testing"
)

func testTop() *top {
	return &top{
		doubt: 3, place: place{4096, 8192}, shards: 1,
		buckets: []entry{
			{id: 1, born: 2, pack: 5, off: 0, len: segmentOver, key: [32]byte{1}},
			{id: 9, born: 5, pack: 5, off: segmentOver, len: segmentOver + nodeSize, key: [32]byte{2}},
		},
		convs: []conversation{{id: [16]byte{1}, key: [32]byte{3}}, {id: [16]byte{2}, key: [32]byte{4}}},
	}
}

func TestTopRefuses(t *testing.T) {
	if _, err := parseTop(testTop().marshal(), 5); err != nil {
		t.Fatalf("control: %v", err)
	}
	for name, change := range map[string]func(*top){
		"order of buckets":       func(t *top) { t.buckets[1].id = 1 },
		"order of conversations": func(t *top) { t.convs[1].id = [16]byte{0, 1} },
		"no conversation":        func(t *top) { t.convs[0].id = [16]byte{} },
		"pack of the future":     func(t *top) { t.buckets[0].pack = 6 },
		"pack before birth":      func(t *top) { t.buckets[1].pack = 4 },
		"never born":             func(t *top) { t.buckets[0].born = 0 },
		"doubt":                  func(t *top) { t.doubt = 6 },
		"short segment":          func(t *top) { t.buckets[0].len-- },
		"part of a node":         func(t *top) { t.buckets[0].len++ },
		"beyond a pack":          func(t *top) { t.buckets[0].off = 1<<32 - 1 },
	} {
		bad := testTop()
		change(bad)
		if _, err := parseTop(bad.marshal(), 5); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestNewerVersions(t *testing.T) {
	var key [32]byte
	k := newRing(key)
	a := k.sealAnchor(1, &key)
	a[3]++
	if _, _, err := k.openAnchor(a); !errors.Is(err, ErrVersion) {
		t.Errorf("anchor: %v", err)
	}
	b := sealTop(1, &key, new(top))
	b[3]++
	if _, err := openTop(b, 1, &key); !errors.Is(err, ErrVersion) || errors.Is(err, ErrCorrupt) {
		t.Errorf("top: %v", err)
	}
	s := shares{1: {1}}.marshal()
	s[3]++
	if _, err := parseShares(s); !errors.Is(err, ErrVersion) {
		t.Errorf("shards: %v", err)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]uint64{
		topName(1): 1, topName(1 << 63): 1 << 63, packName(1): 0, "top.1": 0, "top.00000000000000010": 0,
		"top.0000000000000001.new": 0, "top.000000000000000A": 0, "top.+00000000000001": 0, "stop.0000000000000001": 0,
	} {
		if gen, ok := parseName(name, "top"); ok != (want > 0) || ok && gen != want {
			t.Errorf("%s: %d, %v", name, gen, ok)
		}
	}
}

func FuzzTop(f *testing.F) {
	f.Add(testTop().marshal())
	f.Add(new(top).marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		top, err := parseTop(b, 5)
		if err == nil && !bytes.Equal(top.marshal(), b) {
			t.Fatal("a top has two spellings")
		}
	})
}

func FuzzShares(f *testing.F) {
	f.Add(shares{}.marshal())
	f.Add(shares{1: {1}, 1 << 31: {2}}.marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseShares(b)
		if err == nil && !bytes.Equal(s.marshal(), b) {
			t.Fatal("shares have two spellings")
		}
	})
}

// testdata/v1 was written by the first version: a conversation, and buckets 1, 2
// and 3, of which bucket 3 and leaf 7 of bucket 1 were forgotten.
const fixture = "testdata/v1"

func TestFixture(t *testing.T) {
	dir := t.TempDir()
	snapshot(t, fixture).restore(t, dir)
	w := openAt(t, dir)
	for leaf, want := range map[uint32]string{
		6: "94afb551ff724b529946d77b0a3e47ca5dbf4fd6be37838c829c612922f06510",
		8: "2352ae897c17f3527a6a3d4ca90167fa0f9feaba036f381beb62ee855852896e",
	} {
		if k := key(t, w, 1, leaf, convA); hex.EncodeToString(k[:]) != want {
			t.Errorf("leaf %d: %x", leaf, k)
		}
	}
	wantDestroyed(t, w, 1, 7, convA)
	wantDestroyed(t, w, 3, 0, convA)
	if got := w.Buckets(); !slices.Equal(got, []uint32{1, 2}) {
		t.Errorf("buckets %v", got)
	}
}

// Sealed files have no spelling but the one that was written.
func FuzzSealed(f *testing.F) {
	dir := f.TempDir()
	old := snapshot(f, fixture)
	old.restore(f, dir)
	slots, err := directory(dir).openSlots(fileAnchor)
	must(f, err)
	anchor := slots.Body()
	must(f, slots.Close())
	k := newRing(testKek)
	gen, topKey, err := k.openAnchor(anchor)
	must(f, err)
	file := old[topName(gen)]
	top, err := openTop(file, gen, &topKey)
	must(f, err)
	e := top.buckets[0]
	segment := old[packName(e.pack)][e.off : e.off+e.len]
	for _, b := range [][]byte{anchor, file, segment} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, err := k.openAnchor(b); err == nil && !bytes.Equal(b, anchor) {
			t.Fatal("anchor")
		}
		if _, err := openTop(b, gen, &topKey); err == nil && !bytes.Equal(b, file) {
			t.Fatal("top")
		}
		if _, err := openSegment(b, e.pack, e.id, &e.key); err == nil && !bytes.Equal(b, segment) {
			t.Fatal("segment")
		}
	})
}
