package envelope_test

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rushlight/protocol/envelope"
)

var (
	testSeed  = [32]byte{1, 2, 3}
	testDev   = [16]byte{4, 5, 6}
	testRelay = [32]byte{7, 8, 9}
)

func chainKeys(n int) [][32]byte {
	c := envelope.NewChain(testSeed, testDev)
	out := make([][32]byte, n)
	for i := range out {
		_, out[i] = c.Next()
	}
	return out
}

func reloadWindow(t interface{ Fatal(...any) }, w *envelope.Window) *envelope.Window {
	b := w.Marshal()
	if len(b) > envelope.MaxWindowSize {
		t.Fatal("window too large")
	}
	got, err := envelope.ParseWindow(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Marshal(), b) {
		t.Fatal("window changes when it is reloaded")
	}
	return got
}

func TestChain(t *testing.T) {
	c := envelope.NewChain(testSeed, testDev)
	w := envelope.NewWindow(testSeed, testDev)
	for want := range uint64(100) {
		if c.Index() != want {
			t.Fatalf("index %d, want %d", c.Index(), want)
		}
		again, err := envelope.ParseChain(c.Marshal())
		if err != nil {
			t.Fatal(err)
		}
		i, mk := c.Next()
		if j, mk2 := again.Next(); i != want || j != i || mk2 != mk {
			t.Fatal("a reloaded chain goes another way")
		}
		if got, err := w.Key(i); err != nil || got != mk {
			t.Fatalf("index %d: the window has another key, %v", i, err)
		}
	}
	if _, err := envelope.ParseChain(c.Marshal()[1:]); err == nil {
		t.Error("a truncated chain parses")
	}
}

// TestChainForgets holds a chain state given to a new device against the keys
// before it: they cannot be asked for. The control is the window that was there.
func TestChainForgets(t *testing.T) {
	c := envelope.NewChain(testSeed, testDev)
	old := envelope.NewWindow(testSeed, testDev)
	for range 10 {
		c.Next()
	}
	share := c.Marshal()
	w, err := envelope.OpenWindow(share)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Key(9); !errors.Is(err, envelope.ErrGone) {
		t.Errorf("index before the state given out: %v", err)
	}
	if _, err := old.Key(9); err != nil {
		t.Errorf("control: %v", err)
	}
	a, _ := w.Key(10)
	b, _ := old.Key(10)
	if a != b {
		t.Error("two windows on one chain disagree")
	}
	if !old.Follows(share) || !w.Follows(share) {
		t.Error("a window does not know its chain")
	}
	other := envelope.NewChain([32]byte{99}, testDev)
	if old.Follows(other.Marshal()) {
		t.Error("a window follows another chain")
	}
}

func TestWindowInOrder(t *testing.T) {
	w := envelope.NewWindow(testSeed, testDev)
	for i := range uint64(600) {
		entered, err := w.Received(i)
		if err != nil {
			t.Fatal(err)
		}
		if len(entered) > 1 {
			t.Fatalf("%d indexes came into view at once", len(entered))
		}
		if w.Base() != i+1 {
			t.Fatalf("base %d after %d", w.Base(), i)
		}
		w = reloadWindow(t, w)
		if _, err := w.Received(i); !errors.Is(err, envelope.ErrGone) {
			t.Fatalf("a duplicate gives %v", err)
		}
	}
	if w.End()-w.Base() != envelope.MinAhead {
		t.Errorf("looks %d ahead", w.End()-w.Base())
	}
}

// TestWindowTags keeps an index of tags as an engine does, and compares it
// with the one built from scratch.
func TestWindowTags(t *testing.T) {
	keys := chainKeys(8192)
	rapid.Check(t, func(t *rapid.T) {
		w := envelope.NewWindow(testSeed, testDev)
		index := map[uint64][16]byte{}
		for i, tag := range w.Tags(testRelay) {
			index[i] = tag
		}
		next := uint64(0)
		missing := map[uint64]bool{}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			var i uint64
			if len(missing) > 0 && rapid.Bool().Draw(t, "late") {
				i = rapid.SampledFrom(sortedKeys(missing)).Draw(t, "which")
			} else {
				skip := uint64(rapid.SampledFrom([]int{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 3, 3, 3, 40, 40, 40, 500, 1500}).Draw(t, "skip"))
				if next+skip+2*envelope.MaxAhead >= uint64(len(keys)) {
					continue
				}
				i = next + skip
			}
			if i < w.Base() {
				if _, err := w.Received(i); !errors.Is(err, envelope.ErrGone) {
					t.Fatalf("index %d before base %d: %v", i, w.Base(), err)
				}
				continue
			}
			mk, err := w.Key(i)
			if err != nil || mk != keys[i] {
				t.Fatalf("key of %d: %v", i, err)
			}
			entered, err := w.Received(i)
			if err != nil {
				t.Fatal(err)
			}
			for ; next <= i; next++ {
				missing[next] = true
			}
			delete(missing, i)
			delete(index, i)
			for _, s := range entered {
				if s.MK != keys[s.Index] {
					t.Fatalf("index %d came into view with another key", s.Index)
				}
				index[s.Index] = envelope.TagFor(s.MK, testRelay)
			}
			for j := range index {
				if j < w.Base() {
					delete(index, j)
				}
			}
			w = reloadWindow(t, w)
			if err := received(w, i); err == nil {
				t.Fatalf("index %d can be received twice", i)
			}
		}
		n := 0
		for i, tag := range w.Tags(testRelay) {
			n++
			if index[i] != tag {
				t.Fatalf("index %d: the tags kept differ from the tags built", i)
			}
		}
		if n != len(index) {
			t.Fatalf("%d tags kept, %d built", len(index), n)
		}
		some := sortedKeys(missing)
		for _, i := range some[:min(len(some), 5)] {
			_, err := w.Key(i)
			if gone := i < w.Base(); gone != errors.Is(err, envelope.ErrGone) || !gone && err != nil {
				t.Fatalf("missing index %d, base %d: %v", i, w.Base(), err)
			}
		}
		if w.Base()+envelope.MaxGap < next {
			t.Fatalf("base %d lags behind %d", w.Base(), next)
		}
		if len(missing) > 0 && next <= envelope.MaxGap && w.Base() > sortedKeys(missing)[0] {
			t.Fatal("a missing index was given up early")
		}
	})
}

func received(w *envelope.Window, i uint64) error {
	_, err := w.Key(i)
	return err
}

func sortedKeys(m map[uint64]bool) []uint64 { return slices.Sorted(maps.Keys(m)) }

func TestWindowDuplicate(t *testing.T) {
	w := envelope.NewWindow(testSeed, testDev)
	if _, err := w.Received(5); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Received(5); !errors.Is(err, envelope.ErrReceived) {
		t.Errorf("a duplicate gives %v", err)
	}
	if _, err := w.Key(5); !errors.Is(err, envelope.ErrReceived) {
		t.Errorf("the key of a duplicate gives %v", err)
	}
	if _, err := w.Key(4); err != nil {
		t.Errorf("a missing index gives %v", err)
	}
}

func TestWindowGrowsAndShrinks(t *testing.T) {
	w := envelope.NewWindow(testSeed, testDev)
	if _, err := w.Received(31); err != nil {
		t.Fatal(err)
	}
	grown := w.End() - 32
	if grown <= envelope.MinAhead {
		t.Errorf("looks %d ahead after a jump of 31", grown)
	}
	for i := range uint64(31) {
		if _, err := w.Received(i); err != nil {
			t.Fatal(err)
		}
	}
	for i := uint64(32); i < 2000; i++ {
		if _, err := w.Received(i); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.End() - w.Base(); got != envelope.MinAhead {
		t.Errorf("looks %d ahead after a calm time", got)
	}
}

func TestSearchTag(t *testing.T) {
	w := envelope.NewWindow(testSeed, testDev)
	keys := chainKeys(3001)
	tag := envelope.TagFor(keys[3000], testRelay)
	if _, ok := w.SearchTag(tag, testRelay, 100); ok {
		t.Error("found beyond the steps allowed")
	}
	i, ok := w.SearchTag(tag, testRelay, envelope.MaxSearch)
	if !ok || i != 3000 {
		t.Fatalf("found %d, %v", i, ok)
	}
	if _, ok := w.SearchTag(tag, [32]byte{1}, 4000); ok {
		t.Error("found at another relay")
	}
	if _, err := w.Received(i); err != nil {
		t.Fatal(err)
	}
	if w.Base() != 3001-envelope.MaxGap {
		t.Errorf("base %d after a far jump", w.Base())
	}
	if mk, err := w.Key(2500); err != nil || mk != keys[2500] {
		t.Errorf("an index inside the gap: %v", err)
	}
	if _, err := w.Key(w.End() + envelope.MaxSearch); !errors.Is(err, envelope.ErrFar) {
		t.Errorf("too far: %v", err)
	}
	if _, err := w.Received(1 << 62); !errors.Is(err, envelope.ErrFar) {
		t.Errorf("far too far: %v", err)
	}
}

func FuzzWindow(f *testing.F) {
	w := envelope.NewWindow(testSeed, testDev)
	f.Add(w.Marshal())
	for _, i := range []uint64{0, 3, 4, 9, 40, 700} {
		if _, err := w.Received(i); err != nil {
			f.Fatal(err)
		}
		f.Add(w.Marshal())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := envelope.ParseWindow(b)
		if err != nil {
			return
		}
		if !bytes.Equal(w.Marshal(), b) {
			t.Fatal("two spellings")
		}
		// Whatever was stored, stepping keeps it well-formed.
		for _, i := range []uint64{w.Base(), w.Base() + 5, w.End(), w.End() + 900} {
			_, _ = w.Received(i)
			w = reloadWindow(t, w)
		}
	})
}

func FuzzChain(f *testing.F) {
	f.Add(envelope.NewChain(testSeed, testDev).Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := envelope.ParseChain(b); err == nil && !bytes.Equal(c.Marshal(), b) {
			t.Fatal("two spellings")
		}
	})
}

func BenchmarkReceiveInOrder(b *testing.B) {
	w := envelope.NewWindow(testSeed, testDev)
	// One index is missing all the time.
	i := uint64(1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Key(i); err != nil {
			b.Fatal(err)
		}
		if _, err := w.Received(i); err != nil {
			b.Fatal(err)
		}
		if i++; i%1000 == 0 {
			w, i = envelope.NewWindow(testSeed, testDev), 1
		}
	}
}

func BenchmarkSearchTag(b *testing.B) {
	w := envelope.NewWindow(testSeed, testDev)
	for b.Loop() {
		w.SearchTag([16]byte{}, testRelay, 1000)
	}
}
