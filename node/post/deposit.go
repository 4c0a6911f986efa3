package post

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"rushlight/node/engine"
	"rushlight/node/host"
	"rushlight/node/mailbox"
	"rushlight/protocol/envelope"
	"rushlight/protocol/identity"
	wire "rushlight/protocol/mailbox"
)

// Days that a relay is asked to keep an envelope.
const keepDays, keepDaysL = 30, 14

// outbound is the host that deposits are made from. It has a key that is used
// for a while and for nothing else, so that a relay can't tell whose deposits
// they are, nor put those of one day and of another together.
type outbound struct {
	p *Post

	mu      sync.Mutex
	host    *host.Host
	streams map[[32]byte]*mailbox.Deposits
	used    time.Time
	born    time.Time
	failed  map[whose]failure
	efforts map[whose]uint32 // that requests took last
}

// whose is a relay, and the contact whose mailbox there has no room; of nobody
// is the relay itself.
type whose struct {
	relay [32]byte
	to    identity.AccountID
}

// failure is since when a relay has not answered, or a mailbox had no room.
type failure struct {
	n     int
	until time.Time
}

// A host that deposits are made from is given up after so long without one, and
// in any case some hours after it was made.
const (
	outboundIdle = time.Minute
	outboundLife = 6 * time.Hour
)

func (o *outbound) init(p *Post) {
	o.p, o.streams, o.failed, o.efforts = p, map[[32]byte]*mailbox.Deposits{}, map[whose]failure{}, map[whose]uint32{}
}

// avoid reports whether a relay is best left alone now with mail for a contact.
func (o *outbound) avoid(relay [32]byte, to identity.AccountID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	return now.Before(o.failed[whose{relay: relay}].until) || now.Before(o.failed[whose{relay, to}].until)
}

// rest is for how long a relay is left alone.
func (o *outbound) rest(relay [32]byte) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return time.Until(o.failed[whose{relay: relay}].until)
}

// note remembers whether a relay answered, or for how long it asked to be left
// alone.
func (o *outbound) note(relay [32]byte, ok bool, pause time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ok {
		delete(o.failed, whose{relay: relay})
		return
	}
	f := o.failed[whose{relay: relay}]
	if pause == 0 {
		pause = min(time.Hour, 5*time.Second<<min(f.n, 12))
	}
	o.failed[whose{relay: relay}] = failure{f.n + 1, time.Now().Add(pause)}
	if d := o.streams[relay]; d != nil && d.Err() != nil {
		delete(o.streams, relay)
	}
}

// room remembers whether a contact's mailbox at a relay has room: others' mail
// goes there all the same.
func (o *outbound) room(relay [32]byte, to identity.AccountID, has bool, pause time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if has {
		delete(o.failed, whose{relay, to})
		return
	}
	for at, f := range o.failed {
		if len(o.failed) >= maxFailed && time.Now().After(f.until) {
			delete(o.failed, at)
		}
	}
	if len(o.failed) < 2*maxFailed {
		o.failed[whose{relay, to}] = failure{1, time.Now().Add(pause)}
	}
}

// maxFailed is how many failures are remembered before those that are over are
// forgotten.
const maxFailed = 1024

// stream returns a stream to a relay, opening it when there is none.
func (o *outbound) stream(ctx context.Context, relay [32]byte, at peer.AddrInfo) (*mailbox.Deposits, error) {
	o.mu.Lock()
	o.used = time.Now()
	if d := o.streams[relay]; d != nil && d.Err() == nil {
		o.mu.Unlock()
		return d, nil
	}
	if o.host == nil {
		h, err := o.p.fresh()
		if err != nil {
			o.mu.Unlock()
			return nil, err
		}
		o.host, o.born = h, o.used
	}
	h := o.host
	o.mu.Unlock()
	if err := h.Connect(ctx, at); err != nil {
		return nil, err
	}
	d, err := mailbox.OpenDeposits(ctx, h, at.ID)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.host != h {
		d.Close()
		return nil, errors.New("post: the host was given up")
	}
	if other := o.streams[relay]; other != nil && other.Err() == nil {
		d.Close()
		return other, nil
	}
	o.streams[relay] = d
	return d, nil
}

// tidy gives up a host that isn't used, or is old.
func (o *outbound) tidy(now time.Time) {
	o.mu.Lock()
	if o.host == nil || now.Sub(o.used) < outboundIdle && now.Sub(o.born) < outboundLife {
		o.mu.Unlock()
		return
	}
	o.mu.Unlock()
	o.close()
}

func (o *outbound) close() {
	o.mu.Lock()
	h, all := o.host, o.streams
	o.host, o.streams = nil, map[[32]byte]*mailbox.Deposits{}
	o.mu.Unlock()
	for _, d := range all {
		d.Close()
	}
	if h != nil {
		if err := h.Close(); err != nil {
			o.p.log.Debug("closing a host", "err", err)
		}
	}
}

// serve deposits what waits for a contact, and says after which time to look
// again; 0 is not before there is something new.
func (p *Post) serve(ctx context.Context, a identity.AccountID) (again time.Duration) {
	for ctx.Err() == nil {
		letters, next, err := p.e.Post(ctx, a, func(relay [32]byte) bool { return p.out.avoid(relay, a) })
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, engine.ErrStopped) {
				p.log.Error("preparing deposits", "err", err)
			}
			return time.Minute
		}
		if len(letters) == 0 {
			rest := p.out.shortest(a)
			if rest > 0 && p.e.Waits(a) && (next.IsZero() || rest < time.Until(next)) {
				return rest
			}
			if next.IsZero() {
				return 0
			}
			return max(time.Second, time.Until(next))
		}
		answers := p.deposit(ctx, a, letters)
		if err := p.e.Posted(ctx, a, answers); err != nil {
			if ctx.Err() == nil && !errors.Is(err, engine.ErrStopped) {
				p.log.Error("noting deposits", "err", err)
			}
			return time.Minute
		}
	}
	return 0
}

// shortest is until the first relay that is left alone may be tried again; 0 is
// that there is none.
func (o *outbound) shortest(to identity.AccountID) (d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for at, f := range o.failed {
		if at.to != to && at.to != (identity.AccountID{}) {
			continue
		}
		if left := max(time.Second, time.Until(f.until)); d == 0 || left < d {
			d = left
		}
	}
	return d
}

// deposit sends letters and waits for all answers.
func (p *Post) deposit(ctx context.Context, to identity.AccountID, letters []engine.Letter) []engine.Answer {
	out := make([]engine.Answer, len(letters))
	byRelay := map[[32]byte][]int{}
	var wg sync.WaitGroup
	for i, l := range letters {
		out[i] = engine.Answer{Seq: l.Seq, Relay: l.Relay, Code: engine.NoAnswer}
		if l.Lane == ([32]byte{}) {
			byRelay[l.Relay] = append(byRelay[l.Relay], i)
			continue
		}
		wg.Go(func() {
			if done, err := p.request(ctx, to, &l); done {
				p.took(l.Relay, to, err, &out[i])
			}
		})
	}
	for relay, which := range byRelay {
		wg.Go(func() {
			if d := p.reach(ctx, to, &letters[which[0]]); d != nil {
				ctx, cancel := context.WithTimeout(ctx, answer)
				defer cancel()
				p.send(ctx, relay, to, d, letters, which, out)
			}
		})
	}
	wg.Wait()
	return out
}

// reach returns a stream to the relay of a letter, or nil.
func (p *Post) reach(ctx context.Context, to identity.AccountID, l *engine.Letter) *mailbox.Deposits {
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	at, err := peerOf(l.Relay, l.Addrs)
	var d *mailbox.Deposits
	if err == nil {
		d, err = p.out.stream(host.CallsFor(ctx, string(to[:])), l.Relay, at)
	}
	if err != nil {
		p.log.Debug("a relay can't be reached", "err", err)
		p.out.note(l.Relay, false, 0)
		return nil
	}
	return d
}

// send deposits some letters at one relay.
func (p *Post) send(ctx context.Context, relay [32]byte, to identity.AccountID, d *mailbox.Deposits, letters []engine.Letter, which []int, out []engine.Answer) {
	type result struct {
		i   int
		err error
	}
	results := make(chan result, len(which))
	for _, i := range which {
		l := &letters[i]
		m := &wire.Deposit{TTL: keepDays, Receipt: true, Stamp: l.Stamp, Envelope: l.Envelope}
		if len(l.Envelope) == envelope.L.Size() {
			m.TTL = keepDaysL
		}
		d.Start(m, func(_ wire.Stored, err error) { results <- result{i, err} })
	}
	for range which {
		select {
		case r := <-results:
			p.took(relay, to, r.err, &out[r.i])
		case <-ctx.Done():
			p.out.note(relay, false, 0)
			return
		}
	}
}

// took takes what a relay said to one letter.
func (p *Post) took(relay [32]byte, to identity.AccountID, err error, out *engine.Answer) {
	e := new(wire.Err)
	switch {
	case err == nil:
		out.Code = 0
		p.out.note(relay, true, 0)
		p.out.room(relay, to, true, 0)
	case errors.As(err, &e):
		out.Code = uint8(e.Code)
		if least, ok := e.Effort(); ok && !p.out.raise(whose{relay, to}, least) {
			p.out.room(relay, to, false, time.Hour)
		}
		pause := max(time.Second, time.Duration(min(e.RetryAfter, 3600))*time.Second)
		if e.Code == wire.CodeFull {
			p.out.room(relay, to, false, pause)
		}
		if e.Code == wire.CodeBusy {
			p.out.note(relay, false, pause)
		}
	case errors.Is(err, errWork): // the relay knows nothing of it
		p.out.room(relay, to, false, time.Minute)
	default:
		p.log.Debug("a deposit has failed", "err", err)
		p.out.note(relay, false, 0)
	}
}

// Effort of requests: at first, and the most that is done for one.
const (
	firstEffort = 64
	mostEffort  = 1 << 12
)

// A unit of effort takes 2.5 ms of one processor of a server (BenchmarkSolve of
// package pow: a list of 5 ms is worth two). There is time for three times the
// mean, which is enough in 19 cases of 20, on a device that is five times slower.
const (
	leastWorkTime = 15 * time.Second
	unitWorkTime  = 40 * time.Millisecond
)

// workTime is how long work of an effort may take: at most 164 seconds.
func workTime(effort uint32) time.Duration {
	return max(leastWorkTime, time.Duration(min(effort, mostEffort))*unitWorkTime)
}

var errWork = errors.New("post: a request takes more work than there was time for")

// request puts a letter into a request lane, with as much work as was asked for
// there last. The relay is called again when the work is done: a stream may not
// have waited that long. done is false when it can't be reached, which is noted.
func (p *Post) request(ctx context.Context, to identity.AccountID, l *engine.Letter) (done bool, err error) {
	lane := whose{l.Relay, to}
	effort := max(p.out.effort(lane), p.effort)
	day := uint16(time.Now().Unix() / 86400)
	if p.reach(ctx, to, l) == nil {
		return false, nil // no work for nothing
	}
	in, stop := context.WithTimeout(ctx, workTime(effort))
	defer stop()
	work, err := mailbox.Work(in, wire.RequestChallenge(l.Relay, l.Lane, day, wire.Object(l.Envelope)), effort)
	if err != nil {
		return true, errors.Join(errWork, err)
	}
	d := p.reach(ctx, to, l)
	if d == nil {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	_, err = d.Request(ctx, &wire.Request{Receipt: true, Lane: l.Lane, Day: day, Effort: effort, Proof: work, Envelope: l.Envelope})
	if err == nil {
		p.out.passed(lane)
	}
	return true, err
}

// effort is what requests to a lane took last.
func (o *outbound) effort(lane whose) uint32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.efforts[lane]
}

// passed lets the effort go down again by and by.
func (o *outbound) passed(lane whose) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.efforts[lane] /= 2
}

// raise takes what the relay has asked for. False is too much.
func (o *outbound) raise(lane whose, least uint32) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.efforts) > 256 {
		clear(o.efforts)
	}
	o.efforts[lane] = min(least+least/8, mostEffort)
	return least <= mostEffort
}

// Ask leaves a request with the maker of an invite, who is away.
func (p *Post) Ask(ctx context.Context, inv *identity.Invite) error {
	letters, err := p.e.Ask(ctx, inv)
	if err != nil || len(letters) == 0 {
		return err
	}
	return p.e.Asked(ctx, inv.Account, p.deposit(ctx, inv.Account, letters))
}
