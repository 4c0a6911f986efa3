package shelf

import (
	"errors"
	"sync"
	"testing"
	"time"

	"rushlight/protocol/envelope"
	"rushlight/protocol/mailbox"
	"rushlight/storage/logsync"
)

// slowLog is a log whose first Sync waits, and then says what it is told to.
type slowLog struct {
	syncer
	once  sync.Once
	began chan struct{}
	say   chan error
}

func (l *slowLog) Sync() (err error) {
	l.once.Do(func() {
		close(l.began)
		err = <-l.say
	})
	if err != nil {
		return err
	}
	return l.syncer.Sync()
}

// depositing is a shelf with a deposit in the database that isn't on the disk
// yet.
func depositing(t *testing.T) (s *running, h uint64, log *slowLog, done chan error) {
	t.Helper()
	if !logsync.Alone {
		t.Skip("Badger syncs its log itself")
	}
	s = start(t, testOptions(t.TempDir()))
	h = newMailbox(t, s.Shelf, 1)
	st := mint(t, s.Shelf, h, envelope.S, 1)[0]
	log = &slowLog{syncer: s.disk.log, began: make(chan struct{}), say: make(chan error, 1)}
	s.disk.log = log // its writer has nothing to do
	ticket, _ := s.OpenStamp(&st)
	e := env(envelope.S)
	done = make(chan error, 1)
	if err := s.Put(&Deposit{Ticket: ticket, Envelope: e, Object: mailbox.Object(e), TTL: 4, Done: func(_ *Deposit, err error) {
		done <- err
	}}); err != nil {
		t.Fatal(err)
	}
	<-log.began
	return s, h, log, done
}

// fetched is what came of a fetch.
type fetched struct {
	n   int
	err error
}

// fetching fetches a mailbox.
func fetching(s *Shelf, h uint64) chan fetched {
	out := make(chan fetched, 1)
	go func() {
		var f fetched
		_, f.err = s.Fetch(h, 0, 1<<20, func(*mailbox.Env) error { f.n++; return nil })
		out <- f
	}()
	return out
}

// Nobody reads what isn't on the disk.
func TestReadersWaitForTheDisk(t *testing.T) {
	s, h, log, done := depositing(t)
	got := fetching(s.Shelf, h)
	select {
	case f := <-got:
		t.Errorf("%d fetched before they were on the disk (%v)", f.n, f.err)
		got <- f
	case err := <-done:
		t.Fatalf("answered before it was on the disk: %v", err)
	case <-time.After(200 * time.Millisecond): // that it goes on waiting can't be seen sooner
	}
	log.say <- nil
	if f := <-got; f.n != 1 || f.err != nil {
		t.Errorf("%d fetched, %v", f.n, f.err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// When the disk fails nothing is answered or shown, and nothing is written
// after it.
func TestNothingIsReadThatTheDiskRefused(t *testing.T) {
	s, h, log, done := depositing(t)
	got := fetching(s.Shelf, h)
	log.say <- errors.New("the disk failed")
	if err := <-done; !errors.Is(err, ErrFailed) {
		t.Error(err)
	}
	for _, f := range []fetched{<-got, <-fetching(s.Shelf, h)} {
		if f.n > 0 || !errors.Is(f.err, ErrFailed) {
			t.Errorf("%d fetched, %v", f.n, f.err)
		}
	}
	tx := s.db.NewTransaction(true)
	defer tx.Discard()
	if err := tx.Set([]byte("x"), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.disk.commit(tx, 1); err == nil {
		t.Error("something was written after it")
	}
	if err := <-s.done; !errors.Is(err, ErrFailed) {
		t.Errorf("Run says %v", err)
	}
	s.done <- nil // for end
}
