package media

import (
	"bytes"
	"encoding/binary"
)

// A chunk is a part of a RIFF file: kind[4] ‖ length u32, little endian ‖
// body ‖ a zero when the length is odd.
type chunk struct {
	kind    string
	at, len int64 // of the body
}

// chunks lists those between from and to.
func (s *source) chunks(from, to int64) (out []chunk, err error) {
	for from < to {
		if to-from < 8 {
			return nil, damaged("it is cut off")
		}
		h, err := s.bytes(from, 8)
		if err != nil {
			return nil, err
		}
		k := chunk{string(h[:4]), from + 8, int64(binary.LittleEndian.Uint32(h[4:]))}
		if k.len > to-k.at {
			return nil, damaged("it is cut off")
		}
		if out = append(out, k); len(out) > 1<<20 {
			return nil, damaged("too many parts")
		}
		from = k.at + k.len + k.len&1
	}
	return out, nil
}

// riffEnd is where a RIFF file ends by its own word.
func (s *source) riffEnd() (int64, error) {
	h, err := s.bytes(4, 4)
	if err != nil {
		return 0, err
	}
	end := 8 + int64(binary.LittleEndian.Uint32(h))
	if end < 12 || end > s.size {
		return 0, damaged("it is cut off")
	}
	return end, nil
}

func (p *plan) riffHead(kind string, n int64) {
	p.add([]byte(kind)...)
	p.add(binary.LittleEndian.AppendUint32(nil, uint32(n))...)
}

func (p *plan) riffCopy(k chunk) {
	p.riffHead(k.kind, k.len)
	p.copy(k.at, k.len)
	p.zero(k.len & 1)
}

func (p *plan) riffAdd(kind string, b []byte) {
	p.riffHead(kind, int64(len(b)))
	p.add(b...)
	p.zero(int64(len(b) & 1))
}

func (p *plan) join(q *plan) {
	p.pieces = append(p.pieces, q.pieces...)
	p.size += q.size
}

// Flags of the VP8X chunk (RFC 9649 section 2.7.1).
const (
	webpICC   = 0x20
	webpAlpha = 0x10
	webpExif  = 0x08
	webpAnim  = 0x02
)

// cleanWebP keeps the coded pictures, transparency, animation, a colour
// profile and an orientation.
func cleanWebP(s *source, c *Cleaned) error {
	end, err := s.riffEnd()
	if err != nil {
		return err
	}
	all, err := s.chunks(12, end)
	if err != nil {
		return err
	}
	var (
		extended []byte
		pictures plan
		icc      []byte
		orient   = uint16(1)
	)
	for _, k := range all {
		switch k.kind {
		case "VP8X", "ICCP", "EXIF":
			if k.len > maxTables {
				return damaged("a chunk is too long")
			}
			b, err := s.bytes(k.at, k.len)
			if err != nil {
				return err
			}
			switch {
			case k.kind == "ICCP":
				icc = cleanICC(b)
			case k.kind == "EXIF":
				orient = orientation(bytes.TrimPrefix(b, []byte("Exif\x00\x00")))
			case len(b) == 10:
				extended = b
			default:
				return damaged("a header of a wrong length")
			}
		case "VP8 ", "VP8L", "ALPH", "ANIM":
			pictures.riffCopy(k)
		case "ANMF":
			if err := s.webpFrame(k, &pictures); err != nil {
				return err
			}
		}
	}
	if len(pictures.pieces) == 0 {
		return damaged("no picture in it")
	}
	var out plan
	if extended != nil {
		extended[0] &= webpAlpha | webpAnim
		clear(extended[1:4])
		if icc != nil {
			extended[0] |= webpICC
			c.Kept = append(c.Kept, keptColours)
		}
		if orient != 1 {
			extended[0] |= webpExif
			c.Kept = append(c.Kept, keptOrientation)
		}
		out.riffAdd("VP8X", extended)
		if icc != nil {
			out.riffAdd("ICCP", icc)
		}
	}
	out.join(&pictures)
	if extended != nil && orient != 1 {
		out.riffAdd("EXIF", oriented(orient))
	}
	c.plan.riffHead("RIFF", out.size+4)
	c.plan.add([]byte("WEBP")...)
	c.plan.join(&out)
	return nil
}

// webpFrame keeps one frame of an animation: 16 bytes, then chunks.
func (s *source) webpFrame(k chunk, out *plan) error {
	if k.len < 16 {
		return damaged("a frame is cut off")
	}
	inner, err := s.chunks(k.at+16, k.at+k.len)
	if err != nil {
		return err
	}
	var frame plan
	frame.copy(k.at, 16)
	for _, k := range inner {
		switch k.kind {
		case "VP8 ", "VP8L", "ALPH":
			frame.riffCopy(k)
		}
	}
	out.riffHead("ANMF", frame.size)
	out.join(&frame)
	return nil
}

// cleanWAV keeps the format and the samples.
func cleanWAV(s *source, c *Cleaned) error {
	end, err := s.riffEnd()
	if err != nil {
		return err
	}
	all, err := s.chunks(12, end)
	if err != nil {
		return err
	}
	var out plan
	data := false
	for _, k := range all {
		switch k.kind {
		case "fmt ", "fact":
			out.riffCopy(k)
		case "data":
			data = true
			out.riffCopy(k)
		}
	}
	if !data {
		return damaged("no sound in it")
	}
	c.plan.riffHead("RIFF", out.size+4)
	c.plan.add([]byte("WAVE")...)
	c.plan.join(&out)
	return nil
}
