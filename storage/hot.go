package storage

import "time"

// hot keeps what the writer wrote last, as it was before it was sealed: it
// reads most of it again with the next transaction, and reading it back costs a
// search in the database and a decryption. It belongs to the writer.
type hot struct {
	values map[string]hotValue
	order  []string // the oldest first; a key may stand in it twice
	bytes  int      // of the values
}

type hotValue struct {
	value   []byte
	expires time.Time
}

// How much is kept, until keys are destroyed next, which is half a minute while
// anything is written: what waits for a contact who takes it more slowly than it
// is written, so that its acknowledgements needn't look it up.
const (
	maxHot      = 32 << 10
	maxHotBytes = 16 << 20
)

// isHot says which records are read again soon: states, the outbox, and the
// families of conversations and message ids.
func isHot(key Key) bool {
	return isState(key) || key[0] == familyConversation || key[0] == familyIndex
}

const familyConversation, familyIndex = 0x40, 0x42

// took takes over the values of a transaction on its way.
func (h *hot) took(ops []op) {
	if h.values == nil {
		h.values = map[string]hotValue{}
	}
	for i := range ops {
		o := &ops[i]
		if !isHot(o.key) {
			continue
		}
		k := string(o.key)
		old, had := h.values[k]
		clear(old.value)
		h.bytes -= len(old.value)
		if o.delete || len(o.value) > 8<<10 {
			delete(h.values, k)
			continue
		}
		if cap(old.value) < len(o.value) {
			old.value = make([]byte, 0, len(o.value))
		}
		h.values[k] = hotValue{value: append(old.value[:0], o.value...), expires: o.expires}
		h.bytes += len(o.value)
		if !had {
			h.order = append(h.order, k)
		}
	}
	for len(h.order) > maxHot || h.bytes > maxHotBytes {
		k := h.order[0]
		h.order = h.order[1:]
		old := h.values[k].value
		clear(old)
		h.bytes -= len(old)
		delete(h.values, k)
	}
}

// forget drops everything.
func (h *hot) forget() {
	for _, v := range h.values {
		clear(v.value)
	}
	h.values, h.order, h.bytes = nil, nil, 0
}
