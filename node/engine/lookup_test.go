package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/message"
)

// Every message of one's own has a millisecond of its own, by which it is found
// on both sides.
func TestTimestamps(t *testing.T) {
	a, b := pair(t)
	last := int64(0)
	ids := map[int64]message.ID{}
	for i := range 50 {
		s, err := a.Send(t.Context(), engine.Send{To: b.Account(), Text: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		at := s.At.UnixMilli()
		if at <= last {
			t.Fatalf("message %d was sent at %d, the one before at %d", i, at, last)
		}
		last, ids[at] = at, s.ID
	}
	// Many at once are committed together, within one millisecond.
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			s, err := a.Send(t.Context(), engine.Send{To: b.Account(), Text: "x"})
			mu.Lock()
			defer mu.Unlock()
			if _, twice := ids[s.At.UnixMilli()]; twice || err != nil {
				t.Errorf("two were sent at %d, %v", s.At.UnixMilli(), err)
			}
			ids[s.At.UnixMilli()] = s.ID
		})
	}
	all.Wait()
	a.carry(b)
	for at, id := range ids {
		for _, e := range []struct {
			name string
			*engine.Engine
			with *engine.Engine
		}{{"author", a.Engine, b.Engine}, {"recipient", b.Engine, a.Engine}} {
			if got, err := e.SentAt(e.with.Account(), a.Account(), time.UnixMilli(at)); err != nil || got != id {
				t.Errorf("%s: %v instead of %v, %v", e.name, got, id, err)
			}
			if _, err := e.SentAt(e.with.Account(), b.Account(), time.UnixMilli(at)); !errors.Is(err, engine.ErrUnknownMessage) {
				t.Errorf("%s: by somebody else: %v", e.name, err)
			}
		}
	}
	back := b.send(a, engine.Send{Text: "back"})
	b.carry(a)
	v, err := a.Message(back)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.SentAt(b.Account(), b.Account(), v.Sent); err != nil || got != back {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := a.SentAt(b.Account(), a.Account(), time.UnixMilli(1)); !errors.Is(err, engine.ErrUnknownMessage) {
		t.Errorf("a time at which nothing was sent: %v", err)
	}
	allSettled(t, a, b)
}

func TestReadAround(t *testing.T) {
	a, b := pair(t)
	var ids []message.ID
	for i := range 20 {
		ids = append(ids, a.send(b, engine.Send{Text: fmt.Sprint(i)}))
	}
	a.carry(b)
	read := func(r engine.Read) (out []int) {
		t.Helper()
		r.With, r.Peek = a.Account(), true
		list, err := b.Read(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range list {
			out = append(out, slices.Index(ids, v.ID))
		}
		return out
	}
	for _, c := range []struct {
		r    engine.Read
		want []int
	}{
		{engine.Read{Around: ids[10], Limit: 5}, []int{8, 9, 10, 11, 12}},
		{engine.Read{Around: ids[10], Limit: 4}, []int{9, 10, 11, 12}},
		{engine.Read{Around: ids[10], Limit: 1}, []int{10}},
		{engine.Read{Around: ids[0], Limit: 5}, []int{0, 1, 2}},
		{engine.Read{Around: ids[19], Limit: 5}, []int{17, 18, 19}},
		{engine.Read{After: ids[10], Limit: 3}, []int{11, 12, 13}},
		{engine.Read{After: ids[17]}, []int{18, 19}},
		{engine.Read{After: ids[19]}, nil},
		{engine.Read{Before: ids[2]}, []int{0, 1}},
	} {
		if got := read(c.r); !slices.Equal(got, c.want) {
			t.Errorf("around %d, after %d, limit %d: %v", slices.Index(ids, c.r.Around), slices.Index(ids, c.r.After), c.r.Limit, got)
		}
	}
	for _, r := range []engine.Read{{Around: message.ID{1}}, {After: message.ID{1}}} {
		r.With = a.Account()
		if _, err := b.Read(t.Context(), r); !errors.Is(err, engine.ErrUnknownMessage) {
			t.Errorf("a point that isn't there: %v", err)
		}
	}

	// Marking them read.
	unread := func(want int) {
		t.Helper()
		if n, err := b.Unread(); err != nil || n != want {
			t.Errorf("%d unread, want %d, %v", n, want, err)
		}
	}
	unread(20)
	b.must(b.MarkRead(t.Context(), a.Account(), append(slices.Clone(ids[:5]), message.ID{1}, ids[0])))
	unread(15)
	b.must(b.MarkRead(t.Context(), a.Account(), ids[:5]))
	unread(15)
	a.must(a.MarkRead(t.Context(), b.Account(), ids))
	if list, err := b.Read(t.Context(), engine.Read{With: a.Account(), Unread: true, Peek: true}); err != nil || len(list) != 15 || list[0].ID != ids[5] {
		t.Errorf("%d unread are listed, %v", len(list), err)
	}
	if _, err := b.Read(t.Context(), engine.Read{With: a.Account(), Around: ids[10], Limit: 3}); err != nil {
		t.Fatal(err)
	}
	unread(12)
}
