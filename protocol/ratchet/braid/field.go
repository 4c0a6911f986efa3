package braid

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

// addScaled adds l·src to dst, both sequences of big-endian field elements of
// one length.
func addScaled(dst, src *Chunk, l uint16) {
	// product[i][v] is l·(v·16^i), so a product is four look-ups.
	var product [4][16]uint16
	for i := range product {
		for bit := 1; bit < 16; bit <<= 1 {
			for low := range bit {
				product[i][bit|low] = product[i][low] ^ l
			}
			l = double(l)
		}
	}
	for i := 0; i < len(dst); i += 2 {
		hi, lo := src[i], src[i+1]
		v := product[3][hi>>4] ^ product[2][hi&15] ^ product[1][lo>>4] ^ product[0][lo&15]
		dst[i] ^= byte(v >> 8)
		dst[i+1] ^= byte(v)
	}
}
