// Package kem is ML-KEM-768 (FIPS 203) cut into the pieces in which the braid
// sends it: an encapsulation that starts when only 64 bytes of the
// encapsulation key have arrived and ends when the rest has.
//
// It is not another KEM: key generation and decapsulation are crypto/mlkem,
// and the two halves of a ciphertext joined are, bit for bit, what
// crypto/mlkem makes from the same randomness (spec §6.2). It promises that a
// vector which does not belong to the header is refused.
package kem

import (
	"crypto/mlkem"
	"crypto/sha3"
	"crypto/subtle"
	"errors"
	"fmt"
)

// Sizes in bytes.
const (
	SeedSize   = mlkem.SeedSize                     // d ‖ z of the decapsulation key
	HeaderSize = 64                                 // ρ ‖ H(ek)
	VectorSize = mlkem.EncapsulationKeySize768 - 32 // the encoded vector t
	CT1Size    = 960                                // the encoded vector u
	CT2Size    = mlkem.CiphertextSize768 - CT1Size  // the encoded polynomial v
	SecretSize = mlkem.SharedKeySize                // the shared secret
	n          = 256                                // coefficients of a polynomial
	q          = 3329                               // the modulus
	k          = 3                                  // polynomials in a vector
)

const (
	encodingSize12 = n * 12 / 8
	encodingSize10 = n * 10 / 8
	encodingSize4  = n * 4 / 8
	encodingSize1  = n * 1 / 8
)

// ErrKey is returned for a vector that is not the one the header commits to,
// or that FIPS 203 §7.2 refuses.
var ErrKey = errors.New("kem: encapsulation key does not match its header or is invalid")

// Split cuts an encapsulation key t ‖ ρ into its header ρ ‖ H(ek) and its
// vector t, which aliases ek. It fails when ek is not 1,184 bytes long.
func Split(ek []byte) (header [HeaderSize]byte, vector []byte, err error) {
	if len(ek) != mlkem.EncapsulationKeySize768 {
		return header, nil, ErrKey
	}
	h := sha3.Sum256(ek)
	copy(header[:32], ek[VectorSize:])
	copy(header[32:], h[:])
	return header, ek[:VectorSize:VectorSize], nil
}

// Public returns the two pieces of the encapsulation key of a seed.
func Public(seed *[SeedSize]byte) (header [HeaderSize]byte, vector []byte) {
	header, vector, err := Split(decapsulationKey(seed).EncapsulationKey().Bytes())
	if err != nil {
		panic("kem: " + err.Error())
	}
	return header, vector
}

// Encaps1 makes the first part of the ciphertext, 960 bytes, and the shared
// secret from the header and 32 random bytes. Both must be kept for [Encaps2];
// m must be used for one header only.
func Encaps1(header *[HeaderSize]byte, m *[32]byte) (ct1 []byte, secret [SecretSize]byte) {
	g := expand(header, m)
	copy(secret[:], g[:32])
	r := noise(g[32:])
	ct1 = make([]byte, 0, CT1Size)
	for i := range byte(k) {
		// Row i of the transposed matrix, as in FIPS 203 Algorithm 14.
		var u nttElement
		for j := range byte(k) {
			u = polyAdd(u, nttMul(sampleNTT(header[:32], i, j), r[j]))
		}
		e1 := samplePolyCBD(g[32:], k+i)
		ct1 = ringCompressAndEncode10(ct1, polyAdd(inverseNTT(u), e1))
	}
	return ct1, secret
}

// Encaps2 makes the second part of the ciphertext, 128 bytes, once the vector
// is there. The error is [ErrKey].
func Encaps2(header *[HeaderSize]byte, vector []byte, m *[32]byte) ([]byte, error) {
	if len(vector) != VectorSize {
		return nil, ErrKey
	}
	var ek [VectorSize + 32]byte
	copy(ek[:], vector)
	copy(ek[VectorSize:], header[:32])
	// H covers vector ‖ seed, the order of FIPS 203; the braid's paper writes
	// seed ‖ vector, which crypto/mlkem would not decapsulate.
	h := sha3.Sum256(ek[:])
	if subtle.ConstantTimeCompare(h[:], header[32:]) != 1 {
		return nil, ErrKey
	}
	g := expand(header, m)
	r := noise(g[32:])
	var v nttElement
	for i := range k {
		t, err := polyByteDecode[nttElement](vector[i*encodingSize12 : (i+1)*encodingSize12])
		if err != nil {
			return nil, ErrKey
		}
		v = polyAdd(v, nttMul(t, r[i]))
	}
	e2 := samplePolyCBD(g[32:], 2*k)
	sum := polyAdd(polyAdd(inverseNTT(v), e2), ringDecodeAndDecompress1(m))
	return ringCompressAndEncode4(make([]byte, 0, CT2Size), sum), nil
}

// Decaps returns the shared secret of a ciphertext in its two parts. An
// altered ciphertext gives an unrelated secret, as FIPS 203 wants; only wrong
// lengths are errors.
func Decaps(seed *[SeedSize]byte, ct1, ct2 []byte) (secret [SecretSize]byte, err error) {
	if len(ct1) != CT1Size || len(ct2) != CT2Size {
		return secret, fmt.Errorf("kem: ciphertext parts of %d and %d bytes", len(ct1), len(ct2))
	}
	ct := make([]byte, 0, mlkem.CiphertextSize768)
	ct = append(append(ct, ct1...), ct2...)
	s, err := decapsulationKey(seed).Decapsulate(ct)
	if err != nil {
		return secret, fmt.Errorf("kem: decapsulate: %w", err)
	}
	copy(secret[:], s)
	return secret, nil
}

func decapsulationKey(seed *[SeedSize]byte) *mlkem.DecapsulationKey768 {
	dk, err := mlkem.NewDecapsulationKey768(seed[:])
	if err != nil {
		panic("kem: " + err.Error())
	}
	return dk
}

// expand is G(m ‖ H(ek)): the shared secret, then the seed of the noise.
func expand(header *[HeaderSize]byte, m *[32]byte) [64]byte {
	var in [64]byte
	copy(in[:32], m[:])
	copy(in[32:], header[32:])
	return sha3.Sum512(in[:])
}

func noise(seed []byte) (r [k]nttElement) {
	for i := range r {
		r[i] = ntt(samplePolyCBD(seed, byte(i)))
	}
	return r
}
