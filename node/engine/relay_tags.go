package engine

import (
	"fmt"

	"rushlight/protocol/envelope"
	"rushlight/storage"
	"rushlight/storage/record"
)

// lookBehind makes the index know what came before this start, once it meets a
// tag of the relay that it doesn't know: a second copy of a message often comes
// long after the first.
func (t *txn) lookBehind(relay [32]byte, env []byte) error {
	x := &t.e.tags
	if x.behind[relay] || len(env) < 16 {
		return nil
	}
	tag := envelope.TagOf(env)
	if _, ok := x.awaited[tag]; ok {
		return nil
	}
	if _, ok := x.seen[tag]; ok {
		return nil
	}
	if _, ok := t.e.openers[tag]; ok {
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

// Known reports which tags of a relay this device waits for, or has seen.
func (e *Engine) Known(tags [][16]byte) []bool {
	e.turn.Lock()
	defer e.turn.Unlock()
	out := make([]bool, len(tags))
	for i, tag := range tags {
		_, awaited := e.tags.awaited[tag]
		_, seen := e.tags.seen[tag]
		_, opener := e.openers[tag]
		out[i] = awaited || seen || opener
	}
	return out
}
