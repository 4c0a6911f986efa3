package ratchet

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"
	"testing/cryptotest"

	"rushlight/protocol/suite"
)

var update = flag.Bool("update", false, "append missing vectors to testdata/ratchet.json")

const vectorFile = "../testdata/ratchet.json"

type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

// vectorSet is a conversation whose randomness is that of
// cryptotest.SetGlobalRandom with the seed, drawn in the order of the code.
type vectorSet struct {
	Name       string          `json:"name"`
	Seed       uint64          `json:"seed"`
	Schedule   string          `json:"schedule"` // see runVector
	Root       hexBytes        `json:"root"`
	Transcript hexBytes        `json:"transcript"`
	Responder  hexBytes        `json:"responder_ratchet_private"`
	ID         hexBytes        `json:"id"`
	Export     hexBytes        `json:"export_of_rushlight/test/export/1"`
	Messages   []vectorMessage `json:"messages"`
	// Initiator, responder, at the end: in format 1, which is read, and in the
	// one that is written.
	States []hexBytes `json:"states"`
	Short  []hexBytes `json:"states_format_2,omitempty"`
}

type vectorMessage struct {
	From       string   `json:"from"`
	Text       string   `json:"text"`
	Ciphertext hexBytes `json:"ciphertext"`
}

var vectorSets = []vectorSet{
	{Name: "alternating", Seed: 1, Schedule: "abababababababababababababababababab"},
	{Name: "losses and late messages", Seed: 2, Schedule: "aaAaxbbByabBBaybAAxabxyababaBaaaAyAxxb"},
	{Name: "one-sided", Seed: 3, Schedule: "aaaaaaaaaaaabaaaaaaaaaaaab"},
}

// runVector runs a schedule: a and b send a message that arrives, A and B one
// that is held back; x and y deliver the oldest held-back message of A and B.
// Text i is the position in the schedule, in two digits.
func runVector(t *testing.T, v vectorSet) vectorSet {
	t.Helper()
	cryptotest.SetGlobalRandom(t, v.Seed)
	k := testKeys()
	key, err := newPair()
	if err != nil {
		t.Fatal(err)
	}
	v.Root, v.Transcript, v.Responder = k.Root[:], k.Transcript[:], key.private[:]
	a, err := NewInitiator(k, key.parsed.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	p := [2]*Session{a, NewResponder(k, key.parsed)}
	id, export := a.ID(), a.Export("rushlight/test/export/1")
	v.ID, v.Export = id[:], export[:]
	v.Messages = nil
	var held [2][]vectorMessage
	receive := func(x int, m vectorMessage) {
		if pt, err := p[x].Decrypt(m.Ciphertext); err != nil || string(pt) != m.Text {
			t.Fatalf("message %s: %v", m.Text, err)
		}
	}
	for i, op := range v.Schedule {
		switch op {
		case 'x', 'y':
			x := int(op - 'x')
			receive(1-x, held[x][0])
			held[x] = held[x][1:]
			continue
		}
		x := int(op|32) - 'a'
		m := vectorMessage{From: string(op | 32), Text: string(rune('0'+i/10)) + string(rune('0'+i%10))}
		m.Ciphertext = encrypt(t, p[x], m.Text)
		v.Messages = append(v.Messages, m)
		if op >= 'a' {
			receive(1-x, m)
		} else {
			held[x] = append(held[x], m)
		}
		p[0], p[1] = reloaded(t, p[0]), reloaded(t, p[1])
	}
	for i, state := range v.States {
		if s, err := Load(state, 0); err != nil || !bytes.Equal(s.Marshal(), p[i].Marshal()) {
			t.Fatalf("the state of format 1 is another: %v", err)
		}
	}
	v.Short = []hexBytes{p[0].Marshal(), p[1].Marshal()}
	return v
}

// frozen reads the vectors.
func frozen(t testing.TB) (all []vectorSet) {
	t.Helper()
	b, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestVectors replays the frozen vectors: every byte is as it was. The file
// only grows.
func TestVectors(t *testing.T) {
	all := frozen(t)
	have := map[string]bool{}
	for i, v := range all {
		have[v.Name] = true
		t.Run(v.Name, func(t *testing.T) {
			run := runVector(t, v)
			if *update && len(v.Short) == 0 {
				v.Short, all[i].Short = run.Short, run.Short
			}
			got, err := json.Marshal(run)
			if err != nil {
				t.Fatal(err)
			}
			want, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Error("the vector has changed")
			}
		})
	}
	for _, v := range vectorSets {
		if have[v.Name] {
			continue
		}
		if !*update {
			t.Errorf("vector %q is missing; run with -update", v.Name)
			continue
		}
		t.Run(v.Name, func(t *testing.T) { all = append(all, runVector(t, v)) })
	}
	if *update {
		out, err := json.MarshalIndent(all, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorFile, append(out, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestVectorStatesLoad loads the frozen states: they stay readable.
func TestVectorStatesLoad(t *testing.T) {
	for _, v := range frozen(t) {
		for _, states := range [][]hexBytes{v.States, v.Short} {
			if len(states) == 0 {
				continue // of a format that is older than the vector
			}
			var p [2]*Session
			for i := range p {
				var err error
				if p[i], err = Load(states[i], 0); err != nil {
					t.Fatal(err)
				}
			}
			deliver(t, p[0], p[1])
			deliver(t, p[1], p[0])
			if id := p[0].ID(); !suite.Equal(id[:], v.ID) {
				t.Errorf("%s: another session", v.Name)
			}
		}
	}
}
