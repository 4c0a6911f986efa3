package record

import (
	"rushlight/protocol/wire"
	"rushlight/storage"
)

// MaxServerAddrs is how many addresses are remembered of one node of the hash
// table.
const MaxServerAddrs = 4

// Server is a node of the hash table that answered once, or that a contact
// named.
type Server struct {
	Peer     []byte   // binary peer id, 1 to 64 bytes
	Addrs    [][]byte // binary multiaddrs without the peer, newest first
	Seen     int64    // when it last answered, unix seconds; 0 if never
	Failures uint8    // calls in vain since then
}

// ServerKey is the key of one server.
func ServerKey(n Namer, peer []byte) storage.Key {
	p := n.Pseudonym("server", peer)
	return key(FamilyServer, p[:])
}

// ServerPrefix is the prefix of all servers.
func ServerPrefix() storage.Key { return key(FamilyServer) }

// Marshal encodes s.
func (s *Server) Marshal() []byte {
	w := wire.NewWriter(nil).U8(1).Vec8(s.Peer).U8(uint8(len(s.Addrs)))
	for _, a := range s.Addrs {
		w.Vec8(a)
	}
	return w.U64(uint64(s.Seen)).U8(s.Failures).Out()
}

// ParseServer decodes a [Server].
func ParseServer(b []byte) (*Server, error) {
	r := wire.NewReader(b)
	version(r)
	s := &Server{Peer: r.Vec8(64)}
	n := int(r.U8())
	if n > MaxServerAddrs {
		r.Fail("too many addresses")
	}
	for ; n > 0 && r.Err() == nil; n-- {
		s.Addrs = append(s.Addrs, r.Vec8(128))
	}
	s.Seen, s.Failures = int64(r.U64()), r.U8()
	return s, r.Close()
}
