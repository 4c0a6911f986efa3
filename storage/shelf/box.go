package shelf

import (
	"rushlight/protocol/mailbox"
	"rushlight/protocol/stamp"
	"rushlight/protocol/wire"
)

// box is a mailbox as the writer holds it.
type box struct {
	handle uint64
	fixed
	hot
	live     uint64                 // bytes, of hot.days
	count    uint64                 // envelopes
	pruned   uint16                 // day up to which hot.days was pruned
	pages    map[uint32]*stamp.Page // those in use
	requests *lane                  // nil until it is needed

	rest         uint64   // when it was last used, in calls of Rest
	used         bool     // in this group
	changed      bool     // hot is to be written with this group
	changedPages []uint32 // and these pages
	unsaved      bool     // hot has a count that may wait
}

// fixed is what rarely changes.
type fixed struct {
	owner  [32]byte
	log    [16]byte
	quota  uint64
	lease  uint16 // last day
	serial uint32 // of the next stamp
	weeks  []weekStart
	lane   bool
	nonce  [16]byte // of the lane's address
	closed bool
	moved  []byte // what closed leaves behind
}

// weekStart is the first serial of a week in which stamps were made.
type weekStart struct {
	week   stamp.Week
	serial uint32
}

func (f *fixed) addr() [32]byte { return mailbox.LaneAddr(f.owner, f.nonce) }

func (f *fixed) marshal() []byte {
	w := wire.NewWriter(make([]byte, 0, 256)).U8(version).Raw(f.owner[:]).Raw(f.log[:]).U64(f.quota).U16(f.lease).
		U32(f.serial).Bool(f.lane).Raw(f.nonce[:]).Bool(f.closed).Vec16(f.moved)
	for _, s := range f.weeks {
		w.U16(uint16(s.week)).U32(s.serial)
	}
	return w.Out()
}

func parseFixed(b []byte) (f fixed, err error) {
	r := wire.NewReader(b)
	readVersion(r)
	f = fixed{
		owner: r.A32(), log: r.A16(), quota: r.U64(), lease: r.U16(), serial: r.U32(),
		lane: r.Bool(), nonce: r.A16(), closed: r.Bool(), moved: r.Vec16(mailbox.MaxMoved),
	}
	for r.Err() == nil && r.Len() > 0 {
		s := weekStart{stamp.Week(r.U16()), r.U32()}
		if n := len(f.weeks); n > 0 && s.week <= f.weeks[n-1].week {
			r.Fail("weeks out of order")
		}
		f.weeks = append(f.weeks, s)
	}
	if len(f.moved) == 0 {
		f.moved = nil
	}
	return f, readErr("mailbox", r)
}

// outstanding is how many serials there are whose stamps haven't expired.
func (f *fixed) outstanding(today uint16) uint32 {
	for _, s := range f.weeks {
		if s.week.ExpDay() >= today {
			return f.serial - s.serial
		}
	}
	return 0
}

// mint takes n serials of a week and returns the first.
func (f *fixed) mint(w stamp.Week, n uint32, today uint16) (first uint32) {
	for len(f.weeks) > 0 && f.weeks[0].week.ExpDay() < today {
		f.weeks = f.weeks[1:]
	}
	if k := len(f.weeks); k == 0 || f.weeks[k-1].week < w {
		f.weeks = append(f.weeks[:k:k], weekStart{w, f.serial})
	}
	first = f.serial
	f.serial += n
	return first
}

// hot is what each deposit changes.
type hot struct {
	next     uint64 // number of the next envelope
	overflow uint32
	lost     uint32 // requests displaced
	days     dayTable
}

func (h *hot) marshal() []byte {
	w := wire.NewWriter(make([]byte, 0, 64)).U8(version).U64(h.next).U32(h.overflow).U32(h.lost)
	h.days.write(w)
	return w.Out()
}

func parseHot(b []byte) (h hot, err error) {
	r := wire.NewReader(b)
	readVersion(r)
	h = hot{next: r.U64(), overflow: r.U32(), lost: r.U32(), days: readDays(r)}
	return h, readErr("counter", r)
}

// prune leaves out what has expired before today.
func (b *box) prune(today uint16) {
	if b.pruned == today {
		return
	}
	b.pruned = today
	b.days.prune(today)
	b.count, b.live = b.days.total()
}

// change adds to, or takes from, what ends with a day.
func (b *box) change(day uint16, count int, bytes int64) {
	b.days.add(day, count, bytes)
	b.count, b.live = b.days.total()
}
