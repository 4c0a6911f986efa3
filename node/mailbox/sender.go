package mailbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"rushlight/node/host"
	"rushlight/protocol/envelope"
	wire "rushlight/protocol/mailbox"
	"rushlight/protocol/receipt"
)

// ErrLied is wrapped by the error for an answer that no honest relay gives: a
// receipt that doesn't hold, or a log out of order.
var ErrLied = errors.New("mailbox: the relay broke its word")

// Deposits is a sender's stream to one relay. Its methods may be called from
// many goroutines; what they send goes out in the order of the calls, and is
// answered in any.
type Deposits struct {
	s     network.Stream
	relay [32]byte

	mu      sync.Mutex
	next    uint32
	waiting map[uint32]*waiting
	out     []byte
	writing bool
	err     error
	wg      sync.WaitGroup

	checked checkedRoot // belongs to the reading goroutine
}

// waiting is a request that isn't answered yet.
type waiting struct {
	object, tag [16]byte
	receipt     bool
	unsend      bool
	done        func(wire.Stored, error)
}

// checkedRoot is a batch whose signature was found good: receipts of it need
// no more than its path.
type checkedRoot struct {
	root  [32]byte
	batch uint64
	day   uint16
	sig   [64]byte
}

// OpenDeposits opens a stream to a relay that h can reach. Close ends it; when
// the stream ends by itself, every request says so.
func OpenDeposits(ctx context.Context, h *host.Host, relay peer.ID) (*Deposits, error) {
	key, err := RelayKey(relay)
	if err != nil {
		return nil, err
	}
	s, err := openStream(ctx, h, relay, wire.ProtocolDeposit)
	if err != nil {
		return nil, err
	}
	d := &Deposits{s: s, relay: key, waiting: map[uint32]*waiting{}}
	d.wg.Go(d.read)
	return d, nil
}

func openStream(ctx context.Context, h *host.Host, relay peer.ID, proto protocol.ID) (network.Stream, error) {
	s, err := h.Libp2p().NewStream(ctx, relay, proto)
	if err != nil {
		return nil, host.Opaque("mailbox: opening a stream", err)
	}
	return s, nil
}

// Close ends the stream and waits for its goroutines. What isn't answered yet
// fails.
func (d *Deposits) Close() {
	_ = d.s.Reset()
	d.wg.Wait()
}

// Err returns why the stream has ended, nil while it hasn't.
func (d *Deposits) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// Deposit sends an envelope and returns what the relay says: an error that is
// a *[wire.Err] is a refusal, and any other means that it isn't known what
// happened; the same bytes under the same stamp may then be sent again. m.ID is
// set. A receipt is verified when one was asked for (spec §12.3).
func (d *Deposits) Deposit(ctx context.Context, m *wire.Deposit) (wire.Stored, error) {
	return d.await(ctx, func(done func(wire.Stored, error)) { d.Start(m, done) })
}

// Start is Deposit without waiting: done is called from another goroutine, or
// at once when the stream has ended. It must not block.
func (d *Deposits) Start(m *wire.Deposit, done func(wire.Stored, error)) {
	w := &waiting{object: wire.Object(m.Envelope), tag: envelope.TagOf(m.Envelope), receipt: m.Receipt, done: done}
	d.send(w, func(id uint32, dst []byte) []byte {
		m.ID = id
		return m.Append(dst)
	})
}

// Request sends an envelope to a request lane; see [Work] for its proof.
func (d *Deposits) Request(ctx context.Context, m *wire.Request) (wire.Stored, error) {
	w := &waiting{object: wire.Object(m.Envelope), tag: envelope.TagOf(m.Envelope), receipt: m.Receipt}
	return d.await(ctx, func(done func(wire.Stored, error)) {
		w.done = done
		d.send(w, func(id uint32, dst []byte) []byte {
			m.ID = id
			return m.Append(dst)
		})
	})
}

// Unsend deletes an envelope that was deposited with the stamp.
func (d *Deposits) Unsend(ctx context.Context, m *wire.Unsend) error {
	_, err := d.await(ctx, func(done func(wire.Stored, error)) {
		d.send(&waiting{unsend: true, done: done}, func(id uint32, dst []byte) []byte {
			m.ID = id
			return m.Append(dst)
		})
	})
	return err
}

func (d *Deposits) await(ctx context.Context, begin func(func(wire.Stored, error))) (wire.Stored, error) {
	type result struct {
		stored wire.Stored
		err    error
	}
	ended := make(chan result, 1)
	begin(func(s wire.Stored, err error) { ended <- result{s, err} })
	select {
	case r := <-ended:
		return r.stored, r.err
	case <-ctx.Done():
		return wire.Stored{}, fmt.Errorf("mailbox: waiting for the relay: %w", ctx.Err())
	}
}

// send adds a frame to what is to be written.
func (d *Deposits) send(w *waiting, frame func(id uint32, dst []byte) []byte) {
	d.mu.Lock()
	if d.err != nil {
		err := d.err
		d.mu.Unlock()
		w.done(wire.Stored{}, err)
		return
	}
	defer d.mu.Unlock()
	id := d.next
	d.next++
	d.waiting[id] = w
	d.out = frame(id, d.out)
	if !d.writing {
		d.writing = true
		d.wg.Go(d.write)
	}
}

func (d *Deposits) write() {
	var spare []byte
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.err == nil && len(d.out) > 0 {
		out := d.out
		d.out = spare[:0]
		d.mu.Unlock()
		_, err := d.s.Write(out)
		spare = out
		d.mu.Lock()
		if err != nil {
			_ = d.s.Reset() // the reader says why to all
			break
		}
	}
	d.writing = false
}

// read gives answers to those who wait for them, until the stream ends.
func (d *Deposits) read() {
	in := host.NewFrameReader(&burstReader{r: d.s}, 64, wire.DepositAnswerLimit, nil)
	for {
		typ, body, err := in.Next()
		if err == nil {
			err = d.answer(typ, body)
		}
		if err != nil {
			_ = d.s.Reset()
			d.fail(host.Opaque("mailbox: the stream to the relay has ended", err))
			return
		}
	}
}

func (d *Deposits) fail(err error) {
	d.mu.Lock()
	d.err = err
	all := d.waiting
	d.waiting = map[uint32]*waiting{}
	d.mu.Unlock()
	for _, w := range all {
		w.done(wire.Stored{}, err)
	}
}

// answer hands one answer on. An error ends the stream.
func (d *Deposits) answer(typ uint8, body []byte) error {
	var id uint32
	var stored wire.Stored
	var err, failed error
	switch typ {
	case wire.TypeStored:
		stored, err = wire.ParseStored(body)
		id = stored.ID
	case wire.TypeUnsent:
		id, err = wire.ParseUnsent(body)
	case wire.TypeErr:
		var e *wire.Err
		if e, err = wire.ParseErr(body); err == nil {
			id, failed = e.ID, e
		}
	}
	if err != nil {
		return err
	}
	d.mu.Lock()
	w := d.waiting[id]
	delete(d.waiting, id)
	d.mu.Unlock()
	if w == nil || failed == nil && w.unsend != (typ == wire.TypeUnsent) {
		return fmt.Errorf("%w: an answer to nothing", ErrLied)
	}
	if failed == nil && w.receipt && !d.holds(stored.Receipt, w) {
		failed = fmt.Errorf("%w: a receipt doesn't hold", ErrLied)
	}
	w.done(stored, failed)
	return nil
}

// holds verifies a receipt (spec §11.6).
func (d *Deposits) holds(r *receipt.Receipt, w *waiting) bool {
	if r == nil {
		return false
	}
	now := checkedRoot{root: r.Root(w.object, w.tag), batch: r.Batch, day: r.Day, sig: r.Sig}
	if now == d.checked {
		return true
	}
	if !r.VerifyRoot(d.relay[:], now.root) {
		return false
	}
	d.checked = now
	return true
}

// deadline returns when ctx ends, or a time from now.
func deadline(ctx context.Context, d time.Duration) time.Time {
	if t, ok := ctx.Deadline(); ok {
		return t
	}
	return time.Now().Add(d)
}
