package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rushlight/node/delivery/parcel"
	"rushlight/protocol/envelope"
	"rushlight/protocol/history"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/ratchet"
	"rushlight/storage"
	"rushlight/storage/record"
)

// Why an envelope is refused. Nothing was changed, and nothing may be
// acknowledged. Each is a refusal that the sender is told the code of.
var (
	// ErrUnknownTag: nobody this device knows would send this, or it comes
	// before what it needs, or its session is lost here.
	ErrUnknownTag error = &parcel.Refusal{Code: parcel.CodeUnknown}
	// ErrNotYet: the sender waits for approval. Worth trying again.
	ErrNotYet error = &parcel.Refusal{Code: parcel.CodeBusy, RetryAfter: time.Minute}
	// errTooEarly: too many that come before it are missing. Worth trying again.
	errTooEarly error = &parcel.Refusal{Code: parcel.CodeBusy, RetryAfter: time.Second}
	// ErrInviteUsed: a first flight for an invite that somebody else took.
	ErrInviteUsed error = &parcel.Refusal{Code: parcel.CodeUsed}
	// ErrInviteExpired: a first flight for an invite that is over.
	ErrInviteExpired error = &parcel.Refusal{Code: parcel.CodeExpired}
	// errBlockedMail: it is dropped, and its sender hears nothing of that.
	errBlockedMail = errors.New("engine: mail of somebody blocked")
	// ErrRefused: what the envelope says breaks a rule. Trying again won't
	// help.
	ErrRefused error = &parcel.Refusal{Code: parcel.CodeRefused}
)

// Result is what became of one envelope: with a nil error it is committed and
// MAC proves that to its sender.
type Result = parcel.Result

// ReceiveBatch takes envelopes out of one direct stream, in order, and commits
// them together. device is the one that proved itself on the stream, zero for
// an anonymous one. An envelope that came before is acknowledged again and
// changes nothing.
func (e *Engine) ReceiveBatch(ctx context.Context, device identity.DeviceID, envs [][]byte) []Result {
	out := make([]Result, len(envs))
	steps := make([]*step, len(envs))
	for i, env := range envs {
		steps[i] = &step{cost: len(env) + 8192, run: func(t *txn) error {
			r, err := t.receive(envelope.Direct, device, env)
			out[i].MAC = r.mac
			return err
		}}
	}
	if err := e.doAll(ctx, steps); err != nil {
		for i := range out {
			out[i] = Result{Err: err}
		}
		return out
	}
	for i, s := range steps {
		if s.err != nil {
			out[i] = Result{Err: s.err}
		}
	}
	return out
}

// received is what one envelope led to.
type received struct {
	mac     [16]byte // proves to its sender that it is committed
	account identity.AccountID
	quiet   bool // nothing is to be acknowledged
}

// receive takes one envelope that came by way of a relay, or directly.
func (t *txn) receive(relay [32]byte, from identity.DeviceID, env []byte) (out received, err error) {
	class, err := envelope.ParseClass(len(env))
	if err != nil {
		return out, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	tag := envelope.TagOf(env)
	p, ok, err := t.locate(tag, from)
	if err != nil {
		return out, err
	}
	if !ok {
		return t.receiveFirst(relay, class, env)
	}
	w, err := t.window(p.device)
	if err != nil {
		return out, err
	}
	i := w.chainOf(p.session)
	if i < 0 {
		return out, ErrUnknownTag
	}
	if c := t.contact(w.Account); relay != envelope.Direct && c != nil && c.State == record.ContactBlocked {
		return out, errBlockedMail
	}
	out.account = w.Account
	out.mac = envelope.AckMAC(w.Chains[i].Receipts, p.direct, t.e.self.id)
	mk, err := w.chains[i].Key(p.index)
	if errors.Is(err, envelope.ErrReceived) || errors.Is(err, envelope.ErrGone) {
		out.quiet = t.e.tags.quiet[p.direct]
		return out, nil
	}
	if err != nil {
		return out, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	payload, err := envelope.Open(envelope.KeysFor(mk, relay), class, env)
	if err != nil {
		return out, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	packet, s, err := t.decrypt(w.Account, p.device, class, payload)
	if err != nil {
		return out, err
	}
	if err := t.markReceived(w, i, tag, p); err != nil {
		return out, err
	}
	if relay != envelope.Direct {
		t.e.tags.received(p.direct, p)
	}
	if out.quiet = packet[0] == byte(message.KindAcks); out.quiet {
		if len(t.e.tags.quiet) >= maxSeen {
			clear(t.e.tags.quiet)
		}
		t.e.tags.quiet[p.direct] = true
	}
	return out, t.take(s, packet)
}

func (w *window) chainOf(session [16]byte) int {
	if w != nil {
		for i := range w.Chains {
			if w.Chains[i].Session == session {
				return i
			}
		}
	}
	return -1
}

// decrypt opens a payload in whichever session with the device it belongs to.
func (t *txn) decrypt(a identity.AccountID, d identity.DeviceID, class envelope.Class, payload []byte) ([]byte, *session, error) {
	switch c := t.contact(a); {
	case c == nil || c.State == record.ContactBlocked:
		return nil, nil, ErrUnknownTag
	case c.State == record.ContactPending:
		// Somebody who waits for approval keeps their messages until then. An
		// answer to an invite that this person accepted is what is waited for.
		if j, err := t.join(a); err != nil || j == nil {
			return nil, nil, orRefuse(err, ErrNotYet)
		}
	}
	slots, _, err := envelope.Unpack(class, payload)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	all, err := t.sessionsWith(a)
	if err != nil {
		return nil, nil, err
	}
	for _, slot := range slots {
		for _, s := range all {
			if s.Device != d || s.ratchet == nil {
				continue
			}
			content, err := s.ratchet.Decrypt(slot)
			if errors.Is(err, ratchet.ErrDecrypt) {
				continue // not this session's, or not this slot
			}
			if err != nil {
				return nil, nil, fmt.Errorf("%w: %w", ErrUnknownTag, err)
			}
			t.touch(s)
			s.Proved = true
			if len(content) != 32 {
				return nil, nil, fmt.Errorf("%w: bad content key", ErrRefused)
			}
			packet, err := envelope.OpenBody(class, [32]byte(content), payload)
			if err != nil {
				return nil, nil, fmt.Errorf("%w: %w", ErrRefused, err)
			}
			return packet, s, nil
		}
	}
	return nil, nil, ErrUnknownTag
}

// take does what a packet asks for.
func (t *txn) take(s *session, packet []byte) error {
	p, err := message.ParsePacket(packet)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	switch p := p.(type) {
	case *message.Message:
		return errors.Join(t.takeMessage(s, p), t.approved(s.Account))
	case *message.Profile:
		return t.takeProfile(s, p)
	case *message.Erased:
		return t.takeErased(s, p)
	case *message.Notice:
		return t.takeNotice(s, p)
	case *message.Relays:
		return t.takeRelays(s, p, packet)
	case *message.Acks:
		return t.takeAcks(s, p)
	case *message.Bundles:
		return t.takeSpares(s, p, packet)
	case *message.FilePart, *message.FileOrder:
		t.takeFilePacket(s.Account, p)
		return nil
	case *message.Low:
		return t.takeLow(s, p)
	case *message.Held:
		return t.takeHeld(s, p)
	case *message.Compare:
		return t.takeCompare(s, p)
	}
	// Receipts and whatever a newer version sends say nothing that
	// this version acts on; they are acknowledged so that they don't come again.
	return nil
}

// takeMessage places a contact's message in the conversation.
func (t *txn) takeMessage(s *session, m *message.Message) error {
	if m.Author != s.Device || m.Conversation != message.DirectConversation(t.e.self.account, s.Account) {
		return fmt.Errorf("%w: message of another author or conversation", ErrRefused)
	}
	conv, err := t.conversation(m.Conversation)
	if err != nil {
		return err
	}
	content, err := m.Marshal()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	life, err := message.LifetimeOf(m.Body)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	b, err := about(m)
	if err == nil && m.Type == message.TypeTimer {
		_, err = message.ParseBody(m.Type, m.Body)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	t.agrees(m.HLC)
	out, next, err := t.enter(conv, m)
	if err != nil {
		return err
	}
	if out.Verdict == history.Duplicate {
		t.sentAgain(s.Account)
		return nil
	}
	rec := &record.Message{Account: s.Account, Received: t.now.UnixMilli(), Content: content}
	rec.Burn = uint32(life.Burn / time.Second)
	if rec.Expires, err = t.deadline(m, life); err != nil {
		return err
	}
	if b != nil {
		return t.takeHidden(conv, m, b, rec, out)
	}
	if m.Type == message.TypeTimer {
		if err := conv.applyTimer(m, out.Position.ID); err != nil {
			return err
		}
	}
	return t.takeShown(conv, m, rec, out, record.StateDelivered, next)
}

// takeShown keeps a contact's message that people see.
func (t *txn) takeShown(conv *conversation, m *message.Message, rec *record.Message, out history.Outcome, state record.MessageState, next bool) error {
	id := out.Position.ID
	leaf, err := t.leafFor(m.Conversation, rec)
	if err != nil {
		return err
	}
	if err := t.putMessage(m, rec, out, &record.Index{State: state}, leaf, next); err != nil {
		return err
	}
	if state < record.StateRead {
		conv.Unread++
		if k := record.MessageKey(t, m.Conversation, out.Position.Order, id); len(conv.FirstNew) == 0 || string(k) < string(conv.FirstNew) {
			conv.FirstNew = k
		}
	}
	if out.Verdict == history.Waiting {
		conv.Waiting++
		t.e.gaps.found(rec.Account, t.now)
		return t.waitFor(out.Missing, id)
	}
	return t.placeWaiting(conv, id)
}

// placeWaiting gives the messages that waited for a parent their final place,
// and those that waited for them.
func (t *txn) placeWaiting(conv *conversation, parent message.ID) error {
	for queue := []message.ID{parent}; len(queue) > 0 && conv.Waiting > 0; queue = queue[1:] {
		var children []message.ID
		if err := t.Scan(record.WaitingPrefix(queue[0]), nil, false, func(_ storage.Key, v []byte) (bool, error) {
			if len(v) == 16 {
				children = append(children, message.ID(v))
			}
			return true, nil
		}); err != nil {
			return err
		}
		for _, id := range children {
			if err := t.del(record.WaitingKey(queue[0], id)); err != nil {
				return err
			}
			placed, err := t.placeOne(conv, id)
			if err != nil {
				return err
			}
			if placed {
				queue = append(queue, id)
			}
		}
	}
	return nil
}

func (t *txn) placeOne(conv *conversation, id message.ID) (bool, error) {
	rec, x, old, err := t.message(id)
	if err != nil || rec == nil {
		return false, err
	}
	m, err := parse(rec)
	if err != nil {
		return false, err
	}
	if isHidden(x) {
		return t.settleHidden(conv, rec, x, m, id)
	}
	if x.Missing == 0 {
		return false, nil
	}
	out, err := t.place(conv, m, rec)
	if err != nil {
		return false, err
	}
	x.Missing = uint8(len(out.Missing))
	if out.Verdict == history.New {
		conv.Waiting -= min(conv.Waiting, 1)
		x.Order = out.Position.Order
		x.Key = record.MessageKey(t, m.Conversation, x.Order, id)
		if string(x.Key) != string(old) {
			leaf, _, err := t.LeafOf(old)
			if err != nil {
				return false, err
			}
			if err := t.del(old); err != nil {
				return false, err
			}
			if err := t.putErasable(x.Key, rec.Marshal(), rec.Expires, leaf); err != nil {
				return false, err
			}
		}
		if string(x.Key) < string(conv.FirstNew) {
			conv.FirstNew = x.Key
		}
	}
	if out.Verdict == history.New {
		err = t.event(record.Event{Type: record.EventPlaced, Message: id, State: x.State, Account: rec.Account})
	}
	return out.Verdict == history.New, errors.Join(err, t.put(record.IndexKey(id), x.Marshal()))
}

// takeProfile takes a contact's newer card.
func (t *txn) takeProfile(s *session, p *message.Profile) error {
	c := t.contact(s.Account)
	if c == nil {
		return fmt.Errorf("%w: profile of nobody known", ErrRefused)
	}
	card, err := identity.ParseCard(p.Card)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if err := card.Verify(); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if card.ID() != s.Account || card.Device != s.Device {
		return fmt.Errorf("%w: card of another account or device", ErrRefused)
	}
	rec := c.Contact
	if len(rec.Card) > 0 {
		old, err := identity.ParseCard(rec.Card)
		if err != nil {
			return fmt.Errorf("reading a contact's card: %w", err)
		}
		if old.Device == card.Device && old.Seq >= card.Seq {
			return nil // what is known is newer
		}
		if err := card.Manifest.Succeeds(old.Manifest); err != nil && !errors.Is(err, identity.ErrStale) {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		} else if err != nil && card.Manifest.Hash() != old.Manifest.Hash() {
			return nil // an older list of devices
		}
	}
	rec.Card = p.Card
	return t.putContact(&rec)
}
