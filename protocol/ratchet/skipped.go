package ratchet

import (
	"slices"

	"rushlight/protocol/wire"
)

// waiting is the key of a message that has not arrived.
type waiting struct {
	n   uint32
	key [32]byte
}

// find returns the position of message n in a list in ascending order.
func find(list []waiting, n uint32) (int, bool) {
	return slices.BinarySearchFunc(list, n, func(w waiting, n uint32) int {
		switch {
		case w.n < n:
			return -1
		case w.n > n:
			return 1
		}
		return 0
	})
}

// remove deletes and erases the key at position i.
func remove(list []waiting, i int) []waiting {
	return slices.Delete(list, i, i+1)
}

// dropFirst deletes and erases up to n keys at the front of a list and
// returns how many are still to be dropped.
func dropFirst(list *[]waiting, n int) int {
	k := min(n, len(*list))
	if k > 0 {
		*list = slices.Delete(*list, 0, k)
	}
	return n - k
}

// walk steps a chain from message from to message to. It returns the keys of
// the messages in between, that of message to, and the chain key after it.
// The chain itself is not touched: the caller stores the result when the
// message has proved authentic.
func walk(ck [32]byte, from, to uint32, step func(ck *[32]byte, n uint32) (key [32]byte)) ([]waiting, [32]byte, [32]byte) {
	var between []waiting
	if to > from {
		between = make([]waiting, 0, to-from)
	}
	for n := from; n < to; n++ {
		between = append(between, waiting{n, step(&ck, n)})
	}
	key := step(&ck, to)
	return between, key, ck
}

func marshalWaiting(w *wire.Writer, list []waiting) {
	w.U16(uint16(len(list)))
	for i := range list {
		w.U32(list[i].n).Raw(list[i].key[:])
	}
}

// parseWaiting reads a list of which all numbers are below the given one.
func parseWaiting(r *wire.Reader, below uint32) []waiting {
	count := int(r.U16())
	if count > MaxStored || count*36 > r.Len() {
		r.Fail("too many stored keys")
		return nil
	}
	var list []waiting
	if count > 0 {
		list = make([]waiting, count)
	}
	for i := range list {
		list[i] = waiting{r.U32(), r.A32()}
		if list[i].n >= below || i > 0 && list[i].n <= list[i-1].n {
			r.Fail("stored keys out of order")
			return nil
		}
	}
	return list
}
