package engine_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"rushlight/node/delivery/parcel"
	"rushlight/node/engine"
	"rushlight/protocol/identity"
	"rushlight/storage"
)

// flying is an envelope, or the answer to it, on its way between two devices.
type flying struct {
	from, to *device
	parcel   parcel.Parcel
	answer   parcel.Result
}

func (f *flying) arrive() {
	f.answer = f.to.ReceiveBatch(f.to.t.Context(), f.from.Device(), [][]byte{f.parcel.Envelope})[0]
}

func (f *flying) answered() {
	f.from.t.Helper()
	ctx := f.from.t.Context()
	var err error
	var no *parcel.Refusal
	switch {
	case f.answer.Err == nil:
		err = f.from.Acked(ctx, f.to.Account(), f.to.Device(), []parcel.Ack{{Seq: f.parcel.Seq, MAC: f.answer.MAC}})
	case !errors.As(f.answer.Err, &no):
		err = f.answer.Err
	case no.Code != parcel.CodeBusy:
		err = f.from.Refused(ctx, f.to.Account(), f.to.Device(), f.parcel.Seq, no.Code)
	}
	if err != nil {
		f.from.t.Fatal(err)
	}
}

// retry sends what is left in d's outbox for other, once.
func (d *device) retry(other *device) {
	d.t.Helper()
	for _, f := range d.flying(other) {
		f.arrive()
		f.answered()
	}
}

func (d *device) flying(other *device) (out []*flying) {
	d.t.Helper()
	ps, err := d.Pending(other.Account(), 0, 100)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, p := range ps {
		out = append(out, &flying{from: d, to: other, parcel: p})
	}
	return out
}

// sent counts what d has sent to other in each session.
func (d *device) sent(other *device) map[[16]byte]uint64 {
	out := map[[16]byte]uint64{}
	for _, c := range d.Counters(other.Device()) {
		out[c.Session] = c.Sent
	}
	return out
}

// sendsIn says something and returns the session that it went out in.
func (d *device) sendsIn(other *device, text string) (in [16]byte) {
	d.t.Helper()
	before := d.sent(other)
	d.say(other, text)
	for id, n := range d.sent(other) {
		if n > before[id] {
			return id
		}
	}
	d.t.Fatal("nothing was sent in any session")
	return in
}

// orders calls f with every order of 2n events in which, for each i < n, event
// i comes before event n+i.
func orders(n int, f func(order []int)) {
	var order []int
	var next func(used map[int]bool)
	next = func(used map[int]bool) {
		if len(order) == 2*n {
			f(order)
			return
		}
		for e := range 2 * n {
			if used[e] || e >= n && !used[e-n] {
				continue
			}
			used[e] = true
			order = append(order, e)
			next(used)
			order = order[:len(order)-1]
			delete(used, e)
		}
	}
	next(map[int]bool{})
}

// Two devices that start at once end in one session with no message lost: both
// have accepted an invite of the other and written, and their flights and
// first messages, and the four answers, arrive in every order there is. The
// device whose session has the lower id is called low, so both orders of ids
// are covered. What happens at one device doesn't depend on when something
// happens at the other, so of the orders that differ only in that one is run.
func TestGlareEveryOrder(t *testing.T) {
	// 0 and 1 are the flight and the message of low, 2 and 3 those of high;
	// 4 to 7 are the answers to them.
	atLow := []int{2, 3, 4, 5}
	var all [][]int
	n, seen := 0, map[string]bool{}
	orders(4, func(order []int) {
		n++
		var low, high []int
		for _, e := range order {
			if slices.Contains(atLow, e) {
				low = append(low, e)
			} else {
				high = append(high, e)
			}
		}
		if key := fmt.Sprint(low, high); !seen[key] {
			seen[key] = true
			all = append(all, slices.Clone(order))
		}
	})
	if n != 2520 { // 8! / 2⁴
		t.Fatal(n, "orders")
	}
	t.Log(len(all), "orders that differ for somebody")
	if testing.Short() {
		short := all[:0]
		for i := 0; i < len(all); i += 7 {
			short = append(short, all[i])
		}
		all = short
	}
	// Each order is for two devices that have never met.
	const people = 23
	for chunk := range slices.Chunk(all, people*(people-1)/2) {
		var ds []*device
		for n := 0; n*(n-1)/2 < len(chunk); n++ {
			ds = append(ds, newMemoryDevice(t, fmt.Sprint("person ", n)))
		}
		n := 0
		for i, a := range ds {
			for _, b := range ds[:i] {
				if n < len(chunk) {
					glare(t, a, b, chunk[n], n)
				}
				n++
			}
		}
		for _, d := range ds {
			d.close()
		}
	}
}

func glare(t *testing.T, a, b *device, order []int, n int) {
	t.Helper()
	ctx := t.Context()
	var links [2]string
	var err error
	for i, d := range []*device{a, b} {
		if links[i], _, err = d.CreateInvite(ctx, engine.InviteOptions{Uses: 1, Life: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	accept(t, a, b, links[0])
	accept(t, b, a, links[1])
	low, high := a, b
	lowID, highID := onlyKey(t, a.sent(b)), onlyKey(t, b.sent(a))
	if slices.Compare(lowID[:], highID[:]) > 0 {
		low, high, lowID = b, a, highID
	}
	low.say(high, fmt.Sprint("from low ", n))
	high.say(low, fmt.Sprint("from high ", n))

	events := append(low.flying(high), high.flying(low)...)
	if len(events) != 4 {
		t.Fatal(len(events), "envelopes are on their way")
	}
	for _, e := range order {
		if e < 4 {
			events[e].arrive()
		} else {
			events[e-4].answered()
		}
	}
	for round := 0; low.Queued()+high.Queued() > 0; round++ {
		if round == 6 {
			t.Fatalf("order %v: %d and %d are left in the outboxes", order, low.Queued(), high.Queued())
		}
		low.retry(high)
		high.retry(low)
	}
	if l, h := low.sendsIn(high, "low"), high.sendsIn(low, "high"); l != lowID || h != lowID {
		t.Fatalf("order %v: they send in %x and %x, not both in %x", order, l[:2], h[:2], lowID[:2])
	}
	low.retry(high)
	high.retry(low)
	want := []string{fmt.Sprint("from high ", n), fmt.Sprint("from low ", n), "high", "low"}
	for _, d := range []*device{a, b} {
		other := a
		if d == a {
			other = b
		}
		got := d.texts(other)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("order %v: %q", order, got)
		}
		if d.Queued() != 0 {
			t.Fatalf("order %v: %d left in the outbox at the end", order, d.Queued())
		}
	}
}

func onlyKey(t testing.TB, m map[[16]byte]uint64) [16]byte {
	t.Helper()
	keys := slices.Collect(maps.Keys(m))
	if len(keys) != 1 {
		t.Fatal(len(keys), "sessions at the start")
	}
	return keys[0]
}

// newMemoryDevice is a device in a directory in memory, where there is one. The
// caller closes it.
func newMemoryDevice(t *testing.T, name string) *device {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "rushlight-glare-")
	if err == nil {
		t.Cleanup(func() {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		})
	} else {
		dir = t.TempDir()
	}
	s, err := storage.Open(storage.Options{Dir: dir, MemTableSize: 2 << 20, Ballast: -1, MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	d := &device{t: t, dir: dir, store: s}
	if err := engine.Create(d.store, identity.NewRecoveryCode(), name, time.Now()); err != nil {
		t.Fatal(err)
	}
	d.start()
	return d
}
