package stamp_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"

	"rushlight/protocol/envelope"
	"rushlight/protocol/stamp"
)

const today = 20000

func keys() *stamp.Keys {
	k := new(stamp.Keys)
	w := stamp.WeekOf(today)
	k.Add(w, [32]byte{1})
	k.Add(w-1, [32]byte{2})
	return k
}

func mint(t testing.TB, k *stamp.Keys, w stamp.Week, serial uint32) stamp.Stamp {
	t.Helper()
	s, ok := k.Mint(w, stamp.Ticket{Handle: 7, Serial: serial, ExpDay: w.ExpDay(), Class: envelope.M})
	if !ok {
		t.Fatal("no key")
	}
	return s
}

// TestDaysLeft: whoever holds a stamp can tell how old it is.
func TestDaysLeft(t *testing.T) {
	for day := uint16(2000); day < 30000; day += 130 {
		for age := uint16(0); age < 1000; age += 31 {
			k, w := new(stamp.Keys), stamp.WeekOf(day-age)
			k.Add(w, [32]byte{1})
			s := mint(t, k, w, 1)
			if got, want := s.DaysLeft(day), int(w.ExpDay())-int(day); got != want {
				t.Fatalf("made %d days ago: %d days left, not %d", age, got, want)
			}
		}
	}
	s := stamp.Stamp{uint8(stamp.WeekOf(today) + 1)}
	if got := s.DaysLeft(today); got < stamp.MaxLife-7 {
		t.Errorf("of a relay whose clock is ahead: %d days left", got)
	}
}

func TestMintAndOpen(t *testing.T) {
	k, w := keys(), stamp.WeekOf(today)
	for _, week := range []stamp.Week{w, w - 1} {
		s := mint(t, k, week, 9)
		got, err := k.Open(&s)
		if err != nil || got != (stamp.Ticket{Handle: 7, Serial: 9, ExpDay: week.ExpDay(), Class: envelope.M}) {
			t.Fatalf("%+v, %v", got, err)
		}
		for i := range s {
			bad := s
			bad[i] ^= 1
			if _, err := k.Open(&bad); !errors.Is(err, stamp.ErrInvalid) {
				t.Errorf("byte %d may change: %v", i, err)
			}
		}
	}
	a, b := mint(t, k, w, 9), mint(t, k, w, 9)
	if a == b {
		t.Error("two stamps of one ticket are equal: who sees both learns that")
	}
	if _, ok := k.Mint(w+1, stamp.Ticket{ExpDay: (w + 1).ExpDay()}); ok {
		t.Error("minted without a key")
	}
	if _, ok := k.Mint(w, stamp.Ticket{ExpDay: w.ExpDay() + 1, Class: envelope.S}); ok {
		t.Error("minted with another last day")
	}
}

// A stamp lives 113 to 119 days, and its key as long.
func TestWeeks(t *testing.T) {
	for day := uint16(today); day < today+20; day++ {
		life := int(stamp.WeekOf(day).ExpDay()) - int(day) + 1
		if life < 113 || life > stamp.MaxLife {
			t.Errorf("day %d: good for %d days", day, life)
		}
	}
	k := keys()
	w := stamp.WeekOf(today)
	s := mint(t, k, w-1, 1)
	before := k.Clone()
	if gone := k.Expire((w - 1).ExpDay()); len(gone) != 0 || !k.Has(w-1) {
		t.Error("gone on its last day")
	}
	if gone := k.Expire((w - 1).ExpDay() + 1); len(gone) != 1 || gone[0] != w-1 || k.Has(w-1) || !k.Has(w) {
		t.Errorf("gone: %v", gone)
	}
	if _, err := k.Open(&s); !errors.Is(err, stamp.ErrInvalid) {
		t.Error("opens without its key")
	}
	if _, err := before.Open(&s); err != nil {
		t.Error("a clone changed with its original")
	}
	// 256 weeks later the name of the key comes again.
	k.Add(w+256, [32]byte{9})
	if k.Has(w) || !k.Has(w+256) {
		t.Error("the newer week counts")
	}
	k.Add(w, [32]byte{1})
	if k.Has(w) {
		t.Error("an older week replaced a newer one")
	}
	if stamp.Week(math.MaxUint16).ExpDay() != math.MaxUint16 {
		t.Error("the last day wraps")
	}
}

func TestVector(t *testing.T) {
	// The nonce is random, so it is the opening that is fixed.
	raw, err := hex.DecodeString("299aec52928a5746abc5ee04ab7ec94eadb67b1fc20873ee9b3a8561976e7ebbd2d475a523f07b7e510d43f863")
	if err != nil || len(raw) != stamp.Size {
		t.Fatal(len(raw), err)
	}
	s := stamp.Stamp(raw)
	got, err := keys().Open(&s)
	if err != nil || got.Handle != 7 || got.Serial != 9 || got.Class != envelope.M || got.ExpDay != stamp.WeekOf(today).ExpDay() {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestPage(t *testing.T) {
	p := new(stamp.Page)
	a, b := [16]byte{1}, [16]byte{2}
	if v, _ := p.Judge(5, a, today); v != stamp.Unused {
		t.Fatal(v)
	}
	p.Spend(5, a, today, today+30)
	if v, day := p.Judge(5, a, today); v != stamp.Retry || day != today+30 {
		t.Error("the same envelope is a retry", v, day)
	}
	if v, _ := p.Judge(5, b, today); v != stamp.Spent {
		t.Error("another envelope is a second use")
	}
	if v, _ := p.Judge(6, a, today); v != stamp.Unused {
		t.Error("another stamp")
	}
	p.Spend(6, b, today+stamp.RetryDays, today+30)
	if v, _ := p.Judge(5, a, today+stamp.RetryDays); v != stamp.Retry {
		t.Error("forgotten too early")
	}
	if v, _ := p.Judge(5, a, today+stamp.RetryDays+1); v != stamp.Spent {
		t.Error("a retry for ever")
	}
	p.Spend(7, b, today+stamp.RetryDays+1, today+30)
	if v, _ := p.Judge(5, a, today); v != stamp.Spent {
		t.Error("after 48 h a retry is a second use")
	}
	if n := p.Revoke(0, 63); n != 61 || p.Void() != 64 {
		t.Errorf("%d revoked, %d void", n, p.Void())
	}
	if v, _ := p.Judge(8, a, today); v != stamp.Spent {
		t.Error("taken back reads as spent: the holder can't tell which")
	}
	if p.Revoke(3, 2) != 0 || p.Revoke(0, 64) != 0 {
		t.Error("impossible range")
	}
	if page, slot := stamp.PageOf(130); page != 2 || slot != 2 {
		t.Error(page, slot)
	}
}

// A page does what a map of everything that was ever done would do, and comes
// back from its encoding after each step.
func TestPageModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, day := new(stamp.Page), uint16(today)
		type fact struct {
			object [16]byte
			day    uint16
			taken  bool
		}
		model := map[uint8]fact{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			slot := uint8(rapid.IntRange(0, stamp.PageSize-1).Draw(t, "slot"))
			object := [16]byte{uint8(rapid.IntRange(0, 3).Draw(t, "object"))}
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				day++
			case 1:
				to := uint8(rapid.IntRange(int(slot), stamp.PageSize-1).Draw(t, "to"))
				for s := slot; s <= to; s++ {
					if _, used := model[s]; !used {
						model[s] = fact{taken: true}
					}
				}
				p.Revoke(slot, to)
			default:
				v, _ := p.Judge(slot, object, day)
				f, used := model[slot]
				switch {
				case !used && v != stamp.Unused, used && v == stamp.Unused,
					used && (f.taken || f.object != object) && v != stamp.Spent,
					used && !f.taken && f.object == object && (f.day+stamp.RetryDays >= day) != (v == stamp.Retry):
					t.Fatalf("slot %d: %d, model %+v", slot, v, f)
				}
				if v == stamp.Unused {
					p.Spend(slot, object, day, day+30)
					model[slot] = fact{object: object, day: day}
				}
			}
			again, err := stamp.ParsePage(p.Marshal())
			if err != nil || !bytes.Equal(again.Marshal(), p.Marshal()) {
				t.Fatal(err)
			}
			p = again.Clone()
		}
		if p.Void() != len(model) {
			t.Fatalf("%d void, %d used", p.Void(), len(model))
		}
	})
}

// Row 22 of the fault list at this level: two stamps of one mailbox look like
// any two random strings to who has not the key. The control has it.
func TestStampsDontShowTheMailbox(t *testing.T) {
	k, w := keys(), stamp.WeekOf(today)
	a, b := mint(t, k, w, 1), mint(t, k, w, 2)
	same := 0
	for i := 1; i < stamp.Size; i++ {
		if a[i] == b[i] {
			same++
		}
	}
	if same > 6 { // 44/256 expected
		t.Errorf("%d of 44 bytes are equal", same)
	}
	ta, _ := k.Open(&a)
	tb, _ := k.Open(&b)
	if ta.Handle != tb.Handle {
		t.Error("control: the relay itself can tell")
	}
}

// FuzzOpen flips the bits of a stamp that are set in its input. The stamp is
// another one in each process, so that it can't be an input itself.
func FuzzOpen(f *testing.F) {
	k := keys()
	s := mint(f, k, stamp.WeekOf(today), 3)
	f.Add(make([]byte, stamp.Size))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, flips []byte) {
		x := s
		for i := range min(len(x), len(flips)) {
			x[i] ^= flips[i]
		}
		if _, err := k.Open(&x); (err == nil) != (x == s) {
			t.Fatalf("opened with %v, and it is %v that it is as it was minted", err, x == s)
		}
	})
}

func FuzzPage(f *testing.F) {
	p := new(stamp.Page)
	p.Spend(3, [16]byte{1}, today, today+1)
	p.Revoke(5, 9)
	f.Add(p.Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := stamp.ParsePage(b)
		if err == nil && !bytes.Equal(p.Marshal(), b) {
			t.Fatal("two spellings")
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	k := keys()
	s := mint(b, k, stamp.WeekOf(today), 3)
	for b.Loop() {
		if _, err := k.Open(&s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMint(b *testing.B) {
	k := keys()
	for b.Loop() {
		mint(b, k, stamp.WeekOf(today), 3)
	}
}
