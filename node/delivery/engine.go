package delivery

import (
	"context"
	"time"

	"rushlight/node/delivery/parcel"
	"rushlight/protocol/identity"
)

type (
	// Parcel is an outbox entry sealed for direct delivery.
	Parcel = parcel.Parcel
	// Ack is the other side's answer for a parcel that it has committed.
	Ack = parcel.Ack
	// Result is what became of one received envelope.
	Result = parcel.Result
	// Counter is what one device has counted in one session.
	Counter = parcel.Counter
	// Hint is an address that may work.
	Hint = parcel.Hint
	// Refusal is an error with a code that the other side may know.
	Refusal = parcel.Refusal
)

// Engine is what delivery needs from the owner of the device's state. Every
// method may be called from many goroutines at once. Those with a context
// return after the commit.
type Engine interface {
	// Device is this device.
	Device() identity.DeviceID
	// SignHello signs a framed, labelled transcript with the device's signing
	// key and returns the public half with the signature.
	SignHello(transcript []byte) (dsk [32]byte, sig []byte)
	// AccountOf returns the approved contact that lists the device with this
	// signing key.
	AccountOf(device identity.DeviceID, dsk [32]byte) (identity.AccountID, bool)
	// Devices are the devices of a contact.
	Devices(account identity.AccountID) []identity.DeviceID
	// Hints are the addresses of a contact's devices, best first.
	Hints(account identity.AccountID) []Hint
	// Accounts are all contacts worth calling after a start.
	Accounts() []identity.AccountID

	// Pending returns at most max parcels for the account that wait for an
	// acknowledgement, in ascending order, beginning after the given number.
	Pending(account identity.AccountID, after uint64, max int) ([]Parcel, error)
	// Acked verifies and commits acknowledgements. The device is zero when the
	// other side of the stream has not proved which it is: the MACs decide.
	Acked(ctx context.Context, account identity.AccountID, device identity.DeviceID, acks []Ack) error
	// Refused is told that the other side won't take a parcel. The engine
	// decides what to do instead; what it leaves pending is tried again after a
	// minute, or on the next stream.
	Refused(ctx context.Context, account identity.AccountID, device identity.DeviceID, seq uint64, code uint8) error

	// ReceiveBatch takes envelopes in one commit and returns as many results.
	// The device is zero when the sender is unknown: a first flight.
	ReceiveBatch(ctx context.Context, device identity.DeviceID, envelopes [][]byte) []Result

	// ServeInvite answers a request for what an invite promised. It calls
	// proof with the invite's secret and answers with CodeUnknown when that
	// returns false, as if there were no such invite. Any code but 0 is sent
	// in place of the reply.
	ServeInvite(ctx context.Context, id [16]byte, proof func(secret [32]byte) bool) (secret [32]byte, reply []byte, code uint8)

	// Counters is what this device counted in its sessions with another.
	Counters(device identity.DeviceID) []Counter
	// Clock is the time of this device, as its messages claim it.
	Clock() time.Time
	// PeerClock is the time of the other device, now.
	PeerClock(ctx context.Context, device identity.DeviceID, theirs time.Time) error
	// PeerCounters is what the other device says it counted.
	PeerCounters(ctx context.Context, device identity.DeviceID, counters []Counter) error

	// Reached is told an address, in binary form, that worked for a device
	// when it isn't the one told before.
	Reached(ctx context.Context, account identity.AccountID, device identity.DeviceID, peerID, addr []byte)

	// Waits reports whether there is anything to say to the account: parcels
	// that are pending, ones that become so once the other side has told its
	// counters, or a bundle to ask for.
	Waits(account identity.AccountID) bool
	// WantsBundle reports whether the account's sessions need new keys.
	WantsBundle(account identity.AccountID) bool
	// PersonalBundle makes a one-time bundle for the device alone; empty when
	// it can't have one.
	PersonalBundle(ctx context.Context, device identity.DeviceID) ([]byte, error)
	// AcceptBundle takes the bundle that was asked for.
	AcceptBundle(ctx context.Context, account identity.AccountID, device identity.DeviceID, bundle []byte) error
}
