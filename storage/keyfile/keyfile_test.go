package keyfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/argon2"

	"rushlight/protocol/wire"
	"rushlight/storage/twoslot"
)

func TestMain(m *testing.M) {
	RunChildIfAsked()
	goleak.VerifyTestMain(m)
}

var (
	pass     = []byte("correct horse")
	recovery = []byte("0123456789abcdef")
)

func create(t testing.TB) (dir string, root [32]byte) {
	t.Helper()
	dir = t.TempDir()
	root, err := Create(dir, pass, recovery, TestParams)
	if err != nil {
		t.Fatal(err)
	}
	if root == [32]byte{} {
		t.Fatal("the root is zero")
	}
	return dir, root
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	if Exists(dir) {
		t.Fatal("exists")
	}
	if _, err := Open(dir, pass); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	dir, root := create(t)
	if !Exists(dir) {
		t.Fatal("doesn't exist")
	}
	if _, err := Create(dir, pass, recovery, TestParams); !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	if got, err := Open(dir, pass); err != nil || got != root {
		t.Fatal(err)
	}
	if got, err := OpenWithRecovery(dir, recovery); err != nil || got != root {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{nil, []byte("Correct horse"), append(pass[:len(pass):len(pass)], 0), make([]byte, 5000)} {
		if got, err := Open(dir, bad); !errors.Is(err, ErrWrongPassphrase) || got != [32]byte{} {
			t.Fatalf("%q: %v", bad, err)
		}
	}
	for _, bad := range [][]byte{nil, []byte("0123456789abcdeF"), recovery[:15]} {
		if got, err := OpenWithRecovery(dir, bad); !errors.Is(err, ErrWrongRecovery) || got != [32]byte{} {
			t.Fatalf("%q: %v", bad, err)
		}
	}
	if st, err := os.Stat(path(dir)); err != nil || st.Mode().Perm()&0o077 != 0 {
		t.Fatalf("mode %v %v", st.Mode(), err)
	}
}

func TestChangePassphrase(t *testing.T) {
	dir, root := create(t)
	before, err := os.ReadFile(path(dir))
	if err != nil {
		t.Fatal(err)
	}
	s, err := parseSlots(bodyOf(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := ChangePassphrase(dir, []byte("wrong"), []byte("new"), TestParams); !errors.Is(err, ErrWrongPassphrase) {
		t.Fatal(err)
	}
	if err := ChangePassphrase(dir, pass, []byte("new"), TestParams); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, pass); !errors.Is(err, ErrWrongPassphrase) {
		t.Fatalf("old passphrase: %v", err)
	}
	if got, err := Open(dir, []byte("new")); err != nil || got != root {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path(dir))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(before, s.pass.wrap) {
		t.Fatal("control: the old slot was never there")
	}
	if bytes.Contains(after, s.pass.wrap) {
		t.Fatal("the old slot is still in the file")
	}
	if err := ResetPassphrase(dir, recovery, []byte("newer"), TestParams); err != nil {
		t.Fatal(err)
	}
	if got, err := Open(dir, []byte("newer")); err != nil || got != root {
		t.Fatal(err)
	}
	if got, err := OpenWithRecovery(dir, recovery); err != nil || got != root {
		t.Fatal(err)
	}
}

func bodyOf(t testing.TB, dir string) []byte {
	t.Helper()
	f, err := twoslot.Open(path(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	return f.Body()
}

// A change that stopped between its commit and the erasure is finished by
// whoever opens the file next, with any passphrase.
func TestErasureIsMadeUpFor(t *testing.T) {
	dir, root := create(t)
	s, err := parseSlots(bodyOf(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	old := s.pass.wrap
	if s.pass, err = wrapPassphrase([]byte("new"), root, TestParams); err != nil {
		t.Fatal(err)
	}
	f, err := twoslot.Open(path(dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Replace(s.marshal()); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	raw, _ := os.ReadFile(path(dir))
	if !bytes.Contains(raw, old) {
		t.Fatal("control: the old slot is gone already")
	}
	if _, err := Open(dir, []byte("wrong")); !errors.Is(err, ErrWrongPassphrase) {
		t.Fatal(err)
	}
	raw, _ = os.ReadFile(path(dir))
	if bytes.Contains(raw, old) {
		t.Fatal("the old slot is still in the file")
	}
}

// No damage gives another root.
func TestDamage(t *testing.T) {
	dir, root := create(t)
	raw, err := os.ReadFile(path(dir))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(raw); i += 1 + i/256*61 {
		bad := bytes.Clone(raw)
		bad[i] ^= 4
		if err := os.WriteFile(path(dir), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Open(dir, pass)
		intact := i >= twoslot.SlotSize // the slot that was never used
		if intact && (err != nil || got != root) || !intact && (!errors.Is(err, ErrCorrupt) || got != [32]byte{}) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	for n := 0; n < len(raw); n += 511 {
		if err := os.WriteFile(path(dir), raw[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Open(dir, pass); !errors.Is(err, ErrCorrupt) || got != [32]byte{} {
			t.Fatalf("length %d: %v", n, err)
		}
	}
}

// Someone who can write the file, sums and all, gets no cheaper guesses out of
// whoever opens it, and no other root.
func TestForgery(t *testing.T) {
	dir, _ := create(t)
	s, err := parseSlots(bodyOf(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	forge := func(s slots) error {
		f, err := twoslot.Open(path(dir))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Replace(s.marshal()); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		_, err = Open(dir, pass)
		return err
	}
	for _, p := range []Params{
		{},
		{Memory: 63 << 10, Time: 3, Threads: 4},
		{Memory: 64 << 10, Time: 2, Threads: 4},
		{Memory: 64 << 10, Time: 3, Threads: 3},
		{Memory: 1<<32 - 1, Time: 3, Threads: 4},
		{Memory: 64 << 10, Time: 1 << 30, Threads: 4},
		{Memory: 64 << 10, Time: 3, Threads: 255},
	} {
		bad := s
		bad.pass.params = p
		start := time.Now()
		if err := forge(bad); !errors.Is(err, ErrDowngrade) || !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%+v: %v", p, err)
		}
		if d := time.Since(start); d > time.Second {
			t.Fatalf("%+v was refused after %v: it was hashed first", p, d)
		}
	}
	bad := s
	bad.pass.salt[3]++
	if err := forge(bad); !errors.Is(err, ErrWrongPassphrase) {
		t.Fatal(err)
	}
	bad = s
	bad.pass.wrap = bytes.Clone(s.pass.wrap)
	bad.pass.wrap[40] ^= 1
	if err := forge(bad); !errors.Is(err, ErrWrongPassphrase) {
		t.Fatal(err)
	}
	if err := forge(s); err != nil {
		t.Fatalf("control: the real slots: %v", err)
	}
}

// The cost of a guess doesn't tell whether the slot is there.
func TestMissingSlotCostsTheSame(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	key := func(s passSlot) time.Duration {
		start := time.Now()
		if _, _, _, err := (slots{pass: s}).open([]byte("guess")); !errors.Is(err, ErrWrongPassphrase) {
			t.Fatal(err)
		}
		return time.Since(start)
	}
	there, err := wrapPassphrase(pass, [32]byte{1}, Default)
	if err != nil {
		t.Fatal(err)
	}
	a, b := key(there), key(passSlot{})
	if b < a/4 || a < b/4 {
		t.Fatalf("with a slot %v, without %v", a, b)
	}
}

func TestLimits(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		pass, recovery []byte
		p              Params
	}{
		{nil, recovery, TestParams},
		{make([]byte, MaxPassphrase+1), recovery, TestParams},
		{pass, recovery[:15], TestParams},
		{pass, recovery, Params{Memory: 1 << 10, Time: 3, Threads: 4}},
	} {
		if _, err := Create(dir, c.pass, c.recovery, c.p); err == nil || Exists(dir) {
			t.Fatalf("accepted: %v", c)
		}
	}
}

func TestCalibrate(t *testing.T) {
	for _, c := range []struct {
		floor time.Duration
		want  Params
	}{
		{10 * time.Second, Floor},
		{600 * time.Millisecond, Floor},
		{400 * time.Millisecond, Params{128 << 10, 3, 4}},
		{200 * time.Millisecond, Default},
		{60 * time.Millisecond, Params{256 << 10, 7, 4}},
		{0, Params{256 << 10, 12, 4}},
	} {
		if got := calibrate(c.floor); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.floor, got, c.want)
		}
	}
}

// The child computes what the process itself would.
func TestChild(t *testing.T) {
	salt := bytes.Repeat([]byte{5}, saltSize)
	got, err := stretch(TestParams, salt, pass)
	if err != nil {
		t.Fatal(err)
	}
	want := argon2.IDKey(pass, salt, 1, 64, 1, keySize)
	if !bytes.Equal(got, want) {
		t.Fatal("another key")
	}
	haveChild.Store(false)
	defer haveChild.Store(true)
	got, err = stretch(TestParams, salt, pass)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("in the process: %v", err)
	}
	var out fixed
	if err := serve(bytes.NewReader([]byte("nonsense")), &out); err == nil || out.n != 0 {
		t.Fatal("nonsense was answered")
	}
}

func TestDestroy(t *testing.T) {
	dir, _ := create(t)
	if err := os.Truncate(path(dir), 5000); err != nil { // damaged, too
		t.Fatal(err)
	}
	if err := Destroy(dir); err != nil || Exists(dir) {
		t.Fatal(err)
	}
}

func FuzzSlots(f *testing.F) {
	s := slots{
		pass:     passSlot{params: Floor, wrap: make([]byte, wrapSize)},
		recovery: recoverySlot{wrap: make([]byte, wrapSize)},
	}
	f.Add(s.marshal())
	f.Add(slots{recovery: s.recovery}.marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSlots(b)
		if err != nil {
			return
		}
		want := s.marshal()
		if b[0] == 1 { // The older format has no duress slot.
			want = append([]byte{1}, want[1:len(want)-3-wrapSize]...)
		}
		if !bytes.Equal(want, b) {
			t.Fatal("slots have two spellings")
		}
		if s.pass.wrap != nil && s.pass.params.check() != nil {
			t.Fatal("parameters outside the limits")
		}
	})
}

func FuzzAsk(f *testing.F) {
	f.Add(encodeAsk(Floor, make([]byte, saltSize), pass))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, salt, passphrase, err := parseAsk(b)
		if err == nil && !bytes.Equal(encodeAsk(p, salt, passphrase), b) {
			t.Fatal("a request has two spellings")
		}
		if err != nil && !errors.Is(err, wire.ErrMalformed) {
			t.Fatal(err)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	for _, c := range []struct {
		name string
		p    Params
	}{{"floor", Floor}, {"default", Default}} {
		b.Run(c.name, func(b *testing.B) {
			dir := b.TempDir()
			if _, err := Create(dir, pass, recovery, c.p); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := Open(dir, pass); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
