package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rushlight/node/delivery/parcel"
	"rushlight/node/engine"
	"rushlight/protocol/identity"
	"rushlight/storage"
	"rushlight/storage/record"
)

// device is an engine on a real store, driven by hand instead of a network.
type device struct {
	t          testing.TB
	dir        string
	root       [32]byte
	store      *storage.Store
	ahead      time.Duration // of its clock
	compactors *int
	*engine.Engine
	stop  context.CancelFunc
	hooks engine.Hooks
	done  chan error
}

func newDevice(t testing.TB, name string) *device {
	t.Helper()
	d := &device{t: t, dir: t.TempDir(), root: [32]byte{1}}
	d.open()
	if err := engine.Create(d.store, identity.NewRecoveryCode(), name, time.Now()); err != nil {
		t.Fatal(err)
	}
	d.start()
	t.Cleanup(d.close)
	return d
}

func (d *device) open() {
	d.t.Helper()
	s, err := storage.Open(storage.Options{Dir: d.dir, Root: d.root, Ballast: -1, MinFree: -1, Wall: d.wall, Compactors: d.compactors})
	if err != nil {
		d.t.Fatal(err)
	}
	d.store = s
}

func (d *device) wall() time.Time { return time.Now().Add(d.ahead) }

func (d *device) start() {
	d.t.Helper()
	e, err := engine.Open(d.store, engine.Options{})
	if err != nil {
		d.t.Fatal(err)
	}
	d.Engine = e
	e.SetHooks(d.hooks)
	ctx, cancel := context.WithCancel(context.Background())
	d.stop, d.done = cancel, make(chan error, 1)
	go func() { d.done <- e.Run(ctx) }()
}

func (d *device) close() {
	d.stop()
	if err := <-d.done; err != nil {
		d.t.Error(err)
	}
	if err := errors.Join(d.ObjectsDiffer(), d.QueuedDiffers()); err != nil {
		d.t.Error(err)
	}
	if err := d.store.Close(); err != nil {
		d.t.Error(err)
	}
}

func (d *device) restart() {
	d.close()
	d.open()
	d.start()
}

// join makes b accept an invite of a, over a wire that the test is.
func join(t testing.TB, a, b *device) {
	t.Helper()
	ctx := t.Context()
	link, _, err := a.CreateInvite(ctx, engine.InviteOptions{Uses: 1, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	accept(t, a, b, link)
	b.carry(a)
	a.carry(b)
}

func accept(t testing.TB, a, b *device, link string) {
	t.Helper()
	inv, err := identity.ParseInvite(link)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Join(t.Context(), inv, link, "", "", false); err != nil {
		t.Fatal(err)
	}
	b.offered(a, inv)
}

// offered asks a, whose invite d has accepted, for its bundle.
func (d *device) offered(a *device, inv *identity.Invite) {
	d.t.Helper()
	_, reply, code := a.ServeInvite(d.t.Context(), inv.ID, func(s [32]byte) bool { return s == inv.Secret })
	if code != 0 {
		d.t.Fatal("invite refused with code", code)
	}
	if err := d.Offered(d.t.Context(), inv, reply); err != nil {
		d.t.Fatal(err)
	}
}

// carry brings everything in d's outbox for other there, and the
// acknowledgements back. It returns how many envelopes were taken.
func (d *device) carry(other *device) (taken int) {
	d.t.Helper()
	d.hello(other)
	return d.bring(other)
}

// bring is carry between two who have met before.
func (d *device) bring(other *device) (taken int) {
	d.t.Helper()
	ctx := d.t.Context()
	after := uint64(0)
	for {
		parcels, err := d.Pending(other.Account(), after, 64)
		if err != nil {
			d.t.Fatal(err)
		}
		if len(parcels) == 0 {
			return taken
		}
		var envs [][]byte
		for _, p := range parcels {
			envs = append(envs, p.Envelope)
			after = p.Seq
		}
		var acks []parcel.Ack
		for i, r := range other.ReceiveBatch(ctx, d.Device(), envs) {
			if r.Err != nil {
				d.t.Fatal("envelope refused:", r.Err)
			}
			acks = append(acks, parcel.Ack{Seq: parcels[i].Seq, MAC: r.MAC})
			taken++
		}
		if err := d.Acked(ctx, other.Account(), other.Device(), acks); err != nil {
			d.t.Fatal(err)
		}
	}
}

// hello is what opens a stream: both say how far their sessions have come.
func (d *device) hello(other *device) {
	d.t.Helper()
	if err := d.PeerCounters(d.t.Context(), other.Device(), other.Counters(d.Device())); err != nil {
		d.t.Fatal(err)
	}
	if err := other.PeerCounters(d.t.Context(), d.Device(), d.Counters(other.Device())); err != nil {
		d.t.Fatal(err)
	}
	d.must(d.PeerClock(d.t.Context(), other.Device(), other.Clock()))
	d.must(other.PeerClock(d.t.Context(), d.Device(), d.Clock()))
}

func (d *device) say(other *device, text string) {
	d.t.Helper()
	if _, err := d.Send(d.t.Context(), engine.Send{To: other.Account(), Text: text}); err != nil {
		d.t.Fatal(err)
	}
}

func (d *device) texts(other *device) (out []string) {
	d.t.Helper()
	views, err := d.Read(d.t.Context(), engine.Read{With: other.Account()})
	if err != nil {
		d.t.Fatal(err)
	}
	for _, v := range views {
		out = append(out, v.Text)
	}
	return out
}

func TestTwoPeopleTalk(t *testing.T) {
	a, b := newDevice(t, "ann"), newDevice(t, "bob")
	join(t, a, b)
	var want []string
	for i := range 50 {
		text := fmt.Sprint("a", i)
		a.say(b, text)
		want = append(want, text)
		a.carry(b)
		text = fmt.Sprint("b", i)
		b.say(a, text)
		want = append(want, text)
		b.carry(a)
		if i%20 == 7 {
			a.restart()
			b.restart()
		}
	}
	long := strings.Repeat("ü", 24576)
	a.say(b, long)
	a.carry(b)
	want = append(want, long)
	for _, d := range []*device{a, b} {
		other := a
		if d == a {
			other = b
		}
		if got := strings.Join(d.texts(other), "\n"); got != strings.Join(want, "\n") {
			t.Fatalf("conversation differs: %.300s", got)
		}
		if n := d.Queued(); n != 0 {
			t.Fatal("left in the outbox:", n)
		}
		if c := d.Contacts(); len(c) != 1 || c[0].State != record.ContactApproved {
			t.Fatalf("contacts: %+v", c)
		}
	}
}
