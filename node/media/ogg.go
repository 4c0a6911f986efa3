package media

import (
	"bytes"
	"encoding/binary"
)

// oggTable is for the checksum of RFC 3533 section 6: polynomial 0x04c11db7,
// not reflected.
var oggTable = func() (t [256]uint32) {
	for i := range t {
		r := uint32(i) << 24
		for range 8 {
			if r&(1<<31) != 0 {
				r = r<<1 ^ 0x04c11db7
			} else {
				r <<= 1
			}
		}
		t[i] = r
	}
	return t
}()

func oggSum(b []byte) (sum uint32) {
	for _, x := range b {
		sum = sum<<8 ^ oggTable[byte(sum>>24)^x]
	}
	return sum
}

// An oggPage is one page: its head of 27 bytes, its lacing values, its body.
type oggPage struct {
	head, lacing, body []byte
}

func (p *oggPage) bytes(number uint32) []byte {
	b := append(append(append([]byte(nil), p.head...), p.lacing...), p.body...)
	binary.LittleEndian.PutUint32(b[18:], number)
	clear(b[22:26])
	binary.LittleEndian.PutUint32(b[22:], oggSum(b))
	return b
}

// cleanOgg keeps one stream of Opus or Vorbis, with a comment header that is
// empty (RFC 7845 section 5.2; Vorbis I section 5).
func cleanOgg(s *source, c *Cleaned) error {
	x := s.scan(0)
	var (
		serial  [4]byte
		pages   uint32
		packets [][]byte // of the headers, while they are read
		open    []byte   // a packet that goes on
		headers = 0      // how many there must be
		first   oggPage
	)
	for x.pos < s.size {
		p := oggPage{head: x.bytes(27)}
		if !x.ok || string(p.head[:5]) != "OggS\x00" {
			return damaged("no page where one must be")
		}
		p.lacing = x.bytes(int(p.head[26]))
		n := 0
		for _, l := range p.lacing {
			n += int(l)
		}
		p.body = x.bytes(n)
		if !x.ok {
			return damaged("it is cut off")
		}
		if sum := binary.LittleEndian.Uint32(p.head[22:]); !bytes.Equal(p.bytes(binary.LittleEndian.Uint32(p.head[18:]))[22:26], binary.LittleEndian.AppendUint32(nil, sum)) {
			return damaged("a checksum is wrong")
		}
		if pages == 0 && first.head == nil {
			copy(serial[:], p.head[14:18])
			first = p
		}
		if !bytes.Equal(serial[:], p.head[14:18]) {
			continue // another stream, of text or pictures
		}
		clear(p.head[14:18]) // serial numbers are random
		p.head[14] = 1
		if headers > 0 && len(packets) == headers {
			c.plan.add(p.bytes(pages)...)
			pages++
			continue
		}
		for body, i := p.body, 0; i < len(p.lacing); i++ {
			l := int(p.lacing[i])
			open, body = append(open, body[:l]...), body[l:]
			if len(open) > maxTables {
				return damaged("a header is too long")
			}
			if l == 255 {
				continue
			}
			packets, open = append(packets, open), nil
			switch {
			case len(packets) == 1 && bytes.HasPrefix(packets[0], []byte("OpusHead")):
				headers = 2
			case len(packets) == 1 && bytes.HasPrefix(packets[0], []byte("\x01vorbis")):
				headers = 3
			case len(packets) == 1:
				return ErrUnknown
			case len(packets) == headers && i != len(p.lacing)-1:
				return damaged("sound on the page of a header")
			}
		}
		if headers > 0 && len(packets) == headers {
			for _, b := range oggHeaders(packets, first.head) {
				c.plan.add(b.bytes(pages)...)
				pages++
			}
		}
	}
	if pages < 3 {
		return damaged("no sound in it")
	}
	return nil
}

// oggHeaders makes the pages in front of the sound: the first header has one
// of its own.
func oggHeaders(packets [][]byte, head []byte) []oggPage {
	if len(packets) == 2 {
		packets[1] = []byte("OpusTags\x00\x00\x00\x00\x00\x00\x00\x00")
	} else {
		packets[1] = []byte("\x03vorbis\x00\x00\x00\x00\x00\x00\x00\x00\x01")
	}
	out := []oggPage{page(head, 0x02, packets[:1])}
	// What is left is cut into pages of at most 255 lacing values.
	rest := page(head, 0, packets[1:])
	for len(rest.lacing) > 255 {
		n := 0
		for _, l := range rest.lacing[:255] {
			n += int(l)
		}
		p := rest
		p.lacing, p.body = rest.lacing[:255], rest.body[:n]
		p.head = append([]byte(nil), rest.head...)
		p.head[26] = 255
		out = append(out, p)
		goesOn := p.lacing[254] == 255
		rest.lacing, rest.body = rest.lacing[255:], rest.body[n:]
		rest.head = append([]byte(nil), rest.head...)
		rest.head[5] = 0
		if goesOn {
			rest.head[5] = 0x01
		}
	}
	rest.head[26] = byte(len(rest.lacing))
	return append(out, rest)
}

func page(from []byte, flags byte, packets [][]byte) oggPage {
	p := oggPage{head: append([]byte(nil), from...)}
	p.head[5] = flags
	clear(p.head[6:14]) // position 0
	clear(p.head[14:18])
	p.head[14] = 1
	for _, k := range packets {
		for n := len(k); ; n -= 255 {
			p.lacing = append(p.lacing, byte(min(n, 255)))
			if n < 255 {
				break
			}
		}
		p.body = append(p.body, k...)
	}
	p.head[26] = byte(min(255, len(p.lacing)))
	return p
}
