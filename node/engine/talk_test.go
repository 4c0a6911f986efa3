package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rushlight/node/delivery/parcel"
	"rushlight/node/engine"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// send writes a message and returns its id.
func (d *device) send(other *device, s engine.Send) message.ID {
	d.t.Helper()
	s.To = other.Account()
	sent, err := d.Send(d.t.Context(), s)
	if err != nil {
		d.t.Fatal(err)
	}
	return sent.ID
}

// sees is what d shows of its conversation with another, a line for each
// message.
func (d *device) sees(other *device) string {
	d.t.Helper()
	views, err := d.Read(d.t.Context(), engine.Read{With: other.Account(), Peek: true})
	if err != nil {
		d.t.Fatal(err)
	}
	var lines []string
	for _, v := range views {
		lines = append(lines, describe(v))
	}
	return strings.Join(lines, "\n")
}

func describe(v engine.View) string {
	l := v.Text
	if v.Timer != nil {
		l = fmt.Sprintf("timer %v %v", v.Timer.Expiry, v.Timer.Burn)
	}
	if v.Newer {
		l = "newer"
	}
	for _, f := range v.Files {
		l += " [" + f.Name + "]"
	}
	if v.Edited {
		l += " (edited)"
	}
	if v.Deleted {
		l += "(deleted)"
	}
	if v.Quote != nil {
		l += " [re: " + v.Quote.Text + "]"
	}
	if v.Waiting {
		l += " (waiting)"
	}
	var r []string
	for _, x := range v.Reactions {
		r = append(r, fmt.Sprintf("%x:%s", x.From[:2], x.Emoji))
	}
	slices.Sort(r)
	return strings.TrimSpace(strings.Join(append([]string{l}, r...), " "))
}

func (d *device) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func bothSee(t *testing.T, a, b *device, want string) {
	t.Helper()
	if got := a.sees(b); got != want {
		t.Errorf("the first sees\n%s\nand not\n%s", got, want)
	}
	if got := b.sees(a); got != want {
		t.Errorf("the second sees\n%s\nand not\n%s", got, want)
	}
}

// allSettled checks that nothing is left to do and the stores are in order.
func allSettled(t *testing.T, a, b *device) {
	t.Helper()
	for range 6 {
		a.carry(b)
		b.carry(a)
	}
	for _, d := range []*device{a, b} {
		if n := d.Queued(); n != 0 {
			t.Errorf("%d entries are left in an outbox", n)
		}
		r, err := d.Check(t.Context())
		if err != nil || len(r.Faults) > 0 {
			t.Errorf("check: %v %+v", err, r)
		}
	}
}

func pair(t *testing.T) (a, b *device) {
	t.Helper()
	a, b = newDevice(t, "ann"), newDevice(t, "bob")
	join(t, a, b)
	return a, b
}

func TestEditReactReplyUnsend(t *testing.T) {
	a, b := pair(t)
	ctx := t.Context()
	first := a.send(b, engine.Send{Text: "helo"})
	a.carry(b)
	b.must(b.React(ctx, first, "👍"))
	a.must(a.Edit(ctx, first, "hello", nil, nil))
	allSettled(t, a, b)
	b.send(a, engine.Send{Text: "indeed", ReplyTo: first})
	allSettled(t, a, b)
	thumb := fmt.Sprintf("%x:👍", func() []byte { x := b.Account(); return x[:2] }())
	bothSee(t, a, b, "hello (edited) "+thumb+"\nindeed [re: hello]")

	b.must(b.React(ctx, first, ""))
	a.must(a.Edit(ctx, first, "hello!", nil, nil))
	allSettled(t, a, b)
	bothSee(t, a, b, "hello! (edited)\nindeed [re: hello!]")

	a.must(a.Unsend(ctx, first))
	allSettled(t, a, b)
	bothSee(t, a, b, "(deleted)\nindeed")
	a.restart()
	b.restart()
	bothSee(t, a, b, "(deleted)\nindeed")
	a.must(a.Unsend(ctx, first)) // twice is no mistake
	for name, err := range map[string]error{
		"edit":   a.Edit(ctx, first, "again", nil, nil),
		"react":  b.React(ctx, first, "👍"),
		"unsend": b.Unsend(ctx, first),
	} {
		if !errors.Is(err, engine.ErrNoChange) && !errors.Is(err, engine.ErrNotYours) {
			t.Errorf("%s what is gone: %v", name, err)
		}
	}
	if err := b.Edit(ctx, message.ID{1}, "x", nil, nil); !errors.Is(err, engine.ErrUnknownMessage) {
		t.Error(err)
	}
	allSettled(t, a, b)
}

// The recipient is away: what it missed is gone when it comes, and nothing waits
// for it.
func TestUnsendBeforeDelivery(t *testing.T) {
	a, b := pair(t)
	ctx := t.Context()
	a.say(b, "one")
	two := a.send(b, engine.Send{Text: "two"})
	a.must(a.Edit(ctx, two, "two!", nil, nil))
	a.must(a.React(ctx, two, "🙂"))
	a.say(b, "three")
	a.must(a.Unsend(ctx, two))
	allSettled(t, a, b)
	bothSee(t, a, b, "one\n(deleted)\nthree")
	b.say(a, "four")
	allSettled(t, a, b)
	bothSee(t, a, b, "one\n(deleted)\nthree\nfour")

	// What its author erases for itself alone and was on its way is nowhere.
	five := a.send(b, engine.Send{Text: "five"})
	a.say(b, "six")
	a.must(a.Delete(ctx, five))
	allSettled(t, a, b)
	bothSee(t, a, b, "one\n(deleted)\nthree\nfour\nsix")
}

// parcels is what waits in d's outbox for another.
func (d *device) parcels(other *device) []parcel.Parcel {
	d.t.Helper()
	d.hello(other)
	ps, err := d.Pending(other.Account(), 0, 4096)
	d.must(err)
	return ps
}

// deliver hands over parcels in the order given and acknowledges what was taken.
func (d *device) deliver(other *device, ps []parcel.Parcel, ack bool) {
	d.t.Helper()
	var envs [][]byte
	for _, p := range ps {
		envs = append(envs, slices.Clone(p.Envelope))
	}
	var acks []parcel.Ack
	for i, r := range other.ReceiveBatch(d.t.Context(), d.Device(), envs) {
		if r.Err == nil && ack {
			acks = append(acks, parcel.Ack{Seq: ps[i].Seq, MAC: r.MAC})
		}
	}
	if len(acks) > 0 {
		d.must(d.Acked(d.t.Context(), other.Account(), other.Device(), acks))
	}
}

// Everything about a message comes before the message.
func TestChangesBeforeTheirTarget(t *testing.T) {
	for _, gone := range []bool{false, true} {
		a, b := pair(t)
		ctx := t.Context()
		id := a.send(b, engine.Send{Text: "one"})
		a.must(a.Edit(ctx, id, "two", nil, nil))
		a.must(a.Edit(ctx, id, "three", nil, nil))
		a.must(a.React(ctx, id, "🙂"))
		ps := a.parcels(b)
		if gone {
			a.must(a.Unsend(ctx, id))
			ps = append(ps, a.parcels(b)...)
		}
		slices.Reverse(ps)
		a.deliver(b, ps, false)
		want := a.sees(b)
		if want == "" || gone != strings.Contains(want, "deleted") {
			t.Fatal("control:", want)
		}
		if got := b.sees(a); got != want {
			t.Errorf("gone %v: %q instead of %q", gone, got, want)
		}
		allSettled(t, a, b)
		bothSee(t, a, b, want)
	}
}

// A message that is to burn does so on both sides once it was seen, and is
// reported even if it is erased by hand.
func TestBurnIsReported(t *testing.T) {
	a, b := pair(t)
	a.send(b, engine.Send{Text: "seen", Life: message.Lifetime{Burn: time.Second}})
	erased := a.send(b, engine.Send{Text: "erased", Life: message.Lifetime{Burn: time.Hour}})
	a.send(b, engine.Send{Text: "unseen", Life: message.Lifetime{Burn: time.Second}})
	stays := a.send(b, engine.Send{Text: "stays"})
	a.carry(b)
	views, err := b.Read(t.Context(), engine.Read{With: a.Account()})
	b.must(err)
	if len(views) != 4 || views[0].BurnsAt.IsZero() || !views[3].BurnsAt.IsZero() {
		t.Fatalf("%+v", views)
	}
	b.must(b.Delete(t.Context(), erased))
	b.must(b.Delete(t.Context(), stays))
	eventually(t, func() bool { return b.sees(a) == "" })
	eventually(t, func() bool { b.carry(a); return a.sees(b) == "stays" })
	allSettled(t, a, b)
	if st, err := a.State(erased); err != nil || st != record.StateRead {
		t.Errorf("state %d, %v", st, err)
	}
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(90 * time.Second); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("waited too long")
		}
	}
}

// Nothing waits for a message that expired before it could be delivered, and
// however many do, what comes after them is taken.
func TestExpiredUndelivered(t *testing.T) {
	a, b := pair(t)
	for i := range 80 {
		a.send(b, engine.Send{Text: "gone", Life: message.Lifetime{Expiry: 5 * time.Second}})
		if i%8 == 0 {
			a.say(b, fmt.Sprint("stays ", i))
		}
	}
	eventually(t, func() bool { return !strings.Contains(a.sees(b), "gone") })
	eventually(t, func() bool { a.carry(b); return a.Queued() == 0 })
	want := "stays 0\nstays 8\nstays 16\nstays 24\nstays 32\nstays 40\nstays 48\nstays 56\nstays 64\nstays 72"
	bothSee(t, a, b, want)
	allSettled(t, a, b)
}

func TestTimer(t *testing.T) {
	a, b := pair(t)
	ctx := t.Context()
	_, err := a.SetTimer(ctx, b.Account(), message.Lifetime{Expiry: time.Hour, Burn: time.Minute})
	a.must(err)
	allSettled(t, a, b)
	bothSee(t, a, b, "timer 1h0m0s 1m0s")
	for _, c := range []struct{ told, want message.Lifetime }{
		{message.Lifetime{}, message.Lifetime{Expiry: time.Hour, Burn: time.Minute}},
		{message.Lifetime{Expiry: engine.Never}, message.Lifetime{Burn: time.Minute}},
		{message.Lifetime{Expiry: time.Minute, Burn: engine.Never}, message.Lifetime{Expiry: time.Minute}},
	} {
		id := b.send(a, engine.Send{Text: "x", Life: c.told})
		v, err := b.Message(id)
		b.must(err)
		if v.Burn != c.want.Burn || v.Expires.IsZero() != (c.want.Expiry == 0) ||
			!v.Expires.IsZero() && v.Expires.Sub(v.Sent) > c.want.Expiry {
			t.Errorf("told %v: burn %v, expires %v after it was sent", c.told, v.Burn, v.Expires.Sub(v.Sent))
		}
	}
	_, err = b.SetTimer(ctx, a.Account(), message.Lifetime{})
	b.must(err)
	allSettled(t, a, b)
	for _, d := range []*device{a, b} {
		other := a
		if d == a {
			other = b
		}
		if l, err := d.Timer(other.Account()); err != nil || l != (message.Lifetime{}) {
			t.Errorf("timer %v, %v", l, err)
		}
	}
	if _, err := a.SetTimer(ctx, b.Account(), message.Lifetime{Expiry: time.Second}); !errors.Is(err, message.ErrExpiry) {
		t.Error(err)
	}
}

// count is how many records a store has under a prefix.
func (d *device) count(prefix storage.Key) (n int) {
	d.t.Helper()
	d.must(d.store.View(func(tx *storage.Tx) error {
		return tx.ScanKeys(prefix, nil, false, func(storage.Key) (bool, error) { n++; return true, nil })
	}))
	return n
}
