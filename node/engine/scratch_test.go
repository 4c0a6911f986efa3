package engine

import (
	"bytes"
	"testing"
)

// TestScratchWiped: nothing of a message stays in the room for the next, also not
// behind what was used last, and much room isn't kept.
func TestScratchWiped(t *testing.T) {
	text := bytes.Repeat([]byte("secret"), 100)
	var s scratch
	for _, b := range []*[]byte{&s.packet, &s.slot, &s.payload, &s.folded, &s.record} {
		*b = append(*b, text...)
		*b = append((*b)[:0], "short"...)
	}
	all := [][]byte{s.packet, s.slot, s.payload, s.folded, s.record}
	if !bytes.Contains(all[0][:cap(all[0])], []byte("secret")) {
		t.Fatal("control: nothing is left of what was longer")
	}
	s.wipe()
	for i, b := range all {
		if b = b[:cap(b)]; !bytes.Equal(b, make([]byte, len(b))) {
			t.Errorf("something is left in room %d", i)
		}
	}
	if s.record == nil {
		t.Error("the room isn't used again")
	}
	s.record = make([]byte, maxScratch+1)
	if s.wipe(); s.record != nil {
		t.Error("much room is kept")
	}
}
