package message

import (
	"fmt"

	"rushlight/protocol/identity"
	"rushlight/protocol/wire"
)

// Kind is the first byte of a packet (spec §9.6).
type Kind uint8

// The kinds of packet. Numbers are never used twice.
const (
	KindMessage Kind = 1
	KindProfile Kind = 2
	KindReceipt Kind = 3
	KindBundles Kind = 4
	KindErased  Kind = 6
	KindNotice  Kind = 7
	KindRelays  Kind = 8
	KindAcks    Kind = 9
	KindLow     Kind = 10

	KindFilePart Kind = 12

	KindHeld    Kind = 13
	KindCompare Kind = 14

	KindFileOrder Kind = 15
)

// Limits of packets (spec §9.6).
const (
	MaxPacket       = 62_000 // bytes of a whole packet, fits envelope class L
	MaxCard         = identity.MaxCard
	MaxNote         = 1_000 // characters of a note, at most 4,000 bytes
	MaxReceipts     = 64
	MaxBundles      = 3
	MaxBundle       = 8_192
	maxDelivery     = 255
	maxProfileValue = MaxPacket
)

// Packet is the body of an envelope: one logged message or something that
// devices tell each other beside the log. It is one of [*Message], [*Profile],
// [*Receipt], [*Bundles], [*Erased], [*Notice], [*Relays], [*Acks], [*Low],
// [*FilePart], [*FileOrder], [*Held], [*Compare] and [*Unknown].
type Packet interface{ kind() Kind }

func (*Message) kind() Kind { return KindMessage }
func (*Profile) kind() Kind { return KindProfile }
func (*Receipt) kind() Kind { return KindReceipt }
func (*Bundles) kind() Kind { return KindBundles }
func (*Erased) kind() Kind  { return KindErased }
func (*Notice) kind() Kind  { return KindNotice }

func (*FilePart) kind() Kind { return KindFilePart }

func (u *Unknown) kind() Kind {
	return u.Kind
}

// Unknown is a packet of a kind this version does not know, kept as it came.
type Unknown struct {
	Kind  Kind
	Bytes []byte // what follows the kind
}

// Bundles are handshake bundles made for the recipient alone, for new devices
// and new sessions (spec §5).
type Bundles struct{ Bundles [][]byte }

// MarshalPacket encodes a packet: its kind, then its content.
func MarshalPacket(p Packet) ([]byte, error) {
	w := wire.NewWriter(nil).U8(uint8(p.kind()))
	var err error
	switch p := p.(type) {
	case *Message:
		var b []byte
		b, err = p.Marshal()
		w.Raw(b)
	case *Profile:
		err = p.append(w)
	case *Receipt:
		err = p.append(w)
	case *Bundles:
		err = p.append(w)
	case *Erased:
		err = p.append(w)
	case *Notice:
		err = p.append(w)
	case *Relays:
		err = p.append(w)
	case *Acks:
		err = p.append(w)
	case *Low:
		err = p.append(w)
	case *FilePart:
		err = p.append(w)
	case *FileOrder:
		err = p.append(w)
	case *Held:
		p.append(w)
	case *Compare:
		err = p.append(w)
	case *Unknown:
		if p.Kind <= KindBundles || p.Kind >= KindErased && p.Kind <= KindLow || p.Kind >= KindFilePart && p.Kind <= KindFileOrder {
			err = fmt.Errorf("%w: known kind of packet", wire.ErrMalformed)
		}
		w.Raw(p.Bytes)
	}
	if err == nil && len(w.Out()) > MaxPacket {
		err = fmt.Errorf("%w: packet over its limit", wire.ErrMalformed)
	}
	if err != nil {
		return nil, fmt.Errorf("encoding a packet: %w", err)
	}
	return w.Out(), nil
}

// ParsePacket reverses [MarshalPacket]. What it returns may alias b. Kind 0 is
// refused, so zeros are never a packet.
func ParsePacket(b []byte) (p Packet, err error) {
	if len(b) == 0 || len(b) > MaxPacket || b[0] == 0 {
		return nil, fmt.Errorf("reading a packet: %w: bad length or kind", wire.ErrMalformed)
	}
	content := b[1:]
	switch k := Kind(b[0]); k {
	case KindMessage:
		p, err = Parse(content)
	case KindProfile:
		p, err = parseProfile(content)
	case KindReceipt:
		p, err = parseReceipt(content)
	case KindBundles:
		p, err = parseBundles(content)
	case KindErased:
		p, err = parseErased(content)
	case KindNotice:
		p, err = parseNotice(content)
	case KindRelays:
		p, err = parseRelays(content)
	case KindAcks:
		p, err = parseAcks(content)
	case KindLow:
		p, err = parseLow(content)
	case KindFilePart:
		p, err = parseFilePart(content)
	case KindFileOrder:
		p, err = parseFileOrder(content)
	case KindHeld:
		p, err = parseHeld(content)
	case KindCompare:
		p, err = parseCompare(content)
	default:
		p = &Unknown{Kind: k, Bytes: content}
	}
	if err != nil {
		return nil, fmt.Errorf("reading a packet: %w", err)
	}
	return p, nil
}

func (b *Bundles) append(w *wire.Writer) error {
	if len(b.Bundles) == 0 || len(b.Bundles) > MaxBundles {
		return fmt.Errorf("%w: bad number of bundles", wire.ErrMalformed)
	}
	w.U8(uint8(len(b.Bundles)))
	for _, one := range b.Bundles {
		if len(one) == 0 || len(one) > MaxBundle {
			return fmt.Errorf("%w: bundle empty or over its limit", wire.ErrMalformed)
		}
		w.Vec16(one)
	}
	return nil
}

func parseBundles(content []byte) (*Bundles, error) {
	r := wire.NewReader(content)
	n := int(r.U8())
	if n == 0 || n > MaxBundles {
		r.Fail("bad number of bundles")
		n = 0
	}
	b := &Bundles{}
	for range n {
		one := r.Vec16(MaxBundle)
		if len(one) == 0 {
			r.Fail("empty bundle")
		}
		b.Bundles = append(b.Bundles, one)
	}
	return b, r.Close()
}
