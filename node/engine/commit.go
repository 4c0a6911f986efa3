package engine

import (
	"errors"
	"fmt"

	"rushlight/storage"
)

// commit runs steps in as few transactions as fit and answers each. With ahead
// it may return before they are on the disk: the next can be made meanwhile, and
// the steps are answered when they are. The error is the store's: the engine
// can't go on.
func (e *Engine) commit(steps []*step, ahead bool) error {
	for len(steps) > 0 {
		n, err := e.transact(steps, ahead)
		if errors.Is(err, errAlone) || errors.Is(err, storage.ErrFull) {
			// One step failed after it had begun to write, or they wrote more
			// than they had said: nothing of the group was committed. Each again
			// on its own, so that only it fails.
			for i, s := range steps[:n] {
				if _, err := e.transact([]*step{s}, false); errors.Is(err, storage.ErrFull) {
					finish(steps[i:i+1], err)
				} else if errors.Is(err, errAlone) {
					s.done.Done()
				} else if err != nil {
					finish(steps[i:], err)
					return err
				}
			}
			steps = steps[n:]
			continue
		}
		if err != nil {
			finish(steps, err)
			return err
		}
		steps = steps[n:]
	}
	return nil
}

func finish(steps []*step, err error) {
	for _, s := range steps {
		s.err = fmt.Errorf("saving: %w", err)
		s.done.Done()
	}
}

const (
	stepRecords   = 16       // records that one step writes, at most
	placesRecords = 10       // records that flush writes for the places of one contact, at most
	flushCost     = 24 << 10 // bytes that flush writes for one contact, at most
)

var errAlone = errors.New("engine: a step failed half-way")

// transact runs as many of the steps as fit into one transaction and starts its
// commit. It returns how many it took, which it has answered or will answer;
// with an error none.
func (e *Engine) transact(steps []*step, ahead bool) (n int, err error) {
	t := &txn{e: e}
	defer e.scratch.wipe()
	c, err := e.store.Start(func(tx *storage.Tx) error {
		n = 0
		t.reset(tx, e.takeObjects())
		t.resume()
		for _, s := range steps {
			// The objects that flush saves come on top of what is there.
			if n > 0 && !tx.Fits(stepRecords+4*t.touched+placesRecords*len(t.mailing), s.cost+flushCost*(1+t.touched+len(t.mailing))) {
				break
			}
			n++
			t.begin()
			if s.err = s.run(t); s.err == nil {
				continue
			}
			if t.wrote {
				return errAlone
			}
			t.stale = true // who knows how far it has come
		}
		return t.flush()
	})
	if errors.Is(err, storage.ErrNoSpace) && !errors.Is(err, storage.ErrPoisoned) {
		// Refused before anything was written: the steps fail, the engine lives.
		for _, s := range steps {
			s.err = err
			s.done.Done()
		}
		return len(steps), nil
	}
	if err != nil {
		return n, err
	}
	e.nextEvent = t.nextEvent
	t.handOn()
	f := &flight{t: t, commit: c, steps: steps[:n], before: e.last, done: make(chan struct{})}
	e.last = f
	e.aloft.Add(1)
	if ahead && t.light() {
		go e.land(f)
	} else {
		t.prepare()
		e.land(f)
	}
	return n, nil
}

// flight is a transaction on its way to the disk.
type flight struct {
	t      *txn
	commit *storage.Commit
	steps  []*step
	before *flight       // the one before it, which is published first
	done   chan struct{} // closed when it is published, or has failed
}

// land waits for a flight, publishes it and answers its steps. A failure ends
// the engine.
func (e *Engine) land(f *flight) {
	err := f.commit.Wait()
	if f.before != nil {
		<-f.before.done
		f.before = nil
	}
	if err == nil {
		f.t.publish()
		for _, s := range f.steps {
			s.done.Done()
		}
	} else {
		finish(f.steps, err)
		e.breaks(err)
	}
	close(f.done)
	e.aloft.Add(-1)
}

// landed waits until nothing is on its way. It belongs to who has the turn.
func (e *Engine) landed() {
	if e.last != nil {
		<-e.last.done
	}
}

// breaks ends the engine.
func (e *Engine) breaks(err error) {
	select {
	case e.broken <- err:
	default:
	}
}
