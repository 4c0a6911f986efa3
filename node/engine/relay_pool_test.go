package engine_test

import (
	"os"
	"testing"

	"rushlight/protocol/message"
	"rushlight/protocol/stamp"
	"rushlight/protocol/wire"
	"rushlight/storage"
	"rushlight/storage/record"
)

// orders orders n stretches of a file of a contact's at a relay, and returns the
// stamps that pay for them.
func (d *device) orders(of *device, r *shelf, n int) []stamp.Stamp {
	d.t.Helper()
	o := &message.FileOrder{Message: message.ID{1}, Device: d.Device(), Relay: r.key}
	for i := range n {
		o.Add(uint32(i))
	}
	serials, err := d.Order(d.t.Context(), of.Account(), o, nil)
	d.must(err)
	if len(serials) != n || len(o.Stamps) != n {
		d.t.Fatalf("%d stamps with %d serials, not %d", len(o.Stamps), len(serials), n)
	}
	return o.Stamps
}

// image is the device as its disk would be after a power cut now.
func (d *device) image() *device {
	d.t.Helper()
	x := &device{t: d.t, dir: d.t.TempDir(), root: d.root, ahead: d.ahead}
	if err := os.CopyFS(x.dir, os.DirFS(d.dir)); err != nil {
		d.t.Fatal(err)
	}
	x.open()
	x.start()
	d.t.Cleanup(x.close)
	return x
}

// No stamp pays for two things, whenever the device is cut off. Control: an
// image of before an order hands out what the order did.
func TestNoStampTwice(t *testing.T) {
	r := newShelf(1)
	a, b := talkers(t, r)
	used := map[stamp.Stamp]bool{}
	take := func(d *device, n int) (twice int) {
		t.Helper()
		for _, s := range d.orders(a, r, n) {
			if r.owner[s] != b {
				t.Fatal("a stamp that the relay never gave")
			}
			if used[s] {
				twice++
			}
			used[s] = true
		}
		return twice
	}
	for range 3 {
		take(b, 16) // from now on the pool is large
		r.mint(b)
		for range 4 {
			if n := take(b, 150); n > 0 {
				t.Fatalf("%d stamps once more", n)
			}
		}
		b.restart()
	}
	take(b, 16)
	r.mint(b)
	before := b.image()
	if n := take(b, 256); n > 0 {
		t.Fatalf("%d stamps once more", n)
	}
	after := b.image()
	if n := take(after, 256); n > 0 {
		t.Errorf("%d stamps once more after it was cut off", n)
	}
	if take(before, 256) == 0 {
		t.Error("control: what was drawn isn't known")
	}
}

// An order of a file writes which stamps are left, and not the stamps: the
// database takes several times the size of large records when it writes its
// tables.
func TestDrawingWritesLittle(t *testing.T) {
	r := newShelf(1)
	a, b := talkers(t, r)
	b.orders(a, r, 16)
	r.mint(b)
	stored := func(k storage.Key) (out []byte) {
		t.Helper()
		b.must(b.store.View(func(tx *storage.Tx) (err error) {
			out, err = tx.Get(k)
			return err
		}))
		return out
	}
	pool := record.PoolKey(b.store, r.key, 2)
	was := stored(pool)
	p, err := record.ParsePool(was)
	b.must(err)
	newest := record.StampsKey(b.store, r.key, 2, p.Batches[len(p.Batches)-1].Number)
	leaf := func() (l storage.Leaf) {
		b.must(b.store.View(func(tx *storage.Tx) (err error) {
			l, _, err = tx.LeafOf(newest)
			return err
		}))
		return l
	}
	before := leaf()
	b.orders(a, r, 200)
	if now := stored(pool); string(now) == string(was) || len(now) > 1<<10 {
		t.Errorf("which are left has %d bytes", len(now))
	}
	if n := len(stored(newest)); n < 32<<10 {
		t.Errorf("control: the stamps have only %d bytes", n)
	}
	if leaf() != before {
		t.Error("the stamps were written again")
	}
}

// A pool of the layout before batches is as good as empty.
func TestFormerPool(t *testing.T) {
	r := newShelf(1)
	a, b := talkers(t, r)
	b.close()
	b.open()
	w := wire.NewWriter(nil).U8(1).U16(1).U32(7).Raw(make([]byte, stamp.Size))
	b.must(b.store.Update(func(tx *storage.Tx) error {
		return tx.Put(record.PoolKey(tx, r.key, 2), w.Out())
	}))
	b.start()
	if short, err := b.Short(r.key); err != nil || short[2] != 64 || short[0] != 0 {
		t.Fatal("lacks", short, err)
	}
	r.mint(b)
	b.orders(a, r, 60)
	b.must(b.RemoveRelay(t.Context(), r.key))
}
