package mailbox

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"rushlight/node/host"
	"rushlight/protocol/envelope"
	wire "rushlight/protocol/mailbox"
	"rushlight/protocol/suite"
	"rushlight/storage/shelf"
)

func relayConfig(dir string) RelayConfig {
	return RelayConfig{
		Dir: dir, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Status: "127.0.0.1:0",
		Keeper: Config{Hosting: wire.HostToken},
		Shelf:  shelf.Options{MemTableSize: 4 << 20, MinFree: 1, Ballast: -1},
	}
}

// A relay as its operator runs it: tokens, mail, status, drain, restart with
// the same address, an envelope deleted by its id.
func TestRelay(t *testing.T) {
	c := relayConfig(filepath.Join(t.TempDir(), "relay"))
	run := func() (*Relay, func()) {
		t.Helper()
		r, err := OpenRelay(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		<-r.Ready()
		if all := r.host.Libp2p().Mux().Protocols(); !slices.Contains(all, wire.ProtocolOwner) || !slices.Contains(all, wire.ProtocolDeposit) {
			t.Error("it is ready and doesn't serve yet")
		}
		return r, func() {
			stop()
			if err := errors.Join(<-ended, r.Close()); err != nil {
				t.Error(err)
			}
		}
	}
	r, stop := run()
	tokens, err := RelayTokens(c, 2)
	if err != nil {
		t.Fatal(err)
	}
	var seed [32]byte
	suite.Random(seed[:])
	h, err := host.New(host.Config{Key: seed, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	reach := func(r *Relay) peer.ID {
		t.Helper()
		// What led to a relay that has ended may not be known to be closed yet.
		if err := h.Libp2p().Network().ClosePeer(r.host.ID()); err != nil {
			t.Fatal(err)
		}
		if err := h.Connect(t.Context(), peer.AddrInfo{ID: r.host.ID(), Addrs: r.host.Libp2p().Network().ListenAddresses()}); err != nil {
			t.Fatal(err)
		}
		return r.host.ID()
	}
	id := reach(r)
	key := newKey(t)
	box, _, _, err := OpenMailbox(t.Context(), h, id, key)
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	if _, err := box.Create(t.Context(), &wire.Create{Proof: tokens[0][:]}); err != nil {
		t.Fatal(err)
	}
	_, sts, err := box.Stamps(t.Context(), envelope.S, 2)
	if err != nil {
		t.Fatal(err)
	}
	d, err := OpenDeposits(t.Context(), h, id)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	first, second := env(envelope.S), env(envelope.S)
	for i, e := range [][]byte{first, second} {
		if _, err := d.Deposit(t.Context(), &wire.Deposit{TTL: 30, Receipt: true, Stamp: sts[i], Envelope: e}); err != nil {
			t.Fatal(err)
		}
	}
	web := httptest.NewServer(r.Handler())
	defer web.Close()
	get := func(path string) string {
		t.Helper()
		resp, err := http.Get(web.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if m := get("/metrics"); !strings.Contains(m, "\nrushlight_relay_deposits_total 2\n") || !strings.Contains(m, "\nrushlight_relay_room 1\n") {
		t.Error(m)
	}
	var st RelayStatus
	if err := json.Unmarshal([]byte(get("/status")), &st); err != nil || st.Mailboxes != 1 || st.Envelopes != 2 || st.Live != 4096 {
		t.Errorf("%+v, %v", st, err)
	}
	stop()
	if n, err := EraseObject(t.Context(), c, wire.Object(first)); n != 1 || err != nil {
		t.Error(n, err)
	}
	r, stop = run()
	defer stop()
	if reach(r) != id {
		t.Error("another address after a restart")
	}
	box, _, state, err := OpenMailbox(t.Context(), h, id, key)
	if err != nil || !state.Found || state.Live != 2048 {
		t.Fatalf("%+v, %v", state, err)
	}
	defer box.Close()
}

// The status is nobody's but the operator's, and a key file is left alone.
func TestRelayRefuses(t *testing.T) {
	c := relayConfig(t.TempDir())
	c.Status = "0.0.0.0:0"
	if r, err := OpenRelay(t.Context(), c); err == nil {
		t.Error("the status is served to everybody", r.Close())
	}
	c = relayConfig(t.TempDir())
	if err := os.WriteFile(filepath.Join(c.Dir, "key"), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenRelay(t.Context(), c); !errors.Is(err, ErrKeyFile) {
		t.Error(err)
	}
	if _, err := RelayTokens(relayConfig(t.TempDir()), 1); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
