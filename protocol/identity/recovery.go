package identity

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

const labelRecovery suite.Label = "rushlight/identity/recovery/1"

// ErrWrongCode is returned when a well-formed recovery code does not open the
// account key.
var ErrWrongCode = errors.New("identity: wrong recovery code")

// RecoveryCode opens the sealed account key: 128 random bits that their owner
// writes down (spec §3.7).
type RecoveryCode [16]byte

// NewRecoveryCode makes a random code.
func NewRecoveryCode() (c RecoveryCode) {
	suite.Random(c[:])
	return c
}

// String is eight groups of four base32 characters, the last 32 bits a
// checksum.
func (c RecoveryCode) String() string {
	return groups(wire.EncodeText(append(c[:], checksum(c[:])...)), 4, "-")
}

// ParseRecoveryCode reads what a person copied from paper: letters of either
// case, with dashes and spaces anywhere. Every failure is [ErrMistyped].
func ParseRecoveryCode(s string) (RecoveryCode, error) {
	s = strings.ReplaceAll(strings.Join(strings.Fields(s), ""), "-", "")
	b, err := wire.DecodeText(strings.ToLower(s))
	if err != nil || len(b) != 20 || !suite.Equal(checksum(b[:16]), b[16:]) {
		return RecoveryCode{}, fmt.Errorf("reading a recovery code: %w", ErrMistyped)
	}
	return RecoveryCode(b[:16]), nil
}

// cost is what one try of a recovery code costs: argon2id (RFC 9106) passes,
// KiB and lanes. It belongs to the version byte of the sealed key, so no input
// can lower it.
type cost struct {
	time, memory uint32
	threads      uint8
}

var sealCost = cost{time: 3, memory: 64 << 10, threads: 4}

const (
	sealedVersion = 1
	sealedHeader  = 1 + 16
	// SealedAccountKey is the length of what [SealAccountKey] returns.
	SealedAccountKey = sealedHeader + 32 + suite.SealOverhead
)

// SealAccountKey encrypts the account key under the code: version u8 ‖ salt[16]
// ‖ sealed seed (spec §3.7). It takes 64 MiB of memory and some 150 ms.
func SealAccountKey(code RecoveryCode, a *Account) []byte { return seal(code, a, sealCost) }

// OpenAccountKey reverses [SealAccountKey]. A code that is not the right one,
// or altered bytes, give [ErrWrongCode].
func OpenAccountKey(code RecoveryCode, sealed []byte) (*Account, error) {
	return open(code, sealed, sealCost)
}

func seal(code RecoveryCode, a *Account, c cost) []byte {
	head := make([]byte, sealedHeader)
	head[0] = sealedVersion
	suite.Random(head[1:])
	return suite.Seal(head, recoveryKey(code, head, c), head, a.Key.Seed())
}

func open(code RecoveryCode, sealed []byte, c cost) (*Account, error) {
	if len(sealed) != SealedAccountKey || sealed[0] != sealedVersion {
		return nil, fmt.Errorf("opening the account key: %w: length or version", wire.ErrMalformed)
	}
	head := sealed[:sealedHeader]
	seed, err := suite.Open(nil, recoveryKey(code, head, c), head, sealed[sealedHeader:])
	if err != nil {
		return nil, fmt.Errorf("opening the account key: %w", ErrWrongCode)
	}
	return &Account{Key: ed25519.NewKeyFromSeed(seed)}, nil
}

func recoveryKey(code RecoveryCode, head []byte, c cost) []byte {
	slow := argon2.IDKey(code[:], head[1:], c.time, c.memory, c.threads, 32)
	return suite.Derive(slow, nil, 32, labelRecovery, head)
}
