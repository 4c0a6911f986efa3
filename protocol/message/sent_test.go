package message

import (
	"testing"
	"time"
)

func TestSent(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) time.Time { return now.Add(d) }
	none := time.Time{}
	for _, c := range []struct {
		name     string
		claimed  time.Time
		ahead    time.Duration
		latest   time.Time
		earliest time.Time
		sent     time.Time
		after    time.Duration
	}{
		{"clocks that agree", at(-time.Minute), 0, now, none, at(-time.Minute), 0},
		{"on its way for two days", at(-2 * day), 0, now, none, at(-2 * day), 0},
		{"a slow clock", at(-3 * day), 3 * day, now, none, now, 3 * day},
		{"a slow clock, two days on its way", at(-5 * day), 3 * day, now, none, at(-2 * day), 3 * day},
		{"a fast clock", at(3 * day), -3 * day, now, none, now, -3 * day},
		{"a fast clock, four days on its way", at(-day), -3 * day, now, none, at(-4 * day), -3 * day},
		{"a fast clock nobody knows of", at(3 * day), 0, now, none, now, -3 * day},
		{"the same, two days at a relay", at(day), 0, at(-2*day + time.Hour), none, at(-2*day + time.Hour), -day},
		{"a slow clock that was never compared", at(-3 * day), 0, now, at(-time.Hour), at(-time.Hour), 3*day - time.Hour},
		{"a fast clock that was set right", at(-time.Minute), -3 * day, now, none, at(-time.Minute), 0},
		{"a slow clock that was set right", at(-time.Minute), 3 * day, now, none, at(-time.Minute), 0},
		{"the same, a day at a relay", at(-day), 3 * day, at(-day + time.Hour), none, at(-day + time.Hour), day},
		{"seen before a relay had it", at(-3 * day), 0, at(-2 * day), at(-day), at(-2 * day), 2 * day},
		{"few minutes are kept", at(-5 * time.Minute), 5 * time.Minute, now, none, now, 5 * time.Minute},
	} {
		e := Evidence{Ahead: c.ahead, Received: now, Latest: c.latest, Earliest: c.earliest}
		sent, after := e.Sent(ClockOf(c.claimed))
		if !sent.Equal(c.sent) || after != c.after {
			t.Errorf("%s: sent %v, ahead %v instead of %v, %v", c.name, sent.Sub(now), after, c.sent.Sub(now), c.after)
		}
	}
}
