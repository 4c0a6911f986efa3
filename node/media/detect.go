package media

import (
	"bytes"
	"net/http"
	"regexp"
	"strings"
)

// headSize is how much of a file's beginning [Detect] wants.
const headSize = 1024

// lateDocument is the beginning of a document behind something else, where
// those who show one look for it.
var lateDocument = regexp.MustCompile(`(?:^|[\x00\s])%PDF-[0-9]`)

// Detect says what a file is, by its first 1024 bytes and never by its name. It
// knows what net/http knows, and the types of this package.
func Detect(head []byte) Type {
	head = head[:min(len(head), headSize)]
	switch {
	case bytes.HasPrefix(head, []byte{0xff, 0xd8, 0xff}):
		return JPEG
	case bytes.HasPrefix(head, []byte("fLaC")):
		return FLAC
	case len(head) >= 12 && string(head[4:8]) == "ftyp":
		return brand(head)
	case bytes.HasPrefix(head, []byte("ID3")), len(head) >= 4 && frameSize(head) > 0:
		return MP3
	}
	t := http.DetectContentType(head)
	switch t, _, _ = strings.Cut(t, ";"); t {
	case "text/plain", "application/octet-stream":
		if lateDocument.Match(head) {
			return PDF
		}
	case "application/ogg":
		return Ogg
	case "audio/wave":
		return WAV
	}
	return Type(t)
}

// brand tells the kinds of ISO base media files apart (ISO/IEC 14496-12
// section 4.3): major brand, then those that it is compatible with.
func brand(head []byte) Type {
	n := min(int(head[2])<<8|int(head[3]), len(head))
	major := string(head[8:12])
	switch major {
	case "qt  ":
		return MOV
	case "M4A ", "M4B ":
		return M4A
	}
	brands := major
	for p := 16; p+4 <= n; p += 4 {
		brands += "," + string(head[p:p+4])
	}
	switch {
	case strings.Contains(brands, "avif"), strings.Contains(brands, "avis"):
		return AVIF
	case strings.Contains(brands, "heic"), strings.Contains(brands, "heix"), strings.Contains(brands, "hevc"),
		strings.Contains(brands, "heim"), strings.Contains(brands, "heis"),
		strings.Contains(brands, "mif1"), strings.Contains(brands, "msf1"):
		return HEIC
	}
	return MP4
}
