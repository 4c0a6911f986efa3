package relayset

import (
	"bytes"
	"crypto/ed25519"
	"reflect"
	"testing"
)

func signer() (ed25519.PrivateKey, [32]byte) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	return key, [32]byte(key.Public().(ed25519.PublicKey))
}

func TestSignedSet(t *testing.T) {
	key, pub := signer()
	s := &Set{Account: [32]byte{1}, Device: [16]byte{2}, Seq: 3, Issued: 4, Relays: []Relay{
		{Key: [32]byte{5}, Addrs: [][]byte{{1, 2}, {3}}, Lane: [32]byte{6}}, {Key: [32]byte{7}},
	}}
	b := s.Sign(key)
	got, err := Open(b, pub)
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Fatalf("%+v %v", got, err)
	}
	for i := range b {
		c := bytes.Clone(b)
		c[i] ^= 1
		if _, err := Open(c, pub); err == nil {
			t.Fatalf("byte %d was changed and nobody noticed", i)
		}
	}
	if _, err := Open(b, [32]byte{9}); err == nil {
		t.Error("another device's signature is good")
	}
	s.Relays = append(s.Relays, s.Relays[1])
	if _, err := Open(s.Sign(key), pub); err == nil {
		t.Error("a relay may be named twice")
	}
}

func FuzzOpen(f *testing.F) {
	key, pub := signer()
	f.Add((&Set{Seq: 1, Relays: []Relay{{Key: [32]byte{1}, Addrs: [][]byte{{4}}}}}).Sign(key))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := Open(b, pub); err == nil && !bytes.Equal(s.Sign(key), b) {
			t.Fatal("two spellings of one set")
		}
	})
}
