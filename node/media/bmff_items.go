package media

import (
	"encoding/binary"
	"strings"
)

// Pictures of the HEIF family (ISO/IEC 23008-12) are items: the coded picture
// or its tiles, and beside them Exif, XMP, thumbnails, depth maps, and whatever
// an app adds.

// itemKinds are items that are seen: coded pictures, and how tiles and
// overlays are put together.
var itemKinds = set("hvc1", "hev1", "av01", "avc1", "vvc1", "jpeg", "j2k1", "unci", "grid", "iovl", "iden", "tmap")

// propertyKeep are properties that a picture needs to be shown.
var propertyKeep = set(
	"ispe", "pixi", "hvcC", "av1C", "avcC", "vvcC", "jpgC", "lhvC", "irot", "imir", "clap", "pasp", "rloc", "lsel", "a1op", "a1lx", "tols", "oinf",
	"auxC", "clli", "mdcv", "cclv", "amve", "ndwt", "cmpd", "uncC", "free",
)

type item struct {
	kind string
	drop bool
	infe []byte // its entry in iinf
	name int    // where in the entry the name begins
}

// items cleans a top-level meta box and finds the data of the items that stay.
func (f *bmff) items(p *part, head int) error {
	b := p.b
	if len(b) < head+4 {
		return damaged("it is cut off")
	}
	all, err := boxes(b, head+4, len(b))
	if err != nil {
		return err
	}
	f.pictures = true
	list := map[uint32]*item{}
	var data, iref []box
	idat := box{body: -1}
	for _, x := range all {
		switch x.kind {
		case "hdlr":
			if x.end-x.body < 24 {
				return damaged("a handler is cut off")
			}
			clear(b[x.body+12 : x.end])
		case "iinf":
			if err := itemList(b, x, list); err != nil {
				return err
			}
		case "iloc":
			data = append(data, x)
		case "iref":
			iref = append(iref, x)
		case "idat":
			idat = x
		case "iprp":
			if err := properties(b, x); err != nil {
				return err
			}
		case "pitm", "dinf", "grpl":
		default: // keys of the app, and unknown boxes
			free(b, x)
		}
	}
	for _, x := range iref {
		if err := references(b, x, list, auxiliary(b, all)); err != nil {
			return err
		}
	}
	keepData := make([]bool, 0)
	if idat.body >= 0 {
		keepData = make([]bool, idat.end-idat.body)
	}
	for _, x := range data {
		if err := f.locations(b[x.body:x.end], list, keepData); err != nil {
			return err
		}
	}
	for i, keep := range keepData {
		if !keep {
			b[idat.body+i] = 0
		}
	}
	for _, it := range list {
		if it.drop {
			// An item of no kind, unprotected, that isn't to be shown.
			copy(it.infe[it.name-4:], "free")
			clear(it.infe[it.name-6 : it.name-4])
			it.infe[3] |= 1
		}
		clear(it.infe[it.name:])
	}
	return nil
}

// itemList reads iinf: version u8 ‖ flags[3] ‖ count u16, or u32 ‖ infe boxes,
// each version u8 ‖ flags[3] ‖ id u16, or u32 in version 3 ‖ protection u16 ‖
// kind[4] ‖ name.
func itemList(b []byte, x box, list map[uint32]*item) error {
	from := x.body + 6
	if x.body < x.end && b[x.body] != 0 {
		from += 2
	}
	if from > x.end {
		return damaged("a list is cut off")
	}
	all, err := boxes(b, from, x.end)
	if err != nil {
		return err
	}
	for _, e := range all {
		in := b[e.body:e.end]
		if e.kind != "infe" || len(in) < 12 || in[0] < 2 || in[0] > 3 || in[0] == 3 && len(in) < 14 {
			return damaged("a list of unknown form")
		}
		it := &item{infe: in, name: 12}
		id := uint32(binary.BigEndian.Uint16(in[4:]))
		it.kind = string(in[8:12])
		if in[0] == 3 {
			id, it.kind, it.name = binary.BigEndian.Uint32(in[4:]), string(in[10:14]), 14
		}
		it.drop = !itemKinds[it.kind]
		list[id] = it
	}
	return nil
}

// properties cleans iprp. A property that isn't kept becomes one of no kind,
// because others are found by their number.
func properties(b []byte, x box) error {
	all, err := boxes(b, x.body, x.end)
	if err != nil {
		return err
	}
	for _, k := range all {
		switch k.kind {
		case "ipma":
			continue
		case "ipco":
		default:
			free(b, k)
			continue
		}
		inner, err := boxes(b, k.body, k.end)
		if err != nil {
			return err
		}
		for _, p := range inner {
			switch {
			case p.kind == "colr":
				if err := colr(b[p.body:p.end]); err != nil {
					return err
				}
			case !propertyKeep[p.kind], p.kind == "auxC" && !isAlpha(b[p.body:p.end]):
				free(b, p)
			}
		}
	}
	return nil
}

// alpha are the kinds of auxiliary picture that belong to what is seen.
const (
	alphaMPEG = "urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"
	alphaHEVC = "urn:mpeg:hevc:2015:auxid:1"
)

// isAlpha reads auxC: version u8 ‖ flags[3] ‖ kind ‖ 0.
func isAlpha(auxC []byte) bool {
	if len(auxC) < 4 {
		return false
	}
	t, _, _ := strings.Cut(string(auxC[4:]), "\x00")
	return t == alphaMPEG || t == alphaHEVC
}

// auxiliary finds the items that are transparency: those with an auxC property
// that says so.
func auxiliary(b []byte, all []box) map[uint32]bool {
	out := map[uint32]bool{}
	for _, x := range all {
		if x.kind != "iprp" {
			continue
		}
		ipco, ipma := find(b, x.body, x.end, "ipco"), find(b, x.body, x.end, "ipma")
		kinds, err := boxes(ipco, 0, len(ipco))
		if err != nil || len(ipma) < 8 {
			continue
		}
		r := &fields{b: ipma[8:]}
		for range binary.BigEndian.Uint32(ipma[4:]) {
			var id uint64
			if ipma[0] < 1 {
				id = r.take(2)
			} else {
				id = r.take(4)
			}
			for range r.take(1) {
				n := 0
				if ipma[3]&1 != 0 {
					n = int(r.take(2) & 0x7fff)
				} else {
					n = int(r.take(1) & 0x7f)
				}
				if n > 0 && n <= len(kinds) && kinds[n-1].kind == "auxC" && isAlpha(ipco[kinds[n-1].body:kinds[n-1].end]) {
					out[uint32(id)] = true
				}
			}
			if r.bad {
				break
			}
		}
	}
	return out
}

// fields reads numbers of some bytes.
type fields struct {
	b   []byte
	bad bool
}

func (r *fields) take(n int) (v uint64) {
	if n > len(r.b) || n > 8 {
		r.bad = true
		r.b = nil
		return 0
	}
	for _, x := range r.b[:n] {
		v = v<<8 | uint64(x)
	}
	r.b = r.b[n:]
	return v
}

// references drops thumbnails and auxiliary pictures other than transparency,
// and says of every reference to what is dropped that it is none. iref: version
// u8 ‖ flags[3] ‖ boxes of from ‖ count u16 ‖ to, ids of 2 or 4 bytes.
func references(b []byte, x box, list map[uint32]*item, alpha map[uint32]bool) error {
	if x.end-x.body < 4 {
		return damaged("references are cut off")
	}
	width := 2
	if b[x.body] != 0 {
		width = 4
	}
	all, err := boxes(b, x.body+4, x.end)
	if err != nil {
		return err
	}
	for _, k := range all {
		r := &fields{b: b[k.body:k.end]}
		from := uint32(r.take(width))
		if r.bad {
			return damaged("references are cut off")
		}
		switch k.kind {
		case "thmb":
			drop(list, from)
		case "auxl":
			if !alpha[from] {
				drop(list, from)
			}
		case "dimg", "prem", "base", "free":
			continue
		}
		if k.kind != "auxl" || !alpha[from] {
			copy(b[k.at+4:], "free")
		}
	}
	return nil
}

func drop(list map[uint32]*item, id uint32) {
	if it := list[id]; it != nil {
		it.drop = true
	}
}

// locations reads iloc and notes where the data of items that stay is: in the
// file, or in idat.
func (f *bmff) locations(iloc []byte, list map[uint32]*item, idat []bool) error {
	if len(iloc) < 8 || iloc[0] > 2 {
		return damaged("places of unknown form")
	}
	version := iloc[0]
	offSize, lenSize, baseSize, indexSize := int(iloc[4]>>4), int(iloc[4]&15), int(iloc[5]>>4), 0
	if version > 0 {
		indexSize = int(iloc[5] & 15)
	}
	r := &fields{b: iloc[6:]}
	id, count := 2, r.take(2)
	if version == 2 {
		id = 4
		count = count<<16 | r.take(2)
	}
	for range count {
		it := list[uint32(r.take(id))]
		method := uint64(0)
		if version > 0 {
			method = r.take(2) & 15
		}
		r.take(2)
		base := r.take(baseSize)
		for range r.take(2) {
			r.take(indexSize)
			off, n := base+r.take(offSize), r.take(lenSize)
			if r.bad {
				break
			}
			if it == nil || it.drop {
				continue
			}
			switch {
			case method == 0 && off <= uint64(f.s.size) && n <= uint64(f.s.size)-off:
				if n == 0 {
					n = uint64(f.s.size) - off
				}
				f.kept = append(f.kept, span{int64(off), int64(off + n)})
			case method == 1 && off <= uint64(len(idat)) && n <= uint64(len(idat))-off:
				for i := range n {
					idat[off+i] = true
				}
			case method > 1:
				// In another item: nobody writes that.
				return ErrUnknown
			default:
				return damaged("a place outside the file")
			}
		}
		if r.bad {
			return damaged("places are cut off")
		}
	}
	return nil
}
