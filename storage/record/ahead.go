package record

import (
	"time"

	"rushlight/protocol/identity"
	"rushlight/protocol/wire"
	"rushlight/storage"
)

// Ahead is by how much this device's clock is ahead of a contact's device, in
// whole milliseconds; negative when it is behind.
type Ahead struct {
	By time.Duration
}

// AheadKey is the key of what is known about the clock of a device.
func AheadKey(n Namer, d identity.DeviceID) storage.Key {
	p := n.Pseudonym("device", d[:])
	return key(FamilyAhead, p[:])
}

// Marshal encodes a.
func (a *Ahead) Marshal() []byte {
	ms := a.By.Milliseconds()
	return wire.NewWriter(make([]byte, 0, 10)).U8(1).Bool(ms < 0).U64(uint64(max(ms, -ms))).Out()
}

// ParseAhead decodes an [Ahead].
func ParseAhead(b []byte) (*Ahead, error) {
	r := wire.NewReader(b)
	version(r)
	behind, ms := r.Bool(), r.U64()
	if ms > uint64(maxDuration) || behind && ms == 0 {
		r.Fail("clocks too far apart")
	}
	a := &Ahead{By: time.Duration(ms) * time.Millisecond}
	if behind {
		a.By = -a.By
	}
	return a, r.Close()
}

// maxDuration is how many milliseconds a time.Duration can have.
const maxDuration = (1<<63 - 1) / int64(time.Millisecond)
