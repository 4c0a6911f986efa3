package identity

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSafetyNumber(t *testing.T) {
	a, b, m := NewAccount().Public(), NewAccount().Public(), NewAccount().Public()
	n := SafetyNumber(a, b)
	if n != SafetyNumber(b, a) || len(n) != 60 {
		t.Fatalf("not the same for both: %s", n)
	}
	if n == SafetyNumber(a, m) || n == SafetyNumber(m, b) {
		t.Fatal("somebody in between has the same number")
	}
	f := FormatSafetyNumber(n)
	if len(strings.Fields(f)) != 12 {
		t.Fatalf("form %q", f)
	}
	for _, s := range []string{n, f, " " + f + "\n", strings.ReplaceAll(f, " ", "\u00a0")} {
		if got, err := ParseSafetyNumber(s); err != nil || got != n {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"", n[1:], n + "0", "x" + n[1:], strings.Repeat("٣", 30)} {
		if _, err := ParseSafetyNumber(s); !errors.Is(err, ErrMistyped) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestSafetyQR(t *testing.T) {
	a, b, m := NewAccount().Public(), NewAccount().Public(), NewAccount().Public()
	shown := MarshalSafetyQR(a, b) // on a's screen
	if err := CheckSafetyQR(shown, b, a); err != nil {
		t.Fatalf("honest scan: %v", err)
	}
	// An attacker m sits between a and b: each holds m's key for the other.
	for name, err := range map[string]error{
		"b scans a":          CheckSafetyQR(MarshalSafetyQR(a, m), b, m),
		"a scans b":          CheckSafetyQR(MarshalSafetyQR(b, m), a, m),
		"b scans own screen": CheckSafetyQR(MarshalSafetyQR(b, a), b, a),
		"one side only":      CheckSafetyQR(MarshalSafetyQR(a, m), b, a),
	} {
		if !errors.Is(err, ErrSafetyMismatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := CheckSafetyQR("AM"+shown[2:], b, a); !errors.Is(err, ErrSafetyVersion) {
		t.Errorf("version: %v", err)
	}
	for _, s := range []string{"", "!", shown[:40]} {
		if err := CheckSafetyQR(s, b, a); !errors.Is(err, ErrMistyped) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func BenchmarkSafetyNumber(b *testing.B) {
	x, y := NewAccount().Public(), NewAccount().Public()
	for b.Loop() {
		SafetyNumber(x, y)
	}
}

func compare(t testing.TB, x, y *SAS) ([SASLength]Emoji, [SASLength]Emoji) {
	t.Helper()
	cx, cy := x.Commit(), y.Commit()
	rx, err1 := x.Reveal(cy)
	ry, err2 := y.Reveal(cx)
	ex, err3 := x.Emoji(ry)
	ey, err4 := y.Emoji(rx)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	return ex, ey
}

func TestSAS(t *testing.T) {
	tr := [32]byte{1}
	if a, b := compare(t, NewSAS(tr, true), NewSAS(tr, false)); a != b {
		t.Fatal("two honest sides differ")
	}
	x, y := NewSAS(tr, true), NewSAS(tr, false)
	if _, err := x.Emoji(y.nonce); !errors.Is(err, ErrSAS) {
		t.Errorf("showed before a commitment: %v", err)
	}
	// Whoever sends back what it gets learns nothing and passes nothing.
	rx, _ := x.Reveal(x.Commit())
	if _, err := x.Emoji(rx); !errors.Is(err, ErrSAS) {
		t.Errorf("reflection: %v", err)
	}
	if _, err := x.Reveal(y.Commit()); !errors.Is(err, ErrSAS) {
		t.Errorf("second commitment after the reveal: %v", err)
	}
	if _, err := y.Reveal(NewSAS(tr, true).Commit()); err != nil {
		t.Fatal(err)
	}
	if _, err := y.Emoji(rx); !errors.Is(err, ErrSAS) {
		t.Errorf("reveal of another commitment: %v", err)
	}
	// Another transcript does not even open.
	v, w := NewSAS(tr, true), NewSAS([32]byte{2}, false)
	if _, err := v.Reveal(w.Commit()); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Emoji(w.nonce); !errors.Is(err, ErrSAS) {
		t.Errorf("other transcript: %v", err)
	}
}

// The control for the commitment: an attacker who may choose its nonce after
// seeing the other's finds a string of its choice quickly when the string is
// short. With one emoji (6 bits) it takes some 64 tries.
func TestSASWithoutCommitmentIsGuessable(t *testing.T) {
	victim := NewSAS([32]byte{}, true)
	want := Emoji{"🐕", "dog"}
	for range 10000 {
		attacker := NewSAS([32]byte{}, false)
		victim.peer = nil // the commitment arrives after the reveal
		if _, err := victim.Reveal(attacker.Commit()); err != nil {
			t.Fatal(err)
		}
		if e, err := victim.Emoji(attacker.nonce); err == nil && e[0] == want {
			return
		}
	}
	t.Fatal("no collision: the emoji do not depend on the nonces as claimed")
}

func TestEmojiTable(t *testing.T) {
	symbols, names := map[string]bool{}, map[string]bool{}
	for i, e := range emoji {
		symbols[e.Symbol], names[e.Name] = true, true
		if len([]rune(e.Symbol)) != 1 || e.Name == "" {
			t.Errorf("emoji %d: %+v", i, e)
		}
	}
	if len(symbols) != 64 || len(names) != 64 {
		t.Fatal("emoji repeat")
	}
	b := []byte{0b000001_00, 0b0010_0000, 0b11_000100, 0, 0, 0}
	for i, want := range []int{1, 2, 3, 4, 0} {
		if got := bits6(b, i); got != want {
			t.Errorf("group %d is %d, want %d", i, got, want)
		}
	}
}

func TestRecoveryCode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := RecoveryCode(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "code"))
		s := c.String()
		if len(s) != 39 {
			t.Fatalf("form %q", s)
		}
		for _, form := range []string{s, strings.ToUpper(s), strings.ReplaceAll(s, "-", " "), strings.ReplaceAll(s, "-", ""), " " + s + "\n"} {
			if got, err := ParseRecoveryCode(form); err != nil || got != c {
				t.Fatalf("%q: %v", form, err)
			}
		}
		i := rapid.IntRange(0, len(s)-1).Draw(t, "at")
		o := rapid.SampledFrom([]byte("abcdefghijklmnopqrstuvwxyz234567")).Draw(t, "char")
		if s[i] != o && s[i] != '-' {
			if _, err := ParseRecoveryCode(s[:i] + string(o) + s[i+1:]); !errors.Is(err, ErrMistyped) {
				t.Fatalf("one character changed: %v", err)
			}
		}
		if _, err := ParseRecoveryCode(s[:i]); !errors.Is(err, ErrMistyped) {
			t.Fatalf("cut: %v", err)
		}
	})
}

func TestSealedAccountKey(t *testing.T) {
	a, code := NewAccount(), NewRecoveryCode()
	sealed := SealAccountKey(code, a)
	got, err := OpenAccountKey(code, sealed)
	if err != nil || got.ID() != a.ID() {
		t.Fatalf("round trip: %v", err)
	}
	cheap := cost{1, 8, 1}
	if _, err := open(code, sealed, cheap); !errors.Is(err, ErrWrongCode) {
		t.Errorf("opened at another cost: %v", err)
	}
	sealed = seal(code, a, cheap)
	if _, err := open(NewRecoveryCode(), sealed, cheap); !errors.Is(err, ErrWrongCode) {
		t.Errorf("wrong code: %v", err)
	}
	if _, err := open(code, sealed, cheap); err != nil {
		t.Fatalf("control: %v", err)
	}
	everyBit(t, slices.Clone(sealed), func(b []byte) bool {
		_, err := open(code, b, cheap)
		return err == nil
	})
}
