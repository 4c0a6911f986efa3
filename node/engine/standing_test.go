package engine_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rushlight/protocol/handshake"
	"rushlight/storage"
	"rushlight/storage/record"
)

// prekeys are the bundles that d has given to contacts: one-time ones, and those
// of last resort.
func (d *device) prekeys() (once, often []*record.Prekey) {
	d.t.Helper()
	d.must(d.store.View(func(tx *storage.Tx) error {
		return tx.Scan(record.PrekeyPrefix(), nil, false, func(_ storage.Key, v []byte) (bool, error) {
			p, err := record.ParsePrekey(v)
			if err != nil {
				return false, err
			}
			b, err := handshake.ParseBundle(p.Bundle)
			if err != nil {
				return false, err
			}
			if b.LastResort() {
				often = append(often, p)
			} else {
				once = append(once, p)
			}
			return true, nil
		})
	}))
	return once, often
}

// TestBundleOfLastResort: who starts again more often than it holds one-time
// bundles still sends, from a bundle that is replaced once it was used, and
// whose flights are answered once each.
func TestBundleOfLastResort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := skewed(t, "ann", 0), skewed(t, "bob", 0)
		r := newShelf(1)
		acquaint(t, a, b, r)
		if once, often := b.prekeys(); len(once) != record.MaxSpares || len(often) != 1 {
			t.Fatalf("bundles given: %d one-time, %d of last resort", len(once), len(often))
		}
		var want []string
		const starts = record.MaxSpares + 3
		for i := range starts {
			a.restart()
			a.say(b, fmt.Sprint(i))
			want = append(want, fmt.Sprint(i))
			a.deposit(b.Account(), r)
		}
		kept := slices.Clone(r.mail[b])
		b.collect(r)
		b.wantTexts(a, want...)
		b.deposit(a.Account(), r)
		a.collect(r)
		settle(a, b, r)
		if a.Queued() != 0 || b.Queued() != 0 {
			t.Errorf("left in the outboxes: %d and %d", a.Queued(), b.Queued())
		}
		once, often := b.prekeys()
		used, replaced := 0, 0
		for _, p := range often {
			used += len(p.Uses)
			if p.Replaced != 0 {
				replaced++
			}
		}
		if len(once) == 0 || len(often) != 2 || used != starts-record.MaxSpares || replaced != 1 {
			t.Fatalf("bundles: %d one-time, %d of last resort, used %d times, %d replaced", len(once), len(often), used, replaced)
		}
		// Long after the acknowledgements of flights were forgotten, they come again.
		time.Sleep(30*24*time.Hour + time.Hour)
		synctest.Wait()
		r.mail[b] = kept
		b.collect(r)
		b.restart()
		b.collect(r)
		b.wantTexts(a, want...)
		if n := b.sessions(); n > record.MaxSessions {
			t.Error("sessions:", n)
		}
		_, often = b.prekeys()
		again := 0
		for _, p := range often {
			again += len(p.Uses)
		}
		if again != used {
			t.Errorf("a flight was answered twice: %d uses, were %d", again, used)
		}
		time.Sleep(3 * 24 * time.Hour)
		synctest.Wait()
		if _, often = b.prekeys(); slices.ContainsFunc(often, func(p *record.Prekey) bool { return p.Replaced != 0 }) {
			t.Error("the secrets of the replaced bundle are still there")
		}
	})
}

// sessions counts what d has.
func (d *device) sessions() (n int) {
	d.t.Helper()
	d.must(d.store.View(func(tx *storage.Tx) error {
		return tx.ScanKeys(record.SessionFamily(), nil, false, func(storage.Key) (bool, error) {
			n++
			return true, nil
		})
	}))
	return n
}
