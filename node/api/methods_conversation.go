package api

import (
	"context"
	"strings"
	"time"
)

// EditRequest gives a message another text.
type EditRequest struct {
	ID       string
	Text     string
	Markdown bool
	Mentions []MentionRequest

	// Preview is of a link in Text. Nil leaves the preview there is, as long as
	// its link stays; one without a link takes it away.
	Preview *PreviewRequest
}

// MentionRequest is a part of a text, in UTF-16 code units, that names somebody.
type MentionRequest struct {
	Start  uint32 `json:"start"`
	Length uint32 `json:"length"`
	Who    string `json:"who"` // as everywhere; "me" is this account
}

// TimerRequest reads or sets how long later messages of a conversation live.
type TimerRequest struct {
	Who           string
	Expires, Burn *time.Duration // nil leaves it as it is
}

// Timers are how long the messages of a conversation live that are told nothing
// else.
type Timers struct {
	Expires Duration `json:"expires"`
	Burn    Duration `json:"burn"`
}

// maxMarkup bounds the parameters of a text besides the text.
const maxMarkup = 256

func checkMentions(m []MentionRequest) error {
	if len(m) > maxMarkup {
		return Errorf(CodeUsage, "more than %d mentions", maxMarkup)
	}
	for _, one := range m {
		if err := checkWho(one.Who); err != nil {
			return err
		}
	}
	return nil
}

type editMessageParams struct {
	ID       string           `json:"id" rpc:"required"`
	Message  string           `json:"message" rpc:"required"`
	Markdown bool             `json:"markdown"`
	Mentions []MentionRequest `json:"mentions"`
	Preview  *previewParams   `json:"preview"` // none: the one there is stays with its link; with an empty url it goes
}

type editMessageResult struct {
	ID string `json:"id"`
}

func (c *conn) editMessage(ctx context.Context, params []byte) (any, error) {
	var p editMessageParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if err := checkMessageID(p.ID); err != nil {
		return nil, err
	}
	if err := CheckText(p.Message, params); err != nil {
		return nil, err
	}
	if err := checkMentions(p.Mentions); err != nil {
		return nil, err
	}
	shown, err := p.Preview.request()
	if err != nil {
		return nil, err
	}
	return editMessageResult{p.ID}, c.Daemon.Edit(ctx, EditRequest{
		ID: p.ID, Text: p.Message, Markdown: p.Markdown, Mentions: p.Mentions, Preview: shown,
	})
}

type unsendResult struct {
	ID string `json:"id"`
}

func (c *conn) unsend(ctx context.Context, params []byte) (any, error) {
	id, err := messageID(params)
	if err != nil {
		return nil, err
	}
	return unsendResult{id}, c.Daemon.Unsend(ctx, id)
}

// maxEmoji bounds a reaction, in bytes of UTF-8.
const maxEmoji = 32

var errEmoji = Errorf(CodeUsage, "a reaction is one emoji, or up to %d bytes without spaces", maxEmoji)

func checkEmoji(s string) error {
	if len(s) > maxEmoji || strings.ContainsAny(s, " \t\r\n") {
		return errEmoji
	}
	return nil
}

type reactParams struct {
	ID    string `json:"id" rpc:"required"`
	Emoji string `json:"emoji"` // empty takes it back
}

type reactResult struct {
	ID string `json:"id"`
}

func (c *conn) react(ctx context.Context, params []byte) (any, error) {
	var p reactParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if err := checkMessageID(p.ID); err != nil {
		return nil, err
	}
	if err := checkEmoji(p.Emoji); err != nil {
		return nil, err
	}
	return reactResult{p.ID}, c.Daemon.React(ctx, p.ID, p.Emoji)
}

type timerParams struct {
	Who     string `json:"who" rpc:"required"`
	Expires *Timer `json:"expires"`
	Burn    *Timer `json:"burn"`
}

func (c *conn) timer(ctx context.Context, params []byte) (any, error) {
	var p timerParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if err := checkWho(p.Who); err != nil {
		return nil, err
	}
	if err := checkTimers(p.Expires, p.Burn); err != nil {
		return nil, err
	}
	return c.Daemon.Timer(ctx, TimerRequest{Who: p.Who, Expires: (*time.Duration)(p.Expires), Burn: (*time.Duration)(p.Burn)})
}
