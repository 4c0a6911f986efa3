package host

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"rushlight/protocol/wire"
)

func limit(typ uint8) int { return int(typ) * 10 }

func TestFrameReader(t *testing.T) {
	b := wire.AppendFrame(nil, 1, make([]byte, 10))
	b = wire.AppendFrame(b, 2, nil)
	b = wire.AppendFrame(b, 1, make([]byte, 11))
	f := NewFrameReader(bytes.NewReader(b), 64, limit, nil)
	for _, want := range []int{10, 0} {
		if _, body, err := f.Next(); err != nil || len(body) != want {
			t.Fatalf("%d bytes, %v", len(body), err)
		}
	}
	if !f.Ready() {
		t.Error("a frame has arrived")
	}
	if _, _, err := f.Next(); !errors.Is(err, ErrFrame) {
		t.Errorf("one byte over the limit: %v", err)
	}
}

func TestFrameReaderEnds(t *testing.T) {
	b := wire.AppendFrame(nil, 5, make([]byte, 20))
	for n := range len(b) + 1 {
		f := NewFrameReader(bytes.NewReader(b[:n]), 16, limit, nil)
		want := io.ErrUnexpectedEOF
		switch n {
		case 0:
			want = io.EOF
		case len(b):
			want = nil
		}
		if f.Ready() {
			t.Error("ready before anything was read")
		}
		if _, _, err := f.Next(); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// The reader says when it waits within a frame, and only then.
func TestFrameReaderStalls(t *testing.T) {
	b := wire.AppendFrame(nil, 5, make([]byte, 20))
	for name, c := range map[string]struct {
		r    io.Reader
		want int
	}{"whole": {bytes.NewReader(b), 0}, "dribble": {iotest.OneByteReader(bytes.NewReader(b)), 1}} {
		depth, times := 0, 0
		f := NewFrameReader(c.r, 64, limit, func(on bool) {
			if on {
				depth++
				times++
			} else {
				depth--
			}
		})
		if _, _, err := f.Next(); err != nil || depth != 0 || times != c.want {
			t.Errorf("%s: %v, %d stalls, depth %d", name, err, times, depth)
		}
	}
}

func FuzzFrameReader(f *testing.F) {
	f.Add(wire.AppendFrame(wire.AppendFrame(nil, 1, []byte("x")), 7, make([]byte, 70)), 16)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		r := NewFrameReader(bytes.NewReader(b), size&0xff, limit, nil)
		var again []byte
		for {
			typ, body, err := r.Next()
			if err != nil {
				break
			}
			if len(body) > limit(typ) {
				t.Fatal("over the limit")
			}
			again = wire.AppendFrame(again, typ, body)
		}
		if !bytes.HasPrefix(b, again) {
			t.Error("frames re-encode differently")
		}
	})
}
