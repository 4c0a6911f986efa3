package shelf

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rushlight/protocol/envelope"
	"rushlight/protocol/mailbox"
	"rushlight/protocol/stamp"
)

// keysOf counts the records of a family that Badger still gives.
func keysOf(t *testing.T, s *Shelf, family byte) (n int) {
	t.Helper()
	err := s.db.View(func(tx *badger.Txn) error {
		it := tx.NewIterator(badger.IteratorOptions{Prefix: []byte{family}})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Row 16, at the relay: the clock is a year ahead for a while, there would be
// tables to merge meanwhile, and then it is right again. Mail that is still owed
// is there, with its mailbox, and stamps that were given out are good. What was
// deposited meanwhile is there too. Control: had they been merged, the mail
// would be gone.
func TestNotMergedWhileTheClockIsAhead(t *testing.T) {
	for _, merged := range []bool{false, true} {
		t.Run(fmt.Sprintf("merged=%v", merged), func(t *testing.T) { clockAhead(t, merged) })
	}
}

func clockAhead(t *testing.T, merged bool) {
	const mails = 200
	o := testOptions(t.TempDir())
	o.time, o.tick, o.MemTableSize = nil, 0, 2<<20
	none, two := 0, 2
	o.merge = merged
	var h uint64
	var spare stamp.Stamp
	last := env(envelope.S)
	synctest.Test(t, func(t *testing.T) {
		o.Compactors = &none
		s := start(t, o)
		h = newMailbox(t, s.Shelf, 1)
		sts := mint(t, s.Shelf, h, envelope.S, mails+2)
		for _, st := range sts[:mails] {
			if a := put(t, s.Shelf, st, env(envelope.S)); a.Refused != nil {
				t.Fatal(a.Refused)
			}
		}
		spare = sts[mails]
		s.end(t)
		time.Sleep(365 * day)
		o.Compactors = &two
		s = start(t, o)
		if a := put(t, s.Shelf, sts[mails+1], last); a.Refused != nil {
			t.Errorf("refused while the clock is ahead: %v", a.Refused)
		}
		fill := newMailbox(t, s.Shelf, 2)
		for _, st := range mint(t, s.Shelf, fill, envelope.L, 200) { // so that there are tables to merge
			if a := put(t, s.Shelf, st, env(envelope.L)); a.Refused != nil {
				t.Fatal(a.Refused)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		s.end(t)
	})
	synctest.Test(t, func(t *testing.T) { // time begins again
		s := start(t, o)
		_, found, err := s.Login(owner(1))
		if err != nil {
			t.Fatal(err)
		}
		if !found {
			t.Fatal("the mailbox is gone")
		}
		if a := put(t, s.Shelf, spare, env(envelope.S)); a.Refused != nil {
			t.Errorf("a stamp that was given out is refused: %v", a.Refused)
		}
		got, _ := fetch(t, s.Shelf, h, 0)
		want := mails + 2
		if merged {
			want = 2
		}
		if len(got) != want || !bytes.Equal(got[want-2].Envelope, last) {
			t.Errorf("%d envelopes, not %d", len(got), want)
		}
		s.end(t)
	})
}

// What has passed leaves the database, and nothing else does: neither what a
// clock that is ahead only hides, nor the next mailbox of an owner.
func TestSweep(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Lease = 40
	s := start(t, o)
	count := func() (out [5]int) {
		t.Helper()
		if err := s.sweep(nil); err != nil {
			t.Fatal(err)
		}
		for i, f := range []byte{famBox, famHot, famOwner, famAddr, famPage} {
			out[i] = keysOf(t, s.Shelf, f)
		}
		return out
	}
	stays, ends := newMailbox(t, s.Shelf, 1), newMailbox(t, s.Shelf, 2)
	for _, h := range []uint64{stays, ends} {
		for i, st := range mint(t, s.Shelf, h, envelope.S, 256) {
			if i%8 == 0 {
				if a, err := tryPut(s.Shelf, st, env(envelope.S), uint8(1+i/8%2)); err != nil || a.Refused != nil {
					t.Fatal(a, err)
				}
			}
		}
	}
	if got, want := count(), [5]int{2, 2, 2, 2, 8}; got != want {
		t.Fatalf("at first %v", got)
	}
	s.o.time.(*fakeClock).advance(500 * day)
	if err := s.Shelf.turn(); err != nil {
		t.Fatal(err)
	}
	if got, want := count(), [5]int{2, 2, 2, 2, 8}; got != want {
		t.Errorf("while the clock is ahead %v", got)
	}
	s.o.time.(*fakeClock).advance(-500 * day)
	s.turn(t, 1)
	if got, want := count(), [5]int{2, 2, 2, 2, 8}; got != want {
		t.Errorf("on the last day of half of it %v", got)
	}
	if got, _ := fetch(t, s.Shelf, stays, 0); len(got) != 32 {
		t.Errorf("%d can be read", len(got))
	}
	s.turn(t, 1)
	if got, want := count(), [5]int{2, 2, 2, 2, 8}; got != want {
		t.Errorf("a day later %v", got)
	}
	s.turn(t, 36)
	if _, found, err := s.Login(owner(1)); !found || err != nil {
		t.Fatal(found, err)
	}
	s.turn(t, 10)
	// The owner of the one that has ended makes another before it is swept.
	next := newMailbox(t, s.Shelf, 2)
	if next == ends || s.Stats().Mailboxes != 3 {
		t.Errorf("the mailbox goes on: %d", s.Stats().Mailboxes)
	}
	if got, want := count(), [5]int{2, 2, 2, 2, 4}; got != want {
		t.Errorf("when a lease has ended %v", got)
	}
	if h, found, err := s.Login(owner(2)); h != next || !found || err != nil || s.Stats().Mailboxes != 2 {
		t.Error(h, found, err, s.Stats().Mailboxes)
	}
	put(t, s.Shelf, mint(t, s.Shelf, stays, envelope.S, 1)[0], env(envelope.S))
	if got := keysOf(t, s.Shelf, famStamp); got < 6 {
		t.Errorf("%d keys of stamps", got)
	}
	for range 9 {
		s.turn(t, 12)
		if _, found, err := s.Login(owner(1)); !found || err != nil {
			t.Fatal(found, err)
		}
	}
	if got := count(); got[0] != 1 || got[4] != 1 || keysOf(t, s.Shelf, famStamp) > 19 {
		t.Errorf("when no stamp of the first week is good %v", got)
	}
	if st := state(t, s.Shelf, stays); !st.Found || st.Live != 0 {
		t.Error("the mailbox that is used is gone")
	}
}

// Whether a merge would take mail is known from the start on, before anything is
// written, and no longer than that mail is there.
func TestAheadOfWhatIsThere(t *testing.T) {
	for _, there := range []bool{true, false} {
		o := testOptions(t.TempDir())
		s := start(t, o)
		h := newMailbox(t, s.Shelf, 1)
		if a, err := tryPut(s.Shelf, mint(t, s.Shelf, h, envelope.S, 1)[0], env(envelope.S), 3); err != nil || a.Refused != nil {
			t.Fatal(a.Refused, err)
		}
		if there {
			s.end(t)
			o.time.(*fakeClock).advance(10 * day)
			s = start(t, o)
		} else {
			if got, err := s.Trim(h, []mailbox.Range[uint64]{{From: 1, To: 1}}); err != nil || got.Count != 1 {
				t.Fatal(got, err)
			}
			o.time.(*fakeClock).advance(10 * day)
		}
		if s.ahead() != there {
			t.Errorf("mail is there: %v, and a merge would take some: %v", there, s.ahead())
		}
		s.end(t)
	}
}

// While nothing is merged because the clock is ahead of the last day of some mail,
// deposits are refused before writers would wait; when it is right again they are
// taken.
func TestNoRoomWhileTheClockIsAhead(t *testing.T) {
	if testing.Short() {
		t.Skip("writes a lot")
	}
	o := testOptions(t.TempDir())
	o.MemTableSize = 2 << 20
	s := start(t, o)
	h := newMailbox(t, s.Shelf, 1)
	move := func(d time.Duration) {
		s.o.time.(*fakeClock).advance(d)
		if err := s.Shelf.turn(); err != nil {
			t.Fatal(err)
		}
	}
	sts := mint(t, s.Shelf, h, envelope.L, 1000)
	if a, err := tryPut(s.Shelf, sts[len(sts)-1], env(envelope.L), 3); err != nil || a.Refused != nil {
		t.Fatal(a.Refused, err)
	}
	move(10 * day)
	stored := 0
	take := func() bool {
		a := put(t, s.Shelf, sts[stored], env(envelope.L))
		if a.Refused != nil {
			if a.Refused.Code != mailbox.CodeFull {
				t.Fatal(a.Refused)
			}
			return false
		}
		stored++
		return true
	}
	for take() {
	}
	if tables := s.db.Levels()[0].NumTables; stored < 200 || tables >= s.o.stall() {
		t.Errorf("full after %d, with %d tables", stored, tables)
	}
	move(-10 * day)
	for end := time.Now().Add(2 * time.Minute); !take(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("full for ever")
		}
	}
}

// A clock that is ahead, but not of the last day of any mail, doesn't stop merges:
// otherwise a relay that is off for some days, again and again, and never runs for
// a whole day would be full for ever.
func TestMergedWhileTheClockIsAheadOfNoMail(t *testing.T) {
	if testing.Short() {
		t.Skip("writes a lot")
	}
	o := testOptions(t.TempDir())
	o.time, o.tick, o.MemTableSize, o.Quota = nil, 0, 2<<20, 1<<30
	synctest.Test(t, func(t *testing.T) {
		s := start(t, o)
		h := newMailbox(t, s.Shelf, 1)
		sts := mint(t, s.Shelf, h, envelope.L, 1001)
		kept := env(envelope.L)
		if a, err := tryPut(s.Shelf, sts[1000], kept, 14); err != nil || a.Refused != nil {
			t.Fatal(a.Refused, err)
		}
		s.end(t)
		time.Sleep(10 * day)
		s = start(t, o)
		for i, st := range sts[:1000] { // 64 MiB, over thirty times what makes a table
			if a := put(t, s.Shelf, st, env(envelope.L)); a.Refused != nil {
				t.Fatalf("refused after %d: %v", i, a.Refused)
			}
		}
		if got, _ := fetch(t, s.Shelf, h, 0); len(got) == 0 || !bytes.Equal(got[0].Envelope, kept) {
			t.Error("mail was lost")
		}
		s.end(t)
	})
}
