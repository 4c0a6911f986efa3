package identity

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

const labelSafety suite.Label = "rushlight/identity/safety/1"

const (
	safetyVersion = 1
	safetyRounds  = 5200
	safetyHalf    = 30 // digits
)

// Errors of [CheckSafetyQR].
var (
	// ErrSafetyVersion: the other side's program makes safety numbers that
	// this one does not know.
	ErrSafetyVersion = errors.New("identity: safety number of another version")
	// ErrSafetyMismatch: the code belongs to other accounts. Somebody may
	// stand between the two people.
	ErrSafetyMismatch = errors.New("identity: safety numbers differ")
)

// SafetyNumber is the 60 digits that two people compare to know that nobody
// stands between their accounts (spec §3.8). It takes the accounts' public
// keys in either order; devices do not enter, so that a new device does not
// change it.
func SafetyNumber(a, b [32]byte) string {
	x, y := safetyDigits(safetyHash(a)), safetyDigits(safetyHash(b))
	if x > y {
		x, y = y, x
	}
	return x + y
}

// FormatSafetyNumber sets a safety number in groups of five digits.
func FormatSafetyNumber(s string) string { return groups(s, 5, " ") }

// ParseSafetyNumber reads 60 digits with white space anywhere and returns
// them without. Every failure is [ErrMistyped].
func ParseSafetyNumber(s string) (string, error) {
	s = strings.Join(strings.Fields(s), "")
	if len(s) != 2*safetyHalf || strings.Trim(s, "0123456789") != "" {
		return "", fmt.Errorf("reading a safety number: %w", ErrMistyped)
	}
	return s, nil
}

// MarshalSafetyQR is what one person shows for the other to scan: version u8 ‖
// own half[32] ‖ other half[32], as base32 (spec §3.8). Both must scan: one
// scan tells only the one who scans.
func MarshalSafetyQR(mine, theirs [32]byte) string {
	a, b := safetyHash(mine), safetyHash(theirs)
	b65 := wire.NewWriter(nil).U8(safetyVersion).Raw(a[:]).Raw(b[:]).Out()
	return strings.ToUpper(wire.EncodeText(b65))
}

// CheckSafetyQR checks what the other person's screen showed against the keys
// that this device holds for the two accounts.
func CheckSafetyQR(scanned string, mine, theirs [32]byte) error {
	b, err := wire.DecodeText(scanned)
	if err != nil || len(b) == 0 {
		return fmt.Errorf("reading a safety code: %w", ErrMistyped)
	}
	if b[0] != safetyVersion {
		return ErrSafetyVersion
	}
	if len(b) != 65 {
		return fmt.Errorf("reading a safety code: %w", ErrMistyped)
	}
	x, y := safetyHash(theirs), safetyHash(mine)
	if !bytes.Equal(b[1:33], x[:]) || !bytes.Equal(b[33:], y[:]) {
		return ErrSafetyMismatch
	}
	return nil
}

// safetyHash makes a guess at a colliding key 5,200 hashes dear.
func safetyHash(key [32]byte) [32]byte {
	id := NewAccountID(key)
	h := suite.Stretch(safetyRounds, key, labelSafety, []byte{safetyVersion}, key[:], id[:])
	return [32]byte(h[:32])
}

// safetyDigits turns 30 bytes into six groups of five digits.
func safetyDigits(h [32]byte) string {
	var s strings.Builder
	for i := 0; i < safetyHalf; i += 5 {
		var v [8]byte
		copy(v[3:], h[i:i+5])
		fmt.Fprintf(&s, "%05d", binary.BigEndian.Uint64(v[:])%100000)
	}
	return s.String()
}
