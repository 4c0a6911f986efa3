package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func init() {
	// piper DIR ACKS N: appends to the ledger, each transaction while the one
	// before is on its way, and to the file ACKS what is on the disk.
	children["piper"] = func(args []string) error {
		acks, err := os.OpenFile(args[1], os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		commits, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		s, err := Open(testOptions(args[0]))
		if err != nil {
			return err
		}
		var before *Commit
		var last uint64
		for range commits {
			var n uint64
			c, err := s.Start(func(tx *Tx) (err error) { n, err = ledgerAppend(tx); return err })
			if err != nil {
				return err
			}
			if before != nil {
				if err := before.Wait(); err != nil {
					return err
				}
				if _, err := acks.Write(binary.BigEndian.AppendUint64(nil, last)); err != nil {
					return err
				}
			}
			before, last = c, n
		}
		return s.Close()
	}
}

// newestLog is the highest number of Badger's logs.
func newestLog(t testing.TB, dir string) (newest int) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, dirDatabase, "*.mem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range logs {
		var n int
		if _, err := fmt.Sscanf(filepath.Base(l), "%d.mem", &n); err == nil {
			newest = max(newest, n)
		}
	}
	return newest
}

// The power fails while Badger goes over to a new log, with a transaction on its
// way in each: Badger syncs neither the log before nor the name of the new one.
func TestPowerCutAtNewLog(t *testing.T) {
	t.Parallel() // it mostly waits for children and the disk
	n := *cuts
	if testing.Short() {
		n = min(n, 2)
	}
	disk := newDisk(t)
	root, _ := mountImage(t, disk)
	dir := filepath.Join(root, "store")
	start := func() *sinker {
		b := &sinker{dir: dir, acks: filepath.Join(t.TempDir(), "acks")}
		b.Cmd = child(t, "piper", dir, b.acks, "100000")
		if err := b.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Process.Kill(); _ = b.Wait() })
		b.proceed(t, 1)
		return b
	}
	b := start()
	for done := range n {
		for log := newestLog(t, dir); newestLog(t, dir) == log; {
			if err := unix.Kill(b.Process.Pid, 0); err != nil {
				t.Fatal("the writer ended")
			}
		}
		// At once, or when what came with the new log is acknowledged as well.
		last := b.stop(t, uint64(done%3))
		cut := cutPower(t, disk)
		if err := b.Process.Signal(unix.SIGCONT); err != nil {
			t.Fatal(err)
		}
		left, unmount := mountImage(t, cut)
		s, err := Open(testOptions(filepath.Join(left, "store")))
		if err != nil {
			t.Fatalf("after %d: %v", last, err)
		}
		end, err := ledgerCheck(s)
		if err != nil || end < last {
			t.Fatalf("transaction %d was acknowledged, the store ends at %d: %v", last, end, err)
		}
		wantClean(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		unmount()
		if err := os.Remove(cut); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d power cuts at new logs, the last after %d commits", n, acked(t, b.acks))
}

// newDisk makes an ext4 filesystem in a file.
func newDisk(t testing.TB) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "disk")
	if err := exec.Command("truncate", "-s", "192M", file).Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("mkfs.ext4"); errors.Is(err, exec.ErrNotFound) {
		t.Skip("needs mkfs.ext4 (Debian package e2fsprogs)")
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", file).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return file
}

// cutPower copies what the disk holds now.
func cutPower(t testing.TB, disk string) (cut string) {
	t.Helper()
	cut = filepath.Join(t.TempDir(), "cut")
	if out, err := exec.Command("cp", "--sparse=always", disk, cut).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return cut
}
