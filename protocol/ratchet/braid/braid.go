// Package braid agrees on a sequence of post-quantum secrets between two
// parties that can only attach a few bytes to messages they send anyway: the
// ML-KEM Braid (Signal, revision 1) over ML-KEM-768 and an erasure code.
//
// It is not a ratchet and protects nothing by itself: the session that carries
// its messages authenticates them, and chains the secrets. It promises that
// both parties get the same secret for an epoch or an error, that the secret
// of an epoch is there before a message of the next epoch can arrive, and
// that its memory is bounded whatever arrives (spec §6.3, §6.4).
//
// Deviations from the paper: labels of our own. EkSentCt1Received sends
// nothing and the type Ct1Ack is left out: the peer of that state has had the
// acknowledgement with EkCt1Ack. Ct1Acknowledged also takes chunks of type Ek,
// which may arrive late. ct2 is made as soon as the vector is complete, so
// that the randomness of the encapsulation is erased earlier. A message of an
// epoch that cannot be is an error. The hash of the key in the header is that
// of FIPS 203 (vector ‖ seed), not of the paper. With 192-byte chunks the
// header and ct2 are one chunk each, so EkSentCt1Received is passed through
// but never rested in.
package braid

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"rushlight/protocol/ratchet/kem"
	"rushlight/protocol/suite"
)

const (
	labelAuth       suite.Label = "rushlight/braid/authenticator/1"
	labelSecret     suite.Label = "rushlight/braid/secret/1"
	labelHeader     suite.Label = "rushlight/braid/header/1"
	labelCiphertext suite.Label = "rushlight/braid/ciphertext/1"
)

// ErrAborted is returned when the peer contradicts itself or an epoch that
// cannot be is reached. The two parties will not agree any more: the session
// must be replaced.
var ErrAborted = errors.New("braid: aborted")

// State is a state of the braid (spec §6.4).
type State uint8

// The states. The first five belong to the party that sends an encapsulation
// key in this epoch, the others to the party that answers with a ciphertext.
const (
	KeysUnsampled State = iota
	KeysSampled
	HeaderSent
	Ct1Received
	EkSentCt1Received
	NoHeaderReceived
	HeaderReceived
	Ct1Sampled
	EkReceivedCt1Sampled
	Ct1Acknowledged
	Ct2Sampled
	states
)

const (
	macSize       = 32
	headerMACSize = kem.HeaderSize + macSize
	ct2MACSize    = kem.CT2Size + macSize
)

// Secret is the result of one epoch.
type Secret struct {
	Epoch uint32
	Key   [32]byte
}

// Braid is one party's state. Every slice in it is replaced, never written
// to, so that a copy of the struct is a snapshot.
type Braid struct {
	state     State
	epoch     uint32
	root, mac [32]byte // the authenticator

	seed   [kem.SeedSize]byte   // key side, until the secret is known
	header [kem.HeaderSize]byte // ciphertext side, until the vector is known
	m      [32]byte             // likewise
	ct1    []byte               // until ct2 is known; see ciphertext

	out   []byte    // the text being sent in chunks; ct1 is in its own place while m is there
	next  uint16    // number of its next chunk
	later []byte    // the text to be sent after it, when that is known
	in    collector // the text being received
}

// New starts a braid from a secret both parties share. The initiator sends the
// first encapsulation key.
func New(initiator bool, key [32]byte) *Braid {
	b := &Braid{epoch: 1, state: NoHeaderReceived}
	if initiator {
		b.state = KeysUnsampled
	}
	b.authenticate(key)
	b.rest()
	return b
}

// Epoch is the epoch in which the parties are agreeing on a secret. Messages
// sent now are to be protected with the secret of the epoch before.
func (b *Braid) Epoch() uint32 { return b.epoch }

// Ahead reports whether the secret of the current epoch is out already.
func (b *Braid) Ahead() bool { return b.state >= Ct1Sampled }

// Send returns the message to attach to the next message of the session, and
// the secret of the current epoch when this call made it.
func (b *Braid) Send() (Msg, *Secret) {
	var made *Secret
	switch b.state {
	case KeysUnsampled:
		suite.Random(b.seed[:])
		header, _ := kem.Public(&b.seed) // the vector is made when it is sent
		tag := b.tag(labelHeader, header[:])
		b.send(append(header[:], tag[:]...))
		b.state = KeysSampled
	case HeaderReceived:
		suite.Random(b.m[:])
		ct1, shared := kem.Encaps1(&b.header, &b.m)
		made = b.secret(shared)
		b.ct1 = ct1
		b.send(nil)
		b.in = collector{size: kem.VectorSize}
		b.state = Ct1Sampled
	default: // the other states go on with what they have
	}
	m := Msg{Epoch: b.epoch, Type: b.sends()}
	if m.Type != None {
		text := b.out
		if b.state == Ct1Sampled {
			text = b.ciphertext()
		}
		m.Index = b.next
		m.Chunk = encodeChunk(text, b.next)
		b.next = (b.next + 1) % indexes
	}
	return m, made
}

// Receive takes a message of the peer, which must have been authenticated,
// and returns the secret of the current epoch when it is now known. After an
// error, which wraps [ErrAborted], the state is as before.
func (b *Braid) Receive(m *Msg) (*Secret, error) {
	before := *b
	s, err := b.receive(m)
	if err != nil {
		*b = before
		return nil, fmt.Errorf("%w: %w", ErrAborted, err)
	}
	return s, nil
}

var (
	errEpoch = errors.New("message of a future epoch")
	errMAC   = errors.New("wrong MAC")
	errLast  = errors.New("no epochs left")
)

func (b *Braid) receive(m *Msg) (*Secret, error) {
	if m.Epoch < b.epoch {
		return nil, nil
	}
	if m.Epoch > b.epoch {
		if b.state != Ct2Sampled || m.Epoch-b.epoch > 1 {
			return nil, errEpoch
		}
		// The peer knows the secret: the roles change.
		return nil, b.advance(KeysUnsampled)
	}
	switch b.state {
	case NoHeaderReceived:
		if m.Type == Hdr {
			return nil, b.takeHeader(m)
		}
	case Ct1Sampled, Ct1Acknowledged:
		if m.Type == Ek || m.Type == EkCt1Ack {
			return nil, b.takeVector(m)
		}
	case EkReceivedCt1Sampled:
		if m.Type == EkCt1Ack {
			b.answer()
		}
	case KeysSampled:
		if m.Type == Ct1 {
			// The first chunk of ct1 says that the header has arrived.
			_, vector := kem.Public(&b.seed)
			b.send(vector)
			b.in = collector{size: kem.CT1Size}
			b.state = HeaderSent
			b.takeCT1(m)
		}
	case HeaderSent:
		if m.Type == Ct1 {
			b.takeCT1(m)
		}
	case Ct1Received:
		if m.Type == Ct2 {
			b.in = collector{size: ct2MACSize}
			b.send(nil)
			b.state = EkSentCt1Received
			return b.takeCT2(m)
		}
	case EkSentCt1Received:
		if m.Type == Ct2 {
			return b.takeCT2(m)
		}
	default: // KeysUnsampled, HeaderReceived, Ct2Sampled: it is our turn
	}
	return nil, nil
}

// sends is the type of the messages that a state sends.
func (b *Braid) sends() Type {
	switch b.state {
	case KeysSampled:
		return Hdr
	case HeaderSent:
		return Ek
	case Ct1Received:
		return EkCt1Ack
	case Ct1Sampled, EkReceivedCt1Sampled:
		return Ct1
	case Ct2Sampled:
		return Ct2
	default:
		return None
	}
}

func (b *Braid) send(text []byte) { b.out, b.next = text, 0 }

// takeHeader: NoHeaderReceived → HeaderReceived.
func (b *Braid) takeHeader(m *Msg) error {
	text := b.in.add(m.Index, &m.Chunk)
	if text == nil {
		return nil
	}
	tag := b.tag(labelHeader, text[:kem.HeaderSize])
	if !suite.Equal(tag[:], text[kem.HeaderSize:]) {
		return errMAC
	}
	copy(b.header[:], text)
	b.in = collector{}
	b.state = HeaderReceived
	return nil
}

// takeVector: Ct1Sampled → EkReceivedCt1Sampled, Ct1Acknowledged or
// Ct2Sampled; Ct1Acknowledged → Ct2Sampled.
func (b *Braid) takeVector(m *Msg) error {
	acknowledged := m.Type == EkCt1Ack || b.state == Ct1Acknowledged
	if acknowledged && b.state == Ct1Sampled {
		b.send(nil)
		b.state = Ct1Acknowledged
	}
	vector := b.in.add(m.Index, &m.Chunk)
	if vector == nil {
		return nil
	}
	ct2, err := kem.Encaps2(&b.header, vector, &b.m)
	if err != nil {
		return err
	}
	ct1 := b.ciphertext()
	tag := b.tag(labelCiphertext, ct1, ct2)
	b.out, b.later = ct1, append(ct2, tag[:]...)
	b.header, b.m, b.ct1 = [kem.HeaderSize]byte{}, [32]byte{}, nil
	b.in = collector{}
	b.state = EkReceivedCt1Sampled
	if acknowledged {
		b.answer()
	}
	return nil
}

// ciphertext is ct1 while m is there, from which it is made again when it is
// needed after a load: it isn't saved.
func (b *Braid) ciphertext() []byte {
	if b.ct1 == nil {
		b.ct1, _ = kem.Encaps1(&b.header, &b.m)
	}
	return b.ct1
}

// answer: EkReceivedCt1Sampled → Ct2Sampled.
func (b *Braid) answer() {
	b.send(b.later)
	b.later = nil
	b.state = Ct2Sampled
}

// takeCT1: HeaderSent → Ct1Received.
func (b *Braid) takeCT1(m *Msg) {
	if ct1 := b.in.add(m.Index, &m.Chunk); ct1 != nil {
		b.ct1 = ct1
		b.in = collector{}
		b.state = Ct1Received
	}
}

// takeCT2: EkSentCt1Received → NoHeaderReceived of the next epoch.
func (b *Braid) takeCT2(m *Msg) (*Secret, error) {
	text := b.in.add(m.Index, &m.Chunk)
	if text == nil {
		return nil, nil
	}
	ct2 := text[:kem.CT2Size]
	shared, err := kem.Decaps(&b.seed, b.ct1, ct2)
	if err != nil {
		return nil, err
	}
	made := b.secret(shared)
	tag := b.tag(labelCiphertext, b.ct1, ct2)
	if !suite.Equal(tag[:], text[kem.CT2Size:]) {
		return nil, errMAC
	}
	return made, b.advance(NoHeaderReceived)
}

// advance enters the next epoch and erases what the last one needed.
func (b *Braid) advance(s State) error {
	if b.epoch == math.MaxUint32 {
		return errLast
	}
	*b = Braid{state: s, epoch: b.epoch + 1, root: b.root, mac: b.mac}
	b.rest()
	return nil
}

// rest prepares what NoHeaderReceived waits for.
func (b *Braid) rest() {
	if b.state == NoHeaderReceived {
		b.in = collector{size: headerMACSize}
	}
}

func (b *Braid) epochBytes() []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(b.epoch))
}

// secret turns what the KEM gave into the secret of the epoch and moves the
// authenticator on.
func (b *Braid) secret(shared [kem.SecretSize]byte) *Secret {
	s := &Secret{Epoch: b.epoch}
	copy(s.Key[:], suite.Derive(shared[:], nil, 32, labelSecret, b.epochBytes()))
	b.authenticate(s.Key)
	return s
}

func (b *Braid) authenticate(key [32]byte) {
	o := suite.Derive(key[:], b.root[:], 64, labelAuth, b.epochBytes())
	copy(b.root[:], o[:32])
	copy(b.mac[:], o[32:])
}

func (b *Braid) tag(l suite.Label, fields ...[]byte) [32]byte {
	return suite.MAC(b.mac[:], l, append([][]byte{b.epochBytes()}, fields...)...)
}
