package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// OneOrMany is a list of strings; in JSON a single string will do.
type OneOrMany []string

// UnmarshalJSON implements [json.Unmarshaler].
func (l *OneOrMany) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]string)(l))
	}
	var one *string
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	*l = nil
	if one != nil {
		*l = OneOrMany{*one}
	}
	return nil
}

// Limits of the parameters of send.
const (
	maxRecipients     = 64
	maxIdempotencyKey = 128
)

type sendParams struct {
	Account        string    `json:"account"`
	Recipient      OneOrMany `json:"recipient"`
	Recipients     OneOrMany `json:"recipients"`
	Message        string    `json:"message"`
	IdempotencyKey string    `json:"idempotencyKey"`
	Expires        *Timer    `json:"expires"`
	Burn           *Timer    `json:"burn"`
	ReplyTo        string    `json:"replyTo"`
	Forward        string    `json:"forward"`
	Forwarded      bool      `json:"forwarded"` // somebody else wrote it: one that was forwarded is sent again
	Markdown       bool      `json:"markdown"`

	Mentions []MentionRequest `json:"mentions"`

	Attachments OneOrMany `json:"attachments"`
	Attachment  OneOrMany `json:"attachment"`
	Voice       *Voice    `json:"voice"`      // of the only attachment, when it is a recording
	Thumbnails  OneOrMany `json:"thumbnails"` // small JPEGs in base64, of films and pictures that the daemon can't read
	Original    bool      `json:"original"`   // send files as they are, with their metadata
	FullSize    bool      `json:"fullSize"`   // don't make pictures smaller

	Preview            *previewParams `json:"preview"` // of a link in the message, as the method preview gives it
	PreviewURL         string         `json:"previewUrl"`
	PreviewTitle       string         `json:"previewTitle"`
	PreviewDescription string         `json:"previewDescription"`
	PreviewImage       string         `json:"previewImage"` // data:image/jpeg;base64,DATA

	// What is answered, as signal-cli says it; replyTo says it by id.
	QuoteTimestamp int64     `json:"quoteTimestamp"`
	QuoteAuthor    string    `json:"quoteAuthor"`
	QuoteMessage   string    `json:"quoteMessage"` // not used
	GroupID        OneOrMany `json:"groupId"`

	files []Attachment
	shown *PreviewRequest
}

// SendResult is the outcome of send: the first recipient's message in our own
// shape, and all of them as signal-cli lists them.
type SendResult struct {
	Sent
	Results List[RecipientResult] `json:"results"`
}

// RecipientResult is the outcome for one recipient.
type RecipientResult struct {
	Address   RecipientAddress `json:"recipientAddress"`
	Type      string           `json:"type"` // SUCCESS, or FAILURE with Error set
	ID        string           `json:"id,omitempty"`
	State     string           `json:"state"`
	Timestamp int64            `json:"timestamp,omitzero"`
	Error     *Error           `json:"error,omitempty"`
}

// RecipientAddress names a recipient as signal-cli does.
type RecipientAddress struct {
	UUID     NullString `json:"uuid"`
	Number   NullString `json:"number"`
	Username NullString `json:"username"`
}

func decodeSend(params []byte) (sendParams, error) {
	var p sendParams
	if err := decode(params, &p); err != nil {
		return p, err
	}
	p.Recipient = append(p.Recipient, p.Recipients...)
	p.Recipients = nil
	if len(p.GroupID) > 0 {
		return p, errNoGroup
	}
	if n := len(p.Recipient); n == 0 {
		return p, Errorf(CodeUsage, "say to whom").WithHint("recipient is a petname or an account id")
	} else if n > maxRecipients {
		return p, Errorf(CodeUsage, "more than %d recipients", maxRecipients)
	}
	for _, to := range p.Recipient {
		if err := checkWho(to); err != nil {
			return p, err
		}
	}
	if len(p.IdempotencyKey) > maxIdempotencyKey {
		return p, Errorf(CodeUsage, "the idempotency key is longer than %d bytes", maxIdempotencyKey)
	}
	if err := checkTimers(p.Expires, p.Burn); err != nil {
		return p, err
	}
	if p.ReplyTo != "" {
		if err := checkMessageID(p.ReplyTo); err != nil {
			return p, err
		}
	}
	if err := checkMentions(p.Mentions); err != nil {
		return p, err
	}
	var err error
	if p.files, err = attachments(append(p.Attachments, p.Attachment...), p.Original, p.FullSize); err != nil {
		return p, err
	}
	if err = thumbnails(p.Thumbnails, p.files); err != nil {
		return p, err
	}
	if p.shown, err = p.preview(); err != nil {
		return p, err
	}
	if err = checkVoice(p.Voice, len(p.files)); err != nil {
		return p, err
	}
	if p.Forward != "" {
		if p.Message != "" || len(p.files) > 0 || p.shown != nil {
			return p, Errorf(CodeUsage, "a forwarded message has no text of its own")
		}
		return p, checkMessageID(p.Forward)
	}
	if p.Message == "" && len(p.files) > 0 {
		return p, nil
	}
	return p, CheckText(p.Message, params)
}

// CheckText refuses a text that can't be sent. raw is the JSON it was decoded
// from, or nil: the decoder puts U+FFFD in place of half a surrogate pair.
func CheckText(text string, raw []byte) error {
	switch {
	case len(text) > MaxText:
		return Errorf(CodeTextTooLong, "the text is longer than 48 KiB (49152 bytes)").
			WithHint("send it in several messages")
	case !utf8.ValidString(text):
		return Errorf(CodeNotText, "the text is not UTF-8")
	case raw != nil && strings.ContainsRune(text, utf8.RuneError) &&
		!bytes.Contains(raw, []byte("\ufffd")) && !bytes.Contains(bytes.ToLower(raw), []byte(`\ufffd`)):
		return Errorf(CodeNotText, "the text is not Unicode")
	case strings.TrimSpace(text) == "":
		return Errorf(CodeEmptyText, "the text is empty")
	}
	return nil
}

// send enters the daemon after the send before it has, and lets the next one
// follow by closing mine. Whatever happens, it does so in this order.
func (c *conn) send(ctx context.Context, params []byte, before <-chan struct{}, mine chan struct{}) (any, error) {
	entered := sync.OnceFunc(func() { close(mine) })
	defer entered()
	p, bad := decodeSend(params) // while the others are at work
	select {
	case <-before:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if bad == nil && !c.grant.Has(ScopeAdmin) && slices.ContainsFunc(p.files, func(a Attachment) bool { return a.Path != "" }) {
		bad = errScope // it could be any file of this machine
	}
	if bad != nil {
		return nil, bad
	}
	if err := c.ownAccount(ctx, p.Account); err != nil {
		return nil, err
	}
	var out SendResult
	var failed error
	for i, to := range p.Recipient {
		req := SendRequest{
			To: to, Text: p.Message, IdempotencyKey: p.IdempotencyKey,
			Expires: (*time.Duration)(p.Expires), Burn: (*time.Duration)(p.Burn),
			ReplyTo: p.ReplyTo, Forward: p.Forward, Forwarded: p.Forwarded, Markdown: p.Markdown, Mentions: p.Mentions, Files: p.files, Voice: p.Voice, Preview: p.shown,
		}
		if p.QuoteTimestamp != 0 && p.QuoteAuthor != "" && p.ReplyTo == "" {
			// What can't be found is answered without a quote, as there.
			if m, err := c.Daemon.SentAt(ctx, to, p.QuoteAuthor, Time(p.QuoteTimestamp)); err == nil {
				req.ReplyTo = m.ID
			}
		}
		if p.IdempotencyKey != "" && i > 0 {
			req.IdempotencyKey += "\x00" + to
		}
		if i == len(p.Recipient)-1 {
			req.Entered = entered
		}
		sent, err := c.Daemon.Send(ctx, req)
		if err != nil {
			if failed == nil {
				failed = err
			}
			out.Results = append(out.Results, RecipientResult{Type: "FAILURE", State: StateFailed, Error: AsError(err)})
			continue
		}
		if out.ID == "" {
			out.Sent = sent
		}
		out.Results = append(out.Results, RecipientResult{
			Address: RecipientAddress{UUID: NullString(sent.ToUUID)}, Type: "SUCCESS",
			ID: sent.ID, State: sent.State, Timestamp: sent.Timestamp,
		})
	}
	if failed == nil {
		c.dropUploads(ctx, p.files)
	}
	if out.ID == "" {
		return nil, failed
	}
	return out, nil
}

type waitParams struct {
	ID      string   `json:"id" rpc:"required"`
	State   string   `json:"state"`
	Timeout Duration `json:"timeout"`
}

type waitResult struct {
	ID    string `json:"id"`
	State string `json:"state"`
}

func (c *conn) wait(ctx context.Context, params []byte) (any, error) {
	p := waitParams{State: StateDelivered}
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if err := checkMessageID(p.ID); err != nil {
		return nil, err
	}
	if err := CheckWaitState(p.State); err != nil {
		return nil, err
	}
	// A wait that takes long must not hold up a daemon that stops.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)() //nolint:contextcheck // the daemon's end ends it as well
	if p.Timeout > 0 {
		var done context.CancelFunc
		ctx, done = context.WithTimeout(ctx, time.Duration(p.Timeout))
		defer done()
	}
	state, err := c.Daemon.Wait(ctx, p.ID, p.State)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			hint := "it stays queued and is delivered when the contact can be reached"
			if p.State == StateRead {
				hint = "it may be there: that something was read is told by those only who switched that on"
			}
			err = Errorf(CodeTimeout, "the message was not %s in time", p.State).WithHint(hint)
		}
		return nil, err
	}
	return waitResult{p.ID, state}, nil
}

// CheckWaitState refuses what isn't a state that a message can be waited for.
func CheckWaitState(state string) error {
	switch state {
	case StateQueued, StateStored, StateDelivered, StateRead:
		return nil
	}
	return Errorf(CodeUsage, "that is not a state to wait for").
		WithHint("one of queued, stored, delivered, read")
}

func checkMessageID(id string) error {
	if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
		return Errorf(CodeUsage, "a message id is 32 lower-case hex digits")
	}
	return nil
}

type messageResult struct {
	Message Message `json:"message"`
}

type markReadParams struct {
	IDs OneOrMany `json:"ids" rpc:"required"`
}

// maxMarked bounds how many messages are marked read by one request.
const maxMarked = 1024

func (c *conn) markRead(ctx context.Context, params []byte) (any, error) {
	var p markReadParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if len(p.IDs) == 0 || len(p.IDs) > maxMarked {
		return nil, Errorf(CodeUsage, "say which messages, 1 to %d", maxMarked)
	}
	for _, id := range p.IDs {
		if err := checkMessageID(id); err != nil {
			return nil, err
		}
	}
	return none{}, c.Daemon.MarkRead(ctx, p.IDs)
}

func (c *conn) message(ctx context.Context, params []byte) (any, error) {
	id, err := messageID(params)
	if err != nil {
		return nil, err
	}
	m, err := c.Daemon.Message(ctx, id)
	return messageResult{m}, err
}

type readParams struct {
	Who    string `json:"who" rpc:"required"`
	Limit  int    `json:"limit"`
	Before string `json:"before"`
	After  string `json:"after"`
	Around string `json:"around"`
	Unread bool   `json:"unread"`
	Peek   bool   `json:"peek"`
}

type readResult struct {
	Messages List[Message] `json:"messages"`
}

func (c *conn) read(ctx context.Context, params []byte) (any, error) {
	var p readParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if err := checkWho(p.Who); err != nil {
		return nil, err
	}
	if p.Limit < 0 {
		return nil, Errorf(CodeUsage, "the limit is negative")
	}
	points := 0
	for _, id := range []string{p.Before, p.After, p.Around} {
		if id == "" {
			continue
		}
		if err := checkMessageID(id); err != nil {
			return nil, err
		}
		if points++; points > 1 {
			return nil, Errorf(CodeUsage, "before, after and around don't go together")
		}
	}
	all, err := c.Daemon.Read(ctx, ReadRequest(p))
	return readResult{all}, err
}
