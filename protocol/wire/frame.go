package wire

// FrameHeader is the length of the header of a frame: type u8 ‖ len u24
// (spec §1.2).
const FrameHeader = 4

// AppendFrame appends a frame of the given type and body to dst. It panics
// when the body is 16 MiB or longer.
func AppendFrame(dst []byte, typ uint8, body []byte) []byte {
	return NewWriter(dst).U8(typ).Vec24(body).Out()
}

// AppendFrameHeader appends the header of a frame whose body of n bytes follows.
func AppendFrameHeader(dst []byte, typ uint8, n int) []byte {
	return NewWriter(dst).U8(typ).U24(uint32(n)).Out()
}

// ParseFrameHeader splits the header of a frame into its type and the length
// of the body that follows.
func ParseFrameHeader(h [FrameHeader]byte) (typ uint8, n int) {
	return h[0], int(h[1])<<16 | int(h[2])<<8 | int(h[3])
}
