package file

import (
	"bytes"
	"errors"
	"testing"

	"rushlight/protocol/envelope"
)

// A stretch fills an envelope, and every byte of every piece is in one.
func TestStretches(t *testing.T) {
	if 1+Stretch != envelope.L.Capacity() {
		t.Errorf("an envelope holds %d bytes", envelope.L.Capacity())
	}
	for _, size := range []uint64{0, 1, 4096, ChunkSize, ChunkSize + 1, 3*ChunkSize - 5, 9000 * ChunkSize, MaxSize} {
		l, err := NewLayout(size)
		if err != nil {
			t.Fatal(err)
		}
		pieces := []uint32{0, 1, 2, 3, l.Chunks() - 1, l.Chunks(), l.Root()}
		for _, i := range pieces {
			if i >= l.Pieces() {
				continue
			}
			first, last := l.StretchesOf(i)
			if last >= l.Stretches() {
				t.Fatalf("size %d: piece %d ends in stretch %d of %d", size, i, last, l.Stretches())
			}
			at := 0
			for n := first; n <= last; n++ {
				_, length := l.StretchAt(n)
				if length <= 0 || length > Stretch {
					t.Fatalf("size %d: stretch %d has %d bytes", size, n, length)
				}
				l.PiecesIn(n, func(p uint32, off, from, to int) {
					if p != i {
						return
					}
					if off != at || to > length {
						t.Fatalf("size %d: piece %d goes on at %d, not at %d", size, i, off, at)
					}
					at += to - from
				})
			}
			if at != l.Sealed(i) {
				t.Errorf("size %d: %d bytes of piece %d, which has %d", size, at, i, l.Sealed(i))
			}
		}
	}
}

// What is sealed for one device, relay and number opens for no other, and has
// another tag.
func TestMailing(t *testing.T) {
	k, relay, content := Key{1}, [32]byte{2}, []byte("some of a piece")
	m := k.Mailing([16]byte{3})
	env, err := m.Seal(nil, relay, 4, append([]byte{0}, content...))
	if err != nil || len(env) != envelope.L.Size() || envelope.TagOf(env) != m.Tag(relay, 4) {
		t.Fatal(len(env), err)
	}
	again, err := m.Seal(nil, relay, 4, append([]byte{0}, content...))
	if err != nil || !bytes.Equal(env, again) {
		t.Error("it is another envelope each time", err)
	}
	if got, err := m.Open(relay, 4, env); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%q, %v", got, err)
	}
	damaged := bytes.Clone(env)
	damaged[1000] ^= 1
	for name, err := range map[string]error{
		"another number": second(m.Open(relay, 5, env)),
		"another relay":  second(m.Open([32]byte{9}, 4, env)),
		"another device": second(k.Mailing([16]byte{9}).Open(relay, 4, env)),
		"another file":   second(Key{9}.Mailing([16]byte{3}).Open(relay, 4, env)),
		"damaged":        second(m.Open(relay, 4, damaged)),
		"nothing":        second(m.Open(relay, 4, nil)),
	} {
		if !errors.Is(err, ErrPiece) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if m.Tag([32]byte{9}, 4) == m.Tag(relay, 4) || k.Mailing([16]byte{9}).Tag(relay, 4) == m.Tag(relay, 4) {
		t.Error("tags are alike")
	}
	other, err := envelope.ClassFor(10)
	if err != nil {
		t.Fatal(err)
	}
	if env, err = envelope.Seal(nil, envelope.KeysFor(m.stretch(4), relay), other, []byte{kindStretch, 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Open(relay, 4, env); !errors.Is(err, ErrPiece) {
		t.Errorf("another class: %v", err)
	}
	if env, err = envelope.Seal(nil, envelope.KeysFor(m.stretch(4), relay), envelope.L, []byte{1, 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Open(relay, 4, env); !errors.Is(err, ErrPiece) {
		t.Errorf("another kind: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }
