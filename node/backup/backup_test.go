package backup

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/identity"
	"rushlight/protocol/suite"
	"rushlight/storage"
	"rushlight/storage/keyfile"
	"rushlight/storage/record"
)

func newSlot(t testing.TB) (slot []byte, key [32]byte) {
	t.Helper()
	slot, key, err := keyfile.NewSlot([]byte("pass"), keyfile.TestParams)
	if err != nil {
		t.Fatal(err)
	}
	return slot, key
}

func newStore(t testing.TB) *storage.Store {
	t.Helper()
	o := storage.Options{Dir: t.TempDir(), MinFree: 1, Ballast: -1}
	suite.Random(o.Root[:])
	s, err := storage.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// sample is a backup of a profile with some contacts.
func sample(t testing.TB, contacts int) (file, slot []byte, key [32]byte, code identity.RecoveryCode) {
	t.Helper()
	s := newStore(t)
	code = identity.NewRecoveryCode()
	if err := engine.Create(s, code, "Ann", time.Now()); err != nil {
		t.Fatal(err)
	}
	err := s.Update(func(tx *storage.Tx) error {
		for range contacts {
			c := &record.Contact{Account: identity.NewAccount().ID(), State: record.ContactApproved, Petname: "bob", Presence: [32]byte{7}}
			if err := tx.Put(record.ContactKey(tx, c.Account), c.Marshal()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slot, key = newSlot(t)
	var b bytes.Buffer
	if sum, err := Write(&b, slot, key, s, false); err != nil || int(sum.Contacts) != contacts {
		t.Fatal(sum, err)
	}
	return b.Bytes(), slot, key, code
}

// opened gives what follows the header, as a person would get at it.
func opened(t testing.TB, file []byte) (io.Reader, []byte, [32]byte) {
	t.Helper()
	r := bytes.NewReader(file)
	slot, err := Slot(r)
	if err != nil {
		t.Fatal(err)
	}
	key, err := keyfile.OpenSlot(slot, []byte("pass"))
	if err != nil {
		t.Fatal(err)
	}
	return r, slot, key
}

// A restored profile is the same account on another device, with nothing of the
// old one but what the backup is for.
func TestRoundTrip(t *testing.T) {
	file, _, _, code := sample(t, 3)
	r, slot, key := opened(t, file)
	if sum, err := Verify(r, slot, key); err != nil || sum.Contacts != 3 {
		t.Fatal(sum, err)
	}
	r, _, _ = opened(t, file)
	if err := CheckCode(r, slot, key, identity.NewRecoveryCode()); !errors.Is(err, identity.ErrWrongCode) {
		t.Fatal(err)
	}
	r, _, _ = opened(t, file)
	s := newStore(t)
	if _, err := Restore(r, slot, key, s, code, time.Now()); err != nil {
		t.Fatal(err)
	}
	err := s.View(func(tx *storage.Tx) error {
		raw, err := tx.Get(record.SelfKey())
		if err != nil {
			return err
		}
		self, err := record.ParseSelf(raw)
		if err != nil {
			return err
		}
		m, err := identity.ParseManifest(self.Manifest)
		if err != nil {
			return err
		}
		if m.Seq != 2 || len(m.Devices) != 1 || len(m.Revoked) != 1 || m.Verify() != nil || self.Name != "Ann" {
			t.Errorf("manifest %d with %d devices, %d revoked", m.Seq, len(m.Devices), len(m.Revoked))
		}
		return tx.Scan(record.ContactPrefix(), nil, false, func(_ storage.Key, v []byte) (bool, error) {
			c, err := record.ParseContact(v)
			if err == nil && (c.Presence != [32]byte{} || c.Petname != "bob") {
				t.Error("a contact isn't as it should be")
			}
			return true, err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keyfile.OpenSlot(slot, []byte("Pass")); !errors.Is(err, keyfile.ErrWrongPassphrase) {
		t.Fatal(err)
	}
}

// Whatever is altered, cut off, added, moved or left out is refused.
func TestAltered(t *testing.T) {
	file, _, _, _ := sample(t, 2000) // several frames
	try := func(what string, bad []byte) {
		t.Helper()
		r := bytes.NewReader(bad)
		slot, err := Slot(r)
		if err == nil {
			var key [32]byte
			if key, err = keyfile.OpenSlot(slot, []byte("pass")); err == nil {
				_, err = Verify(r, slot, key)
			}
		}
		switch {
		case errors.Is(err, ErrDamaged), errors.Is(err, ErrVersion), errors.Is(err, keyfile.ErrCorrupt), errors.Is(err, keyfile.ErrWrongPassphrase):
		default:
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range 200 {
		bad := bytes.Clone(file)
		at := i
		if i >= 120 {
			at = (len(file) - 1) * (i - 120) / 79
		}
		bad[at] ^= 1 << (i % 8)
		try("a flipped bit", bad)
		try("cut", file[:at])
	}
	try("grown", append(bytes.Clone(file), 0))
	try("twice", append(bytes.Clone(file), file...))

	head, body := file[:HeaderSize], file[HeaderSize:]
	var frames [][]byte
	for len(body) > 0 {
		n := frameHead + (int(body[1])<<16 | int(body[2])<<8 | int(body[3]))
		frames, body = append(frames, body[:n]), body[n:]
	}
	if len(frames) < 3 {
		t.Fatalf("only %d frames", len(frames))
	}
	join := func(fs ...[]byte) []byte { return append(bytes.Clone(head), bytes.Join(fs, nil)...) }
	last := len(frames) - 1
	try("a frame left out", join(append([][]byte{frames[0]}, frames[2:]...)...))
	try("two frames swapped", join(append([][]byte{frames[1], frames[0]}, frames[2:]...)...))
	try("the last left out", join(frames[:last]...))
	early := bytes.Clone(frames[0])
	early[0] = 1
	try("the first called the last", join(early))
	other, _, _, _ := sample(t, 2)
	try("another's header", append(bytes.Clone(other[:HeaderSize]), file[HeaderSize:]...))
	if r, slot, key := opened(t, join(frames...)); true {
		if _, err := Verify(r, slot, key); err != nil {
			t.Errorf("control: %v", err)
		}
	}
}

// What decodes has one spelling.
func FuzzItem(f *testing.F) {
	f.Add([]byte{itemEnd, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 2})
	f.Add([]byte{itemTomb, 0, 0, 26, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 1})
	file, _, _, _ := sample(f, 1)
	r, slot, key := opened(f, file)
	plain, err := io.ReadAll(newReader(r, slot, key))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Fuzz(func(t *testing.T, b []byte) {
		typ, body, err := readItem(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			return
		}
		var again []byte
		switch typ {
		case itemSelf:
			if m, err := parseMe(body); err == nil {
				again = m.marshal()
			}
		case itemHistory:
			if h, err := parsePast(body); err == nil {
				again = h.marshal()
			}
		case itemMessage:
			if s, err := parseSaid(body); err == nil {
				again = s.marshal()
			}
		case itemTomb:
			if x, err := parseTomb(body); err == nil {
				again = x.marshal()
			}
		case itemNumber:
			if n, err := parseNumber(body); err == nil {
				again = n.marshal()
			}
		case itemEnd:
			if s, err := parseSummary(body); err == nil {
				again = s.marshal()
			}
		}
		if again != nil && !bytes.Equal(again, body) {
			t.Fatalf("type %d has two spellings", typ)
		}
	})
}
