package exact

import "testing"

// Of a long outbox every second message arrives: when the recipient can keep no
// more gaps it asks for the rest later and refuses nothing for ever.
func TestManyGaps(t *testing.T) {
	small(t, func(w *world, a, b *profile) {
		for range 140 {
			w.say(a, b, 0)
		}
		w.pickUp(a, b, 140)
		l := w.lanes[a.n][b.n]
		var half []packet
		for i, p := range l.parcels {
			if i%2 == 1 {
				half = append(half, p)
			}
		}
		l.parcels = nil
		if _, refused := w.receive(a, b, a.device, half, 0); refused == 0 || w.count["of these for gaps"] != refused {
			w.fatal("control: %d were refused, %d for gaps", refused, w.count["of these for gaps"])
		}
		w.answer(a, b, 140, calm)
		w.settle()
		w.check(true)
	})
}
