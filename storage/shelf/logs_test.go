package shelf

import (
	"os"
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
