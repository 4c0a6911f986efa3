package message_test

import (
	"testing"
	"time"

	"rushlight/protocol/message"
)

func TestClock(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	at := message.ClockOf(now)
	if !message.ClockTime(at).Equal(now) || message.ClockOf(time.UnixMilli(-5)) != 0 {
		t.Error("an instant does not survive")
	}
	if got := message.Tick(0, now); got != at {
		t.Errorf("first tick %d", got)
	}
	if got := message.Tick(at, now); got != at+1 {
		t.Errorf("second tick in one millisecond is %d", got)
	}
	if got := message.Tick(at+99, now.Add(-time.Hour)); got != at+100 {
		t.Errorf("after the clock went back: %d", got)
	}
	for name, c := range map[string]struct{ claimed, parents, want uint64 }{
		"honest":                 {at, 0, at},
		"old":                    {5, 0, 5},
		"before its parents":     {5, at, at + 1},
		"just not too far ahead": {message.ClockOf(now.Add(message.MaxAhead)), 0, message.ClockOf(now.Add(message.MaxAhead))},
		"too far ahead":          {message.ClockOf(now.Add(message.MaxAhead + time.Millisecond)), 0, at},
		"absurd":                 {1<<64 - 1, 0, at},
		"absurd, with parents":   {1<<64 - 1, at + 7, at + 8},
	} {
		if got := message.Order(c.claimed, c.parents, now); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
