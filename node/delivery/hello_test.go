package delivery

import (
	"crypto/ed25519"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"rushlight/node/host"
	"rushlight/protocol/envelope"
	"rushlight/protocol/identity"
	"rushlight/protocol/suite"
)

// raw is a peer that speaks the protocol by hand.
type raw struct {
	t  testing.TB
	s  network.Stream
	in *host.FrameReader
}

// dialRaw opens a stream of the given protocol to h from a host of its own.
func dialRaw(t testing.TB, h *host.Host, proto string) *raw {
	t.Helper()
	from := newHost(t)
	if err := from.Connect(t.Context(), peer.AddrInfo{ID: h.ID(), Addrs: h.Libp2p().Network().ListenAddresses()}); err != nil {
		t.Fatal(err)
	}
	return openRaw(t, from, h.ID(), proto)
}

func openRaw(t testing.TB, from *host.Host, to peer.ID, proto string) *raw {
	t.Helper()
	s, err := from.Libp2p().NewStream(t.Context(), to, protocolOf(proto))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetDeadline(time.Now().Add(90 * time.Second)); err != nil {
		t.Fatal(err)
	}
	any := func(uint8) int { return 1 << 20 }
	return &raw{t: t, s: s, in: host.NewFrameReader(s, 4096, any, nil)}
}

func (r *raw) send(typ uint8, body []byte) {
	r.t.Helper()
	if err := writeFrame(r.s, typ, body); err != nil {
		r.t.Fatal(err)
	}
}

func (r *raw) want(typ uint8) []byte {
	r.t.Helper()
	got, body, err := r.in.Next()
	if err != nil || got != typ {
		r.t.Fatalf("frame %#x (%v) instead of %#x", got, err, typ)
	}
	return body
}

// closed waits for the other side to reset the stream.
func (r *raw) closed(why string) {
	r.t.Helper()
	for {
		_, _, err := r.in.Next()
		if err == nil {
			continue
		}
		if errors.Is(err, network.ErrReset) {
			return
		}
		r.t.Fatalf("%s: the stream ended with %v", why, err)
	}
}

// open sends a hello and returns what is to be signed.
func (r *raw) open() opening {
	r.t.Helper()
	o := opening{dialler: r.s.Conn().LocalPeer(), listener: r.s.Conn().RemotePeer()}
	suite.Random(o.helloNonce[:])
	r.send(frameHello, hello{kind: kindNamed, nonce: o.helloNonce}.marshal())
	var err error
	if o.challengeNonce, err = parseChallenge(r.want(frameChallenge)); err != nil {
		r.t.Fatal(err)
	}
	return o
}

// prove makes the proof that e would make.
func prove(t testing.TB, o opening, e *memory) proof {
	t.Helper()
	p, err := o.prove(e, roleDialler, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// listening is a node with one contact that runs no node.
func listening(t testing.TB, change ...func(*Manager)) (b *node, contact *memory) {
	t.Helper()
	contact = newMemory(t)
	e := newMemory(t)
	e.meet(contact, true)
	return start(t, e, newHost(t), change...), contact
}

// noCheck takes anybody's word for it.
func noCheck(_ opening, p proof, _ byte, _ []byte) (identity.DeviceID, error) {
	return identity.NewDeviceID(p.key), nil
}

// forgeries are proofs for a contact's device by somebody without its key.
func forgeries(t testing.TB, contact *memory) map[string]func(o opening) proof {
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	by := func(key ed25519.PrivateKey, transcript []byte) proof {
		p := proof{key: contact.dsk()}
		copy(p.sig[:], ed25519.Sign(key, transcript))
		return p
	}
	return map[string]func(o opening) proof{
		"other key":    func(o opening) proof { return by(other, o.transcript(roleDialler, nil)) },
		"no signature": func(opening) proof { return proof{key: contact.dsk()} },
		// What the contact signed elsewhere doesn't serve here.
		"other role":     func(o opening) proof { return by(contact.key, o.transcript(roleListener, nil)) },
		"other listener": func(o opening) proof { o.listener = o.dialler; return by(contact.key, o.transcript(roleDialler, nil)) },
		"other dialler":  func(o opening) proof { o.dialler = o.listener; return by(contact.key, o.transcript(roleDialler, nil)) },
		"old challenge": func(o opening) proof {
			o.challengeNonce[0] ^= 1
			return by(contact.key, o.transcript(roleDialler, nil))
		},
		"old hello": func(o opening) proof { o.helloNonce[0] ^= 1; return by(contact.key, o.transcript(roleDialler, nil)) },
	}
}

func TestImpostorIsRefused(t *testing.T) {
	b, contact := listening(t)
	for name, forge := range forgeries(t, contact) {
		t.Run(name, func(t *testing.T) {
			r := dialRaw(t, b.h, ProtocolMessages)
			o := r.open()
			r.send(frameProof, forge(o).marshal())
			r.closed("a forged proof")
			if b.manager.Connected(contact.account) {
				t.Error("the impostor is taken for the contact")
			}
		})
	}
}

// Control: without the check of the signature every one of them gets in.
func TestImpostorControl(t *testing.T) {
	b, contact := listening(t, func(m *Manager) { m.check = noCheck })
	for name, forge := range forgeries(t, contact) {
		t.Run(name, func(t *testing.T) {
			r := dialRaw(t, b.h, ProtocolMessages)
			o := r.open()
			r.send(frameProof, forge(o).marshal())
			r.want(frameProof)
			if !b.manager.Connected(contact.account) {
				t.Error("the impostor is not taken for the contact")
			}
		})
	}
}

// A listener that is not the contact is not believed either.
func TestFalseListener(t *testing.T) {
	for name, check := range map[string]checker{"checked": checkProof, "control": noCheck} {
		t.Run(name, func(t *testing.T) {
			e, contact := newMemory(t), newMemory(t)
			h, thief := newHost(t), newHost(t)
			e.meet(contact, true, hintsOf(thief)...)
			done := make(chan bool, 16)
			thief.Libp2p().SetStreamHandler(ProtocolMessages, func(s network.Stream) {
				defer func() { _ = s.Reset() }()
				in := host.NewFrameReader(s, 4096, messageLimit, nil)
				o, p, _, err := acceptHello(s, in, checkProof)
				if err != nil {
					return
				}
				// Signed as a dialler, which the thief may have had signed.
				forged := proof{key: contact.dsk()}
				copy(forged.sig[:], ed25519.Sign(contact.key, o.transcript(roleDialler, nil)))
				if err := writeFrame(s, frameProof, forged.marshal()); err != nil {
					return
				}
				_ = p
				for {
					typ, _, err := in.Next()
					if err != nil {
						done <- false
						return
					}
					if typ == frameCounters {
						done <- true // it believes us
						return
					}
				}
			})
			start(t, e, h, func(m *Manager) { m.check = check })
			if believed := <-done; believed != (name == "control") {
				t.Errorf("believed: %v", believed)
			}
		})
	}
}

// Whoever connects without being a contact hears nothing that tells whose
// device this is; a contact does.
func TestProberLearnsNothing(t *testing.T) {
	b, contact := listening(t)
	stranger := newMemory(t)
	for name, e := range map[string]*memory{"stranger": stranger, "control": contact} {
		t.Run(name, func(t *testing.T) {
			r := dialRaw(t, b.h, ProtocolMessages)
			r.send(frameProof, prove(t, r.open(), e).marshal())
			r.send(framePing, nil)
			var heard []uint8
			for {
				typ, _, err := r.in.Next()
				if err != nil {
					t.Fatal(err)
				}
				if heard = append(heard, typ); typ == framePong {
					break
				}
			}
			if told := len(heard) > 1; told != (name == "control") {
				t.Errorf("frames %#x", heard)
			}
			// Questions that only contacts may ask end the stream.
			if name == "stranger" {
				r.send(frameBundleGet, nil)
				r.closed("a stranger wants a bundle")
			}
		})
	}
	t.Run("anonymous", func(t *testing.T) {
		r := dialRaw(t, b.h, ProtocolMessages)
		r.send(frameHello, hello{kind: kindAnonymous}.marshal())
		r.send(framePing, nil)
		r.want(framePong)
	})
	t.Run("other protocols", func(t *testing.T) {
		from := newHost(t)
		if err := from.Connect(t.Context(), peer.AddrInfo{ID: b.h.ID(), Addrs: b.h.Libp2p().Network().ListenAddresses()}); err != nil {
			t.Fatal(err)
		}
		agent, err := from.Libp2p().Peerstore().Get(b.h.ID(), "AgentVersion")
		if err != nil || agent != "rushlight/1" {
			t.Errorf("agent %q, %v", agent, err)
		}
	})
}

// A first flight makes a stranger a contact, and the same stream goes on with
// a contact's rights.
func TestFirstFlight(t *testing.T) {
	ea, eb := newMemory(t), newMemory(t)
	ha, hb := newHost(t), newHost(t)
	ea.meet(eb, true, hintsOf(hb)...)
	eb.meet(ea, false)
	eb.opening = true
	a := start(t, ea, ha)
	b := start(t, eb, hb)
	a.queue(eb.account, 300, envelope.S)
	b.until("all of it", func() bool { return len(b.seen) == 300 })
	a.until("acknowledged", func() bool { return len(a.contacts[eb.account].outbox) == 0 })
	if !b.manager.Connected(ea.account) {
		t.Error("the stranger did not become a contact")
	}
}

// What strangers may send is bounded for each stream and over all of them.
func TestStrangersAreBounded(t *testing.T) {
	b, _ := listening(t)
	r := dialRaw(t, b.h, ProtocolMessages)
	r.send(frameHello, hello{kind: kindAnonymous}.marshal())
	env := make([]byte, envelope.S.Size())
	for id := range uint32(strangerFrames) {
		if _, err := r.s.Write(appendMsg(nil, id, Parcel{Class: envelope.S, Envelope: env})); err != nil {
			t.Fatal(err)
		}
	}
	for range strangerFrames {
		r.want(frameErr)
	}
	if _, err := r.s.Write(appendMsg(nil, strangerFrames, Parcel{Class: envelope.S, Envelope: env})); err != nil {
		t.Fatal(err)
	}
	r.closed("one frame too many")

	from := newHost(t)
	if err := from.Connect(t.Context(), peer.AddrInfo{ID: b.h.ID(), Addrs: b.h.Libp2p().Network().ListenAddresses()}); err != nil {
		t.Fatal(err)
	}
	for i := range maxStrangersOfPeer + 1 {
		r := openRaw(t, from, b.h.ID(), ProtocolMessages)
		// A stream that is refused may be reset before all of this is written.
		wrote := errors.Join(writeFrame(r.s, frameHello, hello{kind: kindAnonymous}.marshal()), writeFrame(r.s, framePing, nil))
		if wrote != nil && i < maxStrangersOfPeer {
			t.Fatal(wrote)
		}
		if typ, _, err := r.in.Next(); (err == nil && typ == framePong) != (i < maxStrangersOfPeer) || errors.Is(err, io.EOF) {
			t.Errorf("stream %d: frame %#x, %v", i, typ, err)
		}
	}
}
