package files

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"strings"
)

// headSize is how much of a file says what it is.
const headSize = 4096

// magic are beginnings of files that matter here and that net/http doesn't know.
var magic = []struct {
	at   int
	sign string
	kind string
}{
	{0, "\x7fELF", "application/x-executable"},
	{0, "\xfe\xed\xfa\xce", "application/x-mach-binary"},
	{0, "\xfe\xed\xfa\xcf", "application/x-mach-binary"},
	{0, "\xce\xfa\xed\xfe", "application/x-mach-binary"},
	{0, "\xcf\xfa\xed\xfe", "application/x-mach-binary"},
	{0, "#!", "text/x-shellscript"},
	{0, "L\x00\x00\x00\x01\x14\x02\x00", "application/x-ms-shortcut"},
	{0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"},
	{0, "[Desktop Entry]", "application/x-desktop"},
	{0, "\x00asm", "application/wasm"},
	{0, "7z\xbc\xaf'\x1c", "application/x-7z-compressed"},
	{0, "\xfd7zXZ\x00", "application/x-xz"},
	{0, "BZh", "application/x-bzip2"},
	{0, "(\xb5/\xfd", "application/zstd"},
	{0, "fLaC", "audio/flac"},
	{257, "ustar", "application/x-tar"},
	{0, "!<arch>\ndebian", "application/vnd.debian.binary-package"},
	{0, "II*\x00", "image/tiff"},
	{0, "MM\x00*", "image/tiff"},
}

// boxed are brands of the ISO format for media.
var boxed = map[string]string{
	"heic": "image/heic", "heix": "image/heic", "mif1": "image/heif", "msf1": "image/heif", "avif": "image/avif", "avis": "image/avif",
	"qt  ": "video/quicktime", "M4A ": "audio/mp4", "M4B ": "audio/mp4",
}

// Kind is the media type of a file as its beginning says, whatever it is called.
func Kind(head []byte) string {
	head = head[:min(len(head), headSize)]
	if len(head) == 0 {
		return "application/x-empty"
	}
	if kind := program(head); kind != "" {
		return kind
	}
	for _, m := range magic {
		if len(head) > m.at && bytes.HasPrefix(head[m.at:], []byte(m.sign)) {
			return m.kind
		}
	}
	if len(head) >= 12 && string(head[4:8]) == "ftyp" {
		if kind := boxed[string(head[8:12])]; kind != "" {
			return kind
		}
		return "video/mp4"
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	if lower := bytes.ToLower(text[:min(len(text), 512)]); bytes.HasPrefix(lower, []byte("<svg")) ||
		bytes.HasPrefix(lower, []byte("<?xml")) && bytes.Contains(lower, []byte("<svg")) {
		return "image/svg+xml"
	}
	kind, _, _ := strings.Cut(http.DetectContentType(head), ";")
	return kind
}

// program recognises programs of Windows, which begin like much else.
func program(head []byte) string {
	if len(head) < 64 || string(head[:2]) != "MZ" {
		return ""
	}
	at := int(binary.LittleEndian.Uint32(head[60:]))
	if at > len(head)-4 || string(head[at:at+4]) == "PE\x00\x00" || string(head[at:at+2]) == "NE" {
		return "application/vnd.microsoft.portable-executable"
	}
	return ""
}

// endings are what names of files of a kind end in, the usual one first.
var endings = map[string][]string{
	"image/jpeg": {".jpg", ".jpeg", ".jpe", ".jfif"}, "image/png": {".png"}, "image/gif": {".gif"}, "image/webp": {".webp"},
	"image/bmp": {".bmp"}, "image/heic": {".heic", ".heif"}, "image/heif": {".heif", ".heic"}, "image/avif": {".avif"},
	"image/tiff": {".tif", ".tiff", ".dng", ".nef", ".cr2", ".arw"}, "image/svg+xml": {".svg"}, "image/x-icon": {".ico"},
	"application/pdf": {".pdf"}, "application/postscript": {".ps", ".eps", ".ai"},
	"video/mp4": {".mp4", ".m4v", ".m4a", ".mov", ".3gp"}, "video/quicktime": {".mov", ".qt"}, "video/webm": {".webm", ".mkv", ".mka", ".weba"},
	"video/avi": {".avi"}, "audio/mpeg": {".mp3"}, "audio/wave": {".wav"}, "audio/aiff": {".aiff", ".aif"}, "audio/midi": {".mid", ".midi"},
	"audio/mp4": {".m4a", ".m4b", ".mp4"}, "audio/flac": {".flac"}, "application/ogg": {".ogg", ".oga", ".ogv", ".opus"}, "audio/basic": {".au", ".snd"},
	"application/x-executable":                      {".elf", ".so", ".o", ".ko", ".appimage", ".run"},
	"application/vnd.microsoft.portable-executable": {".exe", ".dll", ".sys", ".scr", ".cpl", ".ocx", ".efi"},
	"application/x-mach-binary":                     {".macho", ".dylib"}, "text/x-shellscript": {".sh", ".bash", ".py", ".pl", ".rb", ".command"},
	"application/x-ms-shortcut": {".lnk"}, "application/x-desktop": {".desktop"},
}

// isMedia reports whether people look at, or listen to, files of a kind.
func isMedia(kind string) bool {
	return strings.HasPrefix(kind, "image/") || strings.HasPrefix(kind, "audio/") || strings.HasPrefix(kind, "video/") ||
		kind == "application/pdf" || kind == "application/ogg"
}

// ofKind reports whether a name with an ending may be that of a file of a kind.
// Endings and kinds that nothing is known of may go together, if the ending
// promises no picture, film, sound or document.
func ofKind(ending, kind string) bool {
	ending = strings.ToLower(ending)
	if list, ok := endings[kind]; ok {
		for _, e := range list {
			if e == ending {
				return true
			}
		}
		return false
	}
	for other, list := range endings {
		for _, e := range list {
			if e == ending && isMedia(other) {
				return false
			}
		}
	}
	return true
}
