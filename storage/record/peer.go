package record

import (
	"rushlight/protocol/identity"
	"rushlight/protocol/wire"
	"rushlight/storage"
)

// MaxAddresses is how many working addresses are remembered of one device.
const MaxAddresses = 8

// Peer is where one device of a contact was last reached, newest first.
type Peer struct {
	Device    identity.DeviceID
	Account   identity.AccountID
	Addresses []identity.Hint
	Seen      int64 // unix seconds
}

// PeerKey is the key of one peer.
func PeerKey(n Namer, d identity.DeviceID) storage.Key {
	p := n.Pseudonym("device", d[:])
	return key(FamilyPeer, p[:])
}

// PeerPrefix is the prefix of all peers.
func PeerPrefix() storage.Key { return key(FamilyPeer) }

// Marshal encodes p.
func (p *Peer) Marshal() []byte {
	w := wire.NewWriter(nil).U8(1).Raw(p.Device[:]).Raw(p.Account[:]).U8(uint8(len(p.Addresses)))
	for _, h := range p.Addresses {
		w.Vec8(h.Peer).Vec8(h.Addr)
	}
	return w.U64(uint64(p.Seen)).Out()
}

// ParsePeer decodes a [Peer].
func ParsePeer(b []byte) (*Peer, error) {
	r := wire.NewReader(b)
	version(r)
	p := &Peer{Device: r.A16(), Account: r.A32()}
	n := int(r.U8())
	if n > MaxAddresses {
		r.Fail("too many addresses")
	}
	for ; n > 0 && r.Err() == nil; n-- {
		p.Addresses = append(p.Addresses, identity.Hint{Peer: r.Vec8(64), Addr: r.Vec8(128)})
	}
	p.Seen = int64(r.U64())
	return p, r.Close()
}
