// Package file is how a file of any size becomes pieces that anybody may carry:
// its division into chunks, their encryption and names, the tree of names that
// one hash stands for, and what is said on a stream to fetch them.
//
// It is not a transfer and not a store: it computes, and remembers nothing. It
// promises that a piece which bears the right name is the sender's, whoever
// brought it; that pieces say nothing of the file to who has not got its key;
// and that whatever it decodes is bounded (spec §15).
package file

import (
	"encoding/binary"
	"errors"
	"fmt"

	"rushlight/protocol/suite"
)

// Sizes (spec §15.1).
const (
	// ChunkSize is how much of a file one chunk holds.
	ChunkSize = 256 << 10
	// PartSize is where within a chunk a transfer may go on.
	PartSize = 64 << 10
	// Slot is the length of the longest sealed piece.
	Slot = ChunkSize + suite.OnceOverhead
	// MaxSize is that of the largest file.
	MaxSize = 1 << 40

	padTo = 4096
	// fanout is how many names one piece of the tree holds.
	fanout = ChunkSize / 32
)

const (
	labelChunk suite.Label = "rushlight/file/chunk/1"
	labelName  suite.Label = "rushlight/file/name/1"
	labelPlace suite.Label = "rushlight/file/place/1"
)

// ErrPiece: a piece is not what its name says, or does not open.
var ErrPiece = errors.New("file: a piece is not the right one")

// Key opens the pieces of one file. It is random, and used for nothing else.
type Key [32]byte

// NewKey makes a key.
func NewKey() (k Key) { suite.Random(k[:]); return k }

// Name is the hash of a sealed piece.
type Name [32]byte

// NameOf names a sealed piece (spec §15.2).
func NameOf(sealed []byte) Name { return suite.HashLong(labelName, sealed) }

// Place is where a device keeps the pieces of a file. It says nothing to who
// has not got the key.
func (k Key) Place() [16]byte { return [16]byte(suite.Expand(k, 16, labelPlace)) }

// Layout is how a file of some size is divided (spec §15.1): its chunks, then
// the pieces of each level of the tree over their names. The last piece of all
// is the root.
type Layout struct {
	size   uint64
	levels []uint32 // where each level begins; the last is the root's
	total  uint32
}

// NewLayout divides a file of size bytes, at most [MaxSize].
func NewLayout(size uint64) (Layout, error) {
	if size > MaxSize {
		return Layout{}, fmt.Errorf("file: larger than %d bytes", uint64(MaxSize))
	}
	l := Layout{size: size}
	for n := max(1, (size+ChunkSize-1)/ChunkSize); ; n = (n + fanout - 1) / fanout {
		l.levels = append(l.levels, l.total)
		l.total += uint32(n)
		if n == 1 {
			return l, nil
		}
	}
}

// Size is the length of the file.
func (l Layout) Size() uint64 { return l.size }

// Pieces is how many pieces there are.
func (l Layout) Pieces() uint32 { return l.total }

// Chunks is how many of them, the first ones, hold the file itself.
func (l Layout) Chunks() uint32 {
	if len(l.levels) == 1 {
		return l.total
	}
	return l.levels[1]
}

// Root is the number of the root.
func (l Layout) Root() uint32 { return l.total - 1 }

// level is the level of a piece; 0 are the chunks.
func (l Layout) level(i uint32) int {
	for n := len(l.levels) - 1; ; n-- {
		if i >= l.levels[n] {
			return n
		}
	}
}

// Children are the pieces whose names a piece of the tree holds, none for a
// chunk.
func (l Layout) Children(i uint32) (first, n uint32) {
	k := l.level(i)
	if k == 0 {
		return 0, 0
	}
	first = l.levels[k-1] + (i-l.levels[k])*fanout
	return first, min(fanout, l.levels[k]-first)
}

// Parent is the piece that holds the name of a piece, and which of its names
// that is; the root has none.
func (l Layout) Parent(i uint32) (parent, nth uint32) {
	k := l.level(i)
	at := i - l.levels[k]
	return l.levels[k+1] + at/fanout, at % fanout
}

// Plain is the length of what a piece holds, without padding.
func (l Layout) Plain(i uint32) int {
	if _, n := l.Children(i); n > 0 {
		return int(n) * 32
	}
	return int(min(l.size-uint64(i)*ChunkSize, ChunkSize))
}

// Sealed is the length of a sealed piece.
func (l Layout) Sealed(i uint32) int { return padded(l.Plain(i)) + suite.OnceOverhead }

// padded is a length filled up to a multiple of 4 KiB, and at least that.
func padded(n int) int { return max(1, (n+padTo-1)/padTo) * padTo }

// Offset is where a piece begins when sealed pieces are laid one after another.
func (l Layout) Offset(i uint32) int64 { return int64(i) * Slot }

// pieceKey is the key of one piece (spec §15.2).
func (k Key) pieceKey(i uint32) []byte {
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], i)
	return suite.Expand(k, 32, labelChunk, n[:])
}

// Seal seals what piece i holds, which is [Layout.Plain] bytes, and appends it
// to dst; plain may be overwritten up to its padded length. A key seals one file.
func (l Layout) Seal(dst []byte, k Key, i uint32, plain []byte) []byte {
	n := len(plain)
	if want := padded(n); cap(plain) >= want {
		plain = plain[:want]
		clear(plain[n:])
	} else {
		plain = append(plain, make([]byte, want-n)...)
	}
	return suite.SealOnce(dst, k.pieceKey(i), nil, plain)
}

// Open opens piece i and appends what it holds to dst. It may overwrite sealed
// when dst is sealed[:0]. The error is [ErrPiece].
func (l Layout) Open(dst []byte, k Key, i uint32, sealed []byte) ([]byte, error) {
	if len(sealed) != l.Sealed(i) {
		return nil, fmt.Errorf("%w: bad length", ErrPiece)
	}
	at := len(dst)
	out, err := suite.OpenOnce(dst, k.pieceKey(i), nil, sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPiece, err)
	}
	end := at + l.Plain(i)
	for _, b := range out[end:] {
		if b != 0 {
			return nil, fmt.Errorf("%w: padding", ErrPiece)
		}
	}
	return out[:end], nil
}
