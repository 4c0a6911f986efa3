package node

import (
	"errors"
	"strings"

	"rushlight/node/api"
	"rushlight/node/engine"
	"rushlight/node/files"
	"rushlight/protocol/file"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage"
	"rushlight/storage/record"
)

// minPrefix is how much of an id must be typed to name a contact.
const minPrefix = 8

// resolve finds the contact that a person means: by petname, by the name it
// claims, by id or UUID, or by the beginning of one of those.
func (n *Node) resolve(who string) (*engine.Contact, error) {
	list := n.engine.Contacts()
	for _, match := range []func(c *engine.Contact) bool{
		func(c *engine.Contact) bool { return c.Petname == who },
		func(c *engine.Contact) bool { return c.Account.String() == who || c.Account.UUID() == who },
		func(c *engine.Contact) bool { return c.Petname == "" && c.Name == who },
		func(c *engine.Contact) bool { return startsWith(c.Account, who) },
	} {
		var found *engine.Contact
		for _, c := range list {
			if who == "" || !match(c) {
				continue
			}
			if found != nil {
				return nil, api.Errorf(api.CodeAmbiguousContact, "several contacts match").WithHint("use more of the account id, or give one of them a name with 'rushlight rename'")
			}
			found = c
		}
		if found != nil {
			return found, nil
		}
	}
	if low := strings.ToLower(who); strings.HasPrefix(low, "rl1") && len(low) > 50 {
		if _, err := identity.ParseAccountID(who); err != nil {
			return nil, api.Errorf(api.CodeMistypedID, "the account id is mistyped: its checksum is wrong").WithHint("copy it again")
		}
	}
	return nil, apiError(engine.ErrUnknownContact)
}

func startsWith(a identity.AccountID, who string) bool {
	id := strings.TrimPrefix(a.String(), "rl1")
	part := strings.TrimPrefix(who, "rl1")
	return len(part) >= minPrefix && strings.HasPrefix(id, part) ||
		len(who) >= minPrefix && strings.HasPrefix(a.UUID(), who)
}

var stateNames = [...]string{
	"", api.StateQueued, api.StateStored, api.StateDelivered, api.StateRead, api.StateFailed,
}

func stateName(s record.MessageState) string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return ""
}

func (n *Node) contactJSON(c *engine.Contact) (api.Contact, error) {
	asks, err := n.engine.Asks(c)
	if err != nil {
		return api.Contact{}, apiError(err)
	}
	full, err := n.engine.NoRoom(c.Account)
	if err != nil {
		return api.Contact{}, apiError(err)
	}
	waits, err := n.engine.Awaits(c.Account)
	if err != nil {
		return api.Contact{}, apiError(err)
	}
	state := map[record.ContactState]string{
		record.ContactPending: api.ContactPending, record.ContactApproved: api.ContactApproved, record.ContactBlocked: api.ContactBlocked,
	}[c.State]
	if waits = waits && c.State == record.ContactApproved; waits {
		state = api.ContactPending
	}
	return api.Contact{
		ID: c.Account.String(), UUID: c.Account.UUID(), Name: c.Name, Petname: c.Petname,
		State: state, Verified: c.Verified, KeyChanged: c.KeyChanged, Request: asks, Message: c.Greeting, Awaits: waits, NoRoom: full,
	}, nil
}

// changed is the contact after a change.
func (n *Node) changed(a identity.AccountID, err error) (api.Contact, error) {
	if err != nil {
		return api.Contact{}, apiError(err)
	}
	c := n.engine.Contact(a)
	if c == nil {
		return api.Contact{}, apiError(engine.ErrUnknownContact)
	}
	return n.contactJSON(c)
}

func (n *Node) messageJSON(v *engine.View) api.Message {
	m := api.Message{
		ID: v.ID.String(), Conversation: v.With.String(), From: v.From.String(), Mine: v.Mine,
		Sent: api.TimeOf(v.Sent), Kind: api.KindText, Text: v.Text, State: stateName(v.State), Waiting: v.Waiting,
		Expires: api.TimeOf(v.Expires), Burn: api.Duration(v.Burn), BurnsAt: api.TimeOf(v.BurnsAt),
	}
	n.contentJSON(&m, v)
	if v.Mine {
		m.FromName = n.engine.Name()
	} else {
		m.Received = api.TimeOf(v.Received)
		if c := n.engine.Contact(v.From); c != nil {
			m.FromName = c.Shown()
		}
	}
	return m
}

// eventJSON fills in the content that an event names.
func (n *Node) eventJSON(ev engine.Event) (api.Event, error) {
	out := api.Event{Seq: ev.Seq, At: api.Time(ev.At)}
	switch ev.Type {
	case record.EventContact:
		out.Type = api.EventContact
		if c := n.engine.Contact(ev.Account); c != nil {
			j, err := n.contactJSON(c)
			if err != nil {
				return out, err
			}
			if j.Request {
				out.Type, out.Request = api.EventRequest, &j
				return out, nil
			}
			out.Contact = &j
		} else {
			out.Contact = &api.Contact{ID: ev.Account.String(), UUID: ev.Account.UUID(), State: api.ContactRemoved}
		}
		return out, nil
	case record.EventExpired:
		out.Type = api.EventExpired
		out.Expired = &api.Expired{ID: message.ID(ev.Message).String(), Conversation: ev.Account.String()}
	case record.EventDelete:
		out.Type = api.EventDelete
		out.Delete = &api.Deleted{ID: message.ID(ev.Message).String(), Conversation: n.conversationOf(ev), From: ev.Account.String()}
	case record.EventMessage, record.EventState, record.EventEdit, record.EventReact, record.EventPlaced:
		v, err := n.engine.Message(ev.Message)
		if errors.Is(err, engine.ErrUnknownMessage) {
			out.Type = api.EventExpired
			out.Expired = &api.Expired{ID: message.ID(ev.Message).String(), Conversation: n.conversationOf(ev)}
			return out, nil
		}
		if err != nil {
			return out, err
		}
		if ev.Type == record.EventState {
			out.Type = api.EventState
			out.State = &api.StateChange{ID: v.ID.String(), Conversation: v.With.String(), State: stateName(ev.State)}
			return out, nil
		}
		if ev.Type == record.EventReact {
			out.Type = api.EventReaction
			out.Reaction = &api.ReactionChange{ID: v.ID.String(), Conversation: v.With.String(), From: ev.Account.String(), Emoji: reactionOf(v, ev.Account)}
			return out, nil
		}
		m := n.messageJSON(v)
		switch ev.Type {
		case record.EventEdit:
			out.Type, out.Edit = api.EventEdit, &m
		case record.EventPlaced:
			out.Type, out.Placed = api.EventPlaced, &m
		default:
			out.Type, out.Message = api.EventMessage, &m
		}
	}
	return out, nil
}

// apiError gives an error the code that people and programs act on.
func apiError(err error) error {
	if err == nil {
		return nil
	}
	var gone *engine.GoneError
	if errors.As(err, &gone) {
		e := api.Errorf(api.CodeGone, "the event log starts later").WithHint("read the conversations, then watch from the first event that is left")
		e.First = &gone.First
		return e
	}
	for _, known := range known {
		if errors.Is(err, known.err) {
			return known.as
		}
	}
	return err
}

var known = []struct {
	err error
	as  *api.Error
}{
	{message.ErrEmpty, api.Errorf(api.CodeEmptyText, "the text is empty")},
	{message.ErrTooLong, api.Errorf(api.CodeTextTooLong, "the text is longer than %d bytes", message.MaxText).WithHint("send it in parts")},
	{message.ErrNotText, api.Errorf(api.CodeNotText, "the text is not valid UTF-8")},
	{message.ErrExpiry, api.Errorf(api.CodeBadDuration, "a message expires after 5s to 366d, in whole seconds")},
	{message.ErrBurn, api.Errorf(api.CodeBadDuration, "burn on read is 1s to 7d, in whole seconds")},
	{message.ErrEmoji, api.Errorf(api.CodeUsage, "a reaction is one emoji, or up to %d bytes without spaces", message.MaxEmoji)},
	{engine.ErrNotYours, api.Errorf(api.CodeNotYours, "only its author can change a message").WithHint("to erase it here alone: rushlight delete")},
	{engine.ErrNoChange, api.Errorf(api.CodeUsage, "this message can't be changed")},
	{engine.ErrTooMany, api.Errorf(api.CodeBusy, "too many changes of this message wait for delivery")},
	{message.ErrMistyped, api.Errorf(api.CodeMistypedID, "that is not a message id").WithHint("it has 32 digits 0–9 and a–f")},
	{engine.ErrUnknownMessage, api.Errorf(api.CodeUnknownMessage, "there is no such message")},
	{engine.ErrUnknownContact, api.Errorf(api.CodeUnknownContact, "there is no such contact").WithHint("'rushlight contacts' lists them")},
	{engine.ErrBlocked, api.Errorf(api.CodeBlocked, "the contact is blocked")},
	{engine.ErrNotApproved, api.Errorf(api.CodeNotApproved, "the contact waits for your approval")},
	{engine.ErrKeyChanged, api.Errorf(api.CodeKeyChanged, "the contact has another key than the one you verified").WithHint("compare safety numbers again with 'rushlight verify'")},
	{engine.ErrNotAsked, api.Errorf(api.CodeNotApproved, "they have not answered your invite yet").WithHint("wait: it goes on by itself")},
	{engine.ErrNoKey, api.Errorf(api.CodeNotApproved, "the contact has not answered yet, so there is no safety number")},
	{engine.ErrWrongDigit, api.Errorf(api.CodeNotVerified, "the safety numbers differ").WithHint("somebody may be between you: don't trust this contact until you know why")},
	{engine.ErrNameTaken, api.Errorf(api.CodeUsage, "another contact has this name").WithHint("choose another name, or --replace if this is the same person with a new account")},
	{engine.ErrOwnInvite, api.Errorf(api.CodeInviteOwn, "the invite is your own").WithHint("give it to somebody else")},
	{engine.ErrInviteExpired, expiredInvite},
	{engine.ErrTooManyInvites, api.Errorf(api.CodeBusy, "too many invites are open").WithHint("wait until some are used or expire")},
	{engine.ErrStopped, api.Errorf(api.CodeShuttingDown, "the daemon is stopping")},
	{files.ErrNoUpload, api.Errorf(api.CodeNoFile, "there is no such upload any more").WithHint("send the file again")},
	{files.ErrTaking, api.Errorf(api.CodeBusy, "too many files are taken in at once").WithHint("wait until some are there")},
	{identity.ErrBadName, api.Errorf(api.CodeUsage, "that name is not allowed").WithHint("1 to 64 bytes, no control or direction characters, not shaped like an account id")},
	{identity.ErrInviteTruncated, api.Errorf(api.CodeInviteDamaged, "the invite link is cut off").WithHint("copy all of it")},
	{identity.ErrInviteAltered, api.Errorf(api.CodeInviteDamaged, "the invite link is damaged").WithHint("copy it again")},
	{message.ErrFiles, api.Errorf(api.CodeUsage, "a message has at most %d files", message.MaxFiles)},
	{message.ErrPreview, api.Errorf(api.CodeUsage, "a preview has a title, and is of an https link in the text")},
	{message.ErrFileName, api.Errorf(api.CodeUsage, "a file needs a name of at most %d bytes, without control characters", message.MaxFileName)},
	{files.ErrTooLarge, api.Errorf(api.CodeFileTooLarge, "a file has at most 1 TiB (%d bytes)", int64(file.MaxSize)).WithHint("send it in parts")},
	{files.ErrNotFile, api.Errorf(api.CodeNoFile, "that is not a file").WithHint("pack a folder into an archive to send it")},
	{files.ErrNoFile, api.Errorf(api.CodeNoFile, "there is no such file, or the daemon can't read it")},
	{files.ErrExists, api.Errorf(api.CodeExists, "there is a file of that name already").WithHint("choose another name: nothing is overwritten")},
	{files.ErrNotHere, api.Errorf(api.CodeNotHere, "the file is not on this device")},
	{files.ErrFalse, api.Errorf(api.CodeFalseFile, "what was sent is not the file that the message names").WithHint("ask for it to be sent again")},
	{files.ErrCancelled, api.Errorf(api.CodeNotHere, "the transfer was cancelled")},
	{files.ErrNotOnItsWay, api.Errorf(api.CodeUsage, "that file is not on its way here")},
	{storage.ErrNoSpace, api.Errorf(api.CodeDiskFull, "the disk is full: nothing was changed").WithHint("free some space and try again")},
	{storage.ErrReadOnly, api.Errorf(api.CodeReadOnly, "the profile can't be written")},
	{storage.ErrVersion, api.Errorf(api.CodeNewerStore, "the profile was written by a newer version").WithHint("install that version")},
	{storage.ErrCorrupt, api.Errorf(api.CodeCorruptStore, "the store is damaged").WithHint("put back a copy of the profile directory; the damaged one was left as it is")},
}
