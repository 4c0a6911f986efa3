package storage

import (
	"fmt"
	"time"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
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

// A stored value is form u8 ‖ [expires u64, Unix ms, when form is 1] ‖ box.
// The head of it is associated data of the box, after the whole key.
const (
	formPlain    = 0
	formExpiring = 1

	maxStored = 1 + 8 + suite.BoxOverhead + MaxValue
)

// sealValue appends the stored form of value to dst. A zero expires is never.
func (k *keys) sealValue(dst []byte, key Key, value []byte, expires time.Time) []byte {
	n := len(dst)
	w := wire.NewWriter(dst)
	if expires.IsZero() {
		w.U8(formPlain)
	} else {
		w.U8(formExpiring).U64(uint64(max(expires.UnixMilli(), 0)))
	}
	dst = w.Out()
	return suite.SealBox(dst, k.record[:], recordAD(key, dst[n:]), value)
}

// recordAD is vec16(key) ‖ head of the stored value.
func recordAD(key Key, head []byte) []byte {
	return wire.NewWriter(make([]byte, 0, 2+len(key)+len(head))).Vec16(key).Raw(head).Out()
}

// splitValue returns the head of a stored value, its expiry (zero for never)
// and its box.
func splitValue(stored []byte) (head []byte, expires time.Time, box []byte, err error) {
	r := wire.NewReader(stored)
	n := 1
	switch r.U8() {
	case formPlain:
	case formExpiring:
		ms := r.U64()
		if ms > 1<<53 {
			r.Fail("expiry out of range")
		}
		expires, n = time.UnixMilli(int64(ms)), 9
	default:
		r.Fail("unknown form of value")
	}
	if r.Len() < suite.BoxOverhead {
		r.Fail("value too short")
	}
	box = r.Rest()
	if err := r.Err(); err != nil {
		return nil, time.Time{}, nil, err
	}
	return stored[:n], expires, box, nil
}

// openValue reverses sealValue; damage is ErrCorrupt.
func (k *keys) openValue(key Key, stored []byte) (value []byte, expires time.Time, err error) {
	head, expires, box, err := splitValue(stored)
	if err == nil {
		value, err = suite.OpenBox(nil, k.record[:], recordAD(key, head), box)
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("%w: a record of family %#02x: %w", ErrCorrupt, key[0], err)
	}
	return value, expires, nil
}
