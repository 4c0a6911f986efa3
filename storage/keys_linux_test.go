package storage

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rushlight/storage/keyfile/wheel"
)

func init() {
	// makekeys DIR: puts records under leaves of ever new buckets until that
	// fails, and prints how.
	children["makekeys"] = func(args []string) error {
		s, err := Open(testOptions(args[0]))
		if err != nil {
			return err
		}
		for n := uint32(1); ; n++ {
			var made error
			err := s.Update(func(tx *Tx) error {
				return tx.Try(func() error {
					var leaf Leaf
					if leaf, made = tx.NewLeaf(wheel.BucketState(100+n), [16]byte{byte(n)}); made != nil {
						return nil //nolint:nilerr // as if nothing had happened
					}
					return tx.PutUnder(burningKey(uint64(n)), []byte("x"), time.Time{}, leaf)
				})
			})
			if made == nil && err == nil && n < 100 {
				continue
			}
			fmt.Println(err)
			switch {
			case !errors.Is(err, ErrPoisoned):
				return fmt.Errorf("WRONG: after %d keys: %w; the leaf: %w", n, err, made)
			case s.Update(func(tx *Tx) error { return tx.Put(Key("x"), nil) }) == nil:
				return errors.New("WRONG: writing goes on")
			}
			fmt.Println("disk:", errors.Is(err, ErrDisk), "room:", errors.Is(err, ErrNoSpace))
			return s.Close()
		}
	}
}

// TestNoNewKeys: when the key of a new bucket or conversation can't be written,
// the store stops and says why, rather than to refuse one message after the
// other for ever.
func TestNoNewKeys(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace (Debian package strace)")
	}
	for _, c := range []struct{ inject, told string }{
		{"pwrite64:error=EIO:when=9+", "disk: true room: false"},
		{"pwrite64:error=ENOSPC:when=9+", "disk: false room: true"},
		{"fsync:error=EIO:when=11+", "disk: true room: false"},
	} {
		dir := filepath.Join(t.TempDir(), "store")
		s := open(t, testOptions(dir))
		put(t, s, "k", "1")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		call, _, _ := strings.Cut(c.inject, ":")
		run := child(t, "makekeys", dir)
		cmd := exec.Command(strace, append([]string{
			"-f", "--seccomp-bpf", "-qq", "-o", filepath.Join(t.TempDir(), "trace"), "-e", "trace=" + call, "-e", "inject=" + c.inject,
			"-P", filepath.Join(dir, dirWheel, "anchor"), run.Path,
		}, run.Args[1:]...)...)
		cmd.Env = run.Env
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil && strings.Contains(stderr.String(), "ptrace") {
			t.Skipf("strace can't trace here: %.200s", stderr.String())
		}
		if err != nil || !strings.Contains(string(out), "making keys") || !strings.Contains(string(out), c.told) {
			t.Errorf("%s: %v: %s%.600s", c.inject, err, out, stderr.String())
		}
		s = open(t, testOptions(dir))
		if got := get(t, s, "k"); got != "1" {
			t.Errorf("the record is %q", got)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
