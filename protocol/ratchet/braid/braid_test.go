package braid

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"rushlight/protocol/ratchet/kem"
	"rushlight/protocol/wire"

	"pgregory.net/rapid"
)

func pair() [2]*Braid {
	key := [32]byte{1, 2, 3}
	return [2]*Braid{New(true, key), New(false, key)}
}

func marshal(b *Braid) []byte {
	w := wire.NewWriter(nil)
	b.MarshalTo(w)
	return w.Out()
}

// reload saves and loads a braid and checks that nothing is lost.
func reload(t interface{ Fatal(...any) }, b *Braid) *Braid {
	state := marshal(b)
	r := wire.NewReader(state)
	out := Parse(r, Short)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(marshal(out), state) {
		t.Fatal("a loaded state is saved differently")
	}
	return out
}

// whole is how a state was saved in the format [Whole], and where in it is what
// the format [Short] leaves out, if it does.
func whole(b *Braid) (state []byte, from, to int) {
	state = marshal(b)
	var text []byte
	switch b.state {
	case KeysSampled:
		_, text = kem.Public(&b.seed)
		from = len(state)
	case Ct1Sampled, Ct1Acknowledged:
		text, _ = kem.Encaps1(&b.header, &b.m)
		from = 1 + 4 + 64 + kem.HeaderSize + 32
	default: // nothing is left out
	}
	return slices.Insert(state, from, text...), from, from + len(text)
}

// wander has two parties talk at random, every third message lost, and shows
// them after each.
func wander(t *testing.T, steps int, seed uint64, visit func(p *[2]*Braid)) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 2))
	p := pair()
	for range steps {
		i := r.IntN(2)
		m, _ := p[i].Send()
		if r.IntN(3) > 0 {
			if _, err := p[1-i].Receive(&m); err != nil {
				t.Fatal(err)
			}
		}
		visit(&p)
	}
}

// TestWhole loads states as they were saved once: they are the same, and a text
// that doesn't belong to its key is refused.
func TestWhole(t *testing.T) {
	seen := map[State]bool{}
	wander(t, 2000, 3, func(p *[2]*Braid) {
		for _, b := range p {
			old, from, to := whole(b)
			in := wire.NewReader(old)
			out := Parse(in, Whole)
			if err := in.Close(); err != nil || !bytes.Equal(marshal(out), marshal(b)) {
				t.Fatalf("state %d: %v", b.state, err)
			}
			if from == to || seen[b.state] {
				continue
			}
			seen[b.state] = true
			for _, i := range []int{from, to - 1} {
				old[i] ^= 1
				in = wire.NewReader(old)
				if Parse(in, Whole); in.Close() == nil {
					t.Fatalf("state %d: another text is accepted", b.state)
				}
				old[i] ^= 1
			}
		}
	})
	if len(seen) != 3 {
		t.Fatalf("states whose text is left out: %v", seen)
	}
}

// resend sends a message through its encoding.
func resend(t interface{ Fatal(...any) }, m Msg) *Msg {
	w := wire.NewWriter(nil)
	m.MarshalTo(w)
	if len(w.Out()) != MsgSize {
		t.Fatal("wrong size of a message")
	}
	r := wire.NewReader(w.Out())
	out := ParseMsg(r)
	if r.Close() != nil || out != m {
		t.Fatal("a message changes in its encoding")
	}
	return &out
}

// TestModel runs two parties over a network that loses up to 60 %, reorders
// and duplicates, with both states saved and loaded after every step: secrets
// of one epoch are equal, epochs are consecutive, and neither party ever lacks
// the secret that the epoch of a message calls for.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pair()
		secrets := map[uint32][32]byte{}
		newest := [2]uint32{}
		record := func(i int, s *Secret) {
			if s == nil {
				return
			}
			if s.Epoch != newest[i]+1 {
				t.Fatalf("epoch %d after %d", s.Epoch, newest[i])
			}
			newest[i] = s.Epoch
			if k, ok := secrets[s.Epoch]; ok && k != s.Key {
				t.Fatalf("different secrets for epoch %d", s.Epoch)
			}
			secrets[s.Epoch] = s.Key
		}
		// A shrinkable number of steps, and cheap randomness for the rest.
		steps := rapid.IntRange(20, 400).Draw(t, "steps")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		loss, again, bias := r.Float64()*0.6, r.Float64()*0.3, r.Float64()
		var flying [2][]Msg
		for range steps {
			from := 0
			if r.Float64() < bias {
				from = 1
			}
			m, s := p[from].Send()
			record(from, s)
			if m.Epoch-1 > newest[from] {
				t.Fatal("the sender lacks the secret")
			}
			p[from] = reload(t, p[from])
			if r.Float64() >= loss {
				flying[from] = append(flying[from], m)
				if r.Float64() < again {
					flying[from] = append(flying[from], m)
				}
			}
			for from := range flying {
				for q := flying[from]; len(q) > 0 && r.Float64() < 0.7; q = flying[from] {
					x := 0
					if r.Float64() < 0.3 {
						x = r.IntN(len(q))
					}
					m := q[x]
					flying[from] = append(q[:x:x], q[x+1:]...)
					to := 1 - from
					if m.Epoch-1 > newest[to] {
						t.Fatal("the receiver lacks the secret")
					}
					s, err := p[to].Receive(resend(t, m))
					if err != nil {
						t.Fatal(err)
					}
					record(to, s)
					p[to] = reload(t, p[to])
					if p[to].Ahead() != (newest[to] == p[to].Epoch()) {
						t.Fatal("Ahead is wrong")
					}
				}
			}
		}
	})
}

// TestProgress runs without losses: the epochs go on.
func TestProgress(t *testing.T) {
	p := pair()
	for i := range 300 {
		m, _ := p[i&1].Send()
		if _, err := p[1-i&1].Receive(&m); err != nil {
			t.Fatal(err)
		}
	}
	if e := p[0].Epoch(); e < 300/16 {
		t.Fatalf("only epoch %d after 300 messages", e)
	}
}

// until exchanges messages until the party is in the state.
func until(t *testing.T, p [2]*Braid, i int, s State) {
	t.Helper()
	for range 100 {
		for j := range p {
			if p[i].state == s {
				return
			}
			m, _ := p[j].Send()
			if p[i].state == s {
				return
			}
			if _, err := p[1-j].Receive(&m); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Fatalf("state %d not reached", s)
}

// TestContradictionsAbort feeds a party what no honest peer sends. The error
// is ErrAborted and the state stays as it was, byte for byte.
func TestContradictionsAbort(t *testing.T) {
	other := New(true, [32]byte{9})
	otherHeader, _ := other.Send()
	for name, c := range map[string]struct {
		party int
		state State
		msg   func(p [2]*Braid) Msg
	}{
		"header under another key": {1, NoHeaderReceived, func([2]*Braid) Msg { return otherHeader }},
		"future epoch":             {1, NoHeaderReceived, func([2]*Braid) Msg { return Msg{Epoch: 2} }},
		"epoch far away":           {1, Ct2Sampled, func(p [2]*Braid) Msg { return Msg{Epoch: p[1].epoch + 2} }},
		"ct2 with a wrong MAC": {0, Ct1Received, func(p [2]*Braid) Msg {
			until(t, p, 1, Ct2Sampled)
			m, _ := p[1].Send()
			m.Chunk[kem.CT2Size] ^= 1
			return m
		}},
		"another ct2": {0, Ct1Received, func(p [2]*Braid) Msg {
			until(t, p, 1, Ct2Sampled)
			m, _ := p[1].Send()
			m.Chunk[0] ^= 1
			return m
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := pair()
			until(t, p, c.party, c.state)
			m := c.msg(p)
			before := marshal(p[c.party])
			if _, err := p[c.party].Receive(&m); !errors.Is(err, ErrAborted) {
				t.Fatalf("err = %v", err)
			}
			if !bytes.Equal(before, marshal(p[c.party])) {
				t.Fatal("the state changed")
			}
		})
	}
}

// TestForeignVectorAborts mixes one chunk of another key into the vector.
func TestForeignVectorAborts(t *testing.T) {
	for _, acknowledge := range []Type{Ek, EkCt1Ack} {
		p := pair()
		until(t, p, 1, Ct1Sampled)
		var err error
		var before []byte
		for i := uint16(0); i < 6 && err == nil; i++ {
			before = marshal(p[1])
			m := Msg{Epoch: 1, Type: acknowledge, Index: i}
			_, err = p[1].Receive(&m)
		}
		if !errors.Is(err, ErrAborted) || !bytes.Equal(before, marshal(p[1])) {
			t.Fatalf("type %d: err %v", acknowledge, err)
		}
	}
}

// TestOldEpochsChangeNothing delivers every message again in all later epochs.
func TestOldEpochsChangeNothing(t *testing.T) {
	p := pair()
	var sent [2][]Msg
	for i := range 120 {
		x := i & 1
		m, _ := p[x].Send()
		sent[x] = append(sent[x], m)
		if _, err := p[1-x].Receive(&m); err != nil {
			t.Fatal(err)
		}
		before := marshal(p[1-x])
		for _, m := range sent[x] {
			if m.Epoch == p[1-x].epoch {
				continue
			}
			if s, err := p[1-x].Receive(&m); s != nil || err != nil || !bytes.Equal(before, marshal(p[1-x])) {
				t.Fatalf("a message of epoch %d changed epoch %d: %v", m.Epoch, p[1-x].epoch, err)
			}
		}
	}
	if p[0].epoch < 5 {
		t.Fatalf("only epoch %d", p[0].epoch)
	}
}

// TestErased: the secrets of an encapsulation go when its ciphertext is made,
// those of a key when the epoch ends.
func TestErased(t *testing.T) {
	p := pair()
	for i := range 200 {
		m, _ := p[i&1].Send()
		if _, err := p[1-i&1].Receive(&m); err != nil {
			t.Fatal(err)
		}
		for _, b := range p {
			hasM := b.m != [32]byte{}
			if want := b.state == Ct1Sampled || b.state == Ct1Acknowledged; hasM != want {
				t.Fatalf("state %d: randomness kept: %v", b.state, hasM)
			}
			hasSeed := b.seed != [kem.SeedSize]byte{}
			if want := b.state >= KeysSampled && b.state <= Ct1Received; hasSeed != want {
				t.Fatalf("state %d: seed kept: %v", b.state, hasSeed)
			}
		}
	}
}

// TestEveryRestingState checks that each state is reached, saved and loaded,
// and how large the largest is.
func TestEveryRestingState(t *testing.T) {
	seen := map[State]int{}
	wander(t, 5000, 1, func(p *[2]*Braid) {
		for j := range p {
			p[j] = reload(t, p[j])
			seen[p[j].state] = max(seen[p[j].state], len(marshal(p[j])))
		}
	})
	for s := range states {
		if (seen[s] == 0) != (s == EkSentCt1Received) {
			t.Errorf("state %d: largest encoding %d", s, seen[s])
		}
		limit := 2400
		if s == KeysSampled {
			limit = 240 // where who only sends stays
		} else if s == Ct1Sampled || s == Ct1Acknowledged {
			limit = 1200
		}
		if seen[s] > limit {
			t.Errorf("state %d takes %d bytes", s, seen[s])
		}
	}
}

// messagesPerEpoch counts over many epochs what one epoch costs.
func messagesPerEpoch(sender func(i int, r *rand.Rand) int) float64 {
	const messages = 20_000
	r := rand.New(rand.NewPCG(7, 7))
	p := pair()
	for i := range messages {
		x := sender(i, r)
		m, _ := p[x].Send()
		if _, err := p[1-x].Receive(&m); err != nil {
			panic(err)
		}
	}
	return messages / float64(p[0].epoch)
}

// TestMessagesPerEpoch holds the numbers of spec §6.9 to 10 %.
func TestMessagesPerEpoch(t *testing.T) {
	for _, c := range []struct {
		name   string
		want   float64
		sender func(i int, r *rand.Rand) int
	}{
		{"alternating", 15, func(i int, _ *rand.Rand) int { return i & 1 }},
		{"at random", 21.5, func(_ int, r *rand.Rand) int { return r.IntN(2) }},
		{"bursts of 10", 50, func(i int, _ *rand.Rand) int { return i / 10 & 1 }},
		{"9 to 1", 74, func(_ int, r *rand.Rand) int {
			if r.IntN(10) == 0 {
				return 1
			}
			return 0
		}},
	} {
		got := messagesPerEpoch(c.sender)
		t.Logf("%s: %.1f", c.name, got)
		if got < c.want*0.9 || got > c.want*1.1 {
			t.Errorf("%s: %.1f messages an epoch, want %.1f", c.name, got, c.want)
		}
	}
}

func FuzzBraidMessage(f *testing.F) {
	w := wire.NewWriter(nil)
	m, _ := New(true, [32]byte{}).Send()
	m.MarshalTo(w)
	f.Add(w.Out())
	f.Fuzz(func(t *testing.T, in []byte) {
		r := wire.NewReader(in)
		m := ParseMsg(r)
		if r.Close() != nil {
			return
		}
		w := wire.NewWriter(nil)
		m.MarshalTo(w)
		if !bytes.Equal(in, w.Out()) {
			t.Fatal("two spellings of one message")
		}
	})
}

// FuzzBraid loads a state, which must have one spelling in each format, and feeds
// it messages: nothing panics and the state stays bounded and loadable.
func FuzzBraid(f *testing.F) {
	p := pair()
	for i := range 40 {
		m, _ := p[i&1].Send()
		w := wire.NewWriter(nil)
		m.MarshalTo(w)
		f.Add(marshal(p[i&1]), w.Out())
		old, _, _ := whole(p[i&1])
		f.Add(old, w.Out())
		f.Add(marshal(p[1-i&1]), w.Out())
		if _, err := p[1-i&1].Receive(&m); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, state, messages []byte) {
		r := wire.NewReader(state)
		if b := Parse(r, Whole); r.Close() == nil {
			if old, _, _ := whole(b); !bytes.Equal(old, state) {
				t.Fatal("two spellings of one state")
			}
		}
		r = wire.NewReader(state)
		b := Parse(r, Short)
		if r.Close() != nil {
			return
		}
		if !bytes.Equal(marshal(b), state) {
			t.Fatal("two spellings of one state")
		}
		mr := wire.NewReader(messages)
		for range 20 {
			m := ParseMsg(mr)
			if mr.Err() != nil {
				break
			}
			before := marshal(b)
			if _, err := b.Receive(&m); err != nil && !bytes.Equal(before, marshal(b)) {
				t.Fatal("a refused message changed the state")
			}
			b.Send()
			b = reload(t, b)
		}
		if len(marshal(b)) > 2400 {
			t.Fatal("state too large")
		}
	})
}

func BenchmarkPerMessage(b *testing.B) {
	p := pair()
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		m, _ := p[i&1].Send()
		if _, err := p[1-i&1].Receive(&m); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
