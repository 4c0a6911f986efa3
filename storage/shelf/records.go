package shelf

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"rushlight/protocol/stamp"
	"rushlight/protocol/wire"
)

// Families of keys (FORMAT.md §2). All but the global one begin with what they
// are looked up by, so that a mailbox's records stand together.
const (
	famBox    = 'b' // handle u64: what rarely changes of a mailbox
	famHot    = 'h' // handle u64: what each deposit changes
	famEnv    = 'e' // handle u64 ‖ seq u64: an envelope
	famPage   = 'p' // handle u64 ‖ page u32: bits of 64 stamps
	famLane   = 'l' // handle u64: the requests of a lane
	famOwner  = 'o' // owner's key[32]: handle
	famAddr   = 'a' // lane's address[32]: handle
	famToken  = 't' // token[16]: nothing; it was used
	famStamp  = 'k' // week u16: key of the week's stamps
	famGlobal = 'g'
)

var keyGlobal = []byte{famGlobal}

func keyBox(handle uint64) []byte  { return binary.BigEndian.AppendUint64([]byte{famBox}, handle) }
func keyHot(handle uint64) []byte  { return binary.BigEndian.AppendUint64([]byte{famHot}, handle) }
func keyLane(handle uint64) []byte { return binary.BigEndian.AppendUint64([]byte{famLane}, handle) }

func keyEnvs(handle uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 17), famEnv), handle)
}

func keyEnv(handle, seq uint64) []byte { return binary.BigEndian.AppendUint64(keyEnvs(handle), seq) }

func keyPage(handle uint64, page uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64([]byte{famPage}, handle), page)
}

func keyOwner(owner [32]byte) []byte { return append([]byte{famOwner}, owner[:]...) }
func keyAddr(lane [32]byte) []byte   { return append([]byte{famAddr}, lane[:]...) }
func keyToken(token [16]byte) []byte { return append([]byte{famToken}, token[:]...) }
func keyStamp(w stamp.Week) []byte   { return binary.BigEndian.AppendUint16([]byte{famStamp}, uint16(w)) }
func seqOf(key []byte) uint64        { return binary.BigEndian.Uint64(key[9:]) }
func parseHandle(b []byte) (h uint64, err error) {
	r := wire.NewReader(b)
	h = r.U64()
	return h, r.Close()
}

// get returns a copy of a value, nil when there is none.
func get(tx *badger.Txn, key []byte) ([]byte, error) {
	it, err := tx.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	var b []byte
	if err == nil {
		b, err = it.ValueCopy(nil)
	}
	if err != nil {
		return nil, fmt.Errorf("reading a record of family %c: %w", key[0], err)
	}
	if len(b) == 0 && key[0] != famToken {
		return nil, fmt.Errorf("a record of family %c is empty", key[0])
	}
	return b, nil
}

// dayUse is what ends with a day.
type dayUse struct {
	day   uint16
	count uint32
	bytes uint64
}

// dayTable sums envelopes by their last day, ascending.
type dayTable []dayUse

func (t *dayTable) add(day uint16, count int, bytes int64) {
	i, ok := slices.BinarySearchFunc(*t, day, func(u dayUse, day uint16) int { return cmp.Compare(u.day, day) })
	if !ok {
		*t = slices.Insert(*t, i, dayUse{day: day})
	}
	u := &(*t)[i]
	u.count = uint32(max(0, int64(u.count)+int64(count)))
	u.bytes = uint64(max(0, int64(u.bytes)+bytes))
	if u.count == 0 {
		*t = slices.Delete(*t, i, i+1)
	}
}

// prune forgets days before today.
func (t *dayTable) prune(today uint16) {
	n := 0
	for n < len(*t) && (*t)[n].day < today {
		n++
	}
	*t = slices.Delete(*t, 0, n)
}

func (t dayTable) total() (count, bytes uint64) {
	for _, u := range t {
		count += uint64(u.count)
		bytes += u.bytes
	}
	return count, bytes
}

// unit is what all lengths of envelopes are multiples of.
const unit = 2048

func (t dayTable) write(w *wire.Writer) {
	for _, u := range t {
		w.U16(u.day).Uvarint(uint64(u.count)).Uvarint(u.bytes / unit)
	}
}

func readDays(r *wire.Reader) (t dayTable) {
	for r.Err() == nil && r.Len() > 0 {
		u := dayUse{day: r.U16(), count: uint32(r.Uvarint(1<<32 - 1)), bytes: r.Uvarint(1<<40) * unit}
		if len(t) > 0 && u.day <= t[len(t)-1].day || u.count == 0 {
			r.Fail("days out of order")
		}
		t = append(t, u)
	}
	return t
}

// global is what the shelf knows of itself.
type global struct {
	batch     uint64   // the last commit
	epoch     [16]byte // another one after acknowledged commits were lost
	confirmed uint16   // the latest day that is believed
	days      dayTable
}

const version uint8 = 1

func (g *global) marshal() []byte {
	w := wire.NewWriter(make([]byte, 0, 256)).U8(version).U64(g.batch).Raw(g.epoch[:]).U16(g.confirmed)
	g.days.write(w)
	return w.Out()
}

func parseGlobal(b []byte) (g global, err error) {
	r := wire.NewReader(b)
	readVersion(r)
	g = global{batch: r.U64(), epoch: r.A16(), confirmed: r.U16(), days: readDays(r)}
	return g, readErr("global", r)
}

func readVersion(r *wire.Reader) {
	if r.U8() != version {
		r.Fail("unknown version")
	}
}

func readErr(what string, r *wire.Reader) error {
	if err := r.Close(); err != nil {
		return fmt.Errorf("shelf: %s record: %w", what, err)
	}
	return nil
}
