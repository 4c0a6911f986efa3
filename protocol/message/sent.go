package message

import "time"

// Evidence is what a recipient knows about when a message was sent, by its own
// clock.
type Evidence struct {
	// Ahead is by how much the recipient's clock was ahead of the author's when
	// they were compared last; zero when they never were.
	Ahead time.Duration
	// Received is now.
	Received time.Time
	// Latest is the latest time at which it can have been sent: no later than
	// it came to a relay.
	Latest time.Time
	// Earliest is the earliest: not before what its author had seen of the
	// recipient. Zero is unknown.
	Earliest time.Time
}

// Sent is when a message was sent whose author claims a time, by the
// recipient's clock: its lifetime counts from then (spec §9.7). It also returns
// by how much the clocks then differ.
func (e Evidence) Sent(claimed uint64) (sent time.Time, ahead time.Duration) {
	c, ahead := ClockTime(claimed), e.Ahead
	if near(e.Received.Sub(c)) && !near(ahead) {
		ahead = 0 // one of the clocks was set since
	}
	sent = c.Add(ahead)
	if sent.Before(e.Earliest) {
		sent = e.Earliest
	}
	if sent.After(e.Received) {
		sent = e.Received
	}
	if d := sent.Sub(c); !near(d - ahead) {
		ahead = d
	}
	if sent.After(e.Latest) {
		sent = e.Latest // what a relay says doesn't count for later messages
	}
	return sent, ahead
}

func near(d time.Duration) bool { return -Agreement <= d && d <= Agreement }
