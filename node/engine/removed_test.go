package engine_test

import (
	"testing"

	"rushlight/node/delivery/parcel"
	"rushlight/protocol/identity"
)

// Who was removed doesn't come back with a bundle it was given as a contact.
func TestRemovedDoesNotComeBack(t *testing.T) {
	r := newShelf(1)
	a, b := talkers(t, r)
	settle(a, b, r)
	once, often := b.prekeys()
	if len(once) == 0 || len(often) == 0 {
		t.Fatal("control: she holds no bundles")
	}
	b.must(b.Remove(t.Context(), a.Account()))
	if once, often := b.prekeys(); len(once)+len(often) != 0 {
		t.Errorf("%d and %d bundles are left", len(once), len(often))
	}
	a.restart() // begins a new session, with a bundle
	a.say(b, "here I am again")
	a.deposit(b.Account(), r)
	if len(r.mail[b]) == 0 {
		t.Fatal("control: nothing was sent")
	}
	for _, env := range r.mail[b] {
		for _, res := range [][]parcel.Result{
			b.Collect(t.Context(), r.key, [][]byte{env}, nil),
			b.ReceiveBatch(t.Context(), identity.DeviceID{}, [][]byte{env}),
		} {
			if res[0].Err == nil {
				t.Error("taken")
			}
		}
	}
	if n := len(b.Contacts()); n != 0 {
		t.Errorf("%d contacts", n)
	}
}
