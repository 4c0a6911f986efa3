package shelf

import "testing"

// Who only looks, doesn't prolong the lease: it is how an operator ends a
// mailbox. Who logs in does.
func TestLookDoesNotRenew(t *testing.T) {
	s := start(t, testOptions(t.TempDir()))
	looks, stays := newMailbox(t, s.Shelf, 1), newMailbox(t, s.Shelf, 2)
	s.turn(t, 80)
	if h, found, err := s.Look(owner(1)); h != looks || !found || err != nil {
		t.Fatal(h, found, err)
	}
	if h, found, err := s.Login(owner(2)); h != stays || !found || err != nil {
		t.Fatal(h, found, err)
	}
	s.turn(t, 11)
	if state(t, s.Shelf, looks).Found {
		t.Error("looking has renewed the lease")
	}
	if !state(t, s.Shelf, stays).Found {
		t.Error("control: the lease has ended though its owner came")
	}
}
