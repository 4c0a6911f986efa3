package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"rushlight/node/delivery/parcel"
)

// renew makes d start a new session with another, since the other side says that
// it hasn't got the present one.
func (d *device) renew(other *device) {
	d.t.Helper()
	time.Sleep(31 * time.Second)
	ps, err := d.Pending(other.Account(), 0, 1)
	d.must(err)
	d.must(d.Refused(d.t.Context(), other.Account(), other.Device(), ps[0].Seq, parcel.CodeUnknown))
	d.rekey(other)
}

// rekey starts a new session if d wants one.
func (d *device) rekey(other *device) {
	d.t.Helper()
	if !d.WantsBundle(other.Account()) {
		return
	}
	bundle, err := other.PersonalBundle(d.t.Context(), d.Device())
	d.must(err)
	d.must(d.AcceptBundle(d.t.Context(), other.Account(), other.Device(), bundle))
}

// A session whose first flight was given up, because the other side's session was
// better, isn't waited for when the other side has lost that one.
func TestFlightGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := skewed(t, "ann", 0), skewed(t, "bob", 0)
		meet(t, a, b)
		back := b.older()
		a.hello(b)
		a.say(b, "hers")
		b.say(a, "his")
		a.renew(b)
		b.renew(a)
		b.renew(a) // of a higher generation than hers
		b.carry(a) // which gives up hers
		a.bring(b)
		a.restart()
		back()
		a.say(b, "later")
		for range 5 {
			time.Sleep(31 * time.Second)
			a.hello(b)
			a.rekey(b)
			b.rekey(a)
			a.retry(b)
			b.retry(a)
		}
		if n := a.Queued(); n != 0 {
			t.Error(n, "are queued")
		}
		if got := b.texts(a); len(got) != 2 || got[1] != "later" {
			t.Errorf("he has %q", got)
		}
	})
}
