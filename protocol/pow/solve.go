package pow

import (
	"encoding/binary"
)

// Solver looks for proofs. It holds about 5 MiB and is for one goroutine.
type Solver struct {
	lists [3][]row
	count []uint32 // rows of each bucket, then where it ends
	order []uint32 // rows by bucket
}

// row is a sum of values whose lowest bits are zero and have been shifted
// away, and which two rows of the list before it came from.
type row struct {
	sum  uint64
	a, b uint32
}

// rowsKept bounds a list; there are as many on average as in the list before.
const rowsKept = 2 * listSize

// NewSolver returns a solver.
func NewSolver() *Solver {
	s := &Solver{count: make([]uint32, 1<<stepBits+1), order: make([]uint32, rowsKept)}
	for i := range s.lists {
		s.lists[i] = make([]row, 0, rowsKept)
	}
	return s
}

// Solve looks through the list of one nonce and returns a proof worth the
// effort, if there is one. A list takes a few milliseconds and has two
// solutions on average, so the caller goes through about effort/2 nonces,
// beginning at a random one (spec §11.5).
func (s *Solver) Solve(challenge [32]byte, nonce uint64, effort uint32) (p Proof, ok bool) {
	if effort == 0 {
		return p, false
	}
	list := s.lists[0][:0]
	for b := range uint32(listSize / perHash) {
		h := block(&challenge, nonce, b)
		for i := range perHash {
			list = append(list, row{sum: value(&h, i)})
		}
	}
	s.lists[0] = list
	s.lists[1] = s.pairs(s.lists[1][:0], s.lists[0], valueBits)
	s.lists[2] = s.pairs(s.lists[2][:0], s.lists[1], valueBits-stepBits)
	s.last(func(i, j uint32) bool {
		p = s.proof(nonce, i, j)
		ok = solves(&challenge, &p) && passes(&challenge, &p, effort)
		return !ok
	})
	if !ok {
		return Proof{}, false
	}
	return p, true
}

const stepMask = 1<<stepBits - 1

// sort puts the rows of a list in order by their lowest bits; the rows of
// bucket b are order[count[b]:count[b+1]].
func (s *Solver) sort(list []row) {
	clear(s.count)
	for i := range list {
		s.count[list[i].sum&stepMask+1]++
	}
	for b := 1; b < len(s.count); b++ {
		s.count[b] += s.count[b-1]
	}
	var next [1 << stepBits]uint32
	copy(next[:], s.count)
	for i := range list {
		b := list[i].sum & stepMask
		s.order[next[b]] = uint32(i)
		next[b]++
	}
}

func (s *Solver) bucket(b uint32) []uint32 { return s.order[s.count[b]:s.count[b+1]] }

// pairs appends to out the sums of two rows of the list whose lowest bits are
// zero; bits is how many the list's sums have.
func (s *Solver) pairs(out, list []row, bits uint) []row {
	s.sort(list)
	mask := uint64(1)<<bits - 1
	for b := range uint32(1 << stepBits) {
		other := (1<<stepBits - b) & stepMask
		if other < b {
			break
		}
		right := s.bucket(other)
		for n, i := range s.bucket(b) {
			if other == b {
				right = s.bucket(b)[n+1:]
			}
			for _, j := range right {
				if len(out) == rowsKept {
					return out
				}
				out = append(out, row{sum: (list[i].sum + list[j].sum) & mask >> stepBits, a: i, b: j})
			}
		}
	}
	return out
}

// last calls found for each two rows of the last list whose sum is zero, until
// it returns false.
func (s *Solver) last(found func(i, j uint32) bool) {
	list := s.lists[2]
	s.sort(list)
	const mask = 1<<(valueBits-2*stepBits) - 1
	for b := range uint32(1 << stepBits) {
		for _, i := range s.bucket(b) {
			for _, j := range s.bucket((1<<stepBits - b) & stepMask) {
				if i < j && (list[i].sum+list[j].sum)&mask == 0 && !found(i, j) {
					return
				}
			}
		}
	}
}

// proof collects the indexes below two rows of the last list and puts them in
// their order.
func (s *Solver) proof(nonce uint64, i, j uint32) (p Proof) {
	var idx [indexes]uint16
	at := 0
	for _, r2 := range []uint32{i, j} {
		for _, r1 := range []uint32{s.lists[2][r2].a, s.lists[2][r2].b} {
			idx[at], idx[at+1] = uint16(s.lists[1][r1].a), uint16(s.lists[1][r1].b)
			at += 2
		}
	}
	for width := 1; width < indexes; width *= 2 {
		for i := 0; i < indexes; i += 2 * width {
			if idx[i] > idx[i+width] {
				for k := i; k < i+width; k++ {
					idx[k], idx[k+width] = idx[k+width], idx[k]
				}
			}
		}
	}
	binary.BigEndian.PutUint64(p[:], nonce)
	for k, n := range idx {
		binary.BigEndian.PutUint16(p[8+2*k:], n)
	}
	return p
}
