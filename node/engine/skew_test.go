package engine_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
)

const wrong = 3 * 24 * time.Hour

// skewed is a device whose clock is wrong.
func skewed(t *testing.T, name string, ahead time.Duration) *device {
	t.Helper()
	d := &device{t: t, dir: t.TempDir(), root: [32]byte{1}, ahead: ahead, compactors: new(int)}
	d.open()
	must(t, engine.Create(d.store, identity.NewRecoveryCode(), name, d.wall()))
	d.start()
	t.Cleanup(d.close)
	return d
}

// withWrongClocks runs f for two people whose clocks are days apart. None is
// behind the clock of the test, which is the one that Badger looks at.
func withWrongClocks(t *testing.T, f func(t *testing.T, a, b *device)) {
	for _, by := range [][2]time.Duration{{0, wrong}, {wrong, 0}} {
		t.Run(fmt.Sprintf("%v %v", by[0]-wrong, by[1]-wrong), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f(t, skewed(t, "ann", by[0]), skewed(t, "bob", by[1]))
			})
		})
	}
}

// meet makes two people contacts, whatever their clocks say.
func meet(t *testing.T, a, b *device) {
	t.Helper()
	link, _, err := a.CreateInvite(t.Context(), engine.InviteOptions{Uses: 1, Life: 14 * 24 * time.Hour})
	must(t, err)
	accept(t, a, b, link)
	for range 3 {
		b.carry(a)
		a.carry(b)
	}
}

func (d *device) shows(other *device, text string) bool {
	d.t.Helper()
	synctest.Wait()
	return slices.Contains(d.texts(other), text)
}

// lives checks that a message is shown as long as it should be, counted from
// when it was sent, which was a while ago.
func lives(t *testing.T, a, b *device, text string, life, ago time.Duration) {
	t.Helper()
	const slack = time.Minute
	if ago >= life {
		if b.shows(a, text) {
			t.Errorf("%q is shown after its end", text)
		}
		return
	}
	for _, d := range []*device{a, b} {
		other := a
		if d == a {
			other = b
		}
		if !d.shows(other, text) {
			t.Errorf("%q isn't shown", text)
		}
	}
	time.Sleep(life - ago - slack)
	if !b.shows(a, text) {
		t.Errorf("%q is lost too early", text)
	}
	time.Sleep(2 * slack)
	if a.shows(b, text) || b.shows(a, text) {
		t.Errorf("%q is kept too long", text)
	}
}

func TestWrongClocksDirect(t *testing.T) {
	withWrongClocks(t, func(t *testing.T, a, b *device) {
		meet(t, a, b)
		for i, c := range []struct{ life, away time.Duration }{
			{time.Hour, 0}, {2 * time.Hour, 3 * time.Hour}, {12 * time.Hour, 5 * time.Hour}, {5 * time.Minute, 0},
		} {
			text := fmt.Sprint("message ", i)
			a.send(b, engine.Send{Text: text, Life: message.Lifetime{Expiry: c.life}})
			time.Sleep(c.away)
			a.carry(b)
			lives(t, a, b, text, c.life, c.away)
		}
	})
}

// Mail that lies at a relay while the recipient is away.
func TestWrongClocksAtARelay(t *testing.T) {
	withWrongClocks(t, func(t *testing.T, a, b *device) {
		r := newShelf(1)
		r.host(a)
		r.host(b)
		meet(t, a, b)
		for i, c := range []struct{ life, away time.Duration }{
			{time.Hour, 0}, {2 * time.Hour, 3 * time.Hour}, {12 * time.Hour, 5 * time.Hour},
		} {
			text := fmt.Sprint("message ", i)
			a.send(b, engine.Send{Text: text, Life: message.Lifetime{Expiry: c.life}})
			a.deposit(b.Account(), r)
			time.Sleep(c.away)
			b.collect(r)
			lives(t, a, b, text, c.life, c.away)
			settle(a, b, r)
		}
	})
}

// Without any exchange in which clocks could be compared, an answer shows that
// its author's clock is slow.
func TestSlowClockThatWasNeverCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := skewed(t, "ann", 0), skewed(t, "bob", wrong)
		meet(t, a, b)
		b.must(b.PeerClock(t.Context(), a.Device(), b.Clock())) // nothing is known
		b.say(a, "how are you?")
		parcels, err := b.Pending(a.Account(), 0, 64)
		must(t, err)
		for _, p := range parcels {
			must(t, a.ReceiveBatch(t.Context(), b.Device(), [][]byte{p.Envelope})[0].Err)
		}
		time.Sleep(10 * time.Minute)
		a.send(b, engine.Send{Text: "fine", Life: message.Lifetime{Expiry: time.Hour}})
		parcels, err = a.Pending(b.Account(), 0, 64)
		must(t, err)
		for _, p := range parcels {
			must(t, b.ReceiveBatch(t.Context(), a.Device(), [][]byte{p.Envelope})[0].Err)
		}
		if !b.shows(a, "fine") {
			t.Error("an answer is shown as expired")
		}
		time.Sleep(time.Hour)
		if b.shows(a, "fine") {
			t.Error("kept too long")
		}
	})
}

// Wrong clocks don't reorder what people say to each other.
func TestWrongClocksKeepOrder(t *testing.T) {
	withWrongClocks(t, func(t *testing.T, a, b *device) {
		meet(t, a, b)
		var want []string
		for i := range 12 {
			from, to := a, b
			if i%3 == 1 {
				from, to = b, a
			}
			text := fmt.Sprint("message ", i)
			from.say(to, text)
			want = append(want, text)
			time.Sleep(time.Hour)
			from.carry(to)
		}
		a.wantTexts(b, want...)
		b.wantTexts(a, want...)
	})
}

// A clock that was wrong and is set right loses nothing either.
func TestClockSetRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := skewed(t, "ann", 0), skewed(t, "bob", wrong)
		r := newShelf(1)
		r.host(a)
		r.host(b)
		meet(t, a, b)
		a.ahead = wrong
		must(t, a.ConfirmClock(t.Context()))
		a.send(b, engine.Send{Text: "on time", Life: message.Lifetime{Expiry: time.Hour}})
		a.deposit(b.Account(), r)
		time.Sleep(time.Minute)
		b.collect(r)
		lives(t, a, b, "on time", time.Hour, time.Minute)
	})
}
