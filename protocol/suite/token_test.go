package suite_test

import (
	"bytes"
	"errors"
	"testing"

	"rushlight/protocol/suite"
)

func TestToken(t *testing.T) {
	var key [32]byte
	suite.Random(key[:])
	a, b := suite.NewTokenKey(key, labelA, []byte{1}), suite.NewTokenKey(key, labelA, []byte{2})
	token := a.Seal([]byte("x"), []byte("plain"))
	if token[0] != 'x' || len(token) != 1+5+suite.TokenOverhead {
		t.Fatalf("%d bytes", len(token))
	}
	token = token[1:]
	if got, err := a.Open(nil, token); err != nil || !bytes.Equal(got, []byte("plain")) {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := b.Open(nil, token); !errors.Is(err, suite.ErrOpen) {
		t.Error("opens under other fields")
	}
	for i := range token {
		bad := bytes.Clone(token)
		bad[i] ^= 1
		if _, err := a.Open(nil, bad); !errors.Is(err, suite.ErrOpen) {
			t.Errorf("byte %d may change", i)
		}
	}
	for n := range token {
		if _, err := a.Open(nil, token[:n]); !errors.Is(err, suite.ErrOpen) {
			t.Errorf("opens when cut to %d", n)
		}
	}
	if bytes.Equal(a.Seal(nil, []byte("p")), a.Seal(nil, []byte("p"))) {
		t.Error("two tokens are equal")
	}
}
