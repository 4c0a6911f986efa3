package engine

import (
	"slices"

	"rushlight/protocol/stamp"
	"rushlight/storage/record"
)

// A stamp shows by the name of its key until when it is good (spec §11.2, §12.8).
const (
	poolDays = 35 // that a stamp must have left to be handed out: none is, 12 weeks after it was made
	lowDays  = 14 // stamps that have fewer left aren't counted when more are asked for
)

func (t *txn) day() uint16 { return uint16(max(0, t.now.Unix()/86400)) }

// dropOver drops the stamps of a contact that are no longer good.
func (t *txn) dropOver(p *record.Places) {
	for i := range p.Relays {
		for class, all := range p.Relays[i].Stamps {
			p.Relays[i].Stamps[class] = slices.DeleteFunc(all, func(s stamp.Stamp) bool { return s.DaysLeft(t.day()) < 0 })
		}
	}
}

// lasting is how many of some stamps are good for a while.
func (t *txn) lasting(all []stamp.Stamp) (n int) {
	for _, s := range all {
		if s.DaysLeft(t.day()) >= lowDays {
			n++
		}
	}
	return n
}

// aging reports whether a contact's stamps are about to end, and few others
// are there: it is asked for more while there are some to ask with.
func (t *txn) aging(p *record.Places) bool {
	for _, r := range p.Relays {
		for class, all := range r.Stamps {
			if n := t.lasting(all); n < len(all) && n < int(firstStamps[class]/2) {
				return true
			}
		}
	}
	return false
}
