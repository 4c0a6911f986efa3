// Package handshake starts a session with a device that may be offline:
// PQXDH-T, a PQXDH (Signal, revision 3) whose keys depend on the whole
// transcript.
//
// It is not a session: it ends with one root key that both sides share, from
// which package ratchet goes on. It holds no state either; what has to be
// remembered (used bundles, [ReplayKey]) is returned to the caller. It
// promises: both sides derive the same root only if they agree on every byte
// of the bundle, of the initiator's manifest and of the flight; the root stays
// secret unless X25519 and ML-KEM-768 both fall; and a flight with any bit
// changed is refused by [Respond] before anything is stored (spec §5).
//
// Deviations from PQXDH: signing and agreement keys are separate, so there is
// no XEdDSA; the 32 bytes 0xFF before the input are dropped; the transcript
// hash is the info of the KDF and takes the place of the associated data; the
// last-resort mark is signed; the initiator confirms the key.
package handshake

import (
	"crypto/ecdh"
	"crypto/mlkem"
	"errors"
	"fmt"
	"time"

	"rushlight/protocol/identity"
	"rushlight/protocol/suite"
)

const (
	labelTranscript suite.Label = "rushlight/handshake/transcript/1"
	labelKeys       suite.Label = "rushlight/handshake/keys/1"
	labelConfirm    suite.Label = "rushlight/handshake/confirm/1"
)

// Errors on which a caller acts.
var (
	// ErrExpired: the bundle is not valid now; ask for a newer one.
	ErrExpired = errors.New("handshake: bundle is not valid at this time")
	// ErrUntrusted: the bundle is not one that the manifest's device made.
	ErrUntrusted = errors.New("handshake: bundle is not of this device")
	// ErrRefused: the flight does not belong to these keys, or was altered.
	// Nothing has changed; the bundle is still unused.
	ErrRefused = errors.New("handshake: flight refused")
)

// Keys is what a handshake yields. The initiator gets PeerRatchet, the
// responder Ratchet: the two halves of the bundle's signed key, which is the
// responder's first ratchet key.
type Keys struct {
	Root        [32]byte
	Transcript  [32]byte
	PeerRatchet *ecdh.PublicKey  // initiator only
	Ratchet     *ecdh.PrivateKey // responder only
}

// Initiate starts a session with the device that made b. The caller passes the
// newest manifest it holds of either side; mine must list me. The session is
// usable at once, but the other side reads nothing before it has the flight:
// keep it and send it again until there is an answer (spec §5.4).
func Initiate(now time.Time, me *identity.Device, mine *identity.Manifest, b *Bundle, theirs *identity.Manifest) (*Flight, Keys, error) {
	return Renew(now, me, mine, b, theirs, 1)
}

// Renew is [Initiate] for a session that takes the place of older ones with
// the same device: generation is one more than the highest among them (spec
// §5.7).
func Renew(now time.Time, me *identity.Device, mine *identity.Manifest, b *Bundle, theirs *identity.Manifest, generation uint32) (*Flight, Keys, error) {
	eph, err := newKey()
	if err != nil {
		return nil, Keys{}, fmt.Errorf("starting a session: %w", err)
	}
	f, k, err := initiate(now, me, mine, b, theirs, generation, eph)
	if err != nil {
		return nil, Keys{}, fmt.Errorf("starting a session: %w", err)
	}
	return f, k, nil
}

func initiate(now time.Time, me *identity.Device, mine *identity.Manifest, b *Bundle, theirs *identity.Manifest, generation uint32, eph *ecdh.PrivateKey) (*Flight, Keys, error) {
	fail := func(err error) (*Flight, Keys, error) { return nil, Keys{}, err }
	if err := b.Verify(theirs, now); err != nil {
		return fail(err)
	}
	if err := lists(mine, me); err != nil {
		return fail(err)
	}
	if me.ID() == b.Device {
		return fail(fmt.Errorf("%w: own bundle", ErrUntrusted))
	}
	dikB, err1 := x25519Key(b.Agreement)
	spk, err2 := x25519Key(b.Signed.Key)
	pq, err3 := mlkem.NewEncapsulationKey768(b.PQ.Key[:])
	if err := errors.Join(err1, err2, err3); err != nil {
		return fail(fmt.Errorf("%w: bad key", ErrUntrusted))
	}
	ss, ct := pq.Encapsulate()
	f := &Flight{
		Generation: generation,
		Manifest:   mine,
		Device:     me.ID(),
		Ephemeral:  [32]byte(eph.PublicKey().Bytes()),
		Bundle:     b.Hash(),
		Ciphertext: [mlkem.CiphertextSize768]byte(ct),
	}
	steps := []step{{me.Agreement, spk}, {eph, dikB}, {eph, spk}}
	if b.OneTime != nil {
		opk, err := x25519Key(b.OneTime.Key)
		if err != nil {
			return fail(fmt.Errorf("%w: bad key", ErrUntrusted))
		}
		steps = append(steps, step{eph, opk})
	}
	ikm, err := mix(steps, ss)
	if err != nil {
		return fail(fmt.Errorf("%w: bad key", ErrUntrusted))
	}
	t := transcript(b, f)
	k := Keys{Transcript: t, PeerRatchet: spk}
	k.Root, f.Confirm = schedule(ikm, t)
	clear(ikm)
	return f, k, nil
}

// Respond derives the keys of the session that a flight starts. It changes
// nothing. The caller then, in one transaction: refuses a [ReplayKey] it has
// seen, else keeps it until the bundle's secrets are gone; checks the flight's
// manifest against the one it holds; opens the first message; deletes the
// secrets of a one-time bundle; stores session and message (spec §5.6).
func Respond(now time.Time, me *identity.Device, mine *identity.Manifest, s *Secrets, b *Bundle, f *Flight) (Keys, error) {
	k, err := respond(now, me, mine, s, b, f)
	if err != nil {
		return Keys{}, fmt.Errorf("answering a session: %w", err)
	}
	return k, nil
}

func respond(now time.Time, me *identity.Device, mine *identity.Manifest, s *Secrets, b *Bundle, f *Flight) (Keys, error) {
	if h := b.Hash(); h != s.Bundle || h != f.Bundle {
		return Keys{}, fmt.Errorf("%w: another bundle", ErrRefused)
	}
	if b.Device != me.ID() || b.Account != mine.ID() || f.Device == me.ID() {
		return Keys{}, fmt.Errorf("%w: another device", ErrRefused)
	}
	if !b.valid(now, Grace) {
		return Keys{}, ErrExpired
	}
	if err := f.Manifest.Verify(); err != nil {
		return Keys{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	from, ok := f.Manifest.Device(f.Device)
	if !ok {
		return Keys{}, fmt.Errorf("%w: %w", ErrRefused, identity.ErrNotListed)
	}
	dikA, err1 := x25519Key(from.Agreement)
	eph, err2 := x25519Key(f.Ephemeral)
	ss, err3 := s.pq.Decapsulate(f.Ciphertext[:])
	if err := errors.Join(err1, err2, err3); err != nil {
		return Keys{}, fmt.Errorf("%w: bad key", ErrRefused)
	}
	steps := []step{{s.signed, dikA}, {me.Agreement, eph}, {s.signed, eph}}
	if s.oneTime != nil {
		steps = append(steps, step{s.oneTime, eph})
	}
	ikm, err := mix(steps, ss)
	if err != nil {
		return Keys{}, fmt.Errorf("%w: bad key", ErrRefused)
	}
	t := transcript(b, f)
	root, confirm := schedule(ikm, t)
	clear(ikm)
	if !suite.Equal(confirm[:], f.Confirm[:]) {
		return Keys{}, fmt.Errorf("%w: keys differ", ErrRefused)
	}
	return Keys{Root: root, Transcript: t, Ratchet: s.signed}, nil
}

// lists checks that a manifest lists a device with its present keys.
func lists(m *identity.Manifest, d *identity.Device) error {
	info, ok := m.Device(d.ID())
	if !ok || info.Agreement != [32]byte(d.Agreement.PublicKey().Bytes()) {
		return identity.ErrNotListed
	}
	return nil
}
