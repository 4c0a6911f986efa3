package envelope_test

import (
	"bytes"
	"errors"
	"testing"

	"rushlight/protocol/envelope"
	"rushlight/protocol/wire"
)

var classes = []envelope.Class{envelope.S, envelope.M, envelope.L}

func testKeys(n byte) envelope.Keys {
	return envelope.KeysFor([32]byte{n}, [32]byte{9})
}

func TestClasses(t *testing.T) {
	for _, c := range []struct {
		class          envelope.Class
		size, capacity int
	}{{envelope.S, 2048, 1998}, {envelope.M, 16384, 16334}, {envelope.L, 65536, 65486}} {
		if got := c.class.Size(); got != c.size {
			t.Errorf("class %d has size %d, want %d", c.class, got, c.size)
		}
		if got := c.class.Capacity(); got != c.capacity {
			t.Errorf("class %d has capacity %d, want %d", c.class, got, c.capacity)
		}
		if got, err := envelope.ParseClass(c.size); got != c.class || err != nil {
			t.Errorf("length %d is class %d, %v", c.size, got, err)
		}
		if got, err := envelope.ClassFor(c.capacity); got != c.class || err != nil {
			t.Errorf("%d bytes go into class %d, %v", c.capacity, got, err)
		}
		if got, err := envelope.ClassForBody(c.class.MaxBody(), 4); got != c.class || err != nil {
			t.Errorf("a body of %d bytes goes into class %d, %v", c.class.MaxBody(), got, err)
		}
	}
	if _, err := envelope.ClassFor(envelope.L.Capacity() + 1); !errors.Is(err, envelope.ErrTooLarge) {
		t.Errorf("above the largest class: %v", err)
	}
	if _, err := envelope.ParseClass(2047); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("length of no class: %v", err)
	}
	if got, _ := envelope.ClassForBody(10, 5); got != envelope.M {
		t.Errorf("five devices go into class %d", got)
	}
	if _, err := envelope.ClassForBody(10, 9); !errors.Is(err, envelope.ErrTooLarge) {
		t.Errorf("nine devices: %v", err)
	}
	if envelope.Class(0).Valid() || envelope.Class(4).Valid() {
		t.Error("an unknown class is valid")
	}
}

func TestSealOpen(t *testing.T) {
	for _, c := range classes {
		for _, n := range []int{0, 1, c.Capacity() - 1, c.Capacity()} {
			payload := bytes.Repeat([]byte{7}, n)
			env, err := envelope.Seal([]byte("before"), testKeys(1), c, payload)
			if err != nil {
				t.Fatal(err)
			}
			env = env[len("before"):]
			if len(env) != c.Size() {
				t.Fatalf("class %d: envelope of %d bytes", c, len(env))
			}
			if envelope.TagOf(env) != testKeys(1).Tag || envelope.CureHashOf(env) != envelope.CureHash(testKeys(1).Cure) {
				t.Fatal("wrong tag or cure hash")
			}
			got, err := envelope.Open(testKeys(1), c, env)
			if err != nil || !bytes.Equal(got, payload) {
				t.Fatalf("class %d, %d bytes: %v", c, n, err)
			}
			again, _ := envelope.Seal(nil, testKeys(1), c, payload)
			if !bytes.Equal(again, env) {
				t.Fatal("sealing is not deterministic")
			}
		}
		if _, err := envelope.Seal(nil, testKeys(1), c, make([]byte, c.Capacity()+1)); !errors.Is(err, envelope.ErrTooLarge) {
			t.Errorf("over capacity: %v", err)
		}
	}
}

// TestAlteredEnvelope flips every byte of the head and some of the rest, and
// opens under every wrong parameter. The unaltered envelope opens: the control.
func TestAlteredEnvelope(t *testing.T) {
	k := testKeys(1)
	env, err := envelope.Seal(nil, k, envelope.S, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := envelope.Open(k, envelope.S, env); err != nil {
		t.Fatalf("control: %v", err)
	}
	for i := 0; i < len(env); i++ {
		bad := bytes.Clone(env)
		bad[i] ^= 1
		if _, err := envelope.Open(k, envelope.S, bad); !errors.Is(err, envelope.ErrOpen) {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
		// A recipient that takes tag and cure hash from the envelope still
		// finds them authenticated.
		kk := k
		kk.Tag, kk.CureHash = envelope.TagOf(bad), envelope.CureHashOf(bad)
		if _, err := envelope.Open(kk, envelope.S, bad); !errors.Is(err, envelope.ErrOpen) {
			t.Fatalf("byte %d flipped, head taken from it: %v", i, err)
		}
	}
	for name, open := range map[string]func() error{
		"truncated":   func() error { _, err := envelope.Open(k, envelope.S, env[:len(env)-1]); return err },
		"extended":    func() error { _, err := envelope.Open(k, envelope.S, append(bytes.Clone(env), 0)); return err },
		"other class": func() error { _, err := envelope.Open(k, envelope.M, env); return err },
		"no class":    func() error { _, err := envelope.Open(k, 0, env); return err },
		"empty":       func() error { _, err := envelope.Open(k, envelope.S, nil); return err },
		"other key":   func() error { _, err := envelope.Open(testKeys(2), envelope.S, env); return err },
		"other relay": func() error {
			_, err := envelope.Open(envelope.KeysFor([32]byte{1}, [32]byte{8}), envelope.S, env)
			return err
		},
		"first flight": func() error {
			_, err := envelope.Open(envelope.FirstKeysOf([32]byte{1}, [32]byte{9}, env), envelope.S, env)
			return err
		},
	} {
		if err := open(); !errors.Is(err, envelope.ErrOpen) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCopiesShareNothing seals one payload for two relays and compares them in
// blocks of 8 bytes; the control is a copy for the same relay.
func TestCopiesShareNothing(t *testing.T) {
	mk := [32]byte{1}
	seal := func(relay byte) []byte {
		env, err := envelope.Seal(nil, envelope.KeysFor(mk, [32]byte{relay}), envelope.S, make([]byte, 1000))
		if err != nil {
			t.Fatal(err)
		}
		return env
	}
	shared := func(a, b []byte) (n int) {
		blocks := map[string]bool{}
		for i := 0; i+8 <= len(a); i += 8 {
			blocks[string(a[i:i+8])] = true
		}
		for i := 0; i+8 <= len(b); i++ {
			if blocks[string(b[i:i+8])] {
				n++
			}
		}
		return n
	}
	if n := shared(seal(1), seal(2)); n != 0 {
		t.Errorf("copies for two relays share %d blocks", n)
	}
	if n := shared(seal(1), seal(1)); n == 0 {
		t.Error("control: copies for one relay share no block")
	}
}

// TestFirstKeys seals two flights under one opener and tag: their keys differ
// by the cure, and the control shows that nothing else tells them apart.
func TestFirstKeys(t *testing.T) {
	opener, tag, relay := [32]byte{3}, [16]byte{2}, [32]byte{4}
	cure := envelope.NewCure()
	keys := envelope.FirstKeys(opener, tag, relay, cure)
	if other := envelope.FirstKeys(opener, tag, relay, envelope.NewCure()); other.Key == keys.Key || other.CureHash == keys.CureHash {
		t.Error("two envelopes have one key")
	}
	if same := envelope.FirstKeys(opener, tag, relay, cure); same != keys {
		t.Error("control: the same inputs give other keys")
	}
	payload, err := envelope.PackFirstFlight(envelope.M, cure, []byte("flight"))
	if err != nil {
		t.Fatal(err)
	}
	env, err := envelope.Seal(nil, keys, envelope.M, payload)
	if err != nil {
		t.Fatal(err)
	}
	got, err := envelope.Open(envelope.FirstKeysOf(opener, relay, env), envelope.M, env)
	if err != nil {
		t.Fatal(err)
	}
	gotCure, flight, err := envelope.UnpackFirstFlight(got)
	if err != nil || string(flight) != "flight" || envelope.CureHash(gotCure) != envelope.CureHashOf(env) {
		t.Errorf("got %q, %v", flight, err)
	}
	for i, k := range []envelope.Keys{
		envelope.FirstKeysOf([32]byte{5}, relay, env),
		envelope.FirstKeysOf(opener, [32]byte{5}, env),
	} {
		if _, err := envelope.Open(k, envelope.M, env); !errors.Is(err, envelope.ErrOpen) {
			t.Errorf("wrong input %d: %v", i, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	env, err := envelope.Seal(nil, testKeys(1), envelope.S, []byte("hello"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint16(0), byte(0))
	f.Add(uint16(40), byte(1))
	f.Fuzz(func(t *testing.T, at uint16, x byte) {
		bad := bytes.Clone(env)
		bad[int(at)%len(bad)] ^= x
		_, err := envelope.Open(testKeys(1), envelope.S, bad)
		if (err == nil) != (x == 0) {
			t.Fatalf("byte %d xor %d: %v", at, x, err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	k, payload := testKeys(1), make([]byte, 1000)
	dst := make([]byte, 0, envelope.S.Size())
	b.SetBytes(int64(envelope.S.Size()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := envelope.Seal(dst, k, envelope.S, payload); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	k := testKeys(1)
	env, err := envelope.Seal(nil, k, envelope.S, make([]byte, 1000))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(env)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := envelope.Open(k, envelope.S, env); err != nil {
			b.Fatal(err)
		}
	}
}
