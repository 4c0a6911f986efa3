package shelf

import (
	"rushlight/protocol/envelope"
	"rushlight/protocol/mailbox"
	"rushlight/protocol/pow"
	"rushlight/protocol/receipt"
	"rushlight/protocol/stamp"
	"rushlight/protocol/suite"
)

// Answer is what became of a deposit.
type Answer struct {
	// Refused is why nothing was stored, with what the sender is told; nil
	// when it was, or was there before.
	Refused *mailbox.Err
	ExpDay  uint16
	Dup     bool
	Receipt *receipt.Receipt
}

// Deposit is an envelope on its way into a mailbox. Done is called by the
// writer after the commit, with Answer set, or with an error that means that
// it isn't known whether the envelope was stored. It must not block.
type Deposit struct {
	Ticket   stamp.Ticket
	Envelope []byte
	Object   [16]byte
	TTL      uint8
	Receipt  bool
	Answer   Answer
	Done     func(*Deposit, error)

	request *Request
}

// Request is what a stranger's deposit has in place of a stamp.
type Request struct {
	Lane   [32]byte
	Effort uint32
}

// OpenStamp returns what a stamp is for, or why it is refused.
func (s *Shelf) OpenStamp(st *stamp.Stamp) (stamp.Ticket, *mailbox.Err) {
	t, err := s.keys.Load().Open(st)
	if err != nil || t.ExpDay < s.day.Load().settled {
		return stamp.Ticket{}, &mailbox.Err{Code: mailbox.CodeExpired}
	}
	return t, nil
}

// CheckWork verifies what a request has done, but not whether it is enough for
// its lane (spec §12.4).
func (s *Shelf) CheckWork(q *mailbox.Request, object [16]byte, least uint32) *mailbox.Err {
	today := s.Today()
	if q.Day+1 < today || q.Day > today+1 {
		return &mailbox.Err{Code: mailbox.CodeTime, Extra: mailbox.TimeExtra(s.o.time.now())}
	}
	if q.Effort < least {
		return &mailbox.Err{Code: mailbox.CodeEffort, Extra: mailbox.EffortExtra(least)}
	}
	if !pow.Verify(mailbox.RequestChallenge(s.Relay(), q.Lane, q.Day, object), q.Proof, q.Effort) {
		return &mailbox.Err{Code: mailbox.CodeRefused}
	}
	return nil
}

// Put queues a deposit whose stamp was opened with [Shelf.OpenStamp].
func (s *Shelf) Put(d *Deposit) error { return s.submit(d) }

// PutRequest queues a request whose work was checked with [Shelf.CheckWork].
func (s *Shelf) PutRequest(d *Deposit, q Request) error {
	d.request = &q
	return s.submit(d)
}

func (d *Deposit) size() int { return len(d.Envelope) + 2048 }

func (d *Deposit) done(err error) { d.Done(d, err) }

func refuse(d *Deposit, code mailbox.Code, extra []byte) error {
	d.Answer.Refused = &mailbox.Err{Code: code, Extra: extra}
	return nil
}

func (d *Deposit) apply(g *group) error {
	if d.request != nil {
		return d.applyRequest(g)
	}
	t := d.Ticket
	class, err := envelope.ParseClass(len(d.Envelope))
	if err != nil || class != t.Class {
		return refuse(d, mailbox.CodeClass, nil)
	}
	b := g.box(t.Handle)
	switch {
	case t.ExpDay < g.day.settled:
		return refuse(d, mailbox.CodeExpired, nil)
	case b == nil:
		return refuse(d, mailbox.CodeGone, nil)
	case b.closed:
		return refuse(d, mailbox.CodeGone, b.moved)
	case t.Serial >= b.serial:
		return refuse(d, mailbox.CodeExpired, nil) // of a life that the relay lost
	}
	n, slot := stamp.PageOf(t.Serial)
	page := g.page(b, n)
	if page == nil {
		return nil // g.err says why
	}
	switch verdict, expDay := page.Judge(slot, d.Object, g.day.today); verdict {
	case stamp.Spent:
		return refuse(d, mailbox.CodeSpent, nil)
	case stamp.Retry:
		d.Answer.ExpDay, d.Answer.Dup = expDay, true
		g.receipt(d)
		return nil
	case stamp.Unused:
	}
	if !g.fits(b, len(d.Envelope)) {
		g.overflow(b)
		d.Answer.Refused = &mailbox.Err{Code: mailbox.CodeFull, RetryAfter: retryFull}
		return nil
	}
	expDay := g.lastDay(d.TTL, class)
	page.Spend(slot, d.Object, g.day.today, expDay)
	g.change(b, n)
	g.store(b, d, expDay, 0)
	b.change(expDay, 1, int64(len(d.Envelope)))
	g.s.global.days.add(expDay, 1, int64(len(d.Envelope)))
	return nil
}

// retryFull is when a sender tries again at a mailbox without room, in seconds.
const retryFull = 3600

// lastDay is how long an envelope is kept.
func (g *group) lastDay(ttl uint8, class envelope.Class) uint16 {
	most := g.s.o.TTL
	if class == envelope.L {
		most = min(most, maxTTLLarge)
	}
	return g.day.today + uint16(max(1, min(ttl, most)))
}

// fits reports whether there is room in the mailbox and in the whole shelf.
// When the shelf is nearly full, a mailbox may hold its equal part of it: what
// others fill doesn't take that away.
func (g *group) fits(b *box, size int) bool {
	s := g.s
	capacity, live := s.o.capacity(), g.live()
	need := uint64(size)
	if !g.room || b.live+need > b.quota || live+need > capacity {
		return false
	}
	if live+need > capacity/10*9 {
		return b.live+need <= capacity/uint64(max(1, s.stats.mailboxes.Load()))
	}
	return true
}

// live is the bytes of all mailboxes, with what this commit has added so far.
func (g *group) live() uint64 {
	_, bytes := g.s.global.days.total()
	return bytes
}

// overflow counts a refusal. The first is written with the next commit; the
// rest waits for one, or for the end.
func (g *group) overflow(b *box) {
	if b.overflow++; b.overflow == 0 {
		b.overflow--
	}
	g.s.stats.refused.Add(1)
	if b.overflow == 1 && g.room {
		b.changed = true
		g.writes++
	}
	b.unsaved = true
}

// store writes the envelope as the next of its mailbox.
func (g *group) store(b *box, d *Deposit, expDay uint16, flags uint8) (seq uint64) {
	seq = b.next
	b.next++
	at := keyEnv(b.handle, seq)
	g.set(at, seal(g.day.keys[expDay], at, expDay, g.day.today, flags, d.Envelope), expDay)
	g.s.stats.deposits.Add(1)
	g.s.stats.bytesIn.Add(int64(len(d.Envelope)))
	d.Answer.ExpDay = expDay
	g.receipt(d)
	g.stored = append(g.stored, b.handle)
	return seq
}

func (g *group) receipt(d *Deposit) {
	if d.Receipt {
		g.leaves = append(g.leaves, receipt.Leaf(d.Object, envelope.TagOf(d.Envelope)))
		g.receipts = append(g.receipts, d)
	}
}

// applyRequest puts a stranger's envelope into a lane. It takes nothing of the
// mailbox's quota; when the lane is full, the one with the least work goes.
func (d *Deposit) applyRequest(g *group) error {
	raw := g.get(keyAddr(d.request.Lane))
	if raw == nil {
		return refuse(d, mailbox.CodeUnknown, nil)
	}
	handle, err := parseHandle(raw)
	if err != nil {
		return err
	}
	b := g.box(handle)
	if b == nil || b.closed || !b.lane || b.addr() != d.request.Lane {
		return refuse(d, mailbox.CodeUnknown, nil)
	}
	l := g.requests(b)
	if e := l.find(d.Object); e != nil {
		d.Answer.ExpDay, d.Answer.Dup = e.expDay, true
		g.receipt(d)
		return nil
	}
	if !g.room || g.live()+uint64(len(d.Envelope)) > g.s.o.capacity() {
		g.overflow(b)
		d.Answer.Refused = &mailbox.Err{Code: mailbox.CodeFull, RetryAfter: retryFull}
		return nil
	}
	if l.live() >= g.s.o.Lane {
		least := l.least()
		if d.request.Effort <= least.effort {
			return refuse(d, mailbox.CodeEffort, mailbox.EffortExtra(above(least.effort)))
		}
		least.live = false
		b.lost++
		g.delete(keyEnv(b.handle, least.seq))
		g.s.global.days.add(least.expDay, -1, -int64(least.size))
		g.s.stats.displaced.Add(1)
	}
	expDay := g.lastDay(maxTTLLarge, envelope.S)
	seq := g.store(b, d, expDay, flagLane)
	l.entries = append(l.entries, laneEntry{
		seq: seq, effort: d.request.Effort, day: g.day.today, expDay: expDay,
		size: uint32(len(d.Envelope)), object: [8]byte(d.Object[:8]), live: true,
	})
	g.s.global.days.add(expDay, 1, int64(len(d.Envelope)))
	b.changed = true
	g.writes++
	g.saveLane(b)
	return nil
}

// opened is one envelope read back.
type opened struct {
	day      uint16
	lane     bool
	envelope []byte
}

// condition is what became of a stored envelope.
type condition uint8

const (
	intact  condition = iota
	passed            // its day has
	damaged           // it isn't what was written
)

// open reads a value.
func (s *dayState) open(at, value []byte) (o opened, c condition) {
	if len(value) < clearHead+suite.BoxOverhead+sealedHead || value[0] != version {
		return o, damaged
	}
	expDay := uint16(value[1])<<8 | uint16(value[2])
	key := s.keys[expDay]
	if key == nil {
		return o, passed
	}
	plain, err := suite.OpenBox(nil, key[:], sealedTo(at, expDay), value[clearHead:])
	if err != nil {
		return o, damaged
	}
	return opened{day: uint16(plain[0])<<8 | uint16(plain[1]), lane: plain[2]&flagLane != 0, envelope: plain[sealedHead:]}, intact
}
