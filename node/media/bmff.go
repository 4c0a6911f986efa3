package media

import (
	"encoding/binary"
	"slices"
)

// ISO base media files (ISO/IEC 14496-12) and QuickTime are cleaned in place:
// a box that isn't kept becomes a free one of the same length, full of zeroes,
// so that no offset in the file moves. Of the media data only what a kept track
// or item refers to stays.

// bmffContainers are boxes that hold boxes and nothing else.
var bmffContainers = set("moov", "trak", "mdia", "minf", "stbl", "edts", "dinf", "mvex", "moof", "traf", "gmhd", "tapt")

// bmffKeep are boxes that say how to show what is in the file.
var bmffKeep = set(
	"ftyp", "styp", "sidx",
	"mvhd", "tkhd", "mdhd", "hdlr", "elst", "vmhd", "smhd", "nmhd", "gmin", "dref",
	"stsd", "stts", "stss", "ctts", "cslg", "stsc", "stsz", "stz2", "stco", "co64", "sgpd", "sbgp", "sdtp", "stps",
	"mehd", "trex", "mfhd", "tfhd", "tfdt", "trun", "saiz", "saio",
	"clef", "prof", "enof",
)

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// A box is a part of b: its type, and where its body is in b.
type box struct {
	kind      string
	at        int // of the box
	body, end int
}

// boxes lists those in b[from:to].
func boxes(b []byte, from, to int) (out []box, err error) {
	for from < to {
		if to-from < 8 {
			// QuickTime ends lists with a zero of four bytes.
			clear(b[from:to])
			return out, nil
		}
		n, h := int64(binary.BigEndian.Uint32(b[from:])), 8
		if n == 1 && to-from >= 16 {
			n, h = int64(binary.BigEndian.Uint64(b[from+8:])), 16
		}
		if n < int64(h) || n > int64(to-from) {
			return nil, damaged("a box is cut off")
		}
		out = append(out, box{string(b[from+4 : from+8]), from, from + h, from + int(n)})
		from += int(n)
	}
	return out, nil
}

// find returns the body of the first box at a path below b[from:to], nil when
// there is none.
func find(b []byte, from, to int, path ...string) []byte {
	all, err := boxes(b, from, to)
	if err != nil {
		return nil
	}
	for _, x := range all {
		if x.kind == path[0] {
			if len(path) == 1 {
				return b[x.body:x.end]
			}
			if f := find(b, x.body, x.end, path[1:]...); f != nil {
				return f
			}
		}
	}
	return nil
}

// free makes a box into nothing.
func free(b []byte, x box) {
	copy(b[x.at+4:], "free")
	clear(b[x.body:x.end])
}

// A span is a part of the file.
type span struct{ off, end int64 }

// bmff is a file that is being cleaned.
type bmff struct {
	s          *source
	c          *Cleaned
	kept       []span // of media data
	fragmented bool
	dropped    bool // a track
	pictures   bool // it has items
	tracks     bool
	changed    []part
}

// A part is a top-level box: in memory, or in the file and media data.
type part struct {
	at, head, end int64
	kind          string
	b             []byte
}

// maxParts bounds the top-level boxes.
const maxParts = 1 << 16

// cleanBMFF cleans films, and pictures of the HEIF family.
func cleanBMFF(s *source, c *Cleaned) error {
	f := &bmff{s: s, c: c}
	if err := f.read(); err != nil {
		return err
	}
	for i := range f.changed {
		if err := f.part(&f.changed[i]); err != nil {
			return err
		}
	}
	if !f.pictures && !f.tracks {
		return damaged("neither a picture nor a film in it")
	}
	if f.fragmented && f.dropped {
		// Whose samples are whose stands in every fragment.
		return ErrUnknown
	}
	f.write()
	return nil
}

// read finds the top-level boxes, and reads those that aren't media data.
func (f *bmff) read() error {
	held := int64(0)
	for at := int64(0); at < f.s.size; {
		if f.s.size-at < 8 {
			break // trailing bytes that are no box
		}
		h, err := f.s.bytes(at, min(16, f.s.size-at))
		if err != nil {
			return err
		}
		p := part{at: at, head: 8, end: at + int64(binary.BigEndian.Uint32(h)), kind: string(h[4:8])}
		switch {
		case p.end == at+1 && len(h) == 16:
			n := binary.BigEndian.Uint64(h[8:])
			if n > uint64(f.s.size-at) {
				return damaged("a box is cut off")
			}
			p.head, p.end = 16, at+int64(n)
		case p.end == at:
			p.end = f.s.size
		}
		if p.end < at+p.head || p.end > f.s.size {
			if at > 0 && f.complete() {
				break // no box: something that was put behind the file
			}
			return damaged("a box is cut off")
		}
		switch p.kind {
		case "mdat", "free", "skip", "wide":
		default:
			if held += p.end - at; held > maxHeld {
				return damaged("its tables are impossibly long")
			}
			if p.b, err = f.s.bytes(at, p.end-at); err != nil {
				return err
			}
		}
		if f.changed = append(f.changed, p); len(f.changed) > maxParts {
			return damaged("too many parts")
		}
		at = p.end
	}
	return nil
}

// complete tells whether there is what makes a file.
func (f *bmff) complete() bool {
	return slices.ContainsFunc(f.changed, func(p part) bool { return p.kind == "moov" || p.kind == "meta" })
}

// part cleans one top-level box in memory.
func (f *bmff) part(p *part) error {
	if p.b == nil {
		return nil
	}
	head := int(p.head)
	switch p.kind {
	case "moov":
		return f.walk(p.b, head, len(p.b), 0)
	case "moof":
		f.fragmented = true
		return f.walk(p.b, head, len(p.b), 0)
	case "meta":
		return f.items(p, head)
	case "ftyp", "styp", "sidx":
	default: // uuid, mfra, emsg and whatever is unknown
		free(p.b, box{at: 0, body: head, end: len(p.b)})
	}
	return nil
}

// write plans the file.
func (f *bmff) write() {
	slices.SortFunc(f.kept, func(a, b span) int { return int(min(1, max(-1, a.off-b.off))) })
	for _, p := range f.changed {
		switch {
		case p.b != nil:
			f.c.plan.add(p.b...)
		case p.kind == "mdat" && f.fragmented:
			f.c.plan.copy(p.at, p.end-p.at)
		case p.kind == "mdat":
			f.c.plan.copy(p.at, p.head)
			f.data(p.at+p.head, p.end)
		default:
			f.c.plan.copy(p.at, p.head)
			f.c.plan.zero(p.end - p.at - p.head)
		}
	}
}

// data plans media data: what is kept of it, and zeroes.
func (f *bmff) data(from, to int64) {
	for _, k := range f.kept {
		off, end := max(k.off, from), min(k.end, to)
		if off >= end {
			continue
		}
		f.c.plan.zero(off - from)
		f.c.plan.copy(off, end-off)
		from = end
	}
	f.c.plan.zero(to - from)
}

// maxDepth is how deep boxes of a film are.
const maxDepth = 12

// walk cleans the boxes in b[from:to].
func (f *bmff) walk(b []byte, from, to, depth int) error {
	if depth > maxDepth {
		return damaged("boxes in boxes without end")
	}
	all, err := boxes(b, from, to)
	if err != nil {
		return err
	}
	for _, x := range all {
		body := b[x.body:x.end]
		switch {
		case x.kind == "trak":
			if err := f.track(b, x, depth); err != nil {
				return err
			}
		case bmffContainers[x.kind]:
			if err := f.walk(b, x.body, x.end, depth+1); err != nil {
				return err
			}
		case !bmffKeep[x.kind]:
			free(b, x)
		case x.kind == "mvhd", x.kind == "tkhd", x.kind == "mdhd":
			if err := anonymous(x.kind, body); err != nil {
				return err
			}
		case x.kind == "hdlr":
			// version[4] ‖ QuickTime's class[4] ‖ kind[4] ‖ vendor[12] ‖ name
			if len(body) < 24 {
				return damaged("a handler is cut off")
			}
			clear(body[12:])
			if class := string(body[4:8]); class != "mhlr" && class != "dhlr" {
				clear(body[4:8])
			}
		case x.kind == "stsd":
			if err := samples(b, x); err != nil {
				return err
			}
		}
	}
	return nil
}

// anonymous clears the times in a header: version u8 ‖ flags[3] ‖ creation ‖
// modification, 4 bytes each or, in version 1, 8; and a track's language.
func anonymous(kind string, body []byte) error {
	times, language := 8, 20
	if len(body) > 0 && body[0] == 1 {
		times, language = 16, 32
	}
	if len(body) < language+4 {
		return damaged("a header is cut off")
	}
	clear(body[4 : 4+times])
	if kind == "mdhd" {
		copy(body[language:], []byte{0x55, 0xc4, 0, 0}) // "und"
	}
	if kind == "mvhd" && len(body) == times+92 {
		// QuickTime's preview, poster, selection and current times.
		clear(body[len(body)-28 : len(body)-4])
	}
	return nil
}

// track keeps tracks of pictures and sound. Text, positions, time codes and
// other data go, and their samples too.
func (f *bmff) track(b []byte, x box, depth int) error {
	handler := find(b, x.body, x.end, "mdia", "hdlr")
	if len(handler) < 12 {
		return damaged("a track of no kind")
	}
	kind := string(handler[8:12])
	switch kind {
	case "vide", "soun", "pict", "auxv":
	default:
		f.dropped = true
		free(b, x)
		return nil
	}
	f.tracks = true
	if table := find(b, x.body, x.end, "mdia", "minf", "stbl"); table != nil {
		spans, err := chunkSpans(table, kind == "soun", f.s.size)
		if err != nil {
			return err
		}
		f.kept = append(f.kept, spans...)
	}
	return f.walk(b, x.body, x.end, depth+1)
}
