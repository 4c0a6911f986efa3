//go:build linux

package process_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rushlight/node/api"
)

// natBed is two hosts behind routers of their own and a relay between them.
// The addresses look public, because others are not used; nothing leaves the
// namespaces.
//
//	host A 192.168.1.2 — router A 5.5.1.10 ┐
//	                                       ├ relay 5.5.0.1
//	host B 192.168.2.2 — router B 5.5.2.20 ┘
type natBed struct{ a, b, relay string }

// Kinds of routers: one that keeps a port for all peers, and one that takes
// another for each.
const (
	easy = "masquerade"
	hard = "masquerade fully-random"
)

// newNATBed makes the namespaces. more are rules for what hosts may send.
func newNATBed(t *testing.T, name, natA, natB, moreA, moreB string) natBed {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs Debian's nftables")
	}
	space := func(s string) string { return "rl-" + name + s }
	newSpaces(t, space("wan"), space("relay"), space("natA"), space("natB"), space("a"), space("b"))
	command(t, "ip", "-n", space("wan"), "link", "add", "br0", "type", "bridge")
	command(t, "ip", "-n", space("wan"), "link", "set", "br0", "up")
	plug := func(s, dev, addr string) {
		port := "p" + s
		command(t, "ip", "link", "add", dev, "netns", space(s), "type", "veth", "peer", "name", port, "netns", space("wan"))
		command(t, "ip", "-n", space("wan"), "link", "set", port, "master", "br0", "up")
		command(t, "ip", "-n", space(s), "addr", "add", addr, "dev", dev)
		command(t, "ip", "-n", space(s), "link", "set", dev, "up")
	}
	plug("relay", "eth0", "5.5.0.1/16")
	plug("natA", "wan0", "5.5.1.10/16")
	plug("natB", "wan0", "5.5.2.20/16")
	for _, side := range []struct{ nat, host, subnet, kind, more string }{
		{space("natA"), space("a"), "192.168.1", natA, moreA}, {space("natB"), space("b"), "192.168.2", natB, moreB},
	} {
		command(t, "ip", "link", "add", "lan0", "netns", side.nat, "type", "veth", "peer", "name", "eth0", "netns", side.host)
		command(t, "ip", "-n", side.nat, "addr", "add", side.subnet+".1/24", "dev", "lan0")
		command(t, "ip", "-n", side.nat, "link", "set", "lan0", "up")
		command(t, "ip", "-n", side.host, "addr", "add", side.subnet+".2/24", "dev", "eth0")
		command(t, "ip", "-n", side.host, "link", "set", "eth0", "up")
		command(t, "ip", "-n", side.host, "route", "add", "default", "via", side.subnet+".1")
		command(t, "ip", "netns", "exec", side.nat, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
		rules(t, side.nat, `
table ip nat {
	chain post {
		type nat hook postrouting priority 100;
		oifname "wan0" `+side.kind+`
	}
}
table ip filter {
	chain through {
		type filter hook forward priority 0; policy drop;
		`+side.more+`
		ct state established,related accept
		iifname "lan0" accept
	}
	chain self {
		type filter hook input priority 0; policy drop;
		ct state established,related accept
		iifname "lan0" accept
	}
}
`)
	}
	return natBed{a: space("a"), b: space("b"), relay: space("relay")}
}

// rules loads nftables rules in a namespace.
func rules(t *testing.T, space, text string) {
	t.Helper()
	if out, err := exec.Command("ip", "netns", "exec", space, "nft", "add", "table", "ip", "nat").CombinedOutput(); err != nil {
		t.Skipf("this machine has no nftables: %s", out)
	}
	cmd := exec.Command("ip", "netns", "exec", space, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
}

// startRelay runs the program as a relay and returns the full addresses.
func startRelay(t *testing.T, bed natBed, more ...string) (r *daemon, quic, tcp string) {
	t.Helper()
	r = startDaemon(t, &daemon{space: bed.relay, flags: append([]string{
		"--profile", "relay", "--no-page",
		"--listen", "/ip4/5.5.0.1/udp/4001/quic-v1", "--listen", "/ip4/5.5.0.1/tcp/4001",
	}, more...)}, "relay")
	var self api.Self
	r.call("id", nil, &self)
	return r, "/ip4/5.5.0.1/udp/4001/quic-v1/p2p/" + self.Peer, "/ip4/5.5.0.1/tcp/4001/p2p/" + self.Peer
}

// placed waits until the daemon is reachable through a relay.
func (d *daemon) placed() {
	d.t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for {
		var s api.Status
		d.call("status", nil, &s)
		if strings.Contains(strings.Join(s.Addrs, " "), "/p2p-circuit") {
			if s.Reachability != "relayed" || s.Why == "" || len(s.Relays) == 0 || s.Relays[0].State == "down" {
				d.t.Errorf("%+v", s)
			}
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("no place at the relay: %+v", s)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// talk sends one message each way and returns how long both took.
func talk(t *testing.T, a, b *daemon) time.Duration {
	t.Helper()
	began := time.Now()
	for _, pair := range [][2]*daemon{{a, b}, {b, a}} {
		if _, err := pair[0].send(pair[1], "hello", ""); err != nil {
			t.Fatal(err)
		}
		pair[0].drainedWithin(soon)
	}
	return time.Since(began)
}

// meet starts both sides behind the relay and lets them find each other.
func meet(t *testing.T, bed natBed, relayA, relayB []string, env ...string) (a, b *daemon) {
	t.Helper()
	flags := func(relays []string) []string {
		out := []string{"--no-lan"}
		for _, r := range relays {
			out = append(out, "--relay", r)
		}
		return out
	}
	a = startDaemon(t, &daemon{space: bed.a, env: env, flags: flags(relayA)}, "ann")
	b = startDaemon(t, &daemon{space: bed.b, env: env, flags: flags(relayB)}, "bob")
	a.placed()
	b.placed()
	began := time.Now()
	befriend(t, a, b)
	met := time.Since(began)
	t.Logf("met after %v, both ways %v", met.Round(time.Millisecond), talk(t, a, b).Round(time.Millisecond))
	return a, b
}

// straight waits for a connection that needs no relay.
func (d *daemon) straight(limit time.Duration) bool {
	d.t.Helper()
	deadline := time.Now().Add(limit)
	for time.Now().Before(deadline) {
		var s api.Status
		d.call("status", nil, &s)
		for _, c := range s.Connections {
			if !c.Relayed && !c.Relay {
				return true
			}
		}
		<-time.After(100 * time.Millisecond)
	}
	return false
}

// TestNAT lets two people behind routers meet through a circuit relay. Where
// both routers allow it they end up with a direct connection, which outlives
// the relay; where they don't, nothing is lost. It needs root and Debian's
// nftables and iproute2.
func TestNAT(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, a, b, more string
		direct           bool
	}{
		{"ee", easy, easy, "", true},
		{"he", hard, easy, "", false},
		{"hh", hard, hard, "", false},
		{"noudp", easy, easy, "meta l4proto udp drop", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bed := newNATBed(t, c.name, c.a, c.b, c.more, c.more)
			relay, quic, tcp := startRelay(t, bed)
			both := []string{quic, tcp}
			a, b := meet(t, bed, both, both)
			began := time.Now()
			limit := 60 * time.Second
			if !c.direct {
				limit = 5 * time.Second
			}
			if got := a.straight(limit); got != c.direct {
				t.Fatalf("a direct connection: %v", got)
			} else if got {
				t.Logf("direct after %v", time.Since(began).Round(time.Millisecond))
			}
			talk(t, a, b)
			relay.kill()
			if c.direct {
				<-time.After(3 * time.Second) // until what went by the relay is given up
				talk(t, a, b)
				return
			}
			if _, err := a.send(b, "while there was no relay", ""); err != nil {
				t.Fatal(err)
			}
			if a.drains(3 * time.Second) {
				t.Error("delivered without a relay: the test bed is open")
			}
			relay.start()
			a.drainedWithin(60 * time.Second)
		})
	}
}

// TestOnly443 lets somebody out by TCP port 443 alone, where an ordinary
// reverse proxy passes WebSocket over TLS on to the relay. It also needs
// Debian's nginx-light.
func TestOnly443(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Skip("needs Debian's nginx-light")
	}
	const name = "relay.rushlight.example"
	bed := newNATBed(t, "443", easy, easy, `iifname "lan0" tcp dport != 443 drop; iifname "lan0" meta l4proto != tcp drop`, "")
	dir := t.TempDir()
	certify(t, dir, name)
	wss := "/ip4/5.5.0.1/tcp/443/tls/sni/" + name + "/ws"
	_, quic, tcp := startRelay(t, bed,
		"--listen", "/ip4/127.0.0.1/tcp/4002/ws",
		"--announce", "/ip4/5.5.0.1/udp/4001/quic-v1", "--announce", "/ip4/5.5.0.1/tcp/4001", "--announce", wss)
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte(`
daemon off; pid `+dir+`/pid; error_log `+dir+`/error.log;
events {}
http {
	access_log off;
	client_body_temp_path `+dir+`/t1; proxy_temp_path `+dir+`/t2; fastcgi_temp_path `+dir+`/t3; uwsgi_temp_path `+dir+`/t4; scgi_temp_path `+dir+`/t5;
	server {
		listen 443 ssl; server_name `+name+`;
		ssl_certificate `+dir+`/cert.pem; ssl_certificate_key `+dir+`/key.pem;
		location / {
			proxy_pass http://127.0.0.1:4002; proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";
			proxy_read_timeout 1h;
		}
	}
}`), 0o600); err != nil {
		t.Fatal(err)
	}
	nginx := exec.Command("ip", "netns", "exec", bed.relay, "nginx", "-e", dir+"/error.log", "-c", conf)
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nginx.Process.Kill(); _ = nginx.Wait() })
	_, id, _ := strings.Cut(tcp, "/p2p/")
	a, b := meet(t, bed, []string{quic, tcp, wss + "/p2p/" + id}, []string{quic, tcp}, "SSL_CERT_FILE="+dir+"/cert.pem")
	var s api.Status
	a.call("status", nil, &s)
	if len(s.Relays) != 1 || s.Relays[0].Transport != "websocket" {
		t.Errorf("%+v", s.Relays)
	}
	talk(t, a, b)
	// Both restart, and the one that is let out calls with nothing but the
	// addresses it was told.
	b.kill()
	if _, err := a.send(b, "while bob was away", ""); err != nil {
		t.Fatal(err)
	}
	b.start()
	a.drainedWithin(time.Minute)
}

// certify writes a certificate that signs itself.
func certify(t *testing.T, dir, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(5, 5, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "EC PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
