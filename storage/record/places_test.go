package record_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"rushlight/protocol/identity"
	"rushlight/protocol/stamp"
	"rushlight/protocol/wire"
	"rushlight/storage"
	"rushlight/storage/record"
)

// shelf is records in memory; it counts the bytes that are written.
type shelf struct {
	all     map[string][]byte
	written int
}

func (s *shelf) Pseudonym(string, []byte) [16]byte { return [16]byte{9} }

func (s *shelf) get(k storage.Key) ([]byte, error) { return s.all[string(k)], nil }

func (s *shelf) put(k storage.Key, v []byte) error {
	s.all[string(k)] = v
	s.written += len(v)
	return nil
}

func (s *shelf) del(k storage.Key) error { delete(s.all, string(k)); return nil }

func (s *shelf) load(t testing.TB) *record.Places {
	t.Helper()
	p, err := record.LoadPlaces(s, identity.AccountID{1}, s.get)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (s *shelf) save(p *record.Places) (bytes int) {
	s.written = 0
	if err := p.Save(s, s.put, s.del); err != nil {
		panic(err)
	}
	return s.written
}

// head is what is read of places that were saved, without their stamps.
func head(p *record.Places) *record.Places {
	s := &shelf{all: map[string][]byte{}}
	s.save(p)
	out, err := record.ParsePlaces(s.all[string(record.PlacesKey(s, p.Account))])
	if err != nil {
		panic(err)
	}
	return out
}

func someStamps(from, n int) (out []stamp.Stamp) {
	for i := range n {
		out = append(out, stamp.Stamp{byte((from + i) >> 8), byte(from + i)})
	}
	return out
}

// Stamps that come and go in any way are all there after every change. A stamp that
// is taken costs less than a kilobyte.
func TestPlacesKeepTheirStamps(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 0))
	s := &shelf{all: map[string][]byte{}}
	p := &record.Places{Account: identity.AccountID{1}, Relays: make([]record.Place, 3)}
	want := [3][3]map[stamp.Stamp]bool{}
	made, most := 0, 0
	for step := range 3000 {
		i, c := rng.IntN(3), rng.IntN(3)
		if want[i][c] == nil {
			want[i][c] = map[stamp.Stamp]bool{}
		}
		have := &p.Relays[i].Stamps[c]
		grows := false
		switch x := rng.IntN(40); {
		case x == 0 && len(*have) < 300:
			grows = true
			some := someStamps(made, 1+rng.IntN(64))
			made += len(some)
			*have = append(*have, some...)
			for _, x := range some {
				want[i][c][x] = true
			}
		case x == 1: // what can't be used any more
			*have = nil
			clear(want[i][c])
		case len(*have) > 0:
			k := rng.IntN(len(*have))
			x := (*have)[k]
			*have = slices.Delete(*have, k, k+1)
			delete(want[i][c], x)
			if rng.IntN(4) == 0 { // is given back
				s.save(p)
				*have = append(*have, x)
				want[i][c][x] = true
				grows = true
			}
		}
		if n := s.save(p); !grows {
			most = max(most, n)
		}
		p = s.load(t)
		for i, r := range p.Relays {
			for c, all := range r.Stamps {
				if len(all) != len(want[i][c]) {
					t.Fatalf("step %d: %d stamps, not %d", step, len(all), len(want[i][c]))
				}
				for _, x := range all {
					if !want[i][c][x] {
						t.Fatalf("step %d: a stamp that isn't there any more", step)
					}
				}
			}
		}
		if len(s.all) > 1+8 {
			t.Fatalf("step %d: %d records", step, len(s.all))
		}
	}
	if most > 1000 {
		t.Errorf("%d bytes were written without a new stamp", most)
	}
	p.Relays = nil
	s.save(p)
	if len(s.all) != 1 {
		t.Errorf("%d records without a stamp", len(s.all))
	}
}

// A record of stamps that is missing, or shorter than it was, is no empty one.
func TestPlacesMissTheirStamps(t *testing.T) {
	s := &shelf{all: map[string][]byte{}}
	p := &record.Places{Account: identity.AccountID{1}, Relays: []record.Place{{Stamps: [3][]stamp.Stamp{someStamps(0, 3)}}}}
	s.save(p)
	for _, k := range slices.Sorted(maps.Keys(s.all)) {
		if !strings.HasPrefix(k, string(rune(record.FamilyReserve))) {
			continue
		}
		for _, v := range [][]byte{nil, (&record.Stamps{All: someStamps(0, 2)}).Marshal()} {
			s.all[k] = v
			if _, err := record.LoadPlaces(s, p.Account, s.get); err == nil {
				t.Error("read all the same")
			}
		}
		return
	}
	t.Fatal("there is no record of stamps")
}

// formerPlaces is a record of version 1: bundles and stamps are in it.
func formerPlaces() []byte {
	w := wire.NewWriter(nil).U8(1).Raw(bytes.Repeat([]byte{1}, 48)).U64(7).U8(1)
	w.Raw(bytes.Repeat([]byte{2}, 32)).U8(0).Raw(bytes.Repeat([]byte{3}, 32))
	for n := range 3 {
		w.U16(uint16(n))
		for _, x := range someStamps(n, n) {
			w.Raw(x[:])
		}
	}
	w.U64(0).U8(1).Vec16([]byte("spare")).U16(0).U8(0).U64(5).U64(6)
	return w.Vec16([]byte("standing")).Out()
}

// What was written before is read, and written in the new way.
func TestFormerPlaces(t *testing.T) {
	s := &shelf{all: map[string][]byte{}}
	a := identity.AccountID(bytes.Repeat([]byte{1}, 32))
	former := formerPlaces()
	s.all[string(record.PlacesKey(s, a))] = former
	p, err := record.LoadPlaces(s, a, s.get)
	if err != nil || p.Former() == nil || !bytes.Equal(p.Marshal(), former) {
		t.Fatal(p, err)
	}
	check := func() {
		t.Helper()
		if p.Seq != 7 || p.Issued != 5 || p.Asked != 6 || len(p.Relays) != 1 || fmt.Sprint(p.Relays[0].Stamps) != fmt.Sprint([3][]stamp.Stamp{nil, someStamps(1, 1), someStamps(2, 2)}) {
			t.Errorf("%+v", p)
		}
	}
	check()
	s.save(p)
	if p, err = record.LoadPlaces(s, a, s.get); err != nil || p.Former() != nil {
		t.Fatal(p, err)
	}
	check()
	b, err := record.ParseBundles(s.all[string(record.BundlesKey(s, a))])
	if err != nil || len(b.Spares) != 1 || string(b.Spares[0]) != "spare" || string(b.Standing) != "standing" {
		t.Error(b, err)
	}
}

// What is marked of a record of stamps has one spelling: it begins and ends with a
// stamp that is left.
func TestMarksHaveOneSpelling(t *testing.T) {
	s := &shelf{all: map[string][]byte{}}
	p := &record.Places{Account: identity.AccountID{1}, Relays: []record.Place{{Stamps: [3][]stamp.Stamp{someStamps(0, 10)}}}}
	s.save(p)
	before, after, ok := bytes.Cut(s.all[string(record.PlacesKey(s, p.Account))], []byte{0, 0, 0, 10, 0xff, 0x03}) // first, count, marks
	if !ok {
		t.Fatal("the marks aren't where they are looked for")
	}
	for _, c := range []struct {
		marks [2]byte
		read  bool
	}{
		{[2]byte{0xff, 0x03}, true},
		{[2]byte{0x01, 0x02}, true},
		{[2]byte{0xfe, 0x03}, false}, // begins later
		{[2]byte{0xff, 0x01}, false}, // ends earlier
		{[2]byte{0xff, 0x07}, false}, // beyond its end
	} {
		raw := slices.Concat(before, []byte{0, 0, 0, 10}, c.marks[:], after)
		if _, err := record.ParsePlaces(raw); (err == nil) != c.read {
			t.Errorf("%x: %v", c.marks, err)
		}
	}
}
