package wheel

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// image is a filesystem in a file.
type image struct {
	file, dir string
	mounted   bool
}

// filesystems by name: how one is made, and how large it must be.
var filesystems = map[string]struct {
	mkfs []string
	size int64
}{
	"ext4":  {[]string{"mkfs.ext4", "-q", "-F"}, 48 << 20},
	"xfs":   {[]string{"mkfs.xfs", "-q", "-f"}, 320 << 20},
	"btrfs": {[]string{"mkfs.btrfs", "-q", "-f"}, 128 << 20},
}

// newImage makes and mounts a filesystem, or skips the test.
func newImage(t *testing.T, kind, options string) *image {
	t.Helper()
	fs := filesystems[kind]
	if _, err := exec.LookPath(fs.mkfs[0]); err != nil {
		t.Skipf("%s isn't installed", fs.mkfs[0])
	}
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a filesystem")
	}
	i := &image{file: filepath.Join(t.TempDir(), "image")}
	must(t, os.WriteFile(i.file, nil, 0o600))
	must(t, os.Truncate(i.file, fs.size))
	if out, err := exec.Command(fs.mkfs[0], append(fs.mkfs[1:], i.file)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	i.mount(t, options)
	return i
}

func (i *image) mount(t *testing.T, options string) {
	t.Helper()
	i.dir = t.TempDir()
	if out, err := exec.Command("mount", "-o", "loop"+options, i.file, i.dir).CombinedOutput(); err != nil {
		t.Skipf("can't mount a loop device: %v: %s", err, out)
	}
	i.mounted = true
	t.Cleanup(func() { i.unmount(t) })
}

func (i *image) unmount(t *testing.T) {
	t.Helper()
	if !i.mounted {
		return
	}
	i.mounted = false
	if out, err := exec.Command("umount", i.dir).CombinedOutput(); err != nil {
		_ = unix.Unmount(i.dir, unix.MNT_DETACH)
		t.Errorf("%v: %s", err, out)
	}
}

// raw returns all bytes of the medium.
func (i *image) raw(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile(i.file)
	must(t, err)
	return b
}

// flush brings everything that is only in memory to the medium.
func (i *image) flush(t *testing.T) {
	t.Helper()
	d, err := os.Open(i.dir)
	must(t, err)
	must(t, unix.Syncfs(int(d.Fd())))
	must(t, d.Close())
}

// renaming is the disk of one who trusts rename: a new anchor is written beside
// the old one and takes its name.
type renaming struct{ directory }

func (r renaming) createSlots(name string, body []byte) (slotFile, error) {
	if name != fileAnchor {
		return r.directory.createSlots(name, body)
	}
	s := &renamed{directory: r.directory, name: name}
	return s, s.Replace(body)
}

func (r renaming) openSlots(name string) (slotFile, error) {
	if name != fileAnchor {
		return r.directory.openSlots(name)
	}
	b, err := r.read(name)
	return &renamed{r.directory, name, b}, err
}

type renamed struct {
	directory
	name string
	body []byte
}

func (r *renamed) Body() []byte { return bytes.Clone(r.body) }
func (r *renamed) Older() bool  { return false }
func (r *renamed) Scrub() error { return nil }
func (r *renamed) Close() error { return nil }

func (r *renamed) Replace(body []byte) error {
	r.body = bytes.Clone(body)
	err := r.write(r.name+".tmp", body)
	if err == nil {
		err = os.Rename(r.path(r.name+".tmp"), r.path(r.name))
	}
	if err == nil {
		err = r.syncDir()
	}
	return err
}
