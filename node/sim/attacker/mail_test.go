package attacker

import (
	"context"
	"math"
	"slices"
	"sync"

	"rushlight/node/delivery/parcel"
	"rushlight/node/engine"
	"rushlight/node/mailbox"
	"rushlight/protocol/envelope"
	wire "rushlight/protocol/mailbox"
	"rushlight/storage/record"
)

// carry brings what a has for b directly, as when both are online.
func carry(a, b *person) int {
	l, ctx := a.l, context.Background()
	l.must(a.eng.PeerCounters(ctx, b.device, b.eng.Counters(a.device)))
	l.must(b.eng.PeerCounters(ctx, a.device, a.eng.Counters(b.device)))
	waiting, err := a.eng.Pending(b.account, 0, 64)
	l.must(err)
	if len(waiting) == 0 {
		return 0
	}
	var envs [][]byte
	for _, p := range waiting {
		envs = append(envs, p.Envelope)
	}
	var acks []parcel.Ack
	for i, r := range b.eng.ReceiveBatch(ctx, a.device, envs) {
		l.must(r.Err)
		acks = append(acks, parcel.Ack{Seq: waiting[i].Seq, MAC: r.MAC})
	}
	l.must(a.eng.Acked(ctx, b.account, b.device, acks))
	return len(acks)
}

// owner is a person with a mailbox at each relay. supply fills pools of stamps.
func (l *lab) owner(name string, relays ...*relay) *owner {
	l.t.Helper()
	ctx := context.Background()
	o := &owner{person: l.person(name, relays...)}
	for _, r := range relays {
		l.must(o.eng.AddRelay(ctx, r.key, r.addrs(), nil))
		all := o.eng.Mailboxes()
		m := all[slices.IndexFunc(all, func(m record.Relay) bool { return m.Key == r.key })]
		b, _, _, err := mailbox.OpenMailbox(ctx, o.host, r.at.ID, ownerKey(m.Seed))
		l.must(err)
		l.t.Cleanup(b.Close)
		st, err := b.Create(ctx, &wire.Create{Lane: true, LaneNonce: m.Nonce})
		l.must(err)
		_, err = o.eng.MailboxMade(ctx, r.key, st.Log, st.Next)
		l.must(err)
		o.boxes = append(o.boxes, &box{r: r, box: b})
	}
	return o
}

// supply fills the pools of stamps as node/post does; with n above 0 it adds so
// many small ones and few others instead.
func (o *owner) supply(n int) {
	l, ctx := o.l, context.Background()
	for _, b := range o.boxes {
		short, err := o.eng.Short(b.r.key)
		l.must(err)
		if n > 0 {
			short = [3]int{n, 16, 2}
		}
		for class, count := range short {
			if count == 0 {
				continue
			}
			first, got, err := b.box.Stamps(ctx, engine.ClassOf(class), count)
			l.must(err)
			l.must(o.eng.AddStamps(ctx, b.r.key, engine.ClassOf(class), first, got))
		}
	}
}

// tell gives all contacts what they don't know.
func (o *owner) tell(contacts ...*person) {
	o.l.must(o.eng.Announce(context.Background(), false))
	for _, c := range contacts {
		for carry(o.person, c)+carry(c, o.person) > 0 {
			continue
		}
	}
}

// collect takes what has come, without deleting it, and gives acknowledgements
// and new stamps to those who sent.
func (o *owner) collect(contacts ...*person) {
	l, ctx := o.l, context.Background()
	for _, b := range o.boxes {
		var envs [][]byte
		end, err := b.box.Fetch(ctx, wire.Fetch{After: b.next, MaxBytes: math.MaxUint32}, func(e *wire.Env) error {
			envs = append(envs, slices.Clone(e.Envelope))
			return nil
		})
		l.must(err)
		b.next = end.Next
		for _, r := range o.eng.Collect(ctx, b.r.key, envs, nil) {
			l.must(r.Err)
		}
	}
	o.supply(0)
	for _, c := range contacts {
		l.must(o.eng.Acknowledge(ctx, c.account))
		for carry(o.person, c) > 0 {
			continue
		}
	}
}

// deposit is who left an envelope where, and which message it is.
type deposit struct {
	from, owner int
	message     int
	relay       [32]byte
}

// tamper changes a deposit before it leaves the device: a protection that is
// switched off.
type tamper func(from int, m *wire.Deposit)

// leave sends one message and deposits everything that waits for the owner.
func (p *person) leave(o *owner, text string, note func(engine.Letter, [16]byte), change func(*wire.Deposit)) {
	l, ctx := p.l, context.Background()
	_, err := p.eng.Send(ctx, engine.Send{To: o.account, Text: text})
	l.must(err)
	for {
		letters, _, err := p.eng.Post(ctx, o.account, func([32]byte) bool { return false })
		l.must(err)
		if len(letters) == 0 {
			return
		}
		answers := make([]engine.Answer, len(letters))
		var wg sync.WaitGroup
		for i, letter := range letters {
			if letter.Lane != ([32]byte{}) {
				l.t.Error("a contact has run out of stamps")
				return
			}
			answers[i] = engine.Answer{Seq: letter.Seq, Relay: letter.Relay, Code: engine.NoAnswer}
			m := &wire.Deposit{TTL: 30, Receipt: true, Stamp: letter.Stamp, Envelope: letter.Envelope}
			if len(m.Envelope) == envelope.L.Size() {
				m.TTL = 14
			}
			if change != nil {
				m.Envelope = slices.Clone(m.Envelope)
				change(m)
			}
			note(letter, wire.Object(m.Envelope))
			wg.Add(1)
			p.streams[letter.Relay].Start(m, func(_ wire.Stored, err error) {
				defer wg.Done()
				if err != nil {
					l.t.Error(err)
					return
				}
				answers[i].Code = 0
			})
		}
		wg.Wait()
		if l.t.Failed() {
			return
		}
		l.must(p.eng.Posted(ctx, o.account, answers))
	}
}
