package storage

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// The ledger is a history that anyone can recompute: transaction n writes
// ledgerSize(n) records of its own, takes away those of transaction n-keep,
// and moves one record that all of them share.

const keep = 40

func ledgerSize(n uint64) int { return 1 + int(n*2654435761>>7)%60 }

func ledgerKey(n uint64, i int) Key {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint64(Key("t"), n), uint16(i))
}

func ledgerValue(n uint64, i int) []byte {
	h := sha256.Sum256(fmt.Appendf(nil, "%d/%d", n, i))
	v := make([]byte, 100+int(h[0])*4)
	for at := 0; at < len(v); at += len(h) {
		copy(v[at:], h[:])
	}
	return v
}

func ledgerAppend(tx *Tx) (n uint64, err error) {
	if n, err = ledgerEnd(tx); err != nil {
		return 0, err
	}
	n++
	for i := range ledgerSize(n) {
		if err := tx.Put(ledgerKey(n, i), ledgerValue(n, i)); err != nil {
			return 0, err
		}
	}
	if n > keep {
		for i := range ledgerSize(n - keep) {
			if err := tx.Delete(ledgerKey(n-keep, i)); err != nil {
				return 0, err
			}
		}
	}
	return n, tx.Put(Key("s"), binary.BigEndian.AppendUint64(nil, n))
}

func ledgerEnd(tx *Tx) (uint64, error) {
	b, err := tx.Get(Key("s"))
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(b), nil
}

// ledgerCheck compares the whole store with the history and returns its end.
func ledgerCheck(s *Store) (end uint64, err error) {
	err = s.View(func(tx *Tx) error {
		if end, err = ledgerEnd(tx); err != nil {
			return err
		}
		n, i := uint64(1), 0
		if end > keep {
			n = end - keep + 1
		}
		err := tx.Scan(Key("t"), nil, false, func(key Key, value []byte) (bool, error) {
			if n > end || string(key) != string(ledgerKey(n, i)) || string(value) != string(ledgerValue(n, i)) {
				return false, fmt.Errorf("WRONG: at record %d of transaction %d of %d", i, n, end)
			}
			if i++; i == ledgerSize(n) {
				n, i = n+1, 0
			}
			return true, nil
		})
		if err == nil && n != end+1 {
			err = fmt.Errorf("WRONG: records of transaction %d of %d are missing", n, end)
		}
		return err
	})
	return end, err
}

func init() {
	// writer DIR: appends to the ledger until it is killed, and says so.
	children["writer"] = func(args []string) error {
		fmt.Println("start")
		s, err := Open(testOptions(args[0]))
		if err != nil {
			return err
		}
		for {
			var n uint64
			if err := s.Update(func(tx *Tx) (err error) { n, err = ledgerAppend(tx); return err }); err != nil {
				return err
			}
			fmt.Println(n)
		}
	}
}

func child(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

// writeAndKill runs the writer and kills it while it goes on, after some
// number of acknowledgements. It returns the last one.
func writeAndKill(t testing.TB, dir string, acks int) (last uint64) {
	t.Helper()
	cmd := child(t, "writer", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() != "start" {
			n, err := strconv.ParseUint(lines.Text(), 10, 64)
			if err != nil {
				t.Fatalf("writer: %q", lines.Text())
			}
			last = n
		}
		if acks--; acks == 0 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the writer wasn't killed but ended: %v", err)
	}
	_, _ = io.Copy(io.Discard, out)
	return last
}

func TestKill(t *testing.T) {
	t.Parallel() // it mostly waits for children and the disk
	kills := 60
	if testing.Short() {
		kills = 10
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	var acked, commits uint64
	for range kills {
		acks := 1 + r.IntN(200) // 1 kills while the store is being opened
		if n := writeAndKill(t, dir, acks); n > 0 {
			commits += n - acked
			acked = n
		}
		if r.IntN(3) > 0 {
			continue // so that recovery is killed and repeated, too
		}
		s, err := Open(testOptions(dir))
		if err != nil {
			t.Fatal(err)
		}
		end, err := ledgerCheck(s)
		if err != nil {
			t.Fatal(err)
		}
		if end < acked {
			t.Fatalf("transaction %d was acknowledged, the store ends at %d", acked, end)
		}
		wantClean(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		acked = end
	}
	t.Logf("%d kills, %d commits acknowledged", kills, commits)
	if commits == 0 {
		t.Fatal("nothing was ever acknowledged")
	}
}

func TestSecondProcess(t *testing.T) {
	dir := t.TempDir()
	cmd := child(t, "writer", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range 2 { // started, and written once
		lines.Scan()
	}
	if _, err := Open(testOptions(dir)); !errors.Is(err, ErrLocked) {
		t.Fatalf("while another process has it: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
	s := open(t, testOptions(dir))
	if _, err := Open(testOptions(dir)); !errors.Is(err, ErrLocked) {
		t.Fatalf("while this process has it: %v", err)
	}
	if _, err := ledgerCheck(s); err != nil {
		t.Fatal(err)
	}
}
