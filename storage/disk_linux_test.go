package storage

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rushlight/protocol/suite"
)

// tmpfs mounts a small filesystem, or skips the test.
func tmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("needs root to mount a filesystem: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func diskOptions(dir string) Options {
	o := testOptions(dir)
	o.Ballast = 16 << 20
	o.MinFree = 200 << 20
	return o
}

// hog writes until there is no room left.
func hog(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	b := make([]byte, 1<<20)
	for err == nil {
		_, err = f.Write(b)
	}
	return err
}

func init() {
	// fill DIR: writes until the store refuses, then takes all the rest of
	// the disk, reads everything and closes.
	children["fill"] = func(args []string) error {
		s, err := Open(diskOptions(filepath.Join(args[0], "store")))
		if err != nil {
			return err
		}
		n := uint64(1) // the transaction that comes next
		for ; err == nil; n++ {
			err = s.Update(func(tx *Tx) error {
				_, err := ledgerAppend(tx)
				if err != nil {
					return err
				}
				return tx.Put(Key(fmt.Sprintf("x%d", n)), bytes.Repeat([]byte{1}, MaxValue/2))
			})
		}
		if n--; !errors.Is(err, ErrNoSpace) {
			return fmt.Errorf("after %d transactions: %w", n, err)
		}
		fmt.Println(n - 1)
		// From here on a merge in the background may kill the process, as
		// somebody else fills the disk under it.
		if err := hog(filepath.Join(args[0], "hog")); !isNoSpace(err) {
			return fmt.Errorf("the disk isn't full: %w", err)
		}
		if end, err := ledgerCheck(s); err != nil || end != n-1 {
			return fmt.Errorf("on the full disk: ends at %d of %d: %w", end, n-1, err)
		}
		if len(args) > 1 { // die here, as a daemon would in a crash
			return unix.Kill(os.Getpid(), unix.SIGKILL)
		}
		if err := s.Close(); err != nil && !errors.Is(err, ErrNoSpace) {
			return err
		}
		return nil
	}
}

func init() {
	// refill DIR: opens the store on the full disk, reads everything, tries to
	// write and closes.
	children["refill"] = func(args []string) error {
		s, err := Open(diskOptions(filepath.Join(args[0], "store")))
		if err != nil {
			return err
		}
		end, err := ledgerCheck(s)
		if err != nil {
			return err
		}
		fmt.Println(end)
		// Opening clears up after the crash, which may have made room.
		err = s.Update(func(tx *Tx) error { return tx.Put(Key("a"), nil) })
		if err != nil && !errors.Is(err, ErrNoSpace) {
			return err
		}
		if err := s.Close(); err != nil && !errors.Is(err, ErrNoSpace) {
			return err
		}
		return nil
	}
}

// Writing stops before the disk is full, and the store opens on a full disk by
// means of its ballast.
func TestDiskFull(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a disk")
	}
	for _, how := range []string{"close", "crash"} {
		t.Run(how, func(t *testing.T) {
			dir := tmpfs(t, "size=320m")
			args := []string{dir}
			if how == "crash" {
				args = append(args, "crash")
			}
			cmd := child(t, "fill", args...)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			died := strings.Contains(stderr.String(), "SIGBUS")
			if len(out) == 0 || err != nil && !died && !strings.Contains(err.Error(), "killed") {
				t.Fatalf("%v %s %.2000s", err, out, stderr.String())
			}
			t.Logf("filled with %s transactions; died of the full disk: %v", strings.TrimSpace(string(out)), died)
			if err := hog(filepath.Join(dir, "hog2")); !isNoSpace(err) {
				t.Fatalf("the disk isn't full: %v", err)
			}
			again, err := child(t, "refill", dir).Output()
			if err != nil || string(again) != string(out) {
				t.Fatalf("on a full disk: ends at %s, was %s: %v", again, out, err)
			}
			for _, name := range []string{"hog", "hog2"} {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			s := open(t, testOptions(filepath.Join(dir, "store")))
			if end, err := ledgerCheck(s); err != nil || fmt.Sprintln(end) != string(out) {
				t.Fatalf("ends at %d, was %s: %v", end, out, err)
			}
			wantClean(t, s)
		})
	}
}

func TestInodes(t *testing.T) {
	dir := tmpfs(t, "size=96m,nr_inodes=1010")
	s := open(t, testOptions(filepath.Join(dir, "store")))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	err := s.Update(func(tx *Tx) error { return tx.Put(Key("a"), nil) })
	if !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), "inodes") {
		t.Fatalf("with few inodes: %v", err)
	}
}

func TestReadOnlyDirectory(t *testing.T) {
	dir := tmpfs(t, "size=96m")
	s := open(t, testOptions(dir))
	put(t, s, "k", "1")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := sums(t, dir)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(testOptions(dir)); !errors.Is(err, ErrReadOnly) {
		t.Fatal(err)
	}
	if !maps.Equal(before, sums(t, dir)) {
		t.Fatal("changed")
	}
	if _, err := Open(testOptions(filepath.Join(dir, "new"))); !errors.Is(err, ErrReadOnly) {
		t.Fatal(err)
	}
}

func TestModes(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, testOptions(dir))
	put(t, s, "k", "1")
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Fatalf("directory: %v %v", st.Mode(), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for path := range sums(t, dir) {
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", filepath.Base(path), st.Mode(), err)
		}
	}
}

func TestMapped(t *testing.T) {
	for line, want := range map[string]bool{
		"7f0010000000-7f0010200000 rw-s 00000000 fe:00 12 /a/db/000001.sst":           true,
		"7f0010000000-7f0010200000 rw-s 00000000 fe:00 12 /a/db/00001.mem":            true,
		"7f0010000000-7f0010200000 rw-s 00000000 fe:00 12 /a/dbx/00001.mem":           false,
		"7f0010000000-7f0010200000 rw-s 00000000 fe:00 12 /a/db/000001.sst (deleted)": false,
		"7f0010000000-7f0010200000 rw-p 00000000 00:00 0 ":                            false,
		"/a/db/000001.sst": false,
		"7f0010200000-7f0010000000 rw-s 00000000 fe:00 12 /a/db/000001.sst": false,
		"": false,
	} {
		from, to, path := mapped([]byte(line), "/a/db")
		ok := path != ""
		if ok != want || ok && (filepath.Dir(path) != "/a/db" || from != 0x7f0010000000 || to != 0x7f0010200000) {
			t.Errorf("%q: %x %x %v", line, from, to, ok)
		}
	}
}

// While a store is written to, the tables that nobody writes any more are given
// back, and nothing else is.
func TestTrimTables(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	o := testOptions(dir)
	o.Compactors = new(int) // or there might be new tables
	s := open(t, o)
	value := make([]byte, 1000)
	suite.Random(value)
	const keys = 8000
	for i := 0; i < keys; i += 100 {
		update(t, s, func(tx *Tx) (err error) {
			for k := i; k < i+100 && err == nil; k++ {
				err = tx.Put(Key(fmt.Sprint(k)), value)
			}
			return err
		})
	}
	read := func() {
		for i := range keys {
			if err := s.View(func(tx *Tx) error { _, err := tx.Get(Key(fmt.Sprint(i))); return err }); err != nil {
				t.Fatal(err)
			}
		}
	}
	age := func(by time.Duration) {
		tables, err := filepath.Glob(filepath.Join(dir, dirDatabase, "*.sst"))
		if err != nil || len(tables) == 0 {
			t.Fatal("there is no table", err)
		}
		for _, x := range tables {
			at := time.Now().Add(-by)
			if err := os.Chtimes(x, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	age(0)
	read()
	young, logs := resident(t, ".sst"), resident(t, ".mem")
	s.TrimTables()
	if got := resident(t, ".sst"); young == 0 || got < young {
		t.Errorf("%d KiB of tables that may be written were given back, of %d", young-got, young)
	}
	age(time.Minute)
	s.TrimTables()
	if got := resident(t, ".sst"); got > young/2 {
		t.Errorf("%d of %d KiB of tables are still here", got, young)
	}
	if got := resident(t, ".mem"); got < logs {
		t.Errorf("%d KiB of logs were given back", logs-got)
	}
	read()
}

// resident is how many KiB of this process's memory are files with an ending.
func resident(t *testing.T, ending string) (kib int) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	of := false
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 1 && strings.Contains(f[0], "-") {
			of = strings.HasSuffix(f[len(f)-1], ending)
		}
		if n := 0; of && strings.HasPrefix(line, "Rss:") {
			if _, err := fmt.Sscanf(line, "Rss: %d kB", &n); err != nil {
				t.Fatal(err)
			}
			kib += n
		}
	}
	return kib
}
