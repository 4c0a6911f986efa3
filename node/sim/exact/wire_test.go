package exact

import (
	"errors"
	"slices"
	"testing/synctest"

	"rushlight/node/delivery/parcel"
	"rushlight/protocol/history"
	"rushlight/protocol/identity"
	"rushlight/storage/record"
)

// lane is what is under way from one profile to another.
type lane struct {
	parcels []packet
	replies []reply // to what came the other way
	archive []packet
}

type packet struct {
	seq uint64
	env []byte
}

type reply struct {
	seq  uint64
	ack  bool
	mac  [16]byte
	code uint8
	life int  // of the profile that it answers
	may  bool // a refusal that the protocol allows, or that the driver made up
}

// Bounds on what is kept under way and for replays.
const (
	maxFlying  = 300
	maxArchive = 200
)

// pickUp takes what waits in a's outbox for b onto the wire.
func (w *world) pickUp(a, b *profile, limit int) int {
	if w.apart(a, b) {
		return 0
	}
	ps, err := a.eng.Pending(b.account, 0, limit)
	w.must(err)
	l := w.lanes[a.n][b.n]
	for _, p := range ps {
		x := packet{p.Seq, p.Envelope}
		l.parcels = append(l.parcels, x)
		if len(l.archive) < maxArchive {
			l.archive = append(l.archive, x)
		} else if w.chance(10) {
			l.archive[w.rng.IntN(maxArchive)] = x
		}
	}
	if n := len(l.parcels) - maxFlying; n > 0 {
		l.parcels = slices.Delete(l.parcels, 0, n)
	}
	return len(ps)
}

// weather is what the wire does to what is under way, in percent.
type weather struct{ loss, twice, shuffle, death int }

var (
	calm  = weather{}
	rough = weather{loss: 12, twice: 8, shuffle: 40, death: 10}
)

// take removes up to n things from the wire, in a fate that the weather
// decides.
func take[T any](w *world, from *[]T, n int, at weather) (out []T) {
	for range n {
		if len(*from) == 0 {
			break
		}
		i := 0
		if w.chance(at.shuffle) {
			i = w.rng.IntN(len(*from))
		}
		x := (*from)[i]
		if !w.chance(at.twice) {
			*from = slices.Delete(*from, i, i+1)
		}
		if !w.chance(at.loss) {
			out = append(out, x)
		}
	}
	return out
}

// arrive hands parcels that a sent to b, and sends the answers back.
func (w *world) arrive(a, b *profile, n int, at weather) (taken, refused int) {
	if w.apart(a, b) {
		return 0, 0
	}
	ps := take(w, &w.lanes[a.n][b.n].parcels, n, at)
	if len(ps) == 0 {
		return 0, 0
	}
	from := a.device
	if w.chance(at.shuffle / 4) {
		from = identity.DeviceID{} // nobody has proved who brings it
	}
	return w.receive(a, b, from, ps, at.death)
}

func (w *world) receive(a, b *profile, from identity.DeviceID, ps []packet, death int) (taken, refused int) {
	var envs [][]byte
	for _, p := range ps {
		envs = append(envs, slices.Clone(p.env))
	}
	var results []parcel.Result
	if b.mortal(death, func() { results = b.eng.ReceiveBatch(w.ctx, from, envs) }) {
		return 0, 0 // nobody is left to answer
	}
	back := w.lanes[b.n][a.n]
	for i, r := range results {
		x := reply{seq: ps[i].seq, ack: r.Err == nil, mac: r.MAC, life: a.life}
		var no *parcel.Refusal
		switch {
		case r.Err == nil:
			taken++
		case errors.As(r.Err, &no):
			x.code = no.Code
			refused++
			w.count[refusalNames[no.Code]]++
			for name, reason := range reasons {
				if errors.Is(r.Err, reason) {
					w.count["of these "+name]++
				}
			}
			// A restored device writes under numbers that it has used before,
			// of which the other side keeps only so many.
			if a.rolled > 0 && errors.Is(r.Err, history.ErrTooManyForks) {
				x.may = true
			}
		default:
			w.fatal("an envelope failed: %v", r.Err)
		}
		if verbose && r.Err != nil {
			w.note("refusal %v", r.Err)
		}
		back.replies = append(back.replies, x)
	}
	return taken, refused
}

var reasons = map[string]error{"for forks": history.ErrTooManyForks, "for gaps": history.ErrTooManyGaps}

var refusalNames = map[uint8]string{
	parcel.CodeUnknown: "refused as unknown", parcel.CodeBusy: "refused as busy", parcel.CodeRefused: "refused for ever",
	parcel.CodeUsed: "refused as used", parcel.CodeExpired: "refused as expired",
}

// answer hands a the answers of b.
func (w *world) answer(a, b *profile, n int, at weather) (acks int) {
	if w.apart(a, b) {
		return 0
	}
	var good []parcel.Ack
	for _, r := range take(w, &w.lanes[b.n][a.n].replies, n, at) {
		switch {
		case r.life != a.life:
		case r.ack && !w.faults.loseAcks:
			good = append(good, parcel.Ack{Seq: r.seq, MAC: r.mac})
		case !r.ack && r.code != parcel.CodeBusy:
			w.must(a.eng.Refused(w.ctx, b.account, b.device, r.seq, r.code))
			synctest.Wait()
			if r.may && r.code == parcel.CodeRefused {
				w.excuseFailed(a, b)
			}
		}
	}
	if len(good) > 0 {
		w.must(a.eng.Acked(w.ctx, b.account, b.device, good))
		synctest.Wait()
	}
	return len(good)
}

// hello is what two devices say first on a stream: what they have counted, and
// where it is wanted, a bundle. Every part may be lost.
func (w *world) hello(a, b *profile, loss int) {
	if w.apart(a, b) || !knows(a, b) || !knows(b, a) {
		return
	}
	ofA, ofB := a.eng.Counters(b.device), b.eng.Counters(a.device)
	for _, d := range []struct {
		at, of   *profile
		counters []parcel.Counter
	}{{a, b, ofB}, {b, a, ofA}} {
		if w.chance(loss) {
			continue
		}
		d.at.mortal(loss/2, func() {
			w.must(d.at.eng.PeerCounters(w.ctx, d.of.device, d.counters))
			w.must(d.at.eng.PeerClock(w.ctx, d.of.device, d.of.eng.Clock()))
		})
	}
	w.rekey(a, b, loss)
	w.rekey(b, a, loss)
}

// rekey lets a fetch a bundle from b if its engine wants one.
func (w *world) rekey(a, b *profile, loss int) {
	if !a.eng.WantsBundle(b.account) || w.chance(loss) {
		return
	}
	bundle, err := b.eng.PersonalBundle(w.ctx, a.device)
	w.must(err)
	synctest.Wait()
	if len(bundle) == 0 || w.chance(loss) {
		return
	}
	a.mortal(loss/2, func() { w.must(a.eng.AcceptBundle(w.ctx, b.account, b.device, bundle)) })
	w.count["new sessions"]++
}

// knows reports whether b's device belongs to a contact of a.
func knows(a, b *profile) bool {
	c := a.eng.Contact(b.account)
	return c != nil && len(c.Devices) > 0 && c.State != record.ContactBlocked
}

// ask lets a accept an invite of b, which reached it some other way.
func (w *world) ask(a, b *profile) {
	link, _, err := b.eng.CreateInvite(w.ctx, inviteOptions)
	w.must(err)
	synctest.Wait()
	inv, err := identity.ParseInvite(link)
	w.must(err)
	w.must(a.eng.Join(w.ctx, inv, link, "", "", false))
	synctest.Wait()
	w.asked[a.n][b.n] = true
}

// fetch lets a ask the makers of the invites it accepted for their bundles.
func (w *world) fetch(a *profile, loss int) {
	joins, err := a.eng.Joins()
	w.must(err)
	for _, j := range joins {
		b := w.whose(j.Account)
		if j.Sent || w.apart(a, b) || w.chance(loss) {
			continue
		}
		_, offer, code := b.eng.ServeInvite(w.ctx, j.Invite.ID, func(s [32]byte) bool { return s == j.Invite.Secret })
		if code != 0 {
			w.fatal("an invite was refused with code %d", code)
		}
		if w.chance(loss) {
			continue
		}
		a.mortal(loss/2, func() { w.must(a.eng.Offered(w.ctx, j.Invite, offer)) })
	}
}

func (w *world) whose(a identity.AccountID) *profile {
	for _, p := range w.people {
		if p.account == a {
			return p
		}
	}
	w.fatal("an account of nobody")
	return nil
}
