package engine_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rushlight/protocol/message"
	"rushlight/protocol/reconcile"
)

// Who was put back to an older state, and finds it out, compares everything with
// the contact: the last messages leave no gap by which they would be missed.
func TestLastMessagesComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := skewed(t, "ann", 0), skewed(t, "bob", 0)
		meet(t, a, b)
		for range 50 {
			a.say(b, "before")
		}
		a.carry(b)
		back := b.older()
		a.say(b, "one")
		a.say(b, "two")
		a.carry(b)
		b.say(a, "his")
		b.carry(a)
		back()
		a.hello(b)
		bundle, err := a.PersonalBundle(t.Context(), b.Device())
		b.must(err)
		b.must(b.AcceptBundle(t.Context(), a.Account(), a.Device(), bundle))
		for range 3 {
			b.carry(a)
			a.carry(b)
		}
		if got := b.sees(a); strings.Contains(got, "one") || strings.Contains(got, "waiting") {
			t.Fatal("control: he sees", got)
		}
		packets := 0
		for range 5 {
			time.Sleep(time.Hour)
			synctest.Wait()
			for range 3 {
				packets += b.carry(a)
				a.carry(b)
			}
		}
		if got := b.sees(a); !strings.HasSuffix(got, "before\none\ntwo") {
			t.Error("he sees", got)
		}
		if packets == 0 || packets > 12 {
			t.Errorf("%d packets", packets)
		}
		time.Sleep(100 * time.Hour)
		synctest.Wait()
		if n := b.carry(a); n != 0 {
			t.Errorf("he goes on asking: %d", n)
		}
	})
}

// A contact that compares all the time is answered so often, and nobody but the
// author sends again.
func TestCompareIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := skewed(t, "ann", 0), skewed(t, "bob", 0)
		meet(t, a, b)
		for range 5 {
			a.say(b, strings.Repeat("long ", 1000))
			b.say(a, "his")
		}
		a.carry(b)
		b.carry(a)
		conv := message.DirectConversation(a.Account(), b.Account())
		m := &message.Compare{Conversation: conv, Author: a.Device(), From: 1, Nonce: [16]byte{1}}
		m.Frame = reconcile.New(reconcile.Key(m.Nonce[:], conv[:]), nil).Open().Marshal() // nothing is there
		came := 0
		for range 100 {
			b.must(b.Tell(t.Context(), a.Account(), m))
			b.carry(a)
			came += a.carry(b)
		}
		if came == 0 || came > 32*5 {
			t.Errorf("%d messages were sent again", came)
		}
		time.Sleep(2 * time.Hour)
		m.Author = b.Device()
		b.must(b.Tell(t.Context(), a.Account(), m))
		b.carry(a)
		if n := a.carry(b); n != 0 {
			t.Errorf("%d packets about what is his own", n)
		}
		m.Author, m.Frame = a.Device(), []byte{1, 2, 3}
		b.must(b.Tell(t.Context(), a.Account(), m))
		ps, err := b.Pending(a.Account(), 0, 9)
		b.must(err)
		if r := a.ReceiveBatch(t.Context(), b.Device(), [][]byte{ps[0].Envelope}); r[0].Err == nil {
			t.Error("no frame is taken")
		}
	})
}
