package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"rushlight/node/api"
	"rushlight/node/delivery/parcel"
	"rushlight/node/engine"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage/record"
)

var _ api.Daemon = (*Node)(nil)

// addWait is how long Add waits for the maker of an invite before it leaves
// the rest to the background.
const addWait = 15 * time.Second

// Self implements api.Daemon.
func (n *Node) Self(context.Context) (api.Self, error) {
	a := n.engine.Account()
	return api.Self{
		Account: a.String(), Device: n.engine.Device().String(), Fingerprint: identity.Fingerprint(a),
		UUID: a.UUID(), Peer: n.PeerID(), Name: n.engine.Name(),
	}, nil
}

// CreateInvite implements api.Daemon.
func (n *Node) CreateInvite(ctx context.Context, r api.InviteRequest) (api.Invite, error) {
	if r.Uses < 1 || r.Uses > engine.MaxInviteUses {
		return api.Invite{}, api.Errorf(api.CodeUsage, "an invite has 1 to %d uses", engine.MaxInviteUses)
	}
	if r.Expires <= 0 || r.Expires > engine.MaxInviteLife {
		return api.Invite{}, api.Errorf(api.CodeUsage, "an invite is good for at most a year")
	}
	link, expires, err := n.engine.CreateInvite(ctx, engine.InviteOptions{
		Uses: r.Uses, Life: r.Expires, NeedsApproval: r.NeedsApproval, Note: r.Note,
	})
	if err != nil {
		return api.Invite{}, apiError(err)
	}
	n.finder.Changed()
	return api.Invite{Link: link, Expires: api.TimeOf(expires)}, nil
}

// Add implements api.Daemon. Whoever made the invite may be away: the contact
// is then returned as pending, and tried until the invite ends.
func (n *Node) Add(ctx context.Context, r api.AddRequest) (api.Contact, error) {
	inv, err := identity.ParseInvite(r.Link)
	if err != nil {
		return api.Contact{}, apiError(err)
	}
	if r.Petname != "" {
		if err := identity.CheckName(r.Petname); err != nil {
			return api.Contact{}, apiError(err)
		}
	}
	n.engine.Refusal(inv.Account) // of an earlier invite, for which nobody waited
	greeting := r.Message
	if inv.Flags&identity.NeedsApproval == 0 {
		greeting = ""
	}
	if err := n.engine.Join(ctx, inv, r.Link, r.Petname, greeting, r.Replace); err != nil {
		return api.Contact{}, apiError(err)
	}
	if r.Message != "" && greeting == "" { // nobody decides: it is a message like any other
		if _, err := n.Send(ctx, api.SendRequest{To: inv.Account.String(), Text: r.Message}); err != nil {
			return api.Contact{}, err
		}
	}
	if err := n.awaitJoin(ctx, inv); err != nil {
		return api.Contact{}, err
	}
	return n.changed(inv.Account, nil)
}

// awaitJoin tries an invite at once and waits until it is answered, or until
// waiting longer is no use.
func (n *Node) awaitJoin(ctx context.Context, inv *identity.Invite) error {
	ctx, cancel := context.WithTimeout(ctx, addWait)
	defer cancel()
	after := n.engine.LastEvent()
	unreachable := false
	if n.joins.take(inv.Account) {
		unreachable = n.tryJoin(ctx, inv) != nil
		n.joins.give(inv.Account)
		n.joins.kick()
	}
	answered := errors.New("answered")
	settled := func() error {
		if code := n.engine.Refusal(inv.Account); code != 0 {
			return refusedInvite(code)
		}
		c := n.engine.Contact(inv.Account)
		if c == nil || c.State != record.ContactPending || unreachable {
			return answered
		}
		return nil
	}
	err := settled()
	if err == nil {
		err = n.engine.Watch(ctx, after, nil, func(ev engine.Event) error {
			if ev.Type != record.EventContact || ev.Account != inv.Account {
				return nil
			}
			return settled()
		})
	}
	if errors.Is(err, answered) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

func refusedInvite(code uint8) error {
	switch code {
	case parcel.CodeUsed:
		return api.Errorf(api.CodeInviteUsed, "the invite was used already").WithHint("ask for a new one")
	case parcel.CodeExpired:
		return expiredInvite
	case parcel.CodeTime:
		return api.Errorf(api.CodeInviteExpired, "the invite is not valid at this time").WithHint("set the clocks of both devices, and ask for a new one")
	case parcel.CodeUnknown:
		return api.Errorf(api.CodeInviteUsed, "whoever made the invite no longer knows it").WithHint("ask for a new one")
	}
	return api.Errorf(api.CodeInviteDamaged, "the answer to the invite is not what the invite promised").WithHint("ask for a new one, over a channel you trust")
}

var expiredInvite = api.Errorf(api.CodeInviteExpired, "the invite has expired").WithHint("ask for a new one")

// Contacts implements api.Daemon.
func (n *Node) Contacts(context.Context) ([]api.Contact, error) {
	list := n.engine.Contacts()
	out := make([]api.Contact, len(list))
	for i, c := range list {
		var err error
		if out[i], err = n.contactJSON(c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Rename implements api.Daemon.
func (n *Node) Rename(ctx context.Context, who, petname string) (api.Contact, error) {
	c, err := n.resolve(who)
	if err != nil {
		return api.Contact{}, err
	}
	if petname != "" {
		if err := identity.CheckName(petname); err != nil {
			return api.Contact{}, apiError(err)
		}
	}
	return n.changed(c.Account, n.engine.Rename(ctx, c.Account, petname))
}

// Approve implements api.Daemon.
func (n *Node) Approve(ctx context.Context, who string) (api.Contact, error) {
	c, err := n.edit(ctx, who, n.engine.Approve)
	n.post.Recheck()
	return c, err
}

// Block implements api.Daemon.
func (n *Node) Block(ctx context.Context, who string) (api.Contact, error) {
	c, err := n.edit(ctx, who, n.engine.Block)
	if id, perr := identity.ParseAccountID(c.ID); err == nil && perr == nil {
		n.delivery.Hangup(id)
		err = n.finder.Forget(ctx, id)
		n.engine.BeaconChanged()
	}
	return c, err
}

// Unblock implements api.Daemon.
func (n *Node) Unblock(ctx context.Context, who string) (api.Contact, error) {
	return n.edit(ctx, who, n.engine.Unblock)
}

func (n *Node) edit(ctx context.Context, who string, change func(context.Context, identity.AccountID) error) (api.Contact, error) {
	c, err := n.resolve(who)
	if err != nil {
		return api.Contact{}, err
	}
	return n.changed(c.Account, change(ctx, c.Account))
}

// Decline implements api.Daemon.
func (n *Node) Decline(ctx context.Context, who string) error {
	c, err := n.resolve(who)
	if err != nil {
		return err
	}
	if asks, err := n.engine.Asks(c); err != nil || !asks {
		if err == nil {
			err = api.Errorf(api.CodeUsage, "this contact does not wait for approval").WithHint("to forget a contact: rushlight remove")
		}
		return apiError(err)
	}
	return apiError(n.engine.Remove(ctx, c.Account))
}

// Remove implements api.Daemon.
func (n *Node) Remove(ctx context.Context, who string) error {
	c, err := n.resolve(who)
	if err != nil {
		return err
	}
	err = n.engine.Remove(ctx, c.Account)
	n.delivery.Hangup(c.Account)
	err = errors.Join(err, n.finder.Forget(ctx, c.Account))
	n.engine.BeaconChanged()
	return apiError(err)
}

// Verify implements api.Daemon.
func (n *Node) Verify(ctx context.Context, r api.VerifyRequest) (api.Verification, error) {
	c, err := n.resolve(r.Who)
	if err != nil {
		return api.Verification{}, err
	}
	if r.Number != "" {
		number, err := identity.ParseSafetyNumber(r.Number)
		if err != nil {
			return api.Verification{}, api.Errorf(api.CodeUsage, "that is not a safety number").WithHint("it has 60 digits; spaces don't matter")
		}
		if err := n.engine.Verify(ctx, c.Account, number); err != nil {
			return api.Verification{}, apiError(err)
		}
		c = n.engine.Contact(c.Account)
	}
	number, err := n.engine.SafetyNumber(c.Account)
	if err != nil {
		return api.Verification{}, apiError(err)
	}
	key, _ := c.Key()
	return api.Verification{
		Number: number, Verified: c.Verified,
		QR: identity.MarshalSafetyQR(n.engine.AccountKey(), key),
	}, nil
}

// Send implements api.Daemon.
func (n *Node) Send(ctx context.Context, r api.SendRequest) (api.Sent, error) {
	c, err := n.resolve(r.To)
	if err != nil {
		if r.Entered != nil {
			r.Entered()
		}
		return api.Sent{}, err
	}
	attached, keeps, done, err := n.attachments(ctx, r)
	if err != nil {
		if r.Entered != nil {
			r.Entered()
		}
		return api.Sent{}, err
	}
	msg, err := n.compose(c.Account, r, attached)
	if err != nil {
		done(false)
		if r.Entered != nil {
			r.Entered()
		}
		return api.Sent{}, err
	}
	s, err := n.engine.Send(ctx, msg)
	done(err == nil)
	if err != nil {
		return api.Sent{}, apiError(err)
	}
	return api.Sent{
		ID: s.ID.String(), State: stateName(s.State), Timestamp: s.At.UnixMilli(), Keeps: keeps,
		To: c.Account.String(), ToUUID: c.Account.UUID(),
	}, nil
}

// Wait implements api.Daemon.
func (n *Node) Wait(ctx context.Context, id, state string) (string, error) {
	mid, err := message.ParseID(id)
	if err != nil {
		return "", apiError(err)
	}
	want := slices.Index(stateNames[:], state)
	if want < 1 || state == api.StateFailed {
		return "", api.Errorf(api.CodeUsage, "no such state; it is queued, stored, delivered or read")
	}
	reached := errors.New("reached")
	now := record.MessageState(0)
	look := func() (err error) {
		if now, err = n.engine.State(mid); err != nil {
			return err
		}
		if now == record.StateFailed || now >= record.MessageState(want) {
			return reached
		}
		return nil
	}
	after := n.engine.LastEvent()
	if err = look(); err == nil {
		err = n.engine.Watch(ctx, after, nil, func(ev engine.Event) error {
			if ev.Type == record.EventState && ev.Message == mid {
				return look()
			}
			return nil
		})
	}
	if errors.Is(err, reached) {
		return stateName(now), nil
	}
	return stateName(now), apiError(err)
}

// Read implements api.Daemon.
func (n *Node) Read(ctx context.Context, r api.ReadRequest) ([]api.Message, error) {
	c, err := n.resolve(r.Who)
	if err != nil {
		return nil, err
	}
	req := engine.Read{With: c.Account, Limit: r.Limit, Unread: r.Unread, Peek: r.Peek}
	for _, point := range []struct {
		text string
		id   *message.ID
	}{{r.Before, &req.Before}, {r.After, &req.After}, {r.Around, &req.Around}} {
		if point.text == "" {
			continue
		}
		if *point.id, err = message.ParseID(point.text); err != nil {
			return nil, apiError(err)
		}
	}
	list, err := n.engine.Read(ctx, req)
	if err != nil {
		return nil, apiError(err)
	}
	out := make([]api.Message, len(list))
	for i := range list {
		out[i] = n.messageJSON(&list[i])
	}
	return out, nil
}

// Watch implements api.Daemon.
func (n *Node) Watch(ctx context.Context, after uint64, started func(uint64), fn func(api.Event) error) error {
	return n.withTyping(ctx, fn, func(ctx context.Context, fn func(api.Event) error) error {
		return apiError(n.engine.Watch(ctx, after, started, func(ev engine.Event) error {
			out, err := n.eventJSON(ev)
			if err != nil {
				return err
			}
			return fn(out)
		}))
	})
}

// Check implements api.Daemon.
func (n *Node) Check(ctx context.Context) (api.CheckReport, error) {
	r, err := n.engine.Check(ctx)
	if err != nil {
		return api.CheckReport{}, apiError(err)
	}
	out := api.CheckReport{OK: len(r.Faults) == 0, Checked: r.Checked}
	for _, f := range r.Faults {
		out.Problems = append(out.Problems, api.CheckFault{Where: f.Where, What: f.What})
	}
	return out, nil
}
