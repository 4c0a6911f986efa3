package beacon

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

// Why [Check] refuses a beacon. Nobody needs to act differently; tests do.
var (
	ErrSize      = errors.New("beacon: wrong size or version")
	ErrKey       = errors.New("beacon: does not belong under this key")
	ErrStale     = errors.New("beacon: expired, or good for too long")
	ErrWork      = errors.New("beacon: no work was done for it")
	ErrSignature = errors.New("beacon: not signed by its key")
)

const (
	version  uint8 = 1
	workSize       = 24
	headSize       = 1 + 32 + 8 + 4 + workSize
	boxSize        = Size - headSize - sigSize
	sigSize        = 64
	textSize       = boxSize - suite.BoxOverhead // vec16 of the body, and zeros

	// MaxBody is how many bytes a body may take.
	MaxBody = textSize - 2
)

// head is what everybody can read of a beacon:
// ver u8 = 1 | blinded key[32] | number u64 | expires u32 | work[24].
type head struct {
	key     [32]byte
	number  uint64
	expires uint32
	work    [workSize]byte
}

func (h *head) marshal() []byte {
	return wire.NewWriter(make([]byte, 0, Size)).U8(version).Raw(h.key[:]).U64(h.number).U32(h.expires).Raw(h.work[:]).Out()
}

func parseHead(value []byte) (h head, err error) {
	if len(value) != Size || value[0] != version {
		return h, ErrSize
	}
	r := wire.NewReader(value[1:headSize])
	h.key, h.number, h.expires = r.A32(), r.U64(), r.U32()
	r.Fill(h.work[:])
	return h, r.Close()
}

// expiry is when the beacons of an epoch expire: a whole number of days, so
// that it doesn't show where in the day the owner's epochs begin.
func (r Reader) expiry(epoch uint64) uint32 {
	end := r.Begin(epoch + 1).Add(Day).Unix()
	return uint32((end + 86399) / 86400 * 86400)
}

// Seal makes the beacon of a place, and says where it lies. Of two for one
// place the one made later is better. Making the first of each place costs
// about 2^16 hashes.
func (o *Owner) Seal(p Place, b *Body, now time.Time) (Key, []byte, error) {
	return o.SealWith(p, b, Work{}, now)
}

// Work is the work done for one place; it can be used again for later beacons
// of that place.
type Work [workSize]byte

// SealWith is [Owner.Seal] with work that was done before, which is done again
// when it doesn't fit.
func (o *Owner) SealWith(p Place, b *Body, w Work, now time.Time) (Key, []byte, error) {
	body, err := b.marshal()
	if err != nil {
		return Key{}, nil, fmt.Errorf("making a beacon: %w", err)
	}
	r, k := o.Reader(), o.blind(p)
	h := head{key: k.public, number: r.number(p, now), expires: r.expiry(p.Epoch), work: w}
	if !h.worked() {
		h.doWork()
	}
	text := append(wire.NewWriter(nil).Vec16(body).Out(), make([]byte, textSize-2-len(body))...)
	out := h.marshal()
	out = suite.SealBox(out, r.sealKey(p), out, text)
	return keyOf(h.key), append(out, k.sign(out)...), nil
}

// WorkOf returns the work in a beacon, for [Owner.SealWith].
func WorkOf(value []byte) (w Work) {
	if h, err := parseHead(value); err == nil {
		w = h.work
	}
	return w
}

// Check is what anybody who keeps beacons for others MUST do before keeping
// one (spec §13.3). Cheap reasons to refuse come first.
func Check(key Key, value []byte, now time.Time) error {
	h, err := parseHead(value)
	if err != nil {
		return err
	}
	left := time.Unix(int64(h.expires), 0).Sub(now)
	switch {
	case keyOf(h.key) != key:
		return ErrKey
	case left <= 0 || left > MaxAhead:
		return ErrStale
	case !h.worked():
		return ErrWork
	}
	if _, err := point(h.key); err != nil {
		return ErrSignature
	}
	body, sig := value[:Size-sigSize], value[Size-sigSize:]
	if !suite.Verify(h.key[:], sig, labelSignature, body) {
		return ErrSignature
	}
	return nil
}

// KeyOf is where a value claims to belong; ok is false when it is no beacon.
func KeyOf(value []byte) (k Key, ok bool) {
	h, err := parseHead(value)
	if err != nil {
		return k, false
	}
	return keyOf(h.key), true
}

// Better reports whether a should replace b, both having passed [Check] under
// one key: the higher number, and between equals the higher bytes, so that
// everybody chooses the same.
func Better(a, b []byte) bool {
	x, errA := parseHead(a)
	y, errB := parseHead(b)
	if errA != nil || errB != nil {
		return errA == nil
	}
	if x.number != y.number {
		return x.number > y.number
	}
	return bytes.Compare(a, b) > 0
}

// Open checks the beacon of a place and reads it. made is when its owner made
// it: the caller refuses one older than what it has read before (spec §13.5).
func (r Reader) Open(p Place, value []byte, now time.Time) (b *Body, made time.Time, err error) {
	key, err := r.Key(p)
	if err == nil {
		err = Check(key, value, now)
	}
	if err != nil {
		return nil, made, fmt.Errorf("reading a beacon: %w", err)
	}
	text, err := suite.OpenBox(nil, r.sealKey(p), value[:headSize], value[headSize:Size-sigSize])
	if err != nil {
		return nil, made, fmt.Errorf("opening a beacon: %w", err)
	}
	in := wire.NewReader(text)
	body := in.Vec16(MaxBody)
	for _, z := range in.Rest() {
		if z != 0 {
			in.Fail("padding is not zero")
		}
	}
	if err := in.Close(); err != nil {
		return nil, made, fmt.Errorf("reading a beacon: %w", err)
	}
	if b, err = ParseBody(body); err != nil {
		return nil, made, err
	}
	h, err := parseHead(value)
	if err != nil {
		return nil, made, err
	}
	ms := h.number - r.origin(p)
	if h.number < r.origin(p) || ms > uint64(now.Add(MaxAhead).UnixMilli()) {
		return nil, made, fmt.Errorf("reading a beacon: %w: made in the future", wire.ErrMalformed)
	}
	return b, time.UnixMilli(int64(ms)), nil
}
