package handshake

import "rushlight/protocol/wire"

// Types of keys on the wire. Every key is written as type u8 ‖ length u16 ‖
// bytes, so that no key is taken for one of another kind (spec §5.1).
const (
	typeX25519     = 0x01
	typeMLKEM      = 0x02
	typeCiphertext = 0x03
	typeXWing      = 0x04
)

func typed(t uint8, key []byte) []byte {
	return wire.NewWriter(nil).U8(t).Vec16(key).Out()
}

// readTyped reads a key of type t into dst.
func readTyped(r *wire.Reader, t uint8, dst []byte) {
	if r.U8() != t || int(r.U16()) != len(dst) {
		r.Fail("key of another type")
	}
	r.Fill(dst)
}
