package engine

import (
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"rushlight/protocol/envelope"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage/record"
)

// A message that waits for one before it shows that something is missing. Most
// of that is still on its way; what isn't is asked for (spec §9.5).

const (
	gapAfter    = 30 * time.Second // that it is asked for what is missing
	gapAgain    = 15 * time.Minute // then twice as long each time
	gapLongest  = 24 * time.Hour
	askedInVain = 3 // questions, after which what both have is compared
	answerEvery = 5 * time.Minute
	answerBytes = 128 << 10 // of one answer
)

// gaps is what is known of missing messages. It belongs to who has the turn.
type gaps struct {
	open     map[identity.AccountID]*gap
	answered map[identity.AccountID]time.Time
	frames   map[identity.AccountID]*rate.Limiter // of comparisons
}

type gap struct {
	next  time.Time // when it is asked
	asked int
	whole int // how often everything is still to be compared, though nothing waits
}

func (g *gaps) init() {
	g.open, g.answered, g.frames = map[identity.AccountID]*gap{}, map[identity.AccountID]time.Time{}, map[identity.AccountID]*rate.Limiter{}
}

// found notes that something is missing in a conversation.
func (g *gaps) found(a identity.AccountID, now time.Time) {
	if g.open[a] == nil {
		g.open[a] = &gap{next: now.Add(gapAfter)}
	}
}

// findGap looks whether something is missing in a conversation, since what was
// noted is forgotten with each start.
func (t *txn) findGap(a identity.AccountID) error {
	conv, err := t.conversation(t.e.direct(a))
	if err == nil && conv.Waiting > 0 {
		t.e.gaps.found(a, t.now)
	}
	return err
}

// askGaps asks for what has been missing for a while.
func (e *Engine) askGaps() {
	e.turn.Lock()
	defer e.turn.Unlock()
	now := e.store.Now()
	for a, g := range e.gaps.open {
		if now.Before(g.next) {
			continue
		}
		g.next = now.Add(min(gapLongest, gapAgain<<min(g.asked, 10)))
		g.asked++
		s := e.chore(64<<10, func(t *txn) error { return t.askGap(a) })
		if e.inbox.put([]*step{s}) == nil {
			e.inbox.ring()
		}
	}
}

func (t *txn) askGap(a identity.AccountID) error {
	conv, err := t.conversation(t.e.direct(a))
	if err != nil {
		return err
	}
	c := t.contact(a)
	g := t.e.gaps.open[a]
	if g == nil || conv.Waiting == 0 && g.whole == 0 || c == nil || c.State != record.ContactApproved {
		delete(t.e.gaps.open, a)
		return nil
	}
	s, err := t.current(a)
	if err != nil || s == nil {
		return err
	}
	if g.whole > 0 || g.asked >= askedInVain {
		g.whole -= min(g.whole, 1)
		return t.askWhole(a, s.Device)
	}
	log, _ := conv.history.Log(s.Device)
	return t.tell(a, &message.Held{Conversation: t.e.direct(a), Author: s.Device, Set: log.Held})
}

// takeHeld sends a contact again what it doesn't have of this device's messages.
func (t *txn) takeHeld(s *session, m *message.Held) error {
	a := s.Account
	if m.Author != t.e.self.id || m.Conversation != t.e.direct(a) {
		return nil // of another life of this device, or of another conversation
	}
	if at, ok := t.e.gaps.answered[a]; ok && t.now.Sub(at) < answerEvery {
		return nil
	}
	conv, err := t.conversation(m.Conversation)
	if err != nil {
		return err
	}
	own, _ := conv.history.Log(m.Author)
	size := 0
	for _, r := range m.Set.Missing(own.Held.Last(), message.MaxRanges) {
		for _, o := range own.Held.Ranges() { // numbers may have been left out
			for n := max(r.First, o.First); n <= min(r.Last, o.Last) && size < answerBytes; n++ {
				sent, err := t.sendAgain(a, n)
				if err != nil {
					return err
				}
				size += sent
			}
		}
	}
	if size > 0 {
		t.e.gaps.answered[a] = t.now
	}
	return nil
}

// dueNow makes an entry that was deposited due to be deposited once more.
func (t *txn) dueNow(a identity.AccountID, seq uint64) error {
	if !t.e.posted[outboxEntry{a, seq}] {
		return nil
	}
	d, err := t.posting(a, seq)
	if err != nil {
		return err
	}
	d.Due, d.Third = 1, false
	return t.putPosting(d)
}

// sendAgain puts an own message into the outbox once more, unless it is there.
func (t *txn) sendAgain(a identity.AccountID, number uint64) (size int, err error) {
	b, err := t.get(record.NumberKey(t, t.e.direct(a), t.e.self.id, number))
	if err != nil || b == nil {
		return 64, err
	}
	num, err := record.ParseNumber(b)
	if err != nil {
		return 0, fmt.Errorf("reading a number: %w", err)
	}
	rec, x, key, err := t.message(num.ID)
	if err != nil || rec == nil || rec.Expires != 0 && rec.Expires <= t.now.UnixMilli() {
		return 64, err
	}
	if x.Outbox != 0 {
		has, err := t.Has(record.OutboxKey(t, a, x.Outbox))
		if err != nil {
			return 0, err
		}
		if has { // it counts: who asks and takes nothing is sent no more
			return max(len(rec.Content), envelope.S.Size()), t.dueNow(a, x.Outbox)
		}
	}
	leaf, _, err := t.LeafOf(key)
	if err != nil {
		return 0, err
	}
	packet := append([]byte{byte(message.KindMessage)}, rec.Content...)
	o := &record.Outbox{Message: num.ID, Again: x.State > record.StateStored}
	if rec.Erased || x.State == record.StateFailed {
		if packet, err = insteadOf(rec); err != nil {
			return 0, err
		}
		o.Packet, o.Again = packet, true
	}
	if x.Outbox, err = t.enqueueEntry(a, o, packet, rec.Expires, leaf); err != nil {
		return 0, err
	}
	return max(len(packet), envelope.S.Size()), t.put(record.IndexKey(num.ID), x.Marshal())
}

// insteadOf is what stands for a message that was taken back, or that its
// recipient won't take.
func insteadOf(rec *record.Message) ([]byte, error) {
	m, err := parse(rec)
	if err != nil {
		return nil, err
	}
	out := &message.Erased{Reason: message.Lost, Message: m.Erase()}
	if rec.Erased {
		out.Reason = message.Unsent
	}
	if rec.Expires != 0 {
		life := time.UnixMilli(rec.Expires).Sub(message.ClockTime(m.HLC))
		out.Expiry = min(max(life.Round(time.Second), message.MinExpiry), message.MaxExpiry)
	}
	return message.MarshalPacket(out)
}
