package wire

import (
	"encoding/base32"
	"fmt"
	"strings"
	"unicode/utf8"
)

var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// EncodeText writes bytes as unpadded lower-case base32 (RFC 4648 §6), which
// is printable, has no look-alikes in QR's alphanumeric mode once upper-cased,
// and has one spelling (spec §1.4).
func EncodeText(b []byte) string { return base32Lower.EncodeToString(b) }

// DecodeText reverses [EncodeText]. Lower case or upper case throughout is
// accepted, as QR codes carry upper case; mixed case, padding, white space and
// non-zero trailing bits are refused.
func DecodeText(s string) ([]byte, error) {
	// Some letters outside ASCII have an ASCII lower case, U+212A among them.
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return nil, fmt.Errorf("%w: not base32", ErrMalformed)
		}
	}
	low := strings.ToLower(s)
	if s != low && s != strings.ToUpper(s) {
		return nil, fmt.Errorf("%w: mixed case", ErrMalformed)
	}
	// The standard decoder skips line ends; one spelling means none.
	if strings.ContainsAny(low, "\r\n") {
		return nil, fmt.Errorf("%w: line break", ErrMalformed)
	}
	b, err := base32Lower.DecodeString(low)
	if err != nil {
		return nil, fmt.Errorf("%w: not base32", ErrMalformed)
	}
	if base32Lower.EncodeToString(b) != low {
		return nil, fmt.Errorf("%w: non-canonical base32", ErrMalformed)
	}
	return b, nil
}
