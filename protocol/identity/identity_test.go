package identity

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func id(t *rapid.T) AccountID {
	return NewAccountID([32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")))
}

func TestAccountIDHasOneSpelling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := id(t)
		s := a.String()
		if got, err := ParseAccountID(s); err != nil || got != a {
			t.Fatalf("parse of own form: %v", err)
		}
		if len(s) != 61 || s[:3] != "rl1" || s != strings.ToLower(s) {
			t.Fatalf("form %q", s)
		}
		if !strings.HasPrefix(s, a.Short()) || len(a.Short()) != 11 {
			t.Fatalf("short form %q", a.Short())
		}
		// Every change of one character is told from an unknown id.
		i := rapid.IntRange(0, len(s)-1).Draw(t, "at")
		c := rapid.SampledFrom([]byte("abcdefghijklmnopqrstuvwxyz234567A01 -\n")).Draw(t, "char")
		if bad := s[:i] + string(c) + s[i+1:]; bad != s {
			if _, err := ParseAccountID(bad); !errors.Is(err, ErrMistyped) {
				t.Fatalf("one character changed: %v", err)
			}
		}
		if _, err := ParseAccountID(s[:i]); !errors.Is(err, ErrMistyped) {
			t.Fatalf("cut: %v", err)
		}
	})
	for _, s := range []string{"", "rl1", strings.ToUpper(AccountID{}.String()), AccountID{}.String() + "a"} {
		if _, err := ParseAccountID(s); !errors.Is(err, ErrMistyped) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestUUIDIsVersion8(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := id(t).UUID()
		if len(u) != 36 || u[14] != '8' || !strings.ContainsRune("89ab", rune(u[19])) {
			t.Fatalf("not a UUIDv8: %s", u)
		}
	})
}

func TestIDsInJSON(t *testing.T) {
	d := NewDevice().ID()
	in := struct {
		A AccountID
		D DeviceID
	}{NewAccount().ID(), d}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	out := in
	out.A, out.D = AccountID{}, DeviceID{}
	if err := json.Unmarshal(b, &out); err != nil || out != in {
		t.Fatalf("%s: %v", b, err)
	}
	if _, err := ParseDeviceID(strings.ToUpper(d.String()) + "a"); !errors.Is(err, ErrMistyped) {
		t.Fatal("upper case or odd length accepted")
	}
}

func TestDeviceKeysSurviveStorage(t *testing.T) {
	d := NewDevice()
	got, err := ParseDevice(d.Marshal())
	if err != nil || got.Info(7) != d.Info(7) || got.ID() != d.ID() || got.Info(7).ID() != d.ID() {
		t.Fatalf("round trip: %v", err)
	}
	if _, err := ParseDevice(d.Marshal()[1:]); err == nil {
		t.Fatal("accepted a cut encoding")
	}
}

func TestFingerprint(t *testing.T) {
	a, b := Fingerprint(NewAccount().ID()), Fingerprint(NewAccount().ID())
	if a == b || len(strings.Fields(a)) != 6 || len(a) != 29 {
		t.Fatalf("%q %q", a, b)
	}
}
