package mail

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"testing/synctest"
	"time"

	"rushlight/node/engine"
	"rushlight/node/mailbox"
	"rushlight/protocol/envelope"
	wire "rushlight/protocol/mailbox"
	"rushlight/storage"
	"rushlight/storage/record"
)

// What node/post does, in the driver's one goroutine. Between any two things
// that it does the device may be killed: kill is how often in a thousand.

// host adds a relay at which p wants a mailbox.
func (p *person) host(r *relay) {
	p.w.must(p.eng.AddRelay(p.w.ctx, r.key, [][]byte{{4, 127, 0, 0, 1, 6, 0, byte(r.n)}}, nil))
	synctest.Wait()
}

func (w *world) relayOf(key [32]byte) *relay {
	for _, r := range w.relays {
		if r.key == key {
			return r
		}
	}
	w.fatal("a relay of nobody")
	return nil
}

// serve deposits what p has for q. It reports how many letters were answered,
// and false when p was killed.
func (p *person) serve(q *person, kill int) (answered int, alive bool) {
	w := p.w
	// What comes again at once without getting anywhere is left for later.
	for range 40 {
		letters, _, err := p.eng.Post(w.ctx, q.account, func(key [32]byte) bool {
			return time.Now().Before(p.away[key]) || time.Now().Before(p.noRoom[roomOf{key, q}])
		})
		w.must(err)
		if len(letters) == 0 {
			return answered, true
		}
		if p.dies(kill) {
			return answered, false
		}
		answers, n := p.deposit(letters, q)
		if p.dies(kill) {
			return answered, false
		}
		w.must(p.eng.Posted(w.ctx, q.account, answers))
		synctest.Wait()
		if answered += n; n == 0 {
			break
		}
	}
	return answered, true
}

// deposit brings letters to their relays.
func (p *person) deposit(letters []engine.Letter, q *person) (out []engine.Answer, answered int) {
	w := p.w
	byRelay := map[[32]byte][]*post{}
	var order [][32]byte
	posts := make([]*post, len(letters))
	for i, l := range letters {
		m := &wire.Deposit{TTL: 30, Receipt: true, Stamp: l.Stamp, Envelope: l.Envelope}
		if len(l.Envelope) == envelope.L.Size() {
			m.TTL = 14
		}
		posts[i] = &post{frame: m.Append(nil), err: errNoAnswer}
		if l.Lane != ([32]byte{}) {
			posts[i].request = w.request(&l)
			w.count["requests for want of a stamp"]++
		}
		if byRelay[l.Relay] == nil {
			order = append(order, l.Relay)
		}
		byRelay[l.Relay] = append(byRelay[l.Relay], posts[i])
	}
	for _, key := range order {
		if r := w.relayOf(key); r.reachable() {
			r.deposit(byRelay[key])
		} else {
			p.away[key] = time.Now().Add(5 * time.Minute)
		}
	}
	for i, l := range letters {
		code := uint8(engine.NoAnswer)
		e := new(wire.Err)
		switch err := posts[i].err; {
		case err == nil:
			code = 0
			answered++
			p.noteAck(l, q)
		case errors.As(err, &e):
			code = uint8(e.Code)
			answered++
			until := time.Now().Add(max(time.Second, time.Duration(min(e.RetryAfter, 3600))*time.Second))
			if e.Code == wire.CodeFull {
				p.noRoom[roomOf{l.Relay, q}] = until
				w.count["told that there is no room"]++
			}
			if e.Code == wire.CodeBusy {
				p.away[l.Relay] = until
			}
		}
		w.count["deposits"]++
		if verbose {
			w.log("  %d for %d: entry %d of %d bytes at relay %d: %v", p.n, q.n, l.Seq, len(l.Envelope), w.relayOf(l.Relay).n, posts[i].err)
		}
		out = append(out, engine.Answer{Seq: l.Seq, Relay: l.Relay, Code: code})
	}
	return out, answered
}

// request does the work for a request.
func (w *world) request(l *engine.Letter) []byte {
	q := &wire.Request{Receipt: true, Lane: l.Lane, Day: uint16(time.Now().Unix() / 86400), Effort: max(w.effort, 1), Envelope: l.Envelope}
	var err error
	q.Proof, err = mailbox.Work(w.ctx, wire.RequestChallenge(l.Relay, l.Lane, q.Day, wire.Object(l.Envelope)), q.Effort)
	w.must(err)
	return q.Append(nil)
}

// noteAck remembers which relay has acknowledged which message.
func (p *person) noteAck(l engine.Letter, q *person) {
	if !p.w.watchAcks {
		return
	}
	p.w.must(p.store.View(func(tx *storage.Tx) error {
		b, err := tx.Get(record.OutboxKey(tx, q.account, l.Seq))
		if errors.Is(err, storage.ErrNotFound) {
			return nil // what it delivered has expired, or was sealed anew
		}
		if err != nil {
			return err
		}
		o, err := record.ParseOutbox(b)
		if err != nil {
			return err
		}
		if n := p.w.ids[o.Message]; n != nil {
			n.acked[p.w.relayOf(l.Relay)] = time.Now()
		}
		return nil
	}))
}

// leaveFor is for how long a relay that was given up is still looked at.
const leaveFor = time.Hour

var errClosed = errors.New("mail: the mailbox was given up")

// errKilled says that the device is gone.
var errKilled = errors.New("mail: killed")

// collect empties p's mailbox at a relay. It returns how much was taken.
func (p *person) collect(r *relay, kill int) (taken int, err error) {
	w := p.w
	w.must(p.eng.RelayAnswered(w.ctx, r.key, r.reachable()))
	if !r.reachable() {
		return 0, errNoAnswer
	}
	m := p.relayAt(r)
	if m == nil {
		return 0, nil
	}
	handle, err := p.login(r, m, kill)
	if err != nil {
		return 0, err
	}
	letter := p.canary(r)
	var seqs, own []uint64
	var envs [][]byte
	got, next := r.fetch(handle, 0)
	for _, e := range got {
		if letter != nil && string(e.Envelope) == string(letter.Envelope) {
			own = append(own, e.Seq)
			continue
		}
		seqs, envs = append(seqs, e.Seq), append(envs, e.Envelope)
	}
	if letter != nil {
		w.must(p.eng.CanaryCame(w.ctx, r.key, len(own) > 0, nil))
		_, err := r.shelf.Trim(handle, wire.RangesOf(own))
		w.must(err)
	}
	if w.faults.trimFirst {
		_, err := r.shelf.Trim(handle, wire.RangesOf(seqs))
		w.must(err)
	}
	for again := true; again && len(envs) > 0; {
		// What isn't recognised is looked at again after what came with it.
		again = false
		if p.dies(kill) {
			return taken, errKilled
		}
		var done []uint64
		var leftSeqs []uint64
		var left [][]byte
		for lo := 0; lo < len(envs); lo += 128 {
			hi := min(lo+128, len(envs))
			for i, res := range p.eng.Collect(w.ctx, r.key, envs[lo:hi], nil) {
				if verbose && (res.Err != nil || len(envs[lo+i]) > 20000) {
					w.log("  %d at relay %d: %d of %d bytes: %v", p.n, r.n, seqs[lo+i], len(envs[lo+i]), res.Err)
				}
				if res.Err == nil {
					done = append(done, seqs[lo+i])
					continue
				}
				leftSeqs, left = append(leftSeqs, seqs[lo+i]), append(left, envs[lo+i])
			}
		}
		synctest.Wait()
		taken += len(done)
		seqs, envs = leftSeqs, left
		if len(done) == 0 {
			break
		}
		p.owes = true
		again = true
		if p.dies(kill) {
			return taken, errKilled
		}
		w.must(p.eng.MailboxRead(w.ctx, r.key, next))
		if p.dies(kill) {
			return taken, errKilled
		}
		if !w.chance(r.lies.keep) {
			for ranges := range slices.Chunk(wire.RangesOf(done), wire.MaxRanges) {
				_, err := r.shelf.Trim(handle, ranges)
				w.must(err)
			}
		}
	}
	w.count["collected"] += taken
	if m.Leaving != 0 {
		return taken, nil
	}
	return taken, p.mint(r, handle)
}

// canary leaves a letter to oneself, once a day.
func (p *person) canary(r *relay) *engine.Canary {
	w := p.w
	m := p.relayAt(r)
	if m == nil || !m.Ready || m.Leaving != 0 || time.Since(time.Unix(m.Canary, 0)) < 20*time.Hour {
		return nil
	}
	c, err := p.eng.Canary(w.ctx, r.key)
	w.must(err)
	if c == nil {
		return nil
	}
	x := &post{frame: (&wire.Deposit{TTL: 30, Receipt: true, Stamp: c.Stamp, Envelope: c.Envelope}).Append(nil), err: errNoAnswer}
	r.deposit([]*post{x})
	e := new(wire.Err)
	if errors.As(x.err, &e) && (e.Code == wire.CodeFull || e.Code == wire.CodeBusy) {
		return nil // nothing follows from that
	}
	w.count["letters to oneself"]++
	return c
}

// relayAt is p's mailbox at a relay; nil when there is none.
func (p *person) relayAt(r *relay) *record.Relay {
	all := p.eng.Mailboxes()
	if i := slices.IndexFunc(all, func(m record.Relay) bool { return m.Key == r.key }); i >= 0 {
		return &all[i]
	}
	return nil
}

// login is what opens an owner's stream.
func (p *person) login(r *relay, m *record.Relay, kill int) (handle uint64, err error) {
	w := p.w
	owner := [32]byte(ed25519.NewKeyFromSeed(m.Seed[:]).Public().(ed25519.PublicKey))
	handle, found, err := r.shelf.Login(owner)
	w.must(err)
	if m.Leaving != 0 {
		if over := time.Since(time.Unix(m.Leaving, 0)) > leaveFor; !found || over {
			if found {
				w.must(r.shelf.CloseBox(handle, nil))
			}
			w.must(p.eng.MailboxClosed(w.ctx, r.key))
			return 0, errClosed
		}
		return handle, nil
	}
	if !found {
		handle, err = r.shelf.Create(owner, &wire.Create{Lane: true, LaneNonce: m.Nonce}, [16]byte{}, true)
		w.must(err)
	}
	if p.dies(kill) {
		return 0, errKilled
	}
	state, err := r.shelf.State(handle)
	w.must(err)
	if found && r.old != nil && w.chance(r.lies.stale) {
		state.Next = 1 + uint64(w.rng.IntN(int(state.Next)))
	}
	w.must(p.eng.MailboxRefused(w.ctx, r.key, state.Overflow, state.Lost))
	lost, err := p.eng.MailboxMade(w.ctx, r.key, state.Log, state.Next-1)
	w.must(err)
	if lost {
		w.count["losses noticed"]++
	}
	if err := p.mint(r, handle); err != nil {
		return 0, err
	}
	if !m.Ready || lost {
		w.must(p.eng.Announce(w.ctx, lost))
	}
	synctest.Wait()
	if p.dies(kill) {
		return 0, errKilled
	}
	return handle, nil
}

// mint fills up the pool of stamps.
func (p *person) mint(r *relay, handle uint64) error {
	short, err := p.eng.Short(r.key)
	if err != nil {
		return err
	}
	for i, n := range short {
		if n == 0 {
			continue
		}
		first, stamps, err := r.shelf.Mint(handle, engine.ClassOf(i), n)
		if err != nil {
			return err
		}
		if err := p.eng.AddStamps(p.w.ctx, r.key, engine.ClassOf(i), first, stamps); err != nil {
			return err
		}
	}
	synctest.Wait()
	return nil
}

// acknowledge sends the acknowledgements that were gathered.
func (p *person) acknowledge() {
	if !p.owes {
		return
	}
	p.owes = false
	all, err := p.eng.Owes()
	p.w.must(err)
	for _, a := range all {
		p.w.must(p.eng.Acknowledge(p.w.ctx, a))
	}
	synctest.Wait()
}
