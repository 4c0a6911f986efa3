package wire_test

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"

	"rushlight/protocol/wire"
)

func TestRoundTrip(t *testing.T) {
	long := bytes.Repeat([]byte{7}, 300)
	b := wire.NewWriter([]byte("before")).
		U8(1).U16(0x0203).U24(0x040506).U32(0x0708090a).U64(0x0b0c0d0e0f101112).
		Bool(true).Bool(false).Vec8([]byte("a")).Vec16(long).Vec24(long).
		Uvarint(0).Uvarint(127).Uvarint(128).Uvarint(math.MaxUint64).
		Raw(bytes.Repeat([]byte{1}, 16)).Raw(bytes.Repeat([]byte{2}, 32)).Raw([]byte("rest")).Out()
	if !bytes.HasPrefix(b, append([]byte("before"), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 1, 0, 1, 'a', 1, 44)) {
		t.Errorf("not big-endian: %x", b[:40])
	}
	r := wire.NewReader(b[6:])
	ok := r.U8() == 1 && r.U16() == 0x0203 && r.U24() == 0x040506 && r.U32() == 0x0708090a && r.U64() == 0x0b0c0d0e0f101112
	ok = ok && r.Bool() && !r.Bool() && string(r.Vec8(1)) == "a" && bytes.Equal(r.Vec16(300), long) && bytes.Equal(r.Vec24(300), long)
	ok = ok && r.Uvarint(0) == 0 && r.Uvarint(127) == 127 && r.Uvarint(128) == 128 && r.Uvarint(math.MaxUint64) == math.MaxUint64
	ok = ok && r.A16() == [16]byte(bytes.Repeat([]byte{1}, 16)) && r.A32() == [32]byte(bytes.Repeat([]byte{2}, 32))
	ok = ok && r.Len() == 4 && string(r.Rest()) == "rest"
	if err := r.Close(); !ok || err != nil {
		t.Errorf("read back: %v, %v", ok, err)
	}
}

func TestReaderRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		read func(*wire.Reader)
	}{
		"short u8":         {nil, func(r *wire.Reader) { r.U8() }},
		"short u16":        {[]byte{1}, func(r *wire.Reader) { r.U16() }},
		"short u24":        {[]byte{1, 2}, func(r *wire.Reader) { r.U24() }},
		"short u32":        {[]byte{1, 2, 3}, func(r *wire.Reader) { r.U32() }},
		"short u64":        {make([]byte, 7), func(r *wire.Reader) { r.U64() }},
		"short array":      {make([]byte, 15), func(r *wire.Reader) { r.A16() }},
		"negative":         {[]byte{1}, func(r *wire.Reader) { r.Bytes(-1) }},
		"boolean 2":        {[]byte{2}, func(r *wire.Reader) { r.Bool() }},
		"vec8 over limit":  {[]byte{2, 0, 0}, func(r *wire.Reader) { r.Vec8(1) }},
		"vec16 over limit": {[]byte{0, 2, 0, 0}, func(r *wire.Reader) { r.Vec16(1) }},
		"vec24 over limit": {[]byte{0, 0, 2, 0, 0}, func(r *wire.Reader) { r.Vec24(1) }},
		"vec24 short":      {[]byte{255, 255, 255, 0}, func(r *wire.Reader) { r.Vec24(1 << 24) }},
		"trailing":         {[]byte{1, 2}, func(r *wire.Reader) { r.U8() }},
		"varint short":     {[]byte{0x80}, func(r *wire.Reader) { r.Uvarint(1000) }},
		"varint long form": {[]byte{0x80, 0x00}, func(r *wire.Reader) { r.Uvarint(1000) }},
		"varint overflow":  {bytes.Repeat([]byte{0xff}, 11), func(r *wire.Reader) { r.Uvarint(math.MaxUint64) }},
		"varint limit":     {[]byte{5}, func(r *wire.Reader) { r.Uvarint(4) }},
		"records order":    {wire.NewWriter(nil).Record(2, nil).Record(1, nil).Out(), func(r *wire.Reader) { r.Records(9) }},
		"record twice":     {wire.NewWriter(nil).Record(2, nil).Record(2, nil).Out(), func(r *wire.Reader) { r.Records(9) }},
		"record limit":     {wire.NewWriter(nil).Record(2, make([]byte, 10)).Out(), func(r *wire.Reader) { r.Records(9) }},
		"record short":     {[]byte{0, 1, 0, 0}, func(r *wire.Reader) { r.Records(9) }},
	} {
		r := wire.NewReader(c.in)
		c.read(r)
		if err := r.Close(); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestErrorSticks reads on after an error: zero values and the first error.
func TestErrorSticks(t *testing.T) {
	r := wire.NewReader([]byte{9, 1, 2, 3})
	r.Bool()
	first := r.Err()
	if r.U8() != 0 || r.U16() != 0 || r.Uvarint(9) != 0 || r.Rest() != nil || r.Records(9) != nil {
		t.Error("a read after an error returns something")
	}
	r.Fail("later")
	if last := r.Close(); first == nil || last == nil || last.Error() != first.Error() {
		t.Errorf("%v became %v", first, last)
	}
}

// TestSlicesDoNotGrowIntoInput appends to what a reader returned.
func TestSlicesDoNotGrowIntoInput(t *testing.T) {
	in := []byte{1, 9, 7}
	v := wire.NewReader(in).Vec8(1)
	_ = append(v, 42)
	if in[2] != 7 {
		t.Error("appending to a vector changes the input")
	}
}

func TestManyRecords(t *testing.T) {
	w := wire.NewWriter(nil)
	for i := range wire.MaxRecords {
		w.Record(uint16(i), []byte{1})
	}
	r := wire.NewReader(w.Out())
	if got := r.Records(1); len(got) != wire.MaxRecords || r.Close() != nil {
		t.Errorf("%d records, %v", len(got), r.Err())
	}
	r = wire.NewReader(w.Record(1000, nil).Out())
	if r.Records(1); !errors.Is(r.Close(), wire.ErrMalformed) {
		t.Error("one record too many is read")
	}
}

func TestWriterPanics(t *testing.T) {
	for name, write := range map[string]func(){
		"u24":   func() { wire.NewWriter(nil).U24(1 << 24) },
		"vec8":  func() { wire.NewWriter(nil).Vec8(make([]byte, 1<<8)) },
		"vec16": func() { wire.NewWriter(nil).Vec16(make([]byte, 1<<16)) },
		"vec24": func() { wire.NewWriter(nil).Vec24(make([]byte, 1<<24)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			write()
		}()
	}
}

func TestFrame(t *testing.T) {
	b := wire.AppendFrame([]byte{99}, 7, make([]byte, 0x010203))
	typ, n := wire.ParseFrameHeader([wire.FrameHeader]byte(b[1:5]))
	if typ != 7 || n != 0x010203 || len(b) != 1+wire.FrameHeader+n {
		t.Errorf("type %d, length %d of %d", typ, n, len(b))
	}
}

func TestText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "bytes")
		s := wire.EncodeText(b)
		for _, form := range []string{s, string(bytes.ToUpper([]byte(s)))} {
			got, err := wire.DecodeText(form)
			if err != nil || !bytes.Equal(got, b) {
				t.Fatalf("%q: %v", form, err)
			}
		}
	})
	for _, s := range []string{"aA", "a", "aaa=====", "ab", "aa\n", "a a", "a1", "ÀÀ", "ſa"} {
		if got, err := wire.DecodeText(s); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%q is read as %x, %v", s, got, err)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("mzxw6ytb")
	f.Add("MZXW6YTB")
	f.Fuzz(func(t *testing.T, s string) {
		b, err := wire.DecodeText(s)
		if err != nil {
			return
		}
		if low := wire.EncodeText(b); s != low && s != string(bytes.ToUpper([]byte(low))) {
			t.Fatalf("%q is a third spelling of %q", s, low)
		}
	})
}

func FuzzRecords(f *testing.F) {
	f.Add(wire.NewWriter(nil).Record(1, []byte("a")).Record(9, nil).Out())
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		recs := r.Records(1 << 16)
		if r.Close() != nil {
			return
		}
		w := wire.NewWriter(nil)
		for _, rec := range recs {
			w.Record(rec.Type, rec.Value)
		}
		if !bytes.Equal(w.Out(), b) {
			t.Fatal("two spellings")
		}
	})
}

func FuzzUvarint(f *testing.F) {
	f.Add([]byte{0x80, 0x01})
	f.Add([]byte{0x80, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		v := r.Uvarint(math.MaxUint64)
		if r.Close() == nil && !bytes.Equal(wire.NewWriter(nil).Uvarint(v).Out(), b) {
			t.Fatal("two spellings")
		}
	})
}
