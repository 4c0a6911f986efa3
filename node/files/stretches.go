package files

import (
	"time"

	"rushlight/protocol/file"
)

// missing are the first stretches, up to a number, that have something missing
// and aren't ordered, those of the tree first.
func (g *courier) missing(most int) (out []uint32) {
	b := g.f.blob
	l := b.Layout()
	for g.cursor < l.Chunks() && b.Has(g.cursor) {
		g.cursor++
	}
	seen := map[uint32]bool{} // two pieces may share one
	add := func(i uint32) bool {
		if b.Has(i) || g.f.checking(i) {
			return true
		}
		first, last := l.StretchesOf(i)
		for n := first; n <= last; n++ {
			if seen[n] || g.wanted[n] != nil || g.begun[i] != nil && g.begun[i].has[n] {
				continue
			}
			if len(out) == most {
				return false
			}
			seen[n], out = true, append(out, n)
		}
		return true
	}
	for i := l.Pieces(); i > l.Chunks(); i-- {
		if !add(i - 1) {
			return out
		}
	}
	for i := g.cursor; i < l.Chunks(); i++ {
		if !add(i) {
			break
		}
	}
	return out
}

// take puts stretches to the others of their pieces.
func (g *courier) take(c *batch) {
	defer close(c.done)
	f := g.f
	for _, p := range c.parts {
		n, ok := f.m.awaited(f, p.Envelope)
		if !ok {
			continue
		}
		held := heldPart{relay: c.relay, seq: p.Seq, n: n}
		if o := g.wanted[n]; o != nil {
			delete(g.wanted, n)
			o.left--
		}
		g.came, g.wait = time.Now(), orderQuiet
		stretch, err := g.keys.Open(c.relay, n, p.Envelope)
		if _, length := f.blob.Layout().StretchAt(n); err != nil || len(stretch) != length {
			held.wrong = true // it is ordered again
			g.wrong++
		} else {
			held.wrong = !g.put(n, stretch)
		}
		f.hold(held)
	}
	c.check = g.hand()
	if n := g.wrong + f.wrongMailed(); n > 0 {
		// Not for ever: each time takes stamps.
		g.rests, g.wrong = time.Now().Add(min(time.Second<<min(n, 12), time.Hour)), n
	}
}

// put keeps a stretch until the rest of its pieces is there. False is that
// there is no room.
func (g *courier) put(n uint32, stretch []byte) (room bool) {
	f, l := g.f, g.f.blob.Layout()
	room = true
	l.PiecesIn(n, func(i uint32, at, from, to int) {
		if f.blob.Has(i) || f.checking(i) {
			return
		}
		x := g.begun[i]
		if x == nil {
			if len(g.begun) >= mostBegun {
				room = false
				return
			}
			x = &mailed{has: map[uint32]bool{}}
			if k := len(g.spare); k > 0 {
				x.buf, g.spare = g.spare[k-1], g.spare[:k-1]
			} else {
				x.buf = make([]byte, file.Slot)
			}
			g.begun[i] = x
		}
		copy(x.buf[at:], stretch[from:to])
		x.has[n] = true
	})
	f.meter.came(len(stretch))
	g.bytes += len(stretch)
	return room
}

// hand hands on the pieces that are complete and whose names are known, and
// returns what tells that they have been checked.
func (g *courier) hand() (all []chan struct{}) {
	f := g.f
	for i, x := range g.begun {
		first, last := f.blob.Layout().StretchesOf(i)
		if len(x.has) < int(last-first)+1 || !f.blob.Known(i) {
			continue
		}
		delete(g.begun, i)
		checked, ok := f.claimMailed(i)
		if !ok {
			continue
		}
		buf, err := f.buffer()
		if err != nil {
			return all
		}
		f.full <- piece{i: i, buf: buf[:copy(buf[:file.Slot], x.buf[:f.blob.Layout().Sealed(i)])], mixed: true}
		g.spare = append(g.spare, x.buf)
		all = append(all, checked)
	}
	return all
}
