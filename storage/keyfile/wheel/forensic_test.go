package wheel

import (
	"bytes"
	"path/filepath"
	"testing"
)

// fate is what becomes of a record.
type fate int

const (
	live fate = iota
	burned
	expired
	expiredLocked // by its share, without the kek
	deleted       // with its conversation
	fates
)

func (f fate) String() string {
	return [...]string{"live", "burned", "expired", "expired while locked", "deleted with its conversation"}[f]
}

// record is a key that was given out, and its fate.
type record struct {
	target
	fate fate
}

// story is a few thousand records of all fates. What was in memory and is to
// be gone is in secrets.
type story struct {
	records []record
	secrets [][]byte
	share   []byte // of a live bucket, which is in clear
	level   Assurance
}

// tell lives through a story on a disk. flush is called when it would hurt
// most: all secrets that there are then reach the medium.
func tell(t *testing.T, d disk, flush func()) *story {
	t.Helper()
	w, err := open(d, testKek, Options{})
	must(t, err)
	defer func() { _ = w.Close() }()
	convs := [][16]byte{{}, {1}, {2}, {3}, {4}}
	must(t, w.EnsureConversations(convs...))
	for b := uint32(0); b < 10; b += 2 {
		must(t, w.Ensure(100+b, 101+b))
	}
	s := &story{}
	var burns []Ref
	for i := range uint32(3000) {
		x := target{bucket: 100 + i%10, leaf: i / 10, conv: convs[i/10%5]}
		x.want = key(t, w, x.bucket, x.leaf, x.conv)
		r := record{target: x}
		switch {
		case x.bucket == 101:
			r.fate = expired
		case x.bucket == 102:
			r.fate = expiredLocked
		case x.conv == convs[4]:
			r.fate = deleted
		case i*7919%10 < 2:
			r.fate = burned
			burns = append(burns, Ref{x.bucket, x.leaf})
		}
		s.records = append(s.records, r)
	}
	flush()
	s.secrets = w.secrets()
	for i := 0; len(burns) > 0; i++ {
		n := min(len(burns), 1+i%13*2)
		must(t, w.Commit(Forget{Leaves: burns[:n]}))
		burns = burns[n:]
		if i%16 == 0 {
			s.secrets = append(s.secrets, w.secrets()...)
			flush()
		}
	}
	must(t, w.Commit(Forget{Conversations: [][16]byte{convs[4]}}))
	flush()
	must(t, w.Commit(Forget{Buckets: []uint32{101}}))
	s.level = w.Level()
	s.share = bytes.Clone(w.buckets[100].share[:])
	alive := map[string]bool{}
	for _, x := range w.secrets() {
		alive[string(x)] = true
	}
	must(t, w.Close())
	must(t, scrubShards(d, []uint32{102}))
	gone := s.secrets[:0]
	for _, x := range s.secrets {
		if !alive[string(x)] {
			gone = append(gone, x)
		}
	}
	s.secrets = gone
	return s
}

// seized counts what an attacker recovers, by fate.
func (s *story) seized(t *testing.T, what string, raw []byte) (got, of [fates]int) {
	t.Helper()
	a := carve(raw, testKek)
	for _, r := range s.records {
		of[r.fate]++
		if a.recovers(r.bucket, r.leaf, r.conv, r.want) {
			got[r.fate]++
		}
	}
	visible := 0
	for _, x := range s.secrets {
		if bytes.Contains(raw, x[:8]) && bytes.Contains(raw, x) {
			visible++
		}
	}
	t.Logf("%s: level %v; %d anchors, %d tops, %d segments; %d of %d secrets in clear", what, s.level.Level, a.anchors, a.tops, a.segments, visible, len(s.secrets))
	for f := range fates {
		t.Logf("  %-30v %4d of %4d recovered", f, got[f], of[f])
	}
	if !bytes.Contains(raw, s.share) {
		t.Errorf("%s: control: a share isn't seen", what)
	}
	if visible > 0 {
		t.Errorf("%s: secrets are in clear", what)
	}
	if got[live] != of[live] {
		t.Errorf("%s: control: a live key isn't recovered", what)
	}
	return got, of
}

func (s *story) wantErased(t *testing.T, what string, raw []byte) {
	t.Helper()
	got, _ := s.seized(t, what, raw)
	for f := live + 1; f < fates; f++ {
		if got[f] > 0 {
			t.Errorf("%s: %d keys are recovered: %v", what, got[f], f)
		}
	}
}

// wantLeaked is for the controls. Shares are overwritten in place there too, as
// far as the filesystem does.
func (s *story) wantLeaked(t *testing.T, what string, raw []byte, locked bool) {
	t.Helper()
	got, of := s.seized(t, what, raw)
	for f := live + 1; f < fates; f++ {
		if got[f] != of[f] && (f != expiredLocked || locked) {
			t.Errorf("control: %s: only %d of %d keys are recovered: %v", what, got[f], of[f], f)
		}
	}
}

// The files that are left give nothing away; a copy of the anchor does.
func TestForensicDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "w")
	var old files
	s := tell(t, directory(dir), func() {
		if old == nil {
			old = snapshot(t, dir)
		}
	})
	s.wantErased(t, "files", snapshot(t, dir).raw())
	s.wantLeaked(t, "files with a copy from before", append(old.raw(), snapshot(t, dir).raw()...), true)
}
