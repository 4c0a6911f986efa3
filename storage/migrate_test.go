package storage

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rushlight/storage/keyfile/wheel"
)

// A migration goes on where it was cut off, does each part once, and is over
// when the version says so.
func TestMigrate(t *testing.T) {
	o := testOptions(t.TempDir())
	s := open(t, o)
	const records = 100
	update(t, s, func(tx *Tx) error {
		for i := range records {
			if err := tx.Put(binary.BigEndian.AppendUint16(Key("a"), uint16(i)), []byte{1}); err != nil {
				return err
			}
		}
		return nil
	})
	cut := errors.New("cut off")
	parts, stop := 0, 3
	double := func(tx *Tx, from Key) (next Key, err error) {
		if parts++; parts == stop {
			return nil, cut
		}
		n := 0
		return next, tx.Scan(Key("a"), from, false, func(k Key, v []byte) (bool, error) {
			if n++; n > 30 {
				next = k
				return false, nil
			}
			return true, tx.Put(k, []byte{v[0] * 2})
		})
	}
	all := map[uint16]migration{Schema + 1: double, Schema + 2: double}
	if err := s.migrate(Schema+3, nil); err == nil {
		t.Fatal("there is a way to an unknown schema")
	}
	if err := s.migrate(Schema+1, all); !errors.Is(err, cut) {
		t.Fatal(err)
	}
	_ = s.Close()
	s = open(t, o) // the version is still the old one
	if v, err := s.schema(); err != nil || v != Schema {
		t.Fatal(v, err)
	}
	parts, stop = 0, 0
	if err := s.migrate(Schema+1, all); err != nil {
		t.Fatal(err)
	}
	if parts != 2 {
		t.Errorf("%d more parts", parts)
	}
	if err := s.migrate(Schema+2, all); err != nil {
		t.Fatal(err)
	}
	for i := range records {
		if v := get(t, s, string(binary.BigEndian.AppendUint16(Key("a"), uint16(i)))); v != "\x04" {
			t.Fatalf("record %d is %q", i, v)
		}
	}
	if v, err := s.schema(); err != nil || v != Schema+2 {
		t.Fatal(v, err)
	}
	_ = s.Close()
	if _, err := Open(o); !errors.Is(err, ErrVersion) {
		t.Fatalf("a newer store: %v", err)
	}
}

// A manifest of an earlier schema is raised to this one.
func TestOlderManifest(t *testing.T) {
	o := testOptions(t.TempDir())
	s := open(t, o)
	put(t, s, "k", "1")
	_ = s.Close()
	path := filepath.Join(o.Dir, dirDatabase, badger.ManifestFilename)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[4], raw[5] = 0, 0
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	if get(t, s, "k") != "1" {
		t.Error("the record is gone")
	}
	if raw, err = os.ReadFile(path); err != nil || manifestSchema(raw) != Schema {
		t.Errorf("the manifest is of schema %d", manifestSchema(raw))
	}
}

// makeFixture writes testdata/v<Schema> when it isn't there: it is made once for
// each schema that was released, and never again.
var makeFixture = flag.Bool("fixture", false, "write the fixture of this schema")

const fixtures = "testdata"

var fixtureFar = time.Unix(4e9, 0) // 2096

// writeFixture makes a small store with records of every form.
func writeFixture(t *testing.T, dir string) {
	t.Helper()
	o := testOptions(dir)
	s := open(t, o)
	for n := range 40 {
		update(t, s, func(tx *Tx) error {
			l, err := tx.NewLeaf(wheel.BucketFor(fixtureFar, fixtureFar.Sub(time.Unix(3e9, 0))), [16]byte{byte(n % 2)})
			if err != nil {
				return err
			}
			if err := tx.PutUnder(Key(fmt.Sprintf("\x41under%d", n)), fmt.Appendf(nil, "message %d", n), fixtureFar, l); err != nil {
				return err
			}
			if n%4 == 3 { // burn the one before
				old, _, err := tx.LeafOf(Key(fmt.Sprintf("\x41under%d", n-1)))
				if err != nil {
					return err
				}
				tx.Forget(old)
			}
			if err := tx.PutExpiring(Key(fmt.Sprintf("\x50event%d", n)), []byte{byte(n)}, fixtureFar); err != nil {
				return err
			}
			if err := tx.Put(Key{firstState, byte(n % 3)}, fmt.Appendf(nil, "state %d", n)); err != nil {
				return err
			}
			if n == 20 {
				return tx.Delete(Key("\x60plain10"))
			}
			return tx.Put(Key(fmt.Sprintf("\x60plain%d", n)), nil)
		})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"lock", "wheel/lock", "db/*.vlog", "db/DISCARD", "db/LOCK", "read"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Every version that was released is opened, read, brought up to date and
// checked by this one.
func TestFixtures(t *testing.T) {
	mine := filepath.Join(fixtures, fmt.Sprintf("v%d", Schema))
	if _, err := os.Stat(mine); errors.Is(err, os.ErrNotExist) && *makeFixture {
		writeFixture(t, mine)
	}
	for v := uint16(1); v <= Schema; v++ {
		dir := copyDir(t, filepath.Join(fixtures, fmt.Sprintf("v%d", v)))
		for range 2 {
			s := open(t, testOptions(dir))
			for n := range 40 {
				want := fmt.Sprintf("message %d", n)
				if n%4 == 2 {
					want = "-"
				}
				if got := get(t, s, fmt.Sprintf("\x41under%d", n)); got != want {
					t.Errorf("v%d: message %d is %q, want %q", v, n, got, want)
				}
				if got := get(t, s, fmt.Sprintf("\x50event%d", n)); got != string([]byte{byte(n)}) {
					t.Errorf("v%d: event %d is %q", v, n, got)
				}
				if n >= 37 {
					if got := get(t, s, string([]byte{firstState, byte(n % 3)})); got != fmt.Sprintf("state %d", n) {
						t.Errorf("v%d: state %d is %q", v, n, got)
					}
				}
			}
			for key, want := range map[string]string{"\x60plain1": "", "\x60plain10": "-", "\x60plain20": "-"} {
				if got := get(t, s, key); got != want {
					t.Errorf("v%d: %q is %q, want %q", v, key, got, want)
				}
			}
			wantClean(t, s)
			put(t, s, "\x60written", "by this version")
			if now, err := s.schema(); err != nil || now != Schema {
				t.Errorf("v%d: it is now of schema %d, %v", v, now, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
