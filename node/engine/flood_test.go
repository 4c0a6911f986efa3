package engine_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"

	"rushlight/node/engine"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// TestFloodGrowth lets a contact with a program of its own send a flood of one
// kind, and checks that the last of it costs what the first did: in memory
// allocated to take it, in records and bytes kept of it, and in the work of
// showing the conversation afterwards. A million of each:
//
//	RUSHLIGHT_FLOOD=1000000 go test ./node/engine -run TestFloodGrowth -timeout 10h -v
func TestFloodGrowth(t *testing.T) {
	n := 1000
	if s := os.Getenv("RUSHLIGHT_FLOOD"); s != "" {
		v, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		n = v
	}
	for _, c := range []struct {
		name  string
		typ   message.Type
		body  func(i int, target, last message.ID) message.Body
		most  int // records that may stay of one, and
		extra int // of all together
	}{
		{"reactions to one message", message.TypeReaction, func(i int, target, _ message.ID) message.Body {
			return message.Body{Target: target, Emoji: fmt.Sprint("x", i)}
		}, 2, 100},
		{"reactions to what nobody has", message.TypeReaction, func(i int, _, _ message.ID) message.Body {
			return message.Body{Target: message.ID{1, byte(i >> 16), byte(i >> 8), byte(i)}, Emoji: "x"}
		}, 2, 256*4 + 100},
		{"edits of somebody else's message", message.TypeEdit, func(i int, target, _ message.ID) message.Body {
			return message.Body{Target: target, Text: fmt.Sprint("forged ", i)}
		}, 2, 100},
		{"a thread as deep as it is long", message.TypeText, func(i int, _, last message.ID) message.Body {
			return message.Body{Text: fmt.Sprint("answer ", i), ReplyTo: last}
		}, 4, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := pair(t)
			target := a.send(b, engine.Send{Text: "target"})
			allSettled(t, a, b)
			last := target
			sent := 0
			// wave sends a part of the flood and returns what taking it allocated.
			wave := func(count int) (allocated uint64) {
				const few = 100
				for end := sent + count; sent < end; {
					var bodies [][]byte
					for range min(few, end-sent) {
						body := c.body(sent, target, last)
						body.Type = c.typ
						x, err := body.Salted().Marshal()
						b.must(err)
						bodies = append(bodies, x)
						sent++
					}
					ids, err := b.Flood(t.Context(), a.Account(), c.typ, bodies)
					b.must(err)
					last = ids[len(ids)-1]
					ps := b.parcels(a)
					var before, after runtime.MemStats
					runtime.ReadMemStats(&before)
					b.deliver(a, ps, true)
					runtime.ReadMemStats(&after)
					allocated += after.Mallocs - before.Mallocs
				}
				return allocated
			}
			show := func() float64 {
				return testing.AllocsPerRun(20, func() {
					if _, err := a.Read(t.Context(), engine.Read{With: b.Account(), Limit: 20, Peek: true}); err != nil {
						t.Fatal(err)
					}
				})
			}
			part := n / 10
			first := wave(part)
			shown := show()
			records := a.kept()
			wave(n - 2*part)
			final := wave(part)
			grown := a.kept() - records
			t.Logf("%d: the first tenth took %d allocations, the last %d; showing 20 took %.0f and then %.0f; %d records were kept of the last nine",
				n, first, final, shown, show(), grown)
			if final > 2*first {
				t.Errorf("the last tenth took %d allocations, the first %d", final, first)
			}
			if now := show(); now > 1.5*shown+200+float64(n)/10 { // more tables are looked at
				t.Errorf("showing 20 messages takes %.0f allocations, and took %.0f", now, shown)
			}
			if grown > c.most*(n-part)+c.extra {
				t.Errorf("%d records are kept of %d", grown, n-part)
			}
			if v, err := a.Message(target); err != nil || v.Text != "target" || v.Edited || len(v.Reactions) > 1 {
				t.Errorf("%+v, %v", v, err)
			}
		})
	}
}

// kept counts all records of a store but events, which go by themselves.
func (d *device) kept() (n int) {
	d.t.Helper()
	d.must(d.store.View(func(tx *storage.Tx) error {
		for f := 0x10; f <= 0xff; f++ {
			if f == record.FamilyEvent {
				continue
			}
			if err := tx.ScanKeys(storage.Key{byte(f)}, nil, false, func(storage.Key) (bool, error) { n++; return true, nil }); err != nil {
				return err
			}
		}
		return nil
	}))
	return n
}
