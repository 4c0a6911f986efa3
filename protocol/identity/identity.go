// Package identity says who is who: accounts, their devices, the signed
// statements that tie the two together, and what people use to recognise each
// other (names, safety numbers, invites).
//
// It is not a directory and keeps no state: it makes, reads and checks values
// and leaves trust decisions to the caller. It promises that a value which
// verifies was signed by the key it names, that every encoding has one
// spelling, and that nothing it decodes exceeds the limits of spec §3 and
// spec §4.
package identity

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

const (
	labelAccount  suite.Label = "rushlight/identity/account/1"
	labelDevice   suite.Label = "rushlight/identity/device/1"
	labelChecksum suite.Label = "rushlight/identity/checksum/1"
	labelShort    suite.Label = "rushlight/identity/fingerprint/1"
)

// ErrMistyped is returned for an account id, a recovery code or a safety
// number that cannot be right: wrong length, alphabet or checksum. A value
// that parses may still be unknown; this one was copied wrongly.
var ErrMistyped = errors.New("identity: mistyped")

// AccountID names an account: the labelled SHA-256 of its public key (spec
// §3.1).
type AccountID [32]byte

const accountPrefix = "rl1"

// shortDigits is how many characters after the prefix [AccountID.Short]
// keeps, and the fewest that a person may type (spec §3.1).
const shortDigits = 8

// NewAccountID returns the id of the account with this Ed25519 public key.
func NewAccountID(key [32]byte) AccountID {
	return suite.Hash(labelAccount, key[:])
}

// String is "rl1" and the base32 of the id and a 4-byte checksum: 61
// characters, lower case.
func (a AccountID) String() string {
	return accountPrefix + wire.EncodeText(append(a[:], checksum(a[:])...))
}

// ParseAccountID reads the form of [AccountID.String] and no other. Every
// failure is [ErrMistyped].
func ParseAccountID(s string) (AccountID, error) {
	rest, ok := strings.CutPrefix(s, accountPrefix)
	if !ok || rest != strings.ToLower(rest) {
		return AccountID{}, fmt.Errorf("reading an account id: %w", ErrMistyped)
	}
	b, err := wire.DecodeText(rest)
	if err != nil || len(b) != 36 || !suite.Equal(checksum(b[:32]), b[32:]) {
		return AccountID{}, fmt.Errorf("reading an account id: %w", ErrMistyped)
	}
	return AccountID(b[:32]), nil
}

// Short is the beginning of [AccountID.String], enough to tell apart the
// accounts one person knows and not enough to verify any.
func (a AccountID) Short() string {
	return a.String()[:len(accountPrefix)+shortDigits]
}

// UUID is the account id's first 16 bytes as a UUIDv8 (RFC 9562 §5.8), for
// programs that expect one.
func (a AccountID) UUID() string {
	var u [16]byte
	copy(u[:], a[:])
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	x := hex.EncodeToString(u[:])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// MarshalText is [AccountID.String].
func (a AccountID) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText is [ParseAccountID].
func (a *AccountID) UnmarshalText(b []byte) (err error) {
	*a, err = ParseAccountID(string(b))
	return err
}

// Fingerprint is six groups of four characters for people to compare at a
// glance: 120 bits of a labelled hash of the id. Verification proper uses
// [SafetyNumber].
func Fingerprint(a AccountID) string {
	h := suite.Hash(labelShort, a[:])
	return groups(wire.EncodeText(h[:15]), 4, " ")
}

// DeviceID names a device: the first 16 bytes of the labelled SHA-256 of its
// signing key (spec §3.1).
type DeviceID [16]byte

// NewDeviceID returns the id of the device with this Ed25519 public key.
func NewDeviceID(signing [32]byte) DeviceID {
	h := suite.Hash(labelDevice, signing[:])
	return DeviceID(h[:16])
}

// String is 32 lower-case hex digits.
func (d DeviceID) String() string { return hex.EncodeToString(d[:]) }

// ParseDeviceID reads the form of [DeviceID.String] and no other.
func ParseDeviceID(s string) (DeviceID, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 16 || s != strings.ToLower(s) {
		return DeviceID{}, fmt.Errorf("reading a device id: %w", ErrMistyped)
	}
	return DeviceID(b), nil
}

// MarshalText is [DeviceID.String].
func (d DeviceID) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is [ParseDeviceID].
func (d *DeviceID) UnmarshalText(b []byte) (err error) {
	*d, err = ParseDeviceID(string(b))
	return err
}

// checksum is 4 bytes that a typing error changes.
func checksum(b []byte) []byte {
	h := suite.Hash(labelChecksum, b)
	return h[:4]
}

// groups cuts s into pieces of n characters.
func groups(s string, n int, sep string) string {
	var b strings.Builder
	for i := 0; i < len(s); i += n {
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(s[i:min(i+n, len(s))])
	}
	return b.String()
}
