package braid

import "slices"

// ChunkSize is the length of a chunk in bytes: 96 field elements, each on its
// own polynomial (spec §6.3).
const ChunkSize = 192

// indexes is how many chunks a text has before their numbers start again.
const indexes = 1 << 13

// maxChunks bounds how many chunks a text may need.
const maxChunks = 8

// Chunk is one symbol of the erasure code.
type Chunk [ChunkSize]byte

// chunksFor is how many chunks carry size bytes: so many restore the text.
func chunksFor(size int) int { return (size + ChunkSize - 1) / ChunkSize }

// encodeChunk returns chunk number index of a text: slice number index of the
// text, padded with zeros, while there are such slices, and beyond them the
// value at index of the polynomials through the slices.
func encodeChunk(text []byte, index uint16) (out Chunk) {
	count := chunksFor(len(text))
	if int(index) < count {
		copy(out[:], text[int(index)*ChunkSize:])
		return out
	}
	var pieces [maxChunks]piece
	for i := range count {
		pieces[i].index = uint16(i)
		copy(pieces[i].data[:], text[i*ChunkSize:])
	}
	return interpolate(pieces[:count], index)
}

// piece is a chunk with its number.
type piece struct {
	index uint16
	data  Chunk
}

// interpolate evaluates at x the polynomials of lowest degree through the
// pieces. x must not be one of their numbers.
func interpolate(pieces []piece, x uint16) (out Chunk) {
	if len(pieces) == 1 {
		return pieces[0].data // a constant
	}
	// The weight of piece i is Π(x−xⱼ) / dᵢ over all j, where dᵢ is
	// (x−xᵢ)·Π(xᵢ−xⱼ) over j ≠ i. One inversion serves all dᵢ: before[i] is
	// the product of those in front of i.
	var den, before, weights [maxChunks]uint16
	numerator, product := uint16(1), uint16(1)
	for i := range pieces {
		d := x ^ pieces[i].index
		numerator = mul(numerator, d)
		for j := range pieces {
			if i != j {
				d = mul(d, pieces[i].index^pieces[j].index)
			}
		}
		den[i], before[i] = d, product
		product = mul(product, d)
	}
	rest := mul(numerator, invert(product))
	for i := len(pieces) - 1; i >= 0; i-- {
		weights[i] = mul(rest, before[i])
		rest = mul(rest, den[i])
	}
	return combine(pieces, &weights)
}

// collector gathers the chunks of one text whose length both sides know. It
// never holds more chunks than the text has slices. Its pieces are replaced,
// never written to, so a copy of the struct is a snapshot.
type collector struct {
	size   int     // of the text, in bytes; 0 when nothing is awaited
	pieces []piece // ascending by index, fewer than or equal to chunksFor(size)
}

// add takes a chunk and returns the text once it is complete, else nil. A
// number that is there already is ignored.
func (c *collector) add(index uint16, data *Chunk) []byte {
	i, found := slices.BinarySearchFunc(c.pieces, index, func(p piece, x uint16) int { return int(p.index) - int(x) })
	if !found && len(c.pieces) < chunksFor(c.size) {
		next := make([]piece, 0, len(c.pieces)+1)
		next = append(next, c.pieces[:i]...)
		next = append(next, piece{index, *data})
		c.pieces = append(next, c.pieces[i:]...)
	}
	return c.text()
}

// text returns the text, or nil when chunks are missing.
func (c *collector) text() []byte {
	count := chunksFor(c.size)
	if len(c.pieces) < count || count == 0 {
		return nil
	}
	out := make([]byte, 0, count*ChunkSize)
	next := 0
	for i := range uint16(count) {
		if next < len(c.pieces) && c.pieces[next].index == i {
			out = append(out, c.pieces[next].data[:]...)
			next++
			continue
		}
		d := interpolate(c.pieces, i)
		out = append(out, d[:]...)
	}
	return out[:c.size]
}
