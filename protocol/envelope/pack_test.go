package envelope_test

import (
	"bytes"
	"errors"
	"testing"

	"rushlight/protocol/envelope"
	"rushlight/protocol/wire"
)

func slotsOf(n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = bytes.Repeat([]byte{byte(i + 1)}, envelope.SlotSize)
	}
	return out
}

func TestPack(t *testing.T) {
	key := envelope.NewContentKey()
	for _, c := range classes {
		for n := 0; n <= c.Slots(); n++ {
			for _, size := range []int{0, 1, c.MaxBody()} {
				body := bytes.Repeat([]byte{5}, size)
				p, err := envelope.Pack(c, key, slotsOf(n), body)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := envelope.Seal(nil, testKeys(1), c, p); err != nil {
					t.Fatalf("a packed payload does not fit its class: %v", err)
				}
				slots, _, err := envelope.Unpack(c, p)
				if err != nil || len(slots) != c.Slots() {
					t.Fatalf("%d slots, %v", len(slots), err)
				}
				for i, s := range slotsOf(n) {
					if !bytes.Equal(slots[i], s) {
						t.Fatalf("slot %d differs", i)
					}
				}
				got, err := envelope.OpenBody(c, key, p)
				if err != nil || !bytes.Equal(got, body) {
					t.Fatalf("class %d, %d slots, %d bytes: %v", c, n, size, err)
				}
			}
		}
		if _, err := envelope.Pack(c, key, slotsOf(c.Slots()+1), nil); !errors.Is(err, envelope.ErrTooLarge) {
			t.Errorf("too many slots: %v", err)
		}
		if _, err := envelope.Pack(c, key, nil, make([]byte, c.MaxBody()+1)); !errors.Is(err, envelope.ErrTooLarge) {
			t.Errorf("too long a body: %v", err)
		}
	}
	if _, err := envelope.Pack(envelope.S, key, [][]byte{{1}}, nil); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("a short slot: %v", err)
	}
}

// TestDevicesAreNotCounted packs for one and for four devices: lengths are the
// same and no slot is zero. The control is the number of slots that differ.
func TestDevicesAreNotCounted(t *testing.T) {
	key := envelope.NewContentKey()
	one, err := envelope.Pack(envelope.S, key, slotsOf(1), []byte("hi"))
	if err != nil {
		t.Fatal(err)
	}
	four, err := envelope.Pack(envelope.S, key, slotsOf(4), []byte("hi"))
	if err != nil {
		t.Fatal(err)
	}
	if len(one) != len(four) {
		t.Errorf("%d bytes for one device, %d for four", len(one), len(four))
	}
	a, _, _ := envelope.Unpack(envelope.S, one)
	b, _, _ := envelope.Unpack(envelope.S, four)
	differ := 0
	for i := range a {
		if bytes.Equal(a[i], make([]byte, envelope.SlotSize)) {
			t.Errorf("slot %d is zeros", i)
		}
		if !bytes.Equal(a[i], b[i]) {
			differ++
		}
	}
	if differ != 3 {
		t.Errorf("control: %d slots differ, want 3", differ)
	}
}

// TestBodyIsBound opens a body after changing what it is bound to.
func TestBodyIsBound(t *testing.T) {
	key := envelope.NewContentKey()
	p, err := envelope.Pack(envelope.M, key, slotsOf(2), []byte("hi"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := envelope.OpenBody(envelope.M, key, p); err != nil {
		t.Fatalf("control: %v", err)
	}
	for _, at := range []int{1, 1 + envelope.SlotSize*7 + 3, len(p) - 1, len(p) - 20} {
		bad := bytes.Clone(p)
		bad[at] ^= 1
		if _, err := envelope.OpenBody(envelope.M, key, bad); !errors.Is(err, envelope.ErrOpen) {
			t.Errorf("byte %d flipped: %v", at, err)
		}
	}
	if _, err := envelope.OpenBody(envelope.L, key, p); !errors.Is(err, envelope.ErrOpen) {
		t.Errorf("other class: %v", err)
	}
	if _, err := envelope.OpenBody(envelope.M, envelope.NewContentKey(), p); !errors.Is(err, envelope.ErrOpen) {
		t.Errorf("other key: %v", err)
	}
}

func TestFirstFlight(t *testing.T) {
	for _, c := range classes {
		flight := bytes.Repeat([]byte{3}, c.MaxFirstFlight())
		p, err := envelope.PackFirstFlight(c, [16]byte{8}, flight)
		if err != nil {
			t.Fatal(err)
		}
		if envelope.KindOf(p) != envelope.KindFirstFlight {
			t.Error("wrong kind")
		}
		if len(p) != c.Capacity() {
			t.Errorf("the longest flight leaves %d bytes", c.Capacity()-len(p))
		}
		cure, got, err := envelope.UnpackFirstFlight(p)
		if err != nil || cure != [16]byte{8} || !bytes.Equal(got, flight) {
			t.Errorf("class %d: %v", c, err)
		}
		if _, _, err := envelope.Unpack(c, p); err == nil {
			t.Error("a first flight unpacks as a session payload")
		}
		if _, err := envelope.PackFirstFlight(c, cure, append(flight, 0)); !errors.Is(err, envelope.ErrTooLarge) {
			t.Errorf("too long: %v", err)
		}
	}
	if envelope.KindOf(nil) != 0 || envelope.KindOf([]byte{3}) != 0 {
		t.Error("an unknown kind is known")
	}
}

func TestAckMAC(t *testing.T) {
	key, tag, dev := [32]byte{1}, [16]byte{2}, [16]byte{3}
	mac := envelope.AckMAC(key, tag, dev)
	if mac != envelope.AckMAC(key, tag, dev) {
		t.Error("not deterministic")
	}
	for i, other := range [][16]byte{
		envelope.AckMAC([32]byte{9}, tag, dev),
		envelope.AckMAC(key, [16]byte{9}, dev),
		envelope.AckMAC(key, tag, [16]byte{9}),
	} {
		if other == mac {
			t.Errorf("input %d does not matter", i)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	p, err := envelope.Pack(envelope.S, [32]byte{1}, slotsOf(2), []byte("hi"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(byte(1), p)
	f.Add(byte(2), []byte{1})
	f.Fuzz(func(t *testing.T, class byte, p []byte) {
		c := envelope.Class(class)
		slots, sealed, err := envelope.Unpack(c, p)
		if err != nil {
			return
		}
		again := []byte{byte(envelope.KindSession)}
		for _, s := range slots {
			again = append(again, s...)
		}
		if !bytes.Equal(append(again, sealed...), p) {
			t.Fatal("parts do not make up the whole")
		}
		_, _ = envelope.OpenBody(c, [32]byte{1}, p)
	})
}

func BenchmarkPack(b *testing.B) {
	key, slots, body := envelope.NewContentKey(), slotsOf(2), make([]byte, 300)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := envelope.Pack(envelope.S, key, slots, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnpack(b *testing.B) {
	key := envelope.NewContentKey()
	p, err := envelope.Pack(envelope.S, key, slotsOf(2), make([]byte, 300))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := envelope.OpenBody(envelope.S, key, p); err != nil {
			b.Fatal(err)
		}
	}
}

func TestFold(t *testing.T) {
	for _, c := range []envelope.Class{envelope.S, envelope.M, envelope.L} {
		for used := range c.Slots() + 1 {
			key := envelope.NewContentKey()
			p, err := envelope.Pack(c, key, slotsOf(used), []byte("a body"))
			if err != nil {
				t.Fatal(err)
			}
			folded := envelope.Fold(c, used, p)
			if want := len(p) - 1 - (c.Slots()-used)*envelope.SlotSize; len(folded) != want {
				t.Errorf("class %d, %d slots: %d bytes, want %d", c, used, len(folded), want)
			}
			got, err := envelope.Unfold(c, key, used, folded)
			if err != nil || !bytes.Equal(got, p) {
				t.Errorf("class %d, %d slots: comes back as something else, %v", c, used, err)
			}
			if _, err := envelope.Unfold(c, key, used, folded[:used*envelope.SlotSize]); err == nil {
				t.Error("unfolded without a body")
			}
		}
	}
}
