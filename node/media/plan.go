package media

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// A plan is a file as a list of pieces.
type plan struct {
	pieces []piece
	size   int64
}

// A piece is bytes of its own, a part of the source, or zeroes.
type piece struct {
	own []byte
	off int64 // in the source; -1 for zeroes
	n   int64
}

func (p *plan) add(b ...byte) {
	if len(b) == 0 {
		return
	}
	p.size += int64(len(b))
	if last := len(p.pieces) - 1; last >= 0 && p.pieces[last].own != nil && len(p.pieces[last].own) < 1<<16 {
		p.pieces[last].own = append(p.pieces[last].own, b...)
		return
	}
	p.pieces = append(p.pieces, piece{own: append([]byte(nil), b...)})
}

// copy adds n bytes of the source from off.
func (p *plan) copy(off, n int64) {
	if n == 0 {
		return
	}
	p.size += n
	if last := len(p.pieces) - 1; last >= 0 && p.pieces[last].own == nil && p.pieces[last].off >= 0 && p.pieces[last].off+p.pieces[last].n == off {
		p.pieces[last].n += n
		return
	}
	p.pieces = append(p.pieces, piece{off: off, n: n})
}

func (p *plan) zero(n int64) {
	if n == 0 {
		return
	}
	p.size += n
	if last := len(p.pieces) - 1; last >= 0 && p.pieces[last].own == nil && p.pieces[last].off < 0 {
		p.pieces[last].n += n
		return
	}
	p.pieces = append(p.pieces, piece{off: -1, n: n})
}

type zeroes struct{}

func (zeroes) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func (p *plan) reader(src io.ReaderAt) io.Reader {
	all := make([]io.Reader, 0, len(p.pieces))
	for _, x := range p.pieces {
		switch {
		case x.own != nil:
			all = append(all, bytes.NewReader(x.own))
		case x.off < 0:
			all = append(all, io.LimitReader(zeroes{}, x.n))
		default:
			all = append(all, &whole{io.NewSectionReader(src, x.off, x.n), x.n})
		}
	}
	return io.MultiReader(all...)
}

// whole reads n bytes, or fails: a source that became shorter is no end.
type whole struct {
	r io.Reader
	n int64
}

func (w *whole) Read(b []byte) (int, error) {
	n, err := w.r.Read(b)
	w.n -= int64(n)
	if errors.Is(err, io.EOF) && w.n > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// maxHeld is how many bytes of one part of a file are read into memory.
const maxHeld = 64 << 20

// A source is the file that is cleaned.
type source struct {
	r    io.ReaderAt
	size int64
	err  error // what a scanner's reads failed with, other than the end
}

func (s *source) head() ([]byte, error) {
	return s.bytes(0, min(s.size, headSize))
}

// bytes reads n bytes at off.
func (s *source) bytes(off, n int64) ([]byte, error) {
	if off < 0 || n < 0 || n > s.size || off > s.size-n {
		return nil, damaged("it is cut off")
	}
	if n > maxHeld {
		return nil, damaged("a part of it is impossibly long")
	}
	b := make([]byte, n)
	if _, err := s.r.ReadAt(b, off); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("media: reading: %w", err)
	} else if err != nil && n > 0 && off+n < s.size {
		return nil, damaged("it is cut off")
	}
	return b, nil
}

// A scanner reads a part of a source byte by byte. After the end, or an error
// of the source, ok is false and what is read is 0.
type scanner struct {
	s   *source
	r   *bufio.Reader
	pos int64 // of the next byte
	ok  bool
}

func (s *source) scan(off int64) *scanner {
	return &scanner{s: s, r: bufio.NewReaderSize(io.NewSectionReader(s.r, off, s.size-off), 1<<15), pos: off, ok: true}
}

func (x *scanner) fail(err error) {
	x.ok = false
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		x.s.err = fmt.Errorf("media: reading: %w", err)
	}
}

func (x *scanner) u8() byte {
	if !x.ok {
		return 0
	}
	b, err := x.r.ReadByte()
	if err != nil {
		x.fail(err)
		return 0
	}
	x.pos++
	return b
}

func (x *scanner) bytes(n int) []byte {
	b := make([]byte, n)
	if x.ok {
		if _, err := io.ReadFull(x.r, b); err != nil {
			x.fail(err)
			clear(b)
		} else {
			x.pos += int64(n)
		}
	}
	return b
}

// pass hands n bytes to w, or drops them when w is nil.
func (x *scanner) pass(w io.Writer, n int64) {
	if !x.ok {
		return
	}
	if w == nil {
		w = io.Discard
	}
	if _, err := io.CopyN(w, x.r, n); err != nil {
		x.fail(err)
		return
	}
	x.pos += n
}
