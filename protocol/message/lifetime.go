package message

import (
	"errors"
	"time"

	"rushlight/protocol/wire"
)

// Limits of lifetimes (spec §9.7).
const (
	MinExpiry = 5 * time.Second
	MaxExpiry = 366 * 24 * time.Hour
	MinBurn   = time.Second
	MaxBurn   = 7 * 24 * time.Hour
)

// What a lifetime is refused for.
var (
	ErrExpiry = errors.New("message: the expiry must be between 5 seconds and a year, in whole seconds")
	ErrBurn   = errors.New("message: burn on read must be between 1 second and 7 days, in whole seconds")
)

// Lifetime says how long a message lives: Expiry counts from when it was sent,
// Burn from when its recipient has seen it, and never beyond the expiry. Zero
// is for ever. Both are whole seconds (spec §9.7).
type Lifetime struct {
	Expiry, Burn time.Duration
}

// Check returns [ErrExpiry] or [ErrBurn] for what is out of range.
func (l Lifetime) Check() error {
	if l.Expiry != 0 && (l.Expiry < MinExpiry || l.Expiry > MaxExpiry || l.Expiry%time.Second != 0) {
		return ErrExpiry
	}
	if l.Burn != 0 && (l.Burn < MinBurn || l.Burn > MaxBurn || l.Burn%time.Second != 0) {
		return ErrBurn
	}
	return nil
}

// Expires is when a message ends that was sent at a time; zero is never.
func (l Lifetime) Expires(sent time.Time) time.Time {
	if l.Expiry == 0 {
		return time.Time{}
	}
	return sent.Add(l.Expiry)
}

func (l Lifetime) append(w *wire.Writer) {
	for _, d := range []struct {
		record uint16
		life   time.Duration
	}{{recordExpiry, l.Expiry}, {recordBurn, l.Burn}} {
		if d.life != 0 {
			w.Record(d.record, wire.NewWriter(make([]byte, 0, 4)).U32(uint32(d.life/time.Second)).Out())
		}
	}
}

// read takes a record if it belongs to a lifetime.
func (l *Lifetime) read(rec wire.Record) error {
	into := &l.Expiry
	switch rec.Type {
	case recordExpiry:
	case recordBurn:
		into = &l.Burn
	default:
		return nil
	}
	r := wire.NewReader(rec.Value)
	*into = time.Duration(r.U32()) * time.Second
	if err := r.Close(); err != nil {
		return err
	}
	if *into == 0 {
		return wire.ErrMalformed
	}
	return l.Check()
}

// LifetimeOf reads the lifetime out of the body of a message of any type.
func LifetimeOf(body []byte) (l Lifetime, err error) {
	recs, err := records(body)
	if err != nil {
		return l, err
	}
	for _, rec := range recs {
		if err := l.read(rec); err != nil {
			return Lifetime{}, err
		}
	}
	return l, nil
}
