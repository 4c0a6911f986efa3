package media

import "encoding/binary"

// cleanMP3 keeps the frames of sound: neither ID3 in front, nor what stands
// between or behind them (ID3v1, APE, Lyrics3).
func cleanMP3(s *source, c *Cleaned) error {
	at := int64(0)
	for {
		h, err := s.bytes(at, min(10, s.size-at))
		if err != nil {
			return err
		}
		if len(h) < 10 || string(h[:3]) != "ID3" {
			break
		}
		if (h[6]|h[7]|h[8]|h[9])&0x80 != 0 {
			return damaged("a tag's length")
		}
		at += 10 + int64(h[6])<<21 + int64(h[7])<<14 + int64(h[8])<<7 + int64(h[9])
		if h[5]&0x10 != 0 {
			at += 10 // a footer
		}
		if at > s.size {
			return damaged("a tag is cut off")
		}
	}
	x := s.scan(at)
	frames := 0
	var h [4]byte
	for x.ok {
		next, _ := x.r.Peek(4)
		copy(h[:], next)
		if n := frameSize(next); n > 0 && n <= s.size-x.pos {
			// Padding in front of the first frame, or a tag between two, can
			// look like a frame: one is followed by another, or by the end.
			if follows(s, x.pos+n) {
				c.plan.copy(x.pos, n)
				x.pass(nil, n)
				frames++
				continue
			}
		}
		x.u8()
	}
	if frames == 0 {
		return damaged("no sound in it")
	}
	return nil
}

func follows(s *source, at int64) bool {
	if at == s.size {
		return true
	}
	h, err := s.bytes(at, min(4, s.size-at))
	if err != nil {
		return false
	}
	switch {
	case frameSize(h) > 0:
		return true
	case len(h) >= 3 && (string(h[:3]) == "TAG" || string(h[:3]) == "APE" || string(h[:3]) == "LYR" || string(h[:3]) == "ID3"):
		return true
	}
	return false
}

// Bit rates in kbit/s of layer III, for MPEG 1 and for 2 and 2.5, and sampling
// rates in Hz (ISO/IEC 11172-3 section 2.4.2.3, 13818-3 section 2.4.2.3).
var (
	rates1   = [16]int64{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0}
	rates2   = [16]int64{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0}
	sampling = [4]int64{44100, 48000, 32000, 0}
)

// frameSize is the length in bytes of the layer III frame that begins with h,
// 0 when none does.
func frameSize(h []byte) int64 {
	if len(h) < 4 || h[0] != 0xff || h[1]&0xe6 != 0xe2 {
		return 0
	}
	version, rate, hz, padding := h[1]>>3&3, h[2]>>4, sampling[h[2]>>2&3], int64(h[2]>>1&1)
	if version == 1 || hz == 0 {
		return 0
	}
	if version == 3 {
		if r := rates1[rate]; r > 0 {
			return 144000*r/hz + padding
		}
		return 0
	}
	hz /= 2
	if version == 0 {
		hz /= 2
	}
	if r := rates2[rate]; r > 0 {
		return 72000*r/hz + padding
	}
	return 0
}

// cleanFLAC keeps what describes the stream, the table for seeking, and the
// frames (RFC 9639 section 8).
func cleanFLAC(s *source, c *Cleaned) error {
	c.plan.copy(0, 4)
	type block struct {
		kind    byte
		at, len int64
	}
	var kept []block
	at := int64(4)
	for last := false; !last; {
		h, err := s.bytes(at, 4)
		if err != nil {
			return err
		}
		last = h[0]&0x80 != 0
		b := block{h[0] & 0x7f, at + 4, int64(binary.BigEndian.Uint32(h) & 0xffffff)}
		at = b.at + b.len
		if at > s.size || len(kept) == 0 && b.kind != 0 {
			return damaged("it is cut off")
		}
		if b.kind == 0 || b.kind == 3 {
			kept = append(kept, b)
		}
	}
	for i, b := range kept {
		kind := b.kind
		if i == len(kept)-1 {
			kind |= 0x80
		}
		c.plan.add(binary.BigEndian.AppendUint32(nil, uint32(kind)<<24|uint32(b.len))...)
		c.plan.copy(b.at, b.len)
	}
	end := s.size
	if end-at >= 128 {
		h, err := s.bytes(end-128, 3)
		if err != nil {
			return err
		}
		if string(h) == "TAG" { // ID3v1
			end -= 128
		}
	}
	if f, err := s.bytes(at, 2); err != nil || f[0] != 0xff || f[1]&0xfe != 0xf8 {
		return damaged("no sound in it")
	}
	c.plan.copy(at, end-at)
	return nil
}
