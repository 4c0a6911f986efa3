// Package suite is cipher suite 1: the primitives that every other package of
// the protocol is built from, each behind a label.
//
// It is not a place for protocols: nothing here has state, and no function
// takes a key without a [Label] that says what the key is for. It promises
// that no two uses of one key can be confused: the label and every field are
// length-prefixed before they are hashed, signed or derived from (spec §2.2).
//
// Primitives: SHA-256 (FIPS 180-4), HMAC (RFC 2104), HKDF (RFC 5869), Ed25519
// (RFC 8032), X25519 (RFC 7748), ChaCha20-Poly1305 (RFC 8439),
// XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03), ML-KEM-768 (FIPS 203).
package suite

import (
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
)

// ID is the number of this suite on the wire. There is no other, and none is
// negotiated (spec §2.1).
const ID uint8 = 1

// Label names the one purpose of a key, a hash or a signature. Every label is
// in the registry of spec §2.3 and starts with "rushlight/<package>/".
type Label string

// ErrOpen is returned when a sealed text does not open: wrong key, wrong
// associated data or altered bytes. It never says which.
var ErrOpen = errors.New("suite: sealed text does not open")

// Frame returns the unambiguous encoding of a label and its fields:
// u8 length ‖ label, then u32 length ‖ field for each (spec §2.2).
func Frame(l Label, fields ...[]byte) []byte {
	n := 1 + len(l)
	for _, f := range fields {
		n += 4 + len(f)
	}
	return appendFrame(make([]byte, 0, n), l, fields)
}

func appendFrame(out []byte, l Label, fields [][]byte) []byte {
	out = append(out, byte(len(l)))
	out = append(out, l...)
	for _, f := range fields {
		out = binary.BigEndian.AppendUint32(out, uint32(len(f)))
		out = append(out, f...)
	}
	return out
}

// Hash is SHA-256 over the frame of the label and the fields.
func Hash(l Label, fields ...[]byte) [32]byte {
	var stack [onStack]byte
	return sha256.Sum256(appendFrame(stack[:0], l, fields))
}

// HashLong is [Hash] of one field, which it doesn't copy.
func HashLong(l Label, field []byte) (out [32]byte) {
	var stack [onStack]byte
	head := append(stack[:0], byte(len(l)))
	head = append(head, l...)
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint32(head, uint32(len(field))))
	h.Write(field)
	h.Sum(out[:0])
	return out
}

// MAC is HMAC-SHA-256 under key over the frame of the label and the fields.
func MAC(key []byte, l Label, fields ...[]byte) (out [32]byte) {
	var stack [blockSize + onStack]byte
	return hmacBehind(key, appendFrame(stack[:blockSize], l, fields))
}

// Derive is HKDF-SHA-256 with the frame of the label and the fields as info.
// A nil salt is 32 zero bytes. It panics when n exceeds 8,160, which only a
// wrong constant can cause.
func Derive(secret, salt []byte, n int, l Label, fields ...[]byte) []byte {
	return Expand(hmacSHA256(salt, secret), n, l, fields...)
}

// DeriveTo is [Derive] of as many bytes as out has room for.
func DeriveTo(out, secret, salt []byte, l Label, fields ...[]byte) {
	ExpandTo(out, hmacSHA256(salt, secret), l, fields...)
}

// Expand is the second half of [Derive], HKDF-Expand, for a key that is 32
// uniformly random bytes already.
func Expand(key [32]byte, n int, l Label, fields ...[]byte) []byte {
	out := make([]byte, n)
	ExpandTo(out, key, l, fields...)
	return out
}

// ExpandTo is [Expand] of as many bytes as out has room for.
func ExpandTo(out []byte, key [32]byte, l Label, fields ...[]byte) {
	if len(out) > 255*sha256.Size {
		panic("suite: key of impossible length")
	}
	var stack [infoAt + onStack]byte
	expandBehind(out, key[:], append(appendFrame(stack[:infoAt], l, fields), 0))
}

// Sign signs the frame of the label and the fields with Ed25519.
func Sign(key ed25519.PrivateKey, l Label, fields ...[]byte) []byte {
	return ed25519.Sign(key, Frame(l, fields...))
}

// Verify reports whether sig is the signature of the frame under key. A key of
// small order, for which signatures can be made without any secret, has none
// (spec §2.2).
func Verify(key ed25519.PublicKey, sig []byte, l Label, fields ...[]byte) bool {
	return len(key) == ed25519.PublicKeySize && !smallOrder(key) && ed25519.Verify(key, Frame(l, fields...), sig)
}

// lowPoints are the y coordinates of the points of order 1, 2, 4 and 8, little
// endian, and the two of them that have a second encoding.
var lowPoints = [][32]byte{
	{},
	{1},
	{
		0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
	},
	{
		0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
	},
	nearPrime(0xec), // -1
	nearPrime(0xed), // 0 again
	nearPrime(0xee), // 1 again
}

// nearPrime is 2^255 - 19 with another lowest byte.
func nearPrime(low byte) (y [32]byte) {
	for i := range y {
		y[i] = 0xff
	}
	y[0], y[31] = low, 0x7f
	return y
}

// smallOrder reports whether a public key is a point of small order.
func smallOrder(key []byte) bool {
	y := [32]byte(key)
	y[31] &= 0x7f // the sign of x
	return slices.Contains(lowPoints, y)
}

// Equal compares two secrets in time that depends on their lengths only.
func Equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// SealOverhead is what [Seal] adds to a plaintext: a 32-byte key commitment
// and a 16-byte tag.
const SealOverhead = commitSize + chacha20poly1305.Overhead

const commitSize = 32

// labelSeal separates the encryption key, nonce and commitment of [Seal].
const labelSeal Label = "rushlight/suite/seal/1"

// Seal encrypts one plaintext under a key that is used for nothing else, and
// commits to the key: no ciphertext opens under two keys (spec §2.4). The
// output is commitment[32] ‖ ChaCha20-Poly1305 ciphertext; it is appended to
// dst. The key must be fresh for each call.
func Seal(dst, key, ad, plaintext []byte) []byte {
	o := Derive(key, nil, chacha20poly1305.KeySize+chacha20poly1305.NonceSize+commitSize, labelSeal)
	a, err := chacha20poly1305.New(o[:32])
	if err != nil {
		panic("suite: " + err.Error())
	}
	dst = append(dst, o[44:76]...)
	return a.Seal(dst, o[32:44], plaintext, ad)
}

// Open reverses [Seal]. The commitment is checked before anything is
// decrypted. On error nothing is returned.
func Open(dst, key, ad, sealed []byte) ([]byte, error) {
	if len(sealed) < SealOverhead {
		return nil, ErrOpen
	}
	o := Derive(key, nil, chacha20poly1305.KeySize+chacha20poly1305.NonceSize+commitSize, labelSeal)
	if !Equal(o[44:76], sealed[:commitSize]) {
		return nil, ErrOpen
	}
	a, err := chacha20poly1305.New(o[:32])
	if err != nil {
		panic("suite: " + err.Error())
	}
	pt, err := a.Open(dst, o[32:44], sealed[commitSize:], ad)
	if err != nil {
		return nil, ErrOpen
	}
	return pt, nil
}

// BoxOverhead is what [SealBox] adds: a random 24-byte nonce and a 16-byte
// tag.
const BoxOverhead = chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead

// SealBox encrypts with XChaCha20-Poly1305 under a key that may be used many
// times, with a fresh random nonce in front; appended to dst (spec §2.4).
func SealBox(dst, key, ad, plaintext []byte) []byte {
	a, err := chacha20poly1305.NewX(key)
	if err != nil {
		panic("suite: " + err.Error())
	}
	n := len(dst)
	dst = append(dst, make([]byte, chacha20poly1305.NonceSizeX)...)
	Random(dst[n:])
	return a.Seal(dst, dst[n:n+chacha20poly1305.NonceSizeX], plaintext, ad)
}

// OpenBox reverses [SealBox].
func OpenBox(dst, key, ad, sealed []byte) ([]byte, error) {
	if len(sealed) < BoxOverhead {
		return nil, ErrOpen
	}
	a, err := chacha20poly1305.NewX(key)
	if err != nil {
		panic("suite: " + err.Error())
	}
	pt, err := a.Open(dst, sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:], ad)
	if err != nil {
		return nil, ErrOpen
	}
	return pt, nil
}

// OnceOverhead is what [SealOnce] adds: a 16-byte tag.
const OnceOverhead = chacha20poly1305.Overhead

// SealOnce encrypts with XChaCha20-Poly1305 and a nonce of zeros; appended to
// dst (spec §2.4). The key must never seal two different plaintexts or
// associated data.
func SealOnce(dst, key, ad, plaintext []byte) []byte {
	a, err := chacha20poly1305.NewX(key)
	if err != nil {
		panic("suite: " + err.Error())
	}
	var nonce [chacha20poly1305.NonceSizeX]byte
	return a.Seal(dst, nonce[:], plaintext, ad)
}

// OpenOnce reverses [SealOnce].
func OpenOnce(dst, key, ad, sealed []byte) ([]byte, error) {
	a, err := chacha20poly1305.NewX(key)
	if err != nil {
		panic("suite: " + err.Error())
	}
	var nonce [chacha20poly1305.NonceSizeX]byte
	pt, err := a.Open(dst, nonce[:], sealed, ad)
	if err != nil {
		return nil, ErrOpen
	}
	return pt, nil
}

// OneTime is what seals one plaintext: key[32] ‖ commitment[32]. Both come out
// of one [Derive] or [Expand] whose result is used for nothing else.
type OneTime [chacha20poly1305.KeySize + commitSize]byte

// Seal encrypts one plaintext and commits to the key, as the function Seal
// does; the output has the same form and length (spec §2.4).
func (k *OneTime) Seal(dst, ad, plaintext []byte) []byte {
	var nonce [chacha20poly1305.NonceSize]byte
	dst = append(dst, k[chacha20poly1305.KeySize:]...)
	return k.cipher().Seal(dst, nonce[:], plaintext, ad)
}

// Open reverses [OneTime.Seal]. The commitment is checked before anything is
// decrypted. On error nothing is returned.
func (k *OneTime) Open(dst, ad, sealed []byte) ([]byte, error) {
	if len(sealed) < SealOverhead || !Equal(k[chacha20poly1305.KeySize:], sealed[:commitSize]) {
		return nil, ErrOpen
	}
	var nonce [chacha20poly1305.NonceSize]byte
	pt, err := k.cipher().Open(dst, nonce[:], sealed[commitSize:], ad)
	if err != nil {
		return nil, ErrOpen
	}
	return pt, nil
}

func (k *OneTime) cipher() cipher.AEAD {
	a, err := chacha20poly1305.New(k[:chacha20poly1305.KeySize])
	if err != nil {
		panic("suite: " + err.Error())
	}
	return a
}

// Stream appends n bytes that only who has the key can tell from random ones:
// the ChaCha20 keystream (RFC 8439) from block 1 on. The key must be used for
// nothing else. The bytes are the ciphertext of as many zeros, because that
// cipher has fast code where the bare keystream has none.
func Stream(dst []byte, n int, key [32]byte) []byte {
	a, err := chacha20poly1305.New(key[:])
	if err != nil {
		panic("suite: " + err.Error())
	}
	at := len(dst)
	dst = slices.Grow(dst, n+chacha20poly1305.Overhead)[:at+n]
	clear(dst[at:])
	var nonce [chacha20poly1305.NonceSize]byte
	a.Seal(dst[:at], nonce[:], dst[at:], nil)
	return dst
}

// Random fills b from the operating system's generator.
func Random(b []byte) {
	// crypto/rand.Read never fails since Go 1.24: it crashes the process.
	_, _ = rand.Read(b)
}
