package api

import (
	"context"
	"slices"
	"unicode/utf8"

	"rushlight/protocol/identity"
)

type contactResult struct {
	Contact Contact `json:"contact"`
}

// addResult also says whether who made the invite decides first: they don't
// tell what they decide, and what is written before they approve waits.
type addResult struct {
	Contact       Contact `json:"contact"`
	NeedsApproval bool    `json:"needsApproval"`
}

type addParams struct {
	Link    string `json:"link" rpc:"required"`
	As      string `json:"as"`
	Message string `json:"message"`
	Replace bool   `json:"replace"`
}

func (c *conn) add(ctx context.Context, params []byte) (any, error) {
	var p addParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if p.Link == "" {
		return nil, Errorf(CodeUsage, "the link is missing")
	}
	if err := checkPetname(p.As); err != nil {
		return nil, err
	}
	if p.Message != "" {
		if err := CheckRequest(p.Message, params); err != nil {
			return nil, err
		}
	}
	k, err := c.Daemon.Add(ctx, AddRequest{Link: p.Link, Petname: p.As, Message: p.Message, Replace: p.Replace})
	if err != nil {
		return nil, err
	}
	inv, err := identity.ParseInvite(p.Link)
	return addResult{k, err == nil && inv.Flags&identity.NeedsApproval != 0}, nil
}

// CheckRequest is [CheckText] for a text with which somebody asks to be a contact.
func CheckRequest(text string, raw []byte) error {
	if n := utf8.RuneCountInString(text); n > MaxRequest {
		return Errorf(CodeTextTooLong, "the message has %d characters, and may have at most %d here", n, MaxRequest).
			WithHint("write the rest once they have accepted you")
	}
	return CheckText(text, raw)
}

func checkPetname(name string) error {
	if len(name) > MaxPetname {
		return Errorf(CodeUsage, "the name is longer than %d bytes", MaxPetname)
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == 0xfffd {
			return Errorf(CodeUsage, "the name holds a character that can't be shown")
		}
	}
	return nil
}

type contactsResult struct {
	Contacts List[Contact] `json:"contacts"`
}

func (c *conn) contacts(ctx context.Context, params []byte) (any, error) {
	if err := decode(params, new(none)); err != nil {
		return nil, err
	}
	all, err := c.Daemon.Contacts(ctx)
	return contactsResult{all}, err
}

// signalContact is a contact as signal-cli shows it, with our own keys besides.
type signalContact struct {
	Number            *string       `json:"number"`
	UUID              string        `json:"uuid"`
	Username          *string       `json:"username"`
	Name              string        `json:"name"`
	GivenName         string        `json:"givenName"`
	FamilyName        *string       `json:"familyName"`
	NickName          string        `json:"nickName"`
	IsBlocked         bool          `json:"isBlocked"`
	IsHidden          bool          `json:"isHidden"`
	ExpirationSeconds int           `json:"messageExpirationTime"`
	Profile           signalProfile `json:"profile"`

	ID         string `json:"id"`
	Petname    string `json:"petname"`
	State      string `json:"state"`
	Verified   bool   `json:"verified"`
	KeyChanged bool   `json:"keyChanged"`
}

type signalProfile struct {
	GivenName  string  `json:"givenName"`
	FamilyName *string `json:"familyName"`
}

type listContactsParams struct {
	Account       string     `json:"account"`
	Recipient     OneOrMany  `json:"recipient"`
	Recipients    OneOrMany  `json:"recipients"`
	AllRecipients bool       `json:"allRecipients"`
	Blocked       *bool      `json:"blocked"`
	Name          NullString `json:"name"`
}

func (c *conn) listContacts(ctx context.Context, params []byte) (any, error) {
	var p listContactsParams
	if err := c.decodeFor(ctx, params, &p, &p.Account); err != nil {
		return nil, err
	}
	all, err := c.contactsIn(ctx, append(p.Recipient, p.Recipients...))
	if err != nil {
		return nil, err
	}
	out := List[signalContact]{}
	for _, k := range all {
		blocked := k.State == ContactBlocked
		switch {
		case p.Blocked != nil && *p.Blocked != blocked,
			p.Name != "" && string(p.Name) != k.Name && string(p.Name) != k.Petname:
			continue
		}
		out = append(out, signalContact{
			UUID: k.UUID, Name: k.Shown(), GivenName: k.Name, NickName: k.Petname, IsBlocked: blocked,
			Profile: signalProfile{GivenName: k.Name},
			ID:      k.ID, Petname: k.Petname, State: k.State, Verified: k.Verified, KeyChanged: k.KeyChanged,
		})
	}
	return out, nil
}

// contactsIn lists the contacts that are named, all if none is.
func (c *conn) contactsIn(ctx context.Context, named OneOrMany) ([]Contact, error) {
	all, err := c.Daemon.Contacts(ctx)
	return slices.DeleteFunc(all, func(k Contact) bool { return len(named) > 0 && !named.has(k) }), err
}

func (l OneOrMany) has(k Contact) bool {
	for _, who := range l {
		if who == k.ID || who == k.UUID || who == k.Petname {
			return true
		}
	}
	return false
}

// decodeFor reads parameters with one by which clients of several accounts say
// which they mean.
func (c *conn) decodeFor(ctx context.Context, params []byte, into any, account *string) error {
	if err := decode(params, into); err != nil {
		return err
	}
	return c.ownAccount(ctx, *account)
}

// ownAccount accepts the parameter account, by which clients of several
// accounts say which one they mean, when it is this profile's.
func (c *conn) ownAccount(ctx context.Context, account string) error {
	if account == "" {
		return nil
	}
	self, err := c.Daemon.Self(ctx)
	if err != nil {
		return err
	}
	if account != self.Account && account != self.UUID {
		return Errorf(CodeUsage, "this daemon serves another account")
	}
	return nil
}

type renameParams struct {
	Who string `json:"who" rpc:"required"`
	As  string `json:"as"`
}

func (c *conn) rename(ctx context.Context, params []byte) (any, error) {
	var p renameParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if err := checkWho(p.Who); err != nil {
		return nil, err
	}
	if err := checkPetname(p.As); err != nil {
		return nil, err
	}
	k, err := c.Daemon.Rename(ctx, p.Who, p.As)
	return contactResult{k}, err
}

// oneContact is a method that changes one contact.
func oneContact(change func(Daemon, context.Context, string) (Contact, error)) method {
	return func(c *conn, ctx context.Context, params []byte) (any, error) {
		who, err := c.who(ctx, params)
		if err != nil {
			return nil, err
		}
		k, err := change(c.Daemon, ctx, who)
		return contactResult{k}, err
	}
}

type whoParams struct {
	Account   string    `json:"account"`
	Who       string    `json:"who"`
	Recipient OneOrMany `json:"recipient"`
}

// who reads the contact that a method is about; signal-cli calls it recipient.
func (c *conn) who(ctx context.Context, params []byte) (string, error) {
	var p whoParams
	if err := c.decodeFor(ctx, params, &p, &p.Account); err != nil {
		return "", err
	}
	if p.Who == "" && len(p.Recipient) == 1 {
		p.Who = p.Recipient[0]
	}
	return p.Who, checkWho(p.Who)
}

type declineResult struct {
	Declined bool `json:"declined"`
}

func (c *conn) decline(ctx context.Context, params []byte) (any, error) {
	who, err := c.who(ctx, params)
	if err != nil {
		return nil, err
	}
	return declineResult{true}, c.Daemon.Decline(ctx, who)
}

type requestsResult struct {
	Contacts List[Contact] `json:"contacts"`
}

func (c *conn) requests(ctx context.Context, params []byte) (any, error) {
	if err := decode(params, new(none)); err != nil {
		return nil, err
	}
	all, err := c.Daemon.Contacts(ctx)
	out := List[Contact]{}
	for _, k := range all {
		if k.Request {
			out = append(out, k)
		}
	}
	return requestsResult{out}, err
}

type removeParams struct {
	Who string `json:"who" rpc:"required"`
}

type removeResult struct {
	Removed bool `json:"removed"`
}

func (c *conn) remove(ctx context.Context, params []byte) (any, error) {
	var p removeParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if err := checkWho(p.Who); err != nil {
		return nil, err
	}
	return removeResult{true}, c.Daemon.Remove(ctx, p.Who)
}
