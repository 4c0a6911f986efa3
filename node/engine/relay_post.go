package engine

import (
	"cmp"
	"context"
	"slices"
	"time"

	"rushlight/node/delivery/parcel"
	"rushlight/protocol/envelope"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/stamp"
	"rushlight/storage/record"
)

// Letter is one envelope to be deposited at one relay.
type Letter struct {
	Seq      uint64 // of the outbox entry; 0 is a request to the maker of an invite
	Relay    [32]byte
	Addrs    [][]byte
	Stamp    stamp.Stamp
	Lane     [32]byte // of the mailbox there: without a stamp, with work; zeros is none
	Envelope []byte
}

// Answer is what became of a [Letter]. With Code 0 it is stored, and the relay
// has signed for it; others are codes of package parcel, or [NoAnswer].
type Answer struct {
	Seq   uint64
	Relay [32]byte
	Code  uint8
}

// NoAnswer is the code of a deposit of which nothing is known.
const NoAnswer = 255

// A message is deposited at so many relays, and at one more if it isn't
// acknowledged a while after these have stored it.
const (
	wanted     = 2
	thirdAfter = time.Minute
	roundTime  = time.Hour // after which the copies that there are have to do
)

// Without stamps the request lane is used, for few envelopes at a time: what
// comes there makes the contact send stamps.
const (
	laneEvery = 10 * time.Minute
	laneMost  = 4
)

// wantedFor is at how many relays an entry is deposited: acknowledgements
// and parts of files at one, since what is lost of them is sent again; unless
// acknowledgements were lost.
func (t *txn) wantedFor(a identity.AccountID, o *record.Outbox) int {
	if isAcks(o) && t.now.Sub(t.e.unheard[a]) > unheardFor || isFilePacket(o) {
		return 1
	}
	return wanted
}

// unheardFor is for how long acknowledgements go to more relays, after a
// contact sent again what it was acknowledged before.
const unheardFor = 8 * 24 * time.Hour

// sentAgain notes that a contact sends again what came before. Only the loop
// may call it.
func (t *txn) sentAgain(a identity.AccountID) { t.e.unheard[a] = t.now }

func isAcks(o *record.Outbox) bool { return len(o.Packet) > 0 && o.Packet[0] == byte(message.KindAcks) }

// Post says what is to be deposited for a contact now, avoiding some relays
// that are known not to answer, and when it should be asked again at the
// latest; never, when that is zero. Stamps are assigned before anything leaves
// the device: the same letter is returned again until [Engine.Posted].
func (e *Engine) Post(ctx context.Context, a identity.AccountID, avoid func(relay [32]byte) bool) (out []Letter, again time.Time, err error) {
	for started := true; started; {
		if err = e.do(ctx, 2<<20, func(t *txn) (err error) {
			if started, err = t.anew(a); err == nil && !started {
				out, again, err = t.post(a, avoid)
			}
			return err
		}); err != nil {
			return nil, again, err
		}
	}
	return out, again, nil
}

func (t *txn) post(a identity.AccountID, avoid func([32]byte) bool) (out []Letter, again time.Time, err error) {
	c := t.contact(a)
	if c == nil || c.State == record.ContactBlocked {
		return nil, again, nil
	}
	p, err := t.places(a)
	if err != nil || len(p.Relays) == 0 {
		return nil, again, err
	}
	lanes := 0
	if t.now.Sub(time.Unix(p.Asked, 0)) >= laneEvery {
		lanes = laneMost
	}
	all, asks, again, err := t.dueNext(a, p, lanes > 0)
	if err != nil {
		return nil, again, err
	}
	changed, dry, size := false, t.aging(p), 0
	for _, one := range all {
		if one.d.Since != 0 && t.now.Sub(time.Unix(one.d.Since, 0)) >= roundTime {
			// The other relays don't take it: what there is has to do for now.
			if err := t.roundOver(one.d, one.o); err != nil {
				return nil, again, err
			}
			continue
		}
		if one.d.Due != 0 && !one.d.Third { // once more
			if size += len(one.o.Folded) + len(one.o.Envelope); size > refileChunk*2048 {
				again = t.now // a transaction has room for so much
				break
			}
			if over, err := t.superseded(a, one.seq, one.o); err != nil {
				return nil, again, err
			} else if over {
				if err := t.leave(a, one.seq); err != nil {
					return nil, again, err
				}
				continue
			}
			if slices.ContainsFunc(one.d.Copies, func(c record.Copy) bool { return !c.Stored }) {
				if err := giveBack(p, one.d, one.o); err != nil {
					return nil, again, err
				}
				one.d.Copies, changed = nil, true
				if err := t.putPosting(one.d); err != nil {
					return nil, again, err
				}
			}
			if one.seq, one.o, err = t.reseal(a, one.seq, one.o, one.d); err != nil {
				return nil, again, err
			}
			one.d.Due, one.d.Copies, one.d.Seq = 0, nil, one.seq
		}
		letters, took, short, err := t.assign(one.o, one.d, p, avoid, &lanes)
		if err != nil {
			return nil, again, err
		}
		out, changed, dry = append(out, letters...), changed || took, dry || short
	}
	if changed {
		t.putPlaces(p)
	}
	if dry && !asks {
		err = t.askStamps(a, p)
	}
	return out, again, err
}

// assign chooses relays for an entry, takes stamps for them and returns what is
// to be deposited. It reports whether p has changed, and whether
// a stamp was wanted that there is not.
func (t *txn) assign(o *record.Outbox, d *record.Posted, p *record.Places, avoid func([32]byte) bool, lanes *int) (out []Letter, took, short bool, err error) {
	want := t.wantedFor(d.Account, o)
	if d.Third {
		d.Due = 0
		want++
	}
	class, err := classOf(o)
	if err != nil {
		return nil, false, false, err
	}
	place := func(k [32]byte) *record.Place {
		if i := slices.IndexFunc(p.Relays, func(x record.Place) bool { return x.Key == k }); i >= 0 {
			return &p.Relays[i]
		}
		return nil
	}
	d.Copies = slices.DeleteFunc(d.Copies, func(c record.Copy) bool { return place(c.Relay) == nil })
	hope := 0 // copies that are stored, or may soon be
	for _, c := range d.Copies {
		if c.Stored || !avoid(c.Relay) {
			hope++
		}
	}
	pool := poolOf(class)
	var fresh [][32]byte // relays that get a copy from now on
	// The first is where the contact waits for mail.
	order := make([]int, len(p.Relays))
	for i := range order {
		order[i] = i
	}
	shuffle(order, len(order))
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(min(i, 1), min(j, 1)) })
	for _, i := range order {
		x := &p.Relays[i]
		known := slices.ContainsFunc(d.Copies, func(c record.Copy) bool { return c.Relay == x.Key })
		if hope >= want || known || avoid(x.Key) {
			continue
		}
		if i == 0 && kindOf(o) == message.KindFileOrder && len(x.Stamps[pool]) == 0 {
			short = true // elsewhere it would lie until the contact, who is there, looks
			break
		}
		if n := len(x.Stamps[pool]) - 1; n >= 0 {
			// The relay sees numbers: which came together must not show.
			some := x.Stamps[pool]
			shuffle(some, 1)
			some[0], some[n] = some[n], some[0]
			d.Copies = append(d.Copies, record.Copy{Relay: x.Key, Stamp: x.Stamps[pool][n]})
			x.Stamps[pool] = x.Stamps[pool][:n]
		} else if short = true; *lanes > 0 && !d.Third && class <= envelope.M && x.Lane != ([32]byte{}) {
			*lanes--
			p.Asked = t.now.Unix()
			d.Copies = append(d.Copies, record.Copy{Relay: x.Key, Lane: true})
		} else {
			continue
		}
		hope++
		took = true
		fresh = append(fresh, x.Key)
	}
	if took {
		if err := t.putPosting(d); err != nil {
			return nil, false, false, err
		}
	}
	if d.Third && len(fresh) == 0 && !slices.ContainsFunc(d.Copies, func(c record.Copy) bool { return !c.Stored && !avoid(c.Relay) }) {
		// There is no third relay now: two have it.
		return nil, took, short, t.roundOver(d, o)
	}
	for _, c := range d.Copies {
		if c.Stored || avoid(c.Relay) {
			continue
		}
		_, env, err := o.At(c.Relay)
		if err != nil {
			return nil, false, false, err
		}
		if slices.Contains(fresh, c.Relay) && !c.Lane {
			if err := t.remember(o, c, place(c.Relay).Addrs, cureOf(o, c.Relay), env); err != nil {
				return nil, false, false, err
			}
		}
		l := Letter{Seq: d.Seq, Relay: c.Relay, Addrs: place(c.Relay).Addrs, Stamp: c.Stamp, Envelope: env}
		if c.Lane {
			l.Lane = place(c.Relay).Lane
		}
		out = append(out, l)
	}
	return out, took, short, nil
}

// roundOver plans the next deposit of an entry that is stored. Nobody
// acknowledges acknowledgements: they are done with.
func (t *txn) roundOver(d *record.Posted, o *record.Outbox) error {
	if isAcks(o) {
		return t.leave(d.Account, d.Seq)
	}
	d.Rounds += 1 - d.Rounds/255
	d.Due, d.Third, d.Since = t.now.Add(redeposit(d.Rounds)).Unix(), false, 0
	return t.putPosting(d)
}

// Posted takes the answers of relays. A message that as many relays as it can
// have hold is announced as stored.
func (e *Engine) Posted(ctx context.Context, a identity.AccountID, answers []Answer) error {
	return e.do(ctx, 16<<10*(1+len(answers)), func(t *txn) error {
		p, err := t.places(a)
		if err != nil {
			return err
		}
		for _, x := range answers {
			if err := t.answered(a, p, x); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *txn) answered(a identity.AccountID, p *record.Places, x Answer) error {
	if !t.e.posted[outboxEntry{a, x.Seq}] {
		return nil // it was acknowledged meanwhile
	}
	d, err := t.posting(a, x.Seq)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(d.Copies, func(c record.Copy) bool { return c.Relay == x.Relay })
	if i < 0 {
		return nil
	}
	t.noteRoom(p, x)
	switch x.Code {
	case 0:
		d.Copies[i].Stored = true
		if d.Since == 0 {
			d.Since = t.now.Unix()
		}
	case parcel.CodeSpent, parcel.CodeExpired, parcel.CodeClass, parcel.CodeGone, parcel.CodeUnknown:
		d.Copies = slices.Delete(d.Copies, i, i+1) // another stamp, or another relay
	default:
		return nil // the same again later
	}
	o, err := t.outbox(record.OutboxKey(t, a, x.Seq))
	if err != nil || o == nil {
		return err
	}
	stored := 0
	for _, c := range d.Copies {
		if c.Stored {
			stored++
		}
	}
	switch {
	case d.Third && stored > wanted:
		err = t.roundOver(d, o)
	case d.Third || stored < min(t.wantedFor(a, o), len(p.Relays)):
		return t.putPosting(d)
	case stored == wanted && len(p.Relays) > wanted && !isAcks(o):
		d.Third, d.Due = true, t.now.Add(thirdAfter).Unix()
		err = t.putPosting(d)
	default:
		err = t.roundOver(d, o)
	}
	if err != nil {
		return err
	}
	if o.Message == (message.ID{}) {
		return nil
	}
	return t.setState(o.Message, record.StateStored)
}

// moved makes due at once what waits at relays of which too few are still the
// contact's.
func (t *txn) moved(a identity.AccountID, p *record.Places) error {
	for o := range t.e.posted {
		if o.account != a {
			continue
		}
		d, err := t.posting(a, o.seq)
		if err != nil {
			return err
		}
		stays := 0
		for _, c := range d.Copies {
			if c.Stored && slices.ContainsFunc(p.Relays, func(x record.Place) bool { return x.Key == c.Relay }) {
				stays++
			}
		}
		if d.Due == 0 || d.Third || stays >= min(wanted, len(p.Relays)) {
			continue
		}
		x, err := t.outbox(record.OutboxKey(t, a, o.seq))
		if err != nil {
			return err
		}
		if x != nil && stays >= min(t.wantedFor(a, x), len(p.Relays)) {
			continue // acknowledgements and parts of files lie at one
		}
		d.Due = 1
		if err := t.putPosting(d); err != nil {
			return err
		}
	}
	return nil
}

// repost makes everything that isn't acknowledged by a contact due at once, or
// what is sealed in one session.
func (t *txn) repost(a identity.AccountID, session [16]byte) error {
	for o := range t.e.posted {
		if o.account != a {
			continue
		}
		if session != ([16]byte{}) {
			if x, err := t.outbox(record.OutboxKey(t, a, o.seq)); err != nil || x == nil || x.Session != session {
				if err != nil {
					return err
				}
				continue
			}
		}
		if err := t.dueNow(a, o.seq); err != nil {
			return err
		}
	}
	return nil
}
