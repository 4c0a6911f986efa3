package ratchet

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"testing"
)

// FuzzLoad: a state has one spelling in the format that is written, and whatever
// loads can be used without a panic.
func FuzzLoad(f *testing.F) {
	for _, v := range frozen(f) {
		for _, state := range v.States {
			f.Add([]byte(state), []byte(nil))
		}
	}
	p := newPairOfSessions(f)
	f.Add(p[0].Marshal(), []byte(nil))
	f.Add(p[1].Marshal(), encrypt(f, p[0], "x"))
	for i := range 30 {
		x := i / 2 & 1
		if i%5 == 4 {
			encrypt(f, p[x], "lost")
		}
		c := encrypt(f, p[x], "x")
		f.Add(p[1-x].Marshal(), c)
		if _, err := p[1-x].Decrypt(c); err != nil {
			f.Fatal(err)
		}
		f.Add(p[1-x].Marshal(), c)
	}
	f.Fuzz(func(t *testing.T, state, message []byte) {
		s, err := Load(state, 0)
		if err != nil {
			return
		}
		if state[0] != stateFormat {
			state = s.Marshal()
		}
		if !bytes.Equal(s.Marshal(), state) {
			t.Fatal("two spellings of one state")
		}
		if _, err := s.Decrypt(message); err != nil && !bytes.Equal(s.Marshal(), state) {
			t.Fatal("a refused message changed the state")
		}
		reloaded(t, s)
		before := s.Marshal()
		if _, err := s.Encrypt(nil, nil); err != nil && !bytes.Equal(s.Marshal(), before) {
			t.Fatal("a failed encryption changed the state")
		}
		reloaded(t, s)
	})
}

// FuzzInteraction takes a schedule of two parties from the input: who sends,
// what is delivered, lost, altered, replayed or reloaded.
func FuzzInteraction(f *testing.F) {
	f.Add([]byte{0, 2, 1, 3, 0, 2, 1, 3})
	f.Add([]byte{0, 0, 0, 0x42, 0x22, 2, 1, 1, 1, 0x23, 3, 4, 5, 6, 7, 8, 9, 10, 11})
	f.Add(bytes.Repeat([]byte{0, 2, 1, 3}, 60))
	f.Add(bytes.Repeat([]byte{0, 4, 0, 2, 10, 1, 11, 1, 3, 8, 9}, 20))
	f.Fuzz(func(t *testing.T, schedule []byte) {
		// Fixed secrets: what the sessions draw at random does not matter.
		key, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
		if err != nil {
			t.Fatal(err)
		}
		k := Keys{Root: [32]byte{1}, Transcript: [32]byte{2}}
		a, err := NewInitiator(k, key.PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		p := [2]*Session{a, NewResponder(k, key)}
		var queue, done [2][]flying
		for i, op := range schedule[:min(len(schedule), 400)] {
			x, pick := int(op&1), int(op>>4)
			q := queue[x]
			switch op >> 1 & 7 {
			case 0: // send
				c, err := p[x].Encrypt(nil, []byte{byte(i)})
				if (err != nil) != (x == 1 && p[1].Received() == 0) {
					t.Fatal(err)
				}
				if err == nil {
					queue[x] = append(q, flying{[]byte{byte(i)}, c, p[x].Sent()})
				}
			case 1: // deliver
				if len(q) == 0 {
					continue
				}
				n := pick % len(q)
				m := q[n]
				queue[x] = append(q[:n:n], q[n+1:]...)
				got, err := p[1-x].Decrypt(m.ciphertext)
				switch {
				case err != nil && !m.mayExpire(p[x]):
					t.Fatal(err)
				case err == nil && !bytes.Equal(got, m.text):
					t.Fatal("wrong text")
				case err == nil:
					done[x] = append(done[x], m)
				}
			case 2: // lose
				if len(q) > 0 {
					queue[x] = q[1:]
				}
			case 3: // alter
				if len(q) > 0 {
					bad := bytes.Clone(q[0].ciphertext)
					bad[(i*31+pick*97)%len(bad)] ^= 1 << (pick & 7)
					refused(t, p[1-x], bad, ErrDecrypt)
				}
			case 4: // replay
				if n := len(done[x]); n > 0 {
					refused(t, p[1-x], done[x][pick%n].ciphertext, ErrReplay, ErrDecrypt, ErrTooFar)
				}
			case 5: // reload
				p[x] = reloaded(t, p[x])
			case 6: // reflect
				if len(q) > 0 {
					refused(t, p[x], q[0].ciphertext, ErrDecrypt)
				}
			case 7: // refuse a rolled-back state
				if _, err := Load(p[x].Marshal(), p[x].Version()+1); !errors.Is(err, ErrRolledBack) {
					t.Fatal(err)
				}
			}
		}
	})
}
