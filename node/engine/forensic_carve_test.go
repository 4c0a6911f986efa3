package engine_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/crypto/chacha20"

	"rushlight/protocol/envelope"
	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
	"rushlight/storage"
	"rushlight/storage/record"
)

// attacker is the strongest one that erasure is to withstand: it has every byte
// of the medium, the root, and every version of every record that was ever
// written. It is made after storage/FORMAT.md and shares no code with what it
// attacks. Key files of any age are looked for at every offset, whole or not,
// and decrypted without asking for a valid tag.
type attacker struct {
	record [32]byte // seals what isn't under the wheel

	anchors, tops, segments int

	nodes  map[uint32]map[uint32][][32]byte // bucket → depth u8 ‖ first leaf u24 → seeds
	shares map[uint32][][32]byte
	convs  map[[16]byte][][32]byte

	leaves map[storage.Leaf][][32]byte // keys of leaves, once worked out
}

const (
	sealCommitment = 32
	boxOverhead    = 24 + 16
)

// eachAfter calls f with what follows each occurrence of magic.
func eachAfter(raw []byte, magic string, f func(rest []byte)) {
	for {
		i := bytes.Index(raw, []byte(magic))
		if i < 0 {
			return
		}
		raw = raw[i+len(magic):]
		f(raw)
	}
}

// streams finds the key that something was sealed with by its commitment.
type streams[K comparable] map[[32]byte]map[K]*[44]byte

func (s streams[K]) add(what K, key []byte) {
	o := suite.Derive(key, nil, 76, "rushlight/suite/seal/1")
	c := [32]byte(o[44:])
	if s[c] == nil {
		s[c] = map[K]*[44]byte{}
	}
	s[c][what] = (*[44]byte)(o[:44])
}

// open calls f for whatever follows magic ‖ gen u64 and was sealed with a known
// key, with a function that decrypts the next bytes of it.
func (s streams[K]) open(raw []byte, magic string, f func(what K, next func(n int) []byte)) {
	eachAfter(raw, magic, func(b []byte) {
		if len(b) < 8+sealCommitment {
			return
		}
		for what, o := range s[[32]byte(b[8:])] {
			cipher, err := chacha20.NewUnauthenticatedCipher(o[:32], o[32:])
			if err != nil {
				panic(err)
			}
			cipher.SetCounter(1)
			rest := b[8+sealCommitment:]
			f(what, func(n int) []byte {
				if n > len(rest) {
					return nil
				}
				out := make([]byte, n)
				cipher.XORKeyStream(out, rest[:n])
				rest = rest[n:]
				return out
			})
		}
	})
}

func appendNew(list [][32]byte, b []byte) [][32]byte {
	for i := range list {
		if bytes.Equal(list[i][:], b) {
			return list
		}
	}
	return append(list, [32]byte(b))
}

// carve looks for keys in the pieces of what was seized.
func carve(root [32]byte, pieces ...[]byte) *attacker {
	a := &attacker{
		record: [32]byte(suite.Derive(root[:], nil, 32, "rushlight/storage/record/1")),
		nodes:  map[uint32]map[uint32][][32]byte{},
		shares: map[uint32][][32]byte{},
		convs:  map[[16]byte][][32]byte{},
		leaves: map[storage.Leaf][][32]byte{},
	}
	kek := suite.Derive(root[:], nil, 32, "rushlight/storage/anchor/1")
	anchor := suite.Derive(kek, nil, 32, "rushlight/wheel/anchor/1")
	tops, segments := streams[uint64]{}, streams[uint32]{}
	for _, raw := range pieces {
		eachAfter(raw, "RWA\x01", func(b []byte) {
			const head, size = 8 + 16, 8 + 16 + boxOverhead + 32
			if len(b) < size {
				return
			}
			ad := append([]byte("RWA\x01"), b[:head]...)
			if key, err := suite.OpenBox(nil, anchor, ad, b[head:size]); err == nil {
				a.anchors++
				tops.add(binary.BigEndian.Uint64(b), key)
			}
		})
	}
	for _, raw := range pieces {
		tops.open(raw, "RWT\x01", func(_ uint64, next func(int) []byte) {
			a.tops++
			fixed := next(8 + 16 + 2 + 4 + 4)
			if fixed == nil {
				return
			}
			for range binary.BigEndian.Uint32(fixed[26:]) {
				e := next(4 + 8 + 8 + 4 + 4 + 32)
				if e == nil {
					return
				}
				segments.add(binary.BigEndian.Uint32(e), e[28:])
			}
			for range binary.BigEndian.Uint32(fixed[30:]) {
				c := next(16 + 32)
				if c == nil {
					return
				}
				a.convs[[16]byte(c)] = appendNew(a.convs[[16]byte(c)], c[16:])
			}
		})
	}
	for _, raw := range pieces {
		segments.open(raw, "RWS\x01", func(bucket uint32, next func(int) []byte) {
			a.segments++
			if a.nodes[bucket] == nil {
				a.nodes[bucket] = map[uint32][][32]byte{}
			}
			for least := uint32(0); ; {
				n := next(1 + 3 + 32)
				if n == nil {
					return
				}
				at := binary.BigEndian.Uint32(n)
				if at>>24 > 24 || at&(1<<24-1) < least { // here it ended
					return
				}
				least = at&(1<<24-1) + 1
				a.nodes[bucket][at] = appendNew(a.nodes[bucket][at], n[4:])
			}
		})
		eachAfter(raw, "RWH\x01", func(b []byte) {
			for n := 0; n < 112 && len(b) >= 36; n++ {
				id := binary.BigEndian.Uint32(b)
				a.shares[id] = appendNew(a.shares[id], b[4:36])
				b = b[36:]
			}
		})
	}
	return a
}

// keys returns every key that may be that of a leaf.
func (a *attacker) keys(l storage.Leaf) [][32]byte {
	if out, ok := a.leaves[l]; ok {
		return out
	}
	convs := a.convs[l.Conversation]
	if l.Conversation == [16]byte{} {
		convs = [][32]byte{{}}
	}
	var out [][32]byte
	where := wire.NewWriter(nil).U32(l.Bucket).U32(l.Number).Out()
	for depth := uint32(0); depth <= 24; depth++ {
		first := l.Number >> (24 - depth) << (24 - depth)
		for _, seed := range a.nodes[l.Bucket][depth<<24|first] {
			for d := depth; d < 24; d++ {
				seed = suite.Hash("rushlight/wheel/child/1", seed[:], []byte{byte(l.Number>>(23-d)) & 1})
			}
			for _, share := range a.shares[l.Bucket] {
				for _, conv := range convs {
					secret := append(append(append([]byte{}, seed[:]...), share[:]...), conv[:]...)
					out = append(out, [32]byte(suite.Derive(secret, nil, 32, "rushlight/wheel/leaf/1", where, l.Conversation[:])))
				}
			}
		}
	}
	a.leaves[l] = out
	return out
}

// row is one version of a record as it stands in the database; no value is a
// deletion.
type row struct {
	key, value []byte
	version    uint64
}

// rows returns every version of every record of a database, by key, the newest
// first. dir is a copy of its own.
func rows(t *testing.T, dir string, root [32]byte) (out []row) {
	t.Helper()
	db, err := badger.Open(badger.DefaultOptions(dir).
		WithLogger(nil).WithExternalMagic(storage.Schema).WithNumCompactors(0).WithNumLevelZeroTablesStall(1 << 30).
		WithMemTableSize(64 << 20).WithBlockCacheSize(8 << 20).WithIndexCacheSize(8 << 20).WithMetricsEnabled(false).
		WithEncryptionKey(suite.Derive(root[:], nil, 32, "rushlight/storage/badger/1")))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := db.View(func(tx *badger.Txn) error {
		it := tx.NewIterator(badger.IteratorOptions{AllVersions: true})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			v, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			out = append(out, row{it.Item().KeyCopy(nil), v, it.Item().Version()})
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// open returns the plaintext of a row and whether it was under the wheel; nil
// when the attacker can't.
func (a *attacker) open(r row) (pt []byte, erasable bool) {
	in := wire.NewReader(r.value)
	form := in.U8()
	if form&1 != 0 {
		in.U64()
	}
	keys := [][32]byte{a.record}
	if erasable = form&2 != 0; erasable {
		l := storage.Leaf{Bucket: in.U32(), Number: in.U32(), Conversation: in.A16()}
		keys = a.keys(l)
	}
	box := r.value[len(r.value)-in.Len():]
	ad := wire.NewWriter(nil).Vec16(r.key).Raw(r.value[:len(r.value)-len(box)]).Out()
	for _, k := range keys {
		if erasable {
			k = [32]byte(suite.Expand(k, 32, "rushlight/wheel/key/2", r.key))
		}
		if pt, err := suite.OpenBox(nil, k[:], ad, box); err == nil {
			return append([]byte{}, pt...), erasable
		}
	}
	return nil, erasable
}

// said is what a record tells of what was said: also that which an outbox entry
// has sealed for the way.
func said(key, pt []byte) []byte {
	if key[0] != record.FamilyOutbox {
		return pt
	}
	o, err := record.ParseOutbox(pt)
	if err != nil || o.Kind != record.OutboxSession {
		return pt
	}
	payload, err := envelope.Unfold(o.Class, o.Content, 1, o.Folded)
	if err != nil {
		return pt
	}
	packet, err := envelope.OpenBody(o.Class, o.Content, payload)
	if err != nil {
		return pt
	}
	return packet
}
