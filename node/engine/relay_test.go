package engine_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/envelope"
	"rushlight/protocol/identity"
	"rushlight/protocol/stamp"
	"rushlight/protocol/suite"
	"rushlight/storage"
	"rushlight/storage/record"
)

// shelf is a relay that keeps what it is given until it is fetched.
type shelf struct {
	key   [32]byte
	mail  map[*device][][]byte
	owner map[stamp.Stamp]*device
	spent map[stamp.Stamp]bool
	lanes *device              // whose requests it takes
	came  map[string]time.Time // envelopes, by their beginnings
}

func newShelf(n byte) *shelf {
	return &shelf{key: [32]byte{n}, mail: map[*device][][]byte{}, owner: map[stamp.Stamp]*device{}, spent: map[stamp.Stamp]bool{}, came: map[string]time.Time{}}
}

// host makes a mailbox for d.
func (r *shelf) host(d *device) {
	d.t.Helper()
	ctx := d.t.Context()
	if err := d.AddRelay(ctx, r.key, [][]byte{{4, 127, 0, 0, 1, 6, 0, 80}}, nil); err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.MailboxMade(ctx, r.key, [16]byte{1}, 0); err != nil {
		d.t.Fatal(err)
	}
	r.mint(d)
	if err := d.Announce(ctx, false); err != nil {
		d.t.Fatal(err)
	}
}

func (r *shelf) mint(d *device) {
	d.t.Helper()
	short, err := d.Short(r.key)
	if err != nil {
		d.t.Fatal(err)
	}
	for class, n := range short {
		all := make([]stamp.Stamp, n)
		for i := range all {
			suite.Random(all[i][:])
			all[i][0] = uint8(stamp.WeekOf(uint16(d.wall().Unix() / 86400)))
			r.owner[all[i]] = d
		}
		if err := d.AddStamps(d.t.Context(), r.key, engine.ClassOf(class), 0, all); err != nil {
			d.t.Fatal(err)
		}
	}
}

// deposit brings what d has for an account to the relays that are there, and
// returns how much that was.
func (d *device) deposit(to identity.AccountID, relays ...*shelf) (n int) {
	d.t.Helper()
	there := func(key [32]byte) *shelf {
		if i := slices.IndexFunc(relays, func(r *shelf) bool { return r.key == key }); i >= 0 {
			return relays[i]
		}
		return nil
	}
	for {
		letters, _, err := d.Post(d.t.Context(), to, func(key [32]byte) bool { return there(key) == nil })
		if err != nil {
			d.t.Fatal(err)
		}
		if len(letters) == 0 {
			return n
		}
		var answers []engine.Answer
		for _, l := range letters {
			answers = append(answers, engine.Answer{Seq: l.Seq, Relay: l.Relay, Code: there(l.Relay).take(l)})
			n++
		}
		if err := d.Posted(d.t.Context(), to, answers); err != nil {
			d.t.Fatal(err)
		}
	}
}

// ages is how long ago at least d's mail came.
func (r *shelf) ages(d *device) (out []time.Duration) {
	for _, env := range r.mail[d] {
		at, ok := r.came[string(env[:min(16, len(env))])]
		if !ok {
			at = time.Now()
		}
		out = append(out, max(0, time.Since(at.UTC().Truncate(24*time.Hour).Add(24*time.Hour))))
	}
	return out
}

func (r *shelf) take(l engine.Letter) uint8 {
	if l.Lane != ([32]byte{}) && r.lanes != nil {
		r.mail[r.lanes] = append(r.mail[r.lanes], l.Envelope)
		return 0
	}
	switch o := r.owner[l.Stamp]; {
	case o == nil:
		return 2
	case r.spent[l.Stamp]:
		return 1
	default:
		r.spent[l.Stamp] = true
		r.mail[o] = append(r.mail[o], l.Envelope)
		r.came[string(l.Envelope[:16])] = time.Now()
		return 0
	}
}

// collect empties d's mailbox at a relay; what isn't taken stays there.
func (d *device) collect(r *shelf) (taken int) {
	d.t.Helper()
	var left [][]byte
	for i, res := range d.Collect(d.t.Context(), r.key, r.mail[d], r.ages(d)) {
		if res.Err != nil {
			left = append(left, r.mail[d][i])
			continue
		}
		taken++
	}
	r.mail[d] = left
	owed, err := d.Owes()
	if err != nil {
		d.t.Fatal(err)
	}
	for _, a := range owed {
		if err := d.Acknowledge(d.t.Context(), a); err != nil {
			d.t.Fatal(err)
		}
	}
	return taken
}

func (d *device) state(other *device, text string) record.MessageState {
	d.t.Helper()
	views, err := d.Read(d.t.Context(), engine.Read{With: other.Account(), Peek: true})
	if err != nil {
		d.t.Fatal(err)
	}
	for _, v := range views {
		if v.Text == text {
			return v.State
		}
	}
	d.t.Fatal("no such message")
	return 0
}

func (d *device) wantTexts(other *device, want ...string) {
	d.t.Helper()
	if got := d.texts(other); !slices.Equal(got, want) {
		d.t.Fatalf("conversation is %q, not %q", got, want)
	}
}

// TestNeverTogether lets two people become contacts and talk who are never
// online together, each with a restart before every turn.
func TestNeverTogether(t *testing.T) {
	a, b := newDevice(t, "ann"), newDevice(t, "bob")
	r1, r2 := newShelf(1), newShelf(2)
	r1.host(a)
	r2.host(b)
	link, _, err := a.CreateInvite(t.Context(), engine.InviteOptions{Uses: 1, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	inv, err := identity.ParseInvite(link)
	if err != nil {
		t.Fatal(err)
	}
	if len(inv.Relays) != 1 {
		t.Fatal("the invite names no relay")
	}
	if err := b.Join(t.Context(), inv, link, "", "", false); err != nil {
		t.Fatal(err)
	}
	for range 2 { // asking twice asks the same
		letters, err := b.Ask(t.Context(), inv)
		if err != nil || len(letters) != 1 {
			t.Fatal(letters, err)
		}
		if r1.mail[a] == nil && r1.take(letters[0]) != 0 {
			t.Fatal("the stamp of the invite is no good")
		}
		if string(r1.mail[a][0]) != string(letters[0].Envelope) {
			t.Fatal("a repeated request is another one")
		}
	}
	if err := b.Asked(t.Context(), a.Account(), []engine.Answer{{Relay: r1.key}}); err != nil {
		t.Fatal(err)
	}
	a.restart()
	if n := a.collect(r1); n != 1 {
		t.Fatal("requests taken:", n)
	}
	a.say(b, "welcome")
	if n := a.deposit(b.Account(), r1, r2); n == 0 {
		t.Fatal("nothing was deposited")
	}
	if s := a.state(b, "welcome"); s != record.StateStored {
		t.Fatal("state is", s)
	}
	b.restart()
	b.collect(r2)
	b.wantTexts(a, "welcome")
	want := []string{"welcome"}
	for i := range 6 {
		from, to, home, away := b, a, r2, r1
		if i%2 == 1 {
			from, to, home, away = a, b, r1, r2
		}
		from.restart()
		from.collect(home)
		text := fmt.Sprint("turn ", i)
		from.say(to, text)
		want = append(want, text)
		from.deposit(to.Account(), r1, r2)
		if s := from.state(to, text); s != record.StateStored {
			t.Fatalf("turn %d: state is %d", i, s)
		}
		to.restart()
		if to.collect(away) == 0 {
			t.Fatalf("turn %d: nothing came", i)
		}
		to.wantTexts(from, want...)
		to.deposit(from.Account(), r1, r2)
		from.collect(home)
		if s := from.state(to, text); s < record.StateDelivered {
			t.Fatalf("turn %d: state is %d", i, s)
		}
	}
	for _, r := range []*shelf{r1, r2} {
		for _, d := range []*device{a, b} {
			if n := len(r.mail[d]); n > 0 {
				d.collect(r)
			}
		}
	}
	if n := len(r1.mail[a]) + len(r2.mail[b]); n > 0 {
		t.Error("left at the relays:", n)
	}
}

// talkers are two contacts with a mailbox each at every relay.
func talkers(t *testing.T, relays ...*shelf) (a, b *device) {
	a, b = newDevice(t, "ann"), newDevice(t, "bob")
	acquaint(t, a, b, relays...)
	return a, b
}

// acquaint makes two devices with mailboxes contacts who know each other's relays.
func acquaint(t *testing.T, a, b *device, relays ...*shelf) {
	t.Helper()
	for _, r := range relays {
		r.host(a)
		r.host(b)
	}
	join(t, a, b)
	for range 3 {
		a.carry(b)
		b.carry(a)
	}
}

// settle carries acknowledgements to and fro through relays until nothing
// moves.
func settle(a, b *device, relays ...*shelf) {
	for moved := 1; moved > 0; {
		moved = 0
		for _, d := range []*device{a, b} {
			other := a
			if d == a {
				other = b
			}
			moved += d.deposit(other.Account(), relays...)
			for _, r := range relays {
				other.collect(r)
			}
		}
	}
}

// TestCopiesAtTwoRelays shows a message once that lies at two relays, also when
// the second copy is found after a restart, and trims both.
func TestCopiesAtTwoRelays(t *testing.T) {
	r1, r2 := newShelf(1), newShelf(2)
	a, b := talkers(t, r1, r2)
	a.say(b, "twice")
	a.deposit(b.Account(), r1, r2)
	if len(r1.mail[b]) == 0 || len(r2.mail[b]) == 0 {
		t.Fatal("not at both relays")
	}
	if string(r1.mail[b][0]) == string(r2.mail[b][0]) || string(r1.mail[b][0][:32]) == string(r2.mail[b][0][:32]) {
		t.Error("the copies can be linked")
	}
	b.collect(r1)
	b.restart()
	b.collect(r2)
	b.wantTexts(a, "twice")
	if n := len(r2.mail[b]); n != 0 {
		t.Error("left at the second relay:", n)
	}
	settle(a, b, r1, r2)
	if s := a.state(b, "twice"); s < record.StateDelivered {
		t.Error("state is", s)
	}
	if a.Queued() != 0 || b.Queued() != 0 {
		t.Errorf("left in the outboxes: %d and %d", a.Queued(), b.Queued())
	}
}

// TestRelayDropsReplaysReorders gives everything of one relay twice and in the
// wrong order, and lets the other lose all: rows 1 and 3 of the fault list.
func TestRelayDropsReplaysReorders(t *testing.T) {
	r1, r2 := newShelf(1), newShelf(2)
	a, b := talkers(t, r1, r2)
	var want []string
	for i := range 40 {
		a.say(b, fmt.Sprint(i))
		want = append(want, fmt.Sprint(i))
	}
	a.deposit(b.Account(), r1, r2)
	r1.mail[b] = nil
	again := slices.Clone(r2.mail[b])
	slices.Reverse(again)
	r2.mail[b] = slices.Concat(again, again)
	for range 3 {
		b.collect(r2)
	}
	r2.mail[b] = again
	b.collect(r2)
	b.wantTexts(a, want...)
	settle(a, b, r1, r2)
	if a.Queued() != 0 {
		t.Error("left in the outbox:", a.Queued())
	}
}

// TestRelayFlipsAndStuffs puts altered and foreign envelopes among the real
// ones: row 5 and 6.
func TestRelayFlipsAndStuffs(t *testing.T) {
	r1, r2 := newShelf(1), newShelf(2)
	a, b := talkers(t, r1, r2)
	a.say(b, "one")
	a.say(b, "two")
	a.deposit(b.Account(), r1, r2)
	bad := 0
	for _, env := range r1.mail[b] {
		env[len(env)-1] ^= 1
		bad++
	}
	for i := range 50 {
		env := make([]byte, envelope.S.Size())
		suite.Random(env)
		r2.mail[b] = slices.Insert(r2.mail[b], i/25, env)
	}
	r2.mail[b] = append(r2.mail[b], slices.Clone(r1.mail[b][0]), []byte{1})
	b.collect(r1)
	b.collect(r2)
	b.wantTexts(a, "one", "two")
	// The altered copy is one of what has come: that much is known by its tag.
	if n := len(r2.mail[b]); n != 51 {
		t.Errorf("%d envelopes that aren't recognised were left, not 51", n)
	}
}

// TestManyAtOnceNeedNoSearch: more than a window shows is taken without looking
// beyond the windows, since each that is taken moves its window on.
func TestManyAtOnceNeedNoSearch(t *testing.T) {
	r1 := newShelf(1)
	a, b := talkers(t, r1)
	var want []string
	for i := range 2 * envelope.MinAhead {
		want = append(want, fmt.Sprintf("%03d", i))
		a.say(b, want[i])
	}
	a.deposit(b.Account(), r1)
	left := b.LookFor(100 * envelope.MaxAhead)
	before := left()
	b.collect(r1)
	b.wantTexts(a, want...)
	if n := before - left(); n > 0 {
		t.Errorf("%d indexes were searched", n)
	}
	r1.mail[b] = [][]byte{make([]byte, envelope.S.Size())}
	b.collect(r1)
	if left() == before {
		t.Error("control: nothing was searched for what nobody sent")
	}
}

// TestAllRelaysDie loses every relay of the recipient, with what they held; new
// ones are announced, and what isn't acknowledged arrives there: row 13 and 14.
func TestAllRelaysDie(t *testing.T) {
	r1, r2, r3 := newShelf(1), newShelf(2), newShelf(3)
	a, b := talkers(t, r1, r2)
	a.say(b, "lost at the relays")
	a.deposit(b.Account(), r1, r2)
	r1.mail[b], r2.mail[b] = nil, nil
	for _, r := range []*shelf{r1, r2} {
		if err := b.RemoveRelay(t.Context(), r.key); err != nil {
			t.Fatal(err)
		}
	}
	r3.host(b)
	if err := b.Announce(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	b.deposit(a.Account(), r1, r2, r3)
	a.collect(r1)
	a.collect(r2)
	a.deposit(b.Account(), r1, r2, r3)
	b.collect(r3)
	b.wantTexts(a, "lost at the relays")
}

// TestLogLost is noticed, announced, and leads to new deposits: row 4.
func TestLogLost(t *testing.T) {
	r1 := newShelf(1)
	a, b := talkers(t, r1)
	a.say(b, "before the fire")
	a.deposit(b.Account(), r1)
	r1.mail[b] = nil
	if lost, err := b.MailboxMade(t.Context(), r1.key, [16]byte{1}, 7); err != nil || lost {
		t.Fatal("a longer log is taken for a loss", err)
	}
	if lost, err := b.MailboxMade(t.Context(), r1.key, [16]byte{1}, 6); err != nil || !lost {
		t.Fatal("a shorter log is not noticed", err)
	}
	if lost, err := b.MailboxMade(t.Context(), r1.key, [16]byte{2}, 9); err != nil || !lost {
		t.Fatal("another log is not noticed", err)
	}
	r1.mint(b)
	if err := b.Announce(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	settle(b, a, r1)
	b.wantTexts(a, "before the fire")
	if s := a.state(b, "before the fire"); s < record.StateDelivered {
		t.Error("state is", s)
	}
}

// TestPutBackSealsNothingOld puts a profile back to an older state, and lets it
// write before anything can show that it was: a relay is all there is. Nothing
// is sealed in the old session, so that no key is used twice and the message
// arrives. As the control, somebody who goes on in the old session loses it.
func TestPutBackSealsNothingOld(t *testing.T) {
	for _, control := range []bool{false, true} {
		r1 := newShelf(1)
		a, b := talkers(t, r1)
		a.say(b, "first")
		a.deposit(b.Account(), r1)
		settle(a, b, r1)
		old := a.snapshot()
		a.say(b, "in a life that is forgotten")
		a.deposit(b.Account(), r1)
		b.collect(r1)
		a.putBack(old)
		if control {
			// As if the start had not been one: the counters are vouched for.
			if err := a.PeerCounters(t.Context(), b.Device(), a.Counters(b.Device())); err != nil {
				t.Fatal(err)
			}
		}
		a.say(b, "after")
		a.deposit(b.Account(), r1)
		b.collect(r1)
		got := slices.Contains(b.texts(a), "after")
		if got == control {
			t.Errorf("control %v: arrived %v in %q", control, got, b.texts(a))
		}
	}
}

func (d *device) snapshot() map[string][]byte {
	d.t.Helper()
	out := map[string][]byte{}
	if err := d.store.View(func(tx *storage.Tx) error {
		for f := byte(0x10); f < 0x48; f++ {
			if err := tx.Scan(storage.Key{f}, nil, false, func(k storage.Key, v []byte) (bool, error) {
				out[string(k)] = slices.Clone(v)
				return true, nil
			}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		d.t.Fatal(err)
	}
	return out
}

// putBack makes the store what it was, behind the engine's back.
func (d *device) putBack(old map[string][]byte) {
	d.t.Helper()
	d.stop()
	if err := <-d.done; err != nil {
		d.t.Fatal(err)
	}
	now := map[string][]byte{}
	if err := d.store.View(func(tx *storage.Tx) error {
		for f := byte(0x10); f < 0x48; f++ {
			if err := tx.Scan(storage.Key{f}, nil, false, func(k storage.Key, v []byte) (bool, error) {
				now[string(k)] = v
				return true, nil
			}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		d.t.Fatal(err)
	}
	if err := d.store.Update(func(tx *storage.Tx) error {
		for k := range now {
			if _, had := old[k]; !had {
				if err := tx.Delete(storage.Key(k)); err != nil {
					return err
				}
			}
		}
		for k, v := range old {
			if string(now[k]) == string(v) {
				continue
			}
			if err := tx.Put(storage.Key(k), v); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		d.t.Fatal(err)
	}
	d.start()
}
