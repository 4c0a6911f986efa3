package media

import "encoding/binary"

// chunkSpans finds where in the file the samples of a track are, from its
// tables stsz or stz2 (sizes), stsc (how many in a chunk) and stco or co64
// (where a chunk is).
func chunkSpans(table []byte, sound bool, size int64) (out []span, err error) {
	be := binary.BigEndian
	sizes, perChunk := find(table, 0, len(table), "stsz"), find(table, 0, len(table), "stsc")
	width, chunks := 4, find(table, 0, len(table), "stco")
	if chunks == nil {
		width, chunks = 8, find(table, 0, len(table), "co64")
	}
	if sizes == nil && find(table, 0, len(table), "stz2") != nil {
		return nil, ErrUnknown // sizes of 4 bits; nobody writes them
	}
	if len(sizes) < 12 || len(perChunk) < 8 || len(chunks) < 8 {
		return nil, damaged("a track without tables")
	}
	fixed, count := int64(be.Uint32(sizes[4:])), int64(be.Uint32(sizes[8:]))
	runs, n := int64(be.Uint32(perChunk[4:])), int64(be.Uint32(chunks[4:]))
	if fixed == 0 && count > int64(len(sizes)-12)/4 || runs > int64(len(perChunk)-8)/12 || n > int64(len(chunks)-8)/int64(width) {
		return nil, damaged("a table is cut off")
	}
	num, den := int64(1), int64(1)
	if sound && fixed == 1 {
		num, den = frameBytes(find(table, 0, len(table), "stsd"))
	}
	sample, run := int64(0), int64(0)
	for k := range n {
		for run+1 < runs && int64(be.Uint32(perChunk[8+12*(run+1):])) <= k+1 {
			run++
		}
		if run >= runs {
			return nil, damaged("chunks of no size")
		}
		per := min(int64(be.Uint32(perChunk[8+12*run+4:])), count-sample)
		if fixed > 0 && per > size/fixed {
			return nil, damaged("samples that are longer than the file")
		}
		length := fixed * per / den * num
		if fixed == 0 {
			for i := range per {
				length += int64(be.Uint32(sizes[12+4*(sample+i):]))
			}
		}
		sample += per
		at := chunks[8+int64(width)*k:]
		off := int64(be.Uint32(at))
		if width == 8 {
			if off = int64(be.Uint64(at)); off < 0 {
				return nil, damaged("an impossible place")
			}
		}
		if last := len(out) - 1; last >= 0 && out[last].end == off {
			out[last].end += length
		} else {
			out = append(out, span{off, off + length})
		}
	}
	return out, nil
}

// frameBytes says how many bytes how many samples of sound take, where a
// QuickTime file gives 1 as their size (QuickTime File Format, "Sound sample
// descriptions").
func frameBytes(stsd []byte) (bytes, samples int64) {
	if len(stsd) < 8+8+28+16 {
		return 1, 1
	}
	d := stsd[8+8:] // body of the first description
	u16 := func(at int) int64 { return int64(binary.BigEndian.Uint16(d[at:])) }
	u32 := func(at int) int64 { return int64(binary.BigEndian.Uint32(d[at:])) }
	switch {
	case u16(8) == 1:
		bytes, samples = u32(36), u32(28)
	case u16(8) == 2 && len(d) >= 64:
		bytes, samples = u32(56), u32(60)
	default:
		bytes, samples = u16(16)*u16(18)/8, 1
	}
	if bytes < 1 || bytes > 1<<16 || samples < 1 {
		return 1, 1
	}
	return bytes, samples
}

// sampleKeep are boxes in a sample description that a decoder needs.
var sampleKeep = set(
	"avcC", "hvcC", "lhvC", "av1C", "vpcC", "vvcC", "esds", "d263", "mp4v", "mp4a", "enda", "frma", "chan", "dOps", "dfLa", "dac3", "dec3",
	"alac", "pcmC", "srat", "samr", "damr",
	"pasp", "clap", "fiel", "gama", "btrt", "mdcv", "clli", "SmDm", "CoLL", "amve", "dvcC", "dvvC", "jpgC", "auxi", "ccst",
	"sinf", "\x00\x00\x00\x00",
)

// samples cleans the sample descriptions: version u8 ‖ flags[3] ‖ count u32 ‖
// boxes, each reserved[6] ‖ index u16 ‖ fields that depend on the kind.
func samples(b []byte, x box) error {
	if x.end-x.body < 8 {
		return damaged("a description is cut off")
	}
	all, err := boxes(b, x.body+8, x.end)
	if err != nil {
		return err
	}
	for _, d := range all {
		body := b[d.body:d.end]
		var inner int
		switch {
		case visual[d.kind]:
			// version u16 ‖ revision u16 ‖ vendor[4] ‖ qualities u32 u32 ‖
			// size u16 u16 ‖ resolution u32 u32 ‖ u32 ‖ frames u16 ‖ the
			// encoder's name[32] ‖ depth u16 ‖ colour table i16
			if inner = 78; len(body) < inner {
				return damaged("a description is cut off")
			}
			clear(body[12:24])
			clear(body[42:74])
		default:
			// version u16 ‖ revision u16 ‖ vendor[4] ‖ channels u16 ‖ bits u16 ‖
			// u16 u16 ‖ rate u32, and QuickTime's 16 or 36 bytes more
			if inner = 28; len(body) < inner {
				return damaged("a description is cut off")
			}
			clear(body[12:16])
			switch binary.BigEndian.Uint16(body[8:]) {
			case 1:
				inner += 16
			case 2:
				inner += 36
			}
			if len(body) < inner {
				return damaged("a description is cut off")
			}
		}
		if err := descriptions(b, d.body+inner, d.end); err != nil {
			return err
		}
	}
	return nil
}

// visual are the codes of coded pictures.
var visual = set(
	"avc1", "avc2", "avc3", "avc4", "hvc1", "hev1", "hvc2", "hev2", "dvh1", "dvhe", "dva1", "dvav", "av01", "vp08", "vp09", "vvc1", "vvi1",
	"mp4v", "jpeg", "mjpa", "mjpb", "mjpg", "s263", "H263", "h263", "encv",
	"apch", "apcn", "apcs", "apco", "ap4h", "ap4x", "raw ", "2vuy", "rle ", "png ", "drmi", "SVQ3", "SVQ1", "cvid",
)

func descriptions(b []byte, from, to int) error {
	all, err := boxes(b, from, to)
	if err != nil {
		return err
	}
	for _, k := range all {
		switch {
		case k.kind == "wave":
			if err := descriptions(b, k.body, k.end); err != nil {
				return err
			}
		case k.kind == "colr":
			if err := colr(b[k.body:k.end]); err != nil {
				return err
			}
		case !sampleKeep[k.kind]:
			free(b, k)
		}
	}
	return nil
}

// colr cleans a colour box in place: type[4] ‖ numbers, or a profile, which is
// padded to the length that it had.
func colr(body []byte) error {
	if len(body) < 4 {
		return damaged("a colour box is cut off")
	}
	if t := string(body[:4]); t != "prof" && t != "rICC" {
		return nil
	}
	p, ok := parseICC(body[4:])
	if !ok {
		return damaged("a colour profile")
	}
	icc := cleanICC(body[4:])
	if icc == nil || len(icc) > len(body)-4 {
		icc = p.rebuild()
	}
	if len(icc) > len(body)-4 {
		// No room for a name beside what colours need: then without.
		icc = buildICC(p.head, nil)
		if len(icc) > len(body)-4 {
			return ErrUnknown
		}
	}
	clear(body[4:])
	copy(body[4:], icc)
	binary.BigEndian.PutUint32(body[4:], uint32(len(body)-4))
	return nil
}
