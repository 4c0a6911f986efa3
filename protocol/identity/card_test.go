package identity

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"rushlight/protocol/wire"
)

var hints = []Hint{
	{Peer: bytes.Repeat([]byte{1}, 38), Addr: bytes.Repeat([]byte{2}, 11)},
	{Peer: bytes.Repeat([]byte{3}, 38), Addr: bytes.Repeat([]byte{4}, 11)},
}

func card(t testing.TB, name string) (*Card, *Account, *Device) {
	t.Helper()
	a, ds, m := person(t, 2)
	c, err := SignCard(ds[1], m, 3, time.Unix(1.7e9, 0), name, hints)
	if err != nil {
		t.Fatal(err)
	}
	return c, a, ds[1]
}

func TestCard(t *testing.T) {
	c, a, d := card(t, "Ann")
	got, err := ParseCard(c.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Verify(); err != nil {
		t.Fatal(err)
	}
	if got.ID() != a.ID() || got.Name != "Ann" || got.Seq != 3 || got.Issued != 1.7e9 || len(got.Hints) != 2 {
		t.Fatalf("read back %+v", got)
	}
	if _, err := SignCard(NewDevice(), c.Manifest, 1, time.Time{}, "", nil); !errors.Is(err, ErrNotListed) {
		t.Errorf("foreign device: %v", err)
	}
	if _, err := SignCard(d, c.Manifest, 1, time.Time{}, "a\u202eb", nil); !errors.Is(err, ErrBadName) {
		t.Errorf("name: %v", err)
	}
	if _, err := SignCard(d, c.Manifest, 1, time.Time{}, "", make([]Hint, 9)); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("hints: %v", err)
	}
	// A card moves to no other manifest of its account.
	moved := *c
	moved.Manifest = next(t, a, c.Manifest, d.Info(20000))
	if err := moved.Verify(); !errors.Is(err, ErrSignature) {
		t.Errorf("moved to another manifest: %v", err)
	}
}

func TestCardBitFlips(t *testing.T) {
	c, _, _ := card(t, "Ann")
	accepts := func(b []byte) bool {
		got, err := ParseCard(b)
		return err == nil && got.Verify() == nil
	}
	if !accepts(c.Marshal()) {
		t.Fatal("control: the card itself is refused")
	}
	everyBit(t, c.Marshal(), accepts)
}

func FuzzParseCard(f *testing.F) {
	c, _, _ := card(f, "Zoë")
	f.Add(c.Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseCard(b)
		if err == nil && (!bytes.Equal(c.Marshal(), b) || len(b) > MaxCard) {
			t.Fatal("not canonical")
		}
	})
}

func TestNames(t *testing.T) {
	for _, s := range []string{
		"Ann", "Zoë", "o'Neill 2", "李小龍", "علی\u200cرضا", "محمد", "👩\u200d🚒", "rl1", "rl10abcdefg!", "❤️",
		"\U0001FAE8 new", strings.Repeat("x", 64),
	} {
		if err := CheckName(s); err != nil {
			t.Errorf("%q refused", s)
		}
	}
	for _, s := range []string{
		"", " ", " a", "a ", "a  b", "a\tb", "a\nb", "a\x00", "\x7f", "\xff", strings.Repeat("x", 65),
		"Zoe\u0308",            // not NFC
		"\u0301a",              // starts with a combining mark
		"a\u202eb", "a\u200fb", // direction
		"a\u2066b", "a\u061cb", //
		"a\u200bb", "a\ufeffb", // nothing to see
		"a\u200db", "a\u200d", // joiners where no script wants them
		"\u3164", "\u2800", "a\u00a0b", "a\u2028b", "\ue000", "\u115f", "a\U000e0041",
		"rl1abcdefgh", "RL1ABCDEFGH", NewAccount().ID().String(),
	} {
		if err := CheckName(s); !errors.Is(err, ErrBadName) {
			t.Errorf("%q accepted", s)
		}
	}
	if s, err := CleanName("  Zoe\u0308  Q\n"); err != nil || s != "Zoë Q" {
		t.Errorf("cleaned to %q: %v", s, err)
	}
	if _, err := CleanName("a\u202eb"); !errors.Is(err, ErrBadName) {
		t.Errorf("cleaning hid a direction character: %v", err)
	}
}

func FuzzName(f *testing.F) {
	f.Add("Zoë")
	f.Add("👩\u200d🚒")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := CleanName(s)
		if err != nil {
			return
		}
		if again, err := CleanName(c); err != nil || again != c {
			t.Fatalf("cleaning %q twice: %q %v", s, again, err)
		}
	})
}
