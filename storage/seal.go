package storage

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
	"rushlight/storage/keyfile/wheel"
)

const (
	labelBadger    suite.Label = "rushlight/storage/badger/1"
	labelRecord    suite.Label = "rushlight/storage/record/1"
	labelPseudonym suite.Label = "rushlight/storage/pseudonym/1"
	labelHead      suite.Label = "rushlight/storage/head/1"
	labelGuard     suite.Label = "rushlight/storage/guard/1"
	labelKeyID     suite.Label = "rushlight/storage/key-id/1"
)

// keys are everything derived from the root. Each has one use.
type keys struct {
	badger    [32]byte // Badger's own encryption, which hides keys from a thief
	record    [32]byte // seals values
	pseudonym [32]byte // names in keys
	head      [32]byte // chains commits
	guard     [32]byte // authenticates the guard file
	id        [16]byte // tells a wrong root from a damaged file; public
}

func deriveKeys(root [32]byte) (k keys) {
	for _, d := range []struct {
		l   suite.Label
		dst []byte
	}{
		{labelBadger, k.badger[:]},
		{labelRecord, k.record[:]},
		{labelPseudonym, k.pseudonym[:]},
		{labelHead, k.head[:]},
		{labelGuard, k.guard[:]},
		{labelKeyID, k.id[:]},
	} {
		copy(d.dst, suite.Derive(root[:], nil, len(d.dst), d.l))
	}
	return k
}

func (k *keys) wipe() { *k = keys{} }

// Pseudonym returns a keyed name for id, so that no account or conversation id
// stands in a key. The label separates uses: the same id under two labels has
// unrelated names.
func (s *Store) Pseudonym(label string, id []byte) [16]byte {
	m := suite.MAC(s.keys.pseudonym[:], labelPseudonym, []byte(label), id)
	return [16]byte(m[:16])
}

// A stored value is form u8 ‖ [expires u64, Unix ms] ‖ [bucket u32 ‖ leaf u32
// ‖ conversation[16]] ‖ box. The two bits of form say which of the two are
// there. What stands before the box is its associated data, after the whole
// key.
const (
	formExpiring = 1
	formErasable = 2

	maxHeader = 1 + 8 + 24
	maxStored = maxHeader + suite.BoxOverhead + MaxValue
)

// header is what stands before the box of a stored value.
type header struct {
	expires  time.Time // zero is never
	erasable bool
	leaf     Leaf // when erasable
}

func (h header) append(w *wire.Writer) *wire.Writer {
	form := uint8(0)
	if !h.expires.IsZero() {
		form |= formExpiring
	}
	if h.erasable {
		form |= formErasable
	}
	w.U8(form)
	if !h.expires.IsZero() {
		w.U64(uint64(max(h.expires.UnixMilli(), 0)))
	}
	if h.erasable {
		w.U32(h.leaf.Bucket).U32(h.leaf.Number).Raw(h.leaf.Conversation[:])
	}
	return w
}

// splitValue returns the header of a stored value and how long it is; the box
// follows.
func splitValue(stored []byte) (h header, n int, err error) {
	r := wire.NewReader(stored)
	form := r.U8()
	if form > formExpiring|formErasable {
		r.Fail("unknown form of value")
	}
	if form&formExpiring != 0 {
		ms := r.U64()
		if ms > 1<<53 {
			r.Fail("expiry out of range")
		}
		h.expires = time.UnixMilli(int64(ms))
	}
	if form&formErasable != 0 {
		h.erasable, h.leaf = true, Leaf{Bucket: r.U32(), Number: r.U32(), Conversation: r.A16()}
	}
	if r.Len() < suite.BoxOverhead {
		r.Fail("value too short")
	}
	return h, len(stored) - r.Len(), r.Err()
}

// key returns the key of the record under a name.
func (s *Store) key(name Key, h header) (k [32]byte, err error) {
	if !h.erasable {
		return s.keys.record, nil
	}
	return s.leaves.Key(h.leaf.Bucket, h.leaf.Number, h.leaf.Conversation, name)
}

// desk is what sealing needs room for.
type desk struct {
	key        [32]byte
	ad         [2 + MaxKey + maxHeader]byte
	buf        []byte         // sealed values
	entries    []badger.Entry // of them
	transcript []byte
}

// desks are those that nobody uses.
var desks = sync.Pool{New: func() any { return new(desk) }}

// leave gives a desk back, once nobody reads what was sealed at it.
func (d *desk) leave() {
	clear(d.entries)
	d.entries = d.entries[:0]
	desks.Put(d)
}

// sealValue appends the stored form of value to dst. It belongs to the writer.
func (s *Store) sealValue(d *desk, dst []byte, name Key, value []byte, h header) (_ []byte, err error) {
	if d.key, err = s.key(name, h); err != nil {
		return nil, err
	}
	n := len(dst)
	dst = h.append(wire.NewWriter(dst)).Out()
	dst = s.boxes.Seal(dst, d.key[:], recordAD(d.ad[:0], name, dst[n:]), value)
	clear(d.key[:])
	return dst, nil
}

// recordAD is vec16(key) ‖ header.
func recordAD(dst []byte, name Key, header []byte) []byte {
	return wire.NewWriter(dst).Vec16(name).Raw(header).Out()
}

// openValue reverses sealValue. Damage is [ErrCorrupt]; a record whose key is
// destroyed is [ErrNotFound].
func (s *Store) openValue(name Key, stored []byte) (value []byte, h header, err error) {
	h, n, err := splitValue(stored)
	if err != nil {
		return nil, h, fmt.Errorf("%w: a record of family %#02x: %w", ErrCorrupt, name[0], err)
	}
	k, err := s.key(name, h)
	if errors.Is(err, wheel.ErrDestroyed) {
		return nil, h, ErrNotFound
	}
	if errors.Is(err, wheel.ErrClosed) {
		return nil, h, ErrClosed
	}
	if err != nil {
		return nil, h, err
	}
	d := desks.Get().(*desk)
	defer d.leave()
	d.key = k
	clear(k[:])
	value, err = suite.OpenBox(nil, d.key[:], recordAD(d.ad[:0], name, stored[:n]), stored[n:])
	clear(d.key[:])
	if err != nil {
		return nil, h, fmt.Errorf("%w: a record of family %#02x: %w", ErrCorrupt, name[0], err)
	}
	return value, h, nil
}
