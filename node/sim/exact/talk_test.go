package exact

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// lifetime draws how long a message lives: mostly for ever.
func (w *world) lifetime() (l message.Lifetime) {
	if !w.wild {
		return l
	}
	if w.chance(15) {
		l.Expiry = time.Duration(5+w.rng.IntN(3600)) * time.Second
	}
	if w.chance(10) {
		l.Burn = time.Duration(1+w.rng.IntN(600)) * time.Second
	}
	return l
}

// saw notes what a person was shown.
func (w *world) saw(p *profile, views []engine.View) {
	for _, v := range views {
		if n := w.oracle.ids[v.ID]; n != nil && n.to == p.n && n.seen.IsZero() && !v.Deleted {
			n.seen = time.Now()
		}
	}
}

// pick is a message that a shows of its conversation with b.
func (w *world) pick(a, b *profile) *note {
	lines := w.conversation(a, b, 30)
	if len(lines) == 0 {
		return nil
	}
	return w.oracle.ids[lines[w.rng.IntN(len(lines))].ID]
}

// allowed passes over what the engine may well refuse.
func (w *world) allowed(err error) bool {
	for _, ok := range []error{engine.ErrNotYours, engine.ErrNoChange, engine.ErrTooMany, engine.ErrNotApproved, engine.ErrUnknownMessage} {
		if errors.Is(err, ok) {
			return false
		}
	}
	w.must(err)
	synctest.Wait()
	return true
}

func (w *world) change(a, b *profile) {
	n := w.pick(a, b)
	if n == nil {
		return
	}
	text := fmt.Sprintf("%s|edited %d", n.label, w.step)
	if w.allowed(a.eng.Edit(w.ctx, n.id, text, nil, nil)) {
		n.touched = true
		w.count["edits"]++
		w.note("%d edits %s", a.n, n.label)
	}
}

func (w *world) reactTo(a, b *profile) {
	n := w.pick(a, b)
	if n == nil {
		return
	}
	emoji := []string{"", "👍", "🕯"}[w.rng.IntN(3)]
	if w.allowed(a.eng.React(w.ctx, n.id, emoji)) {
		n.touched = true
		w.count["reactions"]++
		w.note("%d reacts to %s", a.n, n.label)
	}
}

func (w *world) unsend(a, b *profile) {
	n := w.pick(a, b)
	if n == nil {
		return
	}
	if w.allowed(a.eng.Unsend(w.ctx, n.id)) {
		n.unsent = true
		w.count["taken back"]++
		w.note("%d takes %s back", a.n, n.label)
	}
}

// contentOf reads the message of a record.
func contentOf(rec *record.Message) (*message.Message, error) {
	if rec.Erased {
		return message.ParseErased(rec.Content)
	}
	return message.Parse(rec.Content)
}

// ExpiredIsGone: from its deadline on nobody is shown a message, nor is one that
// burns shown where it was seen long enough ago. Once everything had time to
// arrive, what burned is gone from its author too, and the text of what was
// taken back is nowhere. A restored copy excuses what it forgot, but not a
// deadline.
func ExpiredIsGone(w *world, settled bool) (err error) {
	now := time.Now()
	w.each(func(p, q *profile) {
		for _, l := range w.conversation(p, q, 0) {
			n := w.oracle.ids[l.ID]
			if n == nil {
				continue
			}
			clean := p.rolled == 0 && q.rolled == 0 && !w.tainted
			burned := n.life.Burn != 0 && !n.seen.IsZero() && now.Sub(n.seen) > n.life.Burn
			switch {
			case n.life.Expiry != 0 && now.Sub(n.sent) > n.life.Expiry:
				err = fmt.Errorf("profile %d shows %s, which has expired", p.n, n.label)
			case burned && clean && !n.unsent && (p.n == n.to || settled):
				err = fmt.Errorf("profile %d shows %s, which has burned", p.n, n.label)
			case n.unsent && !l.Deleted && (settled && clean || p.n == n.from && p.rolled == 0):
				err = fmt.Errorf("profile %d shows the text of %s, which was taken back", p.n, n.label)
			}
		}
	})
	return err
}

// SameViewEverywhere: once everything had time to arrive, both sides of a
// conversation show the same messages, texts and reactions in the same order.
// Sides of which one was restored from an older copy are not compared.
func SameViewEverywhere(w *world, settled bool) (err error) {
	if !settled || w.tainted {
		return nil
	}
	w.each(func(p, q *profile) {
		if p.n > q.n || p.rolled > 0 || q.rolled > 0 {
			return
		}
		one, two := w.viewOf(p, q), w.viewOf(q, p)
		w.count["conversations compared"]++
		if one != two {
			err = fmt.Errorf("profiles %d and %d show\n%s\nand\n%s", p.n, q.n, one, two)
		}
	})
	return err
}

// viewOf is what p shows of its conversation with q, but for its states.
func (w *world) viewOf(p, q *profile) string {
	var out strings.Builder
	for _, l := range w.conversation(p, q, 0) {
		var r []string
		for _, x := range l.Reactions {
			r = append(r, fmt.Sprintf("%x:%s", x.From[:4], x.Emoji))
		}
		slices.Sort(r)
		text, _, _ := strings.Cut(l.Text, " long") // enough to tell
		fmt.Fprintf(&out, "%s %.40s edited %v deleted %v waiting %v %v\n", l.ID, text, l.Edited, l.Deleted, l.Waiting, r)
	}
	return out.String()
}

// TestConversations is the simulation without old copies and made-up refusals,
// so that in the end everybody must see the same.
func TestConversations(t *testing.T) {
	steps := 2500
	if testing.Short() || raceEnabled {
		steps = 400
	}
	simulate(t, seedOf(t), 3, func(w *world) {
		w.without = map[string]bool{"restore": true, "refuse": true}
		w.run(int(env(t, "RUSHLIGHT_SIM_STEPS", uint64(steps))))
		w.summary()
		if w.count["conversations compared"] == 0 || w.count["edits"] == 0 || w.count["taken back"] == 0 {
			w.fatal("control: nothing was compared")
		}
	})
}

// TestAwayForAWeek takes a message back while its recipient is off for a week.
func TestAwayForAWeek(t *testing.T) {
	small(t, func(w *world, a, b *profile) {
		w.say(a, b, 0)
		w.settle()
		arrived := w.oracle.notes[len(w.oracle.notes)-1]
		b.halt()
		w.say(a, b, 0)
		w.say(a, b, 0)
		waiting := w.oracle.notes[len(w.oracle.notes)-2]
		w.allowed(a.eng.Edit(w.ctx, waiting.id, waiting.label+"|edited", nil, nil))
		for _, n := range []*note{arrived, waiting} {
			w.allowed(a.eng.Unsend(w.ctx, n.id))
			n.unsent = true
		}
		time.Sleep(7 * 24 * time.Hour)
		b.openStore()
		b.start()
		w.settle()
		w.check(true)
		for _, n := range []*note{arrived, waiting} {
			if v, err := b.eng.Message(n.id); err != nil || !v.Deleted || v.Text != "" {
				w.fatal("%s: %+v, %v", n.label, v, err)
			}
		}
	})
}

// A store in which an expiring message was given no deadline.
func TestControlExpiredIsGone(t *testing.T) {
	small(t, func(w *world, a, b *profile) {
		n := &note{label: "x", from: a.n, to: b.n, text: "x|", life: message.Lifetime{Expiry: time.Minute}}
		sent, err := a.eng.Send(w.ctx, engine.Send{To: b.account, Text: n.text, Life: n.life})
		w.must(err)
		n.id, n.sent = sent.ID, sent.At
		w.oracle.notes = append(w.oracle.notes, n)
		w.oracle.by[n.label], w.oracle.ids[n.id] = n, n
		w.settle()
		w.check(true)
		b.edit(func(tx *storage.Tx) error {
			raw, err := tx.Get(record.IndexKey(n.id))
			if err != nil {
				return err
			}
			x, err := record.ParseIndex(raw)
			if err != nil {
				return err
			}
			rec, err := tx.Get(x.Key)
			if err != nil {
				return err
			}
			if err := tx.Put(x.Key, rec); err != nil {
				return err
			}
			return tx.Scan(record.DuePrefix(), nil, false, func(k storage.Key, _ []byte) (bool, error) {
				return true, tx.Delete(slices.Clone(k))
			})
		})
		w.check(true)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		w.wantBroken("ExpiredIsGone")
	})
}

// A store that lost a reaction, and one that lost an edit.
func TestControlSameViewEverywhere(t *testing.T) {
	for _, prefix := range []byte{record.FamilyReactions, record.FamilyEdit} {
		small(t, func(w *world, a, b *profile) {
			w.say(a, b, 0)
			n := w.oracle.notes[len(w.oracle.notes)-1]
			w.settle()
			w.allowed(b.eng.React(w.ctx, n.id, "👍"))
			w.allowed(a.eng.Edit(w.ctx, n.id, n.label+"|edited", nil, nil))
			w.settle()
			w.check(true)
			b.edit(func(tx *storage.Tx) error {
				return tx.Scan(storage.Key{prefix}, nil, false, func(k storage.Key, _ []byte) (bool, error) {
					return true, tx.Delete(slices.Clone(k))
				})
			})
			w.wantBroken("SameViewEverywhere")
		})
	}
}
