package beacon

import (
	"encoding/binary"
	"math/bits"

	"rushlight/protocol/suite"
)

// labelWork is the proof of work of spec §13.3. It makes a flood of beacons
// dear, and is no more than that.
const labelWork suite.Label = "rushlight/beacon/pow/1"

// workBits is how many zero bits the hash begins with.
const workBits = 16

// worked reports whether the work in h was done for its key and expiry.
func (h *head) worked() bool {
	sum := suite.Hash(labelWork, h.key[:], binary.BigEndian.AppendUint32(nil, h.expires), h.work[:])
	return bits.LeadingZeros32(binary.BigEndian.Uint32(sum[:])) >= workBits
}

// doWork finds the work for h, from a random place on.
func (h *head) doWork() {
	suite.Random(h.work[:])
	for n := binary.BigEndian.Uint64(h.work[16:]); !h.worked(); n++ {
		binary.BigEndian.PutUint64(h.work[16:], n)
	}
}
