package wheel

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// files is the contents of a directory.
type files map[string][]byte

func snapshot(t testing.TB, dir string) files {
	t.Helper()
	out := files{}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		must(t, err)
		out[e.Name()] = b
	}
	return out
}

func (f files) restore(t testing.TB, dir string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	for name, b := range f {
		must(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
}

func (f files) equal(g files) bool {
	for name, b := range f {
		if c, ok := g[name]; name != fileLock && (!ok || !bytes.Equal(b, c)) {
			return false
		}
	}
	for name := range g {
		if _, ok := f[name]; name != fileLock && !ok {
			return false
		}
	}
	return true
}

func (f files) raw() (out []byte) {
	for _, b := range f {
		out = append(out, b...)
	}
	return out
}

var errCrash = errors.New("crash")

// How an operation fails.
type how int

const (
	before how = iota // not done at all
	torn              // done in part
	after             // done, but whoever asked doesn't live to hear it
)

// faulty is a disk that dies at the n-th change.
type faulty struct {
	directory
	left int // changes until it dies; negative: never
	how  how
	dead bool
	// saw is told of each change before it is done.
	saw func(change string)
}

func newFaulty(dir string) *faulty { return &faulty{directory: directory(dir), left: -1} }

func (f *faulty) failAt(n int, h how) { f.left, f.how = n, h }
func (f *faulty) heal()               { f.left, f.dead = -1, false }

// change does one change to a file, or as much of it as happens.
func (f *faulty) change(what, name string, do func() error) error {
	if f.saw != nil {
		f.saw(what + " " + name)
	}
	if f.left > 0 {
		f.left--
	}
	if f.dead {
		return errCrash
	}
	if f.left != 0 {
		return do()
	}
	f.dead = true
	if f.how == before {
		return errCrash
	}
	old, _ := os.ReadFile(f.path(name))
	if err := do(); err != nil {
		return err
	}
	if f.how == torn && name != "" {
		now, err := os.ReadFile(f.path(name))
		if err != nil { // removed: there is no half of that
			return errCrash
		}
		if len(old) == len(now) {
			first, last := 0, len(now)
			for first < last && old[first] == now[first] {
				first++
			}
			for first < last && old[last-1] == now[last-1] {
				last--
			}
			copy(now[(first+last)/2:], old[(first+last)/2:])
		} else {
			now = now[:len(now)/2]
		}
		if err := os.WriteFile(f.path(name), now, 0o600); err != nil {
			return err
		}
	}
	return errCrash
}

func (f *faulty) write(name string, b []byte) error {
	return f.change("write", name, func() error { return f.directory.write(name, b) })
}

func (f *faulty) remove(name string) error {
	return f.change("remove", name, func() error { return f.directory.remove(name) })
}

func (f *faulty) syncDir() error { return f.change("sync", "", f.directory.syncDir) }

func (f *faulty) createSlots(name string, body []byte) (s slotFile, err error) {
	h := f.how
	if f.how == torn {
		f.how = before // it appears whole or not at all
	}
	err = f.change("create", name, func() error { s, err = f.directory.createSlots(name, body); return err })
	f.how = h
	return &faultySlots{s, f, name}, err
}

func (f *faulty) openSlots(name string) (slotFile, error) {
	s, err := f.directory.openSlots(name)
	if err != nil {
		return nil, err
	}
	return &faultySlots{s, f, name}, nil
}

type faultySlots struct {
	slotFile
	f    *faulty
	name string
}

func (s *faultySlots) Replace(b []byte) error {
	return s.f.change("replace", s.name, func() error { return s.slotFile.Replace(b) })
}

func (s *faultySlots) Scrub() error { return s.f.change("scrub", s.name, s.slotFile.Scrub) }

func (s *faultySlots) Close() error {
	if s.slotFile == nil {
		return nil
	}
	return s.slotFile.Close()
}

// target is a key and what is to become of it.
type target struct {
	bucket, leaf uint32
	conv         [16]byte
	want         [32]byte
	dies         bool
}

// The world before each crash, made once.
func crashWorld(t *testing.T) (files, []target) {
	t.Helper()
	w := testWheel(t)
	must(t, w.Commit(Forget{Leaves: []Ref{{1, 100}, {2, 100}}}))
	var out []target
	for _, bucket := range []uint32{1, 2, 3, 4} {
		for leaf := range uint32(4) {
			for _, conv := range [][16]byte{{}, convA, convB} {
				out = append(out, target{bucket, leaf, conv, key(t, w, bucket, leaf, conv), false})
			}
		}
	}
	must(t, w.Close())
	return snapshot(t, w.dir), out
}

// at every step of an operation, in every way, the wheel opens again: no live
// key is lost; what was to be forgotten is forgotten together or not at all, at
// any rate when that was acknowledged; what is forgotten isn't in the files;
// and the operation can be repeated.
func crashes(t *testing.T, dies func(target) bool, operation func(d *faulty) error, needKek bool) {
	world, targets := crashWorld(t)
	// What a disk keeps of files that are overwritten in place is what is in
	// them; of all others, everything.
	stale := files{}
	for name, b := range world {
		if name != fileAnchor && name != shardsName(0) {
			stale[name] = b
		}
	}
	medium := func(dir string) *attack { return carve(append(stale.raw(), snapshot(t, dir).raw()...), testKek) }
	steps := 0
	for _, h := range []how{before, torn, after} {
		for n := 1; ; n++ {
			dir := filepath.Join(t.TempDir(), "w")
			world.restore(t, dir)
			d := newFaulty(dir)
			d.failAt(n, h)
			err := operation(d)
			acked := err == nil
			if err != nil && !errors.Is(err, errCrash) {
				t.Fatalf("step %d: %v", n, err)
			}
			died := d.dead
			where := fmt.Sprintf("step %d, %v", n, h)
			if acked && !needKek {
				checkTargets(t, where+" before opening", nil, medium(dir), targets, dies, true)
			}
			d = newFaulty(dir)
			w, err := open(d, testKek, Options{})
			if err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			// What the wheel has forgotten the files have forgotten too.
			forgotten := checkTargets(t, where, w, nil, targets, dies, acked)
			must(t, w.Close())
			a := medium(dir)
			checkTargets(t, where+" in the files", nil, a, targets, dies, forgotten)
			if !needKek && forgotten && len(a.shares[2])+len(a.shares[4]) > 0 {
				t.Fatalf("%s: shares are left", where)
			}
			must(t, operation(newFaulty(dir)))
			w = openAt(t, dir)
			checkTargets(t, where+" repeated", w, nil, targets, dies, true)
			must(t, w.Close())
			checkTargets(t, where+" repeated", nil, medium(dir), targets, dies, true)
			if !died {
				break
			}
			steps++
		}
	}
	t.Logf("%d crashes", steps)
	if steps < 6 {
		t.Fatal("control: too few")
	}
}

// checkTargets looks through the wheel, or through an attacker's eyes,
// and reports whether what dies is dead. It must be when gone.
func checkTargets(t *testing.T, where string, w *Wheel, a *attack, targets []target, dies func(target) bool, gone bool) (dead bool) {
	t.Helper()
	over, alive := 0, 0
	for _, x := range targets {
		found := false
		if a != nil {
			found = a.recovers(x.bucket, x.leaf, x.conv, x.want)
		} else if k, err := w.Key(x.bucket, x.leaf, x.conv, []byte("id")); err == nil {
			if k != x.want {
				t.Fatalf("%s: a key changed", where)
			}
			found = true
		}
		switch {
		case !dies(x) && !found:
			t.Fatalf("%s: live key lost: bucket %d, leaf %d", where, x.bucket, x.leaf)
		case dies(x) && found:
			alive++
		case dies(x):
			over++
		}
	}
	if over > 0 && alive > 0 || gone && alive > 0 {
		t.Fatalf("%s: %d of %d to be forgotten are there, though they must not: %v", where, alive, alive+over, gone)
	}
	return alive == 0
}

func TestCrashInCommit(t *testing.T) {
	dies := func(x target) bool {
		return x.bucket == 1 && x.leaf < 2 || x.bucket == 3 || x.conv == convB
	}
	crashes(t, dies, func(d *faulty) error {
		w, err := open(d, testKek, Options{})
		if err != nil {
			return err
		}
		defer func() { _ = w.Close() }()
		return w.Commit(Forget{Leaves: []Ref{{1, 0}, {1, 1}}, Buckets: []uint32{3}, Conversations: [][16]byte{convB}})
	}, true)
}

func TestCrashInEnsure(t *testing.T) {
	dies := func(x target) bool { return x.bucket == 3 }
	crashes(t, dies, func(d *faulty) error {
		w, err := open(d, testKek, Options{})
		if err != nil {
			return err
		}
		defer func() { _ = w.Close() }()
		// The share of a forgotten bucket goes with the next new one.
		if err := w.Commit(Forget{Buckets: []uint32{3}}); err != nil {
			return err
		}
		if err := w.Ensure(50, 51); err != nil {
			return err
		}
		if _, err := w.Key(50, 0, convA, nil); err != nil {
			return err
		}
		return w.EnsureConversations([16]byte{0xD})
	}, true)
}

func TestCrashInScrubShards(t *testing.T) {
	dies := func(x target) bool { return x.bucket == 2 || x.bucket == 4 }
	crashes(t, dies, func(d *faulty) error { return scrubShards(d, []uint32{2, 4}) }, false)
}

// The erasures that Open makes up for can be cut off too.
func TestCrashInOpen(t *testing.T) {
	dies := func(x target) bool { return x.bucket == 2 || x.bucket == 4 }
	crashes(t, dies, func(d *faulty) error {
		if err := scrubShards(newFaulty(string(d.directory)), []uint32{2, 4}); err != nil {
			return err
		}
		w, err := open(d, testKek, Options{})
		if err != nil {
			return err
		}
		return w.Close()
	}, true)
}

func TestCrashInCreate(t *testing.T) {
	for _, h := range []how{before, torn, after} {
		for n := 1; ; n++ {
			d := newFaulty(filepath.Join(t.TempDir(), "w"))
			d.failAt(n, h)
			w, err := open(d, testKek, Options{})
			if err == nil {
				must(t, w.Close())
				break
			}
			if !errors.Is(err, errCrash) {
				t.Fatal(err)
			}
			w = openAt(t, d.path("."))
			must(t, w.Ensure(1))
		}
	}
}

// A commit is five syncs in this order, and what is new can't be used before.
func TestOrder(t *testing.T) {
	d := newFaulty(filepath.Join(t.TempDir(), "w"))
	w, err := open(d, testKek, Options{})
	must(t, err)
	defer func() { _ = w.Close() }()
	must(t, w.Ensure(1))
	var got []string
	d.saw = func(change string) {
		got = append(got, change)
		if !strings.HasPrefix(change, "remove") && (w.Alive(2, 0, [16]byte{}) || w.Alive(1, 0, convA)) {
			t.Errorf("%s: what is new can be used", change)
		}
	}
	want := func(what string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q", what, got)
		}
		got = nil
	}
	must(t, w.Commit(Forget{Leaves: []Ref{{1, 7}}}))
	want("burn", "write "+packName(3), "write "+topName(3), "sync ", "replace anchor", "scrub anchor", "remove "+packName(2), "remove "+topName(2))
	must(t, w.EnsureConversations(convA))
	want("conversation", "write "+topName(4), "sync ", "replace anchor", "scrub anchor", "remove "+topName(3))
	must(t, w.Commit(Forget{Conversations: [][16]byte{convA}}))
	got = nil
	must(t, w.Ensure(2))
	want("bucket", "replace shards.0", "write "+packName(6), "write "+topName(6), "sync ", "replace anchor", "scrub anchor", "remove "+topName(5))
	must(t, w.Commit(Forget{Buckets: []uint32{2}}))
	got = nil
	must(t, w.Ensure(3))
	if len(got) < 2 || got[0] != "replace shards.0" || got[1] != "scrub shards.0" {
		t.Errorf("the share of a forgotten bucket stays: %q", got)
	}
	must(t, w.Close())
	if ids, err := Shards(string(d.directory)); err != nil || !slices.Equal(ids, []uint32{1, 3}) {
		t.Errorf("shares of %v, %v", ids, err)
	}
}
