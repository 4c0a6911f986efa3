package shelf

import (
	"os"
	"path/filepath"
	"testing"

	"rushlight/protocol/envelope"
)

// A shelf that was killed opens with a smaller memtable than it had, with all
// that its log holds, which doesn't fit into that. Without settleLogs this
// process ends here.
func TestSmallerMemTable(t *testing.T) {
	o := testOptions(t.TempDir())
	o.MemTableSize = 16 << 20
	s := start(t, o)
	h := newMailbox(t, s.Shelf, 1)
	const n = 120
	for _, st := range mint(t, s.Shelf, h, envelope.L, n) {
		put(t, s.Shelf, st, env(envelope.L))
	}
	killed := o
	killed.Dir, killed.MemTableSize = t.TempDir(), 4<<20
	if err := os.CopyFS(killed.Dir, os.DirFS(o.Dir)); err != nil {
		t.Fatal(err)
	}
	s.end(t)
	// Opening makes a table as long as that log, for which there must be room.
	if need, bytes := newSpace(killed).settle, int64(n*envelope.L.Size()); need < 6*killed.MemTableSize+bytes {
		t.Errorf("%d bytes are seen to for %d in a log", need, bytes)
	}
	k := start(t, killed)
	if got := k.Stats().Envelopes; got != n {
		t.Errorf("%d envelopes, want %d", got, n)
	}
	k.end(t)
}

// A power cut may leave a log's name without a byte of it.
func TestEmptyLogs(t *testing.T) {
	o := testOptions(t.TempDir())
	s := start(t, o)
	h := newMailbox(t, s.Shelf, 1)
	s.end(t)
	vlogs, err := filepath.Glob(filepath.Join(o.Dir, dirDatabase, "*.vlog"))
	if err != nil || len(vlogs) == 0 {
		t.Fatal("no value log: ", err)
	}
	for _, name := range append(vlogs, filepath.Join(o.Dir, dirDatabase, "00077.mem")) {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = start(t, o)
	if _, err := s.State(h); err != nil {
		t.Error(err)
	}
}
