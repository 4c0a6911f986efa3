package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"rushlight/node/delivery/parcel"
	"rushlight/node/host"
	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

// The invite protocol (spec §8.5) is one request and one answer. The request
// shows knowledge of the invite's secret by a MAC over both peer ids, so that
// nobody who overhears an id can ask; the reply is sealed under a key that
// needs the secret, so that nobody else can answer.
const (
	labelInviteProof suite.Label = "rushlight/delivery/invite-proof/1"
	labelInviteReply suite.Label = "rushlight/delivery/invite-reply/1"
)

// Errors of [Manager.FetchInvite].
var (
	ErrUnreachable   = errors.New("delivery: nobody could be reached")
	ErrInviteUsed    = errors.New("delivery: the invite is used up")
	ErrInviteExpired = errors.New("delivery: the invite has expired")
	ErrInviteUnknown = errors.New("delivery: the invite is not known there")
)

const inviteVersion uint8 = 1

// inviteGet is the request.
type inviteGet struct {
	id    [16]byte
	nonce [32]byte
	mac   [32]byte
}

func (g inviteGet) marshal() []byte {
	return wire.NewWriter(nil).U8(inviteVersion).Raw(g.id[:]).Raw(g.nonce[:]).Raw(g.mac[:]).Out()
}

func parseInviteGet(b []byte) (g inviteGet, err error) {
	r := wire.NewReader(b)
	if v := r.U8(); v != inviteVersion {
		r.Fail("unknown version")
	}
	g.id, g.nonce, g.mac = r.A16(), r.A32(), r.A32()
	return g, read("request for an invite", r)
}

// inviteReply is the answer.
type inviteReply struct {
	nonce  [32]byte
	sealed []byte
}

func (i inviteReply) marshal() []byte {
	return wire.NewWriter(nil).Raw(i.nonce[:]).Raw(i.sealed).Out()
}

func parseInviteReply(b []byte) (i inviteReply, err error) {
	r := wire.NewReader(b)
	i.nonce = r.A32()
	i.sealed = r.Rest()
	if len(i.sealed) < suite.SealOverhead || len(i.sealed) > maxReply {
		r.Fail("sealed reply out of its limits")
	}
	return i, read("reply about an invite", r)
}

// inviteMAC is what the asker puts into its request.
func inviteMAC(secret [32]byte, g inviteGet, asker, owner peer.ID) [32]byte {
	return suite.MAC(secret[:], labelInviteProof, g.id[:], g.nonce[:], []byte(asker), []byte(owner))
}

// inviteKey seals one reply.
func inviteKey(secret [32]byte, g inviteGet, nonce [32]byte, asker, owner peer.ID) []byte {
	return suite.Derive(secret[:], nil, 32, labelInviteReply, g.id[:], g.nonce[:], nonce[:], []byte(asker), []byte(owner))
}

// serveInvite answers one request.
func (m *Manager) serveInvite(ctx context.Context, s network.Stream) error {
	if err := prepare(s, serviceInvite, 4<<10, m.openTime); err != nil {
		return err
	}
	in := host.NewFrameReader(s, 512, inviteLimit, nil)
	body, err := expect(in, frameInviteGet)
	if err != nil {
		return err
	}
	g, err := parseInviteGet(body)
	if err != nil {
		return err
	}
	if !m.strangers.Allow() {
		return finalWrite(s, failure{code: parcel.CodeBusy, retry: 1}.append(nil))
	}
	asker, owner := s.Conn().RemotePeer(), s.Conn().LocalPeer()
	secret, reply, code := m.engine.ServeInvite(ctx, g.id, func(secret [32]byte) bool {
		mac := inviteMAC(secret, g, asker, owner)
		return suite.Equal(mac[:], g.mac[:])
	})
	if code != 0 {
		return finalWrite(s, failure{code: code}.append(nil))
	}
	var out inviteReply
	suite.Random(out.nonce[:])
	out.sealed = suite.Seal(nil, inviteKey(secret, g, out.nonce, asker, owner), nil, reply)
	if len(out.sealed) > maxReply {
		return fmt.Errorf("delivery: a reply about an invite has %d bytes", len(out.sealed))
	}
	return finalWrite(s, wire.AppendFrame(nil, frameInvite, out.marshal()))
}

// finalWrite writes the last bytes of a stream.
func finalWrite(s network.Stream, b []byte) error {
	if _, err := s.Write(b); err != nil {
		return host.Opaque("delivery: writing", err)
	}
	if err := s.Close(); err != nil {
		return host.Opaque("delivery: closing a stream", err)
	}
	return nil
}

// FetchInvite asks the invite's owner, at any of the hints, for what the
// invite with this id and secret promises. Whoever answers knows the secret.
// The error wraps ctx's, [ErrInviteUsed], [ErrInviteExpired],
// [ErrInviteUnknown], or [ErrUnreachable] when nobody said anything.
func (m *Manager) FetchInvite(ctx context.Context, hints []Hint, id [16]byte, secret [32]byte) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		reply []byte
		err   error
	}
	peers := m.peers(hints, nil)
	results := make(chan result, len(peers))
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, p := range peers {
		wg.Go(func() {
			reply, err := m.askInvite(ctx, p, id, secret)
			results <- result{reply, err}
		})
	}
	worst := ErrUnreachable
	for range peers {
		r := <-results
		if r.err == nil {
			cancel()
			return r.reply, nil
		}
		m.log.Debug("asking about an invite failed", "error", r.err)
		for _, known := range []error{ErrInviteUsed, ErrInviteExpired, ErrInviteUnknown} {
			if errors.Is(r.err, known) && !errors.Is(worst, ErrInviteUsed) {
				worst = known
			}
		}
	}
	if err := ctx.Err(); err != nil && errors.Is(worst, ErrUnreachable) {
		return nil, fmt.Errorf("asking about an invite: %w: %w", ErrUnreachable, err)
	}
	return nil, fmt.Errorf("asking about an invite: %w", worst)
}

// askInvite asks one peer.
func (m *Manager) askInvite(ctx context.Context, p peer.AddrInfo, id [16]byte, secret [32]byte) ([]byte, error) {
	s, err := m.openStream(host.CallsForInvite(ctx, id), p, ProtocolInvite, callTime)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	reply, err := exchangeInvite(s, id, secret)
	if err != nil {
		_ = s.Reset()
		return nil, err
	}
	_ = s.Close() // the answer is here
	return reply, nil
}

func exchangeInvite(s network.Stream, id [16]byte, secret [32]byte) ([]byte, error) {
	if err := s.SetDeadline(time.Now().Add(openTime)); err != nil {
		return nil, host.Opaque("delivery: setting a deadline", err)
	}
	asker, owner := s.Conn().LocalPeer(), s.Conn().RemotePeer()
	g := inviteGet{id: id}
	suite.Random(g.nonce[:])
	g.mac = inviteMAC(secret, g, asker, owner)
	if err := writeFrame(s, frameInviteGet, g.marshal()); err != nil {
		return nil, err
	}
	typ, body, err := host.NewFrameReader(s, 4<<10, inviteLimit, nil).Next()
	if err != nil {
		return nil, host.Opaque("delivery: waiting for a reply", err)
	}
	switch typ {
	case frameInvite:
		i, err := parseInviteReply(body)
		if err != nil {
			return nil, err
		}
		reply, err := suite.Open(nil, inviteKey(secret, g, i.nonce, asker, owner), nil, i.sealed)
		if err != nil {
			return nil, fmt.Errorf("delivery: opening a reply: %w", err)
		}
		return reply, nil
	case frameErr:
		f, err := parseFailure(body)
		if err != nil {
			return nil, err
		}
		return nil, inviteError(f.code)
	}
	return nil, fmt.Errorf("%w: frame %#x here", errProtocol, typ)
}

func inviteError(code uint8) error {
	switch code {
	case parcel.CodeUnknown:
		return ErrInviteUnknown
	case parcel.CodeUsed:
		return ErrInviteUsed
	case parcel.CodeExpired:
		return ErrInviteExpired
	}
	return fmt.Errorf("delivery: refused with code %d", code)
}
