package mail

import (
	"context"
	"crypto/ed25519"
	"errors"
	"math"
	"os"
	"testing/synctest"
	"time"

	"rushlight/protocol/envelope"
	wire "rushlight/protocol/mailbox"
	"rushlight/protocol/suite"
	"rushlight/storage/shelf"
)

// relay is a shelf, and whatever its operator makes of it.
type relay struct {
	w     *world
	n     int
	dir   string
	seed  [32]byte
	shelf *shelf.Shelf
	stop  context.CancelFunc
	done  chan error
	key   [32]byte
	quota uint64
	lane  int // requests that a mailbox holds; 0 is as many as usual

	dead bool // for good
	down bool // for now
	full bool // its disk
	lies lies
	lied bool      // it has, and was mended
	fell time.Time // when it last lost what it had acknowledged

	old     []string              // older copies of its directory
	archive map[uint64][]wire.Env // what it served, by mailbox, to be replayed
}

// lies are what a relay does that it shouldn't, in percent.
type lies struct {
	drop     int  // of what it acknowledges it doesn't keep
	dropL    bool // all of class L
	dropLate int  // from this day of the run on it drops everything; 0 is never
	withhold int  // fetches that end too early
	stale    int  // states that are those of before
	replay   int  // fetches in which something old comes again
	shuffle  int  // fetches that come in another order
	flip     int  // envelopes that are altered
	swap     int  // envelopes that belong to somebody else
	stuff    int  // fetches into which unknown envelopes are put
	keep     int  // trims that are acknowledged and not done
	refuse   int  // deposits refused for no reason
	busy     int  // answers that never come
	lost     int  // requests that never arrive
	cut      int  // envelopes that end too early
	many     int  // how many unknown envelopes stuff puts in; 0 is a few
}

func (l lies) honest() bool { return l == lies{} }

func (w *world) newRelay() *relay {
	r := &relay{w: w, n: len(w.relays), dir: w.newDir()}
	r.begin()
	w.relays = append(w.relays, r)
	return r
}

func (r *relay) begin() {
	r.archive = map[uint64][]wire.Env{}
	suite.Random(r.seed[:])
	r.key = [32]byte(ed25519.NewKeyFromSeed(r.seed[:]).Public().(ed25519.PublicKey))
	r.open()
}

func (r *relay) open() {
	if r.dead || r.stop != nil {
		return
	}
	s, err := shelf.Open(shelf.Options{
		Dir: r.dir, Root: r.seed, Key: ed25519.NewKeyFromSeed(r.seed[:]), Quota: r.quota, Lane: r.lane,
		MemTableSize: 4 << 20, Young: r.w.young(), Compactors: r.w.compactors(), MinFree: 1, Ballast: -1,
	})
	r.w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	r.shelf, r.stop, r.done = s, cancel, make(chan error, 1)
	go func() { r.done <- s.Run(ctx) }()
	synctest.Wait()
}

func (r *relay) halt() {
	if r.stop == nil {
		return
	}
	r.stop()
	r.stop = nil
	r.w.must(<-r.done)
	r.w.must(r.shelf.Close())
	synctest.Wait()
}

// reachable reports whether a request to the relay is answered.
func (r *relay) reachable() bool { return !r.dead && !r.down }

// die ends the relay for good, with all it held.
func (r *relay) die() {
	r.halt()
	r.w.must(os.RemoveAll(r.dir))
	r.dead, r.fell = true, time.Now()
	r.w.count["relays died"]++
}

// crash goes on with what is on the disk.
func (r *relay) crash() {
	dir := r.w.copyOf(r.dir)
	r.moveTo(dir)
	r.w.count["relays killed"]++
}

func (r *relay) moveTo(dir string) {
	r.halt()
	r.w.must(os.RemoveAll(r.dir))
	r.dir = dir
	r.open()
}

// backUp keeps a copy to go back to.
func (r *relay) backUp() {
	dir := r.w.copyOf(r.dir)
	r.old = append(r.old, dir)
}

// rollBack goes back to a copy, as far as anybody can see without having lost
// anything.
func (r *relay) rollBack() bool {
	if len(r.old) == 0 {
		return false
	}
	dir := r.old[len(r.old)-1]
	r.old = r.old[:len(r.old)-1]
	r.moveTo(dir)
	r.fell = time.Now()
	r.w.count["relays rolled back"]++
	return true
}

// burn loses everything, and begins anew under the same key.
func (r *relay) burn() {
	r.moveTo(r.w.newDir())
	r.fell = time.Now()
	r.old = nil
	r.w.count["relays began anew"]++
}

var errNoAnswer = errors.New("mail: no answer")

// post is one deposit on its way.
type post struct {
	frame   []byte
	request []byte // instead, without a stamp
	err     error  // a *[wire.Err] is a refusal
}

// deposit takes frames as a sender writes them and answers each as a sender
// reads it.
func (r *relay) deposit(all []*post) {
	var queued []*post
	results := make(chan struct{}, len(all))
	lostAnswers := 0 // belongs to the shelf's writer, until all results are here
	for _, x := range all {
		m, err := wire.ParseDeposit(x.frame[4:])
		r.w.must(err)
		x.err = errNoAnswer
		large := len(m.Envelope) == envelope.L.Size()
		lies := r.lies
		switch {
		case r.w.chance(lies.lost):
			r.w.count["requests lost"]++
			continue
		case r.full:
			x.err = &wire.Err{Code: wire.CodeFull, RetryAfter: 3600}
			continue
		case r.w.chance(lies.refuse):
			x.err = &wire.Err{Code: []wire.Code{wire.CodeBusy, wire.CodeSpent, wire.CodeFull, wire.CodeExpired}[r.w.rng.IntN(4)], RetryAfter: 60}
			continue
		case r.w.chance(lies.drop), lies.dropL && large, lies.dropLate > 0 && daysOf(time.Now()) >= lies.dropLate, r.w.faults.ackNothing:
			x.err = nil // it says so
			r.w.count["acknowledged and dropped"]++
			continue
		}
		put := r.shelf.Put
		ticket, refused := r.shelf.OpenStamp(&m.Stamp)
		if x.request != nil {
			q, err := wire.ParseRequest(x.request[4:])
			r.w.must(err)
			refused = r.shelf.CheckWork(&q, wire.Object(q.Envelope), 1)
			put = func(d *shelf.Deposit) error {
				return r.shelf.PutRequest(d, shelf.Request{Lane: q.Lane, Effort: q.Effort})
			}
		}
		if refused != nil {
			x.err = refused
			continue
		}
		queued = append(queued, x)
		silent := r.w.chance(lies.busy)
		err = put(&shelf.Deposit{
			Ticket: ticket, Envelope: m.Envelope, Object: wire.Object(m.Envelope), TTL: m.TTL, Receipt: true,
			Done: func(d *shelf.Deposit, err error) {
				switch {
				case err != nil:
				case silent:
					lostAnswers++
				case d.Answer.Refused != nil:
					x.err = d.Answer.Refused
				default:
					if !d.Answer.Receipt.Verify(r.key[:], d.Object, envelope.TagOf(d.Envelope)) {
						panic("a receipt doesn't hold")
					}
					x.err = nil
				}
				results <- struct{}{}
			},
		})
		r.w.must(err)
	}
	for range queued {
		<-results
	}
	if lostAnswers > 0 {
		r.w.count["answers lost"] += lostAnswers
	}
	synctest.Wait()
}

// start is the first day of virtual time.
var start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// daysOf counts from 1.
func daysOf(t time.Time) int { return 1 + int(t.Sub(start)/(24*time.Hour)) }

// fetch returns what an owner is given after a number.
func (r *relay) fetch(handle, after uint64) (out []wire.Env, next uint64) {
	end, err := r.shelf.Fetch(handle, after, math.MaxInt, func(e *wire.Env) error {
		c := *e
		c.Envelope = append([]byte{}, e.Envelope...)
		out = append(out, c)
		return nil
	})
	r.w.must(err)
	next = end.Next
	if r.lies.honest() {
		return out, next
	}
	if r.w.chance(r.lies.withhold) {
		out = out[:r.w.rng.IntN(len(out)+1)]
	}
	for i := range out {
		if len(r.archive[handle]) < 100 {
			r.archive[handle] = append(r.archive[handle], out[i])
		}
	}
	at := uint64(1)
	if n := len(out); n > 0 {
		at = out[n-1].Seq
	}
	add := func(envelope []byte) {
		at++
		out = append(out, wire.Env{Seq: at, Day: 0, Envelope: envelope})
	}
	if old := r.archive[handle]; len(old) > 0 && r.w.chance(r.lies.replay) {
		for range 1 + r.w.rng.IntN(4) {
			add(old[r.w.rng.IntN(len(old))].Envelope)
			r.w.count["replayed"]++
		}
	}
	if r.w.chance(r.lies.swap) {
		for _, other := range r.handles() {
			if old := r.archive[other]; other != handle && len(old) > 0 {
				add(old[r.w.rng.IntN(len(old))].Envelope)
				r.w.count["given to another"]++
				break
			}
		}
	}
	if r.w.chance(r.lies.stuff) {
		for range max(r.lies.many, 1+r.w.rng.IntN(20)) {
			add(junk(envelope.S))
		}
	}
	for i := range out {
		if r.w.chance(r.lies.flip) {
			out[i].Envelope = append([]byte{}, out[i].Envelope...)
			out[i].Envelope[r.w.rng.IntN(len(out[i].Envelope))] ^= 1
			r.w.count["altered"]++
		}
	}
	for i := range out {
		if r.w.chance(r.lies.cut) {
			out[i].Envelope = out[i].Envelope[:r.w.rng.IntN(len(out[i].Envelope))]
			r.w.count["cut off"]++
		}
	}
	if r.w.chance(r.lies.shuffle) && len(out) > 1 {
		r.w.count["reordered"]++
		// A client refuses numbers that don't grow; so it is what they stand for
		// that a relay can exchange.
		r.w.rng.Shuffle(len(out), func(i, j int) { out[i].Envelope, out[j].Envelope = out[j].Envelope, out[i].Envelope })
	}
	return out, max(next, at)
}

// handles are the mailboxes of which something was archived, in a fixed order.
func (r *relay) handles() (out []uint64) {
	for _, p := range r.w.people {
		if p.gone {
			continue
		}
		for _, m := range p.eng.Mailboxes() {
			if m.Key != r.key {
				continue
			}
			owner := [32]byte(ed25519.NewKeyFromSeed(m.Seed[:]).Public().(ed25519.PublicKey))
			if h, found, err := r.shelf.Login(owner); err == nil && found {
				out = append(out, h)
			}
		}
	}
	return out
}
