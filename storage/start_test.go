package storage

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A transaction that begins while another is on its way sees what that wrote,
// in every way of reading, and comes after it.
func TestStart(t *testing.T) {
	o := testOptions(t.TempDir())
	s := open(t, o)
	put(t, s, "a", "old")
	put(t, s, "b", "old")
	put(t, s, "d", "old")
	var all []*Commit
	for n := range 50 {
		c, err := s.Start(func(tx *Tx) error {
			if n > 0 {
				want := fmt.Sprintf("a=%d b=%d c=%d", n-1, n-1, n-1)
				if got := scanned(t, tx); got != want {
					t.Fatalf("%d: scan %q, want %q", n, got, want)
				}
				if v, err := tx.Get(Key("c")); err != nil || string(v) != fmt.Sprint(n-1) {
					t.Fatalf("%d: %q %v", n, v, err)
				}
				if ok, err := tx.Has(Key("d")); ok || err != nil {
					t.Fatalf("%d: a deleted record is there: %v", n, err)
				}
			}
			for _, k := range []string{"a", "b", "c"} {
				if err := tx.Put(Key(k), fmt.Append(nil, n)); err != nil {
					return err
				}
			}
			undone := errors.New("undone")
			_ = tx.Try(func() error { _ = tx.Put(Key("e"), nil); return undone })
			return tx.Delete(Key("d"))
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	for _, c := range all {
		if err := c.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	if err := s.View(func(tx *Tx) error {
		if got := scanned(t, tx); got != "a=49 b=49 c=49" {
			t.Errorf("after opening again: %q", got)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	wantClean(t, s)
}

func scanned(t *testing.T, tx *Tx) string {
	var out []string
	for _, k := range []string{"a", "b", "c", "d", "e"} {
		if err := tx.Scan(Key(k), nil, false, func(k Key, v []byte) (bool, error) {
			out = append(out, fmt.Sprintf("%s=%s", k, v))
			return true, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return strings.Join(out, " ")
}

// One that comes to nothing leaves the one on its way alone.
func TestStartFails(t *testing.T) {
	s := open(t, testOptions(t.TempDir()))
	boom := errors.New("boom")
	for n := range 20 {
		c, err := s.Start(func(tx *Tx) error { return tx.Put(Key("k"), fmt.Append(nil, n)) })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Start(func(tx *Tx) error {
			if v, err := tx.Get(Key("k")); err != nil || string(v) != fmt.Sprint(n) {
				t.Fatalf("%q %v", v, err)
			}
			_ = tx.Put(Key("k"), []byte("wrong"))
			return boom
		}); !errors.Is(err, boom) {
			t.Fatal(err)
		}
		if err := c.Wait(); err != nil {
			t.Fatal(err)
		}
		if got := get(t, s, "k"); got != fmt.Sprint(n) {
			t.Fatalf("%q", got)
		}
	}
	if got := s.Head(); got < 20 {
		t.Errorf("head %d", got)
	}
}

// held lets nothing through to the disk until it is opened.
type held struct {
	syncer
	reached, open chan struct{}
}

func (h held) Sync() error {
	close(h.reached)
	<-h.open
	return h.syncer.Sync()
}

// written notes how many bytes it was told of, and whether the database could
// have had another transaction by then.
type written struct {
	syncer
	s     *Store
	bytes []int
	late  bool
}

func (w *written) Written(bytes int) {
	w.bytes = append(w.bytes, bytes)
	select {
	case <-w.s.aloft.Load().written:
		w.late = true
	default:
	}
	w.syncer.Written(bytes)
}

// The log is told of each transaction, and of how large it is, before the next one
// can be given to the database.
func TestWritten(t *testing.T) {
	s := open(t, testOptions(t.TempDir()))
	if s.wal == nil {
		t.Skip("here Badger itself syncs")
	}
	w := &written{syncer: s.wal, s: s}
	s.wal = w
	const each = 90 << 10
	var last *Commit
	for n := range 20 {
		var err error
		last, err = s.Start(func(tx *Tx) error { return tx.Put(Key(fmt.Sprint(n)), make([]byte, each)) })
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := last.Wait(); err != nil {
		t.Fatal(err)
	}
	if w.late {
		t.Error("told when the next transaction could have begun")
	}
	if len(w.bytes) != 20 {
		t.Errorf("told of %d transactions", len(w.bytes))
	}
	for _, n := range w.bytes {
		if n < each || n > each+1000 {
			t.Errorf("told of %d bytes", n)
		}
	}
}

// TestViewWaits: what isn't on the disk yet is shown to nobody, although the
// database has it. Somebody who sees an outbox entry sends it, and after a power
// cut its key would be used for another.
func TestViewWaits(t *testing.T) {
	s := open(t, testOptions(t.TempDir()))
	if s.wal == nil {
		t.Skip("here Badger itself syncs before it shows")
	}
	put(t, s, "k", "1")
	h := held{s.wal, make(chan struct{}), make(chan struct{})}
	s.wal = h
	c, err := s.Start(func(tx *Tx) error { return tx.Put(Key("k"), []byte("2")) })
	if err != nil {
		t.Fatal(err)
	}
	<-h.reached
	raw := s.snapshot()
	it, err := raw.Get([]byte("k"))
	if err != nil || it.Version() != s.head.counter {
		t.Fatal("control: the database doesn't show the commit: ", err)
	}
	raw.release()
	seen := make(chan string)
	go func() { seen <- get(t, s, "k") }()
	select {
	case v := <-seen:
		t.Fatalf("%q was shown before it was on the disk", v)
	case <-c.done:
		t.Fatal("acknowledged before it was on the disk")
	case <-time.After(200 * time.Millisecond):
	}
	close(h.open)
	if v := <-seen; v != "2" {
		t.Errorf("%q is shown", v)
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	s.wal = h.syncer
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
