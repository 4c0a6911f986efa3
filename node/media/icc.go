package media

import (
	"bytes"
	"encoding/binary"
	"math"
)

const keptColours = "colours"

// A colour profile tells which device and software made a picture, and when:
// some are a serial number of a screen. So a profile is never passed on as it
// is (ICC.1:2022).
//
//   - One that is as good as sRGB is left out, because sRGB is what a picture
//     without a profile is shown in.
//   - Display P3 and Adobe RGB become one profile each, made here.
//   - Any other is built anew from the tags that turn colours into colours.

// cleanICC returns a profile that tells nothing but colours, or nil when none
// is needed, or b isn't one.
func cleanICC(b []byte) []byte {
	p, ok := parseICC(b)
	if !ok {
		return nil
	}
	switch p.space() {
	case spaceSRGB:
		return nil
	case spaceP3:
		return matrixProfile(p3, curveSRGB[:])
	case spaceAdobe:
		return matrixProfile(adobe, []float64{563.0 / 256})
	case spaceOther:
	}
	return p.rebuild()
}

// iccKeep are the tags that turn device colours into others.
var iccKeep = map[string]bool{
	"A2B0": true, "A2B1": true, "A2B2": true, "B2A0": true, "B2A1": true, "B2A2": true,
	"D2B0": true, "D2B1": true, "D2B2": true, "D2B3": true, "B2D0": true, "B2D1": true, "B2D2": true, "B2D3": true,
	"gamt": true, "wtpt": true, "bkpt": true, "chad": true, "cicp": true,
	"rXYZ": true, "gXYZ": true, "bXYZ": true, "rTRC": true, "gTRC": true, "bTRC": true, "kTRC": true,
}

const iccHeader = 128

type iccTag struct {
	name string
	data []byte
}

type profile struct {
	head []byte
	tags []iccTag
}

func parseICC(b []byte) (p profile, ok bool) {
	if len(b) < iccHeader+4 || string(b[36:40]) != "acsp" {
		return p, false
	}
	p.head = b[:iccHeader]
	n := binary.BigEndian.Uint32(b[iccHeader:])
	if n > 100 || len(b) < iccHeader+4+12*int(n) {
		return p, false
	}
	for i := range int(n) {
		e := b[iccHeader+4+12*i:]
		off, size := int64(binary.BigEndian.Uint32(e[4:])), int64(binary.BigEndian.Uint32(e[8:]))
		if off > int64(len(b)) || size > int64(len(b))-off || size < 8 {
			return p, false
		}
		if name := string(e[:4]); iccKeep[name] && p.tag(name) == nil {
			p.tags = append(p.tags, iccTag{name, b[off : off+size]})
		}
	}
	return p, true
}

func (p *profile) tag(name string) []byte {
	for _, t := range p.tags {
		if t.name == name {
			return t.data
		}
	}
	return nil
}

// rebuild makes a profile of what is kept.
func (p *profile) rebuild() []byte {
	return buildICC(p.head, p.tags)
}

// buildICC writes a profile with the fields of a header that colours depend
// on, a name and a copyright text that say nothing, and the tags.
func buildICC(from []byte, tags []iccTag) []byte {
	head := make([]byte, iccHeader)
	copy(head[8:24], from[8:24]) // version, class, colour spaces
	copy(head[24:36], []byte{0x07, 0xd0, 0, 1, 0, 1})
	copy(head[36:40], "acsp")
	copy(head[64:80], from[64:80]) // rendering intent, illuminant
	clear(head[10:12])
	old := head[8] < 4
	tags = append([]iccTag{{"desc", iccText("desc", old)}, {"cprt", iccText("cprt", old)}}, tags...)

	out := binary.BigEndian.AppendUint32(head, uint32(len(tags)))
	at := len(out) + 12*len(tags)
	var data []byte
	for i, t := range tags {
		pos := -1
		for j, o := range tags[:i] {
			if bytes.Equal(o.data, t.data) {
				pos = int(binary.BigEndian.Uint32(out[iccHeader+4+12*j+4:]))
				break
			}
		}
		if pos < 0 {
			pos = at + len(data)
			data = append(data, t.data...)
			data = append(data, make([]byte, -len(data)&3)...)
		}
		out = append(out, t.name...)
		out = binary.BigEndian.AppendUint32(out, uint32(pos))
		out = binary.BigEndian.AppendUint32(out, uint32(len(t.data)))
	}
	out = append(out, data...)
	binary.BigEndian.PutUint32(out, uint32(len(out)))
	return out
}

// iccText is the text "c" in the type that a tag has in a version.
func iccText(tag string, old bool) []byte {
	switch {
	case !old:
		return []byte("mluc\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x0cenUS\x00\x00\x00\x02\x00\x00\x00\x1c\x00c")
	case tag == "desc":
		return append([]byte("desc\x00\x00\x00\x00\x00\x00\x00\x02c\x00"), make([]byte, 4+4+2+1+67)...)
	}
	return []byte("text\x00\x00\x00\x00c\x00")
}

type space int

const (
	spaceOther space = iota
	spaceSRGB
	spaceP3
	spaceAdobe
)

// Colorants as they stand in profiles, adapted to D50: red, green, blue, each
// X, Y, Z.
type colorants [9]float64

var (
	srgb  = colorants{0.43607, 0.22249, 0.01392, 0.38515, 0.71687, 0.09708, 0.14307, 0.06061, 0.71410}
	p3    = colorants{0.51512, 0.24120, -0.00105, 0.29198, 0.69225, 0.04189, 0.15710, 0.06657, 0.78407}
	adobe = colorants{0.60974, 0.31111, 0.01947, 0.20528, 0.62567, 0.06087, 0.14919, 0.06322, 0.74457}
)

// curveSRGB is the transfer function of IEC 61966-2-1 as the parameters g, a,
// b, c, d of a parametric curve of type 3.
var curveSRGB = [5]float64{2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045}

// space recognises a profile by what it does, not by its name.
func (p *profile) space() space {
	if string(p.head[16:24]) != "RGB XYZ " || p.tag("A2B0") != nil {
		return spaceOther
	}
	var have colorants
	for i, name := range []string{"rXYZ", "gXYZ", "bXYZ"} {
		t := p.tag(name)
		if len(t) < 20 || string(t[:4]) != "XYZ " {
			return spaceOther
		}
		for j := range 3 {
			have[3*i+j] = s15(t[8+4*j:])
		}
	}
	gamma22, likeSRGB := true, true
	for _, name := range []string{"rTRC", "gTRC", "bTRC"} {
		for _, x := range []float64{0.02, 0.1, 0.25, 0.5, 0.75, 0.9} {
			y := curve(p.tag(name), x)
			likeSRGB = likeSRGB && math.Abs(y-parametric(3, curveSRGB[:], x)) < 0.003
			gamma22 = gamma22 && math.Abs(y-math.Pow(x, 563.0/256)) < 0.003
		}
	}
	switch {
	case likeSRGB && have.near(srgb):
		return spaceSRGB
	case likeSRGB && have.near(p3):
		return spaceP3
	case gamma22 && have.near(adobe):
		return spaceAdobe
	}
	return spaceOther
}

func (c colorants) near(d colorants) bool {
	for i := range c {
		if math.Abs(c[i]-d[i]) > 0.002 {
			return false
		}
	}
	return true
}

func s15(b []byte) float64 { return float64(int32(binary.BigEndian.Uint32(b))) / 65536 }

// curve evaluates a tag of type curv or para (ICC.1:2022 sections 10.6 and
// 10.18); NaN when it is neither.
func curve(t []byte, x float64) float64 {
	if len(t) < 12 {
		return math.NaN()
	}
	switch string(t[:4]) {
	case "curv":
		n := int64(binary.BigEndian.Uint32(t[8:]))
		if n > int64(len(t)-12)/2 {
			return math.NaN()
		}
		at := func(i int) float64 { return float64(binary.BigEndian.Uint16(t[12+2*i:])) }
		switch n {
		case 0:
			return x
		case 1:
			return math.Pow(x, at(0)/256)
		}
		pos := x * float64(n-1)
		i := min(int(pos), int(n)-2)
		f := pos - float64(i)
		return (at(i)*(1-f) + at(i+1)*f) / 65535
	case "para":
		kind := binary.BigEndian.Uint16(t[8:])
		count := []int{1, 3, 4, 5, 7}
		if int(kind) >= len(count) || len(t) < 12+4*count[kind] {
			return math.NaN()
		}
		p := make([]float64, count[kind])
		for i := range p {
			p[i] = s15(t[12+4*i:])
		}
		return parametric(kind, p, x)
	}
	return math.NaN()
}

func parametric(kind uint16, p []float64, x float64) float64 {
	switch kind {
	case 0:
		return math.Pow(x, p[0])
	case 3:
		if x < p[4] {
			return p[3] * x
		}
		return math.Pow(p[1]*x+p[2], p[0])
	case 4:
		if x < p[4] {
			return p[3]*x + p[6]
		}
		return math.Pow(p[1]*x+p[2], p[0]) + p[5]
	}
	// Types 1 and 2 are rare, and nothing here is made of them.
	return math.NaN()
}

// matrixProfile makes a display profile, version 4.3, of three colorants and
// one curve.
func matrixProfile(c colorants, curve []float64) []byte {
	head := make([]byte, iccHeader)
	copy(head[8:], []byte{4, 0x30, 0, 0})
	copy(head[12:], "mntrRGB XYZ ")
	d50 := []float64{0.9642, 1, 0.8249}
	copy(head[68:], s15s(d50...))
	xyz := func(v ...float64) []byte { return append([]byte("XYZ \x00\x00\x00\x00"), s15s(v...)...) }
	kind := byte(0)
	if len(curve) == 5 {
		kind = 3
	}
	trc := append([]byte{'p', 'a', 'r', 'a', 0, 0, 0, 0, 0, kind, 0, 0}, s15s(curve...)...)
	return buildICC(head, []iccTag{
		{"wtpt", xyz(d50...)},
		{"rXYZ", xyz(c[0:3]...)},
		{"gXYZ", xyz(c[3:6]...)},
		{"bXYZ", xyz(c[6:9]...)},
		{"rTRC", trc},
		{"gTRC", trc},
		{"bTRC", trc},
	})
}

func s15s(v ...float64) (out []byte) {
	for _, x := range v {
		out = binary.BigEndian.AppendUint32(out, uint32(int32(math.Round(x*65536))))
	}
	return out
}
