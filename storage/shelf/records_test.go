package shelf

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"rushlight/protocol/envelope"
	"rushlight/protocol/mailbox"
	"rushlight/protocol/stamp"
)

// fuzzRecord feeds bytes to a parser: what it takes encodes to the same bytes.
func fuzzRecord(f *testing.F, example []byte, again func([]byte) ([]byte, error)) {
	f.Helper()
	if b, err := again(example); err != nil || !bytes.Equal(b, example) {
		f.Fatal("the example doesn't read back", err)
	}
	f.Add(example)
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := again(b); err == nil && !bytes.Equal(got, b) {
			t.Fatalf("two spellings: %x and %x", b, got)
		}
	})
}

func FuzzGlobal(f *testing.F) {
	g := global{batch: 5, confirmed: 20000, days: dayTable{{20001, 3, 6144}, {20030, 1, 65536}}}
	fuzzRecord(f, g.marshal(), func(b []byte) ([]byte, error) { g, err := parseGlobal(b); return g.marshal(), err })
}

func FuzzFixed(f *testing.F) {
	x := fixed{quota: 5, lease: 20090, serial: 9, lane: true, moved: []byte("x"), weeks: []weekStart{{2857, 0}, {2858, 4}}}
	fuzzRecord(f, x.marshal(), func(b []byte) ([]byte, error) { x, err := parseFixed(b); return x.marshal(), err })
}

func FuzzHot(f *testing.F) {
	h := hot{next: 9, overflow: 2, days: dayTable{{20001, 3, 6144}}}
	fuzzRecord(f, h.marshal(), func(b []byte) ([]byte, error) { h, err := parseHot(b); return h.marshal(), err })
}

func FuzzLane(f *testing.F) {
	l := &lane{entries: []laneEntry{{seq: 1, effort: 64, day: 20000, expDay: 20014, size: 2048, live: true}, {seq: 9}}}
	fuzzRecord(f, l.marshal(), func(b []byte) ([]byte, error) {
		l, err := parseLane(b)
		if err != nil {
			return nil, err
		}
		return l.marshal(), nil
	})
}

// FuzzOpened reads values that are in the database: nothing but what was
// sealed there opens. Its input is what differs from the sealed value, which is
// another one in each process.
func FuzzOpened(f *testing.F) {
	at := keyEnv(1, 2)
	state := &dayState{keys: map[uint16]*[32]byte{20005: {1}}}
	whole := seal(state.keys[20005], at, 20005, 20000, flagLane, env(envelope.S))
	f.Add(make([]byte, len(whole)))
	f.Add(make([]byte, 40))
	f.Fuzz(func(t *testing.T, flips []byte) {
		b := bytes.Clone(flips)
		for i := range min(len(b), len(whole)) {
			b[i] ^= whole[i]
		}
		if o, c := state.open(at, b); c == intact && (!bytes.Equal(b, whole) || !o.lane || o.day != 20000) {
			t.Fatal("something else opens")
		}
		if _, c := state.open(keyEnv(1, 3), b); c == intact {
			t.Fatal("it opens in another place")
		}
	})
}

// Row 27: a queue that is full refuses at once instead of waiting, and what is
// in it is answered.
func TestQueueIsBounded(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Queue = 20 * 4096
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	// The writer doesn't run yet.
	var done sync.WaitGroup
	queued := 0
	for err == nil {
		done.Add(1)
		e := env(envelope.S)
		err = s.Put(&Deposit{Ticket: stamp.Ticket{Handle: 1, ExpDay: 30000, Class: envelope.S}, Envelope: e, Done: func(d *Deposit, err error) {
			if err != nil || d.Answer.Refused.Code != mailbox.CodeGone {
				t.Error(err, d.Answer.Refused)
			}
			done.Done()
		}})
		queued++
	}
	done.Done() // the one that was refused
	if !errors.Is(err, ErrBusy) || queued < 20 || queued > 23 || s.Stats().Busy != 1 {
		t.Errorf("%d queued, then %v", queued, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(t.Context()) }()
	done.Wait()
	s.shut()
	if err := errors.Join(<-ended, s.Close()); err != nil {
		t.Error(err)
	}
	if err := s.Put(&Deposit{Envelope: env(envelope.S)}); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

// What somebody wrote over a stored envelope is left out, and counted.
func TestDamagedEnvelope(t *testing.T) {
	s := start(t, testOptions(t.TempDir()))
	h := newMailbox(t, s.Shelf, 1)
	for _, st := range mint(t, s.Shelf, h, envelope.S, 3) {
		put(t, s.Shelf, st, env(envelope.S))
	}
	err := s.do(0, func(g *group) error {
		b := g.get(keyEnv(h, 2))
		b[100] ^= 1
		g.set(keyEnv(h, 2), b, 0)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got, end := fetch(t, s.Shelf, h, 0)
	if len(got) != 2 || end.Next != 3 || s.Stats().Damaged != 1 {
		t.Errorf("%d envelopes, %+v, %d damaged", len(got), end, s.Stats().Damaged)
	}
}
