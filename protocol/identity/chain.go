package identity

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// ErrStale is returned for a manifest that is not newer than the one held:
// keep the one held.
var ErrStale = errors.New("identity: manifest is not newer")

// ErrEquivocation is returned when one account signed two manifests that
// cannot both be true. Keep both: together they prove it to anyone (see
// [Equivocation]).
var ErrEquivocation = errors.New("identity: account signed two conflicting manifests")

// ErrChain is returned for a successor that breaks the rules of its chain:
// another account, a device that came back from revocation, vanished without
// it, or changed its keys.
var ErrChain = errors.New("identity: manifest breaks its chain")

// Succeeds reports whether m may replace old (spec §3.4). Both must have been
// verified. A newer manifest is accepted over a gap, since the account key
// signed it; only a direct successor's link can be checked.
func (m *Manifest) Succeeds(old *Manifest) error {
	if m.Account != old.Account {
		return ErrChain
	}
	if conflict(m, old) {
		return ErrEquivocation
	}
	if m.Seq <= old.Seq {
		return ErrStale
	}
	for _, id := range old.Revoked {
		if !slices.Contains(m.Revoked, id) {
			return fmt.Errorf("%w: a revocation is missing", ErrChain)
		}
	}
	for _, d := range old.Devices {
		now, ok := m.Device(d.ID())
		if ok && now != d {
			return fmt.Errorf("%w: a device changed", ErrChain)
		}
		if !ok && !slices.Contains(m.Revoked, d.ID()) {
			return fmt.Errorf("%w: a device vanished", ErrChain)
		}
	}
	return nil
}

// Equivocation reports whether a and b prove that their account key signed two
// conflicting manifests: both verify, and they share a number without being
// equal, or one follows the other's number without naming its hash (spec
// §3.4). Nobody but the holder of the account key can make such a pair.
func Equivocation(a, b *Manifest) bool {
	return a.Account == b.Account && conflict(a, b) && a.Verify() == nil && b.Verify() == nil
}

func conflict(a, b *Manifest) bool {
	if a.Seq > b.Seq {
		a, b = b, a
	}
	switch b.Seq - a.Seq {
	case 0:
		return !bytes.Equal(a.body(), b.body())
	case 1:
		return b.Prev != a.Hash()
	}
	return false
}

func sortDevices(in []DeviceInfo) []DeviceInfo {
	out := slices.Clone(in)
	slices.SortFunc(out, func(a, b DeviceInfo) int {
		x, y := a.ID(), b.ID()
		return bytes.Compare(x[:], y[:])
	})
	return out
}

func sortIDs(ids []DeviceID) []DeviceID {
	slices.SortFunc(ids, func(a, b DeviceID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}
