package ratchet

import (
	"bytes"
	"crypto/ecdh"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"rushlight/protocol/ratchet/braid"
	"rushlight/protocol/ratchet/kem"
	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

// eve is an attacker who sees every ciphertext in order and has been given
// some secrets. She follows both ratchets as far as those secrets carry her.
// Direction 0 is from the initiator to the responder.
type eve struct {
	transcript [32]byte

	// The classical ratchet.
	root    [32]byte
	chains  [2]*recvChain
	next    [2][32]byte // header keys of the next chains
	public  [2][32]byte // the parties' ratchet keys
	private map[[32]byte][32]byte

	// The post-quantum ratchet.
	quantumRoot [32]byte
	newest      uint32
	epochs      map[uint32]*[2]chain
	seeds       map[uint32][kem.SeedSize]byte // by epoch: decapsulation keys
	pieces      map[uint32]map[braid.Type]map[uint16]braid.Chunk
	secrets     map[uint32][32]byte

	tapped *header // the header of the message, for an attacker who is given it
}

// newEve knows what the handshake gave the two parties.
func newEve(k Keys, responder *ecdh.PublicKey) *eve {
	s := split(k, true)
	e := &eve{
		transcript: k.Transcript, root: s.ec.root,
		next:        [2][32]byte{s.ec.nextSend, s.ec.nextRecv},
		quantumRoot: s.pq.root,
		epochs:      map[uint32]*[2]chain{0: {s.pq.epochs[0].send, s.pq.epochs[0].recv}},
	}
	e.public[1] = [32]byte(responder.Bytes())
	return e.learnNothing()
}

// eveWith knows a saved state of the initiator.
func eveWith(t *testing.T, state []byte) *eve {
	t.Helper()
	s, err := Load(state, 0)
	if err != nil {
		t.Fatal(err)
	}
	e := &eve{
		transcript: s.transcript, root: s.ec.root,
		next:        [2][32]byte{s.ec.nextSend, s.ec.nextRecv},
		quantumRoot: s.pq.root, newest: s.pq.newest(), epochs: map[uint32]*[2]chain{},
	}
	e.learnNothing()
	e.chains[1] = s.ec.recv
	if s.ec.turn == on {
		e.chains[0] = &recvChain{header: s.ec.send.header, ck: s.ec.send.ck, n: s.ec.send.n}
		e.public[0] = s.ec.own.public
		e.private[s.ec.own.public] = s.ec.own.private
	} else {
		e.public[1] = s.ec.peer
	}
	for i, ep := range s.pq.epochs {
		e.epochs[s.pq.first+uint32(i)] = &[2]chain{ep.send, ep.recv}
	}
	return e
}

func (e *eve) learnNothing() *eve {
	e.private = map[[32]byte][32]byte{}
	e.seeds = map[uint32][kem.SeedSize]byte{}
	e.secrets = map[uint32][32]byte{}
	e.pieces = map[uint32]map[braid.Type]map[uint16]braid.Chunk{}
	return e
}

// stealX25519 takes a session's current ratchet key.
func (e *eve) stealX25519(s *Session) {
	if s.ec.turn != due {
		e.private[s.ec.own.public] = s.ec.own.private
	}
}

// seedOf reads the decapsulation key out of a session, if it has one now.
func seedOf(s *Session) (epoch uint32, seed [kem.SeedSize]byte, ok bool) {
	w := wire.NewWriter(nil)
	s.pq.braid.MarshalTo(w)
	b := w.Out()
	if st := braid.State(b[0]); st != braid.KeysSampled && st != braid.HeaderSent && st != braid.Ct1Received {
		return 0, seed, false
	}
	copy(seed[:], b[1+4+64:])
	return s.pq.braid.Epoch(), seed, true
}

// stealKEM takes a session's current decapsulation key.
func (e *eve) stealKEM(s *Session) {
	if epoch, seed, ok := seedOf(s); ok {
		e.seeds[epoch] = seed
	}
}

// agree is X25519 by whoever of the two has lost their key.
func (e *eve) agree(a, b [32]byte) ([]byte, bool) {
	for _, x := range [2][2][32]byte{{a, b}, {b, a}} {
		if private, ok := e.private[x[0]]; ok {
			p := pair{private: private}
			dh, err := p.agree(&x[1])
			return dh, err == nil
		}
	}
	return nil, false
}

// classicKey opens the header and returns the classical key of a message.
func (e *eve) classicKey(dir int, front []byte) (h header, key [32]byte, ok bool) {
	c := e.chains[dir]
	if c != nil {
		h, ok = openHeader(c.header[:], front, e.transcript[:])
	}
	if !ok {
		if h, ok = openHeader(e.next[dir][:], front, e.transcript[:]); !ok {
			return h, key, false
		}
		dh, known := e.agree(h.dh, e.public[1-dir])
		if !known {
			return h, key, false
		}
		c = &recvChain{header: e.next[dir]}
		e.root, c.ck, e.next[dir] = stepRoot(&e.root, dh)
		e.public[dir] = h.dh
		e.chains[dir] = c
	}
	if h.n < c.n {
		return h, key, false
	}
	_, key, c.ck = walk(c.ck, c.n, h.n, stepChain)
	c.n = h.n + 1
	return h, key, true
}

// listen keeps the chunks of ciphertexts that pass by, and decapsulates.
func (e *eve) listen(m *braid.Msg) {
	at := e.pieces[m.Epoch]
	if at == nil {
		at = map[braid.Type]map[uint16]braid.Chunk{braid.Ct1: {}, braid.Ct2: {}}
		e.pieces[m.Epoch] = at
	}
	if m.Type == braid.Ct1 || m.Type == braid.Ct2 {
		at[m.Type][m.Index] = m.Chunk
	}
	seed, ok := e.seeds[m.Epoch]
	if !ok || len(at[braid.Ct2]) == 0 {
		return
	}
	// Without losses the first chunks are slices of the text itself.
	var ct1 []byte
	for i := range uint16(kem.CT1Size / braid.ChunkSize) {
		c, ok := at[braid.Ct1][i]
		if !ok {
			return
		}
		ct1 = append(ct1, c[:]...)
	}
	for _, c := range at[braid.Ct2] {
		shared, err := kem.Decaps(&seed, ct1, c[:kem.CT2Size])
		if err != nil {
			panic(err)
		}
		e.secrets[m.Epoch] = [32]byte(suite.Derive(shared[:], nil, 32, "rushlight/braid/secret/1",
			binary.BigEndian.AppendUint64(nil, uint64(m.Epoch))))
		return
	}
}

// quantumKey returns the post-quantum key of a message.
func (e *eve) quantumKey(dir int, h *header) (key [32]byte, ok bool) {
	epoch := h.braid.Epoch - 1
	for e.newest < epoch {
		secret, ok := e.secrets[e.newest+1]
		if !ok {
			return key, false
		}
		e.newest++
		o := suite.Derive(secret[:], e.quantumRoot[:], 96, labelQuantumEpoch, binary.BigEndian.AppendUint32(nil, e.newest))
		e.quantumRoot = [32]byte(o[:32])
		e.epochs[e.newest] = &[2]chain{{ck: [32]byte(o[32:64])}, {ck: [32]byte(o[64:])}}
	}
	c := &e.epochs[epoch][dir]
	if h.pqn < c.n {
		return key, false
	}
	_, key, c.ck = walk(c.ck, c.n, h.pqn, stepQuantum)
	c.n = h.pqn + 1
	return key, true
}

// read tries to decrypt a message that passes by.
func (e *eve) read(dir int, c []byte) ([]byte, bool) {
	front := c[:frontSize]
	h, ec, ok := e.classicKey(dir, front)
	if !ok {
		if e.tapped == nil {
			return nil, false
		}
		h = *e.tapped
	}
	e.listen(&h.braid)
	// A key that she does not know is zero: she tries all the same.
	pq, _ := e.quantumKey(dir, &h)
	key := messageKey(&ec, &pq, front[:nonceSize])
	pt, err := key.Open(nil, bodyAD(&e.transcript, front), c[frontSize:])
	return pt, err == nil
}

// conversation runs two honest parties without losses. Each step says who
// sends; before and after the message the observers are called.
type conversation struct {
	p    [2]*Session
	keys Keys
	bob  *ecdh.PrivateKey
}

func newConversation(t *testing.T) *conversation {
	t.Helper()
	bob, err := newPair()
	if err != nil {
		t.Fatal(err)
	}
	c := &conversation{keys: testKeys(), bob: bob.parsed}
	if c.p[0], err = NewInitiator(c.keys, c.bob.PublicKey()); err != nil {
		t.Fatal(err)
	}
	c.p[1] = NewResponder(c.keys, c.bob)
	return c
}

// message sends one message, letting spy look at both parties whenever a
// secret may have changed, and returns it with its header.
func (c *conversation) message(t *testing.T, dir int, text []byte, spy func(s *Session)) ([]byte, header) {
	t.Helper()
	spy(c.p[0])
	spy(c.p[1])
	ct, err := c.p[dir].Encrypt(nil, text)
	if err != nil {
		t.Fatal(err)
	}
	spy(c.p[dir])
	h, _, ok := c.p[1-dir].ec.open(ct[:frontSize], c.keys.Transcript[:])
	if !ok {
		t.Fatal("the receiver cannot open the header")
	}
	if _, err := c.p[1-dir].Decrypt(ct); err != nil {
		t.Fatal(err)
	}
	spy(c.p[1-dir])
	return ct, h
}

// TestCompromise gives an attacker everything the handshake agreed on, the
// plaintext of every header, and then the secrets of the X25519 ratchet, of the ML-KEM ratchet, of none or of
// both. Only with both does she read the conversation: that is the control,
// the same attack with the same code.
func TestCompromise(t *testing.T) {
	const messages = 200
	for _, c := range []struct {
		name        string
		x25519, kem bool
		least, most int
	}{
		{"neither", false, false, 0, 0},
		// What the handshake gave covers the messages before the first
		// post-quantum secret, and no other.
		{"all X25519 secrets", true, false, 1, 20},
		{"all ML-KEM secrets", false, true, 0, 0},
		{"both", true, true, messages, messages},
	} {
		t.Run(c.name, func(t *testing.T) {
			conv := newConversation(t)
			e := newEve(conv.keys, conv.bob.PublicKey())
			spy := func(s *Session) {
				if c.x25519 {
					e.stealX25519(s)
				}
				if c.kem {
					e.stealKEM(s)
				}
			}
			read, last := 0, -1
			for i := range messages {
				text := fmt.Appendf(nil, "message %d", i)
				ct, h := conv.message(t, i&1, text, spy)
				e.tapped = &h
				if pt, ok := e.read(i&1, ct); ok {
					if !bytes.Equal(pt, text) {
						t.Fatal("read something else")
					}
					read++
					last = i
				}
			}
			t.Logf("read %d of %d, the last is number %d", read, messages, last)
			if read < c.least || read > c.most || last+1 != read {
				t.Errorf("read %d messages, the last is %d; want %d to %d", read, last, c.least, c.most)
			}
		})
	}
}

// patterns of who sends message i, without losses.
var patterns = map[string]func(i int, r *rand.Rand) int{
	"alternating":  func(i int, _ *rand.Rand) int { return i & 1 },
	"at random":    func(i int, r *rand.Rand) int { return r.IntN(2) * min(i, 1) },
	"bursts of 10": func(i int, _ *rand.Rand) int { return i / 10 & 1 },
	"9 to 1": func(i int, r *rand.Rand) int {
		if i > 0 && r.IntN(10) == 0 {
			return 1
		}
		return 0
	},
}

// record is a conversation as seen by an attacker, with the initiator's state
// after each message.
type record struct {
	dirs    []int
	cts     [][]byte
	states  [][]byte
	private map[[32]byte][32]byte // every X25519 secret
	secrets map[uint32][32]byte   // every secret of the braid
}

func recordConversation(t *testing.T, messages int, pattern func(int, *rand.Rand) int) *record {
	t.Helper()
	conv := newConversation(t)
	all := newEve(conv.keys, conv.bob.PublicKey())
	r := rand.New(rand.NewPCG(3, 4))
	rec := &record{private: all.private, secrets: all.secrets}
	for i := range messages {
		dir := pattern(i, r)
		ct, _ := conv.message(t, dir, []byte("x"), func(s *Session) { all.stealX25519(s); all.stealKEM(s) })
		if _, ok := all.read(dir, ct); !ok {
			t.Fatal("the attacker who knows everything cannot read")
		}
		rec.dirs, rec.cts = append(rec.dirs, dir), append(rec.cts, ct)
		rec.states = append(rec.states, conv.p[0].Marshal())
	}
	return rec
}

// after lets e read the messages that follow number i, and returns how many
// she reads until the first that she cannot, and how many she reads later.
func (rec *record) after(e *eve, i int) (first, later int) {
	failed := 0
	for j := i + 1; j < len(rec.cts) && failed < 50; j++ {
		_, ok := e.read(rec.dirs[j], rec.cts[j])
		switch {
		case ok && failed == 0:
			first++
		case ok:
			later++
		default:
			failed++
		}
	}
	return first, later
}

// turns counts the changes of direction among n messages after number i.
func (rec *record) turns(i, n int) (turns int) {
	for j := i + 1; j <= i+n; j++ {
		if rec.dirs[j] != rec.dirs[j-1] {
			turns++
		}
	}
	return turns
}

// TestClassicalHealing gives the attacker one state of the initiator and every
// post-quantum secret for ever. She reads on for at most one round trip: two
// changes of direction, the second being the first message that she cannot
// read (spec §6.9). The control knows all X25519 secrets and reads to the end.
func TestClassicalHealing(t *testing.T) {
	for name, pattern := range patterns {
		t.Run(name, func(t *testing.T) {
			rec := recordConversation(t, 200, pattern)
			worst, worstTurns := 0, 0
			for i := 20; i < 150; i++ {
				e := eveWith(t, rec.states[i])
				e.secrets = rec.secrets
				n, later := rec.after(e, i)
				if later != 0 {
					t.Fatalf("state %d: reads again after it healed", i)
				}
				worst, worstTurns = max(worst, n), max(worstTurns, rec.turns(i, n))
			}
			t.Logf("a state opens at most %d later messages, %d changes of direction", worst, worstTurns)
			if worstTurns > 1 || worst == 0 {
				t.Errorf("%d messages and %d changes of direction", worst, worstTurns)
			}

			control := eveWith(t, rec.states[20])
			control.secrets, control.private = rec.secrets, rec.private
			if n, _ := rec.after(control, 20); n != len(rec.cts)-21 {
				t.Errorf("control: read %d of %d", n, len(rec.cts)-21)
			}
		})
	}
}

// TestQuantumHealing gives the attacker one state of the initiator and every
// X25519 secret for ever. She reads on for at most two epochs of the braid
// (spec §6.9): the secret of the running epoch may be in the state, and the
// messages of the next one are protected with it. The control has the secrets
// of the braid too and reads to the end.
func TestQuantumHealing(t *testing.T) {
	for name, c := range map[string]struct {
		messages int
		epoch    float64 // messages of one epoch on average
		limit    float64 // epochs for which a state may stay useful
	}{
		// Two epochs; with random senders single epochs are longer than the
		// average, hence the tolerance.
		"alternating":  {400, 15, 2},
		"bursts of 10": {1000, 50, 2},
		"at random":    {600, 21.5, 3},
		"9 to 1":       {1500, 74, 3},
	} {
		t.Run(name, func(t *testing.T) {
			rec := recordConversation(t, c.messages, patterns[name])
			epochs := len(rec.secrets)
			if got := float64(c.messages) / float64(epochs); got < c.epoch*0.75 || got > c.epoch*1.25 {
				t.Errorf("%.1f messages an epoch, want %.1f", got, c.epoch)
			}
			worst, sum, count := 0, 0, 0
			stride := c.messages / 133
			if testing.Short() {
				stride *= 5
			}
			for i := 50; i < c.messages*2/3; i += stride {
				s, err := Load(rec.states[i], 0)
				if err != nil {
					t.Fatal(err)
				}
				e := eveWith(t, rec.states[i])
				e.private = rec.private
				known := s.pq.newest()
				if epoch, _, ok := seedOf(s); ok {
					// The decapsulation key is in the state.
					e.secrets[epoch] = rec.secrets[epoch]
					known = epoch
				}
				if known > s.pq.sending()+1 {
					t.Fatalf("state %d knows the secret of an epoch after the running one", i)
				}
				n, later := rec.after(e, i)
				if later != 0 {
					t.Fatalf("state %d: reads again after it healed", i)
				}
				if i+1+n >= len(rec.cts) {
					t.Fatalf("state %d: not healed at the end", i)
				}
				worst, sum, count = max(worst, n), sum+n, count+1
			}
			t.Logf("a state opens %.1f later messages on average, at most %d: %.2f epochs", float64(sum)/float64(count), worst, float64(worst)/c.epoch)
			if float64(worst) > c.limit*c.epoch || worst == 0 {
				t.Errorf("a state opens %d later messages, want at most %.0f", worst, c.limit*c.epoch)
			}

			control := eveWith(t, rec.states[50])
			control.secrets, control.private = rec.secrets, rec.private
			if n, _ := rec.after(control, 50); n != len(rec.cts)-51 {
				t.Errorf("control: read %d of %d", n, len(rec.cts)-51)
			}
		})
	}
}
