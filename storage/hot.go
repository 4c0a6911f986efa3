package storage

import "time"

// hot keeps what the writer committed last, as it was before it was sealed: it
// reads most of it again with the next transaction, and reading it back costs a
// search in the database and a decryption. It belongs to the writer.
type hot struct {
	values map[string]hotValue
	order  []string // the oldest first; a key may stand in it twice
}

type hotValue struct {
	value   []byte
	expires time.Time
}

// maxHot is how many records are kept.
const maxHot = 2048

// isHot says which records are read again soon: states, the outbox, and the
// families of conversations and message ids.
func isHot(key Key) bool {
	return isState(key) || key[0] == familyConversation || key[0] == familyIndex
}

const familyConversation, familyIndex = 0x40, 0x42

// took takes over the values of a committed transaction.
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
		if o.delete || len(o.value) > 8<<10 {
			delete(h.values, k)
			continue
		}
		h.values[k] = hotValue{value: append(make([]byte, 0, len(o.value)), o.value...), expires: o.expires}
		if !had {
			h.order = append(h.order, k)
		}
	}
	for len(h.order) > maxHot {
		k := h.order[0]
		h.order = h.order[1:]
		clear(h.values[k].value)
		delete(h.values, k)
	}
}

// forget drops everything.
func (h *hot) forget() {
	for _, v := range h.values {
		clear(v.value)
	}
	h.values, h.order = nil, nil
}
