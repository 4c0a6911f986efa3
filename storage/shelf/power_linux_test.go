package shelf

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// image is an ext4 filesystem in a file.
type image struct{ file, dir string }

func newImage(t *testing.T) *image {
	t.Helper()
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		t.Skip("mkfs.ext4 isn't installed")
	}
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a filesystem")
	}
	i := &image{file: filepath.Join(t.TempDir(), "image")}
	if err := errors.Join(os.WriteFile(i.file, nil, 0o600), os.Truncate(i.file, 256<<20)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", i.file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	i.mount(t)
	return i
}

func (i *image) mount(t *testing.T) {
	t.Helper()
	i.dir = t.TempDir()
	if out, err := exec.Command("mount", "-o", "loop", i.file, i.dir).CombinedOutput(); err != nil {
		t.Skipf("can't mount a loop device: %v: %s", err, out)
	}
	t.Cleanup(func() { i.unmount(t) })
}

func (i *image) unmount(t *testing.T) {
	t.Helper()
	if i.dir == "" {
		return
	}
	if out, err := exec.Command("umount", i.dir).CombinedOutput(); err != nil {
		_ = unix.Unmount(i.dir, unix.MNT_DETACH)
		t.Errorf("%v: %s", err, out)
	}
	i.dir = ""
}

// powerCuts stops a writer at some moments and verifies what the medium holds
// then. It returns how often that was wrong.
func powerCuts(t *testing.T, how string, cuts int) (wrong int) {
	t.Helper()
	i := newImage(t)
	total := 0
	for range cuts {
		a := &acked{numbers: map[uint64]bool{}}
		dir := filepath.Join(i.dir, fmt.Sprint("shelf", rand.Uint32()))
		cmd, _, rest := run(t, dir, how, a, 200+rand.IntN(2000))
		if err := cmd.Process.Signal(unix.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		var status unix.WaitStatus
		if _, err := unix.Wait4(cmd.Process.Pid, &status, unix.WUNTRACED, nil); err != nil || !status.Stopped() {
			t.Fatalf("%v %v", status, err)
		}
		cut := &image{file: filepath.Join(t.TempDir(), "cut")}
		if out, err := exec.Command("cp", "--sparse=always", i.file, cut.file).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		rest() // what was acknowledged before it stopped
		total += len(a.numbers)
		cut.mount(t)
		if err := verify(filepath.Join(cut.dir, filepath.Base(dir)), how, a); err != nil {
			t.Log(err)
			wrong++
		}
		cut.unmount(t)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d cuts, %d envelopes acknowledged, %d times wrong", cuts, total, wrong)
	return wrong
}

// The power fails at any moment. What the medium then holds opens, and has
// everything that was acknowledged.
func TestPowerCut(t *testing.T) {
	cuts := 6
	if testing.Short() {
		cuts = 2
	}
	if powerCuts(t, "plain", cuts) > 0 {
		t.Error("acknowledged envelopes were lost")
	}
}

// Control: without syncing they are lost.
func TestPowerCutControl(t *testing.T) {
	if powerCuts(t, "nosync", 2) == 0 {
		t.Error("nothing is lost without syncing")
	}
}

// tmpfs mounts a small filesystem, or skips the test.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("needs root to mount a filesystem: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// Row 10: the disk becomes full, by us and then by others. Deposits are
// refused, none that was acknowledged is lost, and the shelf opens again.
func TestDiskFull(t *testing.T) {
	dir := tmpfs(t, "96m")
	a := &acked{numbers: map[uint64]bool{}}
	cmd, read, rest := run(t, filepath.Join(dir, "shelf"), "small", a, 1)
	for a.refused < 100 && read() {
	}
	t.Logf("%d envelopes before the first refusals", len(a.numbers))
	if len(a.numbers) < 1000 || a.refused < 100 {
		t.Fatal("the disk wasn't filled, or nobody was told")
	}
	// Somebody else takes the rest. A merge in the background may then end the
	// process, which loses nothing.
	hog := filepath.Join(dir, "hog")
	if err := fill(hog); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the disk isn't full: %v", err)
	}
	before := len(a.numbers)
	for n := 0; n < 2000 && read(); n++ {
	}
	if len(a.numbers) > before {
		// Those were under way when the disk became full.
		t.Logf("%d more", len(a.numbers)-before)
	}
	_ = cmd.Process.Kill()
	rest()
	if err := os.Remove(hog); err != nil {
		t.Fatal(err)
	}
	a.lastN = 0 // there is no room for a retry's page
	if err := verify(filepath.Join(dir, "shelf"), "small", a); err != nil {
		t.Error(err)
	}
}

// fill writes until there is no room left.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, 1<<16)
	for err == nil {
		_, err = f.Write(b)
	}
	return err
}
