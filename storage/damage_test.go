package storage

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/options"

	"rushlight/protocol/wire"
)

func copyDir(t testing.TB, from string) (to string) {
	t.Helper()
	to = t.TempDir()
	if err := os.CopyFS(filepath.Join(to, "c"), os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(to, "c")
}

func sums(t testing.TB, dir string) map[string][32]byte {
	t.Helper()
	out := map[string][32]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		out[path] = sha256.Sum256(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// ledgerDir returns a store's directory with tables, and with a log unless it
// was closed, and the last transaction acknowledged in it.
func ledgerDir(t testing.TB, closed bool) (dir string, acked uint64) {
	t.Helper()
	dir = t.TempDir()
	acked = writeAndKill(t, dir, 500)
	if !closed {
		return dir, acked
	}
	s, err := Open(testOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	if acked, err = ledgerCheck(s); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, acked
}

func init() {
	// reader DIR ACKED: exits with success when the store is refused as
	// damaged, when it says so on reading, or has everything acknowledged.
	children["reader"] = func(args []string) error {
		acked, err := strconv.ParseUint(args[1], 10, 64)
		if err != nil {
			return err
		}
		s, err := Open(testOptions(args[0]))
		if errors.Is(err, ErrCorrupt) {
			fmt.Print("refused ")
			return nil
		}
		if err != nil {
			return err
		}
		end, err := ledgerCheck(s)
		if errors.Is(err, ErrCorrupt) {
			fmt.Print("found ")
			return nil
		}
		if err != nil {
			return err
		}
		if end < acked {
			return fmt.Errorf("WRONG: ends at %d, %d was acknowledged", end, acked)
		}
		select {
		case <-s.audit.cleared:
			fmt.Print("intact ")
			return s.Close()
		case <-s.Broken():
			fmt.Print("noticed ")
			return nil
		}
	}
}

// used returns where the last byte of b that isn't zero is.
func used(b []byte) int {
	n := len(b)
	for n > 1 && b[n-1] == 0 {
		n--
	}
	return n
}

// Every kind of file is flipped and cut at many places. The store is refused,
// or nothing is missing: never wrong data, never a death.
func TestDamage(t *testing.T) {
	t.Parallel() // it mostly waits for children and the disk
	places := 5
	if testing.Short() {
		places = 2
	}
	outcomes := map[string]int{}
	for _, closed := range []bool{true, false} {
		dir, acked := ledgerDir(t, closed)
		for path := range sums(t, dir) {
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if len(raw) == 0 || filepath.Ext(rel) == ".sst" && outcomes[".sst cut refused"] >= places {
				continue
			}
			n := used(raw)
			for i := range places {
				at := (n - 1) * i / (places - 1)
				try := func(how string, bad []byte) {
					t.Helper()
					broken := copyDir(t, dir)
					if err := os.WriteFile(filepath.Join(broken, rel), bad, 0o600); err != nil {
						t.Fatal(err)
					}
					cmd := child(t, "reader", broken, strconv.FormatUint(acked, 10))
					out, err := cmd.Output()
					if err != nil {
						t.Errorf("closed %v, %s %s at %d of %d: %v %s", closed, rel, how, at, n, err, out)
					}
					kind := filepath.Ext(rel)
					if kind == "" {
						kind = filepath.Base(rel)
					}
					outcomes[kind+" "+how+" "+strings.TrimSpace(string(out))]++
				}
				flipped := append([]byte(nil), raw...)
				flipped[at] ^= 1 << (i % 8)
				try("flip", flipped)
				try("cut", raw[:at])
			}
		}
	}
	for k, n := range outcomes {
		t.Logf("%-28s %d", k, n)
		if strings.HasSuffix(k, "found") || strings.HasSuffix(k, "noticed") {
			t.Errorf("opened although a file had changed: %s", k)
		}
	}
	for _, must := range []string{".sst flip refused", ".sst cut refused", ".mem flip refused", "MANIFEST flip refused", "MANIFEST cut refused", "KEYREGISTRY cut refused", "guard cut refused"} {
		if outcomes[must] == 0 {
			t.Errorf("never seen: %s", must)
		}
	}
}

// rawValues reads the stored values with Badger alone, its checks left as they
// are by default.
func rawValues(t testing.TB, dir string) (map[string]string, error) {
	t.Helper()
	k := deriveKeys(testRoot)
	db, err := badger.Open(badger.DefaultOptions(filepath.Join(dir, dirDatabase)).WithLogger(nil).
		WithExternalMagic(Schema).WithEncryptionKey(k.badger[:]).WithBlockCacheSize(1 << 20).WithIndexCacheSize(1 << 20).
		WithCompression(options.None).WithMemTableSize(4 << 20).WithValueThreshold(maxStored + 1))
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	out := map[string]string{}
	return out, db.View(func(tx *badger.Txn) error {
		it := tx.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			v, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			out[string(it.Item().Key())] = string(v)
		}
		return nil
	})
}

// flipValue flips a bit in the middle of a live value in a table.
func flipValue(t testing.TB, path string, k *keys, live map[string]string) bool {
	t.Helper()
	reg, err := readRegistry(filepath.Join(filepath.Dir(path), badger.KeyRegistryFileName), k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var some [][]byte
	for _, v := range live {
		if len(v) > 100 && len(some) < 20 {
			some = append(some, []byte(v))
		}
	}
	for _, key := range reg.keys {
		index, err := tableIndex(raw, key)
		if err != nil {
			t.Fatal(err)
		}
		var at fb.BlockOffset
		for i := range index.OffsetsLength() {
			index.Offsets(&at, i)
			block := raw[at.Offset() : at.Offset()+at.Len()]
			plain, err := verifyBlock(block, key, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range some {
				if j := bytes.Index(plain, v); j >= 0 {
					block[j+len(v)/2] ^= 1
					if err := os.WriteFile(path, raw, 0o600); err != nil {
						t.Fatal(err)
					}
					return true
				}
			}
		}
	}
	return false
}

// The positive controls of TestDamage: with our own checks off the same damage
// shows wrong values and loses records, without an error.
func TestDamageUnchecked(t *testing.T) {
	dir, _ := ledgerDir(t, true)
	// The last thing that the manifest is told must be a new table.
	o, none := testOptions(dir), 0
	o.Compactors = &none
	s := open(t, o)
	put(t, s, "k", "1")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := rawValues(t, copyDir(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	k := deriveKeys(testRoot)
	tables, err := filepath.Glob(filepath.Join(dir, dirDatabase, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal("no tables", err)
	}
	broken := copyDir(t, dir)
	if !slices.ContainsFunc(tables, func(path string) bool {
		return flipValue(t, filepath.Join(broken, dirDatabase, filepath.Base(path)), &k, good)
	}) {
		t.Fatal("no table has a live value")
	}
	// Badger alone may merge the tables, with the flip, into a sound one.
	bad, err := rawValues(t, copyDir(t, broken))
	if err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for key, v := range bad {
		if good[key] == v {
			continue
		}
		wrong++
		if _, _, err := (&Store{keys: k}).openValue(Key(key), []byte(v)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("a flipped value opens: %v", err)
		}
	}
	if wrong != 1 {
		t.Errorf("control: the flip shows as %d wrong values", wrong)
	}
	if _, err := Open(testOptions(broken)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a flipped value: %v", err)
	}

	broken = copyDir(t, dir)
	manifest := filepath.Join(broken, dirDatabase, badger.ManifestFilename)
	raw, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(manifest, raw[:len(raw)-5], 0o600); err != nil {
		t.Fatal(err)
	}
	if bad, err := rawValues(t, copyDir(t, broken)); err != nil || maps.Equal(bad, good) {
		t.Errorf("control: a cut manifest lost nothing (%v)", err)
	}
	if _, err := Open(testOptions(broken)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a cut manifest: %v", err)
	}
}

// A copy from before the last run is refused; that the guard does it shows
// when it is put back as well.
func TestRollback(t *testing.T) {
	dir := t.TempDir()
	s := open(t, testOptions(dir))
	put(t, s, "k", "1")
	_ = s.Close()
	old := copyDir(t, dir)
	s = open(t, testOptions(dir))
	put(t, s, "k", "2")
	_ = s.Close()
	replace := func(what string) {
		t.Helper()
		to := filepath.Join(dir, what)
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(old, what), to); err != nil {
			t.Fatal(err)
		}
	}
	replace(dirDatabase)
	if _, err := Open(testOptions(dir)); !errors.Is(err, ErrRolledBack) || !errors.Is(err, ErrCorrupt) {
		t.Fatalf("an old database: %v", err)
	}
	replace(fileGuard)
	s = open(t, testOptions(dir))
	if get(t, s, "k") != "1" {
		t.Fatal("control: the old copy as a whole")
	}
}

// Two histories of the same length aren't confused.
func TestFork(t *testing.T) {
	dir := t.TempDir()
	s := open(t, testOptions(dir))
	put(t, s, "k", "1")
	_ = s.Close()
	other := copyDir(t, dir)
	for _, d := range []string{dir, other} {
		s = open(t, testOptions(d))
		put(t, s, "k", "2")
		_ = s.Close()
	}
	if err := os.Remove(filepath.Join(dir, fileGuard)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(other, fileGuard), filepath.Join(dir, fileGuard)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(testOptions(dir)); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("the guard of another history: %v", err)
	}
}

func TestMissingFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, testOptions(dir))
	put(t, s, "k", "1")
	_ = s.Close()
	for _, name := range []string{fileGuard, dirDatabase, dirDatabase + "/MANIFEST", dirDatabase + "/KEYREGISTRY"} {
		broken := copyDir(t, dir)
		if err := os.RemoveAll(filepath.Join(broken, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(testOptions(broken)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestWrongRoot(t *testing.T) {
	dir := t.TempDir()
	s := open(t, testOptions(dir))
	put(t, s, "k", "1")
	_ = s.Close()
	before := sums(t, dir)
	o := testOptions(dir)
	o.Root[0] ^= 1
	if _, err := Open(o); !errors.Is(err, ErrWrongKey) {
		t.Fatal(err)
	}
	if !maps.Equal(before, sums(t, dir)) {
		t.Fatal("a refused root changed files")
	}
	open(t, testOptions(dir))
}

// Each of the three places that carry the schema is enough to refuse.
func TestNewerSchema(t *testing.T) {
	make3 := func() string {
		dir := t.TempDir()
		s := open(t, testOptions(dir))
		put(t, s, "k", "1")
		_ = s.Close()
		return dir
	}
	k := deriveKeys(testRoot)

	dir := make3()
	g, err := openGuard(filepath.Join(dir, fileGuard), k, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.file.Replace(encodeGuard(&k, Schema+1, g.mark)); err != nil {
		t.Fatal(err)
	}
	_ = g.close()
	before := sums(t, dir)
	if _, err := Open(testOptions(dir)); !errors.Is(err, ErrVersion) {
		t.Fatalf("guard: %v", err)
	}
	if !maps.Equal(before, sums(t, dir)) {
		t.Fatal("a refused store was changed")
	}

	dir = make3()
	manifest := filepath.Join(dir, dirDatabase, "MANIFEST")
	raw, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	raw[5]++
	if err := os.WriteFile(manifest, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(testOptions(dir)); !errors.Is(err, ErrVersion) {
		t.Fatalf("manifest: %v", err)
	}

	dir = make3()
	s := open(t, testOptions(dir))
	if err := s.commitAlone(op{key: keyVersion, value: wire.NewWriter(nil).U16(Schema + 1).Out()}); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	if _, err := Open(testOptions(dir)); !errors.Is(err, ErrVersion) {
		t.Fatalf("record: %v", err)
	}
}
