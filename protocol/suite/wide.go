package suite

import "crypto/sha512"

// Wide is SHA-512 over the frame of the label and the fields: 64 bytes, enough
// to reduce to a scalar without bias (spec §2.2).
func Wide(l Label, fields ...[]byte) [64]byte { return sha512.Sum512(Frame(l, fields...)) }
