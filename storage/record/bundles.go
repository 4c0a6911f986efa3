package record

import (
	"rushlight/protocol/identity"
	"rushlight/protocol/wire"
	"rushlight/storage"
)

// Bundles are what sessions with a contact can be started with.
type Bundles struct {
	Spares [][]byte // for one session each, the oldest first, at most [MaxSpares]
	// Standing is for any number of sessions, or nothing: it is used when there
	// is no other.
	Standing []byte
}

// MaxSpares is how many bundles are kept for one contact, and MaxStanding how many
// of those that it may use often are told apart.
const (
	MaxSpares   = 3
	MaxStanding = 4
)

const maxBundle = 16384 // bytes

// BundlesKey is the key of the [Bundles] of one contact.
func BundlesKey(n Namer, a identity.AccountID) storage.Key {
	p := n.Pseudonym("account", a[:])
	return key(FamilyReserve, p[:])
}

// Marshal encodes b.
func (b *Bundles) Marshal() []byte {
	w := wire.NewWriter(nil).U8(1)
	b.writeSpares(w)
	return w.Vec16(b.Standing).Out()
}

// ParseBundles decodes a [Bundles].
func ParseBundles(raw []byte) (*Bundles, error) {
	r := wire.NewReader(raw)
	version(r)
	b := &Bundles{}
	b.readSpares(r)
	b.Standing = r.Vec16(maxBundle)
	return b, r.Close()
}

func (b *Bundles) writeSpares(w *wire.Writer) {
	w.U8(uint8(len(b.Spares)))
	for _, x := range b.Spares {
		w.Vec16(x)
	}
}

func (b *Bundles) readSpares(r *wire.Reader) {
	for n := int(r.U8()); n > 0 && r.Err() == nil; n-- {
		b.Spares = append(b.Spares, r.Vec16(maxBundle))
	}
}
