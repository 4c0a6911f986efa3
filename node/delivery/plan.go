package delivery

import "time"

// How often a contact is called is one side's own matter: the protocol says
// nothing of it.
const (
	firstPause = 500 * time.Millisecond
	shortPause = 4 * time.Second // the longest pause in the first minutes
	patience   = 10 * time.Minute
	longPause  = 5 * time.Minute
)

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
