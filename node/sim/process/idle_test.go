//go:build linux

package process_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"rushlight/node"
	"rushlight/node/api"
	"rushlight/node/discovery"
	"rushlight/node/host"
	"rushlight/protocol/identity"
	"rushlight/storage"
)

// The idle budget of a device that talks to nobody: bytes a day both ways, as
// the network layer counts them, resident memory, the part of a core, and
// wake-ups a second.
const (
	idleBytes  = 5_000_000
	idleMemory = 80 << 20
	idleCPU    = 0.005
	idleWakes  = 2.0
)

// crowdConfig is what a crowd is told.
type crowdConfig struct {
	Dir   string
	Links []string // invites to accept, one node each
	Stay  int      // how many of these stay
	Relay []string
	// Servers are how many more nodes of the hash table there are.
	Servers int
}

// serveCrowd opens a node for each link, on an address of its own, accepts the
// invite, and closes it again unless it is one of those who stay.
func serveCrowd() int {
	var c crowdConfig
	if err := json.NewDecoder(os.Stdin).Decode(&c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var leave []func() error
	for i := range c.Servers {
		out, err := serveTable(ctx, c, i)
		if err != nil {
			fmt.Fprintf(os.Stderr, "server %d: %v\n", i, err)
			return 1
		}
		leave = append(leave, out)
	}
	for i, link := range c.Links {
		out, err := enter(ctx, c, i, link)
		if err == nil && i < c.Stay {
			leave = append(leave, out)
		} else if out != nil {
			err = errors.Join(err, out())
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "node %d: %v\n", i, err)
			return 1
		}
	}
	fmt.Println("here")
	_, _ = io.Copy(io.Discard, os.Stdin) // until told
	for _, out := range leave {
		_ = out() // the test is over
	}
	return 0
}

// serverAt is the address of a node of the hash table: each has a block of its
// own.
func serverAt(i int) string { return fmt.Sprintf("5.%d.0.1", 100+i) }

// serveTable is one node of the hash table, until leave is called.
func serveTable(ctx context.Context, c crowdConfig, i int) (leave func() error, err error) {
	at := serverAt(i)
	h, err := host.New(host.Config{
		Key: [32]byte{2, byte(i)}, Profile: host.Relay, Listen: []string{"/ip4/" + at + "/udp/4001/quic-v1", "/ip4/" + at + "/tcp/4001"},
	})
	if err != nil {
		return nil, err
	}
	table, err := discovery.NewTable(h, discovery.TableConfig{Server: true})
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	leave = func() error { return errors.Join(table.Close(), h.Close()) }
	roots, err := host.ParsePeers(c.Relay)
	if err == nil {
		err = table.Join(ctx, roots, nil)
	}
	if err != nil {
		return nil, errors.Join(err, leave())
	}
	return leave, nil
}

// enter is one node of the crowd, until leave is called.
func enter(ctx context.Context, c crowdConfig, i int, link string) (leave func() error, err error) {
	none := 0
	code := identity.NewRecoveryCode()
	at := fmt.Sprintf("10.77.%d.%d", 2+i/200, 1+i%200)
	n, err := node.Open(node.Config{
		Dir: filepath.Join(c.Dir, strconv.Itoa(i)), Root: [32]byte{1, byte(i)}, NewIdentity: &code, NoLAN: true, Relays: c.Relay,
		Listen: []string{"/ip4/" + at + "/udp/4001/quic-v1", "/ip4/" + at + "/tcp/4001"},
		Store:  storage.Options{MemTableSize: 2 << 20, Compactors: &none, Ballast: -1, MinFree: -1},
	})
	if err != nil {
		return nil, err
	}
	run, cancel := context.WithCancel(ctx)
	end := make(chan error, 1)
	go func() { end <- n.Run(run) }()
	leave = func() error { cancel(); return <-end }
	<-n.Ready()
	added, err := n.Add(ctx, api.AddRequest{Link: link})
	if err == nil && added.State != api.ContactApproved {
		err = errors.New("the invite was not answered")
	}
	for err == nil { // until everything is said, from the other side, too
		<-time.After(time.Second)
		var s api.Status
		if s, err = n.Status(ctx); s.Outbox == 0 {
			break
		}
	}
	return leave, err
}

// idler is a daemon at rest, and those it knows.
type idler struct {
	*daemon
	space string
	group cgroup
}

// newIdler makes a daemon with contacts, of which some stay, in a network of
// so many nodes of the hash table, of which one is its relay.
func newIdler(t *testing.T, name string, contacts, stay, servers int) idler {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs Debian's nftables")
	}
	names := []string{"rl-" + name, "rl-" + name + "crowd"}
	newLAN(t, names...)
	for i := range contacts {
		command(t, "ip", "-n", names[1], "addr", "add", fmt.Sprintf("10.77.%d.%d/32", 2+i/200, 1+i%200), "dev", "wire0")
	}
	for i := range servers - 1 {
		command(t, "ip", "-n", names[1], "addr", "add", serverAt(i)+"/32", "dev", "wire0")
	}
	command(t, "ip", "-n", names[0], "route", "add", "5.0.0.0/8", "dev", "wire0")
	// As if all were in one network: else nobody would be called there.
	command(t, "ip", "-n", names[0], "addr", "add", "10.77.1.1/16", "dev", "wire0")
	command(t, "ip", "-n", names[0], "addr", "del", "10.77.1.1/24", "dev", "wire0")
	command(t, "ip", "-n", names[1], "addr", "add", "10.77.1.200/16", "dev", "wire0")
	relay := startDaemon(t, &daemon{space: names[1], flags: []string{
		"--profile", "relay", "--listen", "/ip4/10.77.1.200/udp/4001/quic-v1", "--listen", "/ip4/10.77.1.200/tcp/4001",
	}}, "relay")
	var self api.Self
	relay.call("id", nil, &self)
	at := []string{"/ip4/10.77.1.200/udp/4001/quic-v1/p2p/" + self.Peer, "/ip4/10.77.1.200/tcp/4001/p2p/" + self.Peer}
	d := startDaemon(t, &daemon{space: names[0], flags: []string{"--no-lan", "--relay", at[0], "--relay", at[1], "--bootstrap", at[1]}}, "idler")

	c := crowdConfig{Dir: t.TempDir(), Stay: stay, Relay: at, Servers: servers - 1}
	for range contacts {
		var inv api.Invite
		d.call("invite", nil, &inv)
		c.Links = append(c.Links, inv.Link)
	}
	crowd := newDouble(t, names[1], "RUSHLIGHT_CROWD=1")
	t.Cleanup(func() { _ = crowd.end() })
	if err := json.NewEncoder(crowd.in).Encode(c); err != nil {
		t.Fatal(err)
	}
	if line, err := crowd.out.ReadString('\n'); err != nil || line != "here\n" {
		t.Fatalf("the crowd said %q, %v", line, err)
	}
	rules(t, names[0], `
table inet count {
	counter in { }
	counter out { }
	chain in {
		type filter hook input priority 0;
		iifname "wire0" counter name in
	}
	chain out {
		type filter hook output priority 0;
		oifname "wire0" counter name out
	}
}
`)
	return idler{daemon: d, space: names[0], group: newCgroup(t, "rushlight-"+name)}
}

// cost is what a daemon has used so far.
type cost struct {
	bytes    int64
	cpu      time.Duration
	memory   int64
	switches int64 // times that a thread went to sleep
}

func (d idler) cost(t *testing.T) (c cost) {
	t.Helper()
	out, err := exec.Command("ip", "netns", "exec", d.space, "nft", "-j", "list", "counters").Output()
	if err != nil {
		d.t.Fatal(err)
	}
	var list struct {
		Nftables []struct{ Counter struct{ Bytes int64 } }
	}
	if err := json.Unmarshal(out, &list); err != nil {
		d.t.Fatal(err)
	}
	for _, e := range list.Nftables {
		c.bytes += e.Counter.Bytes
	}
	c.memory = number(fmt.Sprintf("/proc/%d/status", d.pid()), "VmRSS:") << 10
	var ok bool
	var held int64
	if c.cpu, held, ok = d.group.used(t); !ok {
		c.cpu = d.ran()
	}
	c.memory = max(c.memory, held)
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", d.pid()))
	for _, task := range tasks {
		c.switches += number(task, "voluntary_ctxt_switches:")
	}
	return c
}

// ran is how long the daemon's threads have run.
func (d idler) ran() (sum time.Duration) {
	d.t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", d.pid()))
	if err != nil || len(tasks) == 0 {
		d.t.Fatal("no threads: ", err)
	}
	for _, task := range tasks {
		if stat, err := os.ReadFile(task); err == nil { // else it ended
			ns, err := strconv.ParseInt(strings.Fields(string(stat))[0], 10, 64)
			if err != nil {
				d.t.Fatal(err)
			}
			sum += time.Duration(ns)
		}
	}
	return sum
}

// wakes counts how often the daemon runs after it has rested: a run of hundredths
// of a second in which it did anything is one.
func (d idler) wakes(window time.Duration) float64 {
	d.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	last, ran, n := d.ran(), false, 0
	for end := time.Now().Add(window); time.Now().Before(end); {
		<-tick.C
		now := d.ran()
		if now != last && !ran {
			n++
		}
		last, ran = now, now != last
	}
	return float64(n) / window.Seconds()
}

// pid is that of the program itself: ip runs it in its own place.
func (d idler) pid() int { return d.cmd.Process.Pid }

// number reads a line of a status file of the kernel's.
func number(file, name string) int64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n
		}
	}
	return 0
}

// rest measures a time of rest and holds it, with the bytes that are spent once
// a day, to the budget. On a machine that is busy with other tests things still
// happen that are over elsewhere: the best of so many looks counts.
func (d idler) rest(t *testing.T, window time.Duration, once int64, looks int) {
	t.Helper()
	d.group.enter(t, d.pid())
	var over []string
	for range looks {
		if over = d.look(t, window, once); len(over) == 0 {
			return
		}
	}
	t.Errorf("over the budget in each of %d looks, in the last by %s", looks, strings.Join(over, ", "))
}

// look measures a time of rest and says what of the budget it exceeds.
func (d idler) look(t *testing.T, window time.Duration, once int64) (over []string) {
	t.Helper()
	before := d.cost(t)
	began := time.Now()
	wakes := d.wakes(min(window, 10*time.Second))
	<-time.After(window - time.Since(began))
	after := d.cost(t)
	passed := time.Since(began)
	day := float64(after.bytes-before.bytes) * float64(24*time.Hour) / float64(passed)
	cpu := float64(after.cpu-before.cpu) / float64(passed)
	var s api.Status
	d.call("status", nil, &s)
	t.Logf("%v, measured by %s: %.2f MB a day, %.3f %% of a core, %.2f wake-ups a second (%.1f of threads), %.0f MiB resident; the daemon itself thinks %+v; %d connections",
		window, d.group, day/1e6, 100*cpu, wakes, float64(after.switches-before.switches)/passed.Seconds(), float64(after.memory)/(1<<20), s.Idle, len(s.Connections))
	day += float64(once)
	for _, limit := range []struct {
		is   bool
		what string
	}{
		{s.Outbox > 0, fmt.Sprintf("%d messages that wait", s.Outbox)},
		{day > idleBytes, fmt.Sprintf("%.2f MB a day", day/1e6)},
		{cpu > idleCPU, fmt.Sprintf("%.3f %% of a core", 100*cpu)},
		{wakes > idleWakes, fmt.Sprintf("%.2f wake-ups a second", wakes)},
		{after.memory > idleMemory, fmt.Sprintf("%d bytes resident", after.memory)},
	} {
		if limit.is {
			over = append(over, limit.what)
		}
	}
	return over
}

// TestIdleGuard measures a short rest of a daemon with a few contacts, all of
// them away. It needs root and Debian's nftables and iproute2.
func TestIdleGuard(t *testing.T) {
	t.Parallel()
	d := newIdler(t, "guard", 8, 0, 5)
	d.placed()
	<-time.After(15 * time.Second) // until it is sure that nobody is there
	d.rest(t, 20*time.Second, 0, 6)
}

// TestIdle measures the whole budget: 200 contacts, of whom 10 are there, in a
// network of 30 nodes of the hash table. RUSHLIGHT_IDLE is how long to measure,
// after 6 minutes in which the daemon starts, calls everybody, puts its beacon,
// and connections come to rest; what these cost is added to the day twice: for
// the start, and for the three times that the beacon, alone, is put again:
//
//	RUSHLIGHT_IDLE=1m go test ./node/sim/process -run 'TestIdle$' -v -timeout 30m
//	RUSHLIGHT_IDLE=2h go test ./node/sim/process -run 'TestIdle$' -v -timeout 3h
//
// Last result, 40 minutes on a busy machine with two cores, by cgroups of version
// 1: 1.75 MB at the start, 0.45 MB a day from then on, which is 4.0 MB with the
// start counted twice; 0.036 % of a core, 1.3 wake-ups a second, 34 MiB.
func TestIdle(t *testing.T) {
	window, err := time.ParseDuration(os.Getenv("RUSHLIGHT_IDLE"))
	if err != nil {
		t.Skip("takes long: set RUSHLIGHT_IDLE to a duration")
	}
	d := newIdler(t, "idle", 200, 10, 30)
	d.placed()
	before := d.cost(t).bytes
	d.stop()
	d.start() // as on any morning
	<-time.After(6 * time.Minute)
	begin := d.cost(t).bytes - before
	t.Logf("the first 6 minutes: %.2f MB", float64(begin)/1e6)
	d.rest(t, window, 2*begin, 1)
}
