package files

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"rushlight/node/engine"
	"rushlight/protocol/file"
	"rushlight/protocol/message"
	"rushlight/protocol/wire"
	"rushlight/storage/record"
)

func TestSizes(t *testing.T) {
	a, b := newNode(t), newNode(t)
	b.meet(a)
	var all [][]byte
	for i, n := range []int{0, 1, 4096, file.ChunkSize, file.ChunkSize + 1, 5<<20 + 3, 40 << 20} {
		all = append(all, random(byte(i), n))
	}
	id := message.ID{1}
	b.e.put(id, false, a.sealed(id, all...)...) // several at once
	for i, want := range all {
		b.has(id, i, want)
	}
}

// What has arrived isn't sent again, although the recipient stopped in between
// and the sender came back as another peer at another address.
func TestResume(t *testing.T) {
	a, b := newNode(t), newNode(t)
	b.meet(a)
	content := random(1, 48<<20)
	id := message.ID{1}
	of := a.sealed(id, content)
	b.e.put(id, false, of...)
	served := int64(0)
	for n := range 4 {
		at := uint64(1+n) * 9 << 20
		b.eventually(func() bool { h, s := b.Have(id, 0); return h >= at || s == Done }, "part of it is here")
		if n%2 == 0 {
			b.stop()
			b.start()
		} else {
			served += a.served.Load()
			a.stop()
			a.start()
		}
		b.meet(a)
	}
	b.has(id, 0, content)
	served += a.served.Load()
	l, _ := file.NewLayout(uint64(len(content)))
	total := int64(0)
	for i := range l.Pieces() {
		total += int64(l.Sealed(i))
	}
	// What was on its way when one stopped is lost.
	if slack := int64(4 * 2 * pipeline * file.Slot); served > total+slack {
		t.Errorf("%d bytes were sent for %d", served, total)
	}
	t.Logf("%.2f MiB sent for %.2f MiB", float64(served)/(1<<20), float64(total)/(1<<20))
}

// One of two holders has a wrong piece: it is found, and fetched from the other.
func TestWrongPiece(t *testing.T) {
	a, liar, b := newNode(t), newNode(t), newNode(t)
	content := random(2, 20<<20)
	id := message.ID{1}
	of := a.sealed(id, content)
	liar.e.put(id, false, of...)
	liar.meet(a)
	liar.has(id, 0, content)
	name := liar.dir + "/" + hexOf(of[0].Key)
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	l, _ := file.NewLayout(of[0].Size)
	for i := range l.Chunks() { // every chunk, but not the tree
		raw[l.Offset(i)+77] ^= 1
	}
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	b.e.put(id, false, of...)
	b.eventually(func() bool { return b.fetching(id) != nil }, "it is begun")
	f := b.fetching(id)
	b.meet(liar) // alone at first
	b.eventually(func() bool { return f.accused(liar.h.ID()) }, "the liar is known")
	if _, s := b.Have(id, 0); s == Done {
		t.Fatal("the wrong pieces were taken")
	}
	b.meet(liar, a)
	b.has(id, 0, content)
	if f.accused(a.h.ID()) || !f.accused(liar.h.ID()) {
		t.Error("the wrong one is blamed")
	}
}

func hexOf(k file.Key) string {
	const digits = "0123456789abcdef"
	var out []byte
	for _, b := range k.Place() {
		out = append(out, digits[b>>4], digits[b&15])
	}
	return string(out)
}

func (n *node) fetching(id message.ID) *fetch {
	n.Manager.mu.Lock()
	defer n.Manager.mu.Unlock()
	return n.in[ref{id, 0}]
}

func (f *fetch) accused(p peer.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.holders[p] != nil && f.holders[p].false
}

// Both holders serve: neither is left out.
func TestSeveralHolders(t *testing.T) {
	a, b, c := newNode(t), newNode(t), newNode(t)
	content := random(3, 64<<20)
	id := message.ID{1}
	of := a.sealed(id, content)
	b.e.put(id, false, of...)
	b.meet(a)
	b.has(id, 0, content)
	before := a.served.Load()
	c.meet(a, b)
	c.e.put(id, false, of...)
	c.has(id, 0, content)
	if fromA, fromB := a.served.Load()-before, b.served.Load(); fromA < 4<<20 || fromB < 4<<20 {
		t.Errorf("%d bytes of one and %d of the other", fromA, fromB)
	}
}

// The file is not what the message says, although its pieces are those that the
// message names: the author lied.
func TestFalseFile(t *testing.T) {
	a, b := newNode(t), newNode(t)
	b.meet(a)
	id := message.ID{1}
	of := a.sealed(id, random(4, 1<<20))
	of[0].SHA256[0]++
	b.e.put(id, false, of...)
	b.eventually(func() bool { _, s := b.Have(id, 0); return s == Failed }, "it is refused")
	if list, _ := os.ReadDir(b.dir); len(list) > 0 {
		t.Error("something is left of it")
	}
	if err := b.Fetch(t.Context(), id, 0); !errors.Is(err, ErrFalse) {
		t.Errorf("fetching it: %v", err)
	}
	if _, err := b.Open(id, 0); !errors.Is(err, ErrNotHere) {
		t.Errorf("opening it: %v", err)
	}
}

// The message ends while its file is on the way, and afterwards.
func TestEnds(t *testing.T) {
	a, b := newNode(t), newNode(t)
	id, other := message.ID{1}, message.ID{2}
	of := a.sealed(id, random(5, 30<<20))
	kept := a.sealed(other, []byte("kept"))
	b.e.put(id, false, of...)
	b.e.put(other, false, kept...)
	b.meet(a)
	b.eventually(func() bool { h, _ := b.Have(id, 0); return h > 0 }, "some of it is here")
	b.e.end(id)
	a.e.end(id)
	for _, n := range []*node{a, b} {
		n.eventually(func() bool { list, _ := os.ReadDir(n.dir); return len(list) == 1 }, "its file is gone")
	}
	b.has(other, 0, []byte("kept"))
	// What a crash left is swept up at the next start.
	b.stop()
	if err := os.WriteFile(b.dir+"/"+hexOf(of[0].Key), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.eventually(func() bool { list, _ := os.ReadDir(b.dir); return len(list) == 1 }, "it is swept up")
	b.has(other, 0, []byte("kept"))
}

func TestCancel(t *testing.T) {
	a, b := newNode(t), newNode(t)
	id := message.ID{1}
	content := random(6, 30<<20)
	of := a.sealed(id, content)
	b.e.put(id, false, of...)
	b.meet(a)
	b.eventually(func() bool { h, _ := b.Have(id, 0); return h > 0 }, "some of it is here")
	err := b.Cancel(t.Context(), id, 0)
	if errors.Is(err, ErrNotOnItsWay) {
		t.Skip("it was here already: this machine is too fast for its tests")
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, s := b.Have(id, 0); s != Cancelled {
		t.Errorf("it is %s", s)
	}
	if list, _ := os.ReadDir(b.dir); len(list) > 0 {
		t.Error("something is left of it")
	}
	if err := b.Fetch(t.Context(), id, 0); err != nil {
		t.Errorf("fetching it after all: %v", err)
	}
	b.has(id, 0, content)
	if err := b.Cancel(t.Context(), id, 0); !errors.Is(err, ErrNotOnItsWay) {
		t.Errorf("cancelling what is here: %v", err)
	}
	if err := b.Cancel(t.Context(), message.ID{9}, 0); !errors.Is(err, engine.ErrUnknownMessage) {
		t.Errorf("cancelling nothing: %v", err)
	}
}

// A stranger gets the same answer for what is here and what isn't, no sooner
// for one than for the other, and so does who has another file's key, who
// replays what somebody else proved, and who was blocked.
func TestStrangersLearnNothing(t *testing.T) {
	a, b := newNode(t), newNode(t)
	id := message.ID{1}
	of := a.sealed(id, []byte("secret"))[0]
	b.meet(a)
	me, you := []byte(b.h.ID()), []byte(a.h.ID())
	ask := func(q file.Ask) (uint8, time.Duration) {
		s, err := b.h.Libp2p().NewStream(t.Context(), a.h.ID(), file.Protocol)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Reset() }()
		began := time.Now()
		_, _ = s.Write(wire.AppendFrame(nil, file.FrameAsk, q.Marshal()))
		var h [wire.FrameHeader]byte
		if _, err := s.Read(h[:]); err != nil {
			t.Fatal(err)
		}
		typ, _ := wire.ParseFrameHeader(h)
		return typ, time.Since(began)
	}
	if typ, _ := ask(of.Key.NewAsk(of.Root, me, you)); typ != file.FrameHas {
		t.Fatalf("who has the key gets %#x", typ)
	}
	for name, q := range map[string]file.Ask{
		"wrong key":       file.NewKey().NewAsk(of.Root, me, you),
		"unknown file":    of.Key.NewAsk(file.Name{1}, me, you),
		"both":            file.NewKey().NewAsk(file.Name{1}, me, you),
		"somebody else's": of.Key.NewAsk(of.Root, []byte("another"), you),
		"for another":     of.Key.NewAsk(of.Root, me, []byte("another")),
	} {
		if typ, d := ask(q); typ != file.FrameNo || d < a.slow {
			t.Errorf("%s: %#x after %v", name, typ, d)
		}
	}
	a.e.mu.Lock()
	a.e.blocked = true
	a.e.mu.Unlock()
	if typ, _ := ask(of.Key.NewAsk(of.Root, me, you)); typ != file.FrameNo {
		t.Errorf("who is blocked gets %#x", typ)
	}
}

// Nobody can be reached: small files go by mail, unasked.
func TestByMail(t *testing.T) {
	a := newNode(t)
	b := newNode(t)
	a.e.mailTo(b.Manager)
	small, large := message.ID{1}, message.ID{2}
	b.e.put(small, false, a.sealed(small, random(7, 300<<10), []byte("x"))...)
	b.e.put(large, false, a.sealed(large, random(8, 3<<20))...)
	for _, id := range []message.ID{large, small} {
		a.e.mu.Lock()
		a.e.state(id, record.StateStored)
		a.e.mu.Unlock()
	}
	b.has(small, 0, random(7, 300<<10))
	b.has(small, 1, []byte("x"))
	a.e.mu.Lock()
	defer a.e.mu.Unlock()
	if a.e.mailed > message.MaxParts {
		t.Errorf("%d parts were mailed", a.e.mailed)
	}
}
