package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// Search says which messages to find.
type Search struct {
	Query string             // words that must all be there, as parts of words too
	In    identity.AccountID // only in the conversation with it; zero is in all
	Limit int                // at most so many of each conversation; 0 is all
}

// Search finds messages by what they say now, the newest first. Nothing is kept
// of what is searched in or for: every message is opened and looked at. Case,
// accents, widths and vowel marks make no difference. What burns and was not
// shown yet isn't found: its timer would not run.
func (e *Engine) Search(ctx context.Context, s Search) (out []View, err error) {
	err = e.SearchEach(ctx, s, func(v *View) error {
		out = append(out, *v)
		return nil
	})
	slices.SortStableFunc(out, func(a, b View) int { return b.Sent.Compare(a.Sent) })
	return out, err
}

// SearchEach calls fn with each message found as soon as it is, conversation by
// conversation, the newest of each first.
func (e *Engine) SearchEach(ctx context.Context, s Search, fn func(*View) error) error {
	f := newFinder(s.Query)
	if len(f.words) == 0 {
		return nil
	}
	with := []identity.AccountID{s.In}
	if s.In == (identity.AccountID{}) {
		with = with[:0]
		for _, c := range e.Contacts() {
			with = append(with, c.Account)
		}
	}
	for _, a := range with {
		if err := e.searchIn(ctx, a, s, fn); err != nil {
			return err
		}
	}
	return nil
}

// editedIDs is the set of messages whose text is in another record.
func (t *txn) editedIDs() (map[message.ID]bool, error) {
	out := map[message.ID]bool{}
	prefix := record.EditKey(message.ID{})[:1]
	err := t.ScanKeys(prefix, nil, false, func(k storage.Key) (bool, error) {
		out[message.ID(k[1:])] = true
		return true, nil
	})
	return out, err
}

// span is a part of a conversation, and what was found in it.
type span struct {
	low, high storage.Key // from low on, below high
	taken     atomic.Bool // somebody looks through it
	done      chan struct{}
	found     []*View
	err       error
}

func (p *span) isDone() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// spans is into how many parts of equal time a conversation is cut.
const spans = 16

// errEnough ends a search that has found what was asked for.
var errEnough = errors.New("engine: found enough")

// searchIn looks through one conversation: the caller from the newest part on,
// and a second goroutine ahead of it.
func (e *Engine) searchIn(ctx context.Context, a identity.AccountID, s Search, fn func(*View) error) error {
	parts, err := e.spansOf(a)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var ahead sync.WaitGroup
	defer ahead.Wait()
	defer cancel()
	// later looks through the next part that nobody has taken; false when there
	// is none.
	later := func(f *finder, parts []*span) bool {
		for _, p := range parts {
			if !p.taken.Swap(true) {
				p.err = e.searchSpan(ctx, a, f, p, func(v *View) error { p.found = append(p.found, v); return nil })
				close(p.done)
				return true
			}
		}
		return false
	}
	ahead.Go(func() {
		f := newFinder(s.Query)
		for more := true; more; {
			more = later(f, parts[min(1, len(parts)):])
		}
	})
	n, f := 0, newFinder(s.Query)
	hit := func(v *View) error {
		if err := fn(v); err != nil {
			return err
		}
		if n++; n == s.Limit {
			return errEnough
		}
		return nil
	}
	for i, p := range parts {
		var err error
		if !p.taken.Swap(true) {
			err = e.searchSpan(ctx, a, f, p, hit)
		} else {
			for more := s.Limit == 0; more && !p.isDone(); {
				more = later(f, parts[i:])
			}
			<-p.done
			err = p.err
			for i := 0; err == nil && i < len(p.found); i++ {
				err = hit(p.found[i])
			}
		}
		if errors.Is(err, errEnough) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// spansOf cuts a conversation into parts, the newest first.
func (e *Engine) spansOf(a identity.AccountID) (out []*span, err error) {
	err = e.view(func(t *txn) error {
		id := e.direct(a)
		prefix := record.MessagePrefix(t, id)
		var ends [2]uint64
		for i, reverse := range []bool{false, true} {
			if err := t.ScanKeys(prefix, nil, reverse, func(k storage.Key) (bool, error) {
				ends[i] = binary.BigEndian.Uint64(k[len(prefix):])
				return false, nil
			}); err != nil {
				return err
			}
		}
		at := func(order uint64) storage.Key { return record.MessageKey(t, id, order, message.ID{}) }
		high := ends[1] + 1
		step := (high-ends[0])/spans + 1
		for high > ends[0] {
			low := max(ends[0], high-min(step, high))
			out = append(out, &span{low: at(low), high: at(high), done: make(chan struct{})})
			high = low
		}
		return nil
	})
	return out, err
}

// searchSpan calls fn with what is found in one part, the newest first.
func (e *Engine) searchSpan(ctx context.Context, a identity.AccountID, f *finder, p *span, fn func(*View) error) error {
	return e.view(func(t *txn) error {
		edited, err := t.editedIDs()
		if err != nil {
			return err
		}
		return t.Scan(record.MessagePrefix(t, e.direct(a)), p.high, true, func(k storage.Key, v []byte) (bool, error) {
			switch {
			case ctx.Err() != nil:
				return false, ctx.Err()
			case bytes.Compare(k, p.high) >= 0:
				return true, nil
			case bytes.Compare(k, p.low) < 0:
				return false, nil
			}
			text, err := t.textOf(message.ID(k[len(k)-16:]), v, edited)
			if err != nil || !f.holds(text) {
				return true, err
			}
			view, err := t.view(a, v)
			if err != nil || view.Unopened() {
				return true, err
			}
			return true, fn(view)
		})
	})
}

// textOf is what the message of a record says now, without looking at more than
// that.
func (t *txn) textOf(id message.ID, v []byte, edited map[message.ID]bool) ([]byte, error) {
	rec, err := record.ParseMessage(v)
	if err != nil {
		return nil, err
	}
	if rec.Erased {
		return nil, nil
	}
	if edited[id] {
		e, err := t.edit(id)
		if err != nil || e == nil {
			return nil, err
		}
		b, err := message.ParseBody(message.TypeEdit, e.Body)
		if err != nil {
			return nil, err
		}
		return []byte(b.Text), nil
	}
	return message.TextOf(rec.Content), nil
}

// finder looks for words in texts. It belongs to one goroutine.
type finder struct {
	words [][]byte // folded
	folder
	room []byte
}

func newFinder(query string) *finder {
	f := &finder{}
	f.words = bytes.Fields(f.fold(nil, []byte(query)))
	return f
}

// holds reports whether a text has all words.
func (f *finder) holds(text []byte) bool {
	if len(text) == 0 {
		return false
	}
	f.room = f.fold(f.room[:0], text)
	for _, w := range f.words {
		if !bytes.Contains(f.room, w) {
			return false
		}
	}
	return true
}
