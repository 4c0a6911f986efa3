package file_test

import (
	"bytes"
	"errors"
	"testing"

	"rushlight/protocol/file"
)

var sizes = []uint64{
	0, 1, 4095, 4096, 4097, file.ChunkSize - 1, file.ChunkSize, file.ChunkSize + 1,
	8192 * file.ChunkSize, 8192*file.ChunkSize + 1, 10 << 30, file.MaxSize,
}

func TestLayout(t *testing.T) {
	for _, size := range sizes {
		l, err := file.NewLayout(size)
		if err != nil {
			t.Fatal(err)
		}
		if want := max(1, (size+file.ChunkSize-1)/file.ChunkSize); uint64(l.Chunks()) != want {
			t.Errorf("%d bytes: %d chunks", size, l.Chunks())
		}
		sum, named := uint64(0), uint32(0)
		for i := range l.Pieces() {
			if i < l.Chunks() {
				sum += uint64(l.Plain(i))
			}
			if n := l.Sealed(i); n > file.Slot || n <= l.Plain(i) || (n-16)%4096 != 0 {
				t.Fatalf("%d bytes: piece %d of %d bytes", size, i, n)
			}
			first, n := l.Children(i)
			named += n
			for c := first; c < first+n; c++ {
				if p, nth := l.Parent(c); p != i || nth != c-first {
					t.Fatalf("%d bytes: piece %d is child %d of %d", size, c, nth, p)
				}
			}
		}
		if sum != size || named != l.Pieces()-1 {
			t.Errorf("%d bytes: %d in chunks, %d of %d pieces named", size, sum, named, l.Pieces())
		}
	}
	if _, err := file.NewLayout(file.MaxSize + 1); err == nil {
		t.Error("too large a file is divided")
	}
}

func TestSeal(t *testing.T) {
	k := file.NewKey()
	for _, size := range []uint64{0, 1, 4096, 5000, file.ChunkSize, file.ChunkSize + 1} {
		l, err := file.NewLayout(size)
		if err != nil {
			t.Fatal(err)
		}
		plain := bytes.Repeat([]byte{9}, l.Plain(0))
		sealed := l.Seal(nil, k, 0, plain)
		if len(sealed) != l.Sealed(0) {
			t.Errorf("%d bytes: sealed %d, not %d", size, len(sealed), l.Sealed(0))
		}
		got, err := l.Open(nil, k, 0, sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: %v", size, err)
		}
		for name, bad := range map[string]func() ([]byte, error){
			"another key":   func() ([]byte, error) { return l.Open(nil, file.NewKey(), 0, sealed) },
			"another place": func() ([]byte, error) { return l.Open(nil, k, l.Pieces(), l.Seal(nil, k, 0, plain)) },
			"altered": func() ([]byte, error) {
				b := bytes.Clone(sealed)
				b[len(b)-1] ^= 1
				return l.Open(nil, k, 0, b)
			},
			"cut": func() ([]byte, error) { return l.Open(nil, k, 0, sealed[:len(sealed)-1]) },
		} {
			if name == "another place" && size > 0 {
				continue
			}
			if _, err := bad(); !errors.Is(err, file.ErrPiece) {
				t.Errorf("%d bytes, %s: %v", size, name, err)
			}
		}
	}
}

// A piece whose padding says something has a second spelling.
func TestPadding(t *testing.T) {
	k := file.NewKey()
	long, _ := file.NewLayout(4096)
	short, _ := file.NewLayout(1)
	sealed := long.Seal(nil, k, 0, bytes.Repeat([]byte{1}, 4096))
	if _, err := short.Open(nil, k, 0, sealed); !errors.Is(err, file.ErrPiece) {
		t.Error(err)
	}
}

func TestAsk(t *testing.T) {
	k, root, me, you := file.NewKey(), file.Name{1}, []byte("me"), []byte("you")
	a, err := file.ParseAsk(k.NewAsk(root, me, you).Marshal())
	if err != nil || !k.Allows(a, me, you) {
		t.Fatal("who has the key is refused", err)
	}
	other := a
	other.Root[0]++
	if k.Allows(a, you, me) || k.Allows(a, me, me) || file.NewKey().Allows(a, me, you) || k.Allows(other, me, you) {
		t.Error("allowed without the key, or by way of another")
	}
}

func TestHas(t *testing.T) {
	l, _ := file.NewLayout(9 * file.ChunkSize)
	s := l.NewSet()
	s.Add(0)
	s.Add(9)
	h, err := l.ParseHas(file.Has{Some: s}.Marshal())
	if err != nil || h.All || !h.Some.Has(0) || h.Some.Has(1) || !h.Some.Has(9) || h.Some.Has(4000) {
		t.Error(h, err)
	}
	s[1] |= 1
	if _, err := l.ParseHas(file.Has{Some: s}.Marshal()); err == nil {
		t.Error("a piece that doesn't exist")
	}
	big, _ := file.NewLayout(file.MaxSize)
	if n := 1 + len(big.NewSet()); n > file.MaxHas {
		t.Errorf("a set of %d bytes is over the limit", n)
	}
}

// FuzzFrames feeds every decoder of frames.
func FuzzFrames(f *testing.F) {
	l, _ := file.NewLayout(3 * file.ChunkSize)
	f.Add(uint8(file.FrameAsk), make([]byte, file.AskSize))
	f.Add(uint8(file.FrameHas), file.Has{All: true}.Marshal())
	f.Add(uint8(file.FrameHas), file.Has{Some: l.NewSet()}.Marshal())
	f.Add(uint8(file.FrameGet), file.Get{Piece: 1, Offset: file.PartSize}.Marshal())
	f.Add(uint8(file.FrameNo), []byte{1})
	f.Fuzz(func(t *testing.T, typ uint8, b []byte) {
		var again []byte
		var err error
		switch typ {
		case file.FrameAsk:
			var a file.Ask
			a, err = file.ParseAsk(b)
			again = a.Marshal()
		case file.FrameHas:
			var h file.Has
			h, err = l.ParseHas(b)
			again = h.Marshal()
		case file.FrameGet:
			var g file.Get
			g, err = l.ParseGet(b)
			again = g.Marshal()
		case file.FramePart:
			g, err := l.ParsePart(b, file.PartHeader+file.Slot)
			if err == nil && int(g.Offset) >= l.Sealed(g.Piece) {
				t.Error("a part beyond its piece")
			}
			return
		case file.FrameNo:
			var n file.No
			n, err = file.ParseNo(b)
			again = []byte{byte(n)}
		default:
			return
		}
		if err == nil && !bytes.Equal(again, b) {
			t.Errorf("%x re-encodes as %x", b, again)
		}
	})
}
