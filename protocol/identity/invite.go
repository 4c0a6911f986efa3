package identity

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
)

// Flags of an invite (spec §4.1).
const (
	// NeedsApproval leaves whoever uses the invite a request until its maker
	// approves.
	NeedsApproval uint8 = 1 << 0

	knownInviteFlags = NeedsApproval
)

// Limits of an invite (spec §4.1).
const (
	MaxUses       = 8
	MaxRelays     = 2
	maxRelayAddr  = 64
	inviteVersion = 1
)

// Errors of [ParseInvite].
var (
	// ErrInviteTruncated: the link ends too early; copy all of it.
	ErrInviteTruncated = errors.New("identity: invite is cut off")
	// ErrInviteAltered: the link is not as it was made.
	ErrInviteAltered = errors.New("identity: invite was altered")
	// ErrInviteVersion: the link is intact and of a newer version.
	ErrInviteVersion = errors.New("identity: invite is of a newer version")
)

// InviteRelay is a relay where the maker of an invite can be reached while
// away.
type InviteRelay struct {
	Key     [32]byte // the relay's Ed25519 key
	Addr    []byte   // binary multiaddr, 1 to 64 bytes
	Request [32]byte // address of the maker's request lane there
	Stamp   [45]byte // pays for the deposit
}

// Invite is what one person gives to another to become contacts (spec §4.1).
// It is a secret: whoever holds it may use it. Its maker enforces uses and
// expiry (spec §4.2).
type Invite struct {
	Flags   uint8
	Account AccountID // of the maker; keeps a relay from taking the maker's place
	ID      [16]byte
	Secret  [32]byte
	Expires uint32     // unix seconds
	Uses    [][32]byte // hashes of 1 to 8 one-time bundles, one for each use
	Hints   []Hint     // at most 8
	Relays  []InviteRelay
}

// NewInvite makes an invite with a fresh id and secret; the caller fills in
// the rest.
func NewInvite(a AccountID, expires time.Time) *Invite {
	i := &Invite{Account: a, Expires: uint32(expires.Unix())}
	suite.Random(i.ID[:])
	suite.Random(i.Secret[:])
	return i
}

// Expired reports whether the invite is over.
func (i *Invite) Expired(now time.Time) bool { return now.Unix() >= int64(i.Expires) }

// Marshal encodes the invite, or says which limit it breaks.
func (i *Invite) Marshal() ([]byte, error) {
	if err := i.check(); err != nil {
		return nil, fmt.Errorf("making an invite: %w", err)
	}
	w := wire.NewWriter(nil).U8(inviteVersion).U8(i.Flags).Raw(i.Account[:]).
		Raw(i.ID[:]).Raw(i.Secret[:]).U32(i.Expires).U8(uint8(len(i.Uses)))
	for _, h := range i.Uses {
		w.Raw(h[:])
	}
	writeHints(w, i.Hints)
	w.U8(uint8(len(i.Relays)))
	for _, r := range i.Relays {
		w.Raw(r.Key[:]).Vec8(r.Addr).Raw(r.Request[:]).Raw(r.Stamp[:])
	}
	return w.Raw(inviteSum(w.Out())).Out(), nil
}

// Link is the invite as text: "rushlight:" and lower-case base32.
func (i *Invite) Link() (string, error) {
	b, err := i.Marshal()
	if err != nil {
		return "", err
	}
	return inviteScheme + wire.EncodeText(b), nil
}

// QR is the link in upper case, which QR codes hold in their compact mode.
func (i *Invite) QR() (string, error) {
	s, err := i.Link()
	return strings.ToUpper(s), err
}

// ParseInvite reads a link, all lower or all upper case. The caller trims
// white space around it; white space within is refused. Errors are
// [ErrInviteTruncated], [ErrInviteAltered] and [ErrInviteVersion].
func ParseInvite(s string) (*Invite, error) {
	i, err := parseInvite(s)
	if err != nil {
		return nil, fmt.Errorf("reading an invite: %w", err)
	}
	return i, nil
}

func parseInvite(s string) (*Invite, error) {
	text, err := inviteText(s)
	if err != nil {
		return nil, err
	}
	b, whole, err := decodeInviteText(text)
	if err != nil {
		return nil, err
	}
	sum := len(b) - inviteSumLen
	intact := whole && sum > 0 && suite.Equal(inviteSum(b[:sum]), b[sum:])
	switch span := inviteSpan(b); {
	case len(b) > 0 && b[0] != inviteVersion:
		if intact {
			return nil, ErrInviteVersion
		}
		return nil, ErrInviteAltered
	case len(b) < span:
		return nil, ErrInviteTruncated
	case len(b) > span || !intact:
		return nil, ErrInviteAltered
	}
	i, err := readInvite(b[:sum])
	if err != nil {
		return nil, ErrInviteAltered
	}
	return i, nil
}

func readInvite(b []byte) (*Invite, error) {
	r := wire.NewReader(b)
	r.U8() // the version, checked
	i := &Invite{Flags: r.U8(), Account: r.A32(), ID: r.A16(), Secret: r.A32(), Expires: r.U32()}
	for n := int(r.U8()); n > 0 && r.Err() == nil; n-- {
		i.Uses = append(i.Uses, r.A32())
	}
	i.Hints = readHints(r)
	for n := int(r.U8()); n > 0 && r.Err() == nil; n-- {
		x := InviteRelay{Key: r.A32(), Addr: r.Vec8(maxRelayAddr), Request: r.A32()}
		r.Fill(x.Stamp[:])
		i.Relays = append(i.Relays, x)
	}
	if err := r.Close(); err != nil {
		return nil, err
	}
	return i, i.check()
}

func (i *Invite) check() error {
	bad := i.Flags&^knownInviteFlags != 0 ||
		len(i.Uses) == 0 || len(i.Uses) > MaxUses || len(i.Relays) > MaxRelays
	for n, h := range i.Uses {
		bad = bad || slices.Contains(i.Uses[:n], h)
	}
	for _, r := range i.Relays {
		bad = bad || len(r.Addr) == 0 || len(r.Addr) > maxRelayAddr
	}
	if bad {
		return fmt.Errorf("%w: invite over its limits", wire.ErrMalformed)
	}
	return checkHints(i.Hints)
}
