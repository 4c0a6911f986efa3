package record

import (
	"rushlight/protocol/identity"
	"rushlight/protocol/wire"
	"rushlight/storage"
)

// Chain is the delivery chain towards one account and the numbers of its
// outbox. Sessions lists the sessions with the account, and repeats, apart from
// the sessions themselves, the lowest version that each may have: a session put
// back from an older copy is below.
type Chain struct {
	LastOutbox uint64   // the number of the newest entry
	Pending    uint64   // no entry with a lower number is left
	Session    [16]byte // the session that the chain was derived from
	Receipts   [32]byte // key of the acknowledgements of what goes through it
	State      []byte   // envelope.Chain, empty before the first session
	Sessions   []SessionRef
}

// SessionRef names one session and the lowest version it may have.
type SessionRef struct {
	Device  identity.DeviceID
	Session [16]byte
	Floor   uint64
}

// ChainKey is the key of the chain towards one account.
func ChainKey(n Namer, a identity.AccountID) storage.Key {
	p := n.Pseudonym("account", a[:])
	return key(FamilyChain, p[:])
}

// Marshal encodes c.
func (c *Chain) Marshal() []byte {
	w := wire.NewWriter(nil).U8(1).U64(c.LastOutbox).U64(c.Pending).Raw(c.Session[:]).Raw(c.Receipts[:]).Vec16(c.State).U8(uint8(len(c.Sessions)))
	for _, f := range c.Sessions {
		w.Raw(f.Device[:]).Raw(f.Session[:]).U64(f.Floor)
	}
	return w.Out()
}

// ParseChain decodes a [Chain].
func ParseChain(b []byte) (*Chain, error) {
	r := wire.NewReader(b)
	version(r)
	c := &Chain{LastOutbox: r.U64(), Pending: r.U64(), Session: r.A16(), Receipts: r.A32(), State: r.Vec16(4096)}
	for n := int(r.U8()); n > 0 && r.Err() == nil; n-- {
		c.Sessions = append(c.Sessions, SessionRef{Device: r.A16(), Session: r.A16(), Floor: r.U64()})
	}
	return c, r.Close()
}

// MaxSessions bounds the sessions with one account, and the delivery chains of
// one device, in which something is still received.
const MaxSessions = 12

// Window is what is expected from one device of a contact: the newest window
// first, then those before a re-keying.
type Window struct {
	Account identity.AccountID
	Device  identity.DeviceID
	Chains  []WindowChain // newest first
}

// WindowChain is one receiving window and the key that acknowledges what
// arrives through it.
type WindowChain struct {
	Session  [16]byte
	Receipts [32]byte
	State    []byte // envelope.Window
	Behind   []byte // envelope.Chain at most 1,024 indexes back: what came again is recognised
}

// WindowKey is the key of the window of one device.
func WindowKey(n Namer, d identity.DeviceID) storage.Key {
	p := n.Pseudonym("device", d[:])
	return key(FamilyWindow, p[:])
}

// WindowPrefix is the prefix of all windows.
func WindowPrefix() storage.Key { return key(FamilyWindow) }

// Marshal encodes w.
func (w *Window) Marshal() []byte {
	o := wire.NewWriter(nil).U8(1).Raw(w.Account[:]).Raw(w.Device[:]).U8(uint8(len(w.Chains)))
	for _, c := range w.Chains {
		o.Raw(c.Session[:]).Raw(c.Receipts[:]).Vec16(c.State).Vec16(c.Behind)
	}
	return o.Out()
}

// ParseWindow decodes a [Window].
func ParseWindow(b []byte) (*Window, error) {
	r := wire.NewReader(b)
	version(r)
	w := &Window{Account: r.A32(), Device: r.A16()}
	n := int(r.U8())
	if n > MaxSessions {
		r.Fail("too many windows")
	}
	for ; n > 0 && r.Err() == nil; n-- {
		w.Chains = append(w.Chains, WindowChain{Session: r.A16(), Receipts: r.A32(), State: r.Vec16(16384), Behind: r.Vec16(4096)})
	}
	return w, r.Close()
}
