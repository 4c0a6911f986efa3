package stamp

import (
	"rushlight/protocol/suite"
)

// Weeks and lives of stamp keys (spec §11.2).
const (
	daysPerWeek = 7
	// weeksGood is for how many weeks, that of its making included, a stamp is
	// good: 113 to 119 days.
	weeksGood = 17
	// MaxLife is the longest life of a stamp in days.
	MaxLife = weeksGood * daysPerWeek
)

// Week is a week of stamps: those made in it have one key and one last day.
type Week uint16

// WeekOf returns the week of a day.
func WeekOf(day uint16) Week { return Week(day / daysPerWeek) }

// ExpDay is the last day on which stamps of the week are good.
func (w Week) ExpDay() uint16 {
	return uint16(min((int(w)+weeksGood)*daysPerWeek-1, 1<<16-1))
}

// DaysLeft is for how many days after a day a stamp is still good, as far as can
// be told from its key's name; below 0 it has expired, or was never good.
func (s *Stamp) DaysLeft(day uint16) int {
	week := WeekOf(day) + 1 // a relay's clock may be ahead
	week -= Week(uint8(week) - s[0])
	return int(week.ExpDay()) - int(day)
}

// keyID is the byte by which a stamp names its key.
func (w Week) keyID() uint8 { return uint8(w) }

// Keys are the stamp keys of one relay: one for each week whose stamps may
// still be good (spec §11.2). The zero value has none. It is not changed while
// it is used by several goroutines; who changes it makes a [Keys.Clone].
type Keys struct {
	weeks map[uint8]weekKey
}

type weekKey struct {
	week Week
	key  *suite.TokenKey
}

// Add takes in the random key of a week. Two weeks whose names are the same,
// 256 weeks apart, are not both alive; the newer one replaces the older.
func (k *Keys) Add(w Week, key [32]byte) {
	if k.weeks == nil {
		k.weeks = map[uint8]weekKey{}
	}
	if old, ok := k.weeks[w.keyID()]; !ok || old.week <= w {
		k.weeks[w.keyID()] = weekKey{w, suite.NewTokenKey(key, labelStamp, []byte{w.keyID()})}
	}
}

// Clone returns a copy that can be changed alone.
func (k *Keys) Clone() *Keys {
	out := new(Keys)
	for id, w := range k.weeks {
		if out.weeks == nil {
			out.weeks = map[uint8]weekKey{}
		}
		out.weeks[id] = w
	}
	return out
}

// Has reports whether the key of a week is there.
func (k *Keys) Has(w Week) bool {
	have, ok := k.weeks[w.keyID()]
	return ok && have.week == w
}

// Expire drops the keys whose stamps have all expired before today, and
// returns their weeks. Their stamps can't be told from noise any more.
func (k *Keys) Expire(today uint16) (gone []Week) {
	for id, w := range k.weeks {
		if w.week.ExpDay() < today {
			delete(k.weeks, id)
			gone = append(gone, w.week)
		}
	}
	return gone
}

// Mint makes the stamp of a ticket under the key of a week, whose last day the
// ticket must have. It reports false when there is no such key.
func (k *Keys) Mint(w Week, t Ticket) (s Stamp, ok bool) {
	have, found := k.weeks[w.keyID()]
	if !found || have.week != w || t.ExpDay != w.ExpDay() {
		return s, false
	}
	var plain [ticketSize]byte
	out := append(s[:0], w.keyID())
	have.key.Seal(out, t.marshal(plain[:0]))
	return s, true
}

// Open returns the ticket of a stamp, or [ErrInvalid]. Whether it is spent,
// expired or taken back is for the caller to look up (spec §11.3).
func (k *Keys) Open(s *Stamp) (Ticket, error) {
	have, found := k.weeks[s[0]]
	if !found {
		return Ticket{}, ErrInvalid
	}
	var plain [ticketSize]byte
	b, err := have.key.Open(plain[:0], s[1:])
	if err != nil {
		return Ticket{}, ErrInvalid
	}
	t, err := parseTicket(b)
	if err != nil || t.ExpDay != have.week.ExpDay() {
		return Ticket{}, ErrInvalid
	}
	return t, nil
}
