package wheel

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"

	"rushlight/protocol/suite"
)

const (
	// packsKept is how many packs there may be; the live segments of the
	// smallest are written again when there are more.
	packsKept = 12
	// A pack over sparseSize of which less than a quarter is live is
	// written again too.
	sparseSize = 64 << 10
)

// Ref names a leaf.
type Ref struct{ Bucket, Leaf uint32 }

// Forget is what one commit destroys. What isn't there is destroyed already.
type Forget struct {
	Leaves        []Ref
	Buckets       []uint32
	Conversations [][16]byte
}

// Commit destroys keys. When it returns nil they are erased, from memory and
// from the disk, as far as [Wheel.Level] says. After an error it isn't known
// which are, but all or none of them will be found by the next Open.
func (w *Wheel) Commit(f Forget) error {
	w.writer.Lock()
	defer w.writer.Unlock()
	for _, r := range f.Leaves {
		if r.Leaf >= Leaves {
			return errors.New("wheel: no such leaf")
		}
	}
	changed, err := w.forget(f)
	if err != nil || !changed {
		return err
	}
	return w.commit(nil, nil)
}

// forget destroys in memory.
func (w *Wheel) forget(f Forget) (changed bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return false, w.err
	}
	w.forgetLast()
	for _, id := range f.Buckets {
		if b := w.buckets[id]; b != nil {
			b.wipe()
			delete(w.buckets, id)
			changed = true
		}
	}
	for _, c := range f.Conversations {
		if key := w.convs[c]; key != nil {
			clear(key[:])
			delete(w.convs, c)
			changed = true
		}
	}
	for _, r := range f.Leaves {
		if b := w.buckets[r.Bucket]; b != nil && b.tree.puncture(r.Leaf) {
			b.dirty, changed = true, true
		}
	}
	return changed, nil
}

// Ensure makes the buckets that don't live, and returns when they are durable.
// Records may be put under their keys after that. It costs nothing when all
// are there; the fewer calls make new ones, the better. A bucket made again has
// other keys than the one that was forgotten.
func (w *Wheel) Ensure(buckets ...uint32) error {
	if !w.lacks(buckets, nil) {
		return nil
	}
	w.writer.Lock()
	defer w.writer.Unlock()
	fresh, add := make(shares), map[uint32]*bucket{}
	w.mu.RLock()
	err := w.err
	for _, id := range buckets {
		if w.buckets[id] == nil && add[id] == nil {
			fresh[id] = newShare()
			add[id] = &bucket{entry: entry{id: id}, tree: newTree(), share: fresh[id], dirty: true}
		}
	}
	w.mu.RUnlock()
	if err != nil || len(add) == 0 {
		return err
	}
	if err := w.addShares(fresh); err != nil {
		return w.poison(err)
	}
	return w.commit(add, nil)
}

// EnsureConversations makes keys for the conversations that have none, and
// returns when they are durable. A conversation made again has another key
// than the one that was forgotten.
func (w *Wheel) EnsureConversations(convs ...[16]byte) error {
	if !w.lacks(nil, convs) {
		return nil
	}
	w.writer.Lock()
	defer w.writer.Unlock()
	add := map[[16]byte]*[32]byte{}
	w.mu.RLock()
	err := w.err
	for _, c := range convs {
		if c != [16]byte{} && w.convs[c] == nil && add[c] == nil {
			add[c] = new([32]byte)
			suite.Random(add[c][:])
		}
	}
	w.mu.RUnlock()
	if err != nil || len(add) == 0 {
		return err
	}
	return w.commit(nil, add)
}

func (w *Wheel) lacks(buckets []uint32, convs [][16]byte) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return slices.ContainsFunc(buckets, func(id uint32) bool { return w.buckets[id] == nil }) ||
		slices.ContainsFunc(convs, func(c [16]byte) bool { return c != [16]byte{} && w.convs[c] == nil })
}

// commit writes the wheel as it is in memory, with what is added, under fresh
// keys. What is added can be used when it returns nil.
func (w *Wheel) commit(add map[uint32]*bucket, convs map[[16]byte]*[32]byte) error {
	if err := w.turn(add, convs); err != nil {
		return w.poison(err)
	}
	return nil
}

func (w *Wheel) poison(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = fmt.Errorf("%w: %w", ErrPoisoned, err)
	return w.err
}

// turn is one commit.
func (w *Wheel) turn(add map[uint32]*bucket, convs map[[16]byte]*[32]byte) error {
	gen := w.gen + 1
	all, allConvs := maps.Clone(w.buckets), maps.Clone(w.convs)
	maps.Copy(all, add)
	maps.Copy(allConvs, convs)
	if w.site.problem != "" {
		w.setSite(w.site, gen)
	}
	pack, err := w.segments(gen, all)
	if err != nil {
		return err
	}
	t := w.top(gen, all, allConvs)
	var topKey [32]byte
	suite.Random(topKey[:])
	file, slot := sealTop(gen, &topKey, t), w.ring.sealAnchor(gen, &topKey)
	clear(topKey[:])
	t.wipe()

	if len(pack) > 0 {
		if err := w.disk.write(packName(gen), pack); err != nil {
			return fmt.Errorf("writing a pack: %w", err)
		}
	}
	if err := w.disk.write(topName(gen), file); err != nil {
		return fmt.Errorf("writing a top: %w", err)
	}
	if err := w.disk.syncDir(); err != nil {
		return fmt.Errorf("syncing the directory: %w", err)
	}
	if err := w.notWiped(); err != nil {
		return err
	}
	if err := w.anchor.Replace(slot); err != nil { // from here on the new one counts
		return fmt.Errorf("writing the anchor: %w", err)
	}
	if err := w.anchor.Scrub(); err != nil { // from here on the old one is erased
		return fmt.Errorf("erasing the old anchor: %w", err)
	}

	now := w.disk.locate()
	if now.problem != "" || now.place != w.site.place {
		// The next top, or Open, which finds the anchor elsewhere than this top
		// says, will note it on the disk.
		w.setSite(now, gen)
	}
	w.gen = gen
	w.mu.Lock()
	w.buckets, w.convs = all, allConvs
	w.mu.Unlock()
	w.sweep()
	return nil
}

// setSite notes where the anchor is, and that erasures up to gen are in doubt.
func (w *Wheel) setSite(s site, gen uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.site, w.doubt = s, gen
}

// segments seals the trees that changed under fresh keys, and returns the pack
// of them.
func (w *Wheel) segments(gen uint64, all map[uint32]*bucket) ([]byte, error) {
	w.spread(all)
	var pack []byte
	for _, id := range slices.Sorted(maps.Keys(all)) {
		b := all[id]
		if !b.dirty {
			continue
		}
		if b.born == 0 {
			b.born = gen
		}
		suite.Random(b.key[:])
		s := sealSegment(gen, id, &b.key, b.tree)
		if uint64(len(pack)+len(s)) > math.MaxUint32 {
			return nil, errors.New("too much to write")
		}
		b.pack, b.off, b.len, b.dirty = gen, uint32(len(pack)), uint32(len(s)), false
		pack = append(pack, s...)
	}
	if len(pack) > 0 {
		w.packs[gen] = len(pack)
	}
	return pack, nil
}

// spread marks the segments to be written again, so that packs stay few and
// hold little that is dead.
func (w *Wheel) spread(all map[uint32]*bucket) {
	live := map[uint64]int{}
	for _, b := range all {
		if !b.dirty {
			live[b.pack] += int(b.len)
		}
	}
	for gen := range w.packs {
		if live[gen] == 0 {
			delete(w.packs, gen)
		}
	}
	order := slices.SortedFunc(maps.Keys(live), func(a, b uint64) int { return live[a] - live[b] })
	over := max(0, len(order)-packsKept)
	again := map[uint64]bool{}
	for i, gen := range order {
		if i < over || w.packs[gen] > sparseSize && live[gen] < w.packs[gen]/4 {
			again[gen] = true
			delete(w.packs, gen)
		}
	}
	for _, b := range all {
		b.dirty = b.dirty || again[b.pack]
	}
}

func (w *Wheel) top(gen uint64, all map[uint32]*bucket, convs map[[16]byte]*[32]byte) *top {
	t := &top{
		doubt: min(w.doubt, gen), place: w.site.place, shards: uint16(len(w.shards)),
		buckets: make([]entry, 0, len(all)), convs: make([]conversation, 0, len(convs)),
	}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		t.buckets = append(t.buckets, all[id].entry)
	}
	for c, key := range convs {
		t.convs = append(t.convs, conversation{c, *key})
	}
	slices.SortFunc(t.convs, func(a, b conversation) int { return slices.Compare(a.id[:], b.id[:]) })
	return t
}

// notWiped refuses to write an anchor record that a wipe wouldn't see.
func (w *Wheel) notWiped() error {
	raw, err := w.disk.read(fileAnchor)
	if errors.Is(err, fs.ErrNotExist) || hasWipeMark(raw) {
		return ErrWiped
	}
	return err
}

// sweep removes the files that nothing refers to. What stays because of an
// error is unreadable, and removed some other time.
func (w *Wheel) sweep() {
	names, err := w.disk.list()
	if err != nil {
		return
	}
	for _, name := range names {
		gen, pack := parseName(name, "pack")
		if pack && w.packs[gen] > 0 {
			continue
		}
		if gen, top := parseName(name, "top"); pack || top && gen != w.gen {
			_ = w.disk.remove(name)
		}
	}
}
