package suite

import "crypto/sha512"

// Stretch is SHA-512 repeated so that every guess costs the given number of
// rounds (spec §3.8): h = SHA-512(frame of the label and the fields), then
// rounds−1 times h = SHA-512(h ‖ key). It is for values that people compare,
// not for passphrases.
func Stretch(rounds int, key [32]byte, l Label, fields ...[]byte) [64]byte {
	h := sha512.Sum512(Frame(l, fields...))
	var in [96]byte
	copy(in[64:], key[:])
	for range rounds - 1 {
		copy(in[:], h[:])
		h = sha512.Sum512(in[:])
	}
	return h
}
