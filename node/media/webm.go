package media

import (
	"encoding/binary"
	"slices"
)

// Matroska and WebM (RFC 8794, RFC 9559) are cleaned in place: an element that
// isn't kept becomes a Void of the same length.

// Elements by their ids.
const (
	ebmlHead    = 0x1a45dfa3
	mkvSegment  = 0x18538067
	mkvSeekHead = 0x114d9b74
	mkvInfo     = 0x1549a966
	mkvTracks   = 0x1654ae6b
	mkvTrack    = 0xae
	mkvCluster  = 0x1f43b675
	mkvCues     = 0x1c53bb6b
	mkvVoid     = 0xec
	mkvBlock    = 0xa1
	mkvSimple   = 0xa3
	mkvGroup    = 0xa0
	mkvPrivate  = 0x63a2
	mkvMuxing   = 0x4d80
	mkvWriting  = 0x5741
	mkvNumber   = 0xd7
	mkvKind     = 0x83
	mkvChapters = 0x1043a770
	mkvTags     = 0x1254c367
	mkvFiles    = 0x1941a469
)

// infoKeep are the scale of time and the duration.
var infoKeep = []uint32{0x2ad7b1, 0x4489}

// trackKeep are what a decoder needs of a track: number, kind, codec, whether
// it is on, lengths and delays, and everything about pictures and sound.
var trackKeep = []uint32{
	mkvNumber, 0x73c5, mkvKind, 0xb9, 0x88, 0x55aa, 0x9c, 0x6de7, 0x6df8, 0x23e383, 0x234e7a, 0x23314f, 0x55ee, 0x41e4,
	0x86, mkvPrivate, 0xaa, 0x56aa, 0x56bb, 0xe0, 0xe1,
}

// groupKeep are what belongs to a block: itself, its length, what it refers to,
// transparency, and how much of it is dropped.
var groupKeep = []uint32{mkvBlock, 0x9b, 0xfb, 0x75a1, 0x75a2, 0xfa}

// levelOne are the elements below a segment, with which a cluster of unknown
// length ends.
var levelOne = []uint32{mkvSeekHead, mkvInfo, mkvTracks, mkvCluster, mkvCues, mkvChapters, mkvTags, mkvFiles}

// An element stands at some place: its id, its body, and its end; -1 when its
// length isn't known.
type element struct {
	id            uint32
	at, body, end int64
}

type webm struct {
	s      *source
	c      *Cleaned
	tracks map[uint64]bool // numbers of those that are kept
}

func cleanWebM(s *source, c *Cleaned) error {
	f := &webm{s, c, map[uint64]bool{}}
	head, err := f.element(0, s.size)
	if err != nil {
		return err
	}
	if head.id != ebmlHead || head.end < 0 || head.end > 4096 {
		return damaged("its head")
	}
	c.plan.copy(0, head.end)
	segment, err := f.element(head.end, s.size)
	if err != nil {
		return err
	}
	if segment.id != mkvSegment {
		return damaged("no segment in it")
	}
	c.plan.copy(segment.at, segment.body-segment.at)
	end := segment.end
	if end < 0 {
		end = s.size
	}
	blocks := false
	for at := segment.body; at < end; {
		e, err := f.element(at, end)
		if err != nil {
			return err
		}
		switch {
		case e.id == mkvCluster:
			blocks = true
			c.plan.copy(e.at, e.body-e.at)
			if at, err = f.cluster(e, end); err != nil {
				return err
			}
			continue
		case e.end < 0:
			return damaged("an element without a length")
		case e.id == mkvSeekHead, e.id == mkvCues:
			c.plan.copy(e.at, e.end-e.at)
		case e.id == mkvInfo:
			err = f.info(e)
		case e.id == mkvTracks:
			err = f.list(e)
		default:
			f.void(e)
		}
		if err != nil {
			return err
		}
		at = e.end
	}
	if !blocks || len(f.tracks) == 0 {
		return damaged("neither a film nor sound in it")
	}
	return nil
}

// element reads an id and a length at a place.
func (f *webm) element(at, end int64) (e element, err error) {
	h, err := f.s.bytes(at, min(12, end-at))
	if err != nil {
		return e, err
	}
	id, n, ok := vint(h, 4, true)
	if !ok {
		return e, damaged("an element is cut off")
	}
	length, m, ok := vint(h[n:], 8, false)
	if !ok {
		return e, damaged("an element is cut off")
	}
	e = element{id: uint32(id), at: at, body: at + int64(n+m), end: -1}
	if length != 1<<(7*m)-1 {
		if length > uint64(end-e.body) {
			return e, damaged("an element is cut off")
		}
		e.end = e.body + int64(length)
	}
	return e, nil
}

// vint reads a number of up to most bytes (RFC 8794 section 4), whose length
// the first byte tells. An id is used with that mark in it.
func vint(b []byte, most int, marked bool) (v uint64, n int, ok bool) {
	if len(b) == 0 {
		return 0, 0, false
	}
	n = 1
	for mark := byte(0x80); n <= most && b[0]&mark == 0; mark >>= 1 {
		n++
	}
	if n > most || n > len(b) {
		return 0, 0, false
	}
	for _, x := range b[:n] {
		v = v<<8 | uint64(x)
	}
	if !marked {
		v &= 1<<(7*n) - 1
	}
	return v, n, true
}

// void plans a Void of an element's length.
func (f *webm) void(e element) {
	n := e.end - e.at
	if n-2 < 127 {
		f.c.plan.add(mkvVoid, 0x80|byte(n-2))
		f.c.plan.zero(n - 2)
		return
	}
	f.c.plan.add(mkvVoid)
	f.c.plan.add(binary.BigEndian.AppendUint64(nil, 1<<56|uint64(n-9))...)
	f.c.plan.zero(n - 9)
}

// inner calls do for each element in another.
func (f *webm) inner(e element, do func(element) error) error {
	for at := e.body; at < e.end; {
		k, err := f.element(at, e.end)
		if err != nil {
			return err
		}
		if k.end < 0 {
			return damaged("an element without a length")
		}
		if err := do(k); err != nil {
			return err
		}
		at = k.end
	}
	return nil
}

func (f *webm) info(e element) error {
	f.c.plan.copy(e.at, e.body-e.at)
	return f.inner(e, func(k element) error {
		switch {
		case slices.Contains(infoKeep, k.id):
			f.c.plan.copy(k.at, k.end-k.at)
		case k.id == mkvMuxing, k.id == mkvWriting: // must be there
			f.c.plan.copy(k.at, k.body-k.at)
			f.c.plan.zero(k.end - k.body)
		default:
			f.void(k)
		}
		return nil
	})
}

// list keeps tracks of pictures and sound.
func (f *webm) list(e element) error {
	f.c.plan.copy(e.at, e.body-e.at)
	return f.inner(e, func(k element) error {
		if k.id != mkvTrack {
			f.void(k)
			return nil
		}
		number, kind := uint64(0), uint64(0)
		err := f.inner(k, func(x element) error {
			if x.id == mkvNumber || x.id == mkvKind {
				b, err := f.s.bytes(x.body, min(8, x.end-x.body))
				if err != nil {
					return err
				}
				v := (&fields{b: b}).take(len(b))
				if x.id == mkvKind {
					kind = v
				} else {
					number = v
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if kind != 1 && kind != 2 {
			f.void(k)
			return nil
		}
		f.tracks[number] = true
		return f.track(k)
	})
}

func (f *webm) track(e element) error {
	f.c.plan.copy(e.at, e.body-e.at)
	return f.inner(e, func(k element) error {
		switch {
		case k.id == mkvPrivate:
			b, err := f.s.bytes(k.body, k.end-k.body)
			if err != nil {
				return err
			}
			f.c.plan.copy(k.at, k.body-k.at)
			f.c.plan.add(vorbisPrivate(b)...)
		case slices.Contains(trackKeep, k.id):
			f.c.plan.copy(k.at, k.end-k.at)
		default:
			f.void(k)
		}
		return nil
	})
}

// vorbisPrivate empties the comments among the headers of Vorbis, which stand
// in a row behind their number and two lengths, leaving everything where it is.
// What is something else it returns as it is.
func vorbisPrivate(b []byte) []byte {
	if len(b) < 3 || b[0] != 2 {
		return b
	}
	at := 1
	var lengths [2]int
	for i := range lengths {
		for {
			if at >= len(b) {
				return b
			}
			x := int(b[at])
			at++
			lengths[i] += x
			if x < 255 {
				break
			}
		}
	}
	from := at + lengths[0]
	if from > len(b) || lengths[1] > len(b)-from {
		return b
	}
	comments := b[from : from+lengths[1]]
	if len(comments) < 16 || string(comments[:7]) != "\x03vorbis" {
		return b
	}
	// One vendor of zeroes, no comments, the framing bit.
	clear(comments[7:])
	binary.LittleEndian.PutUint32(comments[7:], uint32(len(comments)-16))
	comments[len(comments)-1] = 1
	return b
}

// cluster keeps blocks of tracks that are kept. It returns where the cluster
// ends.
func (f *webm) cluster(e element, most int64) (int64, error) {
	end := e.end
	if end < 0 {
		end = most
	}
	at := e.body
	for at < end {
		k, err := f.element(at, end)
		if err != nil {
			return 0, err
		}
		if e.end < 0 && slices.Contains(levelOne, k.id) {
			return at, nil
		}
		if k.end < 0 {
			return 0, damaged("an element without a length")
		}
		switch k.id {
		case 0xe7, 0xab, 0xa7: // timestamp, the size before, the place
			f.c.plan.copy(k.at, k.end-k.at)
		case mkvSimple:
			keep, err := f.wanted(k)
			if err != nil {
				return 0, err
			}
			f.keepOrVoid(k, keep)
		case mkvGroup:
			if err := f.group(k); err != nil {
				return 0, err
			}
		default:
			f.void(k)
		}
		at = k.end
	}
	return at, nil
}

func (f *webm) keepOrVoid(e element, keep bool) {
	if keep {
		f.c.plan.copy(e.at, e.end-e.at)
	} else {
		f.void(e)
	}
}

// wanted tells whether a block is of a track that is kept.
func (f *webm) wanted(e element) (bool, error) {
	b, err := f.s.bytes(e.body, min(8, e.end-e.body))
	if err != nil {
		return false, err
	}
	number, _, ok := vint(b, 8, false)
	return ok && f.tracks[number], nil
}

func (f *webm) group(e element) error {
	keep := false
	err := f.inner(e, func(k element) (err error) {
		if k.id == mkvBlock {
			keep, err = f.wanted(k)
		}
		return err
	})
	if err != nil {
		return err
	}
	if !keep {
		f.void(e)
		return nil
	}
	f.c.plan.copy(e.at, e.body-e.at)
	return f.inner(e, func(k element) error {
		f.keepOrVoid(k, slices.Contains(groupKeep, k.id))
		return nil
	})
}
