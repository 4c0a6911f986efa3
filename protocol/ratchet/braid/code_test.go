package braid

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// TestField checks the arithmetic against its definition: polynomials over
// GF(2) modulo 0x1100b.
func TestField(t *testing.T) {
	slow := func(a, b uint16) uint16 {
		var p uint32
		for i := range 16 {
			if b>>i&1 == 1 {
				p ^= uint32(a) << i
			}
		}
		for i := 31; i >= 16; i-- {
			if p>>i&1 == 1 {
				p ^= 0x1100b << (i - 16)
			}
		}
		return uint16(p)
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Uint16().Draw(t, "a"), rapid.Uint16().Draw(t, "b")
		if mul(a, b) != slow(a, b) {
			t.Fatalf("%#x·%#x = %#x, want %#x", a, b, mul(a, b), slow(a, b))
		}
		var pieces [maxChunks]piece
		var weights [maxChunks]uint16
		var want Chunk
		count := rapid.IntRange(1, maxChunks).Draw(t, "count")
		for i := range count {
			weights[i] = a * uint16(2*i+1)
			for j := range pieces[i].data {
				pieces[i].data[j] = byte(b)*byte(i+1) + byte(j)*byte(b>>8)
			}
			for j := 0; j < len(want); j += 2 {
				v := slow(weights[i], uint16(pieces[i].data[j])<<8|uint16(pieces[i].data[j+1]))
				want[j] ^= byte(v >> 8)
				want[j+1] ^= byte(v)
			}
		}
		if combine(pieces[:count], &weights) != want {
			t.Fatal("combine differs from the definition")
		}
	})
	for a := 1; a < 1<<16; a++ {
		if mul(uint16(a), invert(uint16(a))) != 1 {
			t.Fatalf("%#x has a wrong inverse", a)
		}
	}
}

// TestErasures restores texts from any sufficient set of chunks in any order.
func TestErasures(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom([]int{1, 96, 160, 192, 193, 960, 1152, 1300, 8 * ChunkSize}).Draw(t, "size")
		text := rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "text")
		need := chunksFor(len(text))
		numbers := rapid.SliceOfNDistinct(rapid.Uint16Range(0, indexes-1), need, need, rapid.ID).Draw(t, "numbers")
		c := collector{size: len(text)}
		for i, x := range numbers {
			chunk := encodeChunk(text, x)
			got := c.add(x, &chunk)
			if i < need-1 {
				c.add(x, &chunk)
				if got != nil || c.text() != nil {
					t.Fatal("complete too early")
				}
			} else if !bytes.Equal(got, text) {
				t.Fatal("wrong text")
			}
		}
		var more Chunk
		c.add(indexes-1, &more)
		if len(c.pieces) > need || !bytes.Equal(c.text(), text) {
			t.Fatal("a superfluous chunk changed the text")
		}
	})
}

// FuzzReedSolomon takes the text and the numbers of the chunks from the input.
func FuzzReedSolomon(f *testing.F) {
	f.Add([]byte("text"), []byte{0, 0})
	f.Add(bytes.Repeat([]byte{7}, 1152), []byte{0, 9, 1, 1, 31, 255, 0, 2, 0, 3, 0, 4, 0, 0})
	f.Fuzz(func(t *testing.T, text, numbers []byte) {
		if len(text) == 0 || len(text) > 1300 {
			return
		}
		c := collector{size: len(text)}
		seen := map[uint16]bool{}
		for ; len(numbers) >= 2; numbers = numbers[2:] {
			x := (uint16(numbers[0])<<8 | uint16(numbers[1])) % indexes
			chunk := encodeChunk(text, x)
			got := c.add(x, &chunk)
			seen[x] = true
			if complete := len(seen) >= chunksFor(len(text)); complete != (got != nil) {
				t.Fatalf("%d chunks of %d: complete %v", len(seen), chunksFor(len(text)), got != nil)
			}
			if got != nil && !bytes.Equal(got, text) {
				t.Fatal("wrong text")
			}
		}
	})
}

func BenchmarkParityChunk(b *testing.B) {
	text := make([]byte, 1152)
	for b.Loop() {
		encodeChunk(text, 4711)
	}
}

// BenchmarkHeaderChunk is what a side sends with every message while the other
// is silent.
func BenchmarkHeaderChunk(b *testing.B) {
	text := make([]byte, headerMACSize)
	for b.Loop() {
		encodeChunk(text, 77)
	}
}
