package shelf

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rushlight/protocol/envelope"
	"rushlight/protocol/mailbox"
	"rushlight/protocol/stamp"
	"rushlight/protocol/suite"
	"rushlight/storage/keyfile/wheel"
)

// attack opens a copy of the whole directory with the root, and with Badger's
// own means reads every version of every envelope that is still in the files.
// It returns how many there are for each last day, and how many of these open.
func attack(t *testing.T, o Options) (found, opened map[uint16]int) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(o.Dir)); err != nil {
		t.Fatal(err)
	}
	kek := [32]byte(suite.Derive(o.Root[:], nil, 32, labelKek))
	w, err := wheel.Open(filepath.Join(dir, dirWheel), kek, wheel.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	with, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	db, err := badger.Open(with.badger(filepath.Join(dir, dirDatabase), nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	found, opened = map[uint16]int{}, map[uint16]int{}
	err = db.View(func(tx *badger.Txn) error {
		it := tx.NewIterator(badger.IteratorOptions{AllVersions: true, Prefix: []byte{famEnv}})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			raw, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			if len(raw) == 0 {
				continue // a deletion
			}
			last := binary.BigEndian.Uint16(raw[1:])
			found[last]++
			key, err := w.Key(bucketOf(last), leafEnvelopes, [16]byte{}, nil)
			if err != nil {
				continue
			}
			state := &dayState{keys: map[uint16]*[32]byte{last: &key}}
			if _, c := state.open(it.Item().Key(), raw); c == intact {
				opened[last]++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, opened
}

// Row 32: when a day has passed, what ended with it can't be opened any more
// with everything there is: directory, root and all that the disk still holds.
// One key was destroyed for it, whatever the number. Control: without
// destroying it, all of it opens.
func TestErase(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprintf("keep=%v", keep), func(t *testing.T) {
			o := testOptions(t.TempDir())
			o.UnsafeKeepDays = keep
			s := start(t, o)
			h := newMailbox(t, s.Shelf, 1)
			for i, st := range mint(t, s.Shelf, h, envelope.S, 90) {
				ttl := uint8(1)
				if i%3 == 0 {
					ttl = 9
				}
				if a, err := tryPut(s.Shelf, st, env(envelope.S), ttl); err != nil || a.Refused != nil {
					t.Fatal(a, err)
				}
			}
			s.turn(t, 1)
			if got, _ := fetch(t, s.Shelf, h, 0); len(got) != 90 {
				t.Errorf("%d on their last day", len(got))
			}
			commits := s.batch.Load()
			s.turn(t, 1)
			if got, _ := fetch(t, s.Shelf, h, 0); len(got) != 30 {
				t.Errorf("%d after their last day", len(got))
			}
			// One for the day, and perhaps one for counters that waited.
			if n := s.batch.Load() - commits; n > 2 {
				t.Errorf("the end of a day took %d commits", n)
			}
			if !keep && s.Stats().Erased != 2 {
				t.Errorf("%d keys destroyed", s.Stats().Erased)
			}
			s.end(t)
			found, opened := attack(t, o)
			want := map[bool]int{false: 0, true: 60}[keep]
			if found[20001] != 60 || opened[20001] != want || opened[20009] != 30 {
				t.Errorf("found %v, opened %v", found, opened)
			}
			t.Logf("in the files %v, opened %v", found, opened)
		})
	}
}

// Row 16, at the relay: a clock that goes forward hides and doesn't destroy
// until it has stayed there; one that goes back brings nothing back.
func TestClockJumps(t *testing.T) {
	o := testOptions(t.TempDir())
	o.ConfirmAfter = 12 * time.Hour
	clock := o.time.(*fakeClock)
	s := start(t, o)
	h := newMailbox(t, s.Shelf, 1)
	put(t, s.Shelf, mint(t, s.Shelf, h, envelope.S, 1)[0], env(envelope.S)) // until day 20030
	count := func() int {
		got, _ := fetch(t, s.Shelf, h, 0)
		return len(got)
	}
	move := func(d time.Duration) {
		t.Helper()
		clock.advance(d)
		if err := s.Shelf.turn(); err != nil {
			t.Fatal(err)
		}
	}
	move(60 * day)
	if count() != 0 {
		t.Error("not hidden after a jump")
	}
	move(-60 * day)
	if count() != 1 {
		t.Fatal("a jump that was taken back has destroyed mail")
	}
	move(60 * day)
	s.end(t) // a restart begins the wait anew
	s = start(t, o)
	if count() != 0 {
		t.Error("a restart shows what had expired")
	}
	move(11 * time.Hour)
	move(-60*day - 11*time.Hour)
	if count() != 1 {
		t.Fatal("destroyed too early")
	}
	move(60 * day)
	move(12 * time.Hour)
	move(-60*day - 12*time.Hour)
	if count() != 0 || s.Today() != 20060 {
		t.Error("a clock that was set back brings a destroyed day back", count(), s.Today())
	}
	// One day after the other needs no waiting.
	s2 := start(t, testOptions(t.TempDir()))
	h = newMailbox(t, s2.Shelf, 1)
	put(t, s2.Shelf, mint(t, s2.Shelf, h, envelope.S, 1)[0], env(envelope.S))
	s2.turn(t, 40)
	if s2.Stats().Erased < 30 {
		t.Errorf("%d days erased", s2.Stats().Erased)
	}
}

// fastClock has days of a fraction of a second, for Badger too.
type fastClock struct {
	begin  time.Time
	length time.Duration
}

func (c *fastClock) now() time.Time {
	return dayStart(20000).Add(time.Duration(float64(time.Since(c.begin)) / float64(c.length) * float64(day)))
}

func (c *fastClock) dropAt(d uint16) time.Time {
	return c.begin.Add(time.Duration(int(d)-20000+1) * c.length).Add(time.Second)
}

var month = flag.Bool("month", false, "keep a month of mail in the test of disk use, which takes two minutes")

// A month of steady traffic in days of two seconds (of half a second, and a
// week, without -month): from when as much expires as arrives, the directory
// takes at most one and a half times what is live, and never more than its
// cap.
//
//	go test ./storage/shelf -run DiskUse -month
//
// The last result, on a busy machine: 1.41 at most, 1.25 on average.
func TestDiskUse(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	if *month {
		if worst := diskUseOver(t, 30, 65, 6000, 2*time.Second); worst > 1.5 {
			t.Errorf("%.2f times the live bytes", worst)
		}
		return
	}
	// A month's figure is what counts; a week of a few MiB is mostly memtable. On
	// a busy machine a day that short doesn't suffice to merge what it left.
	worst := 0.0
	for _, length := range []time.Duration{600 * time.Millisecond, 2 * time.Second, 6 * time.Second} {
		if worst = diskUseOver(t, 6, 12, 2500, length); worst <= 2.5 {
			return
		}
	}
	t.Errorf("%.2f times the live bytes", worst)
}

// diskUseOver is how many times the live bytes the directory takes at most in so
// many days of that length, once as much expires as arrives.
func diskUseOver(t *testing.T, ttl uint8, days, each int, length time.Duration) (worst float64) {
	t.Helper()
	o := testOptions(t.TempDir())
	o.MemTableSize, o.TTL, o.tick, o.Quota = 2<<20, ttl, 50*time.Millisecond, 1<<40
	o.time = &fastClock{begin: time.Now(), length: length}
	s := start(t, o)
	h := newMailbox(t, s.Shelf, 1)
	boxes := []uint64{h}
	for i := range byte(20) {
		boxes = append(boxes, newMailbox(t, s.Shelf, i+2))
	}
	var failed atomic.Int64
	pace := length / time.Duration(each/50)
	tick := time.NewTicker(pace)
	defer tick.Stop()
	first := s.Today()
	measured := first + uint16(ttl) + 1
	for n := 0; int(s.Today()-first) < days; n++ {
		<-tick.C
		_, sts, err := s.Mint(boxes[n%len(boxes)], envelope.S, 50)
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range sts {
			ticket, refused := s.OpenStamp(&st)
			if refused != nil {
				t.Fatal(refused)
			}
			e := env(envelope.S)
			if err := s.Put(&Deposit{Ticket: ticket, Envelope: e, Object: mailbox.Object(e), TTL: ttl, Done: func(d *Deposit, err error) {
				if err != nil || d.Answer.Refused != nil {
					failed.Add(1)
				}
			}}); err != nil {
				t.Fatal(err)
			}
		}
		if today := s.Today(); today > measured {
			measured = today
			used, err := diskUse(o.Dir)
			if err != nil {
				t.Fatal(err)
			}
			live := s.Stats().Live
			worst = max(worst, float64(used)/float64(live))
			t.Logf("day %d: %d MiB on disk, %d MiB live, %.2f", today-first, used>>20, live>>20, float64(used)/float64(live))
		}
	}
	if failed.Load() > 0 {
		t.Errorf("%d refused", failed.Load())
	}
	if worst == 0 {
		t.Error("nothing was measured")
	}
	return worst
}

// The directory never takes more than its cap, deposits are refused long before
// the disk could be, and go on when mail has expired: with few young tables, as a
// small relay has them, and with many.
func TestDiskCap(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	t.Run("few", func(t *testing.T) { fillToCap(t, 128<<20, 0) })
	t.Run("many", func(t *testing.T) { fillToCap(t, 256<<20, 32<<20) })
}

// fillToCap deposits until the shelf is full and takes mail again.
func fillToCap(t *testing.T, diskCap, young int64) {
	t.Parallel()
	o := testOptions(t.TempDir())
	o.MemTableSize, o.TTL, o.tick, o.Quota = 2<<20, 4, 50*time.Millisecond, 1<<40
	o.DiskCap, o.Young = diskCap, young
	o.time = &fastClock{begin: time.Now(), length: 3 * time.Second} // enough to fill it before the first have passed
	s := start(t, o)
	var boxes []uint64
	for i := range byte(16) {
		boxes = append(boxes, newMailbox(t, s.Shelf, i+1))
	}
	var full, stored atomic.Int64
	most := int64(0)
	slots := make(chan struct{}, 256)
	again := int64(0)
	var mu sync.Mutex
	var unspent []stamp.Stamp // of what was refused
	end := time.Now().Add(2 * time.Minute)
	for n := 0; time.Now().Before(end) && (again == 0 || stored.Load() < again+again/2); n++ {
		mu.Lock()
		sts := unspent
		unspent = nil
		mu.Unlock()
		if len(sts) == 0 {
			var err error
			if _, sts, err = s.Mint(boxes[n%len(boxes)], envelope.S, 256); err != nil {
				t.Fatal(err)
			}
		}
		for _, st := range sts {
			ticket, _ := s.OpenStamp(&st)
			e := env(envelope.S)
			slots <- struct{}{}
			if err := s.Put(&Deposit{Ticket: ticket, Envelope: e, Object: mailbox.Object(e), TTL: 4, Done: func(d *Deposit, err error) {
				switch {
				case err != nil:
				case d.Answer.Refused == nil:
					stored.Add(1)
				case d.Answer.Refused.Code == mailbox.CodeFull:
					full.Add(1)
					mu.Lock()
					unspent = append(unspent, st)
					mu.Unlock()
				}
				<-slots
			}}); err != nil {
				t.Fatal(err)
			}
		}
		used, err := diskUse(o.Dir)
		if err != nil {
			t.Fatal(err)
		}
		if full.Load() > 0 {
			<-time.After(20 * time.Millisecond)
		}
		if most = max(most, used); full.Load() > 0 && again == 0 {
			again = stored.Load()
			t.Logf("full after %d, %d MiB on disk, %d MiB live", again, used>>20, s.Stats().Live>>20)
		}
	}
	t.Logf("at most %d MiB of %d on disk; %d stored, %d refused", most>>20, o.DiskCap>>20, stored.Load(), full.Load())
	if most > o.DiskCap {
		t.Errorf("%d bytes on disk", most)
	}
	if full.Load() == 0 || stored.Load() == again {
		t.Error("never full, or full for ever")
	}
}

var entries = flag.Int("entries", 200_000, "live entries in the test of opening")

// A shelf with many live entries opens fast. At full size:
//
//	go test ./storage/shelf -run OpenMany -entries 10000000
//
// The last result: 22 ms.
func TestOpenMany(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	o := testOptions(t.TempDir())
	o.MemTableSize = 32 << 20
	s := start(t, o)
	newMailbox(t, s.Shelf, 1)
	w := s.db.NewWriteBatch()
	value := make([]byte, 100)
	for i := range uint64(*entries) {
		suite.Random(value[:8])
		e := badger.NewEntry(keyEnv(i/100*0x9E3779B97F4A7C15, i%100), append([]byte(nil), value...))
		e.ExpiresAt = uint64(time.Now().AddDate(0, 1, 0).Unix())
		if err := w.SetEntry(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	s.end(t)
	begin := time.Now()
	s = start(t, o)
	took := time.Since(begin)
	if got := s.Stats().Mailboxes; got != 1 {
		t.Errorf("%d mailboxes", got)
	}
	t.Logf("%d entries open in %v", *entries, took)
	if took > 5*time.Second {
		t.Error("too slow")
	}
}
