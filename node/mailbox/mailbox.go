package mailbox

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"rushlight/node/host"
	"rushlight/protocol/envelope"
	wire "rushlight/protocol/mailbox"
	"rushlight/protocol/stamp"
)

// Mailbox is an owner's stream to one relay. Requests go one after the other;
// its methods may be called from several goroutines and wait for their turn.
// After an error that is no *[wire.Err] the stream has ended.
type Mailbox struct {
	s  network.Stream
	in *host.FrameReader

	mu  sync.Mutex
	err error
}

// answerTime is how long a relay may take for an answer, besides waiting for
// mail.
const answerTime = time.Minute

// OpenMailbox opens a stream to a relay that h can reach, and proves that the
// mailbox is ours (spec §12.5). State.Found is false when the relay has no such
// mailbox: then [Mailbox.Create] comes next.
func OpenMailbox(ctx context.Context, h *host.Host, relay peer.ID, key ed25519.PrivateKey) (*Mailbox, wire.Hello, wire.State, error) {
	relayKey, err := RelayKey(relay)
	if err != nil {
		return nil, wire.Hello{}, wire.State{}, err
	}
	s, err := openStream(ctx, h, relay, wire.ProtocolOwner)
	if err != nil {
		return nil, wire.Hello{}, wire.State{}, err
	}
	m := &Mailbox{s: s, in: host.NewFrameReader(&burstReader{r: s}, 64, wire.OwnerAnswerLimit, nil)}
	var hello wire.Hello
	var state wire.State
	err = m.turn(ctx, openTime, func() error {
		body, err := m.expect(wire.TypeHello)
		if err != nil {
			return err
		}
		if hello, err = wire.ParseHello(body); err != nil {
			return err
		}
		auth := wire.SignAuth(key, relayKey, hello.Nonce, []byte(h.ID()))
		if err := m.write(auth.Append(nil)); err != nil {
			return err
		}
		if body, err = m.expect(wire.TypeState); err != nil {
			return err
		}
		state, err = wire.ParseState(body)
		return err
	})
	if err != nil {
		m.Close()
		return nil, hello, state, err
	}
	return m, hello, state, nil
}

// Close ends the stream.
func (m *Mailbox) Close() { _ = m.s.Reset() }

// turn runs one exchange alone, until ctx ends or for some time.
func (m *Mailbox) turn(ctx context.Context, d time.Duration, exchange func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	stop := context.AfterFunc(ctx, func() { _ = m.s.Reset() })
	defer stop()
	err := m.s.SetDeadline(deadline(ctx, d))
	if err != nil {
		err = host.Opaque("mailbox: setting a deadline", err)
	} else {
		err = exchange()
	}
	if _, refused := asErr(err); err == nil || refused {
		return err
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("mailbox: waiting for the relay: %w", ctx.Err())
	}
	_ = m.s.Reset()
	m.err = err
	return err
}

func asErr(err error) (*wire.Err, bool) {
	e, ok := err.(*wire.Err) //nolint:errorlint // only what expect returns as it is
	return e, ok
}

func (m *Mailbox) write(b []byte) error {
	if _, err := m.s.Write(b); err != nil {
		return host.Opaque("mailbox: writing", err)
	}
	return nil
}

// next reads a frame of one of two types. A refusal is returned as an error.
func (m *Mailbox) next(one, other uint8) (uint8, []byte, error) {
	typ, body, err := m.in.Next()
	if err != nil {
		return 0, nil, host.Opaque("mailbox: waiting for an answer", err)
	}
	if typ == wire.TypeErr {
		e, err := wire.ParseErr(body)
		if err != nil {
			return 0, nil, err
		}
		return 0, nil, e
	}
	if typ != one && typ != other {
		return 0, nil, expected("an answer", typ)
	}
	return typ, body, nil
}

func (m *Mailbox) expect(typ uint8) ([]byte, error) {
	_, body, err := m.next(typ, typ)
	return body, err
}

// ask sends a request and parses its one answer.
func ask[T any](ctx context.Context, m *Mailbox, request []byte, typ uint8, parse func([]byte) (T, error)) (out T, err error) {
	err = m.turn(ctx, answerTime, func() error {
		if err := m.write(request); err != nil {
			return err
		}
		body, err := m.expect(typ)
		if err == nil {
			out, err = parse(body)
		}
		return err
	})
	return out, err
}

// Create makes the mailbox, or changes its lane and quota.
func (m *Mailbox) Create(ctx context.Context, c *wire.Create) (wire.State, error) {
	return ask(ctx, m, c.Append(nil), wire.TypeState, wire.ParseState)
}

// Stamps returns fresh stamps, with the serial of the first.
func (m *Mailbox) Stamps(ctx context.Context, class envelope.Class, count int) (uint32, []stamp.Stamp, error) {
	q := wire.Stamps{Class: class, Count: uint16(min(count, wire.MaxMint))}
	out, err := ask(ctx, m, q.Append(nil), wire.TypeMinted, wire.ParseMinted)
	if err == nil && len(out.Stamps) != int(q.Count) {
		err = fmt.Errorf("%w: %d stamps for %d", ErrLied, len(out.Stamps), q.Count)
	}
	return out.First, out.Stamps, err
}

// Revoke takes back stamps and returns how many were unused.
func (m *Mailbox) Revoke(ctx context.Context, serials ...wire.Range[uint32]) (uint32, error) {
	return ask(ctx, m, (&wire.Revoke{Ranges: serials}).Append(nil), wire.TypeRevoked, wire.ParseRevoked)
}

// Trim deletes envelopes. Only what is stored durably may be trimmed (spec
// §12.5).
func (m *Mailbox) Trim(ctx context.Context, seqs ...wire.Range[uint64]) (wire.Trimmed, error) {
	return ask(ctx, m, (&wire.Trim{Ranges: seqs}).Append(nil), wire.TypeTrimmed, wire.ParseTrimmed)
}

// Tags returns the tags of what came after a number.
func (m *Mailbox) Tags(ctx context.Context, after uint64, most int) (wire.Tags, error) {
	q := wire.IDs{After: after, Max: uint16(min(most, wire.MaxTags))}
	out, err := ask(ctx, m, q.Append(nil), wire.TypeTags, wire.ParseTags)
	if n := len(out.Tags); err == nil && (out.Next < after || n > int(q.Max) ||
		n > 0 && (out.Tags[0].Seq <= after || out.Tags[n-1].Seq > out.Next)) {
		err = fmt.Errorf("%w: tags that weren't asked for", ErrLied)
	}
	return out, err
}

// Delete closes the mailbox for good. moved is what senders are told, sealed
// for them.
func (m *Mailbox) Delete(ctx context.Context, moved []byte) error {
	_, err := ask(ctx, m, wire.AppendClose(nil, moved), wire.TypeClosed, func([]byte) (struct{}, error) { return struct{}{}, nil })
	return err
}

// Fetch calls each for the envelopes after a number, ascending, and returns
// how far they go. When there are none it waits up to q.Wait seconds. An error
// of each ends the stream.
func (m *Mailbox) Fetch(ctx context.Context, q wire.Fetch, each func(*wire.Env) error) (end wire.End, err error) {
	err = m.turn(ctx, answerTime+time.Duration(q.Wait)*time.Second, func() error {
		if err := m.write(q.Append(nil)); err != nil {
			return err
		}
		last, sum := q.After, 0
		for {
			typ, body, err := m.next(wire.TypeEnv, wire.TypeEnd)
			if err != nil {
				return err
			}
			if typ == wire.TypeEnd {
				if end, err = wire.ParseEnd(body); err == nil && end.Next < last {
					err = fmt.Errorf("%w: the log goes backwards", ErrLied)
				}
				return err
			}
			e, err := wire.ParseEnv(body)
			if err != nil {
				return err
			}
			if e.Seq <= last || sum > 0 && sum+len(e.Envelope) > int(min(uint64(q.MaxBytes), math.MaxInt32)) {
				return fmt.Errorf("%w: an envelope that wasn't asked for", ErrLied)
			}
			last = e.Seq
			sum += len(e.Envelope)
			if err := each(&e); err != nil {
				return fmt.Errorf("mailbox: taking an envelope: %w", err)
			}
		}
	})
	return end, err
}
