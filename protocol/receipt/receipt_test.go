package receipt_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"testing"

	"rushlight/protocol/receipt"
	"rushlight/protocol/suite"
)

var relay = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))

func public() ed25519.PublicKey { return relay.Public().(ed25519.PublicKey) }

func object(i int) (id, tag [16]byte) {
	binary.BigEndian.PutUint64(id[:], uint64(i))
	binary.BigEndian.PutUint64(tag[8:], uint64(i))
	return id, tag
}

func leaves(n int) [][32]byte {
	out := make([][32]byte, n)
	for i := range out {
		out[i] = receipt.Leaf(object(i))
	}
	return out
}

// Every envelope of a batch of any size has its receipt, which is good for no
// other envelope, relay, batch or day.
func TestEveryLeaf(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5, 7, 8, 9, 31, 100} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			rs := receipt.Sign(relay, 9, 20000, leaves(n))
			if len(rs) != n {
				t.Fatalf("%d receipts", len(rs))
			}
			for i := range rs {
				id, tag := object(i)
				if !rs[i].Verify(public(), id, tag) {
					t.Fatalf("leaf %d isn't covered", i)
				}
				other, otherTag := object(i + 1)
				if rs[i].Verify(public(), other, tag) || rs[i].Verify(public(), id, otherTag) {
					t.Fatalf("leaf %d: good for another envelope", i)
				}
				got, err := receipt.Parse(rs[i].Append(nil))
				if err != nil || !got.Verify(public(), id, tag) {
					t.Fatalf("leaf %d: %v after encoding", i, err)
				}
			}
		})
	}
	if receipt.Sign(relay, 1, 1, nil) != nil {
		t.Error("a receipt for nothing")
	}
}

func TestAltered(t *testing.T) {
	id, tag := object(5)
	raw := receipt.Sign(relay, 9, 20000, leaves(11))[5].Append(nil)
	stranger, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := receipt.Parse(raw); err != nil || r.Verify(stranger, id, tag) || r.Verify(nil, id, tag) {
		t.Errorf("%v, or good for another relay", err)
	}
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 1
		if r, err := receipt.Parse(bad); err == nil && r.Verify(public(), id, tag) {
			t.Errorf("byte %d may change", i)
		}
	}
	// A node is no leaf: what the tree is made of above can't be passed off as
	// an envelope, because leaf and node have labels of their own.
	a, b := receipt.Leaf(object(1)), receipt.Leaf(object(2))
	if suite.Hash("rushlight/receipt/node/1", a[:], b[:]) == receipt.Leaf([16]byte(a[:16]), [16]byte(b[:16])) {
		t.Error("a node is a leaf")
	}
}

func TestLargestBatch(t *testing.T) {
	rs := receipt.Sign(relay, 1, 1, leaves(receipt.MaxLeaves))
	for _, i := range []int{0, 1, receipt.MaxLeaves - 1} {
		id, tag := object(i)
		if !rs[i].Verify(public(), id, tag) || len(rs[i].Append(nil)) != receipt.MaxSize {
			t.Errorf("leaf %d: %d bytes", i, len(rs[i].Append(nil)))
		}
	}
}

func TestVector(t *testing.T) {
	const want = "ea500a5ebfeb283d81b0a04b09f08f02783d583c858064ef1ea7136b7c122a96"
	r := receipt.Sign(relay, 1, 2, leaves(4))[3]
	sum := suite.Hash("rushlight/test/sum/1", r.Append(nil))
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func BenchmarkSign(b *testing.B) {
	for _, n := range []int{1, 256, 2000} {
		ls := leaves(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				receipt.Sign(relay, 1, 1, ls)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/receipt")
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, r := range receipt.Sign(relay, 9, 20000, leaves(5)) {
		f.Add(r.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := receipt.Parse(b)
		if err == nil && !bytes.Equal(r.Append(nil), b) {
			t.Fatal("two spellings")
		}
	})
}
