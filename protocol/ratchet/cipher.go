package ratchet

import (
	"crypto/cipher"

	"golang.org/x/crypto/chacha20poly1305"
)

func headerCipher(key []byte) cipher.AEAD {
	a, err := chacha20poly1305.NewX(key)
	if err != nil {
		panic("ratchet: " + err.Error())
	}
	return a
}

func bodyCipher(keys []byte) cipher.AEAD {
	a, err := chacha20poly1305.New(keys[:chacha20poly1305.KeySize])
	if err != nil {
		panic("ratchet: " + err.Error())
	}
	return a
}
