// Package wheel keeps the keys of records on a disk that doesn't forget, so
// that a record can be destroyed by destroying its key.
//
// It is not a store: it never sees a record, and who puts one under a key of
// the wheel does that elsewhere. It promises that a key that was forgotten with
// success can't be worked out again by anyone, also with the kek, every file
// there is and every deleted one still on the disk, as long as the disk
// overwrites one 8 KiB file where it stands; that this is checked after each
// write, and [Wheel.Level] tells; and that a crash at any point loses no key
// that wasn't to be forgotten and brings none back. It can't promise what a
// drive keeps inside, nor anything about copies of the disk made before.
//
// The keys hang together like this, each sealed under the one before:
//
//	kek → anchor: top key → top: segment key of each bucket → segment: seeds
//	                           key of each conversation
//	leaf's seed ‖ bucket's share ‖ conversation's key → the record's key
//
// Every forgetting draws a fresh top key and fresh keys for the segments that
// changed, so that overwriting the old anchor record makes all older files
// unreadable. storage/FORMAT.md §10 has the layouts. The idea is that of
// Reardon, Ritzdorf, Basin, Capkun, "Secure Data Deletion from Persistent
// Media", CCS 2013.
package wheel

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
	"rushlight/storage/twoslot"
)

// Errors a caller acts on.
var (
	// ErrWrongKey: the kek isn't the one the wheel was made with. Nothing was
	// touched.
	ErrWrongKey = errors.New("wheel: wrong key")
	// ErrCorrupt: files aren't what was written; they are left as they are.
	ErrCorrupt = errors.New("wheel: the key files are damaged")
	// ErrVersion: a newer version of the program wrote the files.
	ErrVersion = errors.New("wheel: the key files need a newer version")
	// ErrWiped: a wipe was cut off, or came while the wheel was open. Call
	// [Wipe] again.
	ErrWiped = errors.New("wheel: the keys were wiped")
	// ErrLocked: another process, or another Wheel, has the directory.
	ErrLocked = errors.New("wheel: the directory is in use")
	// ErrDestroyed: there is no such key, or not any more.
	ErrDestroyed = errors.New("wheel: the key is destroyed")
	// ErrPoisoned: a commit failed, so it isn't known what is on the disk.
	// Keys are still given, nothing is changed. Close and open again, then
	// repeat what failed.
	ErrPoisoned = errors.New("wheel: a commit failed; close and open the wheel again")
	// ErrClosed: the wheel was closed or wiped.
	ErrClosed = errors.New("wheel: closed")
)

const (
	labelLeaf suite.Label = "rushlight/wheel/leaf/1"
	labelKey  suite.Label = "rushlight/wheel/key/2"
)

// Options of a wheel.
type Options struct {
	// OffDisk says that the kek contains a share that isn't on this disk and
	// is destroyed where it is, in a TPM or on another device. It only changes
	// what [Wheel.Level] says.
	OffDisk bool
}

// Wheel is an open wheel. Its methods may be called from several goroutines;
// what changes it waits for the disk, and [Wheel.Key] doesn't wait for that.
type Wheel struct {
	dir     string
	disk    disk
	options Options
	ring    ring
	release func() error

	// writer is held for a whole commit; who holds it alone changes the
	// fields down to mu, and may read those after it.
	writer sync.Mutex
	anchor slotFile
	shards []*shardFile
	gen    uint64
	packs  map[uint64]int // sizes of the packs in use

	mu      sync.RWMutex
	err     error // why nothing can be changed any more
	buckets map[uint32]*bucket
	convs   map[[16]byte]*[32]byte
	site    site
	doubt   uint64

	last struct {
		sync.Mutex
		known bool
		place leafPlace
		key   [32]byte
	}
}

type bucket struct {
	entry
	tree  *tree
	share [32]byte
	dirty bool // the segment on the disk isn't this tree
}

func (b *bucket) wipe() {
	b.tree.wipe()
	clear(b.share[:])
	clear(b.key[:])
}

// Open opens the wheel in dir, and makes one where there is none. What a crash
// or [ScrubShards] left to be erased is erased before it returns.
func Open(dir string, kek [32]byte, o Options) (*Wheel, error) {
	w, err := open(directory(dir), kek, o)
	if err != nil {
		return nil, err
	}
	w.dir = dir
	return w, nil
}

func open(d disk, kek [32]byte, o Options) (*Wheel, error) {
	release, err := d.lock()
	if err != nil {
		return nil, fmt.Errorf("wheel: locking: %w", err)
	}
	w := &Wheel{
		disk: d, options: o, ring: newRing(kek), release: release,
		buckets: map[uint32]*bucket{}, convs: map[[16]byte]*[32]byte{}, packs: map[uint64]int{},
	}
	clear(kek[:])
	if err := w.start(); err != nil {
		_ = w.Close()
		return nil, err
	}
	return w, nil
}

func (w *Wheel) start() error {
	raw, err := w.disk.read(fileAnchor)
	if errors.Is(err, fs.ErrNotExist) {
		return w.create()
	}
	if err != nil {
		return fmt.Errorf("wheel: reading the anchor: %w", err)
	}
	if hasWipeMark(raw) {
		return ErrWiped
	}
	w.anchor, err = w.disk.openSlots(fileAnchor)
	if errors.Is(err, twoslot.ErrDamaged) {
		return corrupt("anchor", err)
	}
	if err != nil {
		return fmt.Errorf("wheel: opening the anchor: %w", err)
	}
	gen, topKey, err := w.ring.openAnchor(w.anchor.Body())
	if err != nil {
		return err
	}
	defer clear(topKey[:])
	w.gen = gen
	scrubbed, err := w.load(&topKey)
	if err != nil {
		return err
	}
	return w.rollForward(scrubbed)
}

// create makes an empty wheel. The anchor comes last: before it there is
// nothing but a first top.
func (w *Wheel) create() error {
	names, err := w.disk.list()
	if err != nil {
		return fmt.Errorf("wheel: creating: %w", err)
	}
	for _, name := range names {
		_, pack := parseName(name, "pack")
		gen, top := parseName(name, "top")
		if pack || top && gen > 1 || name == shardsName(0) {
			return fmt.Errorf("%w: the anchor is gone", ErrCorrupt)
		}
	}
	var topKey [32]byte
	suite.Random(topKey[:])
	defer clear(topKey[:])
	w.gen = 1
	err = w.disk.write(topName(w.gen), sealTop(w.gen, &topKey, new(top)))
	if err == nil {
		err = w.disk.syncDir()
	}
	if err == nil {
		w.anchor, err = w.disk.createSlots(fileAnchor, w.ring.sealAnchor(w.gen, &topKey))
	}
	if err != nil {
		return fmt.Errorf("wheel: creating: %w", err)
	}
	w.site = w.disk.locate()
	return nil
}

// load reads everything and changes nothing. It returns the buckets that have
// lost their share.
func (w *Wheel) load(topKey *[32]byte) (scrubbed []uint32, err error) {
	raw, err := w.read(topName(w.gen))
	if err != nil {
		return nil, err
	}
	t, err := openTop(raw, w.gen, topKey)
	if err != nil {
		return nil, err
	}
	defer t.wipe()
	if w.shards, err = openShards(w.disk); err != nil {
		return nil, err
	}
	if len(w.shards) < int(t.shards) {
		return nil, fmt.Errorf("%w: shares are gone", ErrCorrupt)
	}
	packs := map[uint64][]byte{}
	for i := range t.buckets {
		e := &t.buckets[i]
		if packs[e.pack] == nil {
			if packs[e.pack], err = w.read(packName(e.pack)); err != nil {
				return nil, err
			}
			w.packs[e.pack] = len(packs[e.pack])
		}
		b := &bucket{entry: *e}
		pack := packs[e.pack]
		if uint64(e.off)+uint64(e.len) > uint64(len(pack)) {
			return nil, fmt.Errorf("%w: a pack is cut short", ErrCorrupt)
		}
		if b.tree, err = openSegment(pack[e.off:e.off+e.len], e.pack, e.id, &e.key); err != nil {
			return nil, err
		}
		w.buckets[e.id] = b
		found := 0
		for _, f := range w.shards {
			if share, ok := f.shares[e.id]; ok {
				b.share = share
				found++
			}
		}
		switch {
		case found == 0:
			scrubbed = append(scrubbed, e.id)
		case found > 1:
			return nil, fmt.Errorf("%w: a bucket has two shares", ErrCorrupt)
		}
	}
	for i := range t.convs {
		key := t.convs[i].key
		w.convs[t.convs[i].id] = &key
	}
	w.doubt, w.site = t.doubt, w.disk.locate()
	if t.place != (place{}) && w.site.place != t.place {
		w.doubt = w.gen // an older copy stands where the file was before
	}
	return scrubbed, nil
}

// rollForward finishes erasures that were cut off, or done without the kek.
func (w *Wheel) rollForward(scrubbed []uint32) error {
	if w.anchor.Older() {
		if err := w.anchor.Scrub(); err != nil {
			return fmt.Errorf("wheel: erasing the old anchor: %w", err)
		}
	}
	for _, f := range w.shards {
		if err := f.finish(); err != nil {
			return err
		}
	}
	w.sweep()
	return w.Commit(Forget{Buckets: scrubbed})
}

func (w *Wheel) read(name string) ([]byte, error) {
	b, err := w.disk.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: a file is gone: %w", ErrCorrupt, err)
	}
	if err != nil {
		return nil, fmt.Errorf("wheel: reading: %w", err)
	}
	return b, nil
}

// Key returns the key of the record id under a leaf of a bucket, for a
// conversation; the zero conversation is none. A leaf may serve several ids,
// which are destroyed together. It gives [ErrDestroyed] unless the bucket, the
// leaf and the conversation are all alive; a bucket that [Wheel.Ensure] and a
// conversation that [Wheel.EnsureConversations] weren't asked for aren't. The
// key is the caller's to wipe.
func (w *Wheel) Key(bucket, leaf uint32, conv [16]byte, id []byte) (key [32]byte, err error) {
	of, err := w.leafKey(leafPlace{bucket, leaf, conv})
	if err != nil {
		return key, err
	}
	suite.ExpandTo(key[:], of, labelKey, id)
	clear(of[:])
	return key, nil
}

// leafPlace is a leaf of a bucket, mixed with a conversation.
type leafPlace struct {
	bucket, leaf uint32
	conv         [16]byte
}

// leafKey returns the key from which those of the records under a leaf follow.
// The last one is remembered until something is forgotten: a leaf mostly serves
// two records, one after the other.
func (w *Wheel) leafKey(p leafPlace) (key [32]byte, err error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	w.last.Lock()
	if w.last.known && w.last.place == p {
		key = w.last.key
		w.last.Unlock()
		return key, nil
	}
	w.last.Unlock()
	var secret [3 * 32]byte
	defer clear(secret[:])
	if err := w.secret(&secret, p); err != nil {
		return key, err
	}
	var where [8]byte
	wire.NewWriter(where[:0]).U32(p.bucket).U32(p.leaf)
	suite.DeriveTo(key[:], secret[:], nil, labelLeaf, where[:], p.conv[:])
	w.last.Lock() // w.mu is still held: nothing was forgotten meanwhile
	defer w.last.Unlock()
	w.last.known, w.last.place, w.last.key = true, p, key
	return key, nil
}

// forgetLast is called with mu held, by whatever makes a key unknown.
func (w *Wheel) forgetLast() {
	w.last.Lock()
	defer w.last.Unlock()
	w.last.known = false
	clear(w.last.key[:])
}

// secret is seed ‖ share ‖ conversation key, or zeros for none.
func (w *Wheel) secret(out *[96]byte, p leafPlace) error {
	if errors.Is(w.err, ErrClosed) {
		return ErrClosed
	}
	if !w.alive(p.bucket, p.leaf, p.conv) {
		return ErrDestroyed
	}
	b := w.buckets[p.bucket]
	seed, _ := b.tree.leaf(p.leaf)
	copy(out[:], seed[:])
	clear(seed[:])
	copy(out[32:], b.share[:])
	if p.conv != [16]byte{} {
		copy(out[64:], w.convs[p.conv][:])
	}
	return nil
}

// Alive reports whether [Wheel.Key] would give a key, at a fraction of the cost.
func (w *Wheel) Alive(bucket, leaf uint32, conv [16]byte) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.alive(bucket, leaf, conv)
}

func (w *Wheel) alive(bucket, leaf uint32, conv [16]byte) bool {
	b := w.buckets[bucket]
	if b == nil || leaf >= Leaves {
		return false
	}
	if n, _ := b.tree.find(leaf); n == nil {
		return false
	}
	return conv == [16]byte{} || w.convs[conv] != nil
}

// Buckets returns the live buckets, ascending. Those whose [BucketEnd] has come
// are to be forgotten.
func (w *Wheel) Buckets() []uint32 {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return slices.Sorted(maps.Keys(w.buckets))
}

// Live returns at most limit leaves of a bucket below end that aren't punctured,
// ascending: with what the caller knows to be in use, those that a crash kept
// from being punctured.
func (w *Wheel) Live(bucket, end uint32, limit int) []uint32 {
	w.mu.RLock()
	defer w.mu.RUnlock()
	b := w.buckets[bucket]
	if b == nil {
		return nil
	}
	return b.tree.live(min(end, Leaves), limit)
}

// Conversations returns the conversations that have a key, in no order.
func (w *Wheel) Conversations() [][16]byte {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return slices.Collect(maps.Keys(w.convs))
}

// Close forgets all keys in memory. The disk keeps what it has.
func (w *Wheel) Close() error {
	w.writer.Lock()
	defer w.writer.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if errors.Is(w.err, ErrClosed) {
		return nil
	}
	w.err = ErrClosed
	w.forgetLast()
	clear(w.ring.anchor[:])
	for _, b := range w.buckets {
		b.wipe()
	}
	clear(w.buckets)
	for _, key := range w.convs {
		clear(key[:])
	}
	clear(w.convs)
	closeShards(w.shards)
	var err error
	if w.anchor != nil {
		err = w.anchor.Close()
	}
	return errors.Join(err, w.release())
}
