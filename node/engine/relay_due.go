package engine

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// maxLetters bounds how many entries of one contact are deposited at once.
const maxLetters = 64

// toPost is an outbox entry, and how far its deposit has come.
type toPost struct {
	seq uint64
	o   *record.Outbox
	d   *record.Posted
}

// dueNext lists what is to be deposited for a contact now, in order; and whether a
// question for stamps waits, and when the next entry is due. Where stamps of a
// class have run out, what brings some goes first: the request lanes, which
// may be open, take little.
func (t *txn) dueNext(a identity.AccountID, p *record.Places, lanes bool) (all []toPost, asks bool, again time.Time, err error) {
	chain, err := t.chain(a)
	if err != nil {
		return nil, false, again, err
	}
	s, err := t.current(a)
	if err != nil {
		return nil, false, again, err
	}
	none := func(class int) bool {
		return !slices.ContainsFunc(p.Relays, func(x record.Place) bool { return len(x.Stamps[class]) > 0 })
	}
	starved := none(0) || none(1)
	far := none(0) && (lanes || !none(1)) // nothing but a way to stamps can go
	var ways []toPost
	err = t.Scan(record.OutboxPrefix(t, a), record.OutboxKey(t, a, chain.Pending), false, func(k storage.Key, v []byte) (bool, error) {
		o, err := record.ParseOutbox(v)
		if err != nil {
			return false, fmt.Errorf("reading the outbox: %w", err)
		}
		seq := record.OutboxSeq(k)
		asks = asks || o.Kind != record.OutboxFirst && kindOf(o) == message.KindLow
		if o.Kind == record.OutboxUnsealed {
			return true, nil
		}
		d, err := t.posting(a, seq)
		if err != nil {
			return false, err
		}
		if due := time.Unix(d.Due, 0); d.Due != 0 && due.After(t.now) {
			if again.IsZero() || due.Before(again) {
				again = due
			}
			return true, nil
		}
		switch {
		case starved && opensWay(o):
			ways = append(ways, toPost{seq, o, d})
		case len(all) < maxLetters:
			all = append(all, toPost{seq, o, d})
		}
		if len(all)+len(ways) >= maxLetters {
			again = t.now
		}
		return len(ways) < 2*maxLetters && (far || len(all)+len(ways) < maxLetters), nil
	})
	all = append(inOrder(ways, s), all...)
	return all[:min(len(all), maxLetters)], asks, again, err
}

// opensWay reports whether an entry has to arrive before a contact can send
// stamps, or brings it some, so that it can say what came: a new session,
// stamps, or the question for them.
func opensWay(o *record.Outbox) bool {
	return o.Kind == record.OutboxFirst || kindOf(o) == message.KindLow || kindOf(o) == message.KindRelays
}

// kindOf is the kind of an entry that is no message; 0 for others.
func kindOf(o *record.Outbox) message.Kind {
	if len(o.Packet) == 0 {
		return 0
	}
	return message.Kind(o.Packet[0])
}

// inOrder sorts what opens a way: the flight of the session that everything is
// sealed in, the most stamps, the question for some, other stamps, other
// flights.
func inOrder(ways []toPost, current *session) []toPost {
	slices.SortStableFunc(ways, func(x, y toPost) int {
		return cmp.Compare(stampBytes(y.o), stampBytes(x.o))
	})
	var most *record.Outbox
	if len(ways) > 0 && stampBytes(ways[0].o) > 0 {
		most = ways[0].o
	}
	rank := func(o *record.Outbox) int {
		switch {
		case o.Kind == record.OutboxFirst && current != nil && o.Session == current.ID:
			return 0
		case o == most:
			return 1
		case o.Kind == record.OutboxFirst:
			return 4
		case kindOf(o) == message.KindLow:
			return 2
		}
		return 3
	}
	slices.SortStableFunc(ways, func(x, y toPost) int { return cmp.Compare(rank(x.o), rank(y.o)) })
	return ways
}

// stampBytes is how large a packet is that brings stamps; 0 for others.
func stampBytes(o *record.Outbox) int {
	if o.Kind == record.OutboxFirst || kindOf(o) != message.KindRelays {
		return 0
	}
	return len(o.Packet)
}

// posting is how far an entry has come; one that is due again starts anew.
func (t *txn) posting(a identity.AccountID, seq uint64) (*record.Posted, error) {
	d := &record.Posted{Account: a, Seq: seq}
	if !t.e.posted[outboxEntry{a, seq}] {
		return d, nil
	}
	b, err := t.get(record.PostedKey(t, a, seq))
	if err != nil || b == nil {
		return d, err
	}
	if d, err = record.ParsePosted(b); err != nil {
		return nil, fmt.Errorf("reading a deposit: %w", err)
	}
	return d, nil
}

func (t *txn) putPosting(d *record.Posted) error {
	t.e.posted[outboxEntry{d.Account, d.Seq}] = true
	return t.put(record.PostedKey(t, d.Account, d.Seq), d.Marshal())
}

// unpost forgets the deposits of an entry that leaves the outbox.
func (t *txn) unpost(a identity.AccountID, seq uint64) error {
	if !t.e.posted[outboxEntry{a, seq}] {
		return nil
	}
	d, err := t.posting(a, seq)
	if err != nil {
		return err
	}
	o, err := t.outbox(record.OutboxKey(t, a, seq))
	if err != nil {
		return err
	}
	if o != nil && slices.ContainsFunc(d.Copies, func(c record.Copy) bool { return !c.Stored }) {
		p, err := t.places(a)
		if err != nil {
			return err
		}
		if err := giveBack(p, d, o); err != nil {
			return err
		}
		t.putPlaces(p)
	}
	t.after = append(t.after, func() { delete(t.e.posted, outboxEntry{a, seq}) })
	return t.del(record.PostedKey(t, a, seq))
}
