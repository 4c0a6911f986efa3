package handshake

import (
	"encoding/binary"

	"rushlight/protocol/suite"
)

const labelReplay suite.Label = "rushlight/handshake/replay/1"

// MaxReplay is how many replay keys one bundle may collect. A device that
// reaches it replaces the bundle and stops answering the old one; it never
// forgets a key early (spec §5.6).
const MaxReplay = 4096

// ReplayKey names one use of the bundle's keys by one ephemeral key. The
// responder keeps it as long as the bundle's secrets and refuses a flight
// whose key it has (spec §5.6).
//
// A one-time bundle needs it only until its secrets are deleted, which the
// transaction that stores the session does; a last-resort bundle needs it
// until its end and [Grace] have passed, because the same flight would give
// the same keys again.
func ReplayKey(b *Bundle, f *Flight) [32]byte {
	var ids [8]byte
	binary.BigEndian.PutUint32(ids[:], b.Signed.ID)
	binary.BigEndian.PutUint32(ids[4:], b.PQ.ID)
	return suite.Hash(labelReplay, ids[:],
		typed(typeX25519, b.Signed.Key[:]), typed(typeMLKEM, b.PQ.Key[:]),
		typed(typeX25519, f.Ephemeral[:]))
}
