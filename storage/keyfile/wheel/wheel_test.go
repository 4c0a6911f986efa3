package wheel

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

var (
	testKek = [32]byte{7}
	convA   = [16]byte{0xA}
	convB   = [16]byte{0xB}
)

func openAt(t testing.TB, dir string) *Wheel {
	t.Helper()
	w, err := Open(dir, testKek, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func reopen(t testing.TB, w *Wheel) *Wheel {
	t.Helper()
	must(t, w.Close())
	return openAt(t, w.dir)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func key(t testing.TB, w *Wheel, bucket, leaf uint32, conv [16]byte) [32]byte {
	t.Helper()
	k, err := w.Key(bucket, leaf, conv, []byte("id"))
	must(t, err)
	return k
}

func wantDestroyed(t testing.TB, w *Wheel, bucket, leaf uint32, conv [16]byte) {
	t.Helper()
	if _, err := w.Key(bucket, leaf, conv, []byte("id")); !errors.Is(err, ErrDestroyed) {
		t.Fatalf("bucket %d, leaf %d: %v", bucket, leaf, err)
	}
	if w.Alive(bucket, leaf, conv) {
		t.Fatalf("bucket %d, leaf %d: alive", bucket, leaf)
	}
}

// testWheel has buckets 1 to 4 and two conversations.
func testWheel(t testing.TB) *Wheel {
	t.Helper()
	w := openAt(t, filepath.Join(t.TempDir(), "wheel"))
	must(t, w.EnsureConversations(convA, convB))
	must(t, w.Ensure(1, 2, 3, 4))
	return w
}

func TestKeys(t *testing.T) {
	w := testWheel(t)
	seen := map[[32]byte]bool{}
	for _, bucket := range []uint32{1, 2} {
		for _, leaf := range []uint32{0, 1, Leaves - 1} {
			for _, conv := range [][16]byte{{}, convA, convB} {
				for _, id := range []string{"", "x", "y"} {
					k, err := w.Key(bucket, leaf, conv, []byte(id))
					if err != nil || seen[k] {
						t.Fatalf("a key again, or %v", err)
					}
					seen[k] = true
				}
			}
		}
	}
	k := key(t, w, 1, 5, convA)
	w = reopen(t, w)
	if key(t, w, 1, 5, convA) != k {
		t.Fatal("another key after opening again")
	}
	wantDestroyed(t, w, 99, 0, convA)
	wantDestroyed(t, w, 1, Leaves, convA)
	wantDestroyed(t, w, 1, 0, [16]byte{0xC})
	if !w.Alive(1, 0, convA) {
		t.Fatal("control: not alive")
	}
}

func TestForget(t *testing.T) {
	w := testWheel(t)
	live := key(t, w, 1, 8, convA)
	must(t, w.Commit(Forget{Leaves: []Ref{{1, 7}, {2, 0}, {77, 1}}}))
	must(t, w.Commit(Forget{Buckets: []uint32{3, 77}}))
	must(t, w.Commit(Forget{Conversations: [][16]byte{convB, {9}}}))
	for range 2 {
		wantDestroyed(t, w, 1, 7, convA)
		wantDestroyed(t, w, 2, 0, [16]byte{})
		wantDestroyed(t, w, 3, 1, convA)
		wantDestroyed(t, w, 1, 8, convB)
		if key(t, w, 1, 8, convA) != live {
			t.Fatal("a live key changed")
		}
		w = reopen(t, w)
	}
	if err := w.Commit(Forget{Leaves: []Ref{{1, Leaves}}}); err == nil {
		t.Fatal("no such leaf")
	}
	gen := w.gen
	must(t, w.Commit(Forget{Leaves: []Ref{{1, 7}}, Buckets: []uint32{3}, Conversations: [][16]byte{convB}}))
	must(t, w.Ensure(1, 2, 1))
	must(t, w.EnsureConversations(convA, [16]byte{}))
	if w.gen != gen {
		t.Fatal("a commit for nothing")
	}
}

// What is made again under an old name has new keys.
func TestMadeAgain(t *testing.T) {
	w := testWheel(t)
	oldBucket, oldConv := key(t, w, 3, 1, convA), key(t, w, 1, 1, convB)
	must(t, w.Commit(Forget{Buckets: []uint32{3}, Conversations: [][16]byte{convB}}))
	must(t, w.Ensure(3))
	must(t, w.EnsureConversations(convB))
	if key(t, w, 3, 1, convA) == oldBucket || key(t, w, 1, 1, convB) == oldConv {
		t.Fatal("an old key is back")
	}
	k := key(t, w, 3, 1, convB)
	if w = reopen(t, w); key(t, w, 3, 1, convB) != k {
		t.Fatal("lost")
	}
}

// Expiry without the kek.
func TestScrubShards(t *testing.T) {
	w := testWheel(t)
	var many []uint32
	for id := range uint32(300) { // three files
		many = append(many, 1000+id)
	}
	must(t, w.Ensure(many...))
	live := key(t, w, 1299, 1, convA)
	if err := ScrubShards(w.dir, 2); !errors.Is(err, ErrLocked) {
		t.Fatalf("while open: %v", err)
	}
	must(t, w.Close())
	if got, err := Shards(w.dir); err != nil || len(got) != 304 || got[0] != 1 {
		t.Fatalf("%d shares, %v", len(got), err)
	}
	must(t, ScrubShards(w.dir, 2, 1000, 1150, 1298, 5555))
	must(t, ScrubShards(w.dir, 2))
	for _, n := range []int{0, 1} { // the second time there is no share any more for a bucket made again
		w = openAt(t, w.dir)
		for _, id := range []uint32{2, 1000, 1150, 1298} {
			if n == 0 {
				wantDestroyed(t, w, id, 1, convA)
			}
		}
		if key(t, w, 1299, 1, convA) != live || len(w.Buckets()) != 300 {
			t.Fatal("a live bucket is gone")
		}
		must(t, w.Ensure(2, 1000))
		must(t, w.Commit(Forget{Buckets: []uint32{2, 1000}}))
		must(t, w.Close())
	}
}

func TestWrongKey(t *testing.T) {
	w := testWheel(t)
	k := key(t, w, 1, 1, convA)
	must(t, w.Close())
	before := snapshot(t, w.dir)
	if _, err := Open(w.dir, [32]byte{8}, Options{}); !errors.Is(err, ErrWrongKey) {
		t.Fatal(err)
	}
	if !before.equal(snapshot(t, w.dir)) {
		t.Fatal("touched")
	}
	if w = openAt(t, w.dir); key(t, w, 1, 1, convA) != k {
		t.Fatal("lost")
	}
}

// Every file that matters is refused when a bit is flipped, when it is cut and
// when it is gone; and nothing is touched then.
func TestDamage(t *testing.T) {
	w := testWheel(t)
	must(t, w.Commit(Forget{Leaves: []Ref{{1, 7}, {2, 3}}}))
	must(t, w.Close())
	whole := snapshot(t, w.dir)
	try := func(what string, change map[string][]byte) {
		t.Helper()
		dir := t.TempDir()
		bad := files{}
		for name, b := range whole {
			bad[name] = b
		}
		for name, b := range change {
			if bad[name] = b; b == nil {
				delete(bad, name)
			}
		}
		bad.restore(t, dir)
		w, err := Open(dir, testKek, Options{})
		if !errors.Is(err, ErrCorrupt) {
			if err == nil {
				_ = w.Close()
			}
			t.Fatalf("%s: %v", what, err)
		}
		if !bad.equal(snapshot(t, dir)) {
			t.Fatalf("%s: touched", what)
		}
	}
	for name, b := range whole {
		if name == fileLock {
			continue
		}
		step := max(1, len(b)/40)
		for i := 0; i < len(b); i += step {
			if (name == fileAnchor || name == shardsName(0)) && !inSlot(t, whole, name, i) {
				continue // the random slot
			}
			if name == packName(3) && i < len(b)/2 {
				continue // buckets 1 and 2, which were written again
			}
			flipped := bytes.Clone(b)
			flipped[i] ^= 4
			if i == 3 && name != fileAnchor && name != shardsName(0) {
				flipped[i] = 0 // an older version, not a newer
			}
			try(name+" flipped", files{name: flipped})
		}
		for _, n := range []int{0, 1, len(b) / 2, len(b) - 1} {
			try(name+" cut", files{name: b[:n]})
		}
		try(name+" gone", files{name: nil})
	}
}

// inSlot says whether byte i is in the slot that counts.
func inSlot(t *testing.T, f files, name string, i int) bool {
	t.Helper()
	dir := t.TempDir()
	bad := bytes.Clone(f[name])
	bad[i] ^= 4
	files{"x": bad}.restore(t, dir)
	s, err := directory(dir).openSlots("x")
	if err == nil {
		_ = s.Close()
	}
	return err != nil
}

func TestPoisoned(t *testing.T) {
	d := newFaulty(filepath.Join(t.TempDir(), "wheel"))
	w, err := open(d, testKek, Options{})
	must(t, err)
	defer func() { _ = w.Close() }()
	must(t, w.Ensure(1))
	k := key(t, w, 1, 1, [16]byte{})
	d.failAt(1, before)
	if err := w.Commit(Forget{Leaves: []Ref{{1, 2}}}); !errors.Is(err, ErrPoisoned) || !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	d.heal()
	for name, err := range map[string]error{
		"commit": w.Commit(Forget{Leaves: []Ref{{1, 3}}}), "ensure": w.Ensure(2), "conversations": w.EnsureConversations(convA),
	} {
		if !errors.Is(err, ErrPoisoned) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if key(t, w, 1, 1, [16]byte{}) != k {
		t.Error("reading stopped")
	}
	must(t, w.Close())
	if _, err := w.Key(1, 1, [16]byte{}, nil); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	w = openAt(t, d.path("."))
	must(t, w.Commit(Forget{Leaves: []Ref{{1, 2}}}))
	wantDestroyed(t, w, 1, 2, [16]byte{})
}

func TestWipe(t *testing.T) {
	w := testWheel(t)
	must(t, w.Wipe())
	must(t, Wipe(w.dir))
	must(t, Wipe(filepath.Join(w.dir, "none")))
	if left := snapshot(t, w.dir); len(left) != 0 {
		t.Fatalf("%d files are left", len(left))
	}
	w = openAt(t, w.dir)
	wantDestroyed(t, w, 1, 1, convA)
}

// A wipe that was cut off is noticed, and a wheel that another process wiped
// doesn't write any more.
func TestWipeCutOff(t *testing.T) {
	w := testWheel(t)
	must(t, directory(w.dir).overwrite(fileAnchor))
	if err := w.Ensure(9); !errors.Is(err, ErrWiped) {
		t.Fatalf("writing after a wipe: %v", err)
	}
	must(t, w.Close())
	if _, err := Open(w.dir, testKek, Options{}); !errors.Is(err, ErrWiped) {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(w.dir, fileAnchor))
	must(t, err)
	copy(raw[:4096], bytes.Repeat([]byte{1}, 4096))
	must(t, os.WriteFile(filepath.Join(w.dir, fileAnchor), raw, 0o600))
	if _, err := Open(w.dir, testKek, Options{}); !errors.Is(err, ErrWiped) {
		t.Fatalf("half: %v", err)
	}
	must(t, Wipe(w.dir))
	openAt(t, w.dir)
}

// Packs stay few, and buckets in them alive, whatever is forgotten.
func TestPacksStayFew(t *testing.T) {
	w := testWheel(t)
	want := map[uint32][32]byte{}
	for id := uint32(100); id < 140; id++ {
		must(t, w.Ensure(id))
		want[id] = key(t, w, id, 3, convA)
	}
	for i := uint32(0); i < 60; i++ {
		must(t, w.Commit(Forget{Leaves: []Ref{{100 + i*7%40, 10 + i}}}))
	}
	w = reopen(t, w)
	for id, k := range want {
		if key(t, w, id, 3, convA) != k {
			t.Fatal("a live key changed")
		}
	}
	n := 0
	for name := range snapshot(t, w.dir) {
		if _, ok := parseName(name, "pack"); ok {
			n++
		}
	}
	if n == 0 || n > packsKept+1 {
		t.Fatalf("%d packs", n)
	}
}

func TestLocked(t *testing.T) {
	w := testWheel(t)
	if _, err := Open(w.dir, testKek, Options{}); !errors.Is(err, ErrLocked) {
		t.Fatal(err)
	}
}

// Keys are given while commits wait for the disk.
func TestConcurrent(t *testing.T) {
	w := testWheel(t)
	want := key(t, w, 2, 5, convA)
	stop, done := make(chan struct{}), make(chan error)
	for range 3 {
		go func() {
			for n := uint32(0); ; n++ {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				if k, err := w.Key(2, 5, convA, []byte("id")); err != nil || k != want {
					done <- fmt.Errorf("key: %w", err)
					return
				}
				_, _ = w.Key(1, n%50, convA, nil)
				w.Level()
				w.Buckets()
				w.Alive(1, n%50, convB)
			}
		}()
	}
	for n := range uint32(20) {
		must(t, w.Ensure(100+n/4))
		must(t, w.Commit(Forget{Leaves: []Ref{{1, n}}, Buckets: []uint32{100 + n/8}}))
	}
	close(stop)
	for range 3 {
		must(t, <-done)
	}
}
