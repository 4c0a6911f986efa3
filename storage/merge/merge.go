// Package merge decides when a Badger database merges its tables.
//
// Badger's own goroutines for that look for work 20 times a second each, also
// when there has been none for days, and begin as soon as a few tables are
// there, which is when the writer needs the processors and the disk most. A
// [Merger] stops them, and lets them run when there is something to merge:
// many tables, or a few and nobody has written much for some seconds. What is
// merged with what, and how, stays Badger's.
//
// It is no second merger: it writes nothing and holds no data. It promises that
// merging runs before Badger would make a writer wait for it, and that it goes
// on until nothing is left to merge.
package merge

import (
	"runtime"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Options says when tables are merged. Badger's stall must be above Many by as
// many tables as it can write in a second, which is how long its goroutines
// may take to begin.
type Options struct {
	// Many is from how many young tables on they are merged although somebody
	// writes. When it is calm Badger's own NumLevelZeroTables counts.
	Many int
	// Calm is how long no table may have been begun; 0 is 3 seconds.
	Calm time.Duration
	// Hold is asked whether nothing may be merged just now; nil is never. A
	// merge that has begun is ended.
	Hold func() bool
}

// Merger is the switch of one database's merging. Its methods are safe for
// concurrent use.
type Merger struct {
	o      Options
	db     *badger.DB
	turned chan struct{} // a log is full
	stop   chan struct{}
	once   sync.Once
	done   sync.WaitGroup

	pause *pause // nil while Badger merges as it likes; belongs to run

	mu       sync.Mutex
	expected *pause // the same until Badger's goroutines have stopped
}

// pause is a call of Flatten that has stopped Badger's goroutines and goes no
// further.
type pause struct {
	end  chan struct{} // closed to go on
	over chan struct{} // closed when Badger's goroutines run again
}

// look is how often it is seen whether a merge has ended.
const look = time.Second

// New makes a merger for a database that isn't open yet, because the database's
// logger has to pass on what it hears to [Merger.Heard].
func New(o Options) *Merger {
	if o.Calm == 0 {
		o.Calm = 3 * time.Second
	}
	return &Merger{o: o, turned: make(chan struct{}, 1), stop: make(chan struct{})}
}

// Start takes over an open database with at least two compactors.
func (m *Merger) Start(db *badger.DB) {
	m.db = db
	m.done.Go(m.run)
}

// Close lets Badger merge as it likes and returns when it does. It must be
// called before the database is closed or flattened.
func (m *Merger) Close() {
	m.once.Do(func() { close(m.stop) })
	m.done.Wait()
}

// What Badger says, without its arguments, when it has put a full log aside to
// be written as a table, and in Flatten when it has stopped its goroutines.
const (
	saysFull    = "Flushing memtable, mt.size=%d size of flushChan: %d\n"
	saysStopped = "\n"
)

// Heard is told the format of each line that Badger logs. It doesn't return
// when the line is Flatten's and this merger called it.
func (m *Merger) Heard(format string) {
	switch format {
	case saysFull:
		select {
		case m.turned <- struct{}{}:
		default:
		}
	case saysStopped:
		m.mu.Lock()
		p := m.expected
		m.expected = nil
		m.mu.Unlock()
		if p == nil {
			return // somebody else flattens
		}
		<-p.end
		// Flatten is to flatten nothing; as it is left, it starts what it
		// has stopped.
		runtime.Goexit()
	}
}

// run switches until Close.
func (m *Merger) run() {
	defer m.resume()
	turned := time.Now() // opening counts as writing
	for {
		calm := time.Since(turned) >= m.o.Calm
		wait := m.o.Calm
		held := m.o.Hold != nil && m.o.Hold()
		switch few, many := m.waiting(); {
		case held && m.pause == nil:
			m.halt()
			continue
		case held:
			wait = look
		case m.pause == nil && few:
			wait = look
		case m.pause == nil:
			m.halt()
			continue
		case many, few && calm:
			m.resume()
			continue
		case calm:
			wait = -1 // nothing to do until somebody writes
		}
		if !m.sleep(wait, &turned) {
			return
		}
	}
}

// sleep waits until a log is full or the time is over; a negative time is
// never. It returns false on Close.
func (m *Merger) sleep(d time.Duration, turned *time.Time) bool {
	var over <-chan time.Time
	if d >= 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-m.stop:
		return false
	case <-m.turned:
		*turned = time.Now()
	case <-over:
	}
	return true
}

// waiting reports whether Badger has something to merge, and whether there are
// many young tables.
func (m *Merger) waiting() (few, many bool) {
	levels := m.db.Levels()
	for _, l := range levels {
		few = few || l.Score >= 1
	}
	return few, levels[0].NumTables >= m.o.Many
}

// halt stops Badger's goroutines as soon as they have ended the merge that they
// are at. It doesn't wait for that.
func (m *Merger) halt() {
	p := &pause{end: make(chan struct{}), over: make(chan struct{})}
	m.mu.Lock()
	m.pause, m.expected = p, p
	m.mu.Unlock()
	go func() {
		defer close(p.over)
		_ = m.db.Flatten(1) // see Heard
	}()
}

// resume starts them again, if they were stopped.
func (m *Merger) resume() {
	if p := m.pause; p != nil {
		close(p.end)
		<-p.over
		m.pause = nil
	}
}
