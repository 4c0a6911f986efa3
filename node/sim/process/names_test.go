//go:build linux

package process_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWithoutDNS: two people meet and talk where no name can be resolved: the
// only resolver that there is never answers. The only node that they start with
// is known by a name, so that they want to resolve one: the questions are seen.
func TestWithoutDNS(t *testing.T) {
	names := newLAN(t, "rl-names-a", "rl-names-b")
	const nobody = "/dns4/nobody.invalid/tcp/4001/p2p/12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X"
	var people []*daemon
	var watches []*capture
	for i, n := range names {
		etc := filepath.Join("/etc/netns", n)
		if err := os.MkdirAll(etc, 0o755); err != nil {
			t.Skip("no way to give a namespace a resolver: ", err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(etc) })
		// Nobody has this address.
		if err := os.WriteFile(filepath.Join(etc, "resolv.conf"), []byte("nameserver 10.77.9.9\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		name := []string{"ann", "bob"}[i]
		people = append(people, &daemon{space: n, flags: []string{"--no-lan", "--bootstrap", nobody, "--listen", "/ip4/0.0.0.0/tcp/4001"}})
		watches = append(watches, watchSpace(t, n))
		people[i] = startDaemon(t, people[i], name)
	}
	befriend(t, people[0], people[1])
	talk(t, people[0], people[1])
	for i, w := range watches {
		people[i].within(2*time.Minute, "control: it wants to resolve a name", func() bool {
			return w.saw(func(what string) bool {
				return strings.HasPrefix(what, "arp 10.77.9.9") || strings.HasSuffix(what, " 10.77.9.9:53")
			})
		})
	}
	talk(t, people[0], people[1])
}
