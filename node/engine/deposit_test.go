package engine_test

import (
	"slices"
	"testing"
	"time"

	"rushlight/node/engine"
	"rushlight/storage/record"
)

// later opens the device again with a clock that has gone on.
func (d *device) later(by time.Duration) {
	d.t.Helper()
	d.close()
	d.ahead += by
	d.open()
	d.start()
}

// TestThirdCopy leaves a message at two of three relays, and at the third when
// it isn't acknowledged for a minute.
func TestThirdCopy(t *testing.T) {
	r1, r2, r3 := newShelf(1), newShelf(2), newShelf(3)
	a, b := talkers(t, r1, r2, r3)
	a.say(b, "important")
	if n := a.deposit(b.Account(), r1, r2, r3); n != 2 {
		t.Fatal("deposits at first:", n)
	}
	if s := a.state(b, "important"); s != record.StateStored {
		t.Fatal("state is", s)
	}
	count := func() (n int) {
		for _, r := range []*shelf{r1, r2, r3} {
			n += len(r.mail[b])
		}
		return n
	}
	_, again, err := a.Post(t.Context(), b.Account(), nobody)
	if err != nil || again.IsZero() || time.Until(again) > time.Minute {
		t.Fatal("the third copy is planned for", again, err)
	}
	a.later(2 * time.Minute)
	if n := a.deposit(b.Account(), r1, r2, r3); n != 1 || count() != 3 {
		t.Fatalf("deposits after two minutes: %d, copies %d", n, count())
	}
	a.later(2 * time.Minute)
	if n := a.deposit(b.Account(), r1, r2, r3); n != 0 {
		t.Fatal("deposits after that:", n)
	}
	b.collect(r3)
	b.wantTexts(a, "important")
}

func nobody([32]byte) bool { return false }

// TestRedepositIsAnotherEnvelope deposits again what isn't acknowledged after a
// day. The relay sees nothing twice, and the message is shown once.
func TestRedepositIsAnotherEnvelope(t *testing.T) {
	r1 := newShelf(1)
	a, b := talkers(t, r1)
	a.say(b, "again")
	a.deposit(b.Account(), r1)
	first := slices.Clone(r1.mail[b])
	if len(first) != 1 {
		t.Fatal("deposits at first:", len(first))
	}
	for day := range 3 {
		a.later(5 * 24 * time.Hour)
		a.hello(b)
		if n := a.deposit(b.Account(), r1); n != 1 {
			t.Fatalf("deposits in round %d: %d", day, n)
		}
	}
	seen := map[[32]byte]bool{}
	for _, env := range r1.mail[b] {
		if head := [32]byte(env); seen[head] {
			t.Error("the relay sees one tag twice")
		} else {
			seen[head] = true
		}
	}
	b.collect(r1)
	b.wantTexts(a, "again")
	settle(a, b, r1)
	if s := a.state(b, "again"); s < record.StateDelivered || a.Queued() != 0 {
		t.Errorf("state is %d, in the outbox %d", s, a.Queued())
	}
}

// TestRunDry uses the request lane when no stamps are left, for few envelopes,
// and is given stamps in return.
func TestRunDry(t *testing.T) {
	r1 := newShelf(1)
	a, b := talkers(t, r1)
	for range 64 {
		a.say(b, "chatter")
		a.deposit(b.Account(), r1)
	}
	for range 10 {
		a.say(b, "more")
	}
	letters, _, err := a.Post(t.Context(), b.Account(), nobody)
	if err != nil {
		t.Fatal(err)
	}
	var answers []engine.Answer
	for _, l := range letters {
		if l.Lane == ([32]byte{}) {
			t.Fatal("a stamp is left")
		}
		r1.mail[b] = append(r1.mail[b], l.Envelope)
		answers = append(answers, engine.Answer{Seq: l.Seq, Relay: l.Relay})
	}
	if len(letters) == 0 || len(letters) > 4 {
		t.Fatal("requests:", len(letters))
	}
	if err := a.Posted(t.Context(), b.Account(), answers); err != nil {
		t.Fatal(err)
	}
	if letters, _, err = a.Post(t.Context(), b.Account(), nobody); err != nil || len(letters) != 0 {
		t.Fatal("more requests at once:", len(letters), err)
	}
	b.collect(r1)
	r1.mint(b)
	if err := b.Announce(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	settle(a, b, r1)
	settle(b, a, r1)
	if a.Queued() != 0 {
		t.Error("left in the outbox:", a.Queued())
	}
}

// TestStampsGrowOld: what is too old isn't handed out any more, and who holds
// stamps that end soon asks for others while there are some to ask with.
func TestStampsGrowOld(t *testing.T) {
	const day = 24 * time.Hour
	r1 := newShelf(1)
	a, b := talkers(t, r1)
	settle(a, b, r1)
	short := func() int {
		s, err := b.Short(r1.key)
		b.must(err)
		return s[0]
	}
	b.later(70 * day)
	if n := short(); n != 0 {
		t.Fatal("control: a pool of ten weeks lacks", n)
	}
	b.later(36 * day)
	if n := short(); n != 1024 {
		t.Fatal("a pool of 15 weeks lacks", n)
	}
	a.later(106 * day)
	r1.mint(b)
	r1.mint(a)
	a.say(b, "after a long time")
	settle(a, b, r1)
	b.wantTexts(a, "after a long time")
	a.later(20 * day)
	a.say(b, "later still")
	letters, _, err := a.Post(t.Context(), b.Account(), nobody)
	a.must(err)
	if len(letters) == 0 {
		t.Fatal("nothing is deposited")
	}
	for _, l := range letters {
		if l.Lane != ([32]byte{}) {
			t.Error("there is no stamp left that is good")
		} else if l.Stamp.DaysLeft(uint16(a.wall().Unix()/86400)) < 0 {
			t.Error("a stamp is used that has ended")
		}
	}
}

// TestStaleStateIsBounded: a relay that gives out an old state again and again
// makes contacts send what isn't acknowledged once a day, and not each time.
func TestStaleStateIsBounded(t *testing.T) {
	r1 := newShelf(1)
	_, b := talkers(t, r1)
	made := func(log byte, next uint64) bool {
		t.Helper()
		lost, err := b.MailboxMade(t.Context(), r1.key, [16]byte{log}, next)
		b.must(err)
		return lost
	}
	if made(1, 100) {
		t.Fatal("control: a log that grows has lost something")
	}
	times := 0
	for range 20 {
		if made(1, 40) {
			times++
		}
		if made(1, 100) {
			t.Fatal("what is back has lost something")
		}
	}
	if times != 1 {
		t.Errorf("mail was asked for %d times", times)
	}
	if !made(2, 100) {
		t.Error("another log isn't noticed")
	}
}
