package engine_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"

	"rushlight/storage/keyfile/wheel"
)

var forensicFull = flag.Bool("forensic.full", false, "2,000 messages on every filesystem and in every control")

// medium is a filesystem in a file.
type medium struct {
	file, dir string
	mounted   bool
}

var mkfs = map[string][]string{
	"ext4":  {"mkfs.ext4", "-q", "-F", "-J", "size=64"},
	"xfs":   {"mkfs.xfs", "-q", "-f"},
	"btrfs": {"mkfs.btrfs", "-q", "-f"},
}

const mediumSize = 512 << 20

// newMedium makes and mounts a filesystem, or skips the test.
func newMedium(t *testing.T, kind, options string) *medium {
	t.Helper()
	if _, err := exec.LookPath(mkfs[kind][0]); err != nil {
		t.Skipf("%s isn't installed", mkfs[kind][0])
	}
	if why := cannotMount(); why != "" {
		t.Skip(why)
	}
	m := &medium{file: filepath.Join(t.TempDir(), "medium"), dir: t.TempDir()}
	if dir, err := os.MkdirTemp("/dev/shm", "medium"); err == nil { // a disk of our own
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		m.file = filepath.Join(dir, "medium")
	}
	must(t, os.WriteFile(m.file, nil, 0o600))
	must(t, os.Truncate(m.file, mediumSize))
	for _, cmd := range [][]string{append(mkfs[kind], m.file), {"mount", "-o", "loop,nodiscard" + options, m.file, m.dir}} {
		if out, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	m.mounted = true
	t.Cleanup(func() { m.unmount(t) })
	return m
}

// cannotMount says why a filesystem in a file can't be mounted here.
var cannotMount = sync.OnceValue(func() string {
	if os.Getuid() != 0 {
		return "needs root to mount a filesystem"
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		return "mkfs.ext4 isn't installed"
	}
	dir, err := os.MkdirTemp("", "mount")
	if err != nil {
		return err.Error()
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file, at := filepath.Join(dir, "file"), filepath.Join(dir, "at")
	for _, cmd := range [][]string{
		{"truncate", "-s", "2M", file}, {"mkdir", at}, {"mkfs.ext4", "-q", "-F", file}, {"mount", "-o", "loop", file, at}, {"umount", at},
	} {
		if out, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput(); err != nil {
			return fmt.Sprintf("can't mount a loop device: %v: %s", err, out)
		}
	}
	return ""
})

func (m *medium) unmount(t *testing.T) {
	t.Helper()
	if !m.mounted {
		return
	}
	m.mounted = false
	if out, err := exec.Command("umount", m.dir).CombinedOutput(); err != nil {
		_ = unix.Unmount(m.dir, unix.MNT_DETACH)
		t.Errorf("%v: %s", err, out)
	}
}

// flush brings everything that is only in memory to the medium.
func (m *medium) flush(t *testing.T) {
	t.Helper()
	d, err := os.Open(m.dir)
	must(t, err)
	must(t, unix.Syncfs(int(d.Fd())))
	must(t, d.Close())
}

// raw calls f with all bytes of the medium.
func (m *medium) raw(t *testing.T, f func(raw []byte)) {
	t.Helper()
	file, err := os.Open(m.file)
	must(t, err)
	defer func() { _ = file.Close() }()
	b, err := unix.Mmap(int(file.Fd()), 0, mediumSize, unix.PROT_READ, unix.MAP_PRIVATE)
	must(t, err)
	defer func() { must(t, unix.Munmap(b)) }()
	f(b)
}

// An attacker who seizes the medium while the daemon runs, and has the
// passphrase, recovers nothing that ended, on every filesystem that overwrites
// in place, and nearly everything in the controls.
func TestForensicMedium(t *testing.T) {
	for _, c := range []struct {
		name, kind, options string
		n                   int
		level               wheel.Level
		rename, leaks       bool
	}{
		{name: "ext4", kind: "ext4", n: 2000, level: wheel.LevelB},
		{name: "xfs", kind: "xfs", n: 300, level: wheel.LevelB},
		{name: "btrfs", kind: "btrfs", n: 300, level: wheel.LevelB},
		// The anchor is kept in a second file too, which is written anew and
		// renamed each time.
		{name: "control, ext4 with rename", kind: "ext4", n: 300, level: wheel.LevelB, rename: true, leaks: true},
		{name: "control, ext4 with data=journal", kind: "ext4", n: 300, options: ",data=journal", level: wheel.LevelC, leaks: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if *forensicFull {
				c.n = 2000
			} else if testing.Short() {
				if c.kind != "ext4" || c.rename {
					t.Skip("the short run is on ext4, and with its journal")
				}
				c.n = 120
			}
			m := newMedium(t, c.kind, c.options)
			dir, db := filepath.Join(m.dir, "ann"), filepath.Join(t.TempDir(), "db")
			var s *story
			var all []row
			synctest.Test(t, func(t *testing.T) {
				tell(t, dir, c.n, func() {
					if c.rename {
						b, err := os.ReadFile(filepath.Join(dir, "wheel", "anchor"))
						must(t, err)
						copied := filepath.Join(m.dir, "anchor")
						must(t, os.WriteFile(copied+".new", b, 0o600))
						must(t, os.Rename(copied+".new", copied))
					}
					m.flush(t)
				}, func(told *story) {
					s = told
					m.flush(t)
					copyTree(t, filepath.Join(dir, "db"), db)
					all = rows(t, db, s.root)
					m.raw(t, func(raw []byte) {
						got := s.attack(all, append(files(t, filepath.Join(dir, "wheel")), raw)...)
						if c.leaks {
							got.wantLeaked(t, s)
						} else {
							got.wantErased(t, s)
						}
					})
				})
			})
			if s.level != c.level {
				t.Errorf("level %v", s.level)
			}
		})
	}
}
