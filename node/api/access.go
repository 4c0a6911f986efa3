package api

import (
	"context"
	"slices"
)

// Scopes of a token. Each may do what its methods are for; admin may do
// everything.
const (
	ScopeRead  = "read"
	ScopeSend  = "send"
	ScopeAdmin = "admin"
)

// Scopes lists all there are.
var Scopes = []string{ScopeRead, ScopeSend, ScopeAdmin}

// Grant is what somebody at a door may do.
type Grant struct {
	Scopes []string
	// Conversation, when not empty, is the account id of the contact to whose
	// conversation everything is confined.
	Conversation string
	// Page says that it is the page: it reads also when nobody looks at it.
	Page bool
}

// Owner is the grant of whoever owns the profile.
var Owner = Grant{Scopes: []string{ScopeAdmin}}

// Has tells whether the grant has a scope.
func (g Grant) Has(scope string) bool { return slices.Contains(g.Scopes, scope) }

// allows tells whether the grant covers a method.
func (g Grant) allows(method string) bool {
	m := table[method].may
	if g.Conversation != "" && m&alone == 0 {
		return false
	}
	return g.Has(ScopeAdmin) || m&reads != 0 && g.Has(ScopeRead) || m&sends != 0 && g.Has(ScopeSend) ||
		m&signals != 0 && g.Has(scopeSignal)
}

var errScope = Errorf(CodeNotAllowed, "this token doesn't allow that").
	WithHint("make another with: rushlight token create")

// confined is a Daemon in which there is one conversation alone.
type confined struct {
	Daemon
	id string // account id of the other side
}

func (g Grant) confine(d Daemon) Daemon {
	if d == nil || g.Conversation == "" {
		return d
	}
	return confined{d, g.Conversation}
}

// Find implements Daemon.
func (d confined) Find(ctx context.Context, who string) (Contact, error) {
	k, err := d.Daemon.Find(ctx, who)
	if err != nil || k.ID != d.id {
		return Contact{}, errScope
	}
	return k, nil
}

// Message implements Daemon.
func (d confined) Message(ctx context.Context, id string) (Message, error) {
	m, err := d.Daemon.Message(ctx, id)
	if err != nil || m.Conversation != d.id {
		return Message{}, Errorf(CodeUnknownMessage, "there is no such message")
	}
	return m, nil
}

// here returns an error for a contact or a message outside of the conversation;
// what is empty isn't looked at.
func (d confined) here(ctx context.Context, who string, ids ...string) error {
	if who != "" {
		if _, err := d.Find(ctx, who); err != nil {
			return err
		}
	}
	for _, id := range ids {
		if id == "" {
			continue
		}
		if _, err := d.Message(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// Contacts implements Daemon.
func (d confined) Contacts(ctx context.Context) ([]Contact, error) {
	all, err := d.Daemon.Contacts(ctx)
	return slices.DeleteFunc(all, func(k Contact) bool { return k.ID != d.id }), err
}

// Chats implements Daemon.
func (d confined) Chats(ctx context.Context) ([]Chat, error) {
	all, err := d.Daemon.Chats(ctx)
	return slices.DeleteFunc(all, func(k Chat) bool { return k.ID != d.id }), err
}

// Send implements Daemon. What is quoted or forwarded is of this conversation
// as well.
func (d confined) Send(ctx context.Context, r SendRequest) (Sent, error) {
	err := d.here(ctx, r.To, r.ReplyTo, r.Forward)
	for _, m := range r.Mentions {
		if err == nil && m.Who != "me" {
			err = d.here(ctx, m.Who)
		}
	}
	if err != nil {
		if r.Entered != nil {
			r.Entered()
		}
		return Sent{}, err
	}
	return d.Daemon.Send(ctx, r)
}

// Attachment implements Daemon.
func (d confined) Attachment(ctx context.Context, id string, file int, offset int64, length int) ([]byte, error) {
	if err := d.here(ctx, "", id); err != nil {
		return nil, err
	}
	return d.Daemon.Attachment(ctx, id, file, offset, length)
}

// Wait implements Daemon.
func (d confined) Wait(ctx context.Context, id, state string) (string, error) {
	if err := d.here(ctx, "", id); err != nil {
		return "", err
	}
	return d.Daemon.Wait(ctx, id, state)
}

// Read implements Daemon.
func (d confined) Read(ctx context.Context, r ReadRequest) ([]Message, error) {
	if err := d.here(ctx, r.Who, r.Before, r.After, r.Around); err != nil {
		return nil, err
	}
	return d.Daemon.Read(ctx, r)
}

// Search implements Daemon.
func (d confined) Search(ctx context.Context, r SearchRequest) ([]Message, error) {
	if err := d.here(ctx, r.In); err != nil {
		return nil, err
	}
	r.In = d.id
	return d.Daemon.Search(ctx, r)
}

// MarkRead implements Daemon.
func (d confined) MarkRead(ctx context.Context, ids []string) error {
	if err := d.here(ctx, "", ids...); err != nil {
		return err
	}
	return d.Daemon.MarkRead(ctx, ids)
}

// SentAt implements Daemon.
func (d confined) SentAt(ctx context.Context, who, from string, at Time) (Message, error) {
	if err := d.here(ctx, who); err != nil {
		return Message{}, err
	}
	return d.Daemon.SentAt(ctx, who, from, at)
}

// Edit implements Daemon.
func (d confined) Edit(ctx context.Context, r EditRequest) error {
	err := d.here(ctx, "", r.ID)
	for _, m := range r.Mentions {
		if err == nil && m.Who != "me" {
			err = d.here(ctx, m.Who)
		}
	}
	if err != nil {
		return err
	}
	return d.Daemon.Edit(ctx, r)
}

// Unsend implements Daemon.
func (d confined) Unsend(ctx context.Context, id string) error {
	if err := d.here(ctx, "", id); err != nil {
		return err
	}
	return d.Daemon.Unsend(ctx, id)
}

// React implements Daemon.
func (d confined) React(ctx context.Context, id, emoji string) error {
	if err := d.here(ctx, "", id); err != nil {
		return err
	}
	return d.Daemon.React(ctx, id, emoji)
}

// Draft implements Daemon.
func (d confined) Draft(ctx context.Context, r DraftRequest) (Draft, error) {
	if err := d.here(ctx, r.Who, r.ReplyTo); err != nil {
		return Draft{}, err
	}
	return d.Daemon.Draft(ctx, r)
}

// Typing implements Daemon.
func (d confined) Typing(ctx context.Context, who string) error {
	if err := d.here(ctx, who); err != nil {
		return err
	}
	return d.Daemon.Typing(ctx, who)
}

// Watch implements Daemon. Events of other conversations are left out, so their
// numbers are missing.
func (d confined) Watch(ctx context.Context, after uint64, started func(uint64), fn func(Event) error) error {
	return d.Daemon.Watch(ctx, after, started, func(e Event) error {
		if e.conversation() != d.id {
			return nil
		}
		return fn(e)
	})
}

// conversation is the account id of the conversation of an event, empty when it
// isn't known or has none.
func (e Event) conversation() string {
	switch {
	case e.Message != nil:
		return e.Message.Conversation
	case e.State != nil:
		return e.State.Conversation
	case e.Contact != nil:
		return e.Contact.ID
	case e.Expired != nil:
		return e.Expired.Conversation
	case e.Edit != nil:
		return e.Edit.Conversation
	case e.Delete != nil:
		return e.Delete.Conversation
	case e.Reaction != nil:
		return e.Reaction.Conversation
	case e.Placed != nil:
		return e.Placed.Conversation
	case e.Typing != nil:
		return e.Typing.Conversation
	case e.Transfer != nil:
		return e.Transfer.Conversation
	}
	return ""
}
