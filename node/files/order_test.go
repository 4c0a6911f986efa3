package files

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"rushlight/node/post"
	"rushlight/protocol/envelope"
	"rushlight/protocol/file"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/stamp"
)

// shelf is a relay at which one device has a mailbox.
type shelf struct {
	key [32]byte

	mu      sync.Mutex
	to      *Manager // whose mailbox it is
	waits   []post.Part
	seq     uint64
	stored  int
	full    bool
	damage  int // so many are damaged
	trimmed map[uint64]bool
}

var errShelf = errors.New("the relay is gone")

func newShelf(key byte) *shelf { return &shelf{key: [32]byte{key}, trimmed: map[uint64]bool{}} }

func (s *shelf) Waiting() ([32]byte, uint64, bool) { return s.key, 32 << 20, true }

// Look brings everything that lies there again.
func (s *shelf) Look([32]byte) {
	s.mu.Lock()
	all := slices.Clone(s.waits)
	s.mu.Unlock()
	go s.bring(context.Background(), all)
}

func (s *shelf) Leave(ctx context.Context, _ identity.AccountID, relay [32]byte, n int, part func(int) (stamp.Stamp, []byte, error)) (int, error) {
	for i := range n {
		_, env, err := part(i)
		if err != nil {
			return i, err
		}
		s.mu.Lock()
		if s.full || relay != s.key {
			s.mu.Unlock()
			return i, errShelf
		}
		if s.damage > 0 {
			s.damage--
			env[100] ^= 1
		}
		s.seq++
		s.stored++
		p := post.Part{Seq: s.seq, Envelope: slices.Clone(env)}
		s.waits = append(s.waits, p)
		s.mu.Unlock()
		s.bring(ctx, []post.Part{p})
	}
	return n, nil
}

func (s *shelf) bring(ctx context.Context, some []post.Part) {
	s.mu.Lock()
	to := s.to
	s.mu.Unlock()
	some = slices.DeleteFunc(some, func(p post.Part) bool { return to == nil || !to.Awaits(envelope.TagOf(p.Envelope)) })
	if len(some) == 0 {
		return
	}
	done := to.Carry(ctx, s.key, some)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seq := range done {
		s.trimmed[seq] = true
	}
	s.waits = slices.DeleteFunc(s.waits, func(p post.Part) bool { return s.trimmed[p.Seq] })
}

func (s *shelf) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waits)
}

func (s *shelf) all() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stored
}

// byShelf are two who reach each other by way of a relay only.
func byShelf(t *testing.T, s *shelf) (a, b *node) {
	t.Helper()
	a = newNode(t, func(m *Manager) { m.cfg.Relays = s })
	b = newNode(t, func(m *Manager) {
		m.patience, m.cfg.Relays, m.cfg.Device = 0, s, identity.DeviceID{7}
		a.e.mailTo(m) // before it orders: what goes to the one before it is lost
		s.mu.Lock()
		s.to = m
		s.mu.Unlock()
	})
	b.e.mailTo(a.Manager)
	b.e.stamps = 1 << 20
	return a, b
}

// A file comes by way of a relay, also when its recipient stops in between: what
// lies there then isn't left there again, and nothing is left in the end.
func TestByRelay(t *testing.T) {
	s := newShelf(1)
	a, b := byShelf(t, s)
	id, content := message.ID{2}, random(8, 9<<20+17)
	b.put(t, id, a.sealed(id, content))
	b.eventually(func() bool { h, _ := b.Have(id, 0); return h >= 1<<20 }, "some of it is here")
	b.stop()
	b.start()
	b.has(id, 0, content)
	l, err := file.NewLayout(uint64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	if n, most := s.all(), int(l.Stretches())+2*firstAhead; n > most {
		t.Errorf("%d stretches were left there, %d are needed", n, l.Stretches())
	}
	b.eventually(func() bool { s.Look(s.key); return s.left() == 0 }, "nothing is left at the relay")
}

func (n *node) put(t *testing.T, id message.ID, of []message.File) {
	t.Helper()
	n.e.put(id, false, of...)
}

// A file of several levels, of which the tree is ordered first.
func TestSizesByRelay(t *testing.T) {
	s := newShelf(1)
	a, b := byShelf(t, s)
	for i, size := range []int{0, 1, file.ChunkSize, file.ChunkSize + 1, 3*file.ChunkSize - 5} {
		id, content := message.ID{byte(i)}, random(byte(i), size)
		b.put(t, id, a.sealed(id, content))
		b.has(id, 0, content)
	}
}

// What a relay damages is ordered again, and counted as wrong.
func TestDamagedAtRelay(t *testing.T) {
	s := newShelf(1)
	s.damage = 1
	a, b := byShelf(t, s)
	id, content := message.ID{2}, random(8, 2<<20)
	b.put(t, id, a.sealed(id, content))
	b.has(id, 0, content)
	l, err := file.NewLayout(uint64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	if n := s.all(); n <= int(l.Stretches()) {
		t.Errorf("control: %d stretches were left there, %d are needed", n, l.Stretches())
	}
}

// Without stamps nothing is ordered; serials that have paid are given back.
func TestStampsOfOrders(t *testing.T) {
	s := newShelf(1)
	a, b := byShelf(t, s)
	b.e.mu.Lock()
	b.e.stamps = 20
	b.e.mu.Unlock()
	id, content := message.ID{2}, random(8, 30<<20)
	b.put(t, id, a.sealed(id, content))
	b.eventually(func() bool { return s.all() == 20 }, "as many come as there are stamps")
	b.e.mu.Lock()
	b.e.stamps = 1 << 20
	b.e.mu.Unlock()
	b.Changed()
	b.has(id, 0, content)
	b.e.mu.Lock()
	defer b.e.mu.Unlock()
	if b.e.spent < 20 || b.e.spent > b.e.drawn {
		t.Errorf("%d of %d were said to be spent", b.e.spent, b.e.drawn)
	}
}

// An order is for the other side of the conversation alone, and not while that
// is blocked.
func TestOrderOfOthers(t *testing.T) {
	s := newShelf(1)
	a := newNode(t, func(m *Manager) { m.cfg.Relays = s })
	id := message.ID{1}
	a.sealed(id, []byte("secret"))
	order := &message.FileOrder{Message: id, Relay: s.key, Runs: []message.Run{{First: 0, N: 1}}, Stamps: make([]stamp.Stamp, 1)}
	other := *order
	other.Nth = 3
	of := *order
	of.Message = message.ID{2}
	past := *order
	past.Runs = []message.Run{{First: 9, N: 1}}
	a.e.mu.Lock()
	a.e.blocked = true
	a.e.mu.Unlock()
	a.Ordered(identity.AccountID{}, order)
	a.dealtWith()
	if n := s.all(); n != 0 {
		t.Errorf("%d stretches were left for who is blocked", n)
	}
	a.e.mu.Lock()
	a.e.blocked = false
	a.e.mu.Unlock()
	a.Ordered(identity.AccountID{9}, order)
	for _, o := range []*message.FileOrder{&other, &of, &past, order} {
		a.Ordered(identity.AccountID{}, o) // one after the other
	}
	a.eventually(func() bool { return s.all() > 0 }, "who may have it gets it")
	if n := s.all(); n != 1 {
		t.Errorf("%d stretches were left", n)
	}
}

// dealtWith waits until no order waits.
func (n *node) dealtWith() {
	n.eventually(func() bool {
		n.Manager.mu.Lock()
		defer n.Manager.mu.Unlock()
		return len(n.orders) == 0
	}, "the orders are done with")
}

// Of what is ordered again before it is left, each stretch is left once.
func TestOrderedAgain(t *testing.T) {
	s := newShelf(1)
	s.full = true
	a := newNode(t, func(m *Manager) { m.cfg.Relays = s })
	id := message.ID{1}
	a.sealed(id, random(1, 1<<20))
	for _, run := range []message.Run{{First: 0, N: 6}, {First: 2, N: 8}, {First: 0, N: 10}} {
		a.Ordered(identity.AccountID{}, &message.FileOrder{
			Message: id, Relay: s.key, Runs: []message.Run{run}, Stamps: make([]stamp.Stamp, run.N),
		})
	}
	s.mu.Lock()
	s.full = false
	s.mu.Unlock()
	a.eventually(func() bool { return s.all() >= 10 }, "all of it is left")
	a.dealtWith()
	if n := s.all(); n > 10+6 { // the first may have begun
		t.Errorf("%d stretches were left", n)
	}
}
