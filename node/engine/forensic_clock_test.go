package engine_test

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// moment is a message with a timer on a device, and the key it is under.
type moment struct {
	*device
	from *device
	id   message.ID
	key  storage.Key
	leaf storage.Leaf
}

const momentText = "not for ever"

// newMoment makes two devices and a message that lives for a while on one.
func newMoment(t *testing.T, dir string, life time.Duration) *moment {
	t.Helper()
	m := &moment{device: quiet(t, dir, "ann", false), from: quiet(t, t.TempDir(), "bob", false)}
	join(t, m.from, m.device)
	out, err := m.from.Send(t.Context(), engine.Send{To: m.Account(), Text: momentText, Life: message.Lifetime{Expiry: life}})
	must(t, err)
	m.id = out.ID
	m.from.carry(m.device)
	must(t, m.store.View(func(tx *storage.Tx) error {
		b, err := tx.Get(record.IndexKey(m.id))
		must(t, err)
		x, err := record.ParseIndex(b)
		must(t, err)
		m.key = x.Key
		m.leaf, _, err = tx.LeafOf(x.Key)
		return err
	}))
	m.is(t, shown)
	return m
}

// What a person and an attacker can see of it.
type visibility int

const (
	shown visibility = iota
	hidden
	destroyed
)

func (v visibility) String() string { return [...]string{"shown", "hidden", "destroyed"}[v] }

// is checks what has become of the message, when all that is due is done.
func (m *moment) is(t *testing.T, want visibility) {
	t.Helper()
	synctest.Wait()
	got := hidden
	if slices.Contains(m.texts(m.from), momentText) {
		got = shown
	}
	probe := errors.New("only asked")
	switch err := m.store.Update(func(tx *storage.Tx) error {
		if err := tx.PutUnder(m.key, nil, time.Time{}, m.leaf); err != nil {
			return err
		}
		return probe
	}); {
	case errors.Is(err, storage.ErrErased):
		if got == shown {
			t.Fatal("shown without a key")
		}
		got = destroyed
	case !errors.Is(err, probe):
		t.Fatal(err)
	}
	if got != want {
		t.Fatalf("the message is %v, not %v", got, want)
	}
}

// away closes the device for a while.
func (m *moment) away(d time.Duration) {
	m.close()
	time.Sleep(d)
	m.openQuiet()
	m.start()
}

func (d *device) openQuiet() {
	d.t.Helper()
	none := 0
	s, err := storage.Open(storage.Options{Dir: d.dir, Root: d.root, Ballast: -1, MinFree: -1, Compactors: &none})
	must(d.t, err)
	d.store = s
}

// settled waits until a bucket has ended whose last message has.
const settled = 20 * time.Minute

func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// While the clock goes as it should, a message is destroyed at its deadline.
func TestClock(t *testing.T) {
	bubble(t, "control", func(t *testing.T) {
		m := newMoment(t, t.TempDir(), time.Hour)
		time.Sleep(time.Hour - time.Minute)
		m.is(t, shown)
		time.Sleep(time.Minute)
		time.Sleep(settled)
		m.is(t, destroyed)
		if m.ClockInDoubt() {
			t.Error("in doubt")
		}
	})
}

// The clock jumps ahead: what has expired by it is hidden, and destroyed when
// somebody has confirmed the time, and not before, whatever happens meanwhile.
func TestClockJumps(t *testing.T) {
	jumped := func(t *testing.T) *moment {
		t.Helper()
		m := newMoment(t, t.TempDir(), time.Hour)
		synctest.Wait()
		m.JumpClock(25 * time.Hour)
		time.Sleep(time.Hour)
		time.Sleep(settled)
		m.is(t, hidden)
		if !m.ClockInDoubt() {
			t.Fatal("not in doubt")
		}
		return m
	}
	bubble(t, "the person confirms", func(t *testing.T) {
		m := jumped(t)
		must(t, m.ConfirmClock(t.Context()))
		m.is(t, destroyed)
	})
	bubble(t, "a contact's clock agrees", func(t *testing.T) {
		m := jumped(t)
		m.from.say(m.device, "what time is it?")
		m.from.carry(m.device)
		m.is(t, destroyed)
	})
	bubble(t, "a contact's clock agrees when they meet", func(t *testing.T) {
		m := jumped(t)
		must(t, m.PeerClock(t.Context(), m.from.Device(), m.Clock().Add(-25*time.Hour)))
		m.is(t, hidden)
		must(t, m.PeerClock(t.Context(), m.from.Device(), m.Clock().Add(-time.Minute)))
		m.is(t, destroyed)
	})
	bubble(t, "the clock of somebody who isn't a contact yet, or is blocked", func(t *testing.T) {
		m := jumped(t)
		asks := quiet(t, t.TempDir(), "cid", false)
		link, _, err := m.CreateInvite(t.Context(), engine.InviteOptions{Uses: 1, Life: time.Hour, NeedsApproval: true})
		must(t, err)
		accept(t, m.device, asks, link)
		for _, f := range asks.flying(m.device) {
			f.arrive()
		}
		if c := m.Contact(asks.Account()); c == nil || c.State != record.ContactPending {
			t.Fatalf("control: %+v", c)
		}
		must(t, m.PeerClock(t.Context(), asks.Device(), m.Clock()))
		m.is(t, hidden)
		must(t, m.Block(t.Context(), m.from.Account()))
		must(t, m.PeerClock(t.Context(), m.from.Device(), m.Clock()))
		m.is(t, hidden)
	})
	bubble(t, "a contact's clock doesn't", func(t *testing.T) {
		m := newMoment(t, t.TempDir(), time.Hour)
		m.JumpClock(25 * time.Hour)
		m.from.say(m.device, "written long before it came")
		time.Sleep(time.Hour)
		time.Sleep(settled)
		m.from.bring(m.device)
		m.is(t, hidden)
		time.Sleep(26 * time.Hour)
		m.is(t, hidden)
	})
	bubble(t, "by less than a day", func(t *testing.T) {
		m := newMoment(t, t.TempDir(), time.Hour)
		m.JumpClock(23 * time.Hour)
		time.Sleep(time.Hour)
		time.Sleep(settled)
		m.is(t, destroyed)
	})
	bubble(t, "and the program starts again", func(t *testing.T) {
		m := jumped(t)
		m.say(m.from, "so that the time is written down")
		for range 2 {
			m.away(time.Minute)
			m.is(t, hidden)
			if !m.ClockInDoubt() {
				t.Fatal("starting again ends the doubt")
			}
		}
		must(t, m.ConfirmClock(t.Context()))
		m.is(t, destroyed)
		m.away(time.Minute)
		if m.ClockInDoubt() {
			t.Fatal("in doubt after it was confirmed")
		}
	})
	bubble(t, "just before the program ends", func(t *testing.T) {
		m := newMoment(t, t.TempDir(), time.Hour)
		time.Sleep(2 * time.Minute)
		m.JumpClock(25 * time.Hour)
		m.say(m.from, "so that the time is written down")
		m.away(2 * time.Hour)
		m.is(t, hidden)
	})
}

// The device was off past a deadline.
func TestClockWhileOff(t *testing.T) {
	for _, c := range []struct {
		name    string
		off     time.Duration
		confirm func(t *testing.T, m *moment)
	}{
		{"for hours", 23 * time.Hour, nil},
		{"for days, then the person confirms", 30 * time.Hour, func(t *testing.T, m *moment) { must(t, m.ConfirmClock(t.Context())) }},
		{"for days, then a contact writes", 30 * time.Hour, func(t *testing.T, m *moment) {
			m.from.say(m.device, "are you back?")
			m.from.carry(m.device)
		}},
	} {
		bubble(t, c.name, func(t *testing.T) {
			m := newMoment(t, t.TempDir(), time.Hour)
			m.close()
			time.Sleep(c.off)
			m.openQuiet()
			// Nobody sees it even before the engine runs.
			must(t, m.store.View(func(tx *storage.Tx) error {
				if _, err := tx.Get(m.key); !errors.Is(err, storage.ErrNotFound) {
					t.Errorf("it can be read: %v", err)
				}
				return nil
			}))
			m.start()
			if c.confirm != nil {
				m.is(t, hidden)
				m.away(time.Minute) // and starting again changes nothing
				time.Sleep(time.Hour)
				m.is(t, hidden)
				c.confirm(t, m)
			}
			m.is(t, destroyed)
		})
	}
}

// The clock is set back by weeks: what was hidden stays hidden, also after
// starting again, until the person says that this time is right.
func TestClockSetBack(t *testing.T) {
	if testing.Short() {
		t.Skip("lives through weeks")
	}
	dir, day := filepath.Join(t.TempDir(), "ann"), 24*time.Hour
	var m *moment
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(21 * day)
		m = newMoment(t, dir, 7*day)
		m.say(m.from, "kept")
		// Off past the deadline, so that it is hidden and not destroyed.
		m.away(9 * day)
		m.is(t, hidden)
		m.say(m.from, "kept too")
	})
	// Time starts again at the beginning of the first bubble.
	synctest.Test(t, func(t *testing.T) {
		m := &moment{device: &device{t: t, dir: dir, root: [32]byte{1}}, from: m.from, id: m.id, key: m.key, leaf: m.leaf}
		m.openQuiet()
		m.start()
		t.Cleanup(m.close)
		m.is(t, hidden)
		time.Sleep(day)
		m.is(t, hidden)
		m.away(time.Hour)
		m.is(t, hidden)
		if got := m.texts(m.from); len(got) != 2 {
			t.Errorf("what is kept isn't shown: %q", got)
		}
		// The control: only the clock hid it.
		must(t, m.ConfirmClock(t.Context()))
		m.is(t, shown)
		time.Sleep(8 * day)
		time.Sleep(27 * day)
		m.is(t, destroyed)
	})
}
