package braid

import "encoding/binary"

// Arithmetic in GF(2^16) with the polynomial x^16 + x^12 + x^3 + x + 1
// (0x1100b). All values that pass here are known to both parties, so nothing
// depends on constant time. There are no global tables: the few products a
// chunk needs do not pay for filling them.

const reduction = 0x100b

// double is a·x.
func double(a uint16) uint16 {
	return a<<1 ^ a>>15*reduction
}

// mul is a·b.
func mul(a, b uint16) (p uint16) {
	for ; b != 0; b >>= 1 {
		p ^= -(b & 1) & a
		a = double(a)
	}
	return p
}

// invert is a⁻¹ = a^(2^16−2); 0 for 0.
func invert(a uint16) uint16 {
	r := uint16(1)
	for range 15 {
		a = mul(a, a)
		r = mul(r, a)
	}
	return r
}

// double4 is a·x for four elements in one word.
func double4(a uint64) uint64 {
	const top = 0x8000_8000_8000_8000
	return a&^top<<1 ^ a&top>>15*reduction
}

// combine is the sum of the pieces, each times its weight.
func combine(pieces []piece, weights *[maxChunks]uint16) (out Chunk) {
	const words = ChunkSize / 8
	var data [maxChunks][words]uint64
	for i := range pieces {
		for w := range data[i] {
			data[i][w] = binary.BigEndian.Uint64(pieces[i].data[8*w:])
		}
	}
	// All products at once, from the highest bit of the weights down.
	var sum [words]uint64
	for bit := 15; bit >= 0; bit-- {
		for w := range sum {
			sum[w] = double4(sum[w])
		}
		for i := range pieces {
			if weights[i]>>bit&1 == 0 {
				continue
			}
			for w := range sum {
				sum[w] ^= data[i][w]
			}
		}
	}
	for w := range sum {
		binary.BigEndian.PutUint64(out[8*w:], sum[w])
	}
	return out
}
