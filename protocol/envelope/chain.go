package envelope

import (
	"fmt"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

const (
	labelChain   suite.Label = "rushlight/envelope/chain/1"
	labelChainID suite.Label = "rushlight/envelope/chain-id/1"
	labelNext    suite.Label = "rushlight/envelope/chain-next/1"
	labelMessage suite.Label = "rushlight/envelope/chain-message/1"
)

// ChainSize is the length of a marshalled [Chain].
const ChainSize = 8 + 8 + 32

// maxIndex bounds the index of a chain.
const maxIndex = 1 << 48

// Chain is the sending side of the delivery chain from one device to one
// account: it gives every envelope payload an index and a key (spec §7.3).
type Chain struct {
	id    [8]byte
	index uint64
	ck    [32]byte
}

// NewChain starts the chain of a device from 32 random bytes. The seed can be
// forgotten; recipients get [Chain.Marshal], inside their sessions.
func NewChain(seed [32]byte, dev [16]byte) *Chain {
	c := &Chain{}
	full := suite.Hash(labelChainID, seed[:], dev[:])
	copy(c.id[:], full[:])
	copy(c.ck[:], suite.Derive(seed[:], nil, 32, labelChain, dev[:]))
	return c
}

// Next returns the index and the key of the next payload and forgets them.
func (c *Chain) Next() (index uint64, mk [32]byte) {
	index, mk = c.index, messageKey(c.ck)
	c.ck = nextKey(c.ck)
	c.index++
	return index, mk
}

// Index is the index that [Chain.Next] will return.
func (c *Chain) Index() uint64 { return c.index }

// Marshal encodes id[8] ‖ index u64 ‖ chain key[32]. Whoever holds it can find
// and unwrap the envelopes from index on, and none before.
func (c *Chain) Marshal() []byte {
	return wire.NewWriter(make([]byte, 0, ChainSize)).Raw(c.id[:]).U64(c.index).Raw(c.ck[:]).Out()
}

// ParseChain reverses [Chain.Marshal].
func ParseChain(b []byte) (*Chain, error) {
	r := wire.NewReader(b)
	c := &Chain{}
	r.Fill(c.id[:])
	c.index = r.U64()
	c.ck = r.A32()
	if c.index > maxIndex {
		r.Fail("chain index over its limit")
	}
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("reading a delivery chain: %w", err)
	}
	return c, nil
}

func messageKey(ck [32]byte) [32]byte { return suite.MAC(ck[:], labelMessage) }

func nextKey(ck [32]byte) [32]byte { return suite.MAC(ck[:], labelNext) }

// walk advances a chain key n steps.
func walk(ck [32]byte, n uint64) [32]byte {
	for ; n > 0; n-- {
		ck = nextKey(ck)
	}
	return ck
}
