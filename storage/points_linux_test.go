package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rushlight/storage/keyfile/wheel"
)

// points is how often TestCrashPoints stops the writer, and cuts how often
// TestPowerCut copies its disk. The full run is
//
//	go test ./storage -run 'TestCrashPoints|TestPowerCut' -points 1000 -cuts 200 -timeout 60m
//
// and has found nothing lost and nothing back at 1,000 points and in 200 cuts.
var (
	points = flag.Int("points", 10, "crash points in TestCrashPoints")
	cuts   = flag.Int("cuts", 3, "power cuts in TestPowerCut")
)

// The burning ledger is the ledger with a message under a key of its own in each
// transaction, which burns the message of hold transactions before. Some states
// are written over, too.
const hold = 20

func burningKey(n uint64) Key { return binary.BigEndian.AppendUint64(Key("\x41"), n) }
func stateKey(n uint64) Key   { return Key{firstState, byte(n % 5)} }

func burningAppend(tx *Tx) (n uint64, err error) {
	if n, err = ledgerAppend(tx); err != nil {
		return 0, err
	}
	far := time.Unix(4e9, 0)
	l, err := tx.NewLeaf(wheel.BucketFor(far, far.Sub(time.Unix(3e9, 0))), [16]byte{byte(n % 3)})
	if err != nil {
		return 0, err
	}
	if err := tx.PutUnder(burningKey(n), ledgerValue(n, 0), far, l); err != nil {
		return 0, err
	}
	if err := tx.Put(stateKey(n), ledgerValue(n, 1)); err != nil || n <= hold {
		return n, err
	}
	old, _, err := tx.LeafOf(burningKey(n - hold))
	if errors.Is(err, ErrNotFound) {
		return n, nil // a crash came between the key and the rest
	}
	if err != nil {
		return 0, err
	}
	tx.Forget(old)
	return n, tx.Delete(burningKey(n - hold))
}

// burningCheck compares a store with the burning ledger and returns its end.
func burningCheck(s *Store) (end uint64, err error) {
	if end, err = ledgerCheck(s); err != nil {
		return end, err
	}
	return end, s.View(func(tx *Tx) error {
		for n := uint64(1); n <= end; n++ {
			v, err := tx.Get(burningKey(n))
			burned := errors.Is(err, ErrNotFound)
			switch {
			case err != nil && !burned:
				return err
			case burned && n+hold > end+1: // that of the next one's burning may be gone
				return fmt.Errorf("WRONG: message %d of %d is lost", n, end)
			case !burned && n+hold <= end:
				return fmt.Errorf("WRONG: message %d of %d is back", n, end)
			case !burned && !bytes.Equal(v, ledgerValue(n, 0)):
				return fmt.Errorf("WRONG: message %d is another", n)
			}
		}
		for n := end; n > 0 && n+5 > end; n-- {
			if v, err := tx.Get(stateKey(n)); err != nil || !bytes.Equal(v, ledgerValue(n, 1)) {
				return fmt.Errorf("WRONG: state %d: %w", n, err)
			}
		}
		return nil
	})
}

func init() {
	// sinker DIR ACKS N: appends to the burning ledger, and to the file ACKS
	// what was acknowledged, until it is killed, has done N, or an Update fails:
	// then it prints the error, and that of closing.
	children["sinker"] = func(args []string) error {
		acks, err := os.OpenFile(args[1], os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		s, err := Open(testOptions(args[0]))
		if err != nil {
			fmt.Println("open:", err)
			return nil
		}
		commits, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		for range commits {
			var n uint64
			if err := s.Update(func(tx *Tx) (err error) { n, err = burningAppend(tx); return err }); err != nil {
				fmt.Println("update:", err)
				if err := s.Update(func(tx *Tx) error { return tx.Put(Key("x"), nil) }); err == nil {
					return errors.New("WRONG: writing goes on after an error")
				}
				break
			}
			if _, err := acks.Write(binary.BigEndian.AppendUint64(nil, n)); err != nil {
				return err
			}
		}
		if err := s.Close(); err != nil {
			fmt.Println("close:", err)
		}
		return nil
	}
}

// acked is the last transaction in a file of acknowledgements.
func acked(t testing.TB, path string) uint64 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil || len(b) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b[len(b)/8*8-8:])
}

// sinker is a running writer that can be stopped.
type sinker struct {
	*exec.Cmd
	dir, acks string
}

func startSinker(t testing.TB, dir string) *sinker {
	t.Helper()
	b := &sinker{dir: dir, acks: filepath.Join(t.TempDir(), "acks")}
	b.Cmd = child(t, "sinker", dir, b.acks, "3000")
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Process.Kill(); _ = b.Wait() })
	return b
}

// proceed waits until the writer has acknowledged so many more.
func (b *sinker) proceed(t testing.TB, more uint64) {
	t.Helper()
	for from := acked(t, b.acks); acked(t, b.acks) < from+more; {
		if err := unix.Kill(b.Process.Pid, 0); err != nil {
			t.Fatal("the writer ended")
		}
		_ = unix.Nanosleep(&unix.Timespec{Nsec: int64(rand.IntN(500_000))}, nil)
	}
}

// stop stops the writer when it has acknowledged so many more.
func (b *sinker) stop(t testing.TB, more uint64) (last uint64) {
	t.Helper()
	b.proceed(t, more)
	if err := b.Process.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(b.Process.Pid, &status, unix.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("the writer ended: %v %v", status, err)
	}
	return acked(t, b.acks)
}

// checkCrashed checks what a crash has left: nothing acknowledged is lost, nothing
// burned is back, and all is in order, also after it was opened once more.
func checkCrashed(t testing.TB, dir string, last uint64) {
	t.Helper()
	for range 2 {
		s, err := Open(testOptions(dir))
		if err != nil {
			t.Fatalf("after %d: %v", last, err)
		}
		end, err := burningCheck(s)
		if err != nil {
			t.Fatal(err)
		}
		if end < last {
			t.Fatalf("transaction %d was acknowledged, the store ends at %d", last, end)
		}
		if level := s.Erasure().Level; level == 0 {
			t.Fatal("no level of erasure")
		}
		wantClean(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A process is killed at any moment: what it leaves in the directory is what is
// there when it is stopped.
func TestCrashPoints(t *testing.T) {
	t.Parallel() // it mostly waits for children and the disk
	n := *points
	if testing.Short() {
		n = min(n, 5)
	}
	dir := filepath.Join(t.TempDir(), "store")
	b := startSinker(t, dir)
	for done := 0; done < n; done++ {
		if acked(t, b.acks) > 2500 { // it ends by itself soon
			_ = b.Process.Kill()
			_ = b.Wait()
			checkCrashed(t, dir, acked(t, b.acks))
			dir = filepath.Join(t.TempDir(), "store")
			b = startSinker(t, dir)
		}
		last := b.stop(t, 1+uint64(rand.IntN(20)))
		crashed := copyDir(t, dir)
		if err := b.Process.Signal(unix.SIGCONT); err != nil {
			t.Fatal(err)
		}
		checkCrashed(t, crashed, last)
		if err := os.RemoveAll(crashed); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d crash points, the last after %d commits", n, acked(t, b.acks))
}

// image is an ext4 filesystem in a file.
func mountImage(t testing.TB, file string) (dir string, unmount func()) {
	t.Helper()
	dir = t.TempDir()
	if out, err := exec.Command("mount", "-o", "loop", file, dir).CombinedOutput(); err != nil {
		t.Skipf("needs root and loop devices: %s", bytes.TrimSpace(out))
	}
	mounted := true
	unmount = func() {
		if mounted {
			mounted = false
			if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
				t.Errorf("umount: %s", out)
			}
		}
	}
	t.Cleanup(unmount)
	return dir, unmount
}

// The power fails at any moment: what is there then is what the disk holds.
func TestPowerCut(t *testing.T) {
	t.Parallel() // it mostly waits for children and the disk
	n := *cuts
	if testing.Short() {
		n = min(n, 2)
	}
	file := newDisk(t)
	root, _ := mountImage(t, file)
	dir := filepath.Join(root, "store")
	b := startSinker(t, dir)
	for done := 0; done < n; done++ {
		if acked(t, b.acks) > 2500 {
			_ = b.Process.Kill()
			_ = b.Wait()
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			b = startSinker(t, dir)
		}
		last := b.stop(t, 1+uint64(rand.IntN(30)))
		cut := cutPower(t, file)
		if err := b.Process.Signal(unix.SIGCONT); err != nil {
			t.Fatal(err)
		}
		left, unmount := mountImage(t, cut)
		checkCrashed(t, filepath.Join(left, "store"), last)
		unmount()
		if err := os.Remove(cut); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d power cuts", n)
}

// A fault that the system reports: what the person is told, and that nothing
// acknowledged is lost.
func TestFaults(t *testing.T) {
	t.Parallel() // it mostly waits for children and the disk
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace (Debian package strace)")
	}
	db := func(dir, name string) string { return filepath.Join(dir, dirDatabase, name) }
	for _, c := range []struct {
		name   string
		inject string
		path   func(dir string) string // only on this file; nil: on any
		told   string                  // by the Update or by closing; empty: nobody need notice
	}{
		{"fdatasync", "fdatasync:error=EIO:when=40+", nil, "committing"},
		{"fdatasync once", "fdatasync:error=EIO:when=40", nil, "committing"},
		{"full at fdatasync", "fdatasync:error=ENOSPC:when=40+", nil, "committing"},
		{"msync", "msync:error=EIO", nil, ":"},
		{"fsync", "fsync:error=EIO:when=60+", nil, ":"},
		{"fsync once", "fsync:error=EIO:when=61", nil, ":"},
		{"ftruncate", "ftruncate:error=EIO:when=3+", nil, ":"},
		{"full at ftruncate", "ftruncate:error=ENOSPC:when=3+", nil, ":"},
		{"MANIFEST write", "write:error=EIO:when=2+", func(d string) string { return db(d, "MANIFEST") }, ""},
		{"MANIFEST fsync", "fsync:error=EIO:when=2+", func(d string) string { return db(d, "MANIFEST") }, ""},
		{"anchor write", "pwrite64:error=EIO:when=30+", func(d string) string { return filepath.Join(d, dirWheel, "anchor") }, "destroying keys"},
		{"anchor fsync", "fsync:error=EIO:when=30+", func(d string) string { return filepath.Join(d, dirWheel, "anchor") }, "destroying keys"},
		{"guard", "pwrite64:error=EIO:when=2+", func(d string) string { return filepath.Join(d, fileGuard) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, acks := filepath.Join(t.TempDir(), "store"), filepath.Join(t.TempDir(), "acks")
			s := open(t, testOptions(dir)) // so that the files are there
			put(t, s, "k", "1")
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			call, _, _ := strings.Cut(c.inject, ":")
			args := []string{"-f", "--seccomp-bpf", "-qq", "-o", filepath.Join(t.TempDir(), "trace"), "-e", "trace=" + call, "-e", "inject=" + c.inject}
			if c.path != nil {
				args = append(args, "-P", c.path(dir))
			}
			run := child(t, "sinker", dir, acks, "700")
			cmd := exec.Command(strace, append(append(args, run.Path), run.Args[1:]...)...)
			cmd.Env = run.Env
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil && strings.Contains(stderr.String(), "ptrace") {
				t.Skipf("strace can't trace here: %.200s", stderr.String())
			}
			if strings.Contains(string(out)+stderr.String(), "WRONG") {
				t.Fatalf("%s %s", out, stderr.String())
			}
			last := acked(t, acks)
			t.Logf("%d acknowledged; told: %s", last, strings.TrimSpace(string(out)))
			if err != nil {
				t.Logf("the process died: %v %.300s", err, stderr.String())
			}
			if c.told != "" && err == nil && !strings.Contains(string(out), c.told) {
				t.Errorf("told %q, want %q", out, c.told)
			}
			checkCrashed(t, dir, last)
		})
	}
}

func init() {
	// handles DIR: uses up the process's file handles, and sees what happens.
	children["handles"] = func(args []string) error {
		s, err := Open(testOptions(args[0]))
		if err != nil {
			return err
		}
		if err := s.Update(func(tx *Tx) error { return tx.Put(Key("k"), []byte("1")) }); err != nil {
			return err
		}
		var files []io.Closer
		for {
			f, err := os.Open("/dev/null")
			if err != nil {
				break
			}
			files = append(files, f)
		}
		s.space.at = time.Time{} // look again
		err = s.Update(func(tx *Tx) error { return tx.Put(Key("k"), []byte("2")) })
		fmt.Println(err)
		if !errors.Is(err, ErrNoSpace) {
			return fmt.Errorf("without file handles: %w", err)
		}
		if err := s.View(func(tx *Tx) error { _, err := tx.Get(Key("k")); return err }); err != nil {
			return fmt.Errorf("reading without file handles: %w", err)
		}
		if _, err := Open(testOptions(args[0] + "2")); err == nil {
			return errors.New("opened without file handles")
		}
		for _, f := range files {
			_ = f.Close()
		}
		s.space.at = time.Time{}
		if err := s.Update(func(tx *Tx) error { return tx.Put(Key("k"), []byte("3")) }); err != nil {
			return fmt.Errorf("with file handles again: %w", err)
		}
		return s.Close()
	}
}

// Without file handles writing stops, reading goes on, and writing goes on when
// there are some again.
func TestFileHandles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	run := child(t, "handles", dir)
	cmd := exec.Command("sh", "-c", `ulimit -n 256; exec "$0" "$@"`, run.Path, dir)
	cmd.Env, cmd.Stderr = run.Env, os.Stderr
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), "file handles") {
		t.Fatalf("%v %s", err, out)
	}
	s := open(t, testOptions(dir))
	if got := get(t, s, "k"); got != "3" {
		t.Errorf("the record is %q", got)
	}
}
