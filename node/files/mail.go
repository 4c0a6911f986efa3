package files

import (
	"bytes"
	"context"
	"slices"
	"time"

	"rushlight/protocol/file"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
)

// Small files go by mail unasked, in parts, to who can't be reached (spec §15.5).

// pushed is a file of a message that was left at a relay.
type pushed struct {
	to  identity.AccountID
	id  message.ID
	nth int
}

// carried is a part with who sent it.
type carried struct {
	by identity.AccountID
	p  *message.FilePart
}

// mailedFor is how long a file counts as on its way after a part was mailed.
const mailedFor = time.Minute

// maxEarly bounds the parts that came before their message, and mailPieces the pieces
// of one file of which some came.
const (
	maxEarly   = 4 * message.MaxParts
	mailPieces = 32
)

// Part implements engine.Porter.
func (m *Manager) Part(by identity.AccountID, p *message.FilePart) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.in[ref{p.Message, int(p.Nth)}]
	switch {
	case f != nil && f.from.With == by:
		select {
		case f.mail <- p:
		default:
		}
	case f == nil && len(m.early) < maxEarly:
		m.early = append(m.early, carried{by, p})
	}
}

// mail mails a file that is to be pushed.
func (m *Manager) mail(ctx context.Context, q pushed) {
	if !m.cfg.Engine.Allowed(q.to) {
		return
	}
	of, _, b := m.whole(ref{q.id, q.nth})
	if b == nil {
		return
	}
	defer func() { _ = b.Close() }()
	l, buf := b.Layout(), make([]byte, file.Slot)
	var out []message.Packet
	for i := l.Pieces(); i > 0; i-- {
		sealed, err := b.ReadPart(buf, i-1, 0)
		if err != nil {
			m.log.Warn("a file that is to be mailed can't be read", "err", err)
			return
		}
		for _, p := range partsOf(l, i-1) {
			end := min(int(p.Offset)+message.PartSize, len(sealed))
			out = append(out, &message.FilePart{Message: q.id, Nth: uint8(q.nth), Part: p, Bytes: bytes.Clone(sealed[p.Offset:end])})
		}
	}
	if err := m.cfg.Engine.Mail(ctx, q.to, out...); err != nil {
		if ctx.Err() == nil {
			m.log.Warn("a file can't be mailed now", "err", err)
		}
		return
	}
	if len(m.cfg.Peers.Peers(q.to)) == 0 {
		m.cfg.Hurry(q.to)
	}
	p, done := m.uploading(upload{ref: ref{q.id, q.nth}}, of.Size)
	defer done()
	m.mu.Lock()
	p.mailed = time.Now()
	m.mu.Unlock()
	for _, x := range out {
		p.came(len(x.(*message.FilePart).Bytes))
		p.set(min(p.have()+uint64(len(x.(*message.FilePart).Bytes)), of.Size))
	}
}

// push mails the small files of a message that was left at a relay.
func (m *Manager) push(id message.ID) {
	m.mu.Lock()
	list := slices.Clone(m.known[id])
	m.mu.Unlock()
	left := message.MaxParts
	for i, h := range list {
		l, err := file.NewLayout(h.size)
		if err != nil || !h.mine || len(m.cfg.Peers.Peers(h.with)) > 0 {
			continue
		}
		n := 0
		for p := l.Pieces(); p > 0 && n <= left; p-- {
			n += len(partsOf(l, p-1))
		}
		if n > left {
			continue
		}
		left -= n
		select {
		case m.pushes <- pushed{h.with, id, i}:
		default: // it is ordered
		}
	}
}

// partsOf lists the parts of a piece.
func partsOf(l file.Layout, i uint32) (out []message.Part) {
	for at := 0; at < l.Sealed(i); at += message.PartSize {
		out = append(out, message.Part{Piece: i, Offset: uint32(at)})
	}
	return out
}

// mailbag puts parts together. It is the gathering goroutine's.
type mailbag struct {
	f      *fetch
	pieces map[uint32]*mailed
}

// mailed is a piece of which some parts came.
type mailed struct {
	buf []byte
	has map[uint32]bool // offsets, or numbers of stretches
}

func (g *mailbag) begin() {
	g.pieces = map[uint32]*mailed{}
	m, f := g.f.m, g.f
	m.mu.Lock()
	var mine []carried
	m.early = slices.DeleteFunc(m.early, func(c carried) bool {
		of := c.p.Message == f.ref.id && int(c.p.Nth) == f.ref.nth
		if of && c.by == f.from.With {
			mine = append(mine, c)
		}
		return of
	})
	m.mu.Unlock()
	for _, c := range mine {
		g.take(c.p)
	}
}

// take puts a part to the others of its piece.
func (g *mailbag) take(p *message.FilePart) {
	f, l := g.f, g.f.blob.Layout()
	if p.Piece >= l.Pieces() || f.blob.Has(p.Piece) || int(p.Offset)+len(p.Bytes) != min(int(p.Offset)+message.PartSize, l.Sealed(p.Piece)) {
		return
	}
	x := g.pieces[p.Piece]
	if x == nil {
		if len(g.pieces) >= mailPieces {
			return
		}
		x = &mailed{buf: make([]byte, l.Sealed(p.Piece)), has: map[uint32]bool{}}
		g.pieces[p.Piece] = x
	}
	copy(x.buf[p.Offset:], p.Bytes)
	x.has[p.Offset] = true
	f.meter.came(len(p.Bytes))
	g.flush()
}

// flush hands on the pieces that are complete and whose names are known.
func (g *mailbag) flush() {
	f := g.f
	for i, x := range g.pieces {
		if len(x.has) < len(partsOf(f.blob.Layout(), i)) || !f.blob.Known(i) {
			continue
		}
		delete(g.pieces, i)
		f.mu.Lock()
		f.claimed[i] = true
		f.mu.Unlock()
		buf, err := f.buffer()
		if err != nil {
			return
		}
		f.full <- piece{i: i, buf: buf[:copy(buf, x.buf)], mixed: true}
	}
}
