package engine

import (
	"fmt"
	"slices"

	"rushlight/protocol/envelope"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// enqueue puts a packet for an account into the outbox: sealed in the current
// session, or waiting for the first one, or, after a start, until the other
// side has said how far the session had come (spec §8.4). A logged message is named by its id;
// a control packet has none and is kept itself. The entry is gone with the
// message, by its leaf and its deadline in unix milliseconds. Its number is
// returned.
func (t *txn) enqueue(a identity.AccountID, packet []byte, id message.ID, expires int64, leaf storage.Leaf) (uint64, error) {
	o := &record.Outbox{Message: id}
	if id == (message.ID{}) {
		o.Packet = packet
	}
	return t.enqueueEntry(a, o, packet, expires, leaf)
}

// enqueueEntry is enqueue for an entry of which it is known what it delivers.
func (t *txn) enqueueEntry(a identity.AccountID, o *record.Outbox, packet []byte, expires int64, leaf storage.Leaf) (uint64, error) {
	c, err := t.chain(a)
	if err != nil {
		return 0, err
	}
	o.Kind, o.Made = record.OutboxUnsealed, t.now.Unix()
	s, err := t.current(a)
	if err != nil {
		return 0, err
	}
	if s != nil && t.e.compared[s.ID] {
		f, fold := &freshEntry{seq: c.LastOutbox + 1, entry: o, expires: expires}, &t.e.scratch.folded
		payload := &t.e.scratch.payload
		kept, whole := t.e.fresh.room(a)
		if kept {
			fold = new([]byte)
		}
		if kept && whole {
			payload = &f.payload
		}
		if err := t.seal(o, s, c, packet, payload, fold); err != nil {
			return 0, err
		}
		t.freshen(a, f, kept)
	}
	return t.putOutbox(a, c, o, expires, leaf)
}

// putOutbox adds an entry: one that delivers a message under the message's
// leaf, others as states of the store.
func (t *txn) putOutbox(a identity.AccountID, c *chain, o *record.Outbox, expires int64, leaf storage.Leaf) (uint64, error) {
	c.LastOutbox++
	c.dirty = true
	t.queued++
	t.wake[a] = struct{}{}
	k := record.OutboxKey(t, a, c.LastOutbox)
	b := o.Append(t.e.scratch.record[:0])
	t.e.scratch.record = b
	if o.Message == (message.ID{}) {
		return c.LastOutbox, t.put(k, b)
	}
	return c.LastOutbox, t.putErasable(k, b, expires, leaf)
}

// seal encrypts a packet in a session and fills in an outbox entry (spec
// §7.4): a content key goes through the ratchet, the packet under the content
// key, both into an envelope of one of three sizes. The payload goes into the
// room of one, and folded into that of another, which the entry refers to.
func (t *txn) seal(o *record.Outbox, s *session, c *chain, packet []byte, payload, folded *[]byte) error {
	class, err := envelope.ClassForBody(len(packet), 1)
	if err != nil {
		return fmt.Errorf("sealing a packet: %w", err)
	}
	content := envelope.NewContentKey()
	t.touch(s)
	slot, err := s.ratchet.Encrypt(slices.Grow(t.e.scratch.slot[:0], envelope.SlotSize), content[:])
	if err != nil {
		return fmt.Errorf("encrypting: %w", err)
	}
	t.e.scratch.slot = slot
	if *payload, err = envelope.AppendPack((*payload)[:0], class, content, [][]byte{slot}, packet); err != nil {
		return err
	}
	*folded = envelope.AppendFold((*folded)[:0], class, 1, *payload)
	c.dirty = true
	_, mk := c.chain.Next()
	o.Kind, o.Session, o.Device = record.OutboxSession, s.ID, s.Device
	o.Class, o.Key, o.Content, o.Folded = class, mk, content, *folded
	o.MAC = envelope.AckMAC(c.Receipts, envelope.TagFor(mk, envelope.Direct), s.Device)
	return nil
}

// refileChunk bounds how many outbox entries one step seals anew.
const (
	refileChunk = 64
	refileWays  = 8 // of those that go first
)

// refile seals what waits for an account anew in its current session, behind
// a first flight if one is given: after the first session came, or after one
// took another's place. What had arrived under the old session arrives again
// and is recognised. A long outbox takes several transactions; the loop goes
// on with it by itself, also after a restart.
func (t *txn) refile(a identity.AccountID, flight *record.Outbox) error {
	return t.refileSome(a, flight, true)
}

// refileSome is refile, which begins, and then first takes what opens a way for
// stamps, since the other side finds what doesn't lie too far ahead; or goes on.
func (t *txn) refileSome(a identity.AccountID, flight *record.Outbox, begins bool) error {
	s, err := t.current(a)
	if err != nil {
		return err
	}
	c, err := t.chain(a)
	if err != nil {
		return err
	}
	if flight != nil {
		if _, err := t.putOutbox(a, c, flight, 0, storage.Leaf{}); err != nil {
			return err
		}
	}
	if s == nil || !t.e.compared[s.ID] {
		return nil
	}
	var old []*record.Outbox
	var keys []storage.Key
	size, ways := 0, 0
	flights := map[[16]byte]bool{} // that lie at relays, too
	if err := t.Scan(record.OutboxPrefix(t, a), record.OutboxKey(t, a, c.Pending), false, func(k storage.Key, v []byte) (bool, error) {
		o, err := record.ParseOutbox(v)
		if err != nil {
			return false, fmt.Errorf("reading the outbox: %w", err)
		}
		if o.Session == s.ID {
			return true, nil
		}
		if left, err := t.leftToBeRead(a, record.OutboxSeq(k), o, flights); err != nil || left {
			return true, err
		}
		room := len(old) < refileChunk && size < refileChunk*2048
		at := len(old)
		if begins && ways < refileWays && o.Kind != record.OutboxFirst && opensWay(o) {
			at, ways = ways, ways+1
		} else if !room {
			return begins && ways < refileWays, nil
		}
		old, keys = slices.Insert(old, at, o), slices.Insert(keys, at, k)
		size += len(o.Folded) + len(o.Envelope)
		return room || begins && ways < refileWays, nil
	}); err != nil {
		return err
	}
	for i, o := range old {
		leaf, _, err := t.LeafOf(keys[i])
		if err != nil {
			return err
		}
		_, until, err := t.Expiring(keys[i])
		if err != nil {
			return err
		}
		expires := int64(0)
		if !until.IsZero() {
			expires = until.UnixMilli()
		}
		if err := t.leave(a, record.OutboxSeq(keys[i])); err != nil {
			return err
		}
		packet, err := t.packetOf(o)
		if err != nil {
			return err
		}
		if packet == nil || o.Kind == record.OutboxFirst {
			continue // its message is gone, or the flight is superseded
		}
		if err := t.seal(o, s, c, packet, &t.e.scratch.payload, new([]byte)); err != nil {
			return err
		}
		x, err := t.index(o.Message)
		if err != nil {
			return err
		}
		seq, err := t.putOutbox(a, c, o, expires, leaf)
		if err != nil {
			return err
		}
		if x != nil {
			x.Outbox = seq
			if err := t.put(record.IndexKey(o.Message), x.Marshal()); err != nil {
				return err
			}
		}
	}
	if len(old) > 0 {
		t.after = append(t.after, func() { t.e.backlog[a] = struct{}{} })
	}
	return nil
}

// leftToBeRead reports whether an entry lies at relays, sealed in a session in
// which the other side still receives, or which begins with a flight that lies
// there: it is sealed anew when it is deposited once more.
func (t *txn) leftToBeRead(a identity.AccountID, seq uint64, o *record.Outbox, flights map[[16]byte]bool) (bool, error) {
	if o.Kind == record.OutboxUnsealed || !t.e.posted[outboxEntry{a, seq}] {
		return false, nil
	}
	all, err := t.sessionsWith(a)
	if err != nil {
		return false, err
	}
	first := o.Kind == record.OutboxFirst
	if !slices.ContainsFunc(all, func(s *session) bool {
		return s.ID == o.Session && !s.Dead && (first || s.Proved || flights[s.ID])
	}) {
		return false, nil
	}
	d, err := t.posting(a, seq)
	if err != nil || d.Due == 0 {
		return false, err
	}
	if first {
		flights[o.Session] = true
		return true, nil
	}
	return d.Due > t.now.Unix(), nil
}

// packetOf returns what an outbox entry delivers, nil when it no longer
// exists.
func (t *txn) packetOf(o *record.Outbox) ([]byte, error) {
	if len(o.Packet) > 0 || o.Message == [16]byte{} {
		return o.Packet, nil
	}
	m, _, _, err := t.message(o.Message)
	if err != nil || m == nil {
		return nil, err
	}
	return append([]byte{byte(message.KindMessage)}, m.Content...), nil
}

func (t *txn) outbox(k storage.Key) (*record.Outbox, error) {
	b, err := t.get(k)
	if err != nil || b == nil {
		return nil, err
	}
	o, err := record.ParseOutbox(b)
	if err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	return o, nil
}
