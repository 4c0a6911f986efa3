package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"rushlight/node/host"
	"rushlight/protocol/file"
	"rushlight/protocol/wire"
)

// errNothing: the holder has nothing that is missing.
var errNothing = errors.New("files: nothing to get there")

// Times that a stream may take.
const (
	openTime  = 15 * time.Second
	partTime  = 30 * time.Second // for every part
	saveAfter = 250 * time.Millisecond
)

// pipeline is how many pieces are asked for ahead.
const pipeline = 16

// worker gets pieces from one holder.
type worker struct {
	f     *fetch
	p     peer.ID
	s     network.Stream
	has   file.Has
	asked []file.Get
}

// work gets what it can from a holder. A wrong piece isn't noticed here.
func (f *fetch) work(p peer.ID) (err error) {
	ctx, cancel := context.WithTimeout(f.ctx, openTime)
	defer cancel()
	s, err := f.m.cfg.Host.Libp2p().NewStream(ctx, p, file.Protocol)
	if err != nil {
		return host.Opaque("files: calling a holder", err)
	}
	defer func() { _ = s.Reset() }()
	stop := context.AfterFunc(f.ctx, func() { _ = s.Reset() })
	defer stop()
	w := &worker{f: f, p: p, s: s}
	defer func() {
		for _, g := range w.asked {
			f.disclaim(g.Piece)
		}
	}()
	if err := w.ask(); err != nil {
		return err
	}
	return w.get()
}

// ask proves that this side has the key, and reads what the holder has.
func (w *worker) ask() error {
	me := w.f.m.cfg.Host.ID()
	a := w.f.of.Key.NewAsk(w.f.of.Root, []byte(me), []byte(w.p))
	if err := w.s.SetDeadline(time.Now().Add(openTime)); err != nil {
		return host.Opaque("files: setting a deadline", err)
	}
	if _, err := w.s.Write(wire.AppendFrame(nil, file.FrameAsk, a.Marshal())); err != nil {
		return host.Opaque("files: asking a holder", err)
	}
	typ, n, err := w.header()
	if err != nil {
		return err
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(w.s, body); err != nil {
		return host.Opaque("files: waiting for a holder", err)
	}
	switch typ {
	case file.FrameHas:
		w.has, err = w.f.blob.Layout().ParseHas(body)
		return err
	case file.FrameNo:
		if _, err := file.ParseNo(body); err != nil {
			return err
		}
		return errNothing
	}
	return fmt.Errorf("%w: type %d", host.ErrFrame, typ)
}

// header reads that of a frame.
func (w *worker) header() (typ uint8, n int, err error) {
	var h [wire.FrameHeader]byte
	if _, err := io.ReadFull(w.s, h[:]); err != nil {
		return 0, 0, host.Opaque("files: waiting for a holder", err)
	}
	typ, n = wire.ParseFrameHeader(h)
	if n > file.Limit(false)(typ) {
		return 0, 0, fmt.Errorf("%w: type %d of %d bytes", host.ErrFrame, typ, n)
	}
	return typ, n, nil
}

// get keeps a number of pieces asked for, and reads them in order.
func (w *worker) get() error {
	for {
		changes := w.f.changes()
		if err := w.request(); err != nil {
			return err
		}
		if len(w.asked) > 0 {
			if err := w.receive(); err != nil {
				return err
			}
			continue
		}
		// What others were asked for, or what a piece of the tree will name,
		// may be left to this one.
		select {
		case <-changes:
		case <-time.After(openTime):
			return errNothing
		case <-w.f.ctx.Done():
			return context.Cause(w.f.ctx)
		}
	}
}

// request asks for as many pieces as may be on their way.
func (w *worker) request() error {
	var out []byte
	for len(w.asked) < pipeline {
		i, ok := w.f.claim(w.has)
		if !ok {
			break
		}
		g := file.Get{Piece: i, Offset: uint32(w.f.blob.Begun(i))}
		w.asked = append(w.asked, g)
		out = append(out, wire.AppendFrame(nil, file.FrameGet, g.Marshal())...)
	}
	if len(out) == 0 {
		return nil
	}
	if _, err := w.s.Write(out); err != nil {
		return host.Opaque("files: asking a holder", err)
	}
	return nil
}

// receive reads the next piece.
func (w *worker) receive() error {
	if err := w.s.SetDeadline(time.Now().Add(partTime)); err != nil {
		return host.Opaque("files: setting a deadline", err)
	}
	typ, n, err := w.header()
	if err != nil {
		return err
	}
	g := w.asked[0]
	if typ == file.FrameNo {
		var b [file.NoSize]byte
		if _, err := io.ReadFull(w.s, b[:]); err != nil {
			return host.Opaque("files: waiting for a holder", err)
		}
		return errNothing
	}
	var head [file.PartHeader]byte
	if typ != file.FramePart || n < len(head) {
		return fmt.Errorf("%w: type %d of %d bytes", host.ErrFrame, typ, n)
	}
	if _, err := io.ReadFull(w.s, head[:]); err != nil {
		return host.Opaque("files: waiting for a holder", err)
	}
	if got, err := w.f.blob.Layout().ParsePart(head[:], n); err != nil || got != g {
		return errors.Join(err, fmt.Errorf("%w: not what was asked for", host.ErrFrame))
	}
	buf, err := w.f.buffer()
	if err != nil {
		return err
	}
	if buf, err = w.body(buf, g); err != nil {
		w.f.bufs <- buf[:file.Slot]
		return err
	}
	w.asked = w.asked[1:]
	select {
	case w.f.full <- piece{i: g.Piece, buf: buf, from: w.p, mixed: g.Offset > 0}:
	case <-w.f.ctx.Done():
		w.f.bufs <- buf[:file.Slot]
		return context.Cause(w.f.ctx)
	}
	return nil
}

// body reads a piece from an offset on. What came of one that breaks off, or
// comes slowly, is written part by part, so that nobody sends it again.
func (w *worker) body(buf []byte, g file.Get) ([]byte, error) {
	b := w.f.blob
	at, end := int(g.Offset), b.Layout().Sealed(g.Piece)
	if at > 0 {
		if _, err := io.ReadFull(io.NewSectionReader(b.Raw(), b.Layout().Offset(g.Piece), int64(at)), buf[:at]); err != nil {
			return buf, fmt.Errorf("files: reading what was there: %w", err)
		}
	}
	saved, began := at, time.Now()
	for at < end {
		next := min(at+file.PartSize, end)
		n, err := io.ReadFull(w.s, buf[at:next])
		if at += n; err != nil {
			return buf, errors.Join(host.Opaque("files: waiting for a holder", err), w.save(buf, g, saved, at/file.PartSize*file.PartSize))
		}
		w.f.meter.came(n)
		if at < end && time.Since(began) > saveAfter {
			if err := w.save(buf, g, saved, at); err != nil {
				return buf, err
			}
			saved, began = at, time.Now()
			if err := w.s.SetDeadline(began.Add(partTime)); err != nil {
				return buf, host.Opaque("files: setting a deadline", err)
			}
		}
	}
	return buf[:end], nil
}

func (w *worker) save(buf []byte, g file.Get, from, to int) error {
	if to <= from {
		return nil
	}
	return w.f.blob.WritePart(g.Piece, from, buf[from:to])
}
