package media

import (
	"bytes"
	"encoding/binary"
)

// Markers of ITU-T T.81 section B.1.1.3 that matter here.
const (
	mSOI  = 0xd8
	mEOI  = 0xd9
	mSOS  = 0xda
	mAPP0 = 0xe0
	mAPP1 = 0xe1
	mAPP2 = 0xe2
	mAPPE = 0xee
	mCOM  = 0xfe
)

// maxTables bounds what stands in front of a scan.
const maxTables = 8 << 20

// cleanJPEG keeps the tables and scans up to the end of the first picture. Of
// the application segments it keeps that there is a JFIF header, the colour
// transform of Adobe's, the orientation and a colour profile.
func cleanJPEG(s *source, c *Cleaned) error {
	x := s.scan(2)
	var (
		jfif, scans bool
		adobe       []byte
		orient      = uint16(1)
		profile     [][]byte
		tables      plan
	)
	for {
		if x.u8() != 0xff {
			return damaged("no marker where one must be")
		}
		m := x.u8()
		for m == 0xff {
			m = x.u8()
		}
		if m == mEOI && scans {
			c.plan.add(0xff, mEOI)
			return nil
		}
		n := int(x.u8())<<8 | int(x.u8())
		if !x.ok || n < 2 || m == mEOI {
			return damaged("it is cut off")
		}
		at := x.pos - 4
		if keepSegment(m) {
			x.pass(nil, int64(n-2))
			tables.copy(at, int64(n)+2)
			if tables.size > maxTables {
				return damaged("too many tables")
			}
			if m != mSOS || !x.ok {
				continue
			}
		} else {
			body := x.bytes(n - 2)
			switch {
			case m >= mAPP0 && m <= 0xef && scans, m == mCOM:
			case m == mAPP0 && bytes.HasPrefix(body, []byte("JFIF\x00")):
				jfif = true
			case m == mAPP1 && bytes.HasPrefix(body, []byte("Exif\x00")) && len(body) > 6:
				if v := orientation(body[6:]); v != 1 {
					orient = v
				}
			case m == mAPP2 && bytes.HasPrefix(body, []byte("ICC_PROFILE\x00")) && len(body) > 14:
				profile = append(profile, body[12:])
			case m == mAPPE && bytes.HasPrefix(body, []byte("Adobe")) && len(body) >= 12:
				adobe = []byte{0xff, mAPPE, 0, 14, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, body[11]}
			case m >= mAPP0 && m <= 0xef:
			default:
				return damaged("an unknown marker")
			}
			continue
		}
		if !scans {
			scans = true
			c.plan.add(0xff, mSOI)
			if jfif {
				c.plan.add(0xff, mAPP0, 0, 16, 'J', 'F', 'I', 'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0)
			}
			if orient != 1 {
				c.Kept = append(c.Kept, keptOrientation)
				tiff := oriented(orient)
				c.plan.add(0xff, mAPP1, 0, byte(8+len(tiff)))
				c.plan.add([]byte("Exif\x00\x00")...)
				c.plan.add(tiff...)
			}
			c.plan.add(adobe...)
			if icc := cleanICC(joinICC(profile)); icc != nil {
				c.Kept = append(c.Kept, keptColours)
				c.plan.add(splitICC(icc)...)
			}
		}
		for _, t := range tables.pieces {
			c.plan.copy(t.off, t.n)
		}
		tables = plan{}
		if err := scan(x, c); err != nil {
			return err
		}
	}
}

// keepSegment tells frames, tables and scans: SOFn, DHT, DAC, SOS, DQT, DNL,
// DRI, DHP, EXP.
func keepSegment(m byte) bool {
	return m >= 0xc0 && m <= 0xcf || m >= mSOS && m <= 0xdf
}

// scan copies entropy-coded data up to the next marker that isn't a restart:
// 0xff00 is a byte of data, 0xffff fills, and 0xffd0 to 0xffd7 restart.
func scan(x *scanner, c *Cleaned) error {
	from := x.pos
	for {
		if _, err := x.r.Peek(2); err != nil {
			x.fail(err)
			return damaged("it is cut off")
		}
		ahead, _ := x.r.Peek(x.r.Buffered())
		switch i := bytes.IndexByte(ahead, 0xff); {
		case i < 0:
			x.pass(nil, int64(len(ahead)))
		case i > 0:
			x.pass(nil, int64(i))
		case ahead[1] == 0xff:
			x.u8()
		case ahead[1] == 0 || ahead[1] >= 0xd0 && ahead[1] <= 0xd7:
			x.pass(nil, 2)
		default:
			c.plan.copy(from, x.pos-from)
			return nil
		}
	}
}

// joinICC puts together a profile that stands in several segments, each
// number u8 ‖ count u8 ‖ part (ICC.1:2022 annex B.4).
func joinICC(parts [][]byte) []byte {
	var out []byte
	for i := range parts {
		for _, p := range parts {
			if int(p[0]) == i+1 {
				out = append(out, p[2:]...)
				break
			}
		}
	}
	return out
}

func splitICC(icc []byte) (out []byte) {
	const most = 65535 - 2 - 14
	count := (len(icc) + most - 1) / most
	for i := range count {
		part := icc[i*most : min(len(icc), (i+1)*most)]
		out = append(out, 0xff, mAPP2)
		out = binary.BigEndian.AppendUint16(out, uint16(2+14+len(part)))
		out = append(out, "ICC_PROFILE\x00"...)
		out = append(out, byte(i+1), byte(count))
		out = append(out, part...)
	}
	return out
}
