package engine_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rushlight/node/delivery/parcel"
	"rushlight/node/engine"
	"rushlight/protocol/message"
	"rushlight/storage/record"
)

func (d *device) forge(other *device, b *message.Body) {
	d.t.Helper()
	body, err := b.Salted().Marshal()
	d.must(err)
	_, err = d.Forge(d.t.Context(), other.Account(), b.Type, body)
	d.must(err)
}

// A contact with a program of its own changes nothing that it may not: it can't
// edit, unsend or burn what somebody else wrote, nor anything that isn't to
// burn.
func TestForgedChanges(t *testing.T) {
	a, b := pair(t)
	ctx := t.Context()
	hers := a.send(b, engine.Send{Text: "hers"})
	a.send(b, engine.Send{Text: "hers, to burn", Life: message.Lifetime{Burn: time.Hour}})
	allSettled(t, a, b)
	his := b.send(a, engine.Send{Text: "his"})
	timer, err := b.SetTimer(ctx, a.Account(), message.Lifetime{Expiry: time.Hour})
	b.must(err)
	allSettled(t, a, b)
	want := a.sees(b)

	conv := message.DirectConversation(a.Account(), b.Account())
	b.forge(a, &message.Body{Type: message.TypeEdit, Target: hers, Text: "forged"})
	b.forge(a, &message.Body{Type: message.TypeEdit, Target: timer.ID, Text: "forged"})
	b.must(b.Tell(ctx, a.Account(), &message.Notice{Conversation: conv, Kind: message.NoticeBurned, IDs: []message.ID{hers}}))
	b.must(b.Tell(ctx, a.Account(), &message.Notice{Conversation: conv, Kind: message.NoticeBurned, IDs: []message.ID{his}}))
	b.must(b.Tell(ctx, a.Account(), &message.Notice{Conversation: conv, Kind: message.NoticeRead, IDs: []message.ID{his}}))
	b.must(b.Tell(ctx, a.Account(), &message.Notice{Conversation: conv, Kind: 99, IDs: []message.ID{hers}}))
	b.must(b.Tell(ctx, a.Account(), &message.Notice{Conversation: conv, Kind: message.NoticeBurned, IDs: []message.ID{{1, 2, 3}}}))
	b.carry(a)
	if got := a.sees(b); got != want {
		t.Errorf("changed to\n%s", got)
	}

	if st, err := a.State(his); err != nil || st != record.StateDelivered {
		t.Errorf("what she hasn't seen is in state %d, %v", st, err)
	}

	// In the name of another device, or in another conversation, it is refused.
	for name, p := range map[string]message.Packet{
		"unsend hers":        &message.Erased{Reason: message.Unsent, Message: erasedOf(a, 1, conv)},
		"other conversation": &message.Erased{Reason: message.Unsent, Message: erasedOf(b, 50, message.ConversationID{9})},
		"notice elsewhere":   &message.Notice{Conversation: message.ConversationID{9}, Kind: message.NoticeRead, IDs: []message.ID{hers}},
	} {
		b.must(b.Tell(ctx, a.Account(), p))
		for _, x := range b.parcels(a) {
			if r := a.ReceiveBatch(ctx, b.Device(), [][]byte{x.Envelope}); !errors.Is(r[0].Err, engine.ErrRefused) {
				t.Errorf("%s: %v", name, r[0].Err)
			}
			b.must(b.Refused(ctx, a.Account(), a.Device(), x.Seq, parcel.CodeRefused))
		}
	}
	if got := a.sees(b); got != want {
		t.Errorf("changed to\n%s", got)
	}
	// Control: what the author may do, it does.
	b.forge(a, &message.Body{Type: message.TypeEdit, Target: his, Text: "his own"})
	b.carry(a)
	if got := a.sees(b); !strings.Contains(got, "\nhis own (edited)\n") {
		t.Errorf("control: %s", got)
	}
}

func erasedOf(author *device, seq uint64, conv message.ConversationID) *message.Message {
	h := [32]byte{1}
	m := &message.Message{Type: message.TypeText, Erased: &h}
	m.Conversation, m.Author, m.Seq = conv, author.Device(), seq
	if seq > 1 {
		m.Prev = h
	}
	return m
}

// A flood of reactions leaves one, in no more room than one takes; those to what
// nobody has are kept up to a bound; answers to answers cost what an answer
// costs.
func TestFloodsAreBounded(t *testing.T) {
	a, b := pair(t)
	id := a.send(b, engine.Send{Text: "target"})
	allSettled(t, a, b)
	const many = 600
	for i := range many {
		b.forge(a, &message.Body{Type: message.TypeReaction, Target: id, Emoji: fmt.Sprint("x", i)})
		b.forge(a, &message.Body{Type: message.TypeReaction, Target: message.ID{1, byte(i >> 8), byte(i)}, Emoji: "x"})
		if i%100 == 99 {
			b.carry(a)
		}
	}
	b.carry(a)
	v, err := a.Message(id)
	a.must(err)
	if len(v.Reactions) != 1 || v.Reactions[0].Emoji != fmt.Sprint("x", many-1) {
		t.Errorf("%+v", v.Reactions)
	}
	if n := a.count(record.ReactionsKey(message.ID{})[:1]); n != 1 {
		t.Errorf("%d records of reactions", n)
	}
	if n := a.count(record.HiddenKey(message.ID{})[:1]); n == 0 || n > 256 {
		t.Errorf("%d messages wait for what they are about", n)
	}
	// A thread in which each answers the one before, the first itself.
	last := message.ID{7}
	for range 300 {
		last = b.send(a, engine.Send{Text: "re", ReplyTo: last})
	}
	b.carry(a)
	if got := a.sees(b); strings.Count(got, "[re: re]") != 299 {
		t.Errorf("%d answers", strings.Count(got, "[re: re]"))
	}
	allSettled(t, a, b)
}
