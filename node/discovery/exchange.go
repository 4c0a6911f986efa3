package discovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"rushlight/node/host"
	"rushlight/protocol/identity"
	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

const (
	serviceHints = "rushlight.hints"
	exchangeTime = 10 * time.Second
	tellEvery    = 6 * time.Hour // what is the same is told again
)

func hintsLimit(typ uint8) int {
	switch typ {
	case frameAsk:
		return askHead + suite.SealOverhead + maxStatement
	case frameAnswer:
		return 32 + suite.SealOverhead + maxStatement
	}
	return -1
}

// handle answers a contact. A stranger learns nothing: the stream is reset as
// if nobody knew the protocol.
func (f *Finder) handle(ctx context.Context, s network.Stream) {
	f.mu.Lock()
	ok := f.open
	if ok {
		f.wg.Add(1)
	}
	f.mu.Unlock()
	if !ok {
		_ = s.Reset()
		return
	}
	defer f.wg.Done()
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	if err := f.serve(s); err != nil {
		_ = s.Reset()
		f.log.Debug("telling a contact where this device is", "error", err)
	}
}

func (f *Finder) serve(s network.Stream) error {
	if err := prepare(s); err != nil {
		return err
	}
	typ, body, err := host.NewFrameReader(s, 4<<10, hintsLimit, nil).Next()
	if err != nil {
		return host.Opaque("discovery: reading a question", err)
	}
	if typ != frameAsk || !f.strangers.Allow() {
		return fmt.Errorf("%w: or too many of them", host.ErrFrame)
	}
	from, self := s.Conn().RemotePeer(), s.Conn().LocalPeer()
	who, nonce, said, ok := readAsk(body, f.cfg.Contacts(), from, self)
	if !ok {
		return fmt.Errorf("discovery: a stranger asks")
	}
	p := pair{who.Secret, from, self}
	f.take(who.Account, from, said)
	answer, rev := f.mine()
	answer.found = f.wantedBy(who.Account, p, nonce, said.wanted)
	if _, err := s.Write(wire.AppendFrame(nil, frameAnswer, p.answer(nonce, answer))); err != nil {
		return host.Opaque("discovery: answering", err)
	}
	f.haveTold(from, rev)
	if err := s.Close(); err != nil {
		return host.Opaque("discovery: closing a stream", err)
	}
	return nil
}

func prepare(s network.Stream) error {
	if err := s.Scope().SetService(serviceHints); err != nil {
		return host.Opaque("discovery: claiming a stream", err)
	}
	if err := s.Scope().ReserveMemory(2*maxStatement, network.ReservationPriorityMedium); err != nil {
		return host.Opaque("discovery: claiming memory", err)
	}
	if err := s.SetDeadline(time.Now().Add(exchangeTime)); err != nil {
		return host.Opaque("discovery: setting a deadline", err)
	}
	return nil
}

// tell tells a contact that is connected where this device is, and hears where
// it is. With a secret it also asks where the holder of that is, which it
// returns; without, it says nothing that was said a moment ago.
func (f *Finder) tell(ctx context.Context, a identity.AccountID, p peer.ID, secret *[32]byte) (*foundHints, error) {
	shared, ok := f.sharedWith(a)
	if !ok {
		return nil, errors.New("discovery: not a contact yet")
	}
	own, rev := f.mine()
	if secret == nil && f.knows(p, rev) {
		return nil, nil
	}
	said, err := f.exchange(ctx, pair{shared, f.cfg.Host.ID(), p}, own, secret)
	if err != nil {
		return nil, err
	}
	f.haveTold(p, rev)
	f.take(a, p, said)
	if secret == nil || len(said.found) == 0 {
		return nil, nil
	}
	return &said.found[0], nil
}

func (f *Finder) exchange(ctx context.Context, p pair, own *statement, secret *[32]byte) (*statement, error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTime)
	defer cancel()
	ctx = network.WithAllowLimitedConn(network.WithNoDial(ctx, "hints"), "hints")
	s, err := f.cfg.Host.Libp2p().NewStream(ctx, p.listener, ProtocolHints)
	if err != nil {
		return nil, host.Opaque("discovery: opening a stream", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	said, err := f.converse(s, p, own, secret)
	if err != nil {
		_ = s.Reset()
		return nil, err
	}
	_ = s.Close() // the answer is here
	return said, nil
}

func (f *Finder) converse(s network.Stream, p pair, own *statement, secret *[32]byte) (*statement, error) {
	if err := prepare(s); err != nil {
		return nil, err
	}
	var nonce [32]byte
	suite.Random(nonce[:])
	if secret != nil {
		own.wanted = [][16]byte{p.wantedTag(nonce, *secret)}
	}
	if _, err := s.Write(wire.AppendFrame(nil, frameAsk, p.ask(nonce, own))); err != nil {
		return nil, host.Opaque("discovery: asking", err)
	}
	if err := s.CloseWrite(); err != nil {
		return nil, host.Opaque("discovery: asking", err)
	}
	typ, body, err := host.NewFrameReader(s, 4<<10, hintsLimit, nil).Next()
	if err != nil {
		return nil, host.Opaque("discovery: waiting for an answer", err)
	}
	if typ != frameAnswer {
		return nil, fmt.Errorf("%w: type %#x", host.ErrFrame, typ)
	}
	return p.readAnswer(nonce, body)
}

func (f *Finder) sharedWith(a identity.AccountID) ([32]byte, bool) {
	for _, c := range f.cfg.Contacts() {
		if c.Account == a {
			return c.Secret, true
		}
	}
	return [32]byte{}, false
}

// mine is what this device says of itself.
func (f *Finder) mine() (s *statement, rev int) {
	s = &statement{servers: f.servers.tell(time.Now())}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.reader, s.made, s.hints, s.vouched = readerBytes(f.owner.Reader()), f.made.UnixMilli(), f.hints, f.vouched
	return s, f.rev
}

// knows reports whether the peer was told as much not long ago.
func (f *Finder) knows(p peer.ID, rev int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, ok := f.told[p]
	return ok && t.rev == rev && time.Since(t.at) < tellEvery
}

func (f *Finder) haveTold(p peer.ID, rev int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.told) > 4096 {
		clear(f.told)
	}
	f.told[p] = telling{rev: rev, at: time.Now()}
}

// take remembers what a contact says.
func (f *Finder) take(a identity.AccountID, p peer.ID, s *statement) {
	if isServer(f.cfg.Host.Libp2p(), p) {
		if addrs := addrsOf(s.hints)[p]; len(addrs) > 0 {
			f.answered(peer.AddrInfo{ID: p, Addrs: addrs})
		}
	}
	for i := range s.servers {
		info := serverInfo(&s.servers[i])
		info.Addrs = slices.DeleteFunc(info.Addrs, func(a ma.Multiaddr) bool { return !manet.IsPublicAddr(a) })
		f.heard(info, string(a[:]))
	}
	ahead := time.Now().Add(24 * time.Hour).UnixMilli()
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.friend(a)
	if r == nil {
		return
	}
	// It is the contact itself that speaks: what it says now holds, however
	// its clock was set before.
	made := min(s.made, ahead)
	if r.Reader == s.reader && r.Made == made && sameHints(r.Hints, s.hints) && slices.Equal(r.Vouched, s.vouched) {
		return
	}
	r.Reader, r.Made, r.Hints, r.Vouched = s.reader, made, s.hints, s.vouched
	f.dirty[a] = true
	f.ring()
}

// wantedBy answers for the contacts whose secret the asker has shown to know.
func (f *Finder) wantedBy(asker identity.AccountID, p pair, nonce [32]byte, wanted [][16]byte) (out []foundHints) {
	if len(wanted) == 0 {
		return nil
	}
	contacts := f.cfg.Contacts()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range contacts {
		r := f.friends[c.Account]
		if r == nil || c.Account == asker || len(r.Hints) == 0 {
			continue
		}
		for _, secret := range append([][32]byte{readerOf(r.Reader).Secret}, r.Vouched...) {
			tag := p.wantedTag(nonce, secret)
			for i, w := range wanted {
				if suite.Equal(tag[:], w[:]) && len(out) < maxWanted {
					out = append(out, foundHints{uint8(i), r.Made, r.Hints})
				}
			}
		}
	}
	return out
}

// addrsOf groups hints by peer.
func addrsOf(hints []identity.Hint) map[peer.ID][]ma.Multiaddr {
	out := map[peer.ID][]ma.Multiaddr{}
	for _, h := range hints {
		if a, err := ma.NewMultiaddrBytes(h.Addr); err == nil && len(h.Addr) > 0 {
			out[peer.ID(h.Peer)] = append(out[peer.ID(h.Peer)], a)
		}
	}
	return out
}
