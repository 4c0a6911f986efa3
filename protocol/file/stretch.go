package file

import (
	"fmt"
	"io"

	"rushlight/protocol/envelope"
	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

// A file goes through a relay in stretches (spec §15.5): its sealed pieces,
// each in a place of its own of [Slot] bytes, cut regardless of where pieces
// end, so that an envelope is full.

// Stretch is how much of that goes in one envelope.
const Stretch = 65_485

// kindStretch is the kind of payload that holds a stretch (spec §7.6).
const kindStretch = 3

const (
	labelMailed  suite.Label = "rushlight/file/mailed/1"
	labelStretch suite.Label = "rushlight/file/stretch/1"
)

// end is where the last piece ends.
func (l Layout) end() int64 { return l.Offset(l.Root()) + int64(l.Sealed(l.Root())) }

// Stretches is how many there are.
func (l Layout) Stretches() uint32 { return uint32((l.end() + Stretch - 1) / Stretch) }

// StretchAt is where stretch n begins, and its length.
func (l Layout) StretchAt(n uint32) (at int64, length int) {
	at = int64(n) * Stretch
	return at, int(min(Stretch, l.end()-at))
}

// StretchesOf are the first and the last stretch with something of piece i.
func (l Layout) StretchesOf(i uint32) (first, last uint32) {
	at := l.Offset(i)
	return uint32(at / Stretch), uint32((at + int64(l.Sealed(i)) - 1) / Stretch)
}

// PiecesIn calls fn for the one or two pieces of which stretch n has
// something: the bytes from, to of the stretch stand at offset at of piece i.
func (l Layout) PiecesIn(n uint32, fn func(i uint32, at, from, to int)) {
	start, length := l.StretchAt(n)
	for i := uint32(start / Slot); i < l.total && l.Offset(i) < start+int64(length); i++ {
		low, high := max(start, l.Offset(i)), min(start+int64(length), l.Offset(i)+int64(l.Sealed(i)))
		if low < high {
			fn(i, int(low-l.Offset(i)), int(low-start), int(high-start))
		}
	}
}

// ReadStretch reads a stretch of a file whose sealed pieces lie in r.
func (l Layout) ReadStretch(dst []byte, r io.ReaderAt, n uint32) ([]byte, error) {
	at, length := l.StretchAt(n)
	if length <= 0 {
		return nil, fmt.Errorf("%w: no such stretch of a file", wire.ErrMalformed)
	}
	dst = dst[:length]
	_, err := io.ReadFull(io.NewSectionReader(r, at, int64(length)), dst)
	return dst, err
}

// Mailing has the keys of the stretches of a file that a device gets by way of
// relays. They follow from the file's key: nothing needs to be kept.
type Mailing struct{ key [32]byte }

// Mailing returns the keys for one device.
func (k Key) Mailing(device [16]byte) Mailing {
	return Mailing{[32]byte(suite.Expand(k, 32, labelMailed, device[:]))}
}

func (m Mailing) stretch(n uint32) [32]byte {
	return suite.MAC(m.key[:], labelStretch, wire.NewWriter(make([]byte, 0, 4)).U32(n).Out())
}

// Tag is that of the envelope of stretch n at a relay.
func (m Mailing) Tag(relay [32]byte, n uint32) [16]byte { return envelope.TagFor(m.stretch(n), relay) }

// Seal appends the envelope of stretch n for a relay to dst. It is the same each
// time, since a stretch of one file is. The stretch stands in payload behind one
// byte, which is set here.
func (m Mailing) Seal(dst []byte, relay [32]byte, n uint32, payload []byte) ([]byte, error) {
	payload[0] = kindStretch
	return envelope.Seal(dst, envelope.KeysFor(m.stretch(n), relay), envelope.L, payload)
}

// Open returns the stretch in an envelope of [Mailing.Seal]: [ErrPiece] for
// anything else.
func (m Mailing) Open(relay [32]byte, n uint32, env []byte) ([]byte, error) {
	p, err := envelope.Open(envelope.KeysFor(m.stretch(n), relay), envelope.L, env)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPiece, err)
	}
	if len(p) < 2 || p[0] != kindStretch {
		return nil, fmt.Errorf("%w: other kind of payload", ErrPiece)
	}
	return p[1:], nil
}
