package media

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// pngKeep are the chunks that say how a picture looks (PNG, third edition,
// section 11).
var pngKeep = map[string]bool{
	"IHDR": true, "PLTE": true, "IDAT": true, "IEND": true, "tRNS": true, "gAMA": true, "cHRM": true, "sRGB": true,
	"cICP": true, "mDCV": true, "cLLI": true, "sBIT": true, "bKGD": true, "acTL": true, "fcTL": true, "fdAT": true,
}

// cleanPNG keeps the chunks of pngKeep, a colour profile and an orientation.
func cleanPNG(s *source, c *Cleaned) error {
	x := s.scan(8)
	c.plan.copy(0, 8)
	for first := true; ; first = false {
		at := x.pos
		n := int64(binary.BigEndian.Uint32(x.bytes(4)))
		sum := crc32.NewIEEE()
		kind := x.bytes(4)
		t := string(kind)
		if !x.ok || first != (t == "IHDR") || n > s.size-x.pos-4 {
			return damaged("it is cut off")
		}
		_, _ = sum.Write(kind)
		var body []byte
		if t == "iCCP" || t == "eXIf" {
			if n > maxTables {
				return damaged("a chunk is too long")
			}
			body = x.bytes(int(n))
			_, _ = sum.Write(body)
		} else {
			x.pass(sum, n)
		}
		if want := binary.BigEndian.Uint32(x.bytes(4)); !x.ok || want != sum.Sum32() {
			return damaged("a checksum is wrong")
		}
		switch {
		case pngKeep[t]:
			c.plan.copy(at, n+12)
			if t == "IEND" {
				return nil
			}
		case t == "iCCP":
			if icc := cleanICC(inflateICC(body)); icc != nil {
				c.Kept = append(c.Kept, keptColours)
				c.plan.add(pngChunk(t, deflateICC(icc))...)
			}
		case t == "eXIf":
			if v := orientation(body); v != 1 {
				c.Kept = append(c.Kept, keptOrientation)
				c.plan.add(pngChunk(t, oriented(v))...)
			}
		case t[0]&0x20 == 0:
			return damaged("an unknown chunk that is needed to show it")
		}
	}
}

func pngChunk(t string, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	b = append(append(b, t...), body...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// inflateICC reads name ‖ 0 ‖ method 0 ‖ zlib(profile); nil when it isn't one.
func inflateICC(b []byte) []byte {
	i := bytes.IndexByte(b, 0)
	if i < 0 || i+2 > len(b) || b[i+1] != 0 {
		return nil
	}
	z, err := zlib.NewReader(bytes.NewReader(b[i+2:]))
	if err != nil {
		return nil
	}
	icc, err := io.ReadAll(io.LimitReader(z, maxTables))
	if err != nil {
		return nil
	}
	return icc
}

func deflateICC(icc []byte) []byte {
	b := bytes.NewBufferString("icc\x00\x00")
	z := zlib.NewWriter(b)
	_, _ = z.Write(icc) // into memory
	_ = z.Close()
	return b.Bytes()
}
