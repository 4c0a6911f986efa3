package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/message"
)

// The clock is a year ahead for a while. What would have expired by then is
// hidden, the rest goes on, and when the clock is right again and the person says
// so, everything is there until its own end.
func TestClockAYearAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day, year = 24 * time.Hour, 366 * 24 * time.Hour
		a, b := skewed(t, "ann", 0), skewed(t, "bob", 0)
		meet(t, a, b)
		a.say(b, "stays")
		time.Sleep(time.Second)
		b.send(a, engine.Send{Text: "for a day", Life: message.Lifetime{Expiry: day}})
		time.Sleep(time.Second)
		a.send(b, engine.Send{Text: "hers, for a day", Life: message.Lifetime{Expiry: day}})
		for range 2 {
			a.carry(b)
			b.carry(a)
		}
		sees := func(want string) {
			t.Helper()
			synctest.Wait()
			if got := a.sees(b); got != want {
				t.Errorf("she sees %q, not %q", got, want)
			}
		}
		sees("stays\nfor a day\nhers, for a day")
		a.ahead = year
		a.JumpClock(year)
		a.say(b, "written in the wrong year")
		b.say(a, "what year is it?")
		a.bring(b)
		b.bring(a)
		time.Sleep(time.Hour)
		const hidden = "stays\nwhat year is it?\nwritten in the wrong year"
		sees(hidden)
		a.restart()
		time.Sleep(time.Hour)
		sees(hidden)
		if !a.ClockInDoubt() {
			t.Fatal("not in doubt")
		}
		a.ahead = 0
		a.restart()
		sees(hidden) // a clock that is set back brings nothing back
		a.must(a.ConfirmClock(t.Context()))
		sees("stays\nfor a day\nhers, for a day\nwhat year is it?\nwritten in the wrong year")
		time.Sleep(20 * time.Hour)
		sees("stays\nfor a day\nhers, for a day\nwhat year is it?\nwritten in the wrong year")
		time.Sleep(3 * time.Hour)
		sees("stays\nwhat year is it?\nwritten in the wrong year")
		r, err := a.Check(t.Context())
		if err != nil || len(r.Faults) > 0 {
			t.Errorf("%v %+v", err, r)
		}
	})
}
