package attacker

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"maps"
	"math"
	prng "math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"rushlight/node/mailbox"
	"rushlight/protocol/envelope"
	wire "rushlight/protocol/mailbox"
	"rushlight/protocol/ratchet"
	"rushlight/protocol/stamp"
	"rushlight/protocol/suite"
)

// sender has sessions with the devices of somebody, and packs as engines do.
type sender struct {
	l        *lab
	sessions []*ratchet.Session
	chain    *envelope.Chain
}

func (l *lab) sender(devices int) *sender {
	l.t.Helper()
	var seed [32]byte
	suite.Random(seed[:])
	s := &sender{l: l, chain: envelope.NewChain(seed, [16]byte{1})}
	for range devices {
		var k ratchet.Keys
		suite.Random(k.Root[:])
		suite.Random(k.Transcript[:])
		peer, err := ecdh.X25519().GenerateKey(rand.Reader)
		l.must(err)
		one, err := ratchet.NewInitiator(k, peer.PublicKey())
		l.must(err)
		s.sessions = append(s.sessions, one)
	}
	return s
}

// envelopes are what a text for some of the devices becomes.
type packer func(s *sender, relay [32]byte, devices int, text []byte) [][]byte

// pack wraps the text's key for each device, in one envelope.
func pack(s *sender, relay [32]byte, devices int, text []byte) [][]byte {
	content := envelope.NewContentKey()
	var slots [][]byte
	for _, one := range s.sessions[:devices] {
		slot, err := one.Encrypt(nil, content[:])
		s.l.must(err)
		slots = append(slots, slot)
	}
	class, err := envelope.ClassForBody(len(text), devices)
	s.l.must(err)
	payload, err := envelope.Pack(class, content, slots, text)
	s.l.must(err)
	return [][]byte{s.seal(relay, class, payload)}
}

func (s *sender) seal(relay [32]byte, class envelope.Class, payload []byte) []byte {
	_, mk := s.chain.Next()
	env, err := envelope.Seal(nil, envelope.KeysFor(mk, relay), class, payload)
	s.l.must(err)
	return env
}

// The controls: what isn't done.
var careless = map[string]packer{
	"an envelope for each device": func(s *sender, relay [32]byte, devices int, text []byte) (out [][]byte) {
		for range devices {
			out = append(out, pack(s, relay, 1, text)...)
		}
		return out
	},
	"only as many slots as there are devices": func(s *sender, relay [32]byte, devices int, text []byte) [][]byte {
		whole := pack(s, relay, devices, text)[0]
		class, err := envelope.ClassFor(devices*envelope.SlotSize + 1400)
		s.l.must(err)
		return [][]byte{append(whole, make([]byte, class.Size()-len(whole))...)}
	},
	"slots that are left empty, outside": func(s *sender, relay [32]byte, devices int, text []byte) [][]byte {
		env := pack(s, relay, devices, text)[0]
		clear(env[envelope.S.Size()-(4-devices)*64:])
		return [][]byte{env}
	},
}

// fromOneOrFour deposits texts for one device or for four, and returns what the
// disk shows of each.
func fromOneOrFour(t *testing.T, n int, how packer) (all []sample) {
	l := newLab(t)
	r := l.relay()
	ctx := context.Background()
	h := l.host(r)
	b, _, _, err := mailbox.OpenMailbox(ctx, h, r.at.ID, newKey())
	l.must(err)
	defer b.Close()
	_, err = b.Create(ctx, &wire.Create{})
	l.must(err)
	d, err := mailbox.OpenDeposits(ctx, h, r.at.ID)
	l.must(err)
	defer d.Close()
	pool := map[envelope.Class][]stamp.Stamp{}
	draw := func(c envelope.Class) stamp.Stamp {
		if len(pool[c]) == 0 {
			_, got, err := b.Stamps(ctx, c, 1024)
			l.must(err)
			prng.Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
			pool[c] = got
		}
		last := len(pool[c]) - 1
		defer func() { pool[c] = pool[c][:last] }()
		return pool[c][last]
	}
	s := l.sender(4)
	four := map[[16]byte]bool{}
	known := map[[16]byte]bool{}
	slots := make(chan struct{}, 64)
	for i := range n {
		devices := 1
		if prng.IntN(2) == 0 {
			devices = 4
		}
		for k, env := range how(s, r.key, devices, []byte(fmt.Sprint("text ", i))) {
			class, err := envelope.ParseClass(len(env))
			l.must(err)
			if object := wire.Object(env); k == 0 {
				known[object], four[object] = true, devices == 4
			}
			slots <- struct{}{}
			free := slots
			d.Start(&wire.Deposit{TTL: 14, Receipt: true, Stamp: draw(class), Envelope: env}, func(_ wire.Stored, err error) {
				if err != nil {
					t.Error(err)
				}
				<-free
			})
		}
		if n < 400 { // a control: what belongs together comes together
			drain(slots)
			slots = make(chan struct{}, cap(slots))
		}
	}
	drain(slots)
	disk := r.seize()
	look := features(disk, nil)
	for i, x := range disk {
		if known[x.object] {
			all = append(all, sample{group: x.box, order: i, serial: float64(x.serial), features: look[i], yes: four[x.object]})
		}
	}
	if len(all) != n {
		t.Fatalf("%d of %d on the disk", len(all), n)
	}
	return all
}

// drain waits until nothing holds a slot any more.
func drain(slots chan struct{}) {
	for range cap(slots) {
		slots <- struct{}{}
	}
}

// TestOneDeviceOrFour: who has a relay's disk can't tell a person with one
// device from one with four.
func TestOneDeviceOrFour(t *testing.T) {
	n := 10000
	if testing.Short() || raceEnabled {
		n = 400
	}
	measure(t, "one device or four", fromOneOrFour(t, n, pack))
}

// TestOneDeviceOrFourControls packs in ways that count devices.
func TestOneDeviceOrFourControls(t *testing.T) {
	for name, how := range careless {
		t.Run(name, func(t *testing.T) { wins(t, name, fromOneOrFour(t, 200, how)) })
	}
}

// TestFetchingLeavesNothing: a mailbox that one device has read and one that
// four have read are the same on the disk and in the log, since a relay keeps
// no cursor of anybody.
func TestFetchingLeavesNothing(t *testing.T) {
	l := newLab(t)
	r := l.relay()
	ctx := context.Background()
	key := newKey()
	open := func() *mailbox.Mailbox {
		h := l.host(r)
		b, _, _, err := mailbox.OpenMailbox(context.Background(), h, r.at.ID, key)
		l.must(err)
		return b
	}
	b := open()
	defer b.Close()
	_, err := b.Create(ctx, &wire.Create{})
	l.must(err)
	_, stamps, err := b.Stamps(ctx, envelope.S, 8)
	l.must(err)
	d, err := mailbox.OpenDeposits(ctx, l.host(r), r.at.ID)
	l.must(err)
	defer d.Close()
	s := l.sender(4)
	for _, st := range stamps {
		_, err := d.Deposit(ctx, &wire.Deposit{TTL: 14, Stamp: st, Envelope: pack(s, r.key, 1, []byte("text"))[0]})
		l.must(err)
	}
	read := func(b *mailbox.Mailbox) {
		n := 0
		_, err := b.Fetch(ctx, wire.Fetch{MaxBytes: math.MaxUint32}, func(*wire.Env) error { n++; return nil })
		l.must(err)
		_, err = b.Tags(ctx, 0, 100)
		l.must(err)
		if n != len(stamps) {
			t.Fatalf("%d of %d fetched", n, len(stamps))
		}
	}
	disk := func() map[string]string {
		out := map[string]string{}
		copied := r.frozen()
		dump(l, copied, func(k, v []byte, commit uint64) { out[string(k)] = fmt.Sprint(commit, v) })
		return out
	}
	read(b)
	one := disk()
	var devices sync.WaitGroup
	for range 3 {
		other := open()
		defer other.Close()
		devices.Go(func() { read(other) })
	}
	devices.Wait()
	if !maps.Equal(one, disk()) {
		t.Error("the disk shows that other devices have read")
	}
	// Control: what a device trims is seen.
	_, err = b.Trim(ctx, wire.Range[uint64]{From: 1, To: 1})
	l.must(err)
	if maps.Equal(one, disk()) {
		t.Error("control: a deletion isn't seen")
	}
	r.stop()
	if bytes.Contains(r.log.Bytes(), []byte(r.at.ID.String())) || bytes.Count(r.log.Bytes(), []byte("\n")) > 40 {
		t.Errorf("the log says too much: %s", r.log.Bytes())
	}
}

// frozen is a copy of the shelf as a power cut would leave it now.
func (r *relay) frozen() string {
	to := r.l.dir()
	r.l.must(os.CopyFS(to, os.DirFS(filepath.Join(r.cfg.Dir, "shelf"))))
	return to
}
