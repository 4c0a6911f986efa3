package mail

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"rushlight/node/engine"
	"rushlight/node/mailbox"
	"rushlight/protocol/envelope"
	wire "rushlight/protocol/mailbox"
	"rushlight/storage/shelf"
)

// stranger puts junk into the request lane of p's mailbox at a relay, worth so
// much work. It reports whether it was taken.
func (w *world) stranger(p *person, r *relay, effort uint32) bool {
	lane := wire.LaneAddr([32]byte(p.owner(r)), p.relayAt(r).Nonce)
	q := &wire.Request{Lane: lane, Day: uint16(time.Now().Unix() / 86400), Effort: effort, Envelope: junk(envelope.S)}
	object := wire.Object(q.Envelope)
	var err error
	q.Proof, err = mailbox.Work(w.ctx, wire.RequestChallenge(r.key, lane, q.Day, object), effort)
	w.must(err)
	if refused := r.shelf.CheckWork(q, object, 1); refused != nil {
		w.fatal("work is refused: %v", refused)
	}
	done := make(chan error, 1)
	d := &shelf.Deposit{Envelope: q.Envelope, Object: object, TTL: 14, Done: func(_ *shelf.Deposit, err error) { done <- err }}
	w.must(r.shelf.PutRequest(d, shelf.Request{Lane: lane, Effort: effort}))
	w.must(<-done)
	return d.Answer.Refused == nil
}

// Row 9: strangers flood the request lane. Contacts don't notice, and who has
// no stamp and works more than they do is heard. Package mailbox has the effort
// that a relay asks for.
func TestRow9StrangersFlood(t *testing.T) {
	row(t, func(w *world, a, b *person) {
		r := w.relays[0]
		for _, other := range w.relays[1:] {
			w.must(b.eng.RemoveRelay(w.ctx, other.key))
		}
		w.turn(0)
		w.turn(0)
		taken := 0
		for i := range 90 {
			if w.stranger(b, r, uint32(1+i%2)) {
				taken++
			}
		}
		if taken < 64 {
			w.fatal("control: %d requests were taken", taken)
		}
		w.say(a, b)
		a.serve(b, 0)
		b.take(r)
		if w.waits(w.notes[0]) {
			w.fatal("a contact's mail is held up by strangers")
		}
		// Without a stamp, and with a full lane.
		for _, class := range a.stampsFor(b, r) {
			for _, s := range class {
				r.put(s, junk(envelope.S))
			}
		}
		w.effort = 4
		w.say(a, b)
		for range 4 {
			a.serve(b, 0)
			w.pass(11 * time.Minute)
		}
		b.take(r)
		if w.waits(w.notes[1]) {
			w.fatal("more work does not help")
		}
		if w.count["requests for want of a stamp"] == 0 {
			w.fatal("control: there were stamps")
		}
	})
}

// Row 10: mailboxes and disks are full. The recipient learns how much was
// refused, the sender that it waits, and others' mail is not affected. Package
// shelf has disks that are full, or fail, at any call.
func TestRow10Full(t *testing.T) {
	row(t, func(w *world, a, b *person) {
		c := w.people[2]
		for _, r := range w.relays {
			m := b.relayAt(r)
			_, err := r.shelf.Create([32]byte(b.owner(r)), &wire.Create{Lane: true, LaneNonce: m.Nonce, Quota: 64 << 10}, [16]byte{}, true)
			w.must(err)
		}
		for range 60 {
			w.say(a, b)
		}
		a.serve(b, 0)
		if full, err := a.eng.NoRoom(b.account); err != nil || !full {
			w.fatal("the sender isn't told: %v, %v", full, err)
		}
		w.say(a, c)
		a.serve(c, 0)
		for _, r := range w.relays {
			c.take(r)
		}
		if w.waits(w.notes[60]) {
			w.fatal("other people's mail is affected")
		}
		w.turn(0) // now b is here
		refused := uint32(0)
		for _, r := range w.relays {
			refused += b.relayAt(r).Refused
			if c.relayAt(r).Refused != 0 {
				w.fatal("somebody else is told")
			}
		}
		if refused == 0 {
			w.fatal("the recipient isn't told")
		}
		for range 40 {
			w.pass(2 * time.Hour)
			w.turn(0)
		}
		for _, n := range w.notes {
			if w.waits(n) {
				w.fatal("%s is lost", n.label)
			}
		}
		if full, err := a.eng.NoRoom(b.account); err != nil || full {
			w.fatal("the sender isn't told that there is room: %v, %v", full, err)
		}
		for _, r := range w.relays {
			r.full = true // its disk
		}
		w.talk(2, time.Hour, 0)
		for _, r := range w.relays {
			r.full = false
		}
	})
}

// Row 11: devices are killed between any two things they do, and relays at any
// time. Packages storage and shelf have a kill inside a commit.
func TestRow11Kills(t *testing.T) {
	row(t, func(w *world, _, _ *person) {
		for i := range 10 {
			w.talk(1, 10*time.Minute, 50)
			w.relays[i%3].crash()
		}
		if w.count["clients killed"] < 5 || w.count["relays killed"] != 10 {
			w.fatal("control: %d clients were killed", w.count["clients killed"])
		}
	})
}

// Row 12: a device is put back to an older state. It notices when it meets
// somebody, and until then starts anew in keys that it can't have used: what it
// said before and says now is shown once. Package storage has torn writes.
func TestRow12OlderState(t *testing.T) {
	row(t, func(w *world, a, b *person) {
		w.talk(2, time.Hour, 0)
		before := w.copyOf(a.dir)
		for range 5 {
			w.say(a, b)
		}
		w.turn(0)
		w.turn(0)
		sent := len(w.notes)
		w.pass(time.Hour)
		a.moveTo(before)
		w.forgets = true
		missing := 0
		for _, n := range w.notes {
			if w.waits(n) {
				missing++
			}
		}
		if missing == 0 {
			w.fatal("control: nothing was forgotten")
		}
		for range 5 {
			w.say(a, b)
			w.say(a, w.people[2])
		}
		w.say(b, a)
		w.say(w.people[2], a)
		for range 20 {
			w.turn(0)
			w.pass(2 * time.Hour)
		}
		for _, n := range w.notes[:sent] {
			if w.waits(n) {
				w.fatal("%s of the life that is forgotten is gone", n.label)
			}
		}
	})
}

// Row 13: all relays die while the recipient is away for a month, and the
// sender, too. New ones are found through the beacon.
func TestRow13AllRelaysDie(t *testing.T) {
	row(t, func(w *world, a, b *person) {
		w.talk(2, time.Hour, 0)
		w.say(a, b)
		a.serve(b, 0)
		for _, r := range w.relays {
			r.die()
		}
		w.say(a, b)
		w.night(30 * 24 * time.Hour)
		for _, p := range w.people {
			w.must(p.eng.RemoveRelay(w.ctx, p.set()[0].Key))
			r := w.newRelay()
			p.host(r)
			_, err := p.collect(r, 0)
			w.must(err)
		}
		w.turn(0)
		w.night(25 * time.Hour)
		w.turn(0)
		w.lookUp()
		w.talk(2, time.Hour, 0)
	})
}

// Row 14: the recipient changes all its relays while the sender is away for 60
// days.
func TestRow14RelaysChange(t *testing.T) {
	row(t, func(w *world, a, b *person) {
		w.say(a, b)
		w.pass(time.Minute)
		for i := range 3 {
			w.must(b.eng.RemoveRelay(w.ctx, w.relays[i].key))
			r := w.newRelay()
			b.host(r)
			_, err := b.collect(r, 0)
			w.must(err)
			for range 3 { // a does nothing
				w.night(7 * 24 * time.Hour)
				for _, m := range b.eng.Mailboxes() {
					b.take(w.relayOf(m.Key))
				}
			}
		}
		for _, m := range b.eng.Mailboxes() {
			if w.relayOf(m.Key).n < 3 {
				w.fatal("control: relay %d is still there, leaving since %v", w.relayOf(m.Key).n, time.Unix(m.Leaving, 0))
			}
		}
		w.say(a, b)
	})
}

// Row 16: clocks are days apart, jump ahead and go back. Package shelf has the
// clocks of relays, and package engine what expires meanwhile.
func TestRow16Clocks(t *testing.T) {
	row(t, func(w *world, a, b *person) {
		a.ahead, b.ahead = 30*24*time.Hour, time.Hour
		a.crash()
		b.crash()
		w.talk(3, time.Hour, 0)
		for i, d := range []time.Duration{0, 3 * 24 * time.Hour, time.Hour, 29 * 24 * time.Hour, 0} {
			a.ahead, b.ahead = d, 30*24*time.Hour-d
			a.crash()
			b.crash()
			w.talk(1, 12*time.Hour, 0)
			w.night(time.Duration(i) * 12 * time.Hour)
		}
		a.ahead, b.ahead = 0, 0
	})
}

// Row 27: somebody who looks at a screen takes nothing from a queue, and as
// many deposits come as a relay takes. Nothing stands still: that would end
// this test, which is over when nobody can go on. Package shelf has a queue that
// is full, package api a client that never reads.
func TestRow27SlowReaders(t *testing.T) {
	row(t, func(w *world, _, b *person) {
		ctx, cancel := context.WithCancel(w.ctx)
		done := make(chan error, 4)
		for range cap(done) {
			go func() {
				done <- b.eng.Watch(ctx, 0, nil, func(engine.Event) error {
					<-ctx.Done()
					return ctx.Err()
				})
			}()
		}
		began := time.Now()
		w.talk(12, 0, 0)
		if passed := time.Since(began); passed > 5*time.Second {
			w.fatal("it took %v", passed)
		}
		cancel()
		for range cap(done) {
			if err := <-done; !errors.Is(err, context.Canceled) {
				w.fatal("a reader ended: %v", err)
			}
		}
		synctest.Wait()
	})
}
