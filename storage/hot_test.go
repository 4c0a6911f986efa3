package storage

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"
)

// hotModel says what may be found.
type hotModel map[string]op

func (m hotModel) compare(t *testing.T, h *hot, key Key) (found bool) {
	t.Helper()
	value, expires, ok := h.get(key)
	if o, there := m[string(key)]; ok && (!there || !bytes.Equal(value, o.value) || !expires.Equal(o.expires)) {
		t.Fatalf("%x: found what wasn't written last", key)
	}
	return ok
}

func hotKey(n uint64) Key { return binary.BigEndian.AppendUint64(Key{familyIndex}, n) }

// TestHot: what is found is what was written last, also when the oldest has to
// make room.
func TestHot(t *testing.T) {
	r, m := rand.New(rand.NewPCG(1, 2)), hotModel{}
	var h hot
	for range 25000 {
		o := op{key: hotKey(r.Uint64N(15000)), value: make([]byte, r.IntN(3500)), delete: r.IntN(10) == 0}
		if r.IntN(200) == 0 {
			o.value = make([]byte, maxHotValue-1+r.IntN(3))
		}
		for i := range o.value {
			o.value[i] = byte(r.Uint32())
		}
		if r.IntN(2) == 0 {
			o.expires = time.UnixMilli(r.Int64N(1 << 40))
		}
		h.took([]op{o})
		if delete(m, string(o.key)); !o.delete && len(o.value) <= maxHotValue {
			m[string(o.key)] = o
			if !m.compare(t, &h, o.key) {
				t.Fatal("what was just written isn't found")
			}
		} else if m.compare(t, &h, o.key) {
			t.Fatal("what was deleted is found")
		}
		m.compare(t, &h, hotKey(r.Uint64N(15000)))
	}
	if len(h.pieces) != maxHotBytes/hotPiece || len(h.at) == len(m) {
		t.Fatal("nothing had to make room")
	}
	found := 0
	for k := range m {
		if m.compare(t, &h, Key(k)) {
			found++
		}
	}
	if found != len(h.at) || found < len(m)/2 {
		t.Errorf("%d found of %d, %d known", found, len(m), len(h.at))
	}
}

// TestHotCollision: two keys with one hash aren't mixed up.
func TestHotCollision(t *testing.T) {
	var h hot
	a, b := hotKey(1), hotKey(2)
	h.took([]op{{key: a, value: []byte("a")}})
	h.at[keyHash(b)] = h.at[keyHash(a)]
	if _, _, ok := h.get(b); ok {
		t.Error("found under another key")
	}
	h.took([]op{{key: b, delete: true}})
	if _, _, ok := h.get(a); !ok {
		t.Error("deleting one key deleted another")
	}
	h.took([]op{{key: b, value: []byte("b")}})
	if v, _, ok := h.get(b); !ok || string(v) != "b" {
		t.Error("not found")
	}
}

// TestHotForgets: what was replaced, deleted or forgotten isn't in memory.
func TestHotForgets(t *testing.T) {
	var h hot
	secret := bytes.Repeat([]byte("secret"), 20)
	in := func(pieces [][]byte) bool {
		for _, p := range pieces {
			if bytes.Contains(p[:cap(p)], secret[:12]) {
				return true
			}
		}
		return false
	}
	for name, next := range map[string]op{
		"shorter": {value: []byte("x")}, "longer": {value: make([]byte, 500)}, "deleted": {delete: true}, "too long": {value: make([]byte, maxHotValue+1)},
	} {
		next.key = hotKey(7)
		h.took([]op{{key: next.key, value: secret}})
		if !in(h.pieces) {
			t.Fatal("not found where it is")
		}
		if h.took([]op{next}); in(h.pieces) {
			t.Error(name, "left it")
		}
	}
	h.took([]op{{key: hotKey(7), value: secret}})
	pieces := h.pieces
	if h.forget(); in(pieces) || len(h.at) > 0 {
		t.Error("not forgotten")
	}
}
