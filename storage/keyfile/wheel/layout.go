package wheel

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

const (
	labelAnchor suite.Label = "rushlight/wheel/anchor/1"
	labelKeyID  suite.Label = "rushlight/wheel/key-id/1"
)

// What each layout begins with; the last byte is its version.
var (
	magicAnchor  = [4]byte{'R', 'W', 'A', 1}
	magicTop     = [4]byte{'R', 'W', 'T', 1}
	magicSegment = [4]byte{'R', 'W', 'S', 1}
	magicShards  = [4]byte{'R', 'W', 'H', 1}
)

const (
	headSize    = 4 + 8 // magic ‖ generation
	segmentOver = headSize + suite.SealOverhead
)

// readMagic refuses other files, and versions above ours with ErrVersion.
func readMagic(r *wire.Reader, want [4]byte) error {
	var got [4]byte
	r.Fill(got[:])
	if bytes.Equal(got[:3], want[:3]) && got[3] > want[3] {
		return ErrVersion
	}
	if got != want {
		r.Fail("not this kind of file")
	}
	return nil
}

func head(magic [4]byte, gen uint64) *wire.Writer { return wire.NewWriter(nil).Raw(magic[:]).U64(gen) }

// A ring is what follows from the kek.
type ring struct {
	id     [16]byte
	anchor [32]byte
}

func newRing(kek [32]byte) (r ring) {
	copy(r.id[:], suite.Derive(kek[:], nil, len(r.id), labelKeyID))
	key := suite.Derive(kek[:], nil, len(r.anchor), labelAnchor)
	copy(r.anchor[:], key)
	clear(key)
	return r
}

// An anchor record is magic ‖ gen u64 ‖ key id[16] ‖ box of topKey[32]; the
// box's associated data is all before it.
func (k *ring) sealAnchor(gen uint64, topKey *[32]byte) []byte {
	b := head(magicAnchor, gen).Raw(k.id[:]).Out()
	return append(b, suite.SealBox(nil, k.anchor[:], b, topKey[:])...)
}

func (k *ring) openAnchor(b []byte) (gen uint64, topKey [32]byte, err error) {
	r := wire.NewReader(b)
	if err := readMagic(r, magicAnchor); err != nil {
		return 0, topKey, err
	}
	gen = r.U64()
	id := r.A16()
	box := r.Bytes(len(topKey) + suite.BoxOverhead)
	if gen == 0 {
		r.Fail("generation is zero")
	}
	if err := r.Close(); err != nil {
		return 0, topKey, corrupt("anchor", err)
	}
	if id != k.id {
		return 0, topKey, ErrWrongKey
	}
	pt, err := suite.OpenBox(nil, k.anchor[:], b[:len(b)-len(box)], box)
	if err != nil {
		return 0, topKey, corrupt("anchor", err)
	}
	copy(topKey[:], pt)
	clear(pt)
	return gen, topKey, nil
}

// A top is what the top file holds: all the wheel knows but the trees.
type top struct {
	doubt   uint64 // newest generation whose erasure isn't known to have worked, or 0
	place   place  // of the anchor's slots, when it was written
	shards  uint16 // files of shares there must be
	buckets []entry
	convs   []conversation
}

type entry struct {
	id       uint32
	born     uint64 // generation it was made in
	pack     uint64 // generation of the pack that holds its segment
	off, len uint32 // where in the pack
	key      [32]byte
}

type conversation struct {
	id  [16]byte
	key [32]byte
}

const (
	topFixed  = 8 + 16 + 2 + 4 + 4
	entrySize = 4 + 8 + 8 + 4 + 4 + 32
	convSize  = 16 + 32
)

func (t *top) marshal() []byte {
	w := wire.NewWriter(make([]byte, 0, topFixed+len(t.buckets)*entrySize+len(t.convs)*convSize))
	w.U64(t.doubt).U64(t.place[0]).U64(t.place[1]).U16(t.shards).U32(uint32(len(t.buckets))).U32(uint32(len(t.convs)))
	for i := range t.buckets {
		e := &t.buckets[i]
		w.U32(e.id).U64(e.born).U64(e.pack).U32(e.off).U32(e.len).Raw(e.key[:])
	}
	for i := range t.convs {
		w.Raw(t.convs[i].id[:]).Raw(t.convs[i].key[:])
	}
	return w.Out()
}

// parseTop refuses what generation gen can't have written.
func parseTop(b []byte, gen uint64) (*top, error) {
	t, r := new(top), wire.NewReader(b)
	t.doubt = r.U64()
	t.place = place{r.U64(), r.U64()}
	t.shards = r.U16()
	nb, nc := int64(r.U32()), int64(r.U32())
	if t.doubt > gen {
		r.Fail("doubt about the future")
	}
	if int64(r.Len()) != nb*entrySize+nc*convSize {
		r.Fail("counts don't fit the length")
	}
	if r.Err() == nil {
		t.buckets, t.convs = make([]entry, nb), make([]conversation, nc)
	}
	for i := range t.buckets {
		e := &t.buckets[i]
		*e = entry{id: r.U32(), born: r.U64(), pack: r.U64(), off: r.U32(), len: r.U32(), key: r.A32()}
		if i > 0 && e.id <= t.buckets[i-1].id {
			r.Fail("buckets out of order")
		}
		if e.born == 0 || e.pack < e.born || e.pack > gen || uint64(e.off)+uint64(e.len) > math.MaxUint32 ||
			e.len < segmentOver || (e.len-segmentOver)%nodeSize != 0 {
			r.Fail("bucket without a place")
		}
	}
	for i := range t.convs {
		t.convs[i] = conversation{id: r.A16(), key: r.A32()}
		if i > 0 && bytes.Compare(t.convs[i].id[:], t.convs[i-1].id[:]) <= 0 || t.convs[i].id == [16]byte{} {
			r.Fail("conversations out of order")
		}
	}
	if err := r.Close(); err != nil {
		t.wipe()
		return nil, err
	}
	return t, nil
}

func (t *top) wipe() {
	clear(t.buckets)
	clear(t.convs)
}

// A top file is magic ‖ gen u64 ‖ Seal(topKey, top); a segment is the same of
// a tree, with the bucket's number in the associated data.
func sealTop(gen uint64, key *[32]byte, t *top) []byte {
	pt := t.marshal()
	defer clear(pt)
	b := head(magicTop, gen).Out()
	return append(b, suite.Seal(nil, key[:], b, pt)...)
}

func openTop(b []byte, gen uint64, key *[32]byte) (*top, error) {
	pt, err := unseal(b, magicTop, gen, key, nil)
	if err != nil {
		return nil, corrupt("top", err)
	}
	defer clear(pt)
	t, err := parseTop(pt, gen)
	if err != nil {
		return nil, corrupt("top", err)
	}
	return t, nil
}

func sealSegment(gen uint64, bucket uint32, key *[32]byte, t *tree) []byte {
	pt := t.marshal()
	defer clear(pt)
	b := head(magicSegment, gen).Out()
	return append(b, suite.Seal(nil, key[:], wire.NewWriter(nil).Raw(b).U32(bucket).Out(), pt)...)
}

func openSegment(b []byte, gen uint64, bucket uint32, key *[32]byte) (*tree, error) {
	pt, err := unseal(b, magicSegment, gen, key, &bucket)
	if err != nil {
		return nil, corrupt("segment", err)
	}
	defer clear(pt)
	t, err := parseTree(pt)
	if err != nil {
		return nil, corrupt("segment", err)
	}
	return t, nil
}

func unseal(b []byte, magic [4]byte, gen uint64, key *[32]byte, bucket *uint32) ([]byte, error) {
	r := wire.NewReader(b)
	if err := readMagic(r, magic); err != nil {
		return nil, err
	}
	if r.U64() != gen {
		r.Fail("another generation")
	}
	sealed := r.Rest()
	if err := r.Close(); err != nil {
		return nil, err
	}
	ad := wire.NewWriter(nil).Raw(b[:headSize])
	if bucket != nil {
		ad.U32(*bucket)
	}
	return suite.Open(nil, key[:], ad.Out(), sealed)
}

func corrupt(what string, err error) error {
	if errors.Is(err, ErrVersion) {
		return err
	}
	return fmt.Errorf("%w: %s: %w", ErrCorrupt, what, err)
}
