package host

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// tap passes one TCP connection on and keeps what the server says.
func tap(t *testing.T, to string) (at string, said func() []byte) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var kept bytes.Buffer
	var wg sync.WaitGroup
	wg.Go(func() {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", to)
		if err != nil {
			_ = in.Close()
			return
		}
		wg.Go(func() { _, _ = io.Copy(out, in); _ = out.Close() })
		buf := make([]byte, 4096)
		for {
			n, err := out.Read(buf)
			mu.Lock()
			kept.Write(buf[:n])
			mu.Unlock()
			if _, werr := in.Write(buf[:n]); err != nil || werr != nil {
				_ = in.Close()
				return
			}
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String(), func() []byte {
		mu.Lock()
		defer mu.Unlock()
		return bytes.Clone(kept.Bytes())
	}
}

// TLS between hosts uses X25519 together with ML-KEM-768: the server's hello
// carries a key share of that group (RFC 8446 §4.2.8), on the wire.
func TestHandshakeIsHybrid(t *testing.T) {
	b := newHost(t, Config{Listen: []string{loopTCP}})
	at, said := tap(t, fmt.Sprintf("127.0.0.1:%d", b.Port()))
	_, port, err := net.SplitHostPort(at)
	if err != nil {
		t.Fatal(err)
	}
	a := newHost(t, Config{Listen: []string{loopTCP}})
	to := peer.AddrInfo{ID: b.ID(), Addrs: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/" + port)}}
	if err := a.Connect(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	share := []byte{0, 0x33, 0x04, 0x64, 0x11, 0xec} // extension, length, X25519MLKEM768
	if !bytes.Contains(said(), share) {
		t.Errorf("no key share of that group in the first %d bytes", len(said()))
	}
	if s := a.Libp2p().Network().ConnsToPeer(b.ID())[0].ConnState(); s.Security != "/tls/1.0.0" {
		t.Errorf("%+v", s)
	}
	_ = a.Disconnect(b.ID())
}
