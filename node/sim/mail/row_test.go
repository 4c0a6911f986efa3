package mail

import (
	"crypto/ed25519"
	"errors"
	"time"

	"rushlight/protocol/envelope"
	wire "rushlight/protocol/mailbox"
	"rushlight/protocol/stamp"
	"rushlight/protocol/suite"
	"rushlight/storage"
	"rushlight/storage/record"
	"rushlight/storage/shelf"
)

// turn lets everybody fetch, acknowledge and deposit once.
func (w *world) turn(kill int) {
	for _, p := range w.people {
		for _, m := range p.eng.Mailboxes() {
			if _, err := p.collect(w.relayOf(m.Key), kill); err != nil {
				w.log("%v", err) // it is down, or p was killed
			}
		}
		p.acknowledge()
		for _, q := range w.people {
			if p != q {
				p.serve(q, kill)
			}
		}
	}
}

// talk lets everybody write to everybody, so many times, with a while between.
func (w *world) talk(times int, while time.Duration, kill int) {
	for range times {
		w.step++
		for _, p := range w.people {
			for _, q := range w.people {
				if p != q {
					w.say(p, q)
				}
			}
		}
		w.turn(kill)
		w.pass(while)
	}
}

// did is the control that relays have done what a row is about.
func (w *world) did(all ...string) {
	for _, what := range all {
		if w.count[what] == 0 {
			w.fatal("control: nothing was %s", what)
		}
	}
}

// waits reports whether a text is not with its recipient yet.
func (w *world) waits(n *note) bool {
	for _, v := range w.people[n.to].shows(w.people[n.from]) {
		if labelOf(v) == n.label {
			return false
		}
	}
	return true
}

// junk is an envelope that belongs to nobody.
func junk(c envelope.Class) []byte {
	out := make([]byte, c.Size())
	suite.Random(out)
	return out
}

// put deposits an envelope with a stamp as anybody can. It returns what the
// relay refuses it for, 0 when it doesn't, and whether it was there.
func (r *relay) put(s stamp.Stamp, env []byte) (code wire.Code, dup bool) {
	r.w.t.Helper()
	ticket, refused := r.shelf.OpenStamp(&s)
	if refused != nil {
		return refused.Code, false
	}
	done := make(chan error, 1)
	d := &shelf.Deposit{
		Ticket: ticket, Envelope: env, Object: wire.Object(env), TTL: 14,
		Done: func(_ *shelf.Deposit, err error) { done <- err },
	}
	r.w.must(r.shelf.Put(d))
	r.w.must(<-done)
	if d.Answer.Refused != nil {
		return d.Answer.Refused.Code, false
	}
	return 0, d.Answer.Dup
}

// take empties p's mailbox at a relay, if that answers.
func (p *person) take(r *relay) {
	if _, err := p.collect(r, 0); err != nil {
		p.w.log("%v", err)
	}
}

// owner is the public key of p's mailbox at a relay.
func (p *person) owner(r *relay) ed25519.PublicKey {
	return ed25519.NewKeyFromSeed(p.relayAt(r).Seed[:]).Public().(ed25519.PublicKey)
}

// handle is that of p's mailbox at a relay.
func (p *person) handle(r *relay) uint64 {
	p.w.t.Helper()
	h, found, err := r.shelf.Login([32]byte(p.owner(r)))
	p.w.must(err)
	if !found {
		p.w.fatal("%d has no mailbox at relay %d", p.n, r.n)
	}
	return h
}

// records counts what is in p's store.
func (p *person) records() (n int) {
	p.w.t.Helper()
	p.w.must(p.store.View(func(tx *storage.Tx) error {
		for f := 0x10; f <= 0xff; f++ {
			if err := tx.ScanKeys(storage.Key{byte(f)}, nil, false, func(storage.Key) (bool, error) {
				n++
				return true, nil
			}); err != nil {
				return err
			}
		}
		return nil
	}))
	return n
}

// orNil is a record, or nil when there is none.
func orNil(b []byte, err error) ([]byte, error) {
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	return b, err
}

// stampsFor are those that p holds for q's mailbox at a relay, by class.
func (p *person) stampsFor(q *person, r *relay) (out [3][]stamp.Stamp) {
	p.w.t.Helper()
	p.w.must(p.store.View(func(tx *storage.Tx) error {
		x, err := record.LoadPlaces(tx, q.account, func(k storage.Key) ([]byte, error) { return orNil(tx.Get(k)) })
		if err != nil {
			return err
		}
		for _, place := range x.Relays {
			if place.Key == r.key {
				out = place.Stamps
			}
		}
		return nil
	}))
	return out
}

// revoke takes back at a relay what p wants to have taken back.
func (p *person) revoke(r *relay) {
	w := p.w
	serials, err := p.eng.Revocations(r.key)
	w.must(err)
	if len(serials) == 0 {
		w.fatal("control: nothing to take back")
	}
	_, err = r.shelf.Revoke(p.handle(r), serials)
	w.must(err)
	w.must(p.eng.RevocationsDone(w.ctx, r.key, serials))
}
