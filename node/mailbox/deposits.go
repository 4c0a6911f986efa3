package mailbox

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"rushlight/node/host"
	wire "rushlight/protocol/mailbox"
	"rushlight/storage/shelf"
)

const serviceDeposit = "rushlight-deposit"

// depositStream is one stream of a sender, on the relay's side. Its handler
// reads and queues; the shelf's writer puts answers into out; flush sends
// them.
type depositStream struct {
	k *Keeper
	s network.Stream

	dirty bool // has new answers of this commit; the shelf's writer's own

	mu      sync.Mutex
	room    sync.Cond // for more deposits
	out     []byte    // answers to be written
	done    window    // what they answer
	open    window    // deposits that aren't answered on the wire yet
	writing bool
	err     error
}

// window is an amount of deposits.
type window struct{ frames, bytes int }

func (w window) full() bool { return w.frames >= windowFrames || w.bytes >= windowBytes }

// serveDeposits reads deposits of anybody and answers each once it is on the
// disk (spec §12.3).
func (k *Keeper) serveDeposits(s network.Stream) error {
	leave, err := k.enter(s.Conn().RemotePeer(), func(u *peerUse) *int { return &u.deposits }, depositStreams)
	if err != nil {
		return err
	}
	defer leave()
	if err := prepare(s, serviceDeposit, 4<<10); err != nil {
		return err
	}
	d := &depositStream{k: k, s: s}
	d.room.L = &d.mu
	in := host.NewFrameReader(&burstReader{r: s}, 64, wire.DepositLimit, func(on bool) {
		if on {
			_ = s.SetReadDeadline(time.Now().Add(openTime))
		} else {
			_ = s.SetReadDeadline(time.Now().Add(idleTime))
		}
	})
	err = d.read(in)
	d.close()
	return err
}

// read queues what arrives, as long as there is room in the window.
func (d *depositStream) read(in *host.FrameReader) error {
	var renewed time.Time
	for {
		if now := time.Now(); now.Sub(renewed) > idleTime/10 {
			renewed = now
			if err := setReadDeadline(d.s, idleTime); err != nil {
				return err
			}
		}
		typ, body, err := in.Next()
		if err != nil {
			return host.Opaque("mailbox: reading a deposit", err)
		}
		if err := d.wait(len(body)); err != nil {
			return err
		}
		if err := d.take(typ, body); err != nil {
			d.mu.Lock()
			d.open.frames--
			d.open.bytes -= len(body)
			d.mu.Unlock()
			return err
		}
	}
}

// wait opens the window by one deposit, when there is room.
func (d *depositStream) wait(size int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.open.full() && d.err == nil {
		d.room.Wait()
	}
	d.open.frames++
	d.open.bytes += size
	return d.err
}

// take begins one request. Its answer comes through say.
func (d *depositStream) take(typ uint8, body []byte) error {
	switch typ {
	case wire.TypeDeposit:
		m, err := wire.ParseDeposit(body)
		if err != nil {
			return err
		}
		d.deposit(&m, len(body))
	case wire.TypeRequest:
		m, err := wire.ParseRequest(body)
		if err != nil {
			return err
		}
		d.request(&m, len(body))
	case wire.TypeUnsend:
		m, err := wire.ParseUnsend(body)
		if err != nil {
			return err
		}
		d.unsend(&m, len(body))
	}
	return nil
}

func (d *depositStream) deposit(m *wire.Deposit, size int) {
	if d.k.draining.Load() {
		d.refuse(m.ID, size, &wire.Err{Code: wire.CodeBusy, RetryAfter: retryDrain})
		return
	}
	ticket, refused := d.k.shelf.OpenStamp(&m.Stamp)
	if refused != nil {
		d.refuse(m.ID, size, refused)
		return
	}
	d.queue(m.ID, size, d.k.shelf.Put, &shelf.Deposit{
		Ticket: ticket, Envelope: m.Envelope, Object: wire.Object(m.Envelope), TTL: m.TTL, Receipt: m.Receipt,
	})
}

func (d *depositStream) request(m *wire.Request, size int) {
	if d.k.draining.Load() {
		d.refuse(m.ID, size, &wire.Err{Code: wire.CodeBusy, RetryAfter: retryDrain})
		return
	}
	object := wire.Object(m.Envelope)
	if refused := d.k.shelf.CheckWork(m, object, d.k.cfg.LaneEffort); refused != nil {
		d.refuse(m.ID, size, refused)
		return
	}
	d.k.stats.requests.Add(1)
	put := func(s *shelf.Deposit) error {
		return d.k.shelf.PutRequest(s, shelf.Request{Lane: m.Lane, Effort: m.Effort})
	}
	d.queue(m.ID, size, put, &shelf.Deposit{Envelope: m.Envelope, Object: object, Receipt: m.Receipt})
}

const (
	retryDrain = 30 // seconds: a relay that stops is back by then
	retryBusy  = 1
)

func (d *depositStream) queue(id uint32, size int, put func(*shelf.Deposit) error, s *shelf.Deposit) {
	s.Done = func(s *shelf.Deposit, err error) { d.answer(id, size, &s.Answer, err) }
	if put(s) != nil {
		d.refuse(id, size, &wire.Err{Code: wire.CodeBusy, RetryAfter: retryBusy})
	}
}

// answer is called by the shelf's writer. What it adds is sent when the whole
// commit has been told.
func (d *depositStream) answer(id uint32, size int, a *shelf.Answer, err error) {
	d.mu.Lock()
	switch {
	case err != nil: // nobody knows what is on the disk: say nothing
		d.err = err
	case a.Refused != nil:
		a.Refused.ID = id
		d.out = a.Refused.Append(d.out)
		d.k.stats.refused.Add(1)
	default:
		d.out = (&wire.Stored{ID: id, ExpDay: a.ExpDay, Dup: a.Dup, Receipt: a.Receipt}).Append(d.out)
		d.k.stats.deposits.Add(1)
	}
	d.done.frames++
	d.done.bytes += size
	d.mu.Unlock()
	if !d.dirty {
		d.dirty = true
		d.k.answered = append(d.k.answered, d)
	}
}

// refuse answers at once.
func (d *depositStream) refuse(id uint32, size int, e *wire.Err) {
	e.ID = id
	d.k.stats.refused.Add(1)
	d.say(e.Append(nil), size)
}

func (d *depositStream) say(frame []byte, size int) {
	d.mu.Lock()
	d.out = append(d.out, frame...)
	d.done.frames++
	d.done.bytes += size
	d.mu.Unlock()
	d.flush()
}

// flush sends what is in out, in a goroutine that lives as long as there is
// something.
func (d *depositStream) flush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.writing || d.done == (window{}) {
		return
	}
	d.writing = true
	d.k.wg.Add(1)
	go d.send()
}

func (d *depositStream) send() {
	defer d.k.wg.Done()
	var spare []byte
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.err == nil && d.done != (window{}) {
		out, done := d.out, d.done
		d.out, d.done = spare[:0], window{}
		d.mu.Unlock()
		err := write(d.s, out)
		d.mu.Lock()
		if spare = out; cap(spare) > 64<<10 {
			spare = nil
		}
		if err != nil {
			d.err = err
		}
		d.open.frames -= done.frames
		d.open.bytes -= done.bytes
		d.room.Broadcast()
	}
	d.writing = false
	if d.err != nil {
		_ = d.s.Reset()
		d.room.Broadcast()
	}
	if cap(d.out) > 4<<10 && len(d.out) == 0 {
		d.out = nil
	}
}

// close waits until everything is answered, so that a sender who has closed
// its side hears all, and then lets nothing more out.
func (d *depositStream) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.open != (window{}) && d.err == nil {
		d.room.Wait()
	}
	if d.err == nil {
		d.err = errStopping
	}
}

// unsend deletes by a cure. It may read a whole mailbox, so few do at a time,
// and owners don't wait for them.
func (d *depositStream) unsend(m *wire.Unsend, size int) {
	k := d.k
	ticket, refused := k.shelf.OpenStamp(&m.Stamp)
	if refused != nil {
		d.refuse(m.ID, size, refused)
		return
	}
	select {
	case k.unsends <- struct{}{}:
	default:
		d.refuse(m.ID, size, &wire.Err{Code: wire.CodeBusy, RetryAfter: retryBusy})
		return
	}
	err := k.shelf.Unsend(ticket.Handle, m.Object, m.Cure)
	<-k.unsends
	if err != nil {
		d.refuse(m.ID, size, refusal(err))
		return
	}
	d.say(wire.AppendUnsent(nil, m.ID), size)
}
