package engine_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

const week = 7 * 24 * time.Hour

// everything is all that a device can show of anything, as one text: every
// live value of its store, opened.
func (d *device) everything() string {
	d.t.Helper()
	var all strings.Builder
	d.must(d.store.View(func(tx *storage.Tx) error {
		for f := 0x10; f <= 0xff; f++ {
			if err := tx.Scan(storage.Key{byte(f)}, nil, false, func(_ storage.Key, v []byte) (bool, error) {
				all.Write(v)
				return true, nil
			}); err != nil {
				return err
			}
		}
		return nil
	}))
	return all.String()
}

// bare reports whether a text stands unencrypted in any file of d's directory.
func (d *device) bare(text string) (found bool) {
	d.t.Helper()
	d.must(filepath.WalkDir(d.dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		found = found || bytes.Contains(b, []byte(text))
		return err
	}))
	return found
}

// TestUnsendAcrossAWeek takes back what was sent to somebody who is away for a
// week: once at relays of which one can't be reached until then, and once after
// it was delivered. It is in neither store, and at no relay.
func TestUnsendAcrossAWeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := skewed(t, "ann", 0), skewed(t, "bob", 0)
		r1, r2 := newShelf(1), newShelf(2)
		for _, r := range []*shelf{r1, r2} {
			r.host(a)
			r.host(b)
		}
		meet(t, a, b)
		const had, waiting = "what he has seen already", "what he has never seen"
		first := a.send(b, engine.Send{Text: had})
		a.carry(b)
		second := a.send(b, engine.Send{Text: waiting})
		a.must(a.React(t.Context(), second, "❤"))
		a.must(a.Edit(t.Context(), second, waiting+", edited", nil, nil))
		a.deposit(b.Account(), r1, r2)
		if !strings.Contains(a.everything(), waiting) || !strings.Contains(b.everything(), had) || len(r1.mail[b]) < 3 || len(r2.mail[b]) < 3 {
			t.Fatal("control: it isn't everywhere it should be")
		}
		stays := a.send(b, engine.Send{Text: "stays"})
		a.deposit(b.Account(), r1, r2)
		time.Sleep(time.Hour)

		a.must(a.Unsend(t.Context(), first))
		a.must(a.Unsend(t.Context(), second))
		synctest.Wait()
		before := len(r1.mail[b])
		if n := a.withdraw(r1); n != 3 || len(r1.mail[b]) != before-3 {
			t.Errorf("%d envelopes deleted at the relay that answers", n)
		}
		a.deposit(b.Account(), r1, r2)
		// For a week nobody is there but the first relay.
		time.Sleep(week)
		a.withdraw(r1)
		b.collect(r1)
		b.collect(r2) // still has what was taken back
		settle(a, b, r1, r2)
		a.withdraw(r1, r2)
		time.Sleep(time.Hour)
		a.withdraw(r1, r2)
		settle(a, b, r1, r2)
		synctest.Wait()

		for name, d := range map[string]*device{"her": a, "his": b} {
			for _, text := range []string{had, waiting} {
				if strings.Contains(d.everything(), text) {
					t.Errorf("%s store has %q", name, text)
				}
				if d.bare(text) {
					t.Errorf("%s files have %q", name, text)
				}
			}
			if v, err := d.Message(stays); err != nil || v.Text != "stays" {
				t.Errorf("%s: what was not taken back: %+v, %v", name, v, err)
			}
		}
		if got, want := b.sees(a), "(deleted)\n(deleted)\nstays"; got != want || a.sees(b) != want {
			t.Errorf("he sees\n%s\nand she\n%s", got, a.sees(b))
		}
		if n := len(r1.mail[b]) + len(r2.mail[b]); n != 0 {
			t.Errorf("%d envelopes are left at the relays", n)
		}
	})
}

// TestNothingIsShownAfterTheEnd lets a message end that left traces in all that
// a device shows: a quote of it, its edit, a reaction, a draft that answers it,
// search, the list of conversations, the outbox and events; on the side that was
// on, and on one that was off meanwhile.
func TestNothingIsShownAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := skewed(t, "ann", 0), skewed(t, "bob", 0)
		meet(t, a, b)
		ctx := t.Context()
		const text = "a secret for an hour"
		life := message.Lifetime{Expiry: time.Hour}
		_, err := a.SetTimer(ctx, b.Account(), life)
		must(t, err)
		id := a.send(b, engine.Send{Text: "before the edit"})
		a.carry(b)
		b.must(b.React(ctx, id, "🔥"))
		a.must(a.Edit(ctx, id, text, nil, nil))
		b.send(a, engine.Send{Text: "an answer", ReplyTo: id, Life: message.Lifetime{Expiry: engine.Never}})
		for range 3 {
			a.carry(b)
			b.carry(a)
		}
		b.must(b.SetDraft(ctx, a.Account(), record.Draft{Text: text + ", you say?", ReplyTo: id}))
		a.send(b, engine.Send{Text: text + ", again"}) // stays in her outbox
		shows := func(d, other *device) (out []string) {
			d.t.Helper()
			synctest.Wait()
			chat, err := d.Chat(other.Account())
			d.must(err)
			for name, found := range map[string]bool{
				"conversation": strings.Contains(d.sees(other), text),
				"list":         strings.Contains(chat.Draft.Text, text) || chat.Last != nil && strings.Contains(chat.Last.Text, text),
				"search":       d.finds("secret", nil) != "",
				"store":        strings.Contains(d.everything(), text),
			} {
				if found {
					out = append(out, name)
				}
			}
			if v, err := d.Message(id); err == nil {
				out = append(out, "message "+v.Text)
			}
			return out
		}
		if len(shows(a, b)) != 5 || len(shows(b, a)) != 5 || a.Queued() == 0 {
			t.Fatal("control:", shows(a, b), shows(b, a))
		}
		b.stop()
		must(t, <-b.done)
		must(t, b.store.Close())
		time.Sleep(time.Hour + time.Minute)
		if got := shows(a, b); len(got) != 0 {
			t.Error("she is shown", got)
		}
		b.open()
		b.start()
		if got := shows(b, a); len(got) != 0 {
			t.Error("he is shown", got)
		}
		for range 4 {
			a.carry(b)
			b.carry(a)
		}
		if got := append(shows(a, b), shows(b, a)...); len(got) != 0 {
			t.Error("once they have met again, they are shown", got)
		}
		if a.Queued() != 0 || b.Queued() != 0 {
			t.Errorf("%d and %d entries are left in the outboxes", a.Queued(), b.Queued())
		}
		if got := b.sees(a); !strings.HasSuffix(got, "an answer") || strings.Contains(got, "[re:") {
			t.Error("he sees", got)
		}
	})
}
