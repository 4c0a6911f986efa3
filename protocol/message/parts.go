package message

import (
	"fmt"

	"rushlight/protocol/file"
	"rushlight/protocol/wire"
)

// Limits of files that go by mail (spec §15.5).
const (
	// PartSize is the length of a part of a sealed piece, but of its last one.
	// One fits an envelope of class M.
	PartSize = 13_312
	// MaxParts is how many parts go unasked at once.
	MaxParts = 48
)

// Part names a part of a sealed piece of a file: where it begins is a multiple
// of [PartSize].
type Part struct{ Piece, Offset uint32 }

// FilePart is one part.
type FilePart struct {
	Message ID
	Nth     uint8
	Part
	Bytes []byte
}

func checkPart(p Part, nth uint8) error {
	if p.Offset%PartSize != 0 || p.Offset >= file.Slot || nth >= MaxFiles {
		return fmt.Errorf("%w: no such part of a file", wire.ErrMalformed)
	}
	return nil
}

func (p *FilePart) check() error {
	if len(p.Bytes) == 0 || len(p.Bytes) > PartSize || int(p.Offset)+len(p.Bytes) > file.Slot {
		return fmt.Errorf("%w: part of a wrong length", wire.ErrMalformed)
	}
	return checkPart(p.Part, p.Nth)
}

func (p *FilePart) append(w *wire.Writer) error {
	w.Raw(p.Message[:]).U8(p.Nth).U32(p.Piece).U32(p.Offset).Vec16(p.Bytes)
	return p.check()
}

func parseFilePart(content []byte) (*FilePart, error) {
	r := wire.NewReader(content)
	p := &FilePart{Message: r.A16(), Nth: r.U8(), Part: Part{r.U32(), r.U32()}, Bytes: r.Vec16(PartSize)}
	if err := r.Close(); err != nil {
		return nil, err
	}
	return p, p.check()
}
