package node

import (
	"context"
	"crypto/ed25519"
	"errors"

	"rushlight/node/api"
	"rushlight/node/discovery"
	"rushlight/node/engine"
	"rushlight/node/host"
	"rushlight/node/mailbox"
	"rushlight/node/post"
	"rushlight/protocol/identity"
	"rushlight/protocol/wire"
	"rushlight/storage/record"
)

// newPost makes the part that speaks to relays.
func (n *Node) newPost() {
	n.post = post.New(post.Config{
		Engine: n.engine, Logger: n.log,
		Fresh: func() (*host.Host, error) {
			return discovery.Fresh(host.Config{
				Profile: n.cfg.Profile, SOCKS: n.cfg.SOCKS, NetworkKey: n.cfg.NetworkKey, Logger: n.log, Libp2p: n.cfg.Host, Beside: n.host,
			})
		},
	})
}

// couriers are all who want to know that something waits.
type couriers []engine.Courier

func (c couriers) Wake(a identity.AccountID) {
	for _, one := range c {
		one.Wake(a)
	}
}

// AddRelay implements api.Daemon.
func (n *Node) AddRelay(ctx context.Context, addrs []string, token string) (api.Mailbox, error) {
	peers, err := host.ParsePeers(addrs)
	if err != nil || len(peers) != 1 {
		return api.Mailbox{}, api.Errorf(api.CodeUsage, "that is not the address of a relay").WithHint("write it like /ip4/192.0.2.1/udp/4001/quic-v1/p2p/12D3…")
	}
	key, err := mailbox.RelayKey(peers[0].ID)
	if err != nil {
		return api.Mailbox{}, api.Errorf(api.CodeUsage, "that is not the address of a relay")
	}
	proof, err := wire.DecodeText(token)
	if token != "" && (err != nil || len(proof) != mailbox.TokenSize) {
		return api.Mailbox{}, api.Errorf(api.CodeUsage, "that is not a token of a relay")
	}
	var raw [][]byte
	for _, a := range peers[0].Addrs {
		raw = append(raw, a.Bytes())
		n.finder.HeardRelay(key, a.Bytes())
	}
	if err := n.engine.AddRelay(ctx, key, raw, proof); err != nil {
		return api.Mailbox{}, relayError(err)
	}
	n.post.Recheck()
	return n.mailbox(key), nil
}

// RemoveRelay implements api.Daemon.
func (n *Node) RemoveRelay(ctx context.Context, peer string) error {
	for _, r := range n.engine.Mailboxes() {
		if post.PeerID(r.Key) == peer {
			return relayError(n.engine.RemoveRelay(ctx, r.Key))
		}
	}
	return relayError(engine.ErrUnknownRelay)
}

// Mailboxes implements api.Daemon.
func (n *Node) Mailboxes(context.Context) (out []api.Mailbox, err error) {
	for _, r := range n.engine.Mailboxes() {
		out = append(out, n.mailboxOf(&r))
	}
	return out, nil
}

func (n *Node) mailbox(key [32]byte) api.Mailbox {
	for _, r := range n.engine.Mailboxes() {
		if r.Key == key {
			return n.mailboxOf(&r)
		}
	}
	return api.Mailbox{}
}

func (n *Node) mailboxOf(r *record.Relay) api.Mailbox {
	s := n.post.Status(r.Key)
	own := ed25519.NewKeyFromSeed(r.Seed[:]).Public().(ed25519.PublicKey)
	out := api.Mailbox{
		Peer: post.PeerID(r.Key), Key: wire.EncodeText(own), State: api.MailboxWanted, Why: s.Why,
		Live: s.Live, Quota: s.Quota, Faults: r.Faults,
		Refused: r.Refused, Crowded: r.Crowded, FullAt: api.Time(1000 * r.Full),
	}
	switch {
	case r.Leaving != 0:
		out.State = api.MailboxLeaving
	case r.Lied != 0:
		out.State, out.Why = api.MailboxLied, whyBad(r)
	case engine.Bad(r):
		out.State, out.Why = api.MailboxDown, whyBad(r)
	case s.Failed > 0:
		out.State = api.MailboxDown
	case r.Ready && s.Ready:
		out.State = api.MailboxOK
	}
	out.Addrs = addrTexts(r.Addrs)
	return out
}

// whyBad says why contacts are told of other relays, and what to do.
func whyBad(r *record.Relay) string {
	why := "it has not answered for a day"
	switch {
	case r.Lied != 0:
		why = "it signed for mail that it did not hand out"
	case r.Missed >= 3:
		why = "mail that was left there did not come"
	}
	return why + "; contacts leave mail at your other relays: add one in its place with rushlight relays add"
}

func relayError(err error) error {
	switch {
	case errors.Is(err, engine.ErrTooManyRelays):
		return api.Errorf(api.CodeUsage, "mail waits at three relays at most").WithHint("remove one first: rushlight relays remove. One that has not answered for a day makes room by itself")
	case errors.Is(err, engine.ErrUnknownRelay):
		return api.Errorf(api.CodeUsage, "there is no mailbox at this relay").WithHint("see: rushlight relays list")
	}
	return apiError(err)
}
