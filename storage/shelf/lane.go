package shelf

import (
	"math"
	"slices"

	"rushlight/protocol/wire"
)

// maxLane bounds how many requests a lane may hold, and laneMemory how many of
// the last two days it remembers, those included.
const (
	maxLane    = 256
	laneMemory = 512
)

// lane is the requests of a mailbox, in the order in which they came. Those
// that are gone are remembered for two days, so that their work isn't good
// twice.
type lane struct{ entries []laneEntry }

type laneEntry struct {
	seq    uint64
	effort uint32
	day    uint16
	expDay uint16
	size   uint32
	object [8]byte
	live   bool
}

func (l *lane) marshal() []byte {
	w := wire.NewWriter(nil).U8(version)
	for _, e := range l.entries {
		w.U64(e.seq).U32(e.effort).U16(e.day).U16(e.expDay).U32(e.size).Raw(e.object[:]).Bool(e.live)
	}
	return w.Out()
}

func parseLane(b []byte) (*lane, error) {
	r := wire.NewReader(b)
	readVersion(r)
	l := new(lane)
	for r.Err() == nil && r.Len() > 0 {
		e := laneEntry{seq: r.U64(), effort: r.U32(), day: r.U16(), expDay: r.U16(), size: r.U32()}
		r.Fill(e.object[:])
		e.live = r.Bool()
		if n := len(l.entries); n > 0 && e.seq <= l.entries[n-1].seq || n == laneMemory {
			r.Fail("requests out of order, or too many")
		}
		l.entries = append(l.entries, e)
	}
	return l, readErr("lane", r)
}

// prune forgets what has expired, or is gone and too old to come again: the
// day of a request's work is at most one away from the day on which it came.
func (l *lane) prune(today uint16) {
	l.entries = slices.DeleteFunc(l.entries, func(e laneEntry) bool {
		return e.expDay < today || !e.live && int(e.day)+2 < int(today)
	})
	for i := 0; len(l.entries) >= laneMemory && i < len(l.entries); {
		if l.entries[i].live {
			i++
		} else {
			l.entries = slices.Delete(l.entries, i, i+1)
		}
	}
}

func (l *lane) live() (n int) {
	for _, e := range l.entries {
		if e.live {
			n++
		}
	}
	return n
}

// find returns what is known of an object.
func (l *lane) find(object [16]byte) *laneEntry {
	for i := range l.entries {
		if l.entries[i].object == [8]byte(object[:8]) {
			return &l.entries[i]
		}
	}
	return nil
}

// least is the live request with the least effort; of several, the newest.
func (l *lane) least() *laneEntry {
	var out *laneEntry
	for i := range l.entries {
		if e := &l.entries[i]; e.live && (out == nil || e.effort <= out.effort) {
			out = e
		}
	}
	return out
}

// gone marks what a trim has deleted.
func (l *lane) gone(seq uint64) {
	for i := range l.entries {
		if l.entries[i].seq == seq {
			l.entries[i].live = false
		}
	}
}

// above is the effort that displaces another.
func above(effort uint32) uint32 {
	if effort == math.MaxUint32 {
		return effort
	}
	return effort + 1
}
