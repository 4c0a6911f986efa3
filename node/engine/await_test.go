package engine_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"rushlight/node/delivery/parcel"
	"rushlight/node/engine"
)

// offers is carry to somebody who may refuse.
func (d *device) offers(other *device) {
	d.t.Helper()
	ctx := d.t.Context()
	d.hello(other)
	parcels, err := d.Pending(other.Account(), 0, 64)
	must(d.t, err)
	for _, p := range parcels {
		r := other.ReceiveBatch(ctx, d.Device(), [][]byte{p.Envelope})[0]
		var no *parcel.Refusal
		if errors.As(r.Err, &no) {
			must(d.t, d.Refused(ctx, other.Account(), other.Device(), p.Seq, no.Code))
			continue
		}
		must(d.t, r.Err)
		must(d.t, d.Acked(ctx, other.Account(), other.Device(), []parcel.Ack{{Seq: p.Seq, MAC: r.MAC}}))
	}
}

// Who used an invite that needs approval waits until something of theirs was
// taken, or something comes. Who was declined sees nothing else than who still
// waits, and who is blocked later nothing else than before.
func TestAwaitingApproval(t *testing.T) {
	for _, c := range []struct {
		name  string
		needs bool
		then  func(t *testing.T, a, b *device)
		waits bool
	}{
		{"control: needs none", false, func(*testing.T, *device, *device) {}, false},
		{"nothing was decided", true, func(*testing.T, *device, *device) {}, true},
		{"approved", true, func(t *testing.T, a, b *device) { must(t, a.Approve(t.Context(), b.Account())) }, false},
		{"approved and written to", true, func(t *testing.T, a, b *device) {
			must(t, a.Approve(t.Context(), b.Account()))
			a.say(b, "welcome")
		}, false},
		{"approved and blocked", true, func(t *testing.T, a, b *device) {
			must(t, a.Approve(t.Context(), b.Account()))
			b.offers(a)
			must(t, a.Block(t.Context(), b.Account()))
		}, false},
		{"declined", true, func(t *testing.T, a, b *device) { must(t, a.Remove(t.Context(), b.Account())) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := skewed(t, "ann", 0), skewed(t, "bob", 0)
				link, _, err := a.CreateInvite(t.Context(), engine.InviteOptions{Uses: 1, Life: time.Hour, NeedsApproval: c.needs})
				must(t, err)
				accept(t, a, b, link)
				waits := func() bool {
					t.Helper()
					w, err := b.Awaits(a.Account())
					must(t, err)
					return w
				}
				for range 3 {
					b.offers(a)
					a.offers(b)
				}
				if waits() != c.needs {
					t.Fatalf("before anything is decided he waits: %v", !c.needs)
				}
				b.restart()
				c.then(t, a, b)
				for range 3 {
					a.offers(b)
					b.offers(a)
					time.Sleep(time.Hour)
				}
				if waits() != c.waits {
					t.Errorf("he waits: %v", !c.waits)
				}
				must(t, b.Remove(t.Context(), a.Account()))
				if waits() {
					t.Error("he waits for nobody")
				}
			})
		})
	}
}
