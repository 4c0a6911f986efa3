package mailbox

import (
	"crypto/ed25519"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"rushlight/protocol/envelope"
	wire "rushlight/protocol/mailbox"
)

// pipe is an owner's stream to a keeper without a network below it: it proves
// whose mailbox it is, asks for mail, and waits.
type pipe struct {
	network.Stream // what a keeper calls and isn't below is a panic
	conn           pipeConn
	relay          [32]byte
	key            ed25519.PrivateKey
	in             []byte // what the keeper reads next
	woken, ended   *atomic.Int64
}

type pipeConn struct {
	network.Conn
	peer peer.ID
}

func (c *pipeConn) RemotePeer() peer.ID { return c.peer }

func (p *pipe) Conn() network.Conn               { return &p.conn }
func (p *pipe) Scope() network.StreamScope       { return &network.NullScope{} }
func (p *pipe) SetReadDeadline(time.Time) error  { return nil }
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }
func (p *pipe) Close() error                     { p.ended.Add(1); return nil }
func (p *pipe) Reset() error                     { p.ended.Add(1); return nil }

func (p *pipe) Read(b []byte) (int, error) {
	if len(p.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.in)
	if p.in = p.in[n:]; len(p.in) == 0 {
		p.in = nil
	}
	return n, nil
}

func (p *pipe) Write(b []byte) (int, error) {
	switch b[0] {
	case wire.TypeHello:
		hello, err := wire.ParseHello(b[4:])
		if err != nil {
			return 0, err
		}
		auth := wire.SignAuth(p.key, p.relay, hello.Nonce, []byte(p.conn.peer))
		p.in = auth.Append(nil)
	case wire.TypeState:
		p.in = (&wire.Fetch{MaxBytes: 1 << 20, Wait: 600}).Append(nil)
	case wire.TypeEnv:
		p.woken.Add(1)
	}
	return len(b), nil
}

// TestRow28ParkedFetches (delivery, row 28): fetches that wait cost a relay a
// little memory and no goroutine; mail wakes those of its mailbox alone; and
// nothing is left of them when the relay lets them go. What streams cost is not
// in it: BenchmarkMemory and TestParkedFetchesCostNoGoroutine have a network.
// RUSHLIGHT_PARKED sets how many there are.
func TestRow28ParkedFetches(t *testing.T) {
	const boxes = 50
	many := 3000
	if s := os.Getenv("RUSHLIGHT_PARKED"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		many = n
	}
	many -= many % boxes
	r := newRelay(t)
	k := r.keeper
	first := &person{key: newKey(t), h: r.client()}
	first.open(r)
	if _, err := first.box.Create(r.ctx(), &wire.Create{}); err != nil {
		t.Fatal(err)
	}
	keys := []ed25519.PrivateKey{first.key}
	for len(keys) < boxes {
		key := newKey(t)
		if _, err := r.shelf.Create([32]byte(key.Public().(ed25519.PublicKey)), &wire.Create{}, [16]byte{}, true); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	one := &wire.Deposit{TTL: 1, Stamp: first.stamps(r, envelope.S, 1)[0], Envelope: env(envelope.S)}
	d := r.deposits(first.h)

	var woken, ended atomic.Int64
	pipes := make([]pipe, many)
	for i := range pipes {
		pipes[i] = pipe{
			conn: pipeConn{peer: peer.ID(fmt.Sprint("client ", i/ownerStreams))}, relay: k.relay, key: keys[i%boxes],
			woken: &woken, ended: &ended,
		}
	}
	goroutines, heap := look()
	begun := time.Now()
	next := make(chan *pipe)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for p := range next {
				k.handle(p, k.serveOwner)
			}
		})
	}
	for i := range pipes {
		next <- &pipes[i]
	}
	close(next)
	wg.Wait()
	storm := time.Since(begun)
	if n := k.stats.parked.Load(); n != int64(many) || ended.Load() != 0 {
		t.Fatalf("%d of %d wait, %d ended", n, many, ended.Load())
	}
	after, full := look()
	each := (int64(full) - int64(heap)) / int64(many)
	t.Logf("%d waits begun in %v: %d bytes and %.4f goroutines each", many, storm, each, float64(after-goroutines)/float64(many))
	if after > goroutines+20 {
		t.Errorf("%d goroutines, then %d", goroutines, after)
	}
	if most := int64(600); each > most {
		t.Errorf("a wait takes %d bytes", each)
	}

	begun = time.Now()
	if _, err := d.Deposit(r.ctx(), one); err != nil {
		t.Fatal(err)
	}
	wait(t, "those of the mailbox are woken", func() bool { return ended.Load() == int64(many/boxes) })
	t.Logf("%d of one mailbox woken in %v", many/boxes, time.Since(begun))
	if woken.Load() != int64(many/boxes) || k.stats.parked.Load() != int64(many-many/boxes) {
		t.Errorf("%d were woken, %d wait", woken.Load(), k.stats.parked.Load())
	}

	begun = time.Now()
	k.Drain()
	wait(t, "all are let go", func() bool { return ended.Load() == int64(many) })
	t.Logf("all let go in %v", time.Since(begun))
	wait(t, "nothing is left", func() bool {
		n, _ := look()
		return n <= goroutines+20
	})
	runtime.KeepAlive(pipes)
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.parked)+len(k.due) > 0 || k.stats.parked.Load() != 0 || len(k.live) > 2 || len(k.peers) > 2 {
		t.Error("waits are left:", len(k.parked), len(k.due), len(k.live), len(k.peers))
	}
}
