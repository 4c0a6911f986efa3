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

// A file goes by mail, in parts, to who can't be reached (spec §15.5): what is
// asked for and, when it is small, the whole of it unasked.

// asked is what somebody asks for.
type asked struct {
	by identity.AccountID
	a  *message.FileAsk
}

// carried is a part with who sent it.
type carried struct {
	by identity.AccountID
	p  *message.FilePart
}

// Times of asking.
const (
	askAfter = 10 * time.Second // without a holder; see Manager.patience
	askAgain = 30 * time.Minute // when nothing came of it
)

// maxEarly bounds the parts that came before their message.
const maxEarly = 2 * message.MaxParts

// Asked implements engine.Porter.
func (m *Manager) Asked(by identity.AccountID, a *message.FileAsk) {
	select {
	case m.asked <- asked{by, a}:
	default: // it is asked for again
	}
}

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

// answer mails what was asked for.
func (m *Manager) answer(ctx context.Context, q asked) {
	a, err := m.cfg.Engine.AttachedTo(q.a.Message)
	if err != nil || a.With != q.by || int(q.a.Nth) >= len(a.Files) || !m.cfg.Engine.Allowed(q.by) {
		return
	}
	of := a.Files[q.a.Nth]
	if !m.cfg.Dir.Whole(of.Key.Place()) {
		return
	}
	b, err := m.cfg.Dir.Open(of.Key, of.Size, of.Root)
	if err != nil {
		m.log.Warn("a file that was asked for can't be opened", "err", err)
		return
	}
	defer func() { _ = b.Close() }()
	l, buf := b.Layout(), make([]byte, file.Slot)
	var out []message.Packet
	for _, p := range q.a.Parts {
		if p.Piece >= l.Pieces() || int(p.Offset) >= l.Sealed(p.Piece) {
			continue
		}
		bytesFrom, err := b.ReadPart(buf, p.Piece, int(p.Offset))
		if err != nil {
			m.log.Warn("a file that was asked for can't be read", "err", err)
			return
		}
		part := bytesFrom[:min(len(bytesFrom), message.PartSize)]
		out = append(out, &message.FilePart{Message: q.a.Message, Nth: q.a.Nth, Part: p, Bytes: bytes.Clone(part)})
	}
	if err := m.cfg.Engine.Mail(ctx, q.by, out...); err != nil && ctx.Err() == nil {
		m.log.Warn("a file can't be mailed now", "err", err)
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
		var all []message.Part
		for p := l.Pieces(); p > 0 && len(all) <= left; p-- {
			all = append(all, partsOf(l, p-1)...)
		}
		if len(all) > left {
			continue
		}
		left -= len(all)
		m.Asked(h.with, &message.FileAsk{Message: id, Nth: uint8(i), Parts: all})
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
	since  time.Time // without a holder
	asked  time.Time
	wanted map[message.Part]bool // asked for, not come
	pieces map[uint32]*mailed
}

// mailed is a piece of which some parts came.
type mailed struct {
	buf []byte
	has map[uint32]bool // offsets
}

func (g *mailbag) begin() {
	g.since, g.wanted, g.pieces = time.Now(), map[message.Part]bool{}, map[uint32]*mailed{}
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

// ask asks for what is missing, some parts at a time, once nobody was there for
// a while and what was asked for before has come.
func (g *mailbag) ask(now time.Time) error {
	f := g.f
	if len(g.wanted) > 0 && now.Sub(g.asked) < askAgain || now.Sub(g.since) < f.m.patience || !f.m.cfg.Engine.HasMailbox(f.from.With) {
		return nil
	}
	a := &message.FileAsk{Message: f.ref.id, Nth: uint8(f.ref.nth)}
	f.blob.Wanted(func(i uint32) bool {
		f.mu.Lock()
		claimed := f.claimed[i]
		f.mu.Unlock()
		if claimed {
			return true // it is being checked
		}
		for _, p := range partsOf(f.blob.Layout(), i) {
			if x := g.pieces[i]; x != nil && x.has[p.Offset] {
				continue
			}
			if a.Parts = append(a.Parts, p); len(a.Parts) == message.MaxParts {
				return false
			}
		}
		return true
	})
	if len(a.Parts) == 0 {
		return nil
	}
	clear(g.wanted)
	for _, p := range a.Parts {
		g.wanted[p] = true
	}
	g.asked = now
	return f.m.cfg.Engine.Mail(f.ctx, f.from.With, a)
}

// take puts a part to the others of its piece.
func (g *mailbag) take(p *message.FilePart) {
	f, l := g.f, g.f.blob.Layout()
	delete(g.wanted, p.Part)
	const most = 4 // pieces in memory that aren't complete
	if p.Piece >= l.Pieces() || f.blob.Has(p.Piece) || int(p.Offset)+len(p.Bytes) != min(int(p.Offset)+message.PartSize, l.Sealed(p.Piece)) {
		return
	}
	x := g.pieces[p.Piece]
	if x == nil {
		if len(g.pieces) >= most {
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
		select {
		case buf := <-f.bufs:
			f.full <- piece{i: i, buf: buf[:copy(buf, x.buf)], mixed: true}
		case <-f.ctx.Done():
			return
		}
	}
}
