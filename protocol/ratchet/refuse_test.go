package ratchet

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"rushlight/protocol/ratchet/braid"
	"rushlight/protocol/suite"
)

func TestEveryFlippedBitIsRefused(t *testing.T) {
	for name, p := range map[string][2]*Session{"first": newPairOfSessions(t), "later": talking(t)} {
		t.Run(name, func(t *testing.T) {
			c := encrypt(t, p[0], "hello")
			for i := range c {
				bad := bytes.Clone(c)
				bad[i] ^= 1 << (i % 8)
				refused(t, p[1], bad, ErrDecrypt)
			}
			for _, bad := range [][]byte{nil, c[:1], c[:Overhead-1], c[:len(c)-1], append(bytes.Clone(c), 0)} {
				refused(t, p[1], bad, ErrDecrypt)
			}
			if pt, err := p[1].Decrypt(c); err != nil || string(pt) != "hello" {
				t.Fatalf("control: %v", err)
			}
		})
	}
}

// forge makes a message with keys of the forger's choice, under a header key
// that the forger is supposed to have.
func forge(s *Session, headerKey []byte, h *header, ec, pq [32]byte) []byte {
	var nonce [nonceSize]byte
	suite.Random(nonce[:])
	front := h.seal(nil, headerKey, nonce[:], s.transcript[:])
	key := messageKey(&ec, &pq, nonce[:])
	return key.Seal(front, bodyAD(&s.transcript, front), []byte("forged"))
}

// TestForgedFirstMessage is the published attack on a naive Triple Ratchet: a
// responder without a receiving chain is sent a message under the keys that
// follow from a chain of zeros, or of nothing. Even with the header key it is
// refused. The control opens the same forgery made with the right keys.
func TestForgedFirstMessage(t *testing.T) {
	p := newPairOfSessions(t)
	victim := p[1]
	stranger, err := newPair()
	if err != nil {
		t.Fatal(err)
	}
	h := header{dh: stranger.public, total: 1, braid: braid.Msg{Epoch: 1}}
	for name, headerKey := range map[string][]byte{
		"header key":      victim.ec.nextRecv[:],
		"zero header key": make([]byte, 32),
		"the other's key": victim.ec.nextSend[:],
	} {
		for _, from := range [][32]byte{{}, stepOnce([32]byte{}), suite.MAC(nil, labelKey)} {
			for _, pq := range [][32]byte{{}, quantumOnce(&victim.pq.epochs[0].recv.ck)} {
				t.Run(name, func(t *testing.T) {
					refused(t, victim, forge(victim, headerKey, &h, from, pq), ErrDecrypt)
				})
			}
		}
	}
	if victim.ec.turn != never || victim.ec.recv != nil {
		t.Fatal("the responder has a chain")
	}

	dh, err := stranger.agree(&victim.ec.own.public)
	if err != nil {
		t.Fatal(err)
	}
	_, ck, _ := stepRoot(&victim.ec.root, dh)
	c := forge(victim, victim.ec.nextRecv[:], &h, stepOnce(ck), quantumOnce(&victim.pq.epochs[0].recv.ck))
	if pt, err := victim.Decrypt(c); err != nil || string(pt) != "forged" {
		t.Fatalf("control: %v", err)
	}
}

func stepOnce(ck [32]byte) [32]byte     { return stepChain(&ck, 0) }
func quantumOnce(ck *[32]byte) [32]byte { c := *ck; return stepQuantum(&c, 0) }

// TestResponderCannotSpeakFirst: there is no sending chain, and no zero chain
// in its place.
func TestResponderCannotSpeakFirst(t *testing.T) {
	p := newPairOfSessions(t)
	before := p[1].Marshal()
	if _, err := p[1].Encrypt(nil, []byte("x")); !errors.Is(err, ErrNotReady) {
		t.Fatalf("err = %v", err)
	}
	if !bytes.Equal(before, p[1].Marshal()) {
		t.Fatal("the state changed")
	}
	if p[0].Established() || !p[1].Established() {
		t.Fatal("wrong Established before the first message")
	}
	deliver(t, p[0], p[1])
	deliver(t, p[1], p[0])
	if !p[0].Established() {
		t.Fatal("not established after an answer")
	}
}

func TestLowOrderKeysAreRefused(t *testing.T) {
	p := talking(t)
	deliver(t, p[1], p[0])
	victim := p[1]
	if victim.ec.turn != on {
		t.Fatal("the peer cannot take a step now")
	}
	// The forger has all symmetric keys, and chooses a key with which the
	// result of X25519 is zero.
	_, ck, _ := stepRoot(&victim.ec.root, make([]byte, 32))
	q := &victim.pq.epochs[victim.pq.sending()-victim.pq.first].recv
	h := header{previous: victim.ec.recv.n, total: 9, pqn: q.n, braid: braid.Msg{Epoch: victim.pq.sending() + 1}}
	key := q.ck
	c := forge(victim, victim.ec.nextRecv[:], &h, stepOnce(ck), stepQuantum(&key, q.n))
	refused(t, victim, c, ErrDecrypt)

	var low pair
	if _, err := NewInitiator(testKeys(), mustPublic(t, low.public)); err == nil {
		t.Fatal("an initiator started with a low-order key")
	}
}

// TestForgedJump: a header that claims 2^20 missing messages costs neither
// memory nor steps of a chain, even from somebody who has the header keys.
func TestForgedJump(t *testing.T) {
	const jump = 1 << 20
	p := talking(t)
	for range 3 {
		deliver(t, p[0], p[1])
	}
	victim := p[1]
	for name, c := range map[string]struct {
		key []byte
		h   header
	}{
		"in the chain":          {victim.ec.recv.header[:], header{n: jump}},
		"in the quantum chain":  {victim.ec.recv.header[:], header{n: 4, pqn: jump}},
		"in the next chain":     {victim.ec.nextRecv[:], header{previous: 4, n: jump}},
		"of the previous chain": {victim.ec.nextRecv[:], header{previous: jump}},
	} {
		t.Run(name, func(t *testing.T) {
			victim := reloaded(t, victim)
			victim.ec.turn = on
			victim.ec.own, _ = newPair()
			stranger, err := newPair()
			if err != nil {
				t.Fatal(err)
			}
			h := c.h
			h.dh, h.total, h.braid.Epoch = stranger.public, jump, victim.pq.sending()+1
			msg := forge(victim, c.key, &h, [32]byte{}, [32]byte{})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err = victim.Decrypt(msg)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, ErrTooFar) {
				t.Errorf("err = %v", err)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 64<<10 {
				t.Errorf("allocated %d bytes", used)
			}
		})
	}
}

// TestSkipLimits loses as many messages as may be lost, and one more.
func TestSkipLimits(t *testing.T) {
	for _, c := range []struct {
		lost int
		want error
	}{{MaxSkip, nil}, {MaxSkip + 1, ErrTooFar}} {
		p := talking(t)
		first := encrypt(t, p[0], "first")
		for range c.lost - 1 {
			encrypt(t, p[0], "")
		}
		msg := encrypt(t, p[0], "x")
		if c.want != nil {
			refused(t, p[1], msg, c.want)
			continue
		}
		if _, err := p[1].Decrypt(msg); err != nil {
			t.Fatal(err)
		}
		p[1] = reloaded(t, p[1])
		if _, err := p[1].Decrypt(first); err != nil {
			t.Fatalf("the first of %d missing messages: %v", c.lost, err)
		}
		refused(t, p[1], first, ErrReplay)
	}
}

// TestStoredKeysAreBounded loses far more messages than a session stores keys
// for: the oldest are given up, the newest still open, and the state is small.
func TestStoredKeysAreBounded(t *testing.T) {
	p := talking(t)
	var lost [][]byte
	for range 5 {
		for range 900 {
			lost = append(lost, encrypt(t, p[0], ""))
		}
		deliver(t, p[0], p[1])
		deliver(t, p[1], p[0])
		p[1] = reloaded(t, p[1])
	}
	if n := p[1].ec.stored(); n != MaxStored {
		t.Errorf("%d keys are stored", n)
	}
	if n := len(p[1].Marshal()); n > 160<<10 {
		t.Errorf("the state has %d bytes", n)
	}
	if _, err := p[1].Decrypt(lost[len(lost)-1]); err != nil {
		t.Errorf("the latest lost message: %v", err)
	}
	refused(t, p[1], lost[0], ErrReplay, ErrDecrypt, ErrTooFar)
}

// TestOldChains: a late message opens while its chain is one of the eight
// newest with gaps, and not too many steps old.
func TestOldChains(t *testing.T) {
	p := talking(t)
	var late [][]byte
	for range MaxOldChains + 1 {
		late = append(late, encrypt(t, p[0], "late"))
		deliver(t, p[0], p[1])
		deliver(t, p[1], p[0])
	}
	deliver(t, p[0], p[1]) // the last chain is retired too
	if len(p[1].ec.old) != MaxOldChains {
		t.Fatalf("%d old chains", len(p[1].ec.old))
	}
	p[1] = reloaded(t, p[1])
	refused(t, p[1], late[0], ErrDecrypt)
	for i, c := range late[1:] {
		if _, err := p[1].Decrypt(c); err != nil {
			t.Errorf("late message %d: %v", i+1, err)
		}
	}
	if len(p[1].ec.old) != 0 {
		t.Error("an old chain without missing messages is kept")
	}
}

// TestLateMessagesExpire: the key of one lost message is not kept for ever.
func TestLateMessagesExpire(t *testing.T) {
	p := talking(t)
	late := encrypt(t, p[0], "late")
	deliver(t, p[0], p[1])
	rounds := 0
	for len(p[1].ec.old) > 0 || rounds == 0 {
		deliver(t, p[1], p[0])
		deliver(t, p[0], p[1])
		if rounds++; rounds > 2*MaxAge {
			t.Fatal("the chain does not expire")
		}
	}
	if rounds != MaxAge+2 {
		t.Errorf("the chain expired after %d rounds", rounds)
	}
	refused(t, p[1], late, ErrDecrypt)
}

// TestOldEpochs: a late message opens while its post-quantum epoch is at most
// KeepEpochs behind, and is refused afterwards.
func TestOldEpochs(t *testing.T) {
	p := talking(t)
	late := encrypt(t, p[0], "late")
	opened := false
	for i := 0; ; i++ {
		trial := reloaded(t, p[1])
		_, err := trial.Decrypt(late)
		behind := p[1].pq.sending()
		if (err == nil) != (behind <= KeepEpochs) {
			t.Fatalf("%d epochs behind: %v", behind, err)
		}
		opened = opened || err == nil
		if err != nil {
			if !errors.Is(err, ErrTooFar) {
				t.Fatalf("err = %v", err)
			}
			break
		}
		deliver(t, p[i&1], p[1-i&1])
	}
	if !opened {
		t.Fatal("never opened")
	}
}

// TestRolledBack: an older state is refused by its version, and a peer sees
// the rollback in the counter.
func TestRolledBack(t *testing.T) {
	p := talking(t)
	old, version := p[0].Marshal(), p[0].Version()
	deliver(t, p[0], p[1])
	if p[0].Version() != version+1 {
		t.Fatal("Encrypt did not raise the version")
	}
	if _, err := Load(old, p[0].Version()); !errors.Is(err, ErrRolledBack) {
		t.Fatalf("err = %v", err)
	}
	s, err := Load(old, version)
	if err != nil {
		t.Fatal(err)
	}
	if s.Sent() >= p[1].SeenFromPeer() {
		t.Fatal("the peer cannot see the rollback")
	}
}

// TestRollbackReusesNoKey encrypts two texts from one saved state: the same
// keys of both chains, but different message keys and no equal bytes of
// keystream.
func TestRollbackReusesNoKey(t *testing.T) {
	p := talking(t)
	deliver(t, p[0], p[1]) // a sending chain is there, so that it is reused
	state := p[0].Marshal()
	zeros := make([]byte, 64)
	seen := map[string]bool{}
	for range 50 {
		s, err := Load(state, 0)
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.Encrypt(nil, zeros)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range [][]byte{c[:nonceSize], c[frontSize:][:32], c[frontSize+32:][:16]} {
			if seen[string(part)] {
				t.Fatal("nonce, commitment or keystream repeats")
			}
			seen[string(part)] = true
		}
	}
}

// TestRolledBackBraidAborts: when a peer that was rolled back sends another
// encapsulation key in the same epoch, the session says that it is over.
func TestRolledBackBraidAborts(t *testing.T) {
	p := newPairOfSessions(t)
	old := p[0].Marshal() // no encapsulation key yet
	deliver(t, p[0], p[1])
	deliver(t, p[1], p[0])
	twin, err := Load(old, 0)
	if err != nil {
		t.Fatal(err)
	}
	// The twin keeps the classical ratchet of the real one, and mixes in its
	// own braid.
	twin.pq.braid.Send()
	p[0].pq.braid, twin.pq.braid = twin.pq.braid, p[0].pq.braid
	for i := range 40 {
		c := encrypt(t, p[i&1], "x")
		before := p[1-i&1].Marshal()
		if _, err = p[1-i&1].Decrypt(c); err != nil {
			if !bytes.Equal(before, p[1-i&1].Marshal()) {
				t.Fatal("the state changed")
			}
			break
		}
	}
	if !errors.Is(err, ErrAborted) {
		t.Fatalf("err = %v", err)
	}
}

// TestNumbersRunOut: the last number of a chain is never used.
func TestNumbersRunOut(t *testing.T) {
	for _, spoil := range []func(s *Session){
		func(s *Session) { s.ec.send.n = maxNumber },
		func(s *Session) { s.pq.epochs[s.pq.sending()-s.pq.first].send.n = maxNumber },
	} {
		p := newPairOfSessions(t)
		spoil(p[0])
		before := p[0].Marshal()
		if _, err := p[0].Encrypt(nil, nil); !errors.Is(err, ErrAborted) {
			t.Fatalf("err = %v", err)
		}
		if !bytes.Equal(before, p[0].Marshal()) {
			t.Fatal("the state changed")
		}
	}
}

func TestSizes(t *testing.T) {
	if Overhead > 330 {
		t.Errorf("overhead of %d bytes", Overhead)
	}
	p := newPairOfSessions(t)
	largest := 0
	for i := range 600 {
		x := i / 3 & 1
		deliver(t, p[x], p[1-x])
		for _, s := range p {
			largest = max(largest, len(s.Marshal()))
		}
	}
	t.Logf("the largest state without missing messages has %d bytes", largest)
	if largest > 8<<10 {
		t.Errorf("state of %d bytes", largest)
	}
	dst := []byte("prefix")
	out, err := p[0].Encrypt(dst, []byte("x"))
	if err != nil || !bytes.HasPrefix(out, dst) || len(out) != len(dst)+1+Overhead {
		t.Error("Encrypt does not append")
	}
	if _, err := p[1].Decrypt(out[len(dst):]); err != nil {
		t.Error(err)
	}
}

// TestSessionsAreSeparate: another transcript or root is another session.
func TestSessionsAreSeparate(t *testing.T) {
	key, err := newPair()
	if err != nil {
		t.Fatal(err)
	}
	k := testKeys()
	a, err := NewInitiator(k, key.parsed.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	c := encrypt(t, a, "x")
	ids := map[string]bool{fmt.Sprint(a.ID()): true}
	for _, change := range []func(k *Keys){
		func(k *Keys) { k.Root[0] ^= 1 },
		func(k *Keys) { k.Transcript[31] ^= 1 },
	} {
		other := k
		change(&other)
		b := NewResponder(other, key.parsed)
		refused(t, b, c, ErrDecrypt)
		if ids[fmt.Sprint(b.ID())] || b.Export("x") == a.Export("x") {
			t.Error("sessions share an identity or exported secrets")
		}
		ids[fmt.Sprint(b.ID())] = true
	}
	deliver(t, a, NewResponder(k, key.parsed))
}

// TestHeaderIsBoundToBody: somebody who has a header key alone cannot put
// another header in front of a body.
func TestHeaderIsBoundToBody(t *testing.T) {
	p := talking(t)
	deliver(t, p[0], p[1])
	c := encrypt(t, p[0], "x")
	key := p[1].ec.recv.header[:]
	h, ok := openHeader(key, c[:frontSize], p[1].transcript[:])
	if !ok {
		t.Fatal("the header does not open")
	}
	for _, change := range []func(h *header){
		func(h *header) { h.total += 1 << 40 },
		func(h *header) { h.previous++ },
		func(h *header) { h.dh[3] ^= 1 },
		func(h *header) { h.braid.Chunk[0] ^= 1 },
	} {
		other := h
		change(&other)
		bad := append(other.seal(nil, key, c[:nonceSize], p[1].transcript[:]), c[frontSize:]...)
		refused(t, p[1], bad, ErrDecrypt)
	}
	same := append(h.seal(nil, key, c[:nonceSize], p[1].transcript[:]), c[frontSize:]...)
	if _, err := p[1].Decrypt(same); err != nil {
		t.Fatalf("control: %v", err)
	}
}

// TestNoStepWhileOneIsDue: a side that has erased its ratchet key does not
// agree with zero bytes in its place.
func TestNoStepWhileOneIsDue(t *testing.T) {
	p := talking(t)
	victim := p[0]
	if victim.ec.turn != due {
		t.Fatal("no step is due")
	}
	stranger, err := newPair()
	if err != nil {
		t.Fatal(err)
	}
	var erased pair
	dh, err := erased.agree(&stranger.public)
	if err != nil {
		t.Fatal(err)
	}
	_, ck, _ := stepRoot(&victim.ec.root, dh)
	q := &victim.pq.epochs[victim.pq.sending()-victim.pq.first].recv
	key := q.ck
	h := header{
		dh: stranger.public, previous: victim.ec.recv.n, total: 9, pqn: q.n,
		braid: braid.Msg{Epoch: victim.pq.sending() + 1},
	}
	c := forge(victim, victim.ec.nextRecv[:], &h, stepOnce(ck), stepQuantum(&key, q.n))
	refused(t, victim, c, ErrDecrypt)
}

// TestErased: what a step supersedes is gone from memory too.
func TestErased(t *testing.T) {
	p := talking(t)
	for i := range 200 {
		x := i & 1
		deliver(t, p[x], p[1-x])
		c := &p[1-x].ec
		if c.turn != due || c.own.private != [32]byte{} || c.own.parsed != nil || c.send != (sendChain{}) {
			t.Fatal("a step to receive leaves the own key or the sending chain")
		}
		for _, s := range p {
			q := &s.pq
			for i := range q.epochs {
				number := q.first + uint32(i)
				if (q.epochs[i].send != chain{}) != (number >= q.sending()) {
					t.Fatalf("epoch %d while %d sends: wrong sending chain", number, q.sending())
				}
			}
			if len(q.epochs) > KeepEpochs+2 {
				t.Fatalf("%d epochs are kept", len(q.epochs))
			}
		}
	}
}

// TestImpossibleHeaders: a header with a number that no message has does not
// open, even under the right key.
func TestImpossibleHeaders(t *testing.T) {
	key, nonce := make([]byte, 32), make([]byte, nonceSize)
	for name, change := range map[string]func(h *header){
		"":                 func(*header) {},
		"total 0":          func(h *header) { h.total = 0 },
		"last number":      func(h *header) { h.n = maxNumber },
		"last pq number":   func(h *header) { h.pqn = maxNumber },
		"epoch 0":          func(h *header) { h.braid.Epoch = 0 },
		"unknown type":     func(h *header) { h.braid.Type = 7 },
		"none with number": func(h *header) { h.braid.Index = 1 },
		"none with chunk":  func(h *header) { h.braid.Chunk[191] = 1 },
	} {
		h := header{total: 1, braid: braid.Msg{Epoch: 1}}
		change(&h)
		got, ok := openHeader(key, h.seal(nil, key, nonce, nil), nil)
		if ok != (name == "") || ok && got != h {
			t.Errorf("%q: opens: %v", name, ok)
		}
	}
}
