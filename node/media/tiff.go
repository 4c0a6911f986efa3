package media

import "encoding/binary"

// orientation finds how a picture is to be turned: tag 0x0112 of the first
// directory of an Exif block (Exif 2.32 section 4.6.4), 1 to 8. It is 1, as it
// stands, when there is no such tag or nothing makes sense.
func orientation(tiff []byte) uint16 {
	if len(tiff) < 8 {
		return 1
	}
	var order binary.ByteOrder = binary.LittleEndian
	if tiff[0] == 'M' {
		order = binary.BigEndian
	}
	at := int64(order.Uint32(tiff[4:]))
	if at+2 > int64(len(tiff)) {
		return 1
	}
	entries := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		if len(entries) < 12 {
			break
		}
		if order.Uint16(entries) == 0x0112 {
			if v := order.Uint16(entries[8:]); v >= 1 && v <= 8 {
				return v
			}
		}
		entries = entries[12:]
	}
	return 1
}

// oriented is an Exif block that holds an orientation and nothing else.
func oriented(v uint16) []byte {
	b := []byte("MM\x00*\x00\x00\x00\x08") // big endian, 42, first directory at 8
	b = binary.BigEndian.AppendUint16(b, 1)
	b = append(b, 0x01, 0x12, 0, 3, 0, 0, 0, 1) // one SHORT
	b = binary.BigEndian.AppendUint16(b, v)
	return append(b, 0, 0, 0, 0, 0, 0) // padding; no further directory
}

const keptOrientation = "orientation"
