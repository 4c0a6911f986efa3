package engine_test

import (
	"testing"
)

// TestObjectsAreTheStores: what one transaction hands on to the next is what the
// store has, also after a step that has failed; every test of a device looks when
// it closes it.
func TestObjectsAreTheStores(t *testing.T) {
	a, b := pair(t)
	a.say(b, "one")
	a.carry(b)
	b.say(a, "two")
	b.carry(a)
	a.restart()
	a.say(b, "three")
	a.carry(b)
	a.close()
	if a.Objects() == 0 {
		t.Error("nothing was handed on")
	}
	a.open()
	a.start()
	a.must(a.FailBeside(t.Context(), b.Account()))
	a.restart()
	a.say(b, "four")
	a.carry(b)
	if got := b.texts(a); len(got) != 4 {
		t.Errorf("%q", got)
	}
}
