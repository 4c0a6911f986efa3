package engine_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"rushlight/node/delivery/parcel"
	"rushlight/node/engine"
	"rushlight/protocol/identity"
	"rushlight/storage"
	"rushlight/storage/record"
)

// offer makes b accept an invite of a up to the first flight, and returns it.
func offer(t *testing.T, a, b *device) (flight []byte) {
	t.Helper()
	link, _, err := a.CreateInvite(t.Context(), engine.InviteOptions{Uses: 1, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	accept(t, a, b, link)
	ps, err := b.Pending(a.Account(), 0, 10)
	if err != nil || len(ps) == 0 {
		t.Fatal("no first flight:", err)
	}
	return ps[0].Envelope
}

// TestFlippedFlightChangesNothing flips bits all over a first flight's
// envelope. None may be answered or change anything; the flight itself, as the
// control, is.
func TestFlippedFlightChangesNothing(t *testing.T) {
	a, b := newDevice(t, "ann"), newDevice(t, "bob")
	flight := offer(t, a, b)
	head := a.store.Head()
	step := 509 // every part of the envelope is hit
	if testing.Short() {
		step = 4099
	}
	for bit := 0; bit < 8*len(flight); bit += step {
		bad := bytes.Clone(flight)
		bad[bit/8] ^= 1 << (bit % 8)
		if r := a.ReceiveBatch(t.Context(), identity.DeviceID{}, [][]byte{bad})[0]; r.Err == nil {
			t.Fatalf("accepted with bit %d flipped", bit)
		}
	}
	if len(a.Contacts()) != 0 || a.store.Head() != head {
		t.Fatal("a refused flight changed something")
	}
	if r := a.ReceiveBatch(t.Context(), identity.DeviceID{}, [][]byte{flight})[0]; r.Err != nil {
		t.Fatal("the flight itself is refused:", r.Err)
	}
}

// TestFlightAgainIsAnsweredAgain delivers one first flight twice, with a
// restart between: one contact, one session, the same proof.
func TestFlightAgainIsAnsweredAgain(t *testing.T) {
	a, b := newDevice(t, "ann"), newDevice(t, "bob")
	flight := offer(t, a, b)
	first := a.ReceiveBatch(t.Context(), identity.DeviceID{}, [][]byte{flight})[0]
	a.restart()
	second := a.ReceiveBatch(t.Context(), identity.DeviceID{}, [][]byte{flight})[0]
	if first.Err != nil || second.Err != nil {
		t.Fatalf("%+v, then %+v", first, second)
	}
	// The first answer was lost: the second is good too, and says what it is.
	if first.MAC == second.MAC {
		t.Fatal("an answer given again can't be told from the first")
	}
	ps, err := b.Pending(a.Account(), 0, 1)
	if err != nil || len(ps) != 1 {
		t.Fatal(len(ps), err)
	}
	if err := b.Acked(t.Context(), a.Account(), a.Device(), []parcel.Ack{{Seq: ps[0].Seq, MAC: second.MAC}}); err != nil {
		t.Fatal(err)
	}
	if c := b.Contact(a.Account()); c == nil || c.State != record.ContactApproved {
		t.Fatal("an answer given again was not taken")
	}
	if n := len(a.Contacts()); n != 1 {
		t.Fatal(n, "contacts")
	}
}

// TestStolenInviteIsNoUse shows what single use means: whoever comes second
// with the same link is refused.
func TestStolenInviteIsNoUse(t *testing.T) {
	a, b, eve := newDevice(t, "ann"), newDevice(t, "bob"), newDevice(t, "eve")
	link, _, err := a.CreateInvite(t.Context(), engine.InviteOptions{Uses: 1, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	// Both have fetched the bundle before either has used it.
	accept(t, a, b, link)
	accept(t, a, eve, link)
	b.carry(a)
	ps, err := eve.Pending(a.Account(), 0, 1)
	if err != nil || len(ps) != 1 {
		t.Fatal(len(ps), err)
	}
	r := a.ReceiveBatch(t.Context(), identity.DeviceID{}, [][]byte{ps[0].Envelope})[0]
	if !errors.Is(r.Err, engine.ErrInviteUsed) {
		t.Fatal("second use:", r.Err)
	}
	if err := eve.Refused(t.Context(), a.Account(), a.Device(), ps[0].Seq, parcel.CodeUsed); err != nil {
		t.Fatal(err)
	}
	if len(eve.Contacts()) != 0 || eve.Refusal(a.Account()) != parcel.CodeUsed {
		t.Fatal("a refused invite left something behind")
	}
}

// TestForgedAckIsIgnored: only who holds the session can make a message count
// as delivered.
func TestForgedAckIsIgnored(t *testing.T) {
	a, b := newDevice(t, "ann"), newDevice(t, "bob")
	join(t, a, b)
	a.say(b, "x")
	ps, err := a.Pending(b.Account(), 0, 1)
	if err != nil || len(ps) != 1 {
		t.Fatal(len(ps), err)
	}
	forged := parcel.Ack{Seq: ps[0].Seq, MAC: [16]byte{1}}
	if err := a.Acked(t.Context(), b.Account(), b.Device(), []parcel.Ack{forged}); err != nil {
		t.Fatal(err)
	}
	if a.Queued() != 1 {
		t.Fatal("a forged acknowledgement emptied the outbox")
	}
	if a.carry(b); a.Queued() != 0 { // control: the true one does
		t.Fatal("the true acknowledgement did not")
	}
}

// TestPutBackProfileStartsNewSession puts a whole profile back to an older
// copy. Its counters give it away at the next opening of a stream; from then
// on nothing is sent in the old session, and no message is lost.
func TestPutBackProfileStartsNewSession(t *testing.T) {
	a, b := newDevice(t, "ann"), newDevice(t, "bob")
	join(t, a, b)
	a.say(b, "before the copy")
	a.carry(b)
	a.close()
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(a.dir)); err != nil {
		t.Fatal(err)
	}
	a.open()
	a.start()
	for _, text := range []string{"after", "the", "copy"} {
		a.say(b, text)
	}
	a.carry(b)
	old := a.Counters(b.Device())

	a.close()
	a.dir = copied
	a.open()
	a.start()
	// What is written before the sides have compared is not sealed yet.
	a.say(b, "written at once")
	if ps, err := a.Pending(b.Account(), 0, 10); err != nil || len(ps) != 0 {
		t.Fatal("sealed before the sides have compared:", len(ps), err)
	}
	a.hello(b)
	if !a.WantsBundle(b.Account()) {
		t.Fatal("nobody noticed that the profile is older than it was")
	}
	a.say(b, "from the copy")
	if n := a.carry(b); n != 0 {
		t.Fatal("something was sent in a session that was put back")
	}
	bundle, err := b.PersonalBundle(t.Context(), a.Device())
	if err != nil || len(bundle) == 0 {
		t.Fatal("no bundle:", err)
	}
	if err := a.AcceptBundle(t.Context(), b.Account(), b.Device(), bundle); err != nil {
		t.Fatal(err)
	}
	a.carry(b)
	b.say(a, "welcome back")
	b.carry(a)
	if now := a.Counters(b.Device()); len(now) == 0 || now[0].Session == old[0].Session {
		t.Fatal("the old session is still used")
	}
	if a.Queued() != 0 || b.Queued() != 0 {
		t.Fatal("left in an outbox:", a.Queued(), b.Queued())
	}
	got := b.texts(a)
	want := []string{"before the copy", "after", "the", "copy", "written at once", "from the copy", "welcome back"}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("bob has %q", got)
	}
}

// TestChangedKeyBlocksSending gives a verified contact another account: until
// the new safety number was compared, nothing is sent.
func TestChangedKeyBlocksSending(t *testing.T) {
	a, b, b2 := newDevice(t, "ann"), newDevice(t, "bob"), newDevice(t, "bob")
	join(t, b, a)
	if err := a.Rename(t.Context(), b.Account(), "bob"); err != nil {
		t.Fatal(err)
	}
	verify := func(other *device) {
		t.Helper()
		mine, err := a.SafetyNumber(other.Account())
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := other.SafetyNumber(a.Account())
		if err != nil || mine != theirs {
			t.Fatal("the sides show different numbers", err)
		}
		if err := a.Verify(t.Context(), other.Account(), theirs); err != nil {
			t.Fatal(err)
		}
	}
	verify(b)
	link, _, err := b2.CreateInvite(t.Context(), engine.InviteOptions{Uses: 1, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	inv, err := identity.ParseInvite(link)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Join(t.Context(), inv, link, "bob", "", false); !errors.Is(err, engine.ErrNameTaken) {
		t.Fatal("a stranger took a contact's name:", err)
	}
	if err := a.Join(t.Context(), inv, link, "bob", "", true); err != nil {
		t.Fatal(err)
	}
	_, reply, _ := b2.ServeInvite(t.Context(), inv.ID, func([32]byte) bool { return true })
	if err := a.Offered(t.Context(), inv, reply); err != nil {
		t.Fatal(err)
	}
	a.carry(b2)
	b2.carry(a)
	send := func() error {
		_, err := a.Send(t.Context(), engine.Send{To: b2.Account(), Text: "x"})
		return err
	}
	if err := send(); !errors.Is(err, engine.ErrKeyChanged) {
		t.Fatal("sent under a key nobody verified:", err)
	}
	if err := a.Verify(t.Context(), b2.Account(), "000000000000000000000000000000000000000000000000000000000000"); !errors.Is(err, engine.ErrWrongDigit) {
		t.Fatal(err)
	}
	verify(b2)
	if err := send(); err != nil {
		t.Fatal(err)
	}
	if c := a.Contact(b2.Account()); c.State != record.ContactApproved || !c.Verified {
		t.Fatalf("%+v", c)
	}
}

// TestRemovedAndAddedAgain forgets a contact and adds it again: the
// conversation goes on from nothing, and both sides can write.
func TestRemovedAndAddedAgain(t *testing.T) {
	a, b := newDevice(t, "ann"), newDevice(t, "bob")
	join(t, a, b)
	for range 40 {
		a.say(b, "old")
		b.say(a, "old")
	}
	a.carry(b)
	b.carry(a)
	if err := b.Remove(t.Context(), a.Account()); err != nil {
		t.Fatal(err)
	}
	if got := b.texts(a); len(got) != 0 {
		t.Fatalf("%d messages are left", len(got))
	}
	join(t, a, b)
	a.hello(b)
	if a.WantsBundle(b.Account()) { // the old session is gone on the other side
		bundle, err := b.PersonalBundle(t.Context(), a.Device())
		if err != nil {
			t.Fatal(err)
		}
		if err := a.AcceptBundle(t.Context(), b.Account(), b.Device(), bundle); err != nil {
			t.Fatal(err)
		}
	}
	b.say(a, "new from b")
	b.carry(a)
	a.say(b, "new from a")
	a.carry(b)
	b.carry(a)
	views, err := b.Read(t.Context(), engine.Read{With: a.Account()})
	if err != nil || len(views) != 2 || views[0].Waiting || views[1].Waiting {
		t.Fatalf("%v, %+v", err, views)
	}
	if a.Queued() != 0 || b.Queued() != 0 {
		t.Fatal("left in an outbox:", a.Queued(), b.Queued())
	}
	for _, d := range []*device{a, b} {
		if r, err := d.Check(t.Context()); err != nil || len(r.Faults) != 0 {
			t.Fatalf("%v %+v", err, r)
		}
	}
}

// TestSessionPutBackAlone puts only the record of a session back to an older
// state, behind the engine's back. It is noticed at once: the version stands
// elsewhere too, and nothing more is sent in that session. Without that second
// record, as the control, nothing is noticed.
func TestSessionPutBackAlone(t *testing.T) {
	for _, control := range []bool{false, true} {
		a, b := newDevice(t, "ann"), newDevice(t, "bob")
		join(t, a, b)
		prefixes := []storage.Key{record.SessionFamily()}
		if control {
			prefixes = append(prefixes, storage.Key{record.FamilyChain})
		}
		old := map[string][]byte{}
		for _, p := range prefixes {
			if err := a.store.View(func(tx *storage.Tx) error {
				return tx.Scan(p, nil, false, func(k storage.Key, v []byte) (bool, error) { old[string(k)] = v; return true, nil })
			}); err != nil {
				t.Fatal(err)
			}
		}
		a.say(b, "later")
		a.carry(b)
		a.stop()
		if err := <-a.done; err != nil {
			t.Fatal(err)
		}
		if err := a.store.Update(func(tx *storage.Tx) error {
			for k, v := range old {
				if err := tx.Put(storage.Key(k), v); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		a.start()
		if n := len(a.Counters(b.Device())); (n == 0) == control {
			t.Errorf("control %v: %d sessions are taken for good", control, n)
		}
	}
}
