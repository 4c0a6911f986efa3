package identity

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

const labelCard suite.Label = "rushlight/identity/card/1"

// Limits of a card (spec §3.5).
const (
	MaxHints    = 8
	maxPeer     = 64
	maxAddr     = 128
	MaxCard     = 8192 // bytes, more than the limits can fill
	cardVersion = 1
)

// ErrNotListed is returned when a manifest does not list the device that
// signed.
var ErrNotListed = errors.New("identity: device is not in the manifest")

// Hint says where a device may be reached: a libp2p peer id and a multiaddr in
// their binary forms, opaque here. Addr may be empty.
type Hint struct {
	Peer []byte // 1 to 64 bytes
	Addr []byte // at most 128 bytes
}

// Card is what an account shows to others: its manifest, and a name and
// addresses claimed by one of its devices (spec §3.5). The name is a claim;
// nobody has checked it.
type Card struct {
	Manifest *Manifest
	Device   DeviceID // who signs
	Seq      uint64   // the newer card of one device has the higher number
	Issued   uint32   // unix seconds
	Name     string   // empty, or passes CheckName
	Hints    []Hint   // at most 8
	Sig      [64]byte
}

// SignCard makes a card of the device, which m must list.
func SignCard(d *Device, m *Manifest, seq uint64, issued time.Time, name string, hints []Hint) (*Card, error) {
	c := &Card{Manifest: m, Device: d.ID(), Seq: seq, Issued: uint32(issued.Unix()), Name: name, Hints: hints}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("making a card: %w", err)
	}
	if _, ok := m.Device(c.Device); !ok {
		return nil, fmt.Errorf("making a card: %w", ErrNotListed)
	}
	copy(c.Sig[:], suite.Sign(d.Signing, labelCard, c.body()))
	return c, nil
}

// ID returns the id of the account.
func (c *Card) ID() AccountID { return c.Manifest.ID() }

// Verify checks the manifest, that it lists the device, and the device's
// signature.
func (c *Card) Verify() error {
	if err := c.check(); err != nil {
		return fmt.Errorf("checking a card: %w", err)
	}
	if err := c.Manifest.Verify(); err != nil {
		return fmt.Errorf("checking a card: %w", err)
	}
	d, ok := c.Manifest.Device(c.Device)
	if !ok {
		return fmt.Errorf("checking a card: %w", ErrNotListed)
	}
	if !suite.Verify(ed25519.PublicKey(d.Signing[:]), c.Sig[:], labelCard, c.body()) {
		return fmt.Errorf("checking a card: %w", ErrSignature)
	}
	return nil
}

func (c *Card) check() error {
	if c.Name != "" {
		if err := CheckName(c.Name); err != nil {
			return err
		}
	}
	return checkHints(c.Hints)
}

func (c *Card) body() []byte {
	w := wire.NewWriter(nil).U8(cardVersion).Vec16(c.Manifest.Marshal()).
		Raw(c.Device[:]).U64(c.Seq).U32(c.Issued).Vec8([]byte(c.Name))
	writeHints(w, c.Hints)
	return w.Out()
}

// Marshal encodes the card (spec §3.5).
func (c *Card) Marshal() []byte { return append(c.body(), c.Sig[:]...) }

// ParseCard decodes a card and holds it to its limits; call [Card.Verify]
// before believing it. [ErrBadName] is returned for a name that people must
// not be shown.
func ParseCard(b []byte) (*Card, error) {
	r := wire.NewReader(b)
	if r.U8() != cardVersion {
		r.Fail("unknown version")
	}
	m := r.Vec16(MaxManifest)
	c := &Card{Device: r.A16(), Seq: r.U64(), Issued: r.U32(), Name: string(r.Vec8(MaxName))}
	c.Hints = readHints(r)
	r.Fill(c.Sig[:])
	err := r.Close()
	if err == nil {
		c.Manifest, err = ParseManifest(m)
	}
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return nil, fmt.Errorf("reading a card: %w", err)
	}
	return c, nil
}

func checkHints(hints []Hint) error {
	bad := len(hints) > MaxHints
	for _, h := range hints {
		bad = bad || len(h.Peer) == 0 || len(h.Peer) > maxPeer || len(h.Addr) > maxAddr
	}
	if bad {
		return fmt.Errorf("%w: hints over their limits", wire.ErrMalformed)
	}
	return nil
}

func writeHints(w *wire.Writer, hints []Hint) {
	w.U8(uint8(len(hints)))
	for _, h := range hints {
		w.Vec8(h.Peer).Vec8(h.Addr)
	}
}

func readHints(r *wire.Reader) []Hint {
	n := int(r.U8())
	if n > MaxHints {
		r.Fail("too many hints")
	}
	var out []Hint
	for ; n > 0 && r.Err() == nil; n-- {
		h := Hint{Peer: r.Vec8(maxPeer), Addr: r.Vec8(maxAddr)}
		if len(h.Peer) == 0 {
			r.Fail("hint without a peer")
		}
		out = append(out, h)
	}
	return out
}
