package shelf

import (
	"sync/atomic"

	"rushlight/storage/keyfile/wheel"
)

// stats are counted as they happen.
type stats struct {
	mailboxes, envelopes, live atomic.Int64
	deposits, bytesIn, commits atomic.Int64
	refused, displaced, busy   atomic.Int64
	fetched, bytesOut, damaged atomic.Int64
	erased, unsent             atomic.Int64
}

// Stats say how the shelf stands. Counts are since it was opened.
type Stats struct {
	Mailboxes int64
	Envelopes int64 // live
	Live      int64 // bytes of these
	Capacity  int64 // bytes that may be live; 0 is unlimited
	Disk      int64 // bytes of the directory
	DiskCap   int64
	Room      bool // whether anything can be stored

	Deposits  int64
	BytesIn   int64
	Commits   int64
	Refused   int64 // for want of room
	Displaced int64 // requests, by others with more work
	Busy      int64 // jobs that the queue had no room for
	Fetched   int64
	BytesOut  int64
	Damaged   int64 // records that could not be read
	Erased    int64 // days
	Unsent    int64 // envelopes that their senders took back

	Level wheel.Assurance
}

// Stats returns how the shelf stands.
func (s *Shelf) Stats() Stats {
	out := Stats{
		Mailboxes: s.stats.mailboxes.Load(), Envelopes: s.stats.envelopes.Load(), Live: s.stats.live.Load(),
		Disk: s.space.disk(), DiskCap: s.o.DiskCap, Room: s.space.check() == nil,
		Deposits: s.stats.deposits.Load(), BytesIn: s.stats.bytesIn.Load(), Commits: s.stats.commits.Load(),
		Refused: s.stats.refused.Load(), Displaced: s.stats.displaced.Load(), Busy: s.stats.busy.Load(),
		Fetched: s.stats.fetched.Load(), BytesOut: s.stats.bytesOut.Load(), Damaged: s.stats.damaged.Load(),
		Erased: s.stats.erased.Load(), Unsent: s.stats.unsent.Load(), Level: s.Level(),
	}
	if s.o.DiskCap > 0 {
		out.Capacity = int64(s.o.capacity())
	}
	return out
}
