package message

import (
	"fmt"

	"rushlight/protocol/file"
	"rushlight/protocol/stamp"
	"rushlight/protocol/wire"
)

// Limits of a [FileOrder] (spec §15.5). The largest fits an envelope of class M.
const (
	MaxOrdered = 256
	maxRuns    = 32
)

// FileOrder asks the other side of a conversation to leave stretches of a file
// of a message at a relay, where the asking device has a mailbox, and pays for
// it. It is not part of a log.
type FileOrder struct {
	Message ID
	Nth     uint8 // which of its files
	Device  [16]byte
	Relay   [32]byte
	Runs    []Run
	Stamps  []stamp.Stamp // of class L, one for each stretch
}

// Run is some consecutive stretches of a file (file.Layout).
type Run struct {
	First uint32
	N     uint16
}

// Stretches is how many are ordered.
func (o *FileOrder) Stretches() (n int) {
	for _, r := range o.Runs {
		n += int(r.N)
	}
	return n
}

// Nths lists the stretches in their order.
func (o *FileOrder) Nths() (out []uint32) {
	for _, r := range o.Runs {
		for i := range uint32(r.N) {
			out = append(out, r.First+i)
		}
	}
	return out
}

// Add adds a stretch behind the others, if there is room.
func (o *FileOrder) Add(n uint32) bool {
	if k := len(o.Runs) - 1; k >= 0 && o.Runs[k].First+uint32(o.Runs[k].N) == n {
		o.Runs[k].N++
		return true
	}
	if len(o.Runs) == maxRuns {
		return false
	}
	o.Runs = append(o.Runs, Run{n, 1})
	return true
}

// Cut leaves the first n stretches.
func (o *FileOrder) Cut(n int) {
	for i, r := range o.Runs {
		if n < int(r.N) {
			o.Runs[i].N = uint16(n)
			if n > 0 {
				i++
			}
			o.Runs = o.Runs[:i]
			return
		}
		n -= int(r.N)
	}
}

func (*FileOrder) kind() Kind { return KindFileOrder }

func (o *FileOrder) check() error {
	n := o.Stretches()
	if n == 0 || n > MaxOrdered || n != len(o.Stamps) || len(o.Runs) > maxRuns || o.Nth >= MaxFiles {
		return fmt.Errorf("%w: a bad order of a file", wire.ErrMalformed)
	}
	for i, r := range o.Runs {
		end := uint64(r.First) + uint64(r.N)
		if r.N == 0 || end > maxStretches || i > 0 && o.Runs[i-1].First+uint32(o.Runs[i-1].N) == r.First {
			return fmt.Errorf("%w: a bad run of stretches", wire.ErrMalformed)
		}
		for _, x := range o.Runs[:i] {
			if uint64(x.First) < end && uint64(r.First) < uint64(x.First)+uint64(x.N) {
				return fmt.Errorf("%w: a stretch is ordered twice", wire.ErrMalformed)
			}
		}
	}
	return nil
}

// maxStretches is more than the largest file has.
const maxStretches = 2 * file.MaxSize / file.Stretch

func (o *FileOrder) append(w *wire.Writer) error {
	w.Raw(o.Message[:]).U8(o.Nth).Raw(o.Device[:]).Raw(o.Relay[:]).U8(uint8(len(o.Runs)))
	for _, r := range o.Runs {
		w.U32(r.First).U16(r.N)
	}
	for _, s := range o.Stamps {
		w.Raw(s[:])
	}
	return o.check()
}

func parseFileOrder(content []byte) (*FileOrder, error) {
	r := wire.NewReader(content)
	o := &FileOrder{Message: r.A16(), Nth: r.U8(), Device: r.A16(), Relay: r.A32()}
	n := int(r.U8())
	if n > maxRuns {
		r.Fail("too many runs of stretches")
	}
	for ; n > 0 && r.Err() == nil; n-- {
		o.Runs = append(o.Runs, Run{r.U32(), r.U16()})
	}
	if r.Err() == nil && o.Stretches() > MaxOrdered {
		r.Fail("too many stretches")
	}
	for n := o.Stretches(); n > 0 && r.Err() == nil; n-- {
		var s stamp.Stamp
		r.Fill(s[:])
		o.Stamps = append(o.Stamps, s)
	}
	if err := r.Close(); err != nil {
		return nil, err
	}
	return o, o.check()
}
