package suite_test

import (
	"bytes"
	"testing"

	"rushlight/protocol/suite"
)

func TestHashLong(t *testing.T) {
	for _, n := range []int{0, 1, 4096, 1 << 20} {
		b := bytes.Repeat([]byte{7}, n)
		if suite.HashLong(labelA, b) != suite.Hash(labelA, b) {
			t.Fatalf("%d bytes have another hash", n)
		}
	}
}
