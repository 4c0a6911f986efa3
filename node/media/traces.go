package media

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
)

// Trace is a kind of thing that a file tells beside what is seen and heard.
type Trace string

// The kinds.
const (
	Place     Trace = "place"
	Time      Trace = "time"
	Device    Trace = "device"
	Software  Trace = "software"
	Author    Trace = "author"
	Text      Trace = "text" // titles, comments, keywords
	Thumbnail Trace = "thumbnail"
	Other     Trace = "other"   // something that Clean takes out
	Unknown   Trace = "unknown" // it can't be looked into, or not to its end
)

var traceOrder = []Trace{Place, Time, Device, Software, Author, Text, Thumbnail, Other, Unknown}

// Limits of what [Traces] reads.
const (
	maxTraced     = 8 << 20 // of one part of a file
	maxTracedFile = 32 << 20
)

// Traces lists what a file tells when it isn't cleaned. Of a kind that
// [Clean] knows it is complete in this: a file that cleaning changes has at
// least one, if only [Other]. Plain text has none. Errors are those of ctx and src.
func Traces(ctx context.Context, src io.ReaderAt, size int64) ([]Trace, error) {
	s := &source{r: src, size: size}
	head, err := s.head()
	if err != nil {
		return nil, err
	}
	f := tracer{s: s, kind: Detect(head), found: map[Trace]bool{}}
	c, err := Clean(ctx, src, size)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err == nil && f.kind == PDF:
		err = f.document()
	case err == nil:
		err = f.removed(c)
	case f.kind == "text/plain" && !bytes.HasPrefix(bytes.TrimSpace(head), []byte("<")):
		return nil, nil
	default: // damaged, or of a kind that can't be cleaned
		f.found[Unknown] = true
		err = f.span(0, size)
	}
	var out []Trace
	for _, t := range traceOrder {
		if f.found[t] {
			out = append(out, t)
		}
	}
	return out, err
}

type tracer struct {
	s     *source
	kind  Type
	found map[Trace]bool
	read  int64
}

// removed looks at what of the file isn't in the cleaned one.
func (f *tracer) removed(c *Cleaned) error {
	same, err := c.same()
	if same || err != nil {
		return err
	}
	var kept []span
	for _, p := range c.plan.pieces {
		if p.own == nil && p.off >= 0 {
			kept = append(kept, span{p.off, p.off + p.n})
		}
	}
	slices.SortFunc(kept, func(a, b span) int { return int(min(1, max(-1, a.off-b.off))) })
	at := int64(0)
	for _, k := range append(kept, span{f.s.size, f.s.size}) {
		if k.off > at {
			if err := f.span(at, k.off); err != nil {
				return err
			}
		}
		at = max(at, k.end)
	}
	if len(f.found) == 0 {
		f.found[Other] = true
	}
	return nil
}

// same reports whether cleaning changes nothing.
func (c *Cleaned) same() (bool, error) {
	at := int64(0)
	for _, p := range c.plan.pieces {
		switch {
		case p.own != nil:
			b := make([]byte, len(p.own))
			if n, err := c.src.ReadAt(b, at); n < len(b) {
				return false, unlessEnd(err)
			}
			if !bytes.Equal(b, p.own) {
				return false, nil
			}
			at += int64(len(b))
		case p.off >= 0 && p.off != at:
			return false, nil
		case p.off >= 0:
			at += p.n
		default:
			for end := at + p.n; at < end; {
				b := make([]byte, min(end-at, 1<<20))
				n, err := c.src.ReadAt(b, at)
				if n < len(b) {
					return false, unlessEnd(err)
				}
				if bytes.ContainsFunc(b, func(r rune) bool { return r != 0 }) {
					return false, nil
				}
				at += int64(n)
			}
		}
	}
	return at == c.plan.size, nil
}

func unlessEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// span looks at a part of the file.
func (f *tracer) span(from, to int64) error {
	if n := min(maxTraced, maxTracedFile-f.read); to-from > n {
		to = from + n
		f.found[Unknown] = true
	}
	b, err := f.s.bytes(from, to-from)
	if err != nil {
		return err
	}
	f.read += to - from
	for _, order := range []string{"II*\x00", "MM\x00*"} {
		for rest := b; ; {
			i := bytes.Index(rest, []byte(order))
			if i < 0 {
				break
			}
			f.exif(rest[i:])
			rest = rest[i+4:]
		}
	}
	f.words(b, wordsAnywhere)
	f.words(b, wordsOf[f.kind])
	switch f.kind {
	case JPEG:
		f.segments(b)
	case MP4, MOV, M4A, HEIC, AVIF:
		f.movieTimes(b)
	default:
	}
	return nil
}

func (f *tracer) words(b []byte, all map[Trace][]string) {
	for t, words := range all {
		if !f.found[t] && slices.ContainsFunc(words, func(w string) bool { return bytes.Contains(b, []byte(w)) }) {
			f.found[t] = true
		}
	}
}

// segments tells comments and IPTC data of a JPEG file.
func (f *tracer) segments(b []byte) {
	b = bytes.TrimPrefix(b, []byte{0xff, mSOI})
	for len(b) >= 4 && b[0] == 0xff && (b[1] >= mAPP0 && b[1] <= 0xef || b[1] == mCOM) {
		n := min(len(b), 2+int(binary.BigEndian.Uint16(b[2:])))
		if b[1] == mCOM {
			f.found[Text] = true
		}
		if i := bytes.Index(b[:n], []byte("8BIM\x04\x04")); b[1] == 0xed && i >= 0 {
			for tag, t := range iptc {
				if bytes.Contains(b[i:n], []byte{0x1c, 2, tag}) {
					f.found[t] = true
				}
			}
		}
		b = b[n:]
	}
}

// movieTimes tells whether a film says when it was made: mvhd, version u8 ‖
// flags[3] ‖ creation u32 or, in version 1, u64.
func (f *tracer) movieTimes(b []byte) {
	i := bytes.Index(b, []byte("mvhd"))
	if i < 0 || len(b) < i+16 {
		return
	}
	created := b[i+8 : i+12]
	if b[i+4] == 1 {
		created = b[i+8 : i+16]
	}
	if len(bytes.Trim(created, "\x00")) > 0 {
		f.found[Time] = true
	}
}

// exif reads the directories of a TIFF block (Exif 2.32 section 4.6).
func (f *tracer) exif(b []byte) {
	if len(b) < 8 {
		return
	}
	var order binary.ByteOrder = binary.LittleEndian
	if b[0] == 'M' {
		order = binary.BigEndian
	}
	next := f.directory(b, order, order.Uint32(b[4:]), exifTags, 0)
	if next != 0 && int64(next)+2 <= int64(len(b)) && order.Uint16(b[next:]) > 0 {
		f.found[Thumbnail] = true
	}
}

// directory reads one directory and those it points to, and returns where the
// next one is.
func (f *tracer) directory(b []byte, order binary.ByteOrder, at uint32, tags map[uint16]Trace, depth int) (next uint32) {
	if int64(at)+2 > int64(len(b)) || depth > 2 {
		return 0
	}
	n := int64(order.Uint16(b[at:]))
	entries := b[at+2:]
	if n*12 > int64(len(entries)) {
		return 0
	}
	for i := range n {
		tag, value := order.Uint16(entries[i*12:]), order.Uint32(entries[i*12+8:])
		switch t, known := tags[tag]; {
		case known && t != "":
			f.found[t] = true
		case known:
		case tag == 0x8769 && depth == 0:
			f.directory(b, order, value, exifTags, 1)
		case tag == 0x8825 && depth == 0:
			f.directory(b, order, value, gpsTags, 1)
		case depth == 0 && tag < 0x0200: // how the picture is stored
		default:
			f.found[Other] = true
		}
	}
	if rest := entries[n*12:]; len(rest) >= 4 {
		return order.Uint32(rest)
	}
	return 0
}
