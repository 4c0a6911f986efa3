//go:build linux

package process_test

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// received is how many bytes have come to a namespace over its wire, whoever
// has died there meanwhile.
func received(t testing.TB, space string) int64 {
	t.Helper()
	out, err := exec.Command("ip", "netns", "exec", space, "cat", "/sys/class/net/wire0/statistics/rx_bytes").Output()
	if err != nil {
		t.Skip("this machine doesn't count what a namespace receives: ", err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestFileSurvives sends a file while the recipient is killed, the sender is
// killed, and both get new addresses: it comes whole, and little more goes over
// the wire than the file. RUSHLIGHT_FILE_MIB sets its size, as for
// TestFileMemory, and then neither side may need more than 64 MiB for it in any
// of its lives. It needs root and Debian's iproute2.
func TestFileSurvives(t *testing.T) {
	t.Parallel()
	size, large := sizeOfFile()
	limit := time.Hour
	if !large {
		size, limit = 24<<20, 2*time.Minute
	}
	names := newLAN(t, "rl-filea", "rl-fileb")
	if !large { // or it would be there too soon
		slow := exec.Command("ip", "netns", "exec", names[0], "tc", "qdisc", "add", "dev", "wire0", "root", "tbf", "rate", "32mbit", "burst", "256kb", "latency", "50ms")
		if out, err := slow.CombinedOutput(); err != nil {
			t.Skipf("this machine can't make a wire slow: %s", out)
		}
	}
	a := startDaemon(t, &daemon{space: names[0]}, "ann")
	b := startDaemon(t, &daemon{space: names[1]}, "bob")
	befriend(t, a, b)
	b.gets(a.sends(b, sparse(t, 1<<20))) // everything is in use that is used once
	path := sparse(t, size)
	before := received(t, names[1])
	idle, peak := map[*daemon]int64{}, map[*daemon]int64{}
	for _, d := range []*daemon{a, b} {
		d.forgetPeak() // of making the profile
		idle[d], _ = d.resident()
	}
	remember := func(d *daemon) {
		_, most := d.resident()
		peak[d] = max(peak[d], most)
	}
	dies := func(all ...*daemon) {
		for _, d := range all {
			remember(d)
			d.kill()
		}
	}
	lives := func(all ...*daemon) {
		for _, d := range all {
			d.start()
			d.forgetPeak() // of the passphrase
		}
	}
	began := time.Now()
	id := a.sends(b, path)
	until := func(part int64) {
		t.Helper()
		b.within(limit, "more of the file is there", func() bool { return b.file(id).Have >= part*size/8 })
	}
	for i, happens := range []func(){
		func() { dies(b); lives(b) },
		func() { dies(a); lives(a) },
		func() { move(t, names, 2) },
		func() { dies(a, b); move(t, names, 3); lives(b, a) },
	} {
		until(int64(i) + 2)
		was := b.file(id).Have
		if was == size && i < 2 {
			t.Skip("it was there too soon: this machine is too slow to see a part of it")
		}
		t.Logf("after %v there are %d of %d MiB", time.Since(began).Round(time.Second), was>>20, size>>20)
		happens()
		// What was there is known again.
		until(min(was*8/size, 8))
	}
	b.gets(id)
	t.Logf("after %v it is there", time.Since(began).Round(time.Second))
	b.saves(id, path)
	came := received(t, names[1]) - before
	t.Logf("%.1f MiB came over the wire for a file of %.1f MiB", float64(came)/(1<<20), float64(size)/(1<<20))
	if came < size {
		t.Error("less came than the file: nothing was counted")
	}
	if came > size+max(size/20, 12<<20) {
		t.Error("much was sent again")
	}
	for _, d := range []*daemon{a, b} {
		remember(d)
		t.Logf("%s: %d MiB before, at most %d MiB more", filepath.Base(d.dir), idle[d]>>20, (peak[d]-idle[d])>>20)
		if large && peak[d]-idle[d] > 64<<20 {
			t.Errorf("%s needed %d MiB", filepath.Base(d.dir), (peak[d]-idle[d])>>20)
		}
	}
}
