package process_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rushlight/protocol/message"
	"rushlight/protocol/suite"
	"rushlight/storage"
	"rushlight/storage/keyfile"
	"rushlight/storage/keyfile/wheel"
	"rushlight/storage/record"
)

// secret is something that must not be in a daemon's memory any more once its
// message is burned.
type secret struct {
	what string
	b    []byte
}

// image returns how often each secret is in the memory of a process, as a core
// file would hold it: every mapping that can be read.
func image(t *testing.T, pid int, secrets []secret) map[string]int {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return map[string]int{"unknown": 1} // it is being replaced just now
	}
	defer mem.Close()
	out := map[string]int{}
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil || mode[0] != 'r' || to < from {
			continue
		}
		const chunk, overlap = 8 << 20, 256
		buf := make([]byte, chunk+overlap)
		for at := from; at < to; at += chunk {
			n, err := mem.ReadAt(buf[:min(chunk+overlap, to-at)], at)
			if n == 0 && err != nil {
				continue // [vvar] and the like
			}
			for _, s := range secrets {
				// What begins in the overlap is found in the next chunk.
				for b := buf[:n]; ; {
					i := bytes.Index(b, s.b)
					if i < 0 || n-len(b)+i >= chunk {
						break
					}
					out[s.what]++
					b = b[i+1:]
				}
			}
		}
	}
	return out
}

func total(m map[string]int) (n int) {
	for _, x := range m {
		n += x
	}
	return n
}

// secretsOf works out, from a copy of a profile, what is to be gone with
// messages: their keys, and the keys of their envelopes while they wait.
func secretsOf(t *testing.T, d *daemon, ids []string) (out []secret) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(d.dir, "store"))); err != nil {
		t.Fatal(err)
	}
	pass, err := os.ReadFile(d.pass())
	if err != nil {
		t.Fatal(err)
	}
	root, err := keyfile.Open(filepath.Join(d.dir, "keys"), bytes.TrimSpace(pass))
	if err != nil {
		t.Fatal(err)
	}
	s, err := storage.Open(storage.Options{Dir: dir, Root: root, Ballast: -1, MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	type place struct {
		key  storage.Key
		leaf storage.Leaf
	}
	var places []place
	ofMessage := map[string]bool{}
	if err := s.View(func(tx *storage.Tx) error {
		for _, text := range ids {
			id, err := message.ParseID(text)
			if err != nil {
				return err
			}
			ofMessage[string(id[:])] = true
			b, err := tx.Get(record.IndexKey(id))
			if err != nil {
				return err
			}
			x, err := record.ParseIndex(b)
			if err != nil {
				return err
			}
			leaf, _, err := tx.LeafOf(x.Key)
			if err != nil {
				return err
			}
			places = append(places, place{x.Key, leaf})
		}
		return tx.Scan(record.OutboxFamily(), nil, false, func(k storage.Key, v []byte) (bool, error) {
			o, err := record.ParseOutbox(v)
			if err != nil {
				return false, err
			}
			if o.Kind == record.OutboxSession && ofMessage[string(o.Message[:])] {
				out = append(out, secret{"envelope key", o.Key[:]}, secret{"content key", o.Content[:]})
				leaf, _, err := tx.LeafOf(k)
				if err != nil {
					return false, err
				}
				places = append(places, place{k, leaf})
			}
			return true, nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	w, err := wheel.Open(filepath.Join(dir, "wheel"), [32]byte(suite.Derive(root[:], nil, 32, "rushlight/storage/anchor/1")), wheel.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, p := range places {
		k, err := w.Key(p.leaf.Bucket, p.leaf.Number, p.leaf.Conversation, p.key)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, secret{"record key", k[:]})
	}
	return out
}

// A while after messages are burned, and at once when the daemon is locked, its
// memory doesn't hold their texts or keys. With GODEBUG=clobberfree=0 the
// daemon leaves memory to the collector as it is, and the test fails: some
// thirty copies of fifteen texts stay.
func TestMemoryAfterBurn(t *testing.T) {
	if testing.Short() {
		t.Skip("reads the memory of a daemon")
	}
	if os.Getuid() != 0 {
		t.Skip("needs root to read another process's memory")
	}
	t.Parallel()
	a, b := newDaemon(t, "ann"), newDaemon(t, "bob")
	befriend(t, a, b)
	var texts []secret
	var ids []string
	say := func(from, to *daemon) {
		for range 5 {
			text := fmt.Sprintf("burn-canary-%x", randomBytes(16))
			id, err := from.send(to, text, "")
			if err != nil {
				t.Fatal(err)
			}
			texts, ids = append(texts, secret{"text", []byte(text)}), append(ids, id)
		}
	}
	say(a, b)
	a.drained()
	say(b, a)
	b.drained()
	a.call("read", obj{"who": b.account}, nil)
	b.stop()
	say(a, b) // these wait in the outbox
	secrets := append(secretsOf(t, a, ids), texts...)
	look := func(when string) int {
		t.Helper()
		m := image(t, a.cmd.Process.Pid, secrets)
		t.Logf("%s: %d copies: %v", when, total(m), m)
		return total(m)
	}
	if look("before") == 0 {
		t.Error("control: nothing is found")
	}
	for _, id := range ids {
		a.call("delete", obj{"id": id}, nil)
	}
	look("burned")
	wait := func(limit time.Duration) (left int) {
		t.Helper()
		for until := time.Now().Add(limit); ; {
			if left = total(image(t, a.cmd.Process.Pid, secrets)); left == 0 || time.Now().After(until) {
				return left
			}
			<-time.After(2 * time.Second)
		}
	}
	if wait(100*time.Second) > 0 {
		t.Errorf("%d copies are left of what was burned", look("later"))
	}

	texts, ids = nil, nil
	say(a, b)
	secrets = append(secretsOf(t, a, ids), texts...)
	if look("before locking") == 0 {
		t.Error("control: nothing is found")
	}
	a.call("lock", nil, nil)
	if wait(20*time.Second) > 0 {
		t.Errorf("%d copies are left when it is locked", look("locked"))
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	suite.Random(b)
	return b
}
