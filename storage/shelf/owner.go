package shelf

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/dgraph-io/badger/v4"

	"rushlight/protocol/envelope"
	"rushlight/protocol/mailbox"
	"rushlight/protocol/stamp"
	"rushlight/protocol/suite"
)

// call is a job of an owner, who waits for it.
type call struct {
	fn    func(*group) error
	bytes int
	ended func(error)
}

func (c *call) size() int            { return 4096 + c.bytes }
func (c *call) apply(g *group) error { return c.fn(g) }
func (c *call) done(err error) {
	if c.ended != nil {
		c.ended(err)
	}
}

// do has fn run by the writer and returns when what it wrote is on the disk.
// fn returns an error only when it has written nothing.
func (s *Shelf) do(bytes int, fn func(*group) error) error {
	ended := make(chan error, 1)
	if err := s.submit(&call{fn: fn, bytes: bytes, ended: func(err error) { ended <- err }}); err != nil {
		return err
	}
	return <-ended
}

// refusal is an error that says what the owner is told.
func refusal(code mailbox.Code) error { return &mailbox.Err{Code: code} }

// Create makes the mailbox of an owner, or changes the lane and the quota of
// the one that is there. allowed is asked, once, whether a new one may be made,
// and its token, if it isn't zero, used up with it. Errors that are a
// *[mailbox.Err] are for the owner.
func (s *Shelf) Create(owner [32]byte, c *mailbox.Create, token [16]byte, allowed bool) (handle uint64, err error) {
	if c.Quota > s.o.Quota {
		return 0, refusal(mailbox.CodeTooBig)
	}
	quota := c.Quota
	if quota == 0 {
		quota = s.o.Quota
	}
	err = s.do(0, func(g *group) error {
		var b *box
		if raw := g.get(keyOwner(owner)); raw != nil {
			if handle, err = parseHandle(raw); err != nil {
				return err
			}
			b = g.box(handle)
		}
		if b == nil || b.closed {
			if !allowed || token != [16]byte{} && g.used(token) {
				return refusal(mailbox.CodeRefused)
			}
			b = g.newBox(owner)
			if token != [16]byte{} {
				g.set(keyToken(token), []byte{version}, 0)
			}
			handle = b.handle
			s.stats.mailboxes.Add(1)
		}
		if old := b.addr(); b.lane && (!c.Lane || b.nonce != c.LaneNonce) {
			g.delete(keyAddr(old))
		}
		b.lane, b.nonce, b.quota = c.Lane, c.LaneNonce, quota
		b.lease = g.newLease()
		g.saveAll(b)
		return nil
	})
	return handle, err
}

func (g *group) used(token [16]byte) bool { return g.get(keyToken(token)) != nil }

func (g *group) newBox(owner [32]byte) *box {
	var raw [8]byte
	for {
		suite.Random(raw[:])
		if h := binary.BigEndian.Uint64(raw[:]); g.get(keyBox(h)) == nil {
			b := &box{handle: h, pages: map[uint32]*stamp.Page{}, hot: hot{next: 1}}
			b.owner = owner
			suite.Random(b.log[:])
			g.s.boxes[h] = b
			return b
		}
	}
}

// newLease is the last day of one that begins today.
func (g *group) newLease() uint16 { return g.day.settled + g.s.o.Lease }

// saveAll writes everything but pages and envelopes, with a new lease.
func (g *group) saveAll(b *box) {
	g.saveFixed(b)
	g.saveHot(b)
	at := binary.BigEndian.AppendUint64(nil, b.handle)
	g.set(keyOwner(b.owner), at, 0)
	if b.lane {
		g.set(keyAddr(b.addr()), at, 0)
	}
}

// Login finds an owner's mailbox and renews its lease. found is false when
// there is none, or it was closed.
func (s *Shelf) Login(owner [32]byte) (handle uint64, found bool, err error) {
	return s.login(owner, true)
}

// Look is Login for an owner whose lease is to end: it isn't renewed.
func (s *Shelf) Look(owner [32]byte) (handle uint64, found bool, err error) {
	return s.login(owner, false)
}

func (s *Shelf) login(owner [32]byte, renew bool) (handle uint64, found bool, err error) {
	err = s.view(func(tx *badger.Txn) error {
		raw, err := get(tx, keyOwner(owner))
		if raw == nil || err != nil {
			return err
		}
		handle, err = parseHandle(raw)
		found = err == nil
		return err
	})
	if err != nil || !found {
		return 0, false, err
	}
	err = s.do(0, func(g *group) error {
		b := g.box(handle)
		if found = b != nil && !b.closed; found && renew && b.lease != g.newLease() {
			b.lease = g.newLease()
			g.saveAll(b)
		}
		return nil
	})
	return handle, found, err
}

// State says how a mailbox stands.
func (s *Shelf) State(handle uint64) (st mailbox.State, err error) {
	err = s.do(0, func(g *group) error {
		b := g.box(handle)
		if b == nil || b.closed {
			return nil
		}
		st = mailbox.State{
			Found: true, Log: s.logID(b), Next: b.next, First: b.next, Live: b.live, Quota: b.quota, Overflow: b.overflow,
			Lane: uint16(g.requests(b).live()), Lost: b.lost, LeaseDay: b.lease, Serial: b.serial, Batch: s.batch.Load(),
		}
		return nil
	})
	if err != nil || !st.Found {
		return mailbox.State{}, err
	}
	err = s.scan(handle, 0, func(seq uint64, _ []byte, value func() ([]byte, error)) (bool, error) {
		v, err := value()
		if err != nil || !s.day.Load().has(v) {
			return true, err
		}
		st.First = min(seq, st.Next)
		return false, nil
	})
	return st, err
}

const labelLog suite.Label = "rushlight/shelf/log/1"

// logID is what the owner sees: another one after the shelf has lost commits.
func (s *Shelf) logID(b *box) (id [16]byte) {
	h := suite.Hash(labelLog, b.log[:], s.global.epoch[:])
	copy(id[:], h[:])
	return id
}

// Mint makes stamps for a mailbox.
func (s *Shelf) Mint(handle uint64, class envelope.Class, count int) (first uint32, out []stamp.Stamp, err error) {
	keys, week := s.keys.Load(), stamp.WeekOf(s.Today())
	err = s.do(0, func(g *group) error {
		b := g.box(handle)
		if b == nil || b.closed {
			return refusal(mailbox.CodeUnknown)
		}
		most := uint64(stamp.MaxOutstanding)
		if class == envelope.L { // files leave some for messages
			most = stamp.MaxLarge
		}
		if uint64(b.outstanding(g.day.settled))+uint64(count) > most || uint64(b.serial)+uint64(count) > math.MaxUint32 {
			return refusal(mailbox.CodeTooBig)
		}
		first = b.mint(week, uint32(count), g.day.settled)
		g.saveFixed(b)
		return nil
	})
	if err != nil {
		return 0, nil, err
	}
	out = make([]stamp.Stamp, count)
	for i := range out {
		t := stamp.Ticket{Handle: handle, Serial: first + uint32(i), ExpDay: week.ExpDay(), Class: class}
		var ok bool
		if out[i], ok = keys.Mint(week, t); !ok {
			return 0, nil, ErrBusy // the week has just ended
		}
	}
	return first, out, nil
}

// Revoke takes back stamps of a mailbox and returns how many were unused.
func (s *Shelf) Revoke(handle uint64, ranges []mailbox.Range[uint32]) (count int, err error) {
	for _, r := range ranges {
		if r.To-r.From >= stamp.MaxOutstanding {
			return count, refusal(mailbox.CodeTooBig)
		}
		for from := uint64(r.From); from <= uint64(r.To); {
			// Some hundred pages with one commit.
			to := min(uint64(r.To), (from/stamp.PageSize+pagesAtOnce)*stamp.PageSize-1)
			n := 0
			err := s.do(pagesAtOnce*1024, func(g *group) error {
				b := g.box(handle)
				if b == nil || b.closed {
					return refusal(mailbox.CodeUnknown)
				}
				n = g.revoke(b, uint32(from), uint32(to))
				return nil
			})
			if err != nil {
				return count, err
			}
			count += n
			from = to + 1
		}
	}
	return count, nil
}

const pagesAtOnce = 128

func (g *group) revoke(b *box, from, to uint32) (count int) {
	if from >= b.serial {
		return 0 // not made yet
	}
	to = min(to, b.serial-1)
	first, _ := stamp.PageOf(from)
	last, _ := stamp.PageOf(to)
	for n := first; n <= last; n++ {
		page := g.page(b, n)
		if page == nil {
			return count
		}
		low, high := max(from, n*stamp.PageSize), min(to, n*stamp.PageSize+stamp.PageSize-1)
		if k := page.Revoke(uint8(low%stamp.PageSize), uint8(high%stamp.PageSize)); k > 0 {
			count += k
			g.change(b, n)
		}
	}
	return count
}

// Trim deletes envelopes of a mailbox by their numbers.
func (s *Shelf) Trim(handle uint64, ranges []mailbox.Range[uint64]) (out mailbox.Trimmed, err error) {
	for _, r := range ranges {
		for from, more := r.From, true; more; {
			var victims []victim
			if victims, more, err = s.victims(handle, from, r.To); err != nil {
				return out, err
			}
			if len(victims) == 0 {
				continue
			}
			from = victims[len(victims)-1].seq + 1
			n, err := s.remove(handle, victims)
			if err != nil {
				return out, err
			}
			out.Count += uint32(n)
		}
	}
	err = s.do(0, func(g *group) error {
		if b := g.box(handle); b != nil {
			out.Live = b.live
		}
		return nil
	})
	return out, err
}

// victim is an envelope to be deleted.
type victim struct {
	seq    uint64
	expDay uint16
	size   int
	lane   bool
}

// victims finds what stands between two numbers, up to a number of them.
func (s *Shelf) victims(handle, from, to uint64) (out []victim, more bool, err error) {
	const most = 2000
	after := from - 1
	if from == 0 {
		after = 0 // numbers begin at 1
	}
	day := s.day.Load()
	err = s.scan(handle, after, func(seq uint64, at []byte, value func() ([]byte, error)) (bool, error) {
		if seq > to {
			return false, nil
		}
		if more = len(out) == most; more {
			return false, nil
		}
		raw, err := value()
		if err != nil {
			return false, err
		}
		v := victim{seq: seq}
		if o, state := day.open(at, raw); state == intact {
			v.expDay, v.size, v.lane = uint16(raw[1])<<8|uint16(raw[2]), len(o.envelope), o.lane
		}
		out = append(out, v)
		return true, nil
	})
	return out, more, err
}

// remove deletes envelopes with one commit, and returns how many were there.
func (s *Shelf) remove(handle uint64, victims []victim) (n int, err error) {
	err = s.do(len(victims)*128, func(g *group) error {
		b := g.box(handle)
		if b == nil {
			return refusal(mailbox.CodeUnknown)
		}
		lane := false
		for _, v := range victims {
			at := keyEnv(handle, v.seq)
			if g.get(at) == nil {
				continue
			}
			g.delete(at)
			n++
			if v.size == 0 || v.expDay < g.day.settled {
				continue
			}
			g.s.global.days.add(v.expDay, -1, -int64(v.size))
			if v.lane {
				g.requests(b).gone(v.seq)
				lane = true
			} else {
				b.change(v.expDay, -1, -int64(v.size))
			}
		}
		if n > 0 {
			b.changed = true
		}
		if lane {
			g.saveLane(b)
		}
		return nil
	})
	return n, err
}

// Unsend deletes an envelope for whoever knows its cure and has the stamp with
// which it came (spec §12.3).
func (s *Shelf) Unsend(handle uint64, object, cure [16]byte) error {
	want := envelope.CureHash(cure)
	var found []victim
	day := s.day.Load()
	err := s.scan(handle, 0, func(seq uint64, at []byte, value func() ([]byte, error)) (bool, error) {
		raw, err := value()
		if err != nil {
			return false, err
		}
		o, state := day.open(at, raw)
		if state != intact || envelope.CureHashOf(o.envelope) != want || mailbox.Object(o.envelope) != object {
			return true, nil
		}
		found = []victim{{seq, uint16(raw[1])<<8 | uint16(raw[2]), len(o.envelope), o.lane}}
		return false, nil
	})
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return refusal(mailbox.CodeUnknown)
	}
	n, err := s.remove(handle, found)
	if err == nil && n == 0 {
		err = refusal(mailbox.CodeUnknown)
	}
	if err == nil {
		s.stats.unsent.Add(1)
	}
	return err
}

// CloseBox deletes a mailbox with everything in it. Its stamps are answered
// with moved for as long as a lease.
func (s *Shelf) CloseBox(handle uint64, moved []byte) error {
	err := s.do(0, func(g *group) error {
		b := g.box(handle)
		if b == nil || b.closed {
			return refusal(mailbox.CodeUnknown)
		}
		if b.lane {
			g.delete(keyAddr(b.addr()))
		}
		g.delete(keyOwner(b.owner))
		g.delete(keyLane(handle))
		b.closed, b.moved, b.lane = true, append([]byte(nil), moved...), false
		b.lease = g.newLease()
		g.saveFixed(b)
		g.saveHot(b)
		s.stats.mailboxes.Add(-1)
		return nil
	})
	if err != nil {
		return err
	}
	_, err = s.Trim(handle, []mailbox.Range[uint64]{{From: 0, To: math.MaxUint64}})
	return err
}

// countMailboxes counts those that aren't closed, until a sweep finds that their
// lease has ended.
func (s *Shelf) countMailboxes() error {
	n := int64(0)
	err := s.view(func(tx *badger.Txn) error {
		it := tx.NewIterator(badger.IteratorOptions{PrefetchValues: true, PrefetchSize: 1000, Prefix: []byte{famBox}})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			err := it.Item().Value(func(v []byte) error {
				f, err := parseFixed(v)
				if err == nil && !f.closed {
					n++
				}
				return err
			})
			if err != nil {
				return fmt.Errorf("counting mailboxes: %w", err)
			}
		}
		return nil
	})
	s.stats.mailboxes.Store(n)
	return err
}
