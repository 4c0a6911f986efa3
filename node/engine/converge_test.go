package engine_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rushlight/node/delivery/parcel"
	"rushlight/node/engine"
	"rushlight/protocol/file"
	"rushlight/protocol/message"
)

// TestConverge lets two people write, answer, edit, react, take back, and set
// timers at once, with every kind of message, while what they send arrives late,
// twice and in any order. In the end both see the same.
func TestConverge(t *testing.T) {
	a, b := pair(t)
	kinds := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		var ids []message.ID
		pick := func() message.ID { return rapid.SampledFrom(ids).Draw(rt, "message") }
		flying := map[*device][]parcel.Parcel{}
		for i := range rapid.IntRange(5, 30).Draw(rt, "steps") {
			d, other := a, b
			if rapid.Bool().Draw(rt, "second") {
				d, other = b, a
			}
			op := rapid.SampledFrom([]string{"say", "say", "edit", "react", "unreact", "unsend", "timer", "reply", "files", "newer", "fly", "fly"}).Draw(rt, "op")
			if len(ids) == 0 && op != "fly" {
				op = "say"
			}
			ctx := t.Context()
			var err error
			switch op {
			case "say":
				ids = append(ids, d.send(other, engine.Send{Text: fmt.Sprint("text ", i)}))
			case "reply":
				ids = append(ids, d.send(other, engine.Send{Text: fmt.Sprint("reply ", i), ReplyTo: pick(), Forwarded: true}))
			case "files":
				ids = append(ids, d.send(other, engine.Send{Files: []message.File{{
					Name: fmt.Sprint("file ", i), Size: 1, Key: file.Key{1}, Root: file.Name{2},
				}}}))
			case "edit":
				err = d.Edit(ctx, pick(), fmt.Sprint("edited ", i), nil, nil)
			case "react":
				err = d.React(ctx, pick(), fmt.Sprint("e", i))
			case "unreact":
				err = d.React(ctx, pick(), "")
			case "unsend":
				err = d.Unsend(ctx, pick())
			case "timer":
				var s engine.Sent
				s, err = d.SetTimer(ctx, other.Account(), message.Lifetime{Expiry: time.Hour * time.Duration(10+i)})
				ids = append(ids, s.ID)
			case "newer":
				// An own message of a type that nobody knows: both show that.
				id, e := d.SendRaw(ctx, other.Account(), 900, nil)
				ids, err = append(ids, id), e
			case "fly":
				flying[d] = append(flying[d], d.parcels(other)...)
				if n := len(flying[d]); n > 0 {
					order := rapid.Permutation(flying[d]).Draw(rt, "order")
					d.deliver(other, order[:rapid.IntRange(0, n).Draw(rt, "n")], rapid.Bool().Draw(rt, "acknowledged"))
				}
			}
			if err == nil {
				kinds[op]++
			}
		}
		for range 8 {
			a.carry(b)
			b.carry(a)
		}
		one, two := a.tail(b), b.tail(a)
		if one != two {
			rt.Fatalf("the first sees\n%s\nthe second\n%s", one, two)
		}
		ta, _ := a.Timer(b.Account())
		if tb, _ := b.Timer(a.Account()); ta != tb {
			rt.Fatalf("timers %v and %v", ta, tb)
		}
	})
	t.Log(kinds)
	allSettled(t, a, b)
}

// tail is the newest of what d shows.
func (d *device) tail(other *device) (out string) {
	d.t.Helper()
	views, err := d.Read(d.t.Context(), engine.Read{With: other.Account(), Peek: true, Limit: 100})
	d.must(err)
	for _, v := range views {
		out += v.ID.String()[:6] + " " + describe(v) + "\n"
	}
	return out
}
