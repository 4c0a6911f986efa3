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
	askLost  = 30 * time.Second // for what has not come when what was asked for later has
)

// mailedFor is how long a file counts as on its way after a part was mailed.
const mailedFor = time.Minute

// mailWindow is how many parts of one file are asked for ahead, mailPieces in
// how many pieces in memory they may lie.
const (
	mailWindow = 4 * message.MaxParts
	mailPieces = 16
)

// maxEarly bounds the parts that came before their message.
const maxEarly = mailWindow

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
	if err := m.cfg.Engine.Mail(ctx, q.by, out...); err != nil {
		if ctx.Err() == nil {
			m.log.Warn("a file can't be mailed now", "err", err)
		}
		return
	}
	if len(m.cfg.Peers.Peers(q.by)) == 0 {
		m.cfg.Hurry(q.by)
	}
	p, done := m.uploading(upload{ref: ref{q.a.Message, int(q.a.Nth)}}, of.Size)
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
	since  time.Time                  // without a holder
	wanted map[message.Part]time.Time // asked for then, not come
	newest time.Time                  // when that was asked for which came
	came   time.Time                  // the last part
	pieces map[uint32]*mailed
}

// mailed is a piece of which some parts came.
type mailed struct {
	buf []byte
	has map[uint32]bool // offsets
}

func (g *mailbag) begin() {
	g.since, g.wanted, g.pieces = time.Now(), map[message.Part]time.Time{}, map[uint32]*mailed{}
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

// ask asks for what is missing once nobody was there for a while, a window of
// parts ahead.
func (g *mailbag) ask(now time.Time) error {
	f := g.f
	if now.Sub(g.since) < f.m.patience || !f.m.cfg.Engine.HasMailbox(f.from.With) {
		return nil
	}
	for p, at := range g.wanted {
		if now.Sub(at) >= askAgain || !at.After(g.newest) && now.Sub(g.came) >= askLost {
			delete(g.wanted, p)
		}
	}
	if len(g.wanted) > mailWindow-message.MaxParts {
		return nil
	}
	defer f.m.cfg.Hurry(f.from.With)
	for len(g.wanted) <= mailWindow-message.MaxParts {
		a := g.missing()
		if len(a.Parts) == 0 {
			return nil
		}
		for _, p := range a.Parts {
			g.wanted[p] = now
		}
		if err := f.m.cfg.Engine.Mail(f.ctx, f.from.With, a); err != nil {
			return err
		}
	}
	return nil
}

// missing are the first parts that are neither there nor asked for.
func (g *mailbag) missing() *message.FileAsk {
	f := g.f
	a := &message.FileAsk{Message: f.ref.id, Nth: uint8(f.ref.nth)}
	pieces := 0
	f.blob.Wanted(func(i uint32) bool {
		f.mu.Lock()
		claimed := f.claimed[i]
		f.mu.Unlock()
		if claimed {
			return true // it is being checked
		}
		if pieces++; pieces > mailPieces {
			return false
		}
		for _, p := range partsOf(f.blob.Layout(), i) {
			if _, asked := g.wanted[p]; asked || g.pieces[i] != nil && g.pieces[i].has[p.Offset] {
				continue
			}
			if a.Parts = append(a.Parts, p); len(a.Parts) == message.MaxParts {
				return false
			}
		}
		return true
	})
	return a
}

// take puts a part to the others of its piece.
func (g *mailbag) take(p *message.FilePart) {
	f, l := g.f, g.f.blob.Layout()
	if at, ok := g.wanted[p.Part]; ok && at.After(g.newest) {
		g.newest = at
	}
	g.came = time.Now()
	delete(g.wanted, p.Part)
	if p.Piece >= l.Pieces() || f.blob.Has(p.Piece) || int(p.Offset)+len(p.Bytes) != min(int(p.Offset)+message.PartSize, l.Sealed(p.Piece)) {
		return
	}
	x := g.pieces[p.Piece]
	if x == nil {
		if len(g.pieces) >= 2*mailPieces {
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
