package main

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"rushlight/node/api"
	"rushlight/node/door"
	"rushlight/node/host"
	"rushlight/protocol/identity"
)

// torSOCKS is where Tor listens as installed.
const torSOCKS = "127.0.0.1:9050"

// defaultIdleCap is what an idle device may cost in bytes a day, both ways.
const defaultIdleCap = 5_000_000

var errLockAfter = api.Errorf(api.CodeBadDuration, "that is not a time after which to lock").WithHint("at least 1s, such as 15m; off is never")

// settings checks what up was told.
func (u upFlags) settings() (settings, error) {
	s := settings{
		socks: u.socks, listen: u.listen, announce: u.announce, bootstrap: u.bootstrap, relays: u.relays,
		idleCap: u.idleCap, noLAN: u.noLAN, name: u.name, page: u.page, open: !u.noOpen,
	}
	var err error
	if s.profile, err = host.ParseProfile(u.profile); err != nil {
		return s, api.Errorf(api.CodeUsage, "there is no such profile").WithHint("it is desktop, relay or hidden")
	}
	if u.noPage || s.profile == host.Relay && s.page == defaultPage {
		s.page = ""
	}
	if s.page != "" && !door.IsLoopback(s.page) {
		return s, errPageAddr
	}
	after, err := api.ParseTimer(u.lockAfter)
	if err != nil {
		return s, errLockAfter
	}
	s.lockAfter, s.notify, s.said = time.Duration(after), u.notify, u.said()
	if err := (api.Choices{LockAfter: after, Notify: s.notify}).Check(); err != nil {
		return s, err
	}
	if s.signalCLI = u.signalCLI; s.signalCLI != "" && !door.IsLoopback(s.signalCLI) {
		return s, errSignalAddr
	}
	if s.idleCap < 0 {
		return s, api.Errorf(api.CodeUsage, "that is not a number of bytes").WithHint("write it like 5000000")
	}
	if s.profile == host.Relay && s.idleCap == defaultIdleCap {
		s.idleCap = 0 // serving others is what it is there for
	}
	if s.name != "" && identity.CheckName(s.name) != nil {
		return s, api.Errorf(api.CodeUsage, "that name can't be used").
			WithHint("at most 64 bytes, no invisible characters, no spaces at the ends")
	}
	for _, l := range s.listen {
		if !canListen(l) {
			return s, api.Errorf(api.CodeUsage, "that is not an address to listen on").
				WithHint("write it like /ip4/0.0.0.0/udp/4001/quic-v1")
		}
	}
	for _, p := range append(s.bootstrap, s.relays...) {
		if _, err := host.ParsePeer(p); err != nil {
			return s, api.Errorf(api.CodeUsage, "that is not the address of a peer").
				WithHint("write it like /ip4/192.0.2.1/tcp/4001/p2p/12D3KooW…")
		}
	}
	if u.networkKey != "" {
		if s.networkKey, err = readNetworkKey(u.networkKey); err != nil {
			return s, err
		}
	}
	return s, s.checkProfile()
}

// checkProfile checks what goes with a profile.
func (s *settings) checkProfile() error {
	if s.profile != host.Hidden {
		if s.socks != "" {
			return api.Errorf(api.CodeUsage, "only a hidden profile dials through a proxy").WithHint("use --profile hidden")
		}
		return nil
	}
	if len(s.listen) > 0 || len(s.announce) > 0 {
		return api.Errorf(api.CodeUsage, "a hidden profile listens nowhere").WithHint("leave --listen and --announce out")
	}
	if s.socks == "" {
		s.socks = torSOCKS
	}
	if h, port, err := net.SplitHostPort(s.socks); err != nil || h == "" || !isPort(port) {
		return api.Errorf(api.CodeUsage, "that is not the address of a proxy").WithHint("write it like " + torSOCKS)
	}
	return nil
}

func readNetworkKey(name string) (*[32]byte, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading the network key: %w", bareFile(err))
	}
	key, err := host.ReadNetworkKey(bytes.NewReader(b))
	if err != nil {
		return nil, api.Errorf(api.CodeUsage, "that file holds no network key").
			WithHint("it has the lines /key/swarm/psk/1.0.0/ and /base16/, then 64 hex digits")
	}
	return key, nil
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// canListen tells whether addr begins like a multiaddr to listen on: an address
// of this machine and a port. What follows is for the host to judge.
func canListen(addr string) bool {
	parts := strings.Split(addr, "/")
	if len(parts) < 5 || parts[0] != "" || (parts[3] != "tcp" && parts[3] != "udp") {
		return false
	}
	ip, err := netip.ParseAddr(parts[2])
	if err != nil || ip.Zone() != "" || (parts[1] != "ip4" || !ip.Is4()) && (parts[1] != "ip6" || !ip.Is6()) {
		return false
	}
	_, err = strconv.ParseUint(parts[4], 10, 16)
	return err == nil
}
