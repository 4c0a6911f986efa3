package api

import (
	"context"
	"encoding/json"
	"time"
)

// The methods of signal-cli that name messages by author and time. Groups are
// not there yet, so a group id is of no group.

// OneOrManyTimes is a list of times in ms since 1970; in JSON a single one will
// do.
type OneOrManyTimes []int64

// UnmarshalJSON implements [json.Unmarshaler].
func (l *OneOrManyTimes) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]int64)(l))
	}
	var one *int64
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	*l = nil
	if one != nil {
		*l = OneOrManyTimes{*one}
	}
	return nil
}

// signalTarget says to whom.
type signalTarget struct {
	Account    string    `json:"account"`
	Recipient  OneOrMany `json:"recipient"`
	Recipients OneOrMany `json:"recipients"`
	GroupID    OneOrMany `json:"groupId"`
}

func (t *signalTarget) target() signalTarget { return *t }

// signalOne says which contact.
type signalOne struct {
	Account   string    `json:"account"`
	Recipient OneOrMany `json:"recipient" rpc:"required"`
}

func (t *signalOne) target() signalTarget {
	return signalTarget{Account: t.Account, Recipient: t.Recipient}
}

// decodeTo reads the parameters of a request that is for somebody, and returns
// for whom.
func (c *conn) decodeTo(ctx context.Context, params []byte, into interface{ target() signalTarget }) ([]string, error) {
	if err := decode(params, into); err != nil {
		return nil, err
	}
	return c.recipients(ctx, into.target())
}

var errNoGroup = Errorf(CodeUnknownContact, "there is no such group")

// recipients checks whom a request is for.
func (c *conn) recipients(ctx context.Context, t signalTarget) ([]string, error) {
	if err := c.ownAccount(ctx, t.Account); err != nil {
		return nil, err
	}
	all := append(t.Recipient, t.Recipients...)
	switch {
	case len(t.GroupID) > 0:
		return nil, errNoGroup
	case len(all) == 0:
		return nil, Errorf(CodeUsage, "say to whom").WithHint("recipient is a petname or an account id")
	case len(all) > maxRecipients:
		return nil, Errorf(CodeUsage, "more than %d recipients", maxRecipients)
	}
	for _, who := range all {
		if err := checkWho(who); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// signalResult is the outcome as signal-cli shows it.
type signalResult struct {
	Timestamp int64                 `json:"timestamp"`
	Results   List[RecipientResult] `json:"results"`
}

// each does something for every recipient. The first failure is that of the
// request if nothing worked.
func (c *conn) each(ctx context.Context, all []string, do func(who string) (id string, err error)) (any, error) {
	out := signalResult{Timestamp: time.Now().UnixMilli()}
	var failed error
	for _, who := range all {
		id, err := do(who)
		if err != nil {
			if failed == nil {
				failed = err
			}
			out.Results = append(out.Results, RecipientResult{Type: "FAILURE", State: StateFailed, Error: AsError(err)})
			continue
		}
		k, err := c.Daemon.Find(ctx, who)
		if err != nil {
			return nil, err
		}
		out.Results = append(out.Results, RecipientResult{
			Address: RecipientAddress{UUID: NullString(k.UUID)}, Type: "SUCCESS", ID: id, State: StateQueued,
		})
	}
	if failed != nil && len(out.Results) == 1 {
		return nil, failed
	}
	return out, nil
}

type sendReactionParams struct {
	signalTarget
	Emoji               string `json:"emoji" rpc:"required"`
	TargetAuthor        string `json:"targetAuthor" rpc:"required"`
	TargetTimestamp     int64  `json:"targetTimestamp"`
	TargetSentTimestamp int64  `json:"targetSentTimestamp"` // as in what is received
	Remove              bool   `json:"remove"`
}

func (c *conn) sendReaction(ctx context.Context, params []byte) (any, error) {
	var p sendReactionParams
	all, err := c.decodeTo(ctx, params, &p)
	if err != nil {
		return nil, err
	}
	if err := checkEmoji(p.Emoji); err != nil || p.Emoji == "" {
		return nil, errEmoji
	}
	if err := checkWho(p.TargetAuthor); err != nil {
		return nil, err
	}
	emoji := p.Emoji
	if p.Remove {
		emoji = ""
	}
	return c.each(ctx, all, func(who string) (string, error) {
		m, err := c.Daemon.SentAt(ctx, who, p.TargetAuthor, Time(max(p.TargetTimestamp, p.TargetSentTimestamp)))
		if err != nil {
			return "", err
		}
		return m.ID, c.Daemon.React(ctx, m.ID, emoji)
	})
}

type remoteDeleteParams struct {
	signalTarget
	TargetTimestamp int64 `json:"targetTimestamp" rpc:"required"`
}

func (c *conn) remoteDelete(ctx context.Context, params []byte) (any, error) {
	var p remoteDeleteParams
	all, err := c.decodeTo(ctx, params, &p)
	if err != nil {
		return nil, err
	}
	self, err := c.Daemon.Self(ctx)
	if err != nil {
		return nil, err
	}
	return c.each(ctx, all, func(who string) (string, error) {
		m, err := c.Daemon.SentAt(ctx, who, self.Account, Time(p.TargetTimestamp))
		if err != nil {
			return "", err
		}
		return m.ID, c.Daemon.Unsend(ctx, m.ID)
	})
}

type sendReceiptParams struct {
	signalTarget
	TargetTimestamp  OneOrManyTimes `json:"targetTimestamp"`
	TargetTimestamps OneOrManyTimes `json:"targetTimestamps"`
	Timestamps       OneOrManyTimes `json:"timestamps"`
	Type             string         `json:"type"` // read or viewed
}

// sendReceipt marks messages of a contact read; whether it is told is what the
// conversation says.
func (c *conn) sendReceipt(ctx context.Context, params []byte) (any, error) {
	p := sendReceiptParams{Type: "read"}
	all, err := c.decodeTo(ctx, params, &p)
	if err != nil {
		return nil, err
	}
	if p.Type != "read" && p.Type != "viewed" {
		return nil, Errorf(CodeUsage, "a receipt is read or viewed")
	}
	times := append(append(p.TargetTimestamp, p.TargetTimestamps...), p.Timestamps...)
	if len(times) == 0 || len(times) > maxMarked {
		return nil, Errorf(CodeUsage, "say which messages, 1 to %d", maxMarked)
	}
	return c.each(ctx, all, func(who string) (string, error) {
		var ids []string
		for _, at := range times {
			m, err := c.Daemon.SentAt(ctx, who, who, Time(at))
			if err != nil {
				return "", err
			}
			ids = append(ids, m.ID)
		}
		return ids[0], c.Daemon.MarkRead(ctx, ids)
	})
}

type listGroupsParams struct {
	Account  string    `json:"account"`
	Detailed bool      `json:"detailed"`
	GroupID  OneOrMany `json:"groupId"`
}

// listGroups lists none: there are no rooms yet.
func (c *conn) listGroups(ctx context.Context, params []byte) (any, error) {
	var p listGroupsParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	return List[none]{}, c.ownAccount(ctx, p.Account)
}

type signalAccount struct {
	Number string `json:"number"` // its UUID: there are no numbers
	UUID   string `json:"uuid"`
	ID     string `json:"id"`
}

func (c *conn) listAccounts(ctx context.Context, params []byte) (any, error) {
	if err := decode(params, new(none)); err != nil {
		return nil, err
	}
	self, err := c.Daemon.Self(ctx)
	return List[signalAccount]{{self.UUID, self.UUID, self.Account}}, err
}

type listIdentitiesParams struct {
	Account   string    `json:"account"`
	Number    OneOrMany `json:"number"`
	Recipient OneOrMany `json:"recipient"`
}

type signalIdentity struct {
	Number       NullString `json:"number"`
	UUID         string     `json:"uuid"`
	SafetyNumber string     `json:"safetyNumber"`
	Scannable    string     `json:"scannableSafetyNumber"`
	TrustLevel   string     `json:"trustLevel"`
	Added        int64      `json:"addedTimestamp"` // not known

	ID       string `json:"id"`
	Verified bool   `json:"verified"`
}

func (c *conn) listIdentities(ctx context.Context, params []byte) (any, error) {
	var p listIdentitiesParams
	if err := c.decodeFor(ctx, params, &p, &p.Account); err != nil {
		return nil, err
	}
	all, err := c.contactsIn(ctx, append(p.Number, p.Recipient...))
	if err != nil {
		return nil, err
	}
	out := List[signalIdentity]{}
	for _, k := range all {
		v, err := c.Daemon.Verify(ctx, VerifyRequest{Who: k.ID})
		if err != nil {
			continue // who has not answered yet has no key
		}
		level := "TRUSTED_UNVERIFIED"
		switch {
		case k.KeyChanged:
			level = "UNTRUSTED"
		case v.Verified:
			level = "TRUSTED_VERIFIED"
		}
		out = append(out, signalIdentity{
			UUID: k.UUID, SafetyNumber: v.Number, Scannable: v.QR, TrustLevel: level, ID: k.ID, Verified: v.Verified,
		})
	}
	return out, nil
}

type trustParams struct {
	signalOne
	VerifiedSafetyNumber string `json:"verifiedSafetyNumber"`
	SafetyNumber         string `json:"safetyNumber"`
	TrustAllKnownKeys    bool   `json:"trustAllKnownKeys"`
	Verified             bool   `json:"verified"`
}

// trust marks a contact verified by its safety number, and not otherwise.
func (c *conn) trust(ctx context.Context, params []byte) (any, error) {
	var p trustParams
	all, err := c.decodeTo(ctx, params, &p)
	if err != nil {
		return nil, err
	}
	number := digits(p.VerifiedSafetyNumber + p.SafetyNumber)
	if p.TrustAllKnownKeys || number == "" || len(all) != 1 {
		return nil, Errorf(CodeUsage, "a contact is trusted by its safety number").WithHint("compare it with theirs, then give verifiedSafetyNumber")
	}
	_, err = c.Daemon.Verify(ctx, VerifyRequest{Who: all[0], Number: number})
	return none{}, err
}

type updateContactParams struct {
	signalOne
	Name string `json:"name"`
}

func (c *conn) updateContact(ctx context.Context, params []byte) (any, error) {
	var p updateContactParams
	all, err := c.decodeTo(ctx, params, &p)
	if err != nil {
		return nil, err
	}
	if err := checkPetname(p.Name); err != nil || len(all) != 1 {
		return nil, Errorf(CodeUsage, "say which contact, and a name that can be shown")
	}
	_, err = c.Daemon.Rename(ctx, all[0], p.Name)
	return none{}, err
}
