package beacon

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

var noon = time.Unix(1_800_000_000, 0)

func someBody() *Body {
	return &Body{Peers: []Peer{{ID: []byte("a peer id of the usual length....."), Addrs: [][]byte{{4, 1, 2, 3, 4, 6, 1, 2}, {4, 1, 2, 3, 4, 145, 2, 6, 1}}}}}
}

func seal(t *testing.T, o *Owner, p Place, b *Body, now time.Time) (Key, []byte) {
	t.Helper()
	k, v, err := o.Seal(p, b, now)
	if err != nil {
		t.Fatal(err)
	}
	return k, v
}

// A contact finds and reads each place of each day; nobody else reads, and
// neither the reader's keys nor another place's open it.
func TestReaderReads(t *testing.T) {
	o := NewOwner()
	r := o.Reader()
	for day := range 3 {
		at := noon.Add(time.Duration(day) * Day)
		for n := range uint8(Places) {
			p := Place{r.Epoch(at), n}
			k, v := seal(t, o, p, someBody(), at)
			if want, err := r.Key(p); err != nil || want != k {
				t.Fatalf("place %v: a reader looks elsewhere: %v", p, err)
			}
			if len(v) != Size {
				t.Fatalf("%d bytes", len(v))
			}
			got, made, err := r.Open(p, v, at)
			if err != nil || !made.Equal(at) || fmt.Sprint(got) != fmt.Sprint(someBody()) {
				t.Fatalf("read %v made %v: %v", got, made, err)
			}
			if _, _, err := NewOwner().Reader().Open(p, v, at); !errors.Is(err, ErrKey) {
				t.Errorf("a stranger: %v", err)
			}
			if _, _, err := r.Open(Place{p.Epoch, (n + 1) % Places}, v, at); !errors.Is(err, ErrKey) {
				t.Errorf("as another place: %v", err)
			}
			// Whoever knows the public key alone neither finds nor reads it.
			blind := Reader{Public: r.Public}
			if other, err := blind.Key(p); err != nil || other == k {
				t.Errorf("found without the read secret: %v", err)
			}
		}
	}
}

// Whatever is not as its owner made it is refused, each for its reason.
func TestRefused(t *testing.T) {
	o := NewOwner()
	r := o.Reader()
	p := Place{Epoch: r.Epoch(noon)}
	k, v := seal(t, o, p, someBody(), noon)
	if err := Check(k, v, noon); err != nil {
		t.Fatal(err)
	}
	for i := range v {
		bad := slices.Clone(v)
		bad[i] ^= 0x10
		if Check(k, bad, noon) == nil {
			t.Fatalf("byte %d altered: kept", i)
		}
	}
	expires := time.Unix(int64(r.expiry(p.Epoch)), 0)
	if d := expires.Sub(r.Begin(p.Epoch)); d < 2*Day || d > 3*Day || expires.Unix()%86400 != 0 {
		t.Errorf("expires %v after its epoch began", d)
	}
	for name, c := range map[string]struct {
		key   Key
		value []byte
		at    time.Time
		want  error
	}{
		"short":        {k, v[:Size-1], noon, ErrSize},
		"long":         {k, append(slices.Clone(v), 0), noon, ErrSize},
		"empty":        {k, nil, noon, ErrSize},
		"huge":         {k, make([]byte, 4<<20), noon, ErrSize},
		"version":      {k, append([]byte{2}, v[1:]...), noon, ErrSize},
		"key":          {Key{1}, v, noon, ErrKey},
		"expired":      {k, v, expires, ErrStale},
		"just alive":   {k, v, expires.Add(-time.Second), nil},
		"from ahead":   {k, v, expires.Add(-MaxAhead - time.Second), ErrStale},
		"farthest yet": {k, v, expires.Add(-MaxAhead), nil},
	} {
		if err := Check(c.key, c.value, c.at); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}

	forge := func(change func(h *head, b *blinded)) []byte {
		b := o.blind(p)
		h := head{key: b.public, number: 1 << 63, expires: r.expiry(p.Epoch)}
		h.doWork()
		change(&h, b)
		out := suite.SealBox(h.marshal(), r.sealKey(p), h.marshal(), make([]byte, textSize))
		return append(out, b.sign(out)...)
	}
	if err := Check(k, forge(func(*head, *blinded) {}), noon); err != nil {
		t.Errorf("control: the owner's own is refused: %v", err)
	}
	if err := Check(k, forge(func(h *head, _ *blinded) { h.work = Work{} }), noon); !errors.Is(err, ErrWork) {
		t.Errorf("without work: %v", err)
	}
	if err := Check(k, forge(func(_ *head, b *blinded) { b.scalar = NewOwner().blind(p).scalar }), noon); !errors.Is(err, ErrSignature) {
		t.Errorf("signed by somebody else: %v", err)
	}
	// A key of small order, under which any message has a signature.
	small := forge(func(h *head, _ *blinded) {
		h.key = [32]byte{1}
		h.doWork()
	})
	if err := Check(keyOf([32]byte{1}), small, noon); !errors.Is(err, ErrSignature) {
		t.Errorf("key of small order: %v", err)
	}
	if _, err := (Reader{Public: [32]byte{1}}).Key(p); err == nil {
		t.Error("a reader with a key of small order")
	}
}

// The newer beacon wins wherever two meet, and of the same moment one does.
func TestBetter(t *testing.T) {
	o := NewOwner()
	p := Place{Epoch: o.Reader().Epoch(noon)}
	_, old := seal(t, o, p, someBody(), noon)
	k, young, err := o.SealWith(p, someBody(), WorkOf(old), noon.Add(time.Millisecond))
	if err != nil || WorkOf(young) != WorkOf(old) {
		t.Fatalf("the work was done again: %v", err)
	}
	if err := Check(k, young, noon); err != nil {
		t.Fatal(err)
	}
	if !Better(young, old) || Better(old, young) || Better(old, old) {
		t.Error("the newer one doesn't win")
	}
	_, twin, err := o.SealWith(p, someBody(), WorkOf(old), noon)
	if err != nil || Better(old, twin) == Better(twin, old) {
		t.Errorf("two of one moment: %v", err)
	}
	if Better(nil, old) || !Better(old, nil) || Better(nil, nil) {
		t.Error("what is no beacon wins")
	}
}

// An invite's two sides arrive at the same owner.
func TestInviteOwner(t *testing.T) {
	var secret [32]byte
	suite.Random(secret[:])
	a, b := InviteOwner(secret), InviteOwner(secret)
	p := Place{Epoch: a.Reader().Epoch(noon)}
	_, v := seal(t, a, p, someBody(), noon)
	if _, _, err := b.Reader().Open(p, v, noon); err != nil {
		t.Error(err)
	}
	secret[0] ^= 1
	if InviteOwner(secret).Reader() == a.Reader() {
		t.Error("another invite has the same owner")
	}
}

func TestOwnerSurvives(t *testing.T) {
	o := NewOwner()
	again, err := ParseOwner(o.Marshal())
	if err != nil || again.Reader() != o.Reader() {
		t.Fatalf("%v", err)
	}
	if _, err := ParseOwner(make([]byte, 63)); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("%v", err)
	}
}

func TestTrim(t *testing.T) {
	b := &Body{}
	for i := range 8 {
		b.Peers = append(b.Peers, Peer{ID: bytes.Repeat([]byte{byte(i)}, 38), Addrs: [][]byte{make([]byte, 120)}})
	}
	if !b.Trim() || len(b.Peers) != 5 {
		t.Errorf("%d peers are left", len(b.Peers))
	}
	many := someBody()
	for range 9 {
		many.Peers[0].Addrs = append(many.Peers[0].Addrs, []byte{1})
	}
	if !many.Trim() || len(many.Peers[0].Addrs) != MaxAddrs {
		t.Errorf("%d addresses are left", len(many.Peers[0].Addrs))
	}
	// The full size that delivery needs: three relays with three addresses, and
	// eight addresses of one device.
	full := &Body{Peers: []Peer{{ID: make([]byte, 38)}}}
	for range 8 {
		full.Peers[0].Addrs = append(full.Peers[0].Addrs, make([]byte, 24))
	}
	for range 3 {
		full.Relays = append(full.Relays, Relay{Addrs: [][]byte{make([]byte, 11), make([]byte, 11), make([]byte, 23)}})
	}
	if err := full.check(0); err != nil || !full.Trim() || len(full.Peers[0].Addrs) != 8 || len(full.Relays) != 3 {
		t.Errorf("three relays and eight addresses don't fit: %v", err)
	}
	if (&Body{Other: []wire.Record{{Type: 9, Value: make([]byte, MaxBody)}}}).Trim() {
		t.Error("too large without addresses, and fits")
	}
}

func FuzzBody(f *testing.F) {
	for _, b := range []*Body{{}, someBody(), {Relays: make([]Relay, 2)}, {Other: []wire.Record{{Type: 7, Value: []byte{1}}}}} {
		v, err := b.marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := ParseBody(in)
		if err != nil {
			return
		}
		if out, err := b.marshal(); err != nil || !bytes.Equal(in, out) {
			t.Errorf("%x re-encodes as %x: %v", in, out, err)
		}
	})
}

func FuzzHead(f *testing.F) {
	o := NewOwner()
	_, v, err := o.Seal(Place{}, &Body{}, noon)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(v)
	f.Fuzz(func(t *testing.T, in []byte) {
		_ = Check(Key{}, in, noon)
		_ = Better(in, v)
		if h, err := parseHead(in); err == nil && !bytes.Equal(h.marshal(), in[:headSize]) {
			t.Error("re-encodes differently")
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	o := NewOwner()
	p := Place{Epoch: o.Reader().Epoch(noon)}
	_, v, err := o.Seal(p, someBody(), noon)
	if err != nil {
		b.Fatal(err)
	}
	w := WorkOf(v)
	for b.Loop() {
		if _, _, err := o.SealWith(p, someBody(), w, noon); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWork(b *testing.B) {
	for b.Loop() {
		h := head{expires: 1}
		h.doWork()
	}
}

func BenchmarkCheck(b *testing.B) {
	o := NewOwner()
	k, v, err := o.Seal(Place{Epoch: o.Reader().Epoch(noon)}, someBody(), noon)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := Check(k, v, noon); err != nil {
			b.Fatal(err)
		}
	}
}
