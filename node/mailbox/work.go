package mailbox

import (
	"context"
	"encoding/binary"
	"fmt"

	"rushlight/protocol/pow"
	"rushlight/protocol/suite"
	bytes "rushlight/protocol/wire"
)

// Work solves a challenge; it takes about effort times two milliseconds of one
// processor and 5 MiB (spec §11.5). The error is ctx's.
func Work(ctx context.Context, challenge [32]byte, effort uint32) (pow.Proof, error) {
	var first [8]byte
	suite.Random(first[:])
	s := pow.NewSolver()
	for nonce := binary.BigEndian.Uint64(first[:]); ; nonce++ {
		if err := ctx.Err(); err != nil {
			return pow.Proof{}, fmt.Errorf("mailbox: working: %w", err)
		}
		if p, ok := s.Solve(challenge, nonce, effort); ok {
			return p, nil
		}
	}
}

// HostProof is what Create.Proof holds for a relay that asks for work.
func HostProof(day uint16, p pow.Proof) []byte {
	return bytes.NewWriter(nil).U16(day).Raw(p[:]).Out()
}
