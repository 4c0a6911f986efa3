//go:build linux

package process_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// upnpBed is a host behind a router that passes calls on to whoever asks by UPnP
// alone, and lets in nothing else. The addresses outside look public, because
// others are not told to anybody.
//
//	host 10.77.1.1 — router 10.77.1.2, 5.9.9.9 — friend 5.9.9.1
type upnpBed struct{ host, router, friend string }

func newUPnPBed(t *testing.T) upnpBed {
	t.Helper()
	const miniupnpd = "/usr/sbin/miniupnpd"
	if _, err := os.Stat(miniupnpd); err != nil {
		t.Skip("needs Debian's miniupnpd, with miniupnpd-nftables")
	}
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs Debian's nftables")
	}
	b := upnpBed{"rl-upnp", "rl-upnprouter", "rl-upnpfriend"}
	newLAN(t, b.host, b.router)
	newSpaces(t, b.friend)
	command(t, "ip", "-n", b.host, "route", "replace", "default", "via", "10.77.1.2")
	command(t, "ip", "link", "add", "wan0", "netns", b.router, "type", "veth", "peer", "name", "wan0", "netns", b.friend)
	for space, addr := range map[string]string{b.router: routerPublic, b.friend: "5.9.9.1"} {
		command(t, "ip", "-n", space, "addr", "add", addr+"/24", "dev", "wan0")
		command(t, "ip", "-n", space, "link", "set", "wan0", "up")
	}
	command(t, "ip", "-n", b.router, "route", "replace", "default", "via", "5.9.9.1")
	command(t, "ip", "netns", "exec", b.router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
	rules(t, b.router, `
table inet filter {
	chain outward {
		type filter hook forward priority 0; policy drop;
		ct state established,related accept
		iifname "wire0" accept
		jump miniupnpd
	}
	chain miniupnpd { }
	chain before {
		type nat hook prerouting priority -100;
		jump prerouting_miniupnpd
	}
	chain after {
		type nat hook postrouting priority 100;
		oifname "wan0" masquerade
		jump postrouting_miniupnpd
	}
	chain prerouting_miniupnpd { }
	chain postrouting_miniupnpd { }
}
`)
	dir := t.TempDir()
	conf := filepath.Join(dir, "conf")
	if err := os.WriteFile(conf, []byte(`ext_ifname=wan0
listening_ip=wire0
port=0
enable_natpmp=no
enable_upnp=yes
secure_mode=yes
lease_file=`+filepath.Join(dir, "leases")+`
uuid=00000000-0000-0000-0000-000000000001
allow 1024-65535 10.77.1.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`), 0o600); err != nil {
		t.Fatal(err)
	}
	r := exec.Command("ip", "netns", "exec", b.router, miniupnpd, "-d", "-f", conf, "-P", filepath.Join(dir, "pid"))
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Process.Kill(); _ = r.Wait() })
	return b
}

// passed counts the ports that the router passes on.
func (b upnpBed) passed(t *testing.T) int {
	t.Helper()
	out, err := exec.Command("ip", "netns", "exec", b.router, "nft", "list", "chain", "inet", "filter", "prerouting_miniupnpd").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.Count(string(out), "dnat")
}

// TestUPnP lets a router pass calls on: a stranger whom the router lets in by no
// other way follows an invite. With the local network left alone nobody asks the
// router. It needs root and Debian's iproute2, nftables and miniupnpd.
func TestUPnP(t *testing.T) {
	t.Parallel()
	bed := newUPnPBed(t)
	d := &daemon{space: bed.host, flags: []string{"--no-lan"}}
	startDaemon(t, d, "mapped")
	<-time.After(5 * time.Second)
	if n := bed.passed(t); n > 0 {
		t.Errorf("control: %d ports are passed on with --no-lan", n)
	}
	d.stop()

	d.flags = nil
	d.start()
	d.mapped()
	friend := startDaemon(t, &daemon{space: bed.friend, flags: []string{"--no-lan"}}, "friend")
	befriend(t, d, friend)
	talk(t, friend, d)
	t.Logf("%d ports are passed on", bed.passed(t))
	d.stop()
	t.Logf("%d after the end", bed.passed(t))
}
