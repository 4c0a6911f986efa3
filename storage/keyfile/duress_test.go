package keyfile

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"rushlight/protocol/wire"
)

var duress = []byte("all is lost")

func never() error { return errors.New("destroyed what it mustn't") }

// The duress passphrase destroys first, and then opens a decoy for good.
func TestDuress(t *testing.T) {
	dir, root := create(t)
	if err := SetDuress(dir, []byte("wrong"), duress); !errors.Is(err, ErrWrongPassphrase) {
		t.Fatal(err)
	}
	if err := SetDuress(dir, pass, pass); !errors.Is(err, ErrTaken) {
		t.Fatal(err)
	}
	if err := SetDuress(dir, pass, duress); err != nil {
		t.Fatal(err)
	}
	if err := ChangePassphrase(dir, pass, duress, Params{}); !errors.Is(err, ErrTaken) {
		t.Fatal(err)
	}
	if _, err := Open(dir, duress); !errors.Is(err, ErrWrongPassphrase) {
		t.Fatalf("Open took the duress passphrase: %v", err)
	}
	if got, decoy, err := Unlock(dir, pass, never); err != nil || decoy || got != root {
		t.Fatalf("the passphrase: decoy %v, %v", decoy, err)
	}
	if _, _, err := Unlock(dir, []byte("wrong"), never); !errors.Is(err, ErrWrongPassphrase) {
		t.Fatal(err)
	}
	// It outlives a change of the passphrase.
	if err := ChangePassphrase(dir, pass, []byte("new"), Params{}); err != nil {
		t.Fatal(err)
	}

	full := errors.New("full")
	if _, _, err := Unlock(dir, duress, func() error { return full }); !errors.Is(err, full) {
		t.Fatal(err)
	}
	if got, err := Open(dir, []byte("new")); err != nil || got != root {
		t.Fatalf("slots were destroyed before the rest: %v", err)
	}

	before := bodyOf(t, dir)
	destroyed := false
	decoyRoot, decoy, err := Unlock(dir, duress, func() error {
		destroyed = true
		if _, err := Open(dir, []byte("new")); err != nil {
			t.Errorf("the slots went first: %v", err)
		}
		return nil
	})
	if err != nil || !decoy || !destroyed || decoyRoot == root || decoyRoot == [32]byte{} {
		t.Fatalf("decoy %v, destroyed %v, %v", decoy, destroyed, err)
	}
	raw, err := os.ReadFile(path(dir))
	if err != nil {
		t.Fatal(err)
	}
	s, err := parseSlots(before)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrap := range [][]byte{s.pass.wrap, s.recovery.wrap, s.duress[:]} {
		if bytes.Contains(raw, wrap) {
			t.Error("a slot of the profile is still in the file")
		}
	}
	for range 2 { // from now on it is a passphrase like any other
		if got, decoy, err := Unlock(dir, duress, never); err != nil || decoy || got != decoyRoot {
			t.Fatalf("decoy %v, %v", decoy, err)
		}
	}
	if _, err := Open(dir, []byte("new")); !errors.Is(err, ErrWrongPassphrase) {
		t.Fatal(err)
	}
	if _, err := OpenWithRecovery(dir, recovery); !errors.Is(err, ErrWrongRecovery) {
		t.Fatal(err)
	}
}

// shape is everything about a file that doesn't look random.
func shape(t *testing.T, dir string) string {
	t.Helper()
	r := wire.NewReader(bodyOf(t, dir))
	out := []byte{r.U8()}
	for r.Len() > 0 {
		kind, slot := r.U8(), r.Vec16(1<<16-1)
		out = append(out, kind, byte(len(slot)))
		if kind == kindPass {
			out = append(out, slot[:9]...)
		}
	}
	return string(out)
}

// The file has one shape: without a duress passphrase, with one, after it was
// taken away, and after it was used.
func TestDuressHasNoShape(t *testing.T) {
	dir, _ := create(t)
	want := shape(t, dir)
	same := func(when string) {
		t.Helper()
		if got := shape(t, dir); got != want {
			t.Errorf("%s the file looks like %x, else like %x", when, got, want)
		}
	}
	if err := SetDuress(dir, pass, duress); err != nil {
		t.Fatal(err)
	}
	same("with a duress passphrase")
	if err := SetDuress(dir, pass, nil); err != nil {
		t.Fatal(err)
	}
	same("without one again")
	if _, _, err := Unlock(dir, duress, never); !errors.Is(err, ErrWrongPassphrase) {
		t.Fatalf("a duress passphrase that was taken away: %v", err)
	}
	if err := SetDuress(dir, pass, duress); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Unlock(dir, duress, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	same("after it was used")
}

// Right, wrong and duress passphrases take one hash each.
func TestDuressTakesNoLonger(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	s := slots{}
	var err error
	if s.pass, err = wrapPassphrase(pass, [32]byte{1}, Floor); err != nil {
		t.Fatal(err)
	}
	_, _, hash, err := s.open(duress)
	if !errors.Is(err, ErrWrongPassphrase) {
		t.Fatal(err)
	}
	s.duress = s.wrapDecoy(hash)
	best := map[string]time.Duration{}
	same := func() bool {
		for _, d := range best {
			if d > best["right"]*8/5 || d < best["right"]*5/8 { // a second hash would double it
				return false
			}
		}
		return true
	}
	for n := 0; n < 5 || n < 40 && !same(); n++ { // more on a busy machine
		for name, p := range map[string][]byte{"right": pass, "wrong": []byte("wrong"), "duress": duress} {
			start := time.Now()
			_, decoy, _, _ := s.open(p)
			took := time.Since(start)
			if decoy != (name == "duress") {
				t.Fatal(name)
			}
			if best[name] == 0 || took < best[name] {
				best[name] = took
			}
		}
	}
	if t.Log(best); !same() {
		t.Errorf("opening takes %v", best)
	}
}

// A file of the first format, without a duress slot, opens, and gets one with
// its next change.
func TestFormat1(t *testing.T) {
	dir, root := create(t)
	f, s, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	body := s.marshal()
	body[0] = 1
	if err := f.Replace(body[:len(body)-3-wrapSize]); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if got, err := Open(dir, pass); err != nil || got != root {
		t.Fatal(err)
	}
	if err := SetDuress(dir, pass, duress); err != nil {
		t.Fatal(err)
	}
	if b := bodyOf(t, dir); b[0] != format {
		t.Errorf("format %d after a change", b[0])
	}
	if got, err := OpenWithRecovery(dir, recovery); err != nil || got != root {
		t.Fatal(err)
	}
}
