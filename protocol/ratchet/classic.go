package ratchet

import (
	"crypto/ecdh"
	"fmt"
	"math"
	"slices"

	"rushlight/protocol/suite"
)

const (
	labelRoot  suite.Label = "rushlight/ratchet/root/1"
	labelChain suite.Label = "rushlight/ratchet/chain/1"
	labelKey   suite.Label = "rushlight/ratchet/key/1"
)

// maxNumber is the number that no message has.
const maxNumber = math.MaxUint32

// turn says what the sending side of the classical ratchet has. "No chain" is
// a state of its own, never a chain of zero bytes.
type turn uint8

const (
	never turn = iota + 1 // nothing to send with: a responder that has not received
	due                   // the next message starts a new sending chain
	on                    // there is a sending chain
)

// classic is the Double Ratchet with header encryption (spec §6.5). The own
// key of a step is generated when the step is first sent with, which the
// paper allows (§6.5 there), so receiving needs no randomness. Deviations: the
// chain KDF has labels instead of the constants 1 and 2, and keys that were
// passed over are stored only after the message has proved authentic.
type classic struct {
	root               [32]byte
	nextSend, nextRecv [32]byte // header keys of the next chains

	turn     turn
	own      pair      // turn is never or on
	peer     [32]byte  // turn is due
	send     sendChain // turn is on
	previous uint32    // messages in the sending chain before

	recv *recvChain // nil before the first message
	old  []oldChain // oldest first
}

type sendChain struct {
	header, ck [32]byte
	n          uint32 // number of the next message
}

type recvChain struct {
	header, ck [32]byte
	n          uint32 // number of the next message
	waiting    []waiting
}

// oldChain is what is left of an earlier receiving chain.
type oldChain struct {
	header  [32]byte
	age     uint16 // ratchet steps of the peer since
	waiting []waiting
}

// pair is an X25519 key pair. Its parsed form is made when it is needed,
// because that costs a scalar multiplication.
type pair struct {
	private, public [32]byte
	parsed          *ecdh.PrivateKey
}

func pairOf(k *ecdh.PrivateKey) pair {
	return pair{[32]byte(k.Bytes()), [32]byte(k.PublicKey().Bytes()), k}
}

func newPair() (pair, error) {
	var b [32]byte
	suite.Random(b[:])
	k, err := ecdh.X25519().NewPrivateKey(b[:])
	if err != nil {
		return pair{}, err
	}
	return pairOf(k), nil
}

// agree is X25519. It fails for a public key of low order.
func (p *pair) agree(public *[32]byte) ([]byte, error) {
	k := p.parsed
	if k == nil {
		var err error
		if k, err = ecdh.X25519().NewPrivateKey(p.private[:]); err != nil {
			return nil, err
		}
	}
	pub, err := ecdh.X25519().NewPublicKey(public[:])
	if err != nil {
		return nil, err
	}
	return k.ECDH(pub)
}

// stepRoot is KDF_RK: new root, chain key and next header key.
func stepRoot(root *[32]byte, dh []byte) (next, ck, header [32]byte) {
	o := suite.Derive(dh, root[:], 96, labelRoot)
	return [32]byte(o[:32]), [32]byte(o[32:64]), [32]byte(o[64:])
}

// stepChain is KDF_CK: it moves the chain on and returns the message key.
func stepChain(ck *[32]byte, _ uint32) (key [32]byte) {
	key = suite.MAC(ck[:], labelKey)
	*ck = suite.MAC(ck[:], labelChain)
	return key
}

// ratchetSend starts a sending chain: turn goes from due to on.
func (c *classic) ratchetSend() error {
	own, err := newPair()
	if err != nil {
		return fmt.Errorf("make a ratchet key: %w", err)
	}
	dh, err := own.agree(&c.peer)
	if err != nil {
		return fmt.Errorf("agree with the peer's ratchet key: %w", err)
	}
	c.send = sendChain{header: c.nextSend}
	c.root, c.send.ck, c.nextSend = stepRoot(&c.root, dh)
	c.own, c.peer, c.turn = own, [32]byte{}, on
	return nil
}

// origin says which header key opened a header.
type origin int

const (
	fromCurrent origin = -1
	fromNext    origin = -2
	// 0 and above: the old chain of that position.
)

// open tries the header keys: two live ones and those of old chains.
func (c *classic) open(front, ad []byte) (header, origin, bool) {
	if c.recv != nil {
		if h, ok := openHeader(c.recv.header[:], front, ad); ok {
			return h, fromCurrent, true
		}
	}
	// While a step of our own is due the peer cannot have taken another.
	if c.turn != due {
		if h, ok := openHeader(c.nextRecv[:], front, ad); ok {
			return h, fromNext, true
		}
	}
	for i := len(c.old) - 1; i >= 0; i-- {
		if h, ok := openHeader(c.old[i].header[:], front, ad); ok {
			return h, origin(i), true
		}
	}
	return header{}, 0, false
}

// classicStep is what a message would change, decided but not done.
type classicStep struct {
	key  [32]byte // of the message
	from origin
	at   int // position in the list of waiting keys, or -1

	root, nextRecv [32]byte  // fromNext
	peer           [32]byte  // fromNext
	tail           []waiting // fromNext: the end of the current chain

	header, ck [32]byte // the chain after the message, when at is -1
	n          uint32
	between    []waiting
}

// plan finds the key of a message. It changes nothing.
func (c *classic) plan(h *header, from origin) (st classicStep, err error) {
	st.from, st.at = from, -1
	if from >= 0 {
		return st, st.take(c.old[from].waiting, h.n)
	}
	if from == fromCurrent {
		if h.n < c.recv.n {
			return st, st.take(c.recv.waiting, h.n)
		}
		return st, st.walk(c.recv.header, c.recv.ck, c.recv.n, h.n)
	}
	if c.recv != nil {
		if h.previous < c.recv.n {
			return st, ErrDecrypt
		}
		if h.previous-c.recv.n > MaxSkip {
			return st, ErrTooFar
		}
	}
	if h.n > MaxSkip {
		return st, ErrTooFar
	}
	dh, err := c.own.agree(&h.dh)
	if err != nil {
		return st, ErrDecrypt
	}
	if c.recv != nil && h.previous > c.recv.n {
		st.tail, _, _ = walk(c.recv.ck, c.recv.n, h.previous, stepChain)
	}
	st.peer = h.dh
	var ck [32]byte
	st.root, ck, st.nextRecv = stepRoot(&c.root, dh)
	return st, st.walk(c.nextRecv, ck, 0, h.n)
}

func (st *classicStep) take(list []waiting, n uint32) error {
	i, ok := find(list, n)
	if !ok {
		return ErrReplay
	}
	st.at, st.key = i, list[i].key
	return nil
}

func (st *classicStep) walk(header, ck [32]byte, from, to uint32) error {
	if to-from > MaxSkip {
		return ErrTooFar
	}
	st.header = header
	st.between, st.key, st.ck = walk(ck, from, to, stepChain)
	st.n = to + 1
	return nil
}

// commit does what was planned.
func (c *classic) commit(st *classicStep) {
	switch {
	case st.from >= 0:
		o := &c.old[st.from]
		if o.waiting = remove(o.waiting, st.at); len(o.waiting) == 0 {
			c.old = slices.Delete(c.old, int(st.from), int(st.from)+1)
		}
		return
	case st.at >= 0:
		c.recv.waiting = remove(c.recv.waiting, st.at)
		return
	case st.from == fromNext:
		c.retire(st.tail)
		c.recv = &recvChain{}
		c.previous = c.send.n
		c.root, c.nextRecv, c.peer = st.root, st.nextRecv, st.peer
		c.send, c.own, c.turn = sendChain{}, pair{}, due
	}
	c.recv.header, c.recv.ck, c.recv.n = st.header, st.ck, st.n
	c.recv.waiting = append(c.recv.waiting, st.between...)
	c.bound()
}

// retire moves the current receiving chain to the old ones, which age.
func (c *classic) retire(tail []waiting) {
	for i := range c.old {
		c.old[i].age++
	}
	if c.recv != nil {
		if keys := append(c.recv.waiting, tail...); len(keys) > 0 {
			c.old = append(c.old, oldChain{header: c.recv.header, waiting: keys})
		}
	}
	for len(c.old) > 0 && (len(c.old) > MaxOldChains || c.old[0].age > MaxAge) {
		c.old = slices.Delete(c.old, 0, 1)
	}
}

// stored is how many keys of missing messages there are.
func (c *classic) stored() (n int) {
	for i := range c.old {
		n += len(c.old[i].waiting)
	}
	if c.recv != nil {
		n += len(c.recv.waiting)
	}
	return n
}

// bound gives up the oldest keys when there are too many.
func (c *classic) bound() {
	over := c.stored() - MaxStored
	for over > 0 && len(c.old) > 0 {
		over = dropFirst(&c.old[0].waiting, over)
		if len(c.old[0].waiting) == 0 {
			c.old = slices.Delete(c.old, 0, 1)
		}
	}
	if over > 0 {
		dropFirst(&c.recv.waiting, over)
	}
}
