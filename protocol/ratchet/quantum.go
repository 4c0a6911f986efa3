package ratchet

import (
	"encoding/binary"
	"slices"

	"rushlight/protocol/ratchet/braid"
	"rushlight/protocol/suite"
)

const (
	labelQuantumStart suite.Label = "rushlight/ratchet/quantum-start/1"
	labelQuantumEpoch suite.Label = "rushlight/ratchet/quantum-epoch/1"
	labelQuantumChain suite.Label = "rushlight/ratchet/quantum-chain/1"
	labelQuantumKey   suite.Label = "rushlight/ratchet/quantum-key/1"
)

// quantum is the sparse post-quantum ratchet (spec §6.6): a pair of chains for
// every epoch of the braid. There is no session without it.
//
// Deviations from SPQR: the chain KDF is two MACs; numbers start at 0, so a
// receiver skips up to the number in the header; receiving chains of
// [KeepEpochs] epochs are kept instead of one.
//
// The epochs held are consecutive: the newest is the braid's epoch when its
// secret is out, else the one before.
type quantum struct {
	root      [32]byte
	initiator bool
	braid     *braid.Braid
	first     uint32  // number of epochs[0]
	epochs    []epoch // never empty
}

type epoch struct {
	send    chain // erased when a later epoch sends
	recv    chain
	waiting []waiting
}

type chain struct {
	ck [32]byte
	n  uint32 // number of the next message
}

func newQuantum(braidKey, key [32]byte, initiator bool) quantum {
	q := quantum{initiator: initiator, braid: braid.New(initiator, braidKey)}
	q.install(suite.Derive(key[:], nil, 96, labelQuantumStart))
	return q
}

// install appends an epoch from root ‖ chain of the initiator ‖ chain of the
// responder.
func (q *quantum) install(o []byte) {
	q.root = [32]byte(o[:32])
	e := epoch{send: chain{ck: [32]byte(o[32:64])}, recv: chain{ck: [32]byte(o[64:])}}
	if !q.initiator {
		e.send, e.recv = e.recv, e.send
	}
	q.epochs = append(q.epochs, e)
}

// add starts the epoch of a secret the braid has brought. The braid brings
// them in order.
func (q *quantum) add(s *braid.Secret) {
	if s != nil {
		q.install(suite.Derive(s.Key[:], q.root[:], 96, labelQuantumEpoch, binary.BigEndian.AppendUint32(nil, s.Epoch)))
	}
}

// sending is the epoch with whose chain messages are encrypted.
func (q *quantum) sending() uint32 { return q.braid.Epoch() - 1 }

func (q *quantum) newest() uint32 { return q.first + uint32(len(q.epochs)) - 1 }

// oldest is the first epoch kept while sending is the sending epoch.
func oldest(sending uint32) uint32 { return sending - min(sending, KeepEpochs) }

// prune erases what the sending epoch makes superfluous.
func (q *quantum) prune() {
	sending := q.sending()
	if drop := int(oldest(sending)) - int(q.first); drop > 0 {
		q.epochs = slices.Delete(q.epochs, 0, drop)
		q.first += uint32(drop)
	}
	for i := range q.epochs {
		if q.first+uint32(i) < sending {
			q.epochs[i].send = chain{}
		}
	}
	over := -MaxStored
	for i := range q.epochs {
		over += len(q.epochs[i].waiting)
	}
	for i := range q.epochs {
		if over > 0 {
			over = dropFirst(&q.epochs[i].waiting, over)
		}
	}
}

// stepQuantum is KDF_SCKA_CK, bound to the number of the message.
func stepQuantum(ck *[32]byte, n uint32) (key [32]byte) {
	var ctr [4]byte
	binary.BigEndian.PutUint32(ctr[:], n)
	key = suite.MAC(ck[:], labelQuantumKey, ctr[:])
	*ck = suite.MAC(ck[:], labelQuantumChain, ctr[:])
	return key
}

// exhausted reports whether the sending chain has no numbers left.
func (q *quantum) exhausted() bool {
	return q.epochs[q.sending()-q.first].send.n == maxNumber
}

// next returns the braid's message, the number and the key of the next
// message to be sent.
func (q *quantum) next() (m braid.Msg, n uint32, key [32]byte) {
	m, secret := q.braid.Send()
	q.add(secret)
	c := &q.epochs[q.sending()-q.first].send
	n = c.n
	key = stepQuantum(&c.ck, n)
	c.n++
	return m, n, key
}

// quantumStep is what a message would change, decided but not done.
type quantumStep struct {
	key     [32]byte
	epoch   int // position in the list of epochs
	at      int // position in the list of waiting keys, or -1
	chain   chain
	between []waiting
}

// plan finds the key of a message. It changes nothing. The epoch of a message
// is there before the message is: its secret comes with an earlier one.
func (q *quantum) plan(h *header) (st quantumStep, err error) {
	number := h.braid.Epoch - 1
	if number < q.first {
		return st, ErrTooFar
	}
	if number > q.newest() {
		return st, ErrDecrypt
	}
	st.epoch, st.at = int(number-q.first), -1
	e := &q.epochs[st.epoch]
	if h.pqn < e.recv.n {
		i, ok := find(e.waiting, h.pqn)
		if !ok {
			return st, ErrTooFar
		}
		st.at, st.key = i, e.waiting[i].key
		return st, nil
	}
	// One message may skip the end of one classical chain and the start of
	// the next, which can be in one epoch.
	if h.pqn-e.recv.n > 2*MaxSkip {
		return st, ErrTooFar
	}
	st.between, st.key, st.chain.ck = walk(e.recv.ck, e.recv.n, h.pqn, stepQuantum)
	st.chain.n = h.pqn + 1
	return st, nil
}

// commit hands the braid its message and, when the braid accepts it, does
// what was planned. After an error nothing has changed.
func (q *quantum) commit(st *quantumStep, m *braid.Msg) error {
	secret, err := q.braid.Receive(m)
	if err != nil {
		return err
	}
	e := &q.epochs[st.epoch]
	if st.at >= 0 {
		e.waiting = remove(e.waiting, st.at)
	} else {
		e.recv = st.chain
		e.waiting = append(e.waiting, st.between...)
	}
	q.add(secret)
	q.prune()
	return nil
}
