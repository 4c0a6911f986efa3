package engine

import (
	"time"

	"golang.org/x/time/rate"

	"rushlight/protocol/envelope"
	"rushlight/protocol/identity"
	"rushlight/storage"
	"rushlight/storage/record"
)

// tagIndex finds out whose an envelope is by its tag. It lives in memory, is
// built from the windows at the start, and belongs to the loop. A tag in it
// for which the transaction was then dropped does no harm: it is a tag that
// will come.
type tagIndex struct {
	awaited map[[16]byte]place
	seen    map[[16]byte]place // received: to be acknowledged again
	order   [][16]byte         // of seen, oldest first
	search  map[identity.DeviceID]*rate.Limiter
	relays  [][32]byte        // at which mail may come, besides a direct stream
	quiet   map[[16]byte]bool // tags of what is not acknowledged when it comes again
	behind  map[[32]byte]bool // relays for which what came before the start was looked up
	steps   *rate.Limiter     // of searches beyond the windows
	further storage.Key       // the window with which the next search begins
}

// A search for a tag that is not in the index costs milliseconds. It finds what
// came before a restart, or lies far ahead; a contact that sends tags of its
// own invention gets no more of them.
const (
	searchRate  = 2 // a second, for one device
	searchBurst = 20
)

// maySearch reports whether a device's unknown tag is worth a search now.
func (x *tagIndex) maySearch(d identity.DeviceID, now time.Time) bool {
	l := x.search[d]
	if l == nil {
		l = rate.NewLimiter(searchRate, searchBurst)
		x.search[d] = l
	}
	return l.AllowN(now, 1)
}

// place is one index of one delivery chain. direct is its tag on a direct
// stream, which acknowledgements are about.
type place struct {
	device  identity.DeviceID
	session [16]byte
	index   uint64
	direct  [16]byte
}

// maxSeen bounds how many received tags are remembered in memory.
const maxSeen = 1 << 14

func (x *tagIndex) init() {
	x.awaited = map[[16]byte]place{}
	x.seen = map[[16]byte]place{}
	x.search = map[identity.DeviceID]*rate.Limiter{}
	x.behind = map[[32]byte]bool{}
	x.quiet = map[[16]byte]bool{}
	x.steps = rate.NewLimiter(stepRate, stepBurst)
}

func (x *tagIndex) addWindow(d identity.DeviceID, session [16]byte, w *envelope.Window) {
	for s := range w.Slots() {
		x.addSlot(d, session, s)
	}
}

func (x *tagIndex) addSlots(d identity.DeviceID, session [16]byte, slots []envelope.Slot) {
	for _, s := range slots {
		x.addSlot(d, session, s)
	}
}

// addSlot awaits an index on direct streams and at every relay.
func (x *tagIndex) addSlot(d identity.DeviceID, session [16]byte, s envelope.Slot) {
	p := place{d, session, s.Index, envelope.TagFor(s.MK, envelope.Direct)}
	x.awaited[p.direct] = p
	for _, r := range x.relays {
		x.awaited[envelope.TagFor(s.MK, r)] = p
	}
}

// received moves a tag from the awaited to the seen.
func (x *tagIndex) received(tag [16]byte, p place) {
	if _, ok := x.seen[tag]; ok {
		return
	}
	x.seen[tag] = p
	x.order = append(x.order, tag)
	if len(x.order) > maxSeen {
		for _, old := range x.order[:maxSeen/2] {
			delete(x.seen, old)
			delete(x.awaited, old)
		}
		x.order = append([][16]byte(nil), x.order[maxSeen/2:]...)
	}
}

// locate finds the place of a tag, first among what is awaited, then among
// what came before. A device of which nothing was looked back yet is walked
// back as far as its window remembers.
func (t *txn) locate(tag [16]byte, from identity.DeviceID) (place, bool, error) {
	x := &t.e.tags
	if p, ok := x.awaited[tag]; ok {
		return p, true, nil
	}
	if p, ok := x.seen[tag]; ok {
		return p, true, nil
	}
	if from == (identity.DeviceID{}) {
		return place{}, false, nil
	}
	w, err := t.window(from)
	if err != nil || w == nil || !x.maySearch(from, t.now) {
		return place{}, false, err
	}
	for i, c := range w.chains {
		behind, err := envelope.ParseChain(w.Chains[i].Behind)
		if err != nil {
			return place{}, false, err
		}
		for behind.Index() < c.End() {
			index, mk := behind.Next()
			if direct := envelope.TagFor(mk, envelope.Direct); x.awaited[direct] == (place{}) {
				x.received(direct, place{from, w.Chains[i].Session, index, direct})
			}
		}
		// What is awaited may lie further ahead than the window shows.
		if index, ok := c.SearchTag(tag, envelope.Direct, envelope.MaxAhead); ok {
			return place{from, w.Chains[i].Session, index, tag}, true, nil
		}
	}
	p, ok := x.seen[tag]
	return p, ok, nil
}

// markReceived moves the window of a place on and keeps enough behind to
// recognise what comes again.
func (t *txn) markReceived(w *window, i int, tag [16]byte, p place) error {
	lost := t.givenUp(w, i, p.index)
	entered, err := w.chains[i].Received(p.index)
	if err != nil {
		return err
	}
	w.dirty, t.wrote = true, true
	t.e.tags.addSlots(p.device, p.session, entered)
	t.e.tags.received(tag, p)
	rec := &w.Chains[i]
	behind, err := envelope.ParseChain(rec.Behind)
	if err != nil {
		return err
	}
	if base := w.chains[i].Base(); lost {
		for behind.Index() < base {
			behind.Next()
		}
		rec.Behind = behind.Marshal()
	}
	const lag = envelope.MaxGap
	if base := w.chains[i].Base(); base > behind.Index()+2*lag {
		for behind.Index() < base-lag {
			behind.Next()
		}
		rec.Behind = behind.Marshal()
	}
	return nil
}

// givenUp makes the index forget what a window gives up when an index arrives:
// it was never received, and must not be acknowledged if it comes after all.
// It reports whether there is any.
func (t *txn) givenUp(w *window, i int, index uint64) (any bool) {
	if index < w.chains[i].Base()+envelope.MaxGap {
		return false
	}
	x := &t.e.tags
	for s := range w.chains[i].Slots() {
		if s.Index > index-envelope.MaxGap {
			break
		}
		any = true
		for _, r := range append([][32]byte{envelope.Direct}, x.relays...) {
			tag := envelope.TagFor(s.MK, r)
			delete(x.awaited, tag)
			delete(x.seen, tag)
		}
	}
	return any
}

// loadTags fills the index from the store.
func (e *Engine) loadTags(tx *storage.Tx) error {
	e.tags.init()
	if err := e.loadRelays(tx); err != nil {
		return err
	}
	return e.awaitAll(tx)
}

// awaitAll adds everything that is awaited to the index.
func (e *Engine) awaitAll(tx *storage.Tx) error {
	return tx.Scan(record.WindowPrefix(), nil, false, func(_ storage.Key, v []byte) (bool, error) {
		rec, err := record.ParseWindow(v)
		if err != nil {
			return false, err
		}
		for _, c := range rec.Chains {
			w, err := envelope.ParseWindow(c.State)
			if err != nil {
				return false, err
			}
			e.tags.addWindow(rec.Device, c.Session, w)
		}
		return true, nil
	})
}
