package engine

import (
	"context"
	"fmt"
	"slices"

	"rushlight/protocol/envelope"
	"rushlight/storage"
	"rushlight/storage/record"
)

// lookBehind makes the index know what came before this start, once it meets a
// tag of the relay that it doesn't know: a second copy of a message often comes
// long after the first.
func (t *txn) lookBehind(relay [32]byte, tag [16]byte) error {
	x := &t.e.tags
	if x.behind[relay] || t.e.recognises(tag) {
		return nil
	}
	x.behind[relay] = true
	return t.Scan(record.WindowPrefix(), nil, false, func(_ storage.Key, v []byte) (bool, error) {
		rec, err := record.ParseWindow(v)
		if err != nil {
			return false, fmt.Errorf("reading a delivery window: %w", err)
		}
		for _, c := range rec.Chains {
			w, err := envelope.ParseWindow(c.State)
			if err != nil {
				return false, err
			}
			behind, err := envelope.ParseChain(c.Behind)
			if err != nil {
				return false, err
			}
			for behind.Index() < w.End() {
				index, mk := behind.Next()
				p := place{rec.Device, c.Session, index, envelope.TagFor(mk, envelope.Direct)}
				if at := envelope.TagFor(mk, relay); x.awaited[at] == (place{}) {
					x.received(at, p)
				}
			}
		}
		return true, nil
	})
}

// Beyond the windows each index of each chain costs three HMACs. Whoever fills
// a mailbox with tags of its own invention gets so many a second of them.
const (
	stepRate  = 1 << 14
	stepBurst = 1 << 17
)

// lookAhead finds among envelopes those that lie further ahead than the windows
// show: what came before them is lost with a relay, or waits for stamps. Where
// there are more windows than one search may take, the next goes on.
func (t *txn) lookAhead(relay [32]byte, tags [][16]byte) error {
	x := &t.e.tags
	unknown := map[[16]byte]bool{}
	for _, tag := range tags {
		if err := t.lookBehind(relay, tag); err != nil {
			return err
		}
		if !t.e.recognises(tag) {
			unknown[tag] = true
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	look := func(k storage.Key, v []byte) (bool, error) {
		rec, err := record.ParseWindow(v)
		if err != nil {
			return false, fmt.Errorf("reading a delivery window: %w", err)
		}
		if !x.steps.AllowN(t.now, envelope.MaxAhead*len(rec.Chains)) {
			x.further = slices.Clone(k)
			return false, nil
		}
		for _, c := range rec.Chains {
			w, err := envelope.ParseWindow(c.State)
			if err != nil {
				return false, err
			}
			for s := range w.Beyond(envelope.MaxAhead) {
				if tag := envelope.TagFor(s.MK, relay); unknown[tag] {
					x.awaited[tag] = place{rec.Device, c.Session, s.Index, envelope.TagFor(s.MK, envelope.Direct)}
				}
			}
		}
		return true, nil
	}
	from := x.further
	x.further = nil
	if err := t.Scan(record.WindowPrefix(), from, false, look); err != nil || from == nil || x.further != nil {
		return err
	}
	return t.Scan(record.WindowPrefix(), nil, false, func(k storage.Key, v []byte) (bool, error) {
		if string(k) >= string(from) {
			return false, nil
		}
		return look(k, v)
	})
}

// recognises reports whether a tag is waited for, or was seen.
func (e *Engine) recognises(tag [16]byte) bool {
	_, awaited := e.tags.awaited[tag]
	_, seen := e.tags.seen[tag]
	_, opener := e.openers[tag]
	return awaited || seen || opener
}

// Known reports which tags of a relay this device waits for, or has seen.
func (e *Engine) Known(ctx context.Context, relay [32]byte, tags [][16]byte) (out []bool, err error) {
	err = e.do(ctx, 4096, func(t *txn) error {
		out = nil
		if err := t.lookAhead(relay, tags); err != nil {
			return err
		}
		for _, tag := range tags {
			out = append(out, e.recognises(tag))
		}
		return nil
	})
	return out, err
}
