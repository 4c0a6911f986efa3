package wheel

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// An attacker with the raw medium, all files and the kek recovers nothing that
// was forgotten, on every filesystem that overwrites in place, and everything
// in the controls. The level says which is which.
func TestForensicImage(t *testing.T) {
	for _, c := range []struct {
		name, kind, options string
		level               Level
		rename              bool
		leaks, sharesLeak   bool
	}{
		{name: "ext4", kind: "ext4", options: ",nodiscard", level: LevelB},
		{name: "xfs", kind: "xfs", options: ",nodiscard", level: LevelB},
		{name: "btrfs", kind: "btrfs", options: ",nodiscard", level: LevelB},
		{name: "control, ext4 with rename", kind: "ext4", options: ",nodiscard", level: LevelC, rename: true, leaks: true},
		{name: "control, ext4 with data=journal", kind: "ext4", options: ",nodiscard,data=journal", level: LevelC, leaks: true, sharesLeak: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := newImage(t, c.kind, c.options)
			dir := directory(filepath.Join(i.dir, "wheel"))
			var d disk = dir
			if c.rename {
				d = renaming{dir}
			}
			s := tell(t, d, func() { i.flush(t) })
			if s.level.Level != c.level {
				t.Errorf("level %v: %s", s.level.Level, s.level.Reason)
			}
			seized := snapshot(t, string(dir)).raw()
			i.unmount(t)
			raw := append(i.raw(t), seized...)
			if c.leaks {
				s.wantLeaked(t, c.name, raw, c.sharesLeak)
			} else {
				s.wantErased(t, c.name, raw)
			}
		})
	}
}

// A snapshot keeps the old anchor. The level says so, also after opening again,
// as long as there is a bucket from before.
func TestSnapshotIsNoticed(t *testing.T) {
	i := newImage(t, "btrfs", ",nodiscard")
	w := openAt(t, filepath.Join(i.dir, "wheel"))
	defer func() { _ = w.Close() }()
	must(t, w.Ensure(1))
	if l := w.Level(); l.Level != LevelB {
		t.Fatalf("control: before: %v", l)
	}
	plain := filepath.Join(i.dir, "plain")
	must(t, os.WriteFile(plain, make([]byte, 8192), 0o600))
	if locate(plain).problem == "" {
		t.Error("a file that is copied on write is fine")
	}
	k := key(t, w, 1, 1, [16]byte{})
	if out, err := exec.Command("btrfs", "subvolume", "snapshot", "-r", i.dir, filepath.Join(i.dir, "snapshot")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	must(t, w.Commit(Forget{Leaves: []Ref{{1, 1}}}))
	for range 2 {
		if l := w.Level(); l.Level != LevelC {
			t.Fatalf("after a snapshot: %v", l)
		}
		w = reopen(t, w)
	}
	must(t, w.Ensure(2))
	must(t, w.Commit(Forget{Buckets: []uint32{1}}))
	if l := w.Level(); l.Level != LevelB {
		t.Fatalf("when all from before is gone: %v", l)
	}
	must(t, w.Close())
	i.flush(t)
	if !carve(i.raw(t), testKek).recovers(1, 1, [16]byte{}, k) {
		t.Fatal("control: the snapshot doesn't hold the key")
	}
}

// A file that was copied has left an older one behind.
func TestMoveIsNoticed(t *testing.T) {
	i := newImage(t, "ext4", ",nodiscard")
	dir := filepath.Join(i.dir, "wheel")
	w := openAt(t, dir)
	must(t, w.Ensure(1))
	must(t, w.Ensure(2))
	if w = reopen(t, w); w.Level().Level != LevelB {
		t.Fatalf("control: %v", w.Level())
	}
	must(t, w.Close())
	if out, err := exec.Command("cp", "-a", dir, dir+"2").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	w = openAt(t, dir+"2")
	defer func() { _ = w.Close() }()
	if l := w.Level(); l.Level != LevelC || !strings.Contains(l.Reason, "move") {
		t.Fatalf("%v", l)
	}
}

func TestLevels(t *testing.T) {
	i := newImage(t, "ext4", "")
	w, err := Open(filepath.Join(i.dir, "wheel"), testKek, Options{OffDisk: true})
	must(t, err)
	must(t, w.Ensure(1))
	if l := w.Level(); l.Level != LevelA || l.Reason == "" {
		t.Errorf("%v", l)
	}
	must(t, w.Close())
	if s := locate("/proc/self/status"); s.problem == "" {
		t.Error("a file without a place is fine")
	}
	if s := locate("/nowhere"); s.problem == "" {
		t.Error("no file is fine")
	}
}

func TestJournal(t *testing.T) {
	const info = "24 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n" +
		"29 24 7:0 / /a\\040b rw,relatime - ext4 /dev/loop0 rw,data=journal\n" +
		"30 24 7:1 / /c rw,relatime shared:5 master:2 - ext4 /dev/loop1 rw,data=ordered\n"
	for device, bad := range map[string]bool{"254:0": false, "7:0": true, "7:1": false, "9:9": true, "24": true} {
		if got := journal(info, device); (got != "") != bad {
			t.Errorf("%s: %q", device, got)
		}
	}
	if journal("", "7:0") == "" || journal("garbage\n - \n7:0 7:0 7:0 - x\n", "7:0") == "" {
		t.Error("nothing known is fine")
	}
}
