//go:build linux

package process_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"rushlight/node/api"
)

// relayProcess is a relay on loopback.
type relayProcess struct {
	cmd   *exec.Cmd
	dir   string
	addrs []string
}

func startRelayProcess(t *testing.T) *relayProcess {
	t.Helper()
	dir := t.TempDir()
	r := &relayProcess{dir: filepath.Join(dir, "relay")}
	config := filepath.Join(dir, "relay.toml")
	if err := os.WriteFile(config, []byte("status = \"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.cmd = exec.Command(program, "relay", "--config", config, "--dir", r.dir, "--listen", fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", freePort(t)), "--json")
	r.cmd.Stderr = t.Output()
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.kill)
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var said struct{ Addrs []string }
	if err == nil {
		err = json.Unmarshal(line, &said)
	}
	if err != nil || len(said.Addrs) == 0 {
		t.Fatalf("the relay said %q: %v", line, err)
	}
	r.addrs = said.Addrs
	return r
}

func (r *relayProcess) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

// takes is how many bytes of memory, at most, and of the disk a relay takes.
func (r *relayProcess) takes() (memory, disk int64) {
	memory = number(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid), "VmHWM:") << 10
	_ = filepath.WalkDir(r.dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			if i, err := e.Info(); err == nil {
				disk += i.Size()
			}
		}
		return nil
	})
	return memory, disk
}

// TestFileByRelay sends a file of RUSHLIGHT_FILE_MIB between two who tell no
// address at which they can be reached, by way of two relays on loopback. With
// RUSHLIGHT_KILL=1 the recipient is killed when a quarter is there, the sender at
// three eighths, and the relay that it comes by at half, with what lies there.
// Neither side may need more than 64 MiB for it in any of its lives.
// node/files/README.md has the last results.
func TestFileByRelay(t *testing.T) {
	size, large := sizeOfFile()
	if !large {
		t.Skip("takes long: set RUSHLIGHT_FILE_MIB")
	}
	flags := []string{"--no-lan", "--announce", "/ip4/127.0.0.1/tcp/9"}
	a, b := startDaemon(t, &daemon{flags: flags}, "ann"), startDaemon(t, &daemon{flags: flags}, "bob")
	relays := []*relayProcess{startRelayProcess(t), startRelayProcess(t)}
	for _, d := range []*daemon{a, b} {
		for _, r := range relays {
			d.call("addRelay", obj{"addr": r.addrs}, nil)
		}
		d.until("the mailboxes are made", func() bool {
			for _, state := range d.mailboxes() {
				if state != api.MailboxOK {
					return false
				}
			}
			return true
		})
	}
	var inv api.Invite
	a.call("invite", nil, &inv)
	b.call("add", obj{"link": inv.Link}, nil)
	a.until("they know each other", func() bool {
		var res struct{ Contacts []api.Contact }
		a.call("contacts", nil, &res)
		return len(res.Contacts) == 1 && res.Contacts[0].State == api.ContactApproved
	})
	b.gets(a.sends(b, sparse(t, 8<<20))) // everything is in use that is used once
	path := sparse(t, size)
	idle, peak := map[*daemon]int64{}, map[*daemon]int64{}
	both := []*daemon{a, b}
	for _, d := range both {
		now, most := d.resident()
		if most-now < 16<<20 {
			t.Fatalf("control: hashing the passphrase took 64 MiB for a moment, and %d are seen", (most-now)>>20)
		}
		d.forgetPeak()
		idle[d], _ = d.resident()
	}
	remember := func(d *daemon) {
		_, most := d.resident()
		peak[d] = max(peak[d], most)
	}
	id := a.sends(b, path)
	began := time.Now()
	until := func(part int64) {
		t.Helper()
		b.within(time.Hour, "more of the file is there", func() bool { return b.file(id).Have >= part*size/8 })
	}
	if os.Getenv("RUSHLIGHT_KILL") != "" {
		for i, d := range []*daemon{b, a} {
			until(int64(2 + i))
			remember(d)
			d.kill()
			d.start()
			d.until("the memory for the passphrase is given back", func() bool {
				now, _ := d.resident()
				return now-idle[d] < 16<<20
			})
			d.forgetPeak()
		}
		until(4)
		relays[0].kill()
		t.Logf("all are killed once after %v", time.Since(began).Round(time.Second))
	}
	b.gets(id)
	took := time.Since(began)
	for _, d := range both {
		remember(d)
		t.Logf("%s: %d MiB before, at most %d MiB more", filepath.Base(d.dir), idle[d]>>20, (peak[d]-idle[d])>>20)
		if peak[d]-idle[d] > 64<<20 {
			t.Errorf("%s needed %d MiB for a file of %d", filepath.Base(d.dir), (peak[d]-idle[d])>>20, size>>20)
		}
	}
	memory, disk := relays[1].takes()
	t.Logf("%d MiB in %v, %.1f MB/s; the second relay: at most %d MiB of memory, %d MiB of disk", size>>20, took.Round(time.Second),
		float64(size)/1e6/took.Seconds(), memory>>20, disk>>20)
	if memory, disk = relays[0].takes(); disk > 0 {
		t.Logf("the first relay: %d MiB of memory, %d MiB of disk", memory>>20, disk>>20)
	}
	b.saves(id, path)
}
