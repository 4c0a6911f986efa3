package files

import (
	"bufio"
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
	"rushlight/storage/blob"
)

const service = "rushlight.blob"

// handle serves a stream that somebody opened.
func (m *Manager) handle(ctx context.Context, s network.Stream) {
	from := s.Conn().RemotePeer()
	m.mu.Lock()
	ok := m.open && m.serving < maxServed && m.streamsOf(from) < maxOfPeer
	if ok {
		m.serving++
		m.wg.Add(1)
	}
	m.mu.Unlock()
	if !ok {
		_ = s.Reset()
		return
	}
	defer m.wg.Done()
	defer func() {
		m.mu.Lock()
		m.serving--
		m.mu.Unlock()
	}()
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	if err := m.serve(ctx, s, from); err != nil {
		_ = s.Reset()
		if !errors.Is(err, io.EOF) {
			m.log.Debug("serving a file ended", "err", err)
		}
		return
	}
	_ = s.Close()
}

// streamsOf counts the files that a peer is being sent. The caller holds mu.
func (m *Manager) streamsOf(p peer.ID) (n int) {
	for u := range m.out {
		if u.to == p && m.out[u].live {
			n++
		}
	}
	return n
}

// upload names a file on its way to a peer.
type upload struct {
	ref
	to peer.ID
}

func (m *Manager) serve(ctx context.Context, s network.Stream, from peer.ID) error {
	if err := s.Scope().SetService(service); err != nil {
		return host.Opaque("files: claiming a stream", err)
	}
	if err := s.Scope().ReserveMemory(2*file.Slot, network.ReservationPriorityMedium); err != nil {
		return host.Opaque("files: claiming memory", err)
	}
	if err := s.SetDeadline(time.Now().Add(openTime)); err != nil {
		return host.Opaque("files: setting a deadline", err)
	}
	// Requests are small, and come while pieces are written.
	in := host.NewFrameReader(bufio.NewReaderSize(s, 1024), 1024, file.Limit(true), nil)
	typ, body, err := in.Next()
	if err != nil {
		return host.Opaque("files: waiting to be asked", err)
	}
	if typ != file.FrameAsk {
		return fmt.Errorf("%w: type %d", host.ErrFrame, typ)
	}
	a, err := file.ParseAsk(body)
	if err != nil {
		return err
	}
	began := time.Now()
	x, err := m.lookup(a, from)
	if err != nil {
		// Nobody can tell by the time why (spec §15.4).
		select {
		case <-time.After(m.slow - time.Since(began)):
		case <-ctx.Done():
			return ctx.Err()
		}
		_, err := s.Write(wire.AppendFrame(nil, file.FrameNo, []byte{byte(file.NoUnknown)}))
		return err
	}
	defer x.close()
	if _, err := s.Write(wire.AppendFrame(nil, file.FrameHas, x.blob.Holds().Marshal())); err != nil {
		return host.Opaque("files: answering", err)
	}
	p, done := m.uploading(upload{x.ref, from}, x.blob.Layout().Size())
	defer done()
	return m.pieces(s, in, x, p)
}

// pieces sends what is asked for until nothing is.
func (m *Manager) pieces(s network.Stream, in *host.FrameReader, x *serving, p *progress) error {
	const head = wire.FrameHeader + file.PartHeader
	buf := make([]byte, head+file.Slot)
	l := x.blob.Layout()
	for {
		if err := s.SetReadDeadline(time.Now().Add(5 * time.Minute)); err != nil {
			return host.Opaque("files: setting a deadline", err)
		}
		typ, body, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return host.Opaque("files: waiting to be asked", err)
		}
		if typ != file.FrameGet {
			return fmt.Errorf("%w: type %d", host.ErrFrame, typ)
		}
		g, err := l.ParseGet(body)
		if err != nil {
			return err
		}
		if err := s.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			return host.Opaque("files: setting a deadline", err)
		}
		if !m.there(x.ref) || !x.blob.Has(g.Piece) {
			if _, err := s.Write(wire.AppendFrame(nil, file.FrameNo, []byte{byte(file.NoPiece)})); err != nil {
				return host.Opaque("files: answering", err)
			}
			continue
		}
		part, err := x.blob.ReadPart(buf[head:], g.Piece, int(g.Offset))
		if err != nil {
			return err
		}
		// The header goes before what was read in place.
		out := wire.AppendFrameHeader(buf[:0], file.FramePart, file.PartHeader+len(part))
		out = append(out, g.Marshal()...)
		if _, err := s.Write(buf[:len(out)+len(part)]); err != nil {
			return host.Opaque("files: sending a piece", err)
		}
		m.served.Add(int64(len(part)))
		p.came(len(part))
		p.set(min(p.have()+uint64(len(part)), l.Size()))
	}
}

// serving is a file that is being sent.
type serving struct {
	ref
	blob  *blob.Blob
	close func()
}

var errUnknown = errors.New("files: not here, or not for this peer")

// lookup finds what a peer asks for, if it may have it.
func (m *Manager) lookup(a file.Ask, from peer.ID) (*serving, error) {
	m.mu.Lock()
	r, ok := m.roots[a.Root]
	var running *fetch
	if ok {
		running = m.in[r]
	}
	m.mu.Unlock()
	if !ok {
		return nil, errUnknown
	}
	at, err := m.cfg.Engine.AttachedTo(r.id)
	if err != nil || r.nth >= len(at.Files) {
		return nil, errUnknown
	}
	of := at.Files[r.nth]
	if !of.Key.Allows(a, []byte(from), []byte(m.cfg.Host.ID())) || !m.cfg.Engine.Allowed(at.With) {
		return nil, errUnknown
	}
	if running != nil {
		running.mu.Lock()
		defer running.mu.Unlock()
		if running.blob == nil {
			return nil, errUnknown
		}
		return &serving{ref: r, blob: running.blob, close: func() {}}, nil
	}
	if !m.cfg.Dir.Whole(of.Key.Place()) {
		return nil, errUnknown
	}
	b, err := m.cfg.Dir.Open(of.Key, of.Size, of.Root)
	if err != nil {
		return nil, err
	}
	return &serving{ref: r, blob: b, close: func() { _ = b.Close() }}, nil
}

// there reports whether the message still is.
func (m *Manager) there(r ref) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heldLocked(r) != nil
}

// uploading lists what is being sent. done is called when it ended.
func (m *Manager) uploading(u upload, size uint64) (p *progress, done func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p = m.out[u]; p == nil {
		p = newProgress(size)
		m.out[u] = p
	}
	p.streams++
	p.live = true
	p.start(p.have())
	return p, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if p.streams--; p.streams == 0 {
			p.live = false
			if p.have() >= size {
				delete(m.out, u)
			}
		}
	}
}
