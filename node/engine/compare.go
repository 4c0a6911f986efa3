package engine

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/reconcile"
	"rushlight/protocol/suite"
	"rushlight/storage"
	"rushlight/storage/record"
)

// Numbers alone don't show everything that is missing: the last of a
// contact's messages leave no gap, and two may stand under one number once
// somebody was put back to an older state. Then the ids under all numbers are
// compared (spec §16).

const (
	wholeTimes    = 3       // that everything is compared, as long as nothing is missing
	compareLast   = 1 << 16 // numbers, counted from the last
	compareFrames = 32      // of one contact in an hour (spec §16.3)
)

// wholly sees to it that everything is compared with a contact.
func (g *gaps) wholly(a identity.AccountID, now time.Time) {
	if g.open[a] == nil {
		g.open[a] = &gap{next: now.Add(gapAfter)}
	}
	g.open[a].whole = wholeTimes
}

// askWhole begins to compare what there is of a contact's messages.
func (t *txn) askWhole(a identity.AccountID, author identity.DeviceID) error {
	m := &message.Compare{Conversation: t.e.direct(a), Author: author, From: 1}
	conv, err := t.conversation(m.Conversation)
	if err != nil {
		return err
	}
	if log, _ := conv.history.Log(author); log.Held.Last() > compareLast {
		m.From = log.Held.Last() - compareLast
	}
	suite.Random(m.Nonce[:])
	set, err := t.numbered(m)
	if err != nil {
		return err
	}
	m.Frame = set.Open().Marshal()
	return t.tell(a, m)
}

// numbered is what there is under an author's numbers.
func (t *txn) numbered(m *message.Compare) (*reconcile.Set, error) {
	var all []reconcile.Item
	err := t.Scan(record.NumberPrefix(t, m.Conversation, m.Author), record.NumberKey(t, m.Conversation, m.Author, m.From), false, func(k storage.Key, v []byte) (bool, error) {
		num, err := record.ParseNumber(v)
		if err != nil {
			return false, fmt.Errorf("reading a number: %w", err)
		}
		all = append(all, reconcile.Item{At: binary.BigEndian.Uint64(k[len(k)-8:]), ID: num.ID})
		return len(all) < 2*compareLast, nil
	})
	return reconcile.New(reconcile.Key(m.Nonce[:], m.Conversation[:]), all), err
}

// takeCompare goes on with a comparison, and sends again what a contact lacks of
// this device's messages.
func (t *txn) takeCompare(s *session, m *message.Compare) error {
	a, own := s.Account, m.Author == t.e.self.id
	if m.Conversation != t.e.direct(a) || !own && m.Author != s.Device {
		return nil
	}
	l := t.e.gaps.frames[a]
	if l == nil {
		l = rate.NewLimiter(rate.Every(time.Hour/compareFrames), compareFrames)
		t.e.gaps.frames[a] = l
	}
	if !l.AllowN(t.now, 1) {
		return nil
	}
	f, err := reconcile.ParseFrame(m.Frame)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	set, err := t.numbered(m)
	if err != nil {
		return err
	}
	lacks, reply := set.Answer(f)
	if g := t.e.gaps.open[a]; g != nil && !own && slices.ContainsFunc(reply, func(r reconcile.Range) bool { return r.Mode == reconcile.Wants }) {
		g.whole = wholeTimes
	}
	size := 0
	for _, x := range lacks {
		if !own || size >= answerBytes {
			break
		}
		sent, err := t.sendAgain(a, x.At)
		if err != nil {
			return err
		}
		size += sent
	}
	if reply == nil {
		return nil
	}
	m.Frame = reply.Marshal()
	return t.tell(a, m)
}
