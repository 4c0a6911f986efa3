package envelope

import "rushlight/protocol/ratchet"

// SlotSize is the length of a slot in bytes: a 32-byte content key as the
// ratchet encrypts it (spec §6, §7.4).
const SlotSize = 32 + ratchet.Overhead
