package engine

// scratch is room for what steps make on the way to a record and nobody needs
// afterwards: each uses what the one before has used. It belongs to who has the
// turn.
type scratch struct {
	packet  []byte // a message's
	slot    []byte
	payload []byte
	folded  []byte
	record  []byte
}

// maxScratch is how much room for one thing is kept, in bytes: enough for nearly
// every message.
const maxScratch = 8 << 10

// wipe leaves nothing of any message in it.
func (s *scratch) wipe() {
	for _, b := range []*[]byte{&s.packet, &s.slot, &s.payload, &s.folded, &s.record} {
		clear((*b)[:cap(*b)])
		if cap(*b) > maxScratch {
			*b = nil
		}
	}
}
