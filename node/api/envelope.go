package api

import (
	"context"
	"time"
)

// Received is what the notification receive has as parameters, as signal-cli's
// clients know it, and again under result for those that have subscribed.
type Received struct {
	Account      string    `json:"account"`
	Envelope     *Envelope `json:"envelope"`
	Subscription int       `json:"subscription"`
	Result       struct {
		Envelope *Envelope `json:"envelope"`
	} `json:"result"`
}

// Envelope is what came from somebody.
type Envelope struct {
	Source       string     `json:"source"` // UUID
	SourceNumber NullString `json:"sourceNumber"`
	SourceUUID   string     `json:"sourceUuid"`
	SourceName   string     `json:"sourceName"`
	SourceDevice int        `json:"sourceDevice"`
	Timestamp    int64      `json:"timestamp"`
	Received     int64      `json:"serverReceivedTimestamp"`
	Delivered    int64      `json:"serverDeliveredTimestamp"`

	Data    *signalData    `json:"dataMessage,omitempty"`
	Edit    *signalEdit    `json:"editMessage,omitempty"`
	Receipt *signalReceipt `json:"receiptMessage,omitempty"`
	Typing  *signalTyping  `json:"typingMessage,omitempty"`

	ID           string `json:"id,omitempty"` // of the message
	Conversation string `json:"conversation"`
}

type signalData struct {
	Timestamp   int64          `json:"timestamp"`
	Message     NullString     `json:"message"`
	Expires     int64          `json:"expiresInSeconds"`
	ViewOnce    bool           `json:"viewOnce"`
	Quote       *signalQuote   `json:"quote,omitempty"`
	Mentions    []signalPerson `json:"mentions,omitempty"`
	Attachments []signalFile   `json:"attachments,omitempty"`
	Previews    []signalLink   `json:"previews,omitempty"`
	Reaction    *signalMark    `json:"reaction,omitempty"`
	Delete      *signalGone    `json:"remoteDelete,omitempty"`
}

type signalQuote struct {
	ID         int64  `json:"id"` // the time at which it was sent
	Author     string `json:"author"`
	AuthorUUID string `json:"authorUuid"`
	Text       string `json:"text"`
}

type signalPerson struct {
	Start  uint32 `json:"start"`
	Length uint32 `json:"length"`
	UUID   string `json:"uuid"`
}

type signalFile struct {
	ID          string `json:"id"`
	ContentType string `json:"contentType"`
	Filename    string `json:"filename"`
	Size        int64  `json:"size"`
}

type signalLink struct {
	URL         string `json:"url"`
	Title       string `json:"title"`
	Description string `json:"description"`
}

type signalMark struct {
	Emoji      string `json:"emoji"`
	Author     string `json:"targetAuthor"`
	AuthorUUID string `json:"targetAuthorUuid"`
	Sent       int64  `json:"targetSentTimestamp"`
	Remove     bool   `json:"isRemove"`
}

type signalGone struct {
	Timestamp int64 `json:"timestamp"`
}

type signalEdit struct {
	Sent int64      `json:"targetSentTimestamp"`
	Data signalData `json:"dataMessage"`
}

type signalReceipt struct {
	When       int64   `json:"when"`
	Delivery   bool    `json:"isDelivery"`
	Read       bool    `json:"isRead"`
	Viewed     bool    `json:"isViewed"`
	Timestamps []int64 `json:"timestamps"`
}

type signalTyping struct {
	Action    string `json:"action"`
	Timestamp int64  `json:"timestamp"`
}

// envelope makes of an event what signal-cli would have received; nil for what
// it would not have.
func (c *conn) envelope(ctx context.Context, e Event) (*Envelope, error) {
	switch {
	case e.Message != nil && !e.Message.Mine:
		data, err := c.dataMessage(ctx, e.Message)
		if err != nil {
			return nil, err
		}
		return c.sealed(ctx, e.Message, e.Message.From, Envelope{Timestamp: int64(e.Message.Sent), Data: data})
	case e.Edit != nil && !e.Edit.Mine:
		data, err := c.dataMessage(ctx, e.Edit)
		if err != nil {
			return nil, err
		}
		return c.sealed(ctx, e.Edit, e.Edit.From, Envelope{Timestamp: int64(e.At), Edit: &signalEdit{int64(e.Edit.Sent), *data}})
	case e.State != nil && (e.State.State == StateDelivered || e.State.State == StateRead):
		m, err := c.Daemon.Message(ctx, e.State.ID)
		if err != nil || !m.Mine {
			return nil, nil //nolint:nilerr // it is gone, or of somebody else
		}
		return c.sealed(ctx, &m, m.Conversation, Envelope{Timestamp: int64(e.At), Receipt: &signalReceipt{
			When: int64(e.At), Delivery: e.State.State == StateDelivered, Read: e.State.State == StateRead, Timestamps: []int64{int64(m.Sent)},
		}})
	case e.Reaction != nil:
		m, err := c.Daemon.Message(ctx, e.Reaction.ID)
		if err != nil || e.Reaction.From != e.Reaction.Conversation {
			return nil, nil //nolint:nilerr // it is gone, or one's own reaction
		}
		author, err := c.uuid(ctx, m.From)
		if err != nil {
			return nil, err
		}
		return c.sealed(ctx, &m, e.Reaction.From, Envelope{Timestamp: int64(e.At), Data: &signalData{
			Timestamp: int64(e.At),
			Reaction:  &signalMark{e.Reaction.Emoji, author, author, int64(m.Sent), e.Reaction.Emoji == ""},
		}})
	case e.Delete != nil:
		m, err := c.Daemon.Message(ctx, e.Delete.ID)
		if err != nil || e.Delete.From != e.Delete.Conversation {
			return nil, nil //nolint:nilerr // it is gone, or one's own
		}
		return c.sealed(ctx, &m, e.Delete.From, Envelope{Timestamp: int64(e.At), Data: &signalData{
			Timestamp: int64(e.At), Delete: &signalGone{int64(m.Sent)},
		}})
	case e.Typing != nil:
		return c.sealed(ctx, &Message{Conversation: e.Typing.Conversation}, e.Typing.From, Envelope{
			Timestamp: int64(e.At), Typing: &signalTyping{"STARTED", int64(e.At)},
		})
	}
	return nil, nil
}

// sealed fills in whom an envelope is from.
func (c *conn) sealed(ctx context.Context, m *Message, from string, e Envelope) (*Envelope, error) {
	k, err := c.Daemon.Find(ctx, from)
	if err != nil {
		return nil, nil //nolint:nilerr // the contact was removed meanwhile
	}
	e.Source, e.SourceUUID, e.SourceName, e.SourceDevice = k.UUID, k.UUID, k.Shown(), 1
	e.ID, e.Conversation = m.ID, m.Conversation
	e.Received, e.Delivered = int64(m.Received), int64(m.Received)
	if e.Received == 0 {
		e.Received, e.Delivered = e.Timestamp, e.Timestamp
	}
	return &e, nil
}

func (c *conn) dataMessage(ctx context.Context, m *Message) (*signalData, error) {
	d := &signalData{Timestamp: int64(m.Sent), Message: NullString(m.Text)}
	if m.Expires != 0 {
		d.Expires = int64(m.Expires.Std().Sub(m.Sent.Std()) / time.Second)
	}
	for _, f := range m.Files {
		d.Attachments = append(d.Attachments, signalFile{f.ID, f.Type, f.Name, f.Size})
	}
	if p := m.Preview; p != nil {
		d.Previews = []signalLink{{p.URL, p.Title, p.Description}}
	}
	for _, x := range m.Mentions {
		uuid, err := c.uuid(ctx, x.Account)
		if err != nil {
			return nil, err
		}
		d.Mentions = append(d.Mentions, signalPerson{x.Start, x.Length, uuid})
	}
	if m.ReplyTo != "" && m.Quote != nil {
		uuid, err := c.uuid(ctx, m.Quote.From)
		if err != nil {
			return nil, err
		}
		q := &signalQuote{Author: uuid, AuthorUUID: uuid, Text: m.Quote.Text}
		if of, err := c.Daemon.Message(ctx, string(m.ReplyTo)); err == nil {
			q.ID = int64(of.Sent)
		}
		d.Quote = q
	}
	return d, nil
}

// uuid is that of an account, empty for one that isn't known.
func (c *conn) uuid(ctx context.Context, account string) (string, error) {
	self, err := c.Daemon.Self(ctx)
	if err != nil {
		return "", err
	}
	if account == self.Account {
		return self.UUID, nil
	}
	k, err := c.Daemon.Find(ctx, account)
	if err != nil {
		return "", nil //nolint:nilerr // somebody who is no contact
	}
	return k.UUID, nil
}

// received tells what came as a notification of the method receive.
func (c *conn) received(ctx context.Context, e Event) error {
	env, err := c.envelope(ctx, e)
	if err != nil || env == nil {
		return err
	}
	self, err := c.Daemon.Self(ctx)
	if err != nil {
		return err
	}
	r := Received{Account: self.UUID, Envelope: env}
	r.Result.Envelope = env
	return c.srv.Notify(ctx, "receive", r)
}
