package storage

import (
	"encoding/binary"
	"hash/maphash"
	"time"
)

// hot keeps what the writer wrote last, as it was before it was sealed: it
// reads most of it again with the next transaction, and reading it back costs a
// search in the database and a decryption. It belongs to the writer.
//
// Its records stand one behind the other in pieces of memory, found by a hash of
// their key: there is not one pointer that the collector would have to follow.
// What isn't found here is in the database, so two keys with one hash only push
// each other out.
type hot struct {
	at     map[uint64]uint64 // where the newest record under a hash stands
	pieces [][]byte          // the oldest first
	first  uint64            // the number of pieces[0]
}

// How much is kept, until keys are destroyed next, which is half a minute while
// anything is written: what waits for a contact who takes it more slowly than it
// is written, so that its acknowledgements needn't look it up.
const (
	hotPiece    = 64 << 10
	maxHotBytes = 16 << 20
	maxHotValue = 8 << 10
)

// A record is hash u64 ‖ expires u64, Unix ms + 1 or 0 for never ‖ room u16 ‖
// value's length u16 ‖ key's length u16 ‖ key ‖ value and what is free of its
// room.
const hotHead = 8 + 8 + 3*2

type hotRecord []byte

func (r hotRecord) hash() uint64     { return binary.NativeEndian.Uint64(r) }
func (r hotRecord) number(i int) int { return int(binary.NativeEndian.Uint16(r[16+2*i:])) }
func (r hotRecord) key() []byte      { return r[hotHead:][:r.number(2)] }
func (r hotRecord) room() []byte     { return r[hotHead+r.number(2):][:r.number(0)] }
func (r hotRecord) value() []byte    { return r.room()[:r.number(1)] }
func (r hotRecord) size() int        { return hotHead + r.number(2) + r.number(0) }

func (r hotRecord) expires() time.Time {
	at := binary.NativeEndian.Uint64(r[8:])
	if at == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(at - 1))
}

// set replaces the value, for which there is room.
func (r hotRecord) set(value []byte, expires time.Time) {
	at := uint64(0)
	if !expires.IsZero() {
		at = uint64(expires.UnixMilli()) + 1
	}
	binary.NativeEndian.PutUint64(r[8:], at)
	binary.NativeEndian.PutUint16(r[18:], uint16(len(value)))
	room := r.room()
	clear(room[copy(room, value):])
}

// isHot says which records are read again soon: states, the outbox, and the
// families of conversations and message ids.
func isHot(key Key) bool {
	return isState(key) || key[0] == familyConversation || key[0] == familyIndex
}

const familyConversation, familyIndex = 0x40, 0x42

var hotSeed = maphash.MakeSeed()

// keyHash is another one in each process.
func keyHash(key Key) uint64 { return maphash.Bytes(hotSeed, key) }

// record is the one that stands at a place.
func (h *hot) record(at uint64) hotRecord {
	return h.pieces[at/hotPiece-h.first][at%hotPiece:]
}

// find returns the record under a hash, and whether it is that of the key.
func (h *hot) find(hash uint64, key Key) (r hotRecord, same bool) {
	at, ok := h.at[hash]
	if !ok {
		return nil, false
	}
	r = h.record(at)
	return r, string(r.key()) == string(key)
}

// get returns a record that is there; the value must be copied.
func (h *hot) get(key Key) (value []byte, expires time.Time, ok bool) {
	if len(h.at) == 0 || !isHot(key) {
		return nil, time.Time{}, false
	}
	r, same := h.find(keyHash(key), key)
	if !same {
		return nil, time.Time{}, false
	}
	return r.value(), r.expires(), true
}

// took takes over the values of a transaction on its way.
func (h *hot) took(ops []op) {
	if h.at == nil {
		h.at = map[uint64]uint64{}
	}
	for i := range ops {
		o := &ops[i]
		if !isHot(o.key) {
			continue
		}
		hash := keyHash(o.key)
		r, same := h.find(hash, o.key)
		switch keep := !o.delete && len(o.value) <= maxHotValue; {
		case keep && same && len(o.value) <= r.number(0):
			r.set(o.value, o.expires)
		case keep:
			if r != nil {
				clear(r.room())
			}
			h.add(hash, o)
		case same:
			clear(r.room())
			delete(h.at, hash)
		}
	}
}

// add puts a record behind the others.
func (h *hot) add(hash uint64, o *op) {
	room := (len(o.value) + 31) &^ 31 // states change their length by little
	n := hotHead + len(o.key) + room
	if last := len(h.pieces) - 1; last < 0 || len(h.pieces[last])+n > hotPiece {
		h.pieces = append(h.pieces, h.piece())
	}
	last := len(h.pieces) - 1
	p, from := h.pieces[last], len(h.pieces[last])
	p = p[:from+n]
	h.pieces[last] = p
	r := hotRecord(p[from:])
	binary.NativeEndian.PutUint64(r, hash)
	binary.NativeEndian.PutUint16(r[16:], uint16(room))
	binary.NativeEndian.PutUint16(r[20:], uint16(len(o.key)))
	copy(r.key(), o.key)
	r.set(o.value, o.expires)
	h.at[hash] = (h.first+uint64(last))*hotPiece + uint64(from)
}

// piece is an empty piece: the oldest, when there are enough.
func (h *hot) piece() []byte {
	if len(h.pieces) < maxHotBytes/hotPiece {
		return make([]byte, 0, hotPiece)
	}
	p := h.pieces[0]
	for off := 0; off < len(p); {
		r := hotRecord(p[off:])
		if h.at[r.hash()] == h.first*hotPiece+uint64(off) {
			delete(h.at, r.hash())
		}
		off += r.size()
	}
	h.pieces, h.first = h.pieces[1:], h.first+1
	clear(p)
	return p[:0]
}

// forget drops everything.
func (h *hot) forget() {
	for _, p := range h.pieces {
		clear(p)
	}
	*h = hot{}
}
