package delivery

import (
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"

	"rushlight/node/host"
)

// How often a contact is called is one side's own matter: the protocol says
// nothing of it.
const (
	firstPause = 500 * time.Millisecond
	shortPause = 4 * time.Second // the longest pause in the first minutes
	patience   = 10 * time.Minute
	longPause  = 5 * time.Minute
	// Where little is left to be spent on calls in vain: so many at once, and
	// one more every so often.
	sparingCalls = 8
	sparingEvery = time.Minute
	sparingPause = 10 * time.Minute
	spentPause   = time.Hour
)

// thrift holds back calls that nobody waits for right now: greetings, and those
// to somebody who was just not there.
type thrift struct {
	left  func() host.Thrift
	calls *rate.Limiter
}

func newThrift(left func() host.Thrift) thrift {
	return thrift{left: left, calls: rate.NewLimiter(rate.Every(sparingEvery), sparingCalls)}
}

// holds puts an attempt that is due off, or returns false.
func (t *thrift) holds(p *plan, now time.Time) bool {
	if p.pause == 0 && !p.greet {
		return false // there is something new to say
	}
	pause := sparingPause
	switch t.left() {
	case host.Ample:
		return false
	case host.Spent:
		pause = spentPause
	default:
		if t.calls.AllowN(now, 1) {
			return false
		}
	}
	p.next = now.Add(pause/2 + rand.N(pause/2))
	return true
}

// plan says when a contact is called next. It is pure: the manager acts on it.
// Pauses run from the beginning of one attempt to the beginning of the next.
type plan struct {
	began time.Time // when hope was last renewed
	last  time.Time // beginning of the last attempt
	next  time.Time
	pause time.Duration
	busy  bool // an attempt or its stream is under way
	greet bool // call even with nothing to deliver
}

// renew calls for an attempt soon: there is news of the contact or for it.
func (p *plan) renew(now time.Time) {
	p.began, p.pause = now, 0
	p.next = now
	if soonest := p.last.Add(firstPause); soonest.After(now) {
		p.next = soonest
	}
}

// start marks the beginning of an attempt.
func (p *plan) start(now time.Time) { p.last, p.busy = now, true }

// failed sets the next attempt after one that reached nobody.
func (p *plan) failed(now time.Time) {
	limit := shortPause
	if now.Sub(p.began) > patience {
		limit = longPause
	}
	p.busy, p.greet = false, false
	p.pause = min(max(firstPause, 2*p.pause), limit)
	p.next = p.last.Add(p.pause)
	if soonest := now.Add(firstPause); p.next.Before(soonest) {
		p.next = soonest
	}
}
