package node

import (
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"rushlight/protocol/identity"
)

// Where a device was once named and never reached isn't called any more when it
// has said where it is; all else that is known of it is, and so is everything of
// a device that has said nothing.
func TestStillCalled(t *testing.T) {
	hint := func(device, addr string) identity.Hint {
		return identity.Hint{Peer: []byte(device), Addr: ma.StringCast(addr).Bytes()}
	}
	const never, reached, home = "/ip4/20.5.0.0/udp/4/quic-v1", "/ip4/20.6.0.0/udp/4/quic-v1", "/ip4/192.168.1.2/udp/4/quic-v1"
	known := []identity.Hint{hint("one", never), hint("one", reached), hint("one", home), hint("two", never)}
	proven := func(a ma.Multiaddr) bool { return a.String() == reached }
	for what, x := range map[string]struct {
		said []identity.Hint
		want []identity.Hint
	}{
		"nothing said":          {nil, known},
		"said without address":  {[]identity.Hint{{Peer: []byte("one")}}, known},
		"said by the first one": {[]identity.Hint{hint("one", "/ip4/20.7.0.0/udp/4/quic-v1")}, known[1:]},
		"said by both": {
			[]identity.Hint{hint("one", "/ip4/20.7.0.0/udp/4/quic-v1"), hint("two", "/ip4/20.8.0.0/udp/4/quic-v1")}, known[1:3],
		},
	} {
		got := stillCalled(known, x.said, proven)
		if len(got) != len(x.want) {
			t.Errorf("%s: %d addresses are called, not %d", what, len(got), len(x.want))
			continue
		}
		for i := range got {
			if string(got[i].Peer) != string(x.want[i].Peer) || string(got[i].Addr) != string(x.want[i].Addr) {
				t.Errorf("%s: address %d is another", what, i)
			}
		}
	}
}
