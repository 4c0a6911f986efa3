package envelope

import (
	"errors"
	"fmt"
	"iter"

	"rushlight/protocol/wire"
)

// Limits of a [Window], in indexes (spec §7.3).
const (
	MinAhead  = 32      // smallest look-ahead
	MaxAhead  = 1024    // largest look-ahead
	MaxGap    = 1024    // how long a missing index is waited for
	MaxSearch = 1 << 16 // how far beyond the window a tag is searched
	calm      = 256     // indexes received in order before the look-ahead halves
)

// MaxWindowSize bounds the length of a marshalled [Window].
const MaxWindowSize = 1 + 8 + 8 + 32 + 2 + 32 + 2 + 2 + 32 + MaxGap/8

var (
	// ErrReceived: the index was received before. The envelope is a duplicate.
	ErrReceived = errors.New("envelope: index already received")
	// ErrGone: the index is so old that its key is forgotten.
	ErrGone = errors.New("envelope: index no longer awaited")
	// ErrFar: the index lies beyond what is searched.
	ErrFar = errors.New("envelope: index too far ahead")
)

// Slot is an index that is awaited, with its key.
type Slot struct {
	Index uint64
	MK    [32]byte
}

// Window is the receiving side of a delivery chain: it knows which indexes
// were received, keeps the keys of those still missing, and looks ahead far
// enough to know the tags of what may come next (spec §7.3).
//
// Three chain keys are held: at the oldest missing index, behind the newest
// received one, and behind the look-ahead; so receiving in order takes a
// handful of HMACs whatever is missing.
type Window struct {
	id     [8]byte
	base   uint64 // oldest index still awaited
	baseCK [32]byte
	high   uint64 // 1 + newest received index, base when nothing newer was
	highCK [32]byte
	end    uint64 // 1 + newest index looked ahead to
	endCK  [32]byte
	ahead  uint64           // look-ahead beyond high
	seen   [MaxGap / 8]byte // bit i: index base+i was received, i < high-base
}

// NewWindow follows the chain of a device from its seed.
func NewWindow(seed [32]byte, dev [16]byte) *Window { return newWindow(NewChain(seed, dev)) }

// OpenWindow follows a chain from what its sender gave out with
// [Chain.Marshal].
func OpenWindow(chain []byte) (*Window, error) {
	c, err := ParseChain(chain)
	if err != nil {
		return nil, fmt.Errorf("opening a delivery window: %w", err)
	}
	return newWindow(c), nil
}

func newWindow(c *Chain) *Window {
	return &Window{
		id:   c.id,
		base: c.index, baseCK: c.ck,
		high: c.index, highCK: c.ck,
		end: c.index + MinAhead, endCK: walk(c.ck, MinAhead),
		ahead: MinAhead,
	}
}

// Follows reports whether the window already follows the chain that b, from
// [Chain.Marshal], belongs to.
func (w *Window) Follows(b []byte) bool {
	c, err := ParseChain(b)
	return err == nil && c.id == w.id
}

// Base is the oldest index still awaited. Tags of smaller ones may be dropped
// from an index of tags.
func (w *Window) Base() uint64 { return w.base }

// End is 1 + the newest index whose tag is known.
func (w *Window) End() uint64 { return w.end }

func (w *Window) has(i uint64) bool {
	return i >= w.base && i < w.high && w.seen[(i-w.base)/8]>>((i-w.base)%8)&1 == 1
}

// Slots yields every awaited index with its key, oldest first: two HMACs each.
func (w *Window) Slots() iter.Seq[Slot] {
	return func(yield func(Slot) bool) {
		ck := w.baseCK
		for i := w.base; i < w.end; i++ {
			if !w.has(i) && !yield(Slot{i, messageKey(ck)}) {
				return
			}
			ck = nextKey(ck)
		}
	}
}

// Tags yields every awaited index with its tag at a relay.
func (w *Window) Tags(relay [32]byte) iter.Seq2[uint64, [16]byte] {
	return func(yield func(uint64, [16]byte) bool) {
		for s := range w.Slots() {
			if !yield(s.Index, TagFor(s.MK, relay)) {
				return
			}
		}
	}
}

// Key returns the key of an awaited index, up to [MaxSearch] beyond the window.
// The window is unchanged. Errors: [ErrReceived], [ErrGone], [ErrFar].
func (w *Window) Key(index uint64) (mk [32]byte, err error) {
	if err := w.awaited(index); err != nil {
		return mk, err
	}
	return messageKey(w.chainKey(index)), nil
}

func (w *Window) awaited(index uint64) error {
	switch {
	case index < w.base:
		return ErrGone
	case w.has(index):
		return ErrReceived
	case index >= w.end && index-w.end >= MaxSearch || index >= maxIndex:
		return ErrFar
	}
	return nil
}

// chainKey walks from the nearest held key at or before index.
func (w *Window) chainKey(index uint64) [32]byte {
	switch {
	case index >= w.end:
		return walk(w.endCK, index-w.end)
	case index >= w.high:
		return walk(w.highCK, index-w.high)
	}
	return walk(w.baseCK, index-w.base)
}

// SearchTag looks for an unknown tag beyond the window, at most steps indexes
// far and never more than [MaxSearch]: three HMACs a step. The window is
// unchanged; pass the index to [Window.Key] and [Window.Received].
func (w *Window) SearchTag(tag [16]byte, relay [32]byte, steps int) (index uint64, ok bool) {
	for s := range w.Beyond(steps) {
		if TagFor(s.MK, relay) == tag {
			return s.Index, true
		}
	}
	return 0, false
}

// Beyond yields the indexes behind the window, at most steps: two HMACs each.
func (w *Window) Beyond(steps int) iter.Seq[Slot] {
	return func(yield func(Slot) bool) {
		ck := w.endCK
		for i := range uint64(max(0, min(steps, MaxSearch))) {
			if !yield(Slot{w.end + i, messageKey(ck)}) {
				return
			}
			ck = nextKey(ck)
		}
	}
}

// Received marks an index and returns the indexes that thereby came into view,
// for an index of tags. Whatever is more than [MaxGap] older is given up. The
// errors are those of [Window.Key], and leave the window as it was.
func (w *Window) Received(index uint64) (entered []Slot, err error) {
	if err := w.awaited(index); err != nil {
		return nil, err
	}
	if index >= w.high {
		w.grow(index)
		ck := nextKey(w.chainKey(index))
		if index >= w.base+MaxGap {
			w.giveUp(index - (w.base + MaxGap) + 1)
		}
		w.high, w.highCK = index+1, ck
	}
	w.seen[(index-w.base)/8] |= 1 << ((index - w.base) % 8)
	w.advance()
	return w.lookAhead(), nil
}

// grow adapts the look-ahead to how far ahead of the newest an index came.
func (w *Window) grow(index uint64) {
	d := index - w.high
	switch {
	case d >= w.ahead/2:
		for w.ahead < MaxAhead && w.ahead <= 2*d {
			w.ahead *= 2
		}
	case index%calm == 0 && w.ahead > MinAhead:
		w.ahead /= 2
	}
}

// giveUp moves the base n indexes forward, whatever is missing.
func (w *Window) giveUp(n uint64) {
	w.baseCK = w.chainKey(w.base + n)
	w.shift(n)
	w.base += n
	if w.high < w.base {
		w.high, w.highCK = w.base, w.baseCK
	}
	if w.end < w.base {
		w.end, w.endCK = w.base, w.baseCK
	}
}

// advance moves the base over what was received without a gap.
func (w *Window) advance() {
	n := uint64(0)
	for w.has(w.base + n) {
		n++
	}
	if n == 0 {
		return
	}
	if w.base+n == w.high {
		w.baseCK = w.highCK
	} else {
		w.baseCK = walk(w.baseCK, n)
	}
	w.shift(n)
	w.base += n
}

// shift drops the first n bits of seen.
func (w *Window) shift(n uint64) {
	if n >= MaxGap {
		w.seen = [MaxGap / 8]byte{}
		return
	}
	by, bits := int(n/8), n%8
	for i := range w.seen {
		var lo, hi byte
		if i+by < len(w.seen) {
			lo = w.seen[i+by]
		}
		if i+by+1 < len(w.seen) {
			hi = w.seen[i+by+1]
		}
		w.seen[i] = lo>>bits | byte(uint16(hi)<<(8-bits))
	}
}

// lookAhead moves the end to what high and the look-ahead ask for.
func (w *Window) lookAhead() (entered []Slot) {
	for ; w.end < w.high+w.ahead; w.end++ {
		if !w.has(w.end) {
			entered = append(entered, Slot{w.end, messageKey(w.endCK)})
		}
		w.endCK = nextKey(w.endCK)
	}
	return entered
}

// Marshal encodes the window in at most [MaxWindowSize] bytes (spec §7.3).
func (w *Window) Marshal() []byte {
	n := (w.high - w.base + 7) / 8
	return wire.NewWriter(make([]byte, 0, MaxWindowSize)).
		U8(1).Raw(w.id[:]).
		U64(w.base).Raw(w.baseCK[:]).
		U16(uint16(w.high - w.base)).Raw(w.highCK[:]).
		U16(uint16(w.ahead)).
		U16(uint16(w.end - w.high)).Raw(w.endCK[:]).
		Raw(w.seen[:n]).Out()
}

// ParseWindow reverses [Window.Marshal].
func ParseWindow(b []byte) (*Window, error) {
	r := wire.NewReader(b)
	w := &Window{}
	if r.U8() != 1 {
		r.Fail("unknown version")
	}
	r.Fill(w.id[:])
	w.base, w.baseCK = r.U64(), r.A32()
	span := uint64(r.U16())
	w.highCK = r.A32()
	w.ahead = uint64(r.U16())
	look := uint64(r.U16())
	w.endCK = r.A32()
	if span > MaxGap {
		r.Fail("gap over its limit")
		span = 0
	}
	r.Fill(w.seen[:(span+7)/8])
	w.high = w.base + span
	w.end = w.high + look
	first, last := w.seen[0]&1 == 1, span > 0 && w.seen[(span-1)/8]>>((span-1)%8)&1 == 1
	beyond := span%8 != 0 && w.seen[span/8]>>(span%8) != 0
	switch {
	case w.base > maxIndex:
		r.Fail("window index over its limit")
	case w.ahead < MinAhead || w.ahead > MaxAhead || w.ahead&(w.ahead-1) != 0:
		r.Fail("bad look-ahead")
	case look < w.ahead || look > MaxAhead:
		r.Fail("bad end of window")
	case span == 0 && w.baseCK != w.highCK:
		r.Fail("two keys for one index")
	case first || beyond || last != (span > 0):
		r.Fail("bad set of received indexes")
	}
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("reading a delivery window: %w", err)
	}
	return w, nil
}
