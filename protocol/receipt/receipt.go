// Package receipt is a relay's signed word that it has an envelope.
//
// It is not a proof that the relay keeps it. It is evidence: a recipient who
// is shown the receipt and, from the same relay, a log that goes beyond the
// receipt's batch without the envelope in it knows that the relay lied. One
// signature covers everything that one commit stored, so that a receipt costs
// a relay a few hashes (spec §11.6).
package receipt

import (
	"crypto/ed25519"
	"fmt"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

// Limits (spec §11.6).
const (
	MaxDepth  = 12
	MaxLeaves = 1 << MaxDepth
	// MaxSize is the length of the longest receipt in bytes.
	MaxSize = 8 + 2 + 2 + 1 + 32*MaxDepth + ed25519.SignatureSize
)

const (
	labelLeaf  suite.Label = "rushlight/receipt/leaf/1"
	labelNode  suite.Label = "rushlight/receipt/node/1"
	labelBatch suite.Label = "rushlight/receipt/batch/1"
)

// Leaf stands for one stored envelope: its id, which is a hash of all its
// bytes, and its tag.
func Leaf(object, tag [16]byte) [32]byte { return suite.Hash(labelLeaf, object[:], tag[:]) }

// Receipt says that an envelope was stored in a batch.
type Receipt struct {
	Batch uint64     // number of the relay's commit
	Day   uint16     // day number of the commit
	Turns uint16     // bit i: the i-th hash of Path stands on the left
	Path  [][32]byte // from the leaf's sibling up
	Sig   [64]byte
}

// Sign makes the receipts of a batch, one for each leaf and in their order.
// There are at most MaxLeaves; more are a bug of the caller and panic.
func Sign(key ed25519.PrivateKey, batch uint64, day uint16, leaves [][32]byte) []Receipt {
	if len(leaves) > MaxLeaves {
		panic("receipt: too many leaves")
	}
	if len(leaves) == 0 {
		return nil
	}
	out := make([]Receipt, len(leaves))
	depth := 0
	for 1<<depth < len(leaves) {
		depth++
	}
	paths := make([][32]byte, 0, depth*len(leaves))
	for i := range out {
		out[i] = Receipt{Batch: batch, Day: day, Path: paths[i*depth : i*depth : (i+1)*depth]}
	}
	// A node that has no sibling on its level stands on the next one as it is.
	level := append(make([][32]byte, 0, len(leaves)), leaves...)
	for up := uint(0); len(level) > 1; up++ {
		for i := range out {
			at := i >> up
			if sibling := at ^ 1; sibling < len(level) {
				r := &out[i]
				if at&1 == 1 {
					r.Turns |= 1 << len(r.Path)
				}
				r.Path = append(r.Path, level[sibling])
			}
		}
		next := level[:0]
		for i := 0; i < len(level); i += 2 {
			if i+1 == len(level) {
				next = append(next, level[i])
			} else {
				next = append(next, node(&level[i], &level[i+1]))
			}
		}
		level = next
	}
	sig := suite.Sign(key, labelBatch, signed(level[0], batch, day))
	for i := range out {
		copy(out[i].Sig[:], sig)
	}
	return out
}

func node(left, right *[32]byte) [32]byte { return suite.Hash(labelNode, left[:], right[:]) }

func signed(root [32]byte, batch uint64, day uint16) []byte {
	return wire.NewWriter(make([]byte, 0, 42)).Raw(root[:]).U64(batch).U16(day).Out()
}

// Verify reports whether the relay with the given public key signed that it
// stored the envelope. A client MUST check this before it counts a deposit as
// stored (spec §11.6).
func (r *Receipt) Verify(relay ed25519.PublicKey, object, tag [16]byte) bool {
	return r.VerifyRoot(relay, r.Root(object, tag))
}

// VerifyRoot is the part of Verify that costs a signature: receipts of one
// batch have one root, so that it need be checked once for all of them.
func (r *Receipt) VerifyRoot(relay ed25519.PublicKey, root [32]byte) bool {
	return suite.Verify(relay, r.Sig[:], labelBatch, signed(root, r.Batch, r.Day))
}

// Root is the top of the tree that an envelope has by this receipt.
func (r *Receipt) Root(object, tag [16]byte) [32]byte {
	h := Leaf(object, tag)
	for i := range r.Path {
		if r.Turns&(1<<i) != 0 {
			h = node(&r.Path[i], &h)
		} else {
			h = node(&h, &r.Path[i])
		}
	}
	return h
}

// Append encodes the receipt behind dst: batch u64 ‖ day u16 ‖ turns u16 ‖
// n u8 ‖ path[n][32] ‖ sig[64].
func (r *Receipt) Append(dst []byte) []byte {
	w := wire.NewWriter(dst).U64(r.Batch).U16(r.Day).U16(r.Turns).U8(uint8(len(r.Path)))
	for i := range r.Path {
		w.Raw(r.Path[i][:])
	}
	return w.Raw(r.Sig[:]).Out()
}

// Read reads a receipt from r.
func Read(r *wire.Reader) (out Receipt) {
	out = Receipt{Batch: r.U64(), Day: r.U16(), Turns: r.U16()}
	n := int(r.U8())
	if n > MaxDepth || out.Turns>>n != 0 {
		r.Fail("impossible path")
		return Receipt{}
	}
	if r.Len() < 32*n {
		r.Fail("short path")
		return Receipt{}
	}
	if n > 0 {
		out.Path = make([][32]byte, n)
	}
	for i := range out.Path {
		out.Path[i] = r.A32()
	}
	r.Fill(out.Sig[:])
	if r.Err() != nil {
		return Receipt{}
	}
	return out
}

// Parse reverses [Receipt.Append].
func Parse(b []byte) (Receipt, error) {
	r := wire.NewReader(b)
	out := Read(r)
	if err := r.Close(); err != nil {
		return Receipt{}, fmt.Errorf("receipt: %w", err)
	}
	return out, nil
}
