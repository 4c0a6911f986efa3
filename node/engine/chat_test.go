package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// What was read is told only where the reader wants that.
func TestReadReceipts(t *testing.T) {
	a, b := pair(t)
	read := func() {
		t.Helper()
		if _, err := b.Read(t.Context(), engine.Read{With: a.Account()}); err != nil {
			t.Fatal(err)
		}
		allSettled(t, a, b)
	}
	state := func(id message.ID, want record.MessageState) {
		t.Helper()
		if st, err := a.State(id); err != nil || st != want {
			t.Errorf("state %d instead of %d, %v", st, want, err)
		}
	}
	first := a.send(b, engine.Send{Text: "one"})
	a.carry(b)
	read()
	state(first, record.StateDelivered)
	b.must(b.SetChat(t.Context(), a.Account(), func(c *record.Chat) { c.Receipts = true }))
	second := a.send(b, engine.Send{Text: "two"})
	a.carry(b)
	if c, err := b.Chat(a.Account()); err != nil || c.Unread != 1 || c.Last.Text != "two" {
		t.Errorf("%+v, %v", c, err)
	}
	read()
	state(first, record.StateDelivered)
	state(second, record.StateRead)
	if c, err := b.Chat(a.Account()); err != nil || c.Unread != 0 || !c.Receipts {
		t.Errorf("%+v, %v", c, err)
	}
}

// Typing is told where both want that, isn't kept, and is nothing when it comes
// late.
func TestTyping(t *testing.T) {
	a, b := pair(t)
	heard := make(chan identity.AccountID, 8)
	watching, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- b.WatchTyping(watching, func(x identity.AccountID) error { heard <- x; return nil })
	}()
	a.must(a.Typing(t.Context(), b.Account()))
	if n := a.Queued(); n != 0 {
		t.Fatal("it is told without being wanted")
	}
	want := func(c *record.Chat) { c.Typing = true }
	a.must(a.SetChat(t.Context(), b.Account(), want))
	a.must(a.Typing(t.Context(), b.Account()))
	a.must(a.Typing(t.Context(), b.Account()))
	if n := a.Queued(); n != 1 {
		t.Fatalf("%d notices wait", n)
	}
	a.carry(b)
	if len(heard) > 0 {
		t.Error("it is heard without being wanted")
	}
	b.must(b.SetChat(t.Context(), a.Account(), want))
	conv := message.DirectConversation(a.Account(), b.Account())
	late := &message.Notice{Conversation: conv, Kind: message.NoticeTyping, At: message.ClockOf(time.Now().Add(-time.Minute))}
	a.must(a.Tell(t.Context(), b.Account(), late))
	a.must(a.Tell(t.Context(), b.Account(), &message.Notice{Conversation: conv, Kind: message.NoticeTyping, At: message.ClockOf(time.Now().Add(time.Hour))}))
	a.carry(b)
	eventually(t, func() bool { // the watcher may not have begun
		a.must(a.Typing(t.Context(), b.Account()))
		a.carry(b)
		return len(heard) > 0
	})
	if who := <-heard; who != a.Account() {
		t.Error("somebody else is heard")
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	allSettled(t, a, b)
}

// A draft survives a restart and dies with its conversation.
func TestDrafts(t *testing.T) {
	a, b := pair(t)
	d := record.Draft{Text: "dear b", ReplyTo: message.ID{1}}
	a.must(a.SetDraft(t.Context(), b.Account(), record.Draft{Text: "dear"}))
	a.must(a.SetDraft(t.Context(), b.Account(), d))
	a.must(a.SetChat(t.Context(), b.Account(), func(c *record.Chat) { c.Pinned, c.Archived, c.Muted = true, true, 77 }))
	a.restart()
	c, err := a.Chat(b.Account())
	a.must(err)
	if c.Draft != d || !c.Pinned || !c.Archived || c.Muted != 77 || c.Receipts {
		t.Errorf("%+v", c)
	}
	a.must(a.SetDraft(t.Context(), b.Account(), record.Draft{}))
	if c, err = a.Chat(b.Account()); err != nil || c.Draft.Text != "" {
		t.Errorf("%+v, %v", c, err)
	}
	a.must(a.SetDraft(t.Context(), b.Account(), d))
	a.must(a.Remove(t.Context(), b.Account()))
	if n := a.count([]byte{record.FamilyDraft}) + a.count([]byte{record.FamilyChat}); n != 0 {
		t.Errorf("%d records are left", n)
	}
	if err := a.SetDraft(t.Context(), b.Account(), d); err == nil {
		t.Error("a draft for nobody")
	}
	if err := b.SetDraft(t.Context(), a.Account(), record.Draft{Text: strings.Repeat("x", message.MaxText+1)}); err == nil {
		t.Error("a draft that is too long")
	}
}

// A draft in a conversation with a timer ends as a message would, and isn't left
// to be opened by who has the keys.
func TestDraftEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := quiet(t, t.TempDir(), "ann", false), quiet(t, t.TempDir(), "bob", false)
		join(t, a, b)
		if _, err := a.SetTimer(t.Context(), b.Account(), message.Lifetime{Expiry: time.Hour}); err != nil {
			t.Fatal(err)
		}
		a.must(a.SetDraft(t.Context(), b.Account(), record.Draft{Text: "dear b"}))
		there := func() (has, sealed bool) {
			a.must(a.store.View(func(tx *storage.Tx) (err error) {
				k := record.DraftKey(tx, message.DirectConversation(a.Account(), b.Account()))
				if has, err = tx.Has(k); err != nil {
					return err
				}
				if _, sealed, err = tx.LeafOf(k); errors.Is(err, storage.ErrNotFound) {
					return nil
				}
				return err
			}))
			return has, sealed
		}
		if has, sealed := there(); !has || !sealed {
			t.Fatalf("there: %v, under a key of its own: %v", has, sealed)
		}
		time.Sleep(time.Hour + time.Second)
		if has, _ := there(); has {
			t.Error("shown after its end")
		}
		time.Sleep(time.Hour + time.Second)
		synctest.Wait()
		if _, sealed := there(); sealed {
			t.Error("it can still be opened")
		}
	})
}
