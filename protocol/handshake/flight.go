package handshake

import (
	"crypto/mlkem"
	"encoding/binary"
	"fmt"

	"rushlight/protocol/identity"
	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

const flightVersion = 1

// Flight is what the initiator sends before its first message (spec §5.3). It
// never travels in clear: see [SealFirst].
type Flight struct {
	Generation uint32 // see Renew
	Manifest   *identity.Manifest
	Device     identity.DeviceID
	Ephemeral  [32]byte // X25519
	Bundle     [32]byte // hash of the bundle used
	Ciphertext [mlkem.CiphertextSize768]byte
	Confirm    [32]byte // proof that the initiator has the root
}

func (f *Flight) generation() []byte {
	return binary.BigEndian.AppendUint32(nil, f.Generation)
}

// Marshal encodes the flight (spec §5.3).
func (f *Flight) Marshal() []byte {
	return wire.NewWriter(nil).U8(flightVersion).U8(suite.ID).Raw(f.generation()).
		Vec16(f.Manifest.Marshal()).Raw(f.Device[:]).
		Raw(typed(typeX25519, f.Ephemeral[:])).Raw(f.Bundle[:]).
		Raw(typed(typeCiphertext, f.Ciphertext[:])).Raw(f.Confirm[:]).Out()
}

// ParseFlight decodes a flight; [Respond] checks it.
func ParseFlight(b []byte) (*Flight, error) {
	r := wire.NewReader(b)
	if r.U8() != flightVersion || r.U8() != suite.ID {
		r.Fail("unknown version or suite")
	}
	f := &Flight{Generation: r.U32()}
	m := r.Vec16(identity.MaxManifest)
	f.Device = r.A16()
	readTyped(r, typeX25519, f.Ephemeral[:])
	f.Bundle = r.A32()
	readTyped(r, typeCiphertext, f.Ciphertext[:])
	f.Confirm = r.A32()
	err := r.Close()
	if err == nil {
		f.Manifest, err = identity.ParseManifest(m)
	}
	if err != nil {
		return nil, fmt.Errorf("reading a flight: %w", err)
	}
	return f, nil
}

// First is the payload of [SealFirst]: a flight and the first message of the
// session that it starts.
type First struct {
	Flight  *Flight
	Message []byte
}

// Marshal encodes the payload: u16 length ‖ flight ‖ message (spec §5.5).
func (p First) Marshal() []byte {
	return wire.NewWriter(nil).Vec16(p.Flight.Marshal()).Raw(p.Message).Out()
}

// ParseFirst reverses [First.Marshal].
func ParseFirst(b []byte) (First, error) {
	r := wire.NewReader(b)
	raw := r.Vec16(1<<16 - 1)
	p := First{Message: r.Rest()}
	err := r.Close()
	if err == nil {
		p.Flight, err = ParseFlight(raw)
	}
	if err != nil {
		return First{}, fmt.Errorf("reading a first flight: %w", err)
	}
	return p, nil
}
