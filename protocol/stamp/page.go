package stamp

import (
	"fmt"
	"math/bits"
	"slices"

	"rushlight/protocol/wire"
)

// Limits of the serials of one mailbox (spec §11.3).
const (
	// MaxOutstanding is how many serials whose stamps haven't expired a mailbox
	// may have.
	MaxOutstanding = 1 << 18
	// MaxLarge is with how many of them no more of class L are made.
	MaxLarge = MaxOutstanding / 4 * 3
	// PageSize is how many serials stand on one page.
	PageSize = 64
	// RetryDays is for how many days after it was spent a stamp may be shown
	// again with the same envelope.
	RetryDays = 2
)

// Page is what a relay keeps about 64 consecutive serials of a mailbox: one
// bit each, and which envelope a stamp was lately spent on, so that a retry
// can be told from a second use. The zero value is a page of unused serials.
type Page struct {
	void uint64 // bit i: serial i of the page is spent or taken back
	uses []use  // ascending by slot
}

// use is what one stamp was spent on.
type use struct {
	slot   uint8
	day    uint16 // when
	expDay uint16 // of the envelope
	object [8]byte
}

// PageOf splits a serial into the number of its page and its slot there.
func PageOf(serial uint32) (page uint32, slot uint8) {
	return serial / PageSize, uint8(serial % PageSize)
}

// Verdict is what a page says about a stamp and an envelope.
type Verdict uint8

// The verdicts.
const (
	Unused Verdict = iota // it may be spent
	Retry                 // it was spent on this very envelope
	Spent                 // it was spent on another one, or taken back
)

// Judge says what showing the stamp in a slot for an object means today; on
// Retry expDay is what the first deposit was told.
func (p *Page) Judge(slot uint8, object [16]byte, today uint16) (v Verdict, expDay uint16) {
	if p.void&(1<<slot) == 0 {
		return Unused, 0
	}
	i, ok := slices.BinarySearchFunc(p.uses, slot, bySlot)
	if ok && p.uses[i].object == [8]byte(object[:8]) && int(p.uses[i].day)+RetryDays >= int(today) {
		return Retry, p.uses[i].expDay
	}
	return Spent, 0
}

// Spend marks a slot as spent today on an object whose last day is expDay, and
// forgets uses that can't be retried any more.
func (p *Page) Spend(slot uint8, object [16]byte, today, expDay uint16) {
	p.void |= 1 << slot
	p.uses = slices.DeleteFunc(p.uses, func(u use) bool { return u.slot == slot || int(u.day)+RetryDays < int(today) })
	i, _ := slices.BinarySearchFunc(p.uses, slot, bySlot)
	p.uses = slices.Insert(p.uses, i, use{slot: slot, day: today, expDay: expDay, object: [8]byte(object[:8])})
}

// Revoke takes back the slots from one to another, both included, and returns
// how many of them were unused.
func (p *Page) Revoke(from, to uint8) int {
	if from > to || to >= PageSize {
		return 0
	}
	mask := (^uint64(0) >> (PageSize - 1 - (to - from))) << from
	n := bits.OnesCount64(mask &^ p.void)
	p.void |= mask
	return n
}

// Void returns how many of the page's serials are spent or taken back.
func (p *Page) Void() int { return bits.OnesCount64(p.void) }

// Clone returns a copy that can be changed alone.
func (p *Page) Clone() *Page { return &Page{void: p.void, uses: slices.Clone(p.uses)} }

func bySlot(u use, slot uint8) int { return int(u.slot) - int(slot) }

// Marshal encodes the page: void u64, then for each use, ascending by slot,
// slot u8 ‖ day u16 ‖ expDay u16 ‖ object[8].
func (p *Page) Marshal() []byte {
	w := wire.NewWriter(make([]byte, 0, 8+13*len(p.uses))).U64(p.void)
	for _, u := range p.uses {
		w.U8(u.slot).U16(u.day).U16(u.expDay).Raw(u.object[:])
	}
	return w.Out()
}

// ParsePage reverses [Page.Marshal].
func ParsePage(b []byte) (*Page, error) {
	r := wire.NewReader(b)
	p := &Page{void: r.U64()}
	last := -1
	for r.Err() == nil && r.Len() > 0 {
		u := use{slot: r.U8(), day: r.U16(), expDay: r.U16()}
		r.Fill(u.object[:])
		switch {
		case int(u.slot) <= last:
			r.Fail("slots out of order")
		case u.slot >= PageSize || p.void&(1<<u.slot) == 0:
			r.Fail("a use of no spent slot")
		}
		last = int(u.slot)
		p.uses = append(p.uses, u)
	}
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("stamp: page: %w", err)
	}
	return p, nil
}
