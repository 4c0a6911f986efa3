//go:build linux

package process_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"rushlight/node/api"
)

// resident is how much memory a daemon has, and the most that it had since
// forgetPeak, in bytes.
func (d *daemon) resident() (now, most int64) {
	d.t.Helper()
	status := fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid)
	return number(status, "VmRSS:") << 10, number(status, "VmHWM:") << 10
}

func (d *daemon) forgetPeak() {
	d.t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", d.cmd.Process.Pid), []byte("5"), 0); err != nil {
		d.t.Skip("this machine can't forget a peak of memory: ", err)
	}
}

// sendsSparse sends a file of zeroes, which costs no disk, and returns when the
// other side has all of it, checked.
func (d *daemon) sendsSparse(to *daemon, mib int64) time.Duration {
	d.t.Helper()
	path := filepath.Join(d.t.TempDir(), fmt.Sprintf("%d.bin", mib))
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Truncate(path, mib<<20); err != nil {
		d.t.Fatal(err)
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(d.t.Context(), time.Hour) // sealing takes a while
	defer cancel()
	if err := d.client.Call(ctx, "send", obj{"recipient": to.account, "message": "a file", "attachments": []string{path}}, nil); err != nil {
		d.t.Fatal(err)
	}
	var res struct{ Messages []api.Message }
	late := time.Now().Add(time.Hour)
	for {
		to.call("read", obj{"who": d.account, "peek": true, "limit": 1}, &res)
		if n := len(res.Messages); n == 1 && len(res.Messages[0].Files) == 1 {
			f := res.Messages[0].Files[0]
			if f.Size == mib<<20 && f.State == api.TransferDone {
				return time.Since(began)
			}
		}
		if time.Now().After(late) {
			d.t.Fatalf("not within an hour: %+v", res.Messages)
		}
		<-time.After(100 * time.Millisecond)
	}
}

// TestFileMemory: neither who sends a file nor who gets it needs more than
// 64 MiB for that, however large it is. RUSHLIGHT_FILE_MIB sets its size; the
// disk must have five times of it free, or the file is not fetched unasked.
// node/files/README.md has the last results.
func TestFileMemory(t *testing.T) {
	mib := int64(192)
	if n, err := strconv.ParseInt(os.Getenv("RUSHLIGHT_FILE_MIB"), 10, 64); err == nil {
		mib = n
	} else if testing.Short() {
		t.Skip("it measures memory")
	}
	t.Parallel()
	a, b := newDaemon(t, "ann"), newDaemon(t, "bob")
	befriend(t, a, b)
	a.sendsSparse(b, 1) // everything is in use that is used once
	var before [2]int64
	for i, d := range []*daemon{a, b} {
		d.forgetPeak()
		before[i], _ = d.resident()
	}
	took := a.sendsSparse(b, mib)
	for i, d := range []*daemon{a, b} {
		_, most := d.resident()
		t.Logf("%s: %d MiB before, at most %d MiB more", filepath.Base(d.dir), before[i]>>20, (most-before[i])>>20)
		if most-before[i] > 64<<20 {
			t.Errorf("%s needed %d MiB for a file of %d", filepath.Base(d.dir), (most-before[i])>>20, mib)
		}
	}
	t.Logf("%d MiB in %v, from the command until it is checked at the other side", mib, took.Round(time.Millisecond))
}
