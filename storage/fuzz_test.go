package storage

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rushlight/protocol/wire"
)

func FuzzHead(f *testing.F) {
	f.Add(head{counter: 7, mac: [32]byte{1}}.marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := parseHead(b); err == nil && !bytes.Equal(h.marshal(), b) {
			t.Fatal("a head has two spellings")
		}
		if v, err := parseVersion(b); err == nil && !bytes.Equal(wire.NewWriter(nil).U16(v).Out(), b) {
			t.Fatal("a version has two spellings")
		}
		if at, err := parseClock(b); err == nil && !bytes.Equal(encodeClock(at), b) {
			t.Fatal("a time has two spellings")
		}
	})
}

func FuzzGuard(f *testing.F) {
	k := deriveKeys(testRoot)
	f.Add(encodeGuard(&k, Schema, head{counter: 7, mac: [32]byte{1}}))
	other := deriveKeys([32]byte{9})
	f.Add(encodeGuard(&other, Schema, head{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		schema, h, err := parseGuard(&k, b)
		if err == nil && !bytes.Equal(encodeGuard(&k, schema, h), b) {
			t.Fatal("a guard has two spellings")
		}
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrWrongKey) && !errors.Is(err, ErrVersion) {
			t.Fatal(err)
		}
	})
}

func FuzzValue(f *testing.F) {
	s, err := Open(testOptions(f.TempDir()))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	for _, h := range []header{{}, {expires: time.UnixMilli(1e12)}, {erasable: true, leaf: Leaf{Bucket: s.leaves.bucket, Number: 7}}} {
		v, err := s.sealValue(new(desk), nil, Key("k"), []byte("v"), h)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := splitValue(b)
		if err == nil && !bytes.Equal(h.append(wire.NewWriter(nil)).Raw(b[n:]).Out(), b) {
			t.Fatal("a value has two spellings")
		}
		value, _, err := s.openValue(Key("k"), b)
		if err != nil && (!errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNotFound) || value != nil) {
			t.Fatal("damage was returned as a value")
		}
	})
}

// What Badger wrote, in any state, gives an answer and no panic.
func FuzzBadgerFiles(f *testing.F) {
	dir := f.TempDir()
	k := deriveKeys(testRoot)
	s, err := Open(testOptions(dir))
	if err != nil {
		f.Fatal(err)
	}
	if err := s.Update(func(tx *Tx) error { return tx.Put(Key("k"), []byte("v")) }); err != nil {
		f.Fatal(err)
	}
	log, err := os.ReadFile(logPath(filepath.Join(dir, dirDatabase), s.logNumber))
	if err != nil {
		f.Fatal(err)
	}
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(log[:used(log)+200])
	for _, name := range []string{"KEYREGISTRY", "000001.sst"} {
		b, err := os.ReadFile(filepath.Join(dir, dirDatabase, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	reg, err := readRegistry(filepath.Join(dir, dirDatabase, "KEYREGISTRY"), &k)
	if err != nil || len(reg.keys) != 1 {
		f.Fatal(err, len(reg.keys))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<20 {
			return
		}
		_, end, err := parseLog(b, reg, 3)
		if err == nil && end > len(b) && len(b) >= logHead {
			t.Fatal("the log ends behind its end")
		}
		_, end, err = parseRegistry(b, &k)
		if err == nil && end > len(b) {
			t.Fatal("the registry ends behind its end")
		}
		for _, key := range reg.keys {
			_, _ = parseTable(b, key)
		}
	})
}

func FuzzNote(f *testing.F) {
	k := deriveKeys(testRoot)
	f.Add(encodeNote(&k, nil))
	f.Add(encodeNote(&k, map[uint64]fingerprint{1: {2, 3, 4, 5}, 7: {}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		read := parseNote(&k, b)
		if read != nil && !bytes.Equal(encodeNote(&k, read), b) {
			t.Fatal("another spelling of a note")
		}
	})
}
