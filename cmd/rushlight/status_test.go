package main

import (
	"regexp"
	"strings"
	"testing"

	"rushlight/node/api"
)

// What a person wants to know of the network is said in words: whether others
// can call and why, how, by whom, how large the hash table is, what it costs a
// day, and what is left out when no more may be spent.
func TestStatusInWords(t *testing.T) {
	s := api.Status{
		Ready: true, Text: "connected to 3", Reachability: "relayed", Why: "a router stops calls, but they come through a relay",
		Transports: []string{"circuit", "quic", "tcp"}, Addrs: []string{"/ip4/192.0.2.1/tcp/1/p2p/a", "/ip4/192.0.2.1/udp/1/quic-v1/p2p/a"},
		Peers: 3, DHT: api.DHTStatus{Enabled: true, Peers: 1234},
		Relays: []api.Relay{{Peer: "12D3relay", State: "ok", Transport: "tcp", Took: 31}, {Peer: "12D3other", State: "down"}},
		Bytes:  api.Traffic{In: 2048, Out: 1024}, CPU: 1.25, Day: api.Usage{In: 4096, Out: 3072, CPU: 2.5, Hours: 6.5},
		Idle: api.IdleStatus{Cap: 5_000_000, Used: 1_000_000, State: "ok"},
	}
	words := func(want ...string) {
		t.Helper()
		var b strings.Builder
		printStatus(&b, s)
		for _, w := range want {
			if !regexp.MustCompile(`(?m)^\s*` + w + `$`).MatchString(b.String()) {
				t.Errorf("%q is not said in\n%s", w, b.String())
			}
		}
	}
	words(
		`ready +yes`, `network +connected to 3`, `reachability +relayed: a router stops calls, but they come through a relay`,
		`transports +circuit, quic, tcp`, `addresses +/ip4/192.0.2.1/tcp/1/p2p/a`, `/ip4/192.0.2.1/udp/1/quic-v1/p2p/a`,
		`peers +3`, `dht +1234 peers`, `relays +12D3relay \(ok, by tcp, answered in 31 ms\), 12D3other \(down\)`,
		`traffic +2\.0 kB in, 1\.0 kB out`, `cpu +1\.[23] s`, `last day +4\.1 kB in, 3\.1 kB out, 2\.5 s cpu in 6\.5 h`,
		`idle traffic +about 1\.0 MB of 5\.0 MB a day`,
	)
	for state, want := range map[string]string{
		"sparing": `idle traffic +about .* a day; little is left: one relay, fewer questions`,
		"spent":   `idle traffic +about .* a day; used up for now: messages go as always, contacts may find you later than usual`,
	} {
		s.Idle.State = state
		words(want)
	}
	s.Idle.Cap = 0
	words(`idle traffic +about .* a day, no limit`)
}
