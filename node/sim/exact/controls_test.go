package exact

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"rushlight/node/delivery/parcel"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// Each invariant must fail when what it names is broken. The broken variants
// are edits of a store behind its engine's back, and drivers that do what no
// courier may.

// small simulates two people who know each other and have talked.
func small(t *testing.T, f func(w *world, a, b *profile)) {
	t.Helper()
	simulate(t, 1, 2, func(w *world) {
		w.settleIn()
		a, b := w.people[0], w.people[1]
		w.chat(a, b, 6)
		if names := w.broken(true); len(names) > 0 {
			w.fatal("before anything is broken: %v", names)
		}
		f(w, a, b)
	})
}

// chat lets two people write to each other in turn.
func (w *world) chat(a, b *profile, n int) {
	for range n {
		w.say(a, b, 0)
		w.settle()
		w.say(b, a, 0)
		w.settle()
	}
}

func (w *world) wantBroken(name string) {
	w.t.Helper()
	if names := w.broken(true); !slices.Contains(names, name) {
		w.fatal("control: %s was not broken, but %v", name, names)
	}
}

// A recipient that acknowledges before it has committed.
func TestControlNothingLost(t *testing.T) {
	small(t, func(w *world, a, b *profile) {
		before := w.backUp(b)
		w.say(a, b, 0)
		w.settle()
		b.moveTo(before.dir)
		w.wantBroken("NothingLost")
	})
}

// An author that answers before it has committed.
func TestControlNothingLostByAuthor(t *testing.T) {
	small(t, func(w *world, a, b *profile) {
		before := w.backUp(a)
		w.say(a, b, 0)
		a.moveTo(before.dir)
		w.wantBroken("NothingLost")
	})
}

// A wire that makes another message out of one that came before.
func TestControlNothingTwice(t *testing.T) {
	small(t, func(w *world, a, b *profile) {
		b.edit(func(tx *storage.Tx) error {
			rec, m, x, _, err := someMessage(tx, 3)
			if err != nil {
				return err
			}
			m.HLC++
			if rec.Content, err = m.Marshal(); err != nil {
				return err
			}
			x.Order++
			x.Key = record.MessageKey(tx, m.Conversation, x.Order, m.ID())
			if err := tx.Put(x.Key, rec.Marshal()); err != nil {
				return err
			}
			return tx.Put(record.IndexKey(m.ID()), x.Marshal())
		})
		w.wantBroken("NothingTwice")
	})
}

// A wire on which no acknowledgement ever comes back.
func TestControlOutboxDrains(t *testing.T) {
	small(t, func(w *world, a, b *profile) {
		w.faults.loseAcks = true
		w.say(a, b, 0)
		w.settle()
		w.wantBroken("OutboxDrains")
	})
}

// A store in which one record was lost or exchanged.
func TestControlStoreChecks(t *testing.T) {
	small(t, func(w *world, a, b *profile) {
		for name, edit := range map[string]func(tx *storage.Tx) error{
			"index entry gone": func(tx *storage.Tx) error {
				_, m, _, _, err := someMessage(tx, 3)
				if err != nil {
					return err
				}
				return tx.Delete(record.IndexKey(m.ID()))
			},
			"message gone": func(tx *storage.Tx) error {
				_, _, _, k, err := someMessage(tx, 3)
				if err != nil {
					return err
				}
				return tx.Delete(k)
			},
			"text changed": func(tx *storage.Tx) error {
				rec, _, _, k, err := someMessage(tx, 3)
				if err != nil {
					return err
				}
				rec.Content[len(rec.Content)-1] ^= 1
				return tx.Put(k, rec.Marshal())
			},
			"history gone": func(tx *storage.Tx) error {
				_, m, _, _, err := someMessage(tx, 3)
				if err != nil {
					return err
				}
				return tx.Delete(record.ConversationKey(tx, m.Conversation))
			},
			"event gone": func(tx *storage.Tx) error { return tx.Delete(record.EventKey(4)) },
			"delivered twice over": func(tx *storage.Tx) error {
				_, m, _, _, err := someMessage(tx, 3)
				if err != nil {
					return err
				}
				o := record.Outbox{Kind: record.OutboxUnsealed, Message: m.ID()}
				return tx.Put(record.OutboxKey(tx, a.account, 1), o.Marshal())
			},
		} {
			good := w.backUp(b)
			b.edit(edit)
			if err := w.checkStore(b); err == nil {
				w.fatal("control: %s was not found", name)
			}
			b.moveTo(good.dir)
			if err := w.checkStore(b); err != nil {
				w.fatal("after %s: %v", name, err)
			}
		}
	})
}

// A store in which a message was moved to before what it answers.
func TestControlCausalOrder(t *testing.T) {
	small(t, func(w *world, _, b *profile) {
		b.edit(func(tx *storage.Tx) error {
			rec, m, x, k, err := someMessage(tx, 7)
			if err != nil {
				return err
			}
			x.Order = 1
			x.Key = record.MessageKey(tx, m.Conversation, x.Order, m.ID())
			if err := tx.Delete(k); err != nil {
				return err
			}
			if err := tx.Put(x.Key, rec.Marshal()); err != nil {
				return err
			}
			return tx.Put(record.IndexKey(m.ID()), x.Marshal())
		})
		w.wantBroken("CausalOrder")
	})
}

// A log with a hole, and one that says something twice.
func TestControlEventsDense(t *testing.T) {
	small(t, func(w *world, _, b *profile) {
		good := w.backUp(b)
		b.edit(func(tx *storage.Tx) error { return tx.Delete(record.EventKey(4)) })
		w.wantBroken("EventsDense")
		b.moveTo(good.dir)
		b.edit(func(tx *storage.Tx) error {
			_, m, _, _, err := someMessage(tx, 3)
			if err != nil {
				return err
			}
			counter, err := tx.Get(record.CounterKey())
			if err != nil {
				return err
			}
			c, err := record.ParseCounter(counter)
			if err != nil {
				return err
			}
			ev := record.Event{Type: record.EventMessage, Message: m.ID(), State: record.StateDelivered}
			if err := tx.Put(record.EventKey(c.NextEvent), ev.Marshal()); err != nil {
				return err
			}
			c.NextEvent++
			return tx.Put(record.CounterKey(), c.Marshal())
		})
		w.wantBroken("EventsDense")
	})
}

// someMessage returns the message at a place of the only conversation, with
// its index entry and its key.
func someMessage(tx *storage.Tx, at int) (rec *record.Message, m *message.Message, x *record.Index, key storage.Key, err error) {
	err = tx.Scan(record.MessageFamily(), nil, false, func(k storage.Key, v []byte) (bool, error) {
		if at--; at > 0 {
			return true, nil
		}
		key = slices.Clone(k)
		var err error
		if rec, err = record.ParseMessage(v); err == nil {
			m, err = contentOf(rec)
		}
		return false, err
	})
	if err != nil {
		return rec, m, x, key, err
	}
	b, err := tx.Get(record.IndexKey(m.ID()))
	if err == nil {
		x, err = record.ParseIndex(b)
	}
	return rec, m, x, key, err
}

// TestRestoredCopyComparesFirst puts a profile back and lets it write, much or
// little, and send before the sides have compared how far they were. Nothing is
// sealed before that, so nothing is taken for what the lost life sent.
func TestRestoredCopyComparesFirst(t *testing.T) {
	for _, writes := range []int{0, 2, 9} {
		t.Run(fmt.Sprint("writes ", writes), func(t *testing.T) {
			small(t, func(w *world, a, b *profile) {
				old := w.backUp(a)
				w.chat(a, b, 3)
				w.restore(old)
				for range writes {
					w.say(a, b, 0)
				}
				w.pickUp(a, b, 10)
				w.arrive(a, b, 10, calm)
				w.answer(a, b, 10, calm)
				w.settle()
				w.say(a, b, 0)
				w.settle()
				w.check(true)
			})
		})
	}
}

// TestRestoredCopyReplacesSession is the same when the other side has replaced
// the session meanwhile and dropped the old one: its counters then say nothing,
// and nothing may be sent in the old session.
func TestRestoredCopyReplacesSession(t *testing.T) {
	for _, atOnce := range []bool{true, false} {
		t.Run(fmt.Sprint("a bundle at once: ", atOnce), func(t *testing.T) {
			small(t, func(w *world, a, b *profile) {
				old := w.backUp(a)
				w.chat(a, b, 3)
				w.say(b, a, 0)
				ps, err := b.eng.Pending(a.account, 0, 1)
				w.must(err)
				time.Sleep(time.Minute)
				w.must(b.eng.Refused(w.ctx, a.account, a.device, ps[0].Seq, parcel.CodeUnknown))
				w.settle()
				if w.count["new sessions"] != 1 {
					w.fatal("control: %d new sessions", w.count["new sessions"])
				}
				w.night()
				b.restart()
				w.restore(old)
				w.must(a.eng.PeerCounters(w.ctx, b.device, b.eng.Counters(a.device)))
				if atOnce {
					w.rekey(a, b, 0)
				}
				w.say(a, b, 0)
				w.pickUp(a, b, 10)
				w.arrive(a, b, 10, calm)
				w.answer(a, b, 10, calm)
				w.settle()
				w.check(true)
			})
		})
	}
}
