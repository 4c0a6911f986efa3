package delivery

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	ma "github.com/multiformats/go-multiaddr"

	"rushlight/node/host"
)

// hostAgain starts a closed host once more: same key, same addresses.
func hostAgain(t testing.TB, old *host.Host, addrs []ma.Multiaddr) *host.Host {
	t.Helper()
	raw, err := old.Libp2p().Peerstore().PrivKey(old.ID()).Raw()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := crypto.UnmarshalEd25519PrivateKey(raw); err != nil {
		t.Fatal(err)
	}
	var listen []string
	for _, a := range addrs {
		listen = append(listen, a.String())
	}
	h, err := host.New(host.Config{Key: [32]byte(raw[:32]), Listen: listen})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}
