package api

import (
	"context"
	"time"
)

// Chat is one conversation: how it stands, and how this person wants it.
type Chat struct {
	ID       string   `json:"id"` // account id of the other side
	Name     string   `json:"name"`
	Unread   int      `json:"unread"`
	Last     *Message `json:"last"` // null when it is empty
	Pinned   bool     `json:"pinned"`
	Archived bool     `json:"archived"`
	Muted    Time     `json:"muted"`    // until when; null when it isn't
	Receipts bool     `json:"receipts"` // the other side is told what was read
	Typing   bool     `json:"typing"`   // both are told when something is being written
	Timer    Timers   `json:"timer"`
	Draft    *Draft   `json:"draft"`
}

// Draft is what was begun to be written.
type Draft struct {
	Text    string     `json:"text"`
	ReplyTo NullString `json:"replyTo"`
}

// ChatRequest changes how a person wants a conversation. What is nil stays.
type ChatRequest struct {
	Who              string
	Mute             *time.Duration // from now; 0 unmutes
	Pinned, Archived *bool
	Receipts, Typing *bool
}

// DraftRequest reads what was begun to be written, or keeps it.
type DraftRequest struct {
	Who     string
	Text    *string // nil only reads; empty destroys it
	ReplyTo string
}

// MaxMute is how long a conversation can be muted.
const MaxMute = 366 * 24 * time.Hour

type conversationsResult struct {
	Conversations List[Chat] `json:"conversations"`
}

func (c *conn) conversations(ctx context.Context, params []byte) (any, error) {
	if err := decode(params, new(none)); err != nil {
		return nil, err
	}
	all, err := c.Daemon.Chats(ctx)
	return conversationsResult{all}, err
}

type conversationParams struct {
	Who      string `json:"who" rpc:"required"`
	Mute     *Timer `json:"mute"`
	Pinned   *bool  `json:"pinned"`
	Archived *bool  `json:"archived"`
	Receipts *bool  `json:"receipts"`
	Typing   *bool  `json:"typing"`
}

type conversationResult struct {
	Conversation Chat `json:"conversation"`
}

func (c *conn) conversation(ctx context.Context, params []byte) (any, error) {
	var p conversationParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if err := checkWho(p.Who); err != nil {
		return nil, err
	}
	if p.Mute != nil {
		if err := CheckMute(*p.Mute); err != nil {
			return nil, err
		}
	}
	one, err := c.Daemon.Chat(ctx, ChatRequest{
		Who: p.Who, Mute: (*time.Duration)(p.Mute), Pinned: p.Pinned, Archived: p.Archived, Receipts: p.Receipts, Typing: p.Typing,
	})
	return conversationResult{one}, err
}

type draftParams struct {
	Who     string  `json:"who" rpc:"required"`
	Text    *string `json:"text"`
	ReplyTo string  `json:"replyTo"`
}

func (c *conn) draft(ctx context.Context, params []byte) (any, error) {
	var p draftParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if err := checkWho(p.Who); err != nil {
		return nil, err
	}
	if p.ReplyTo != "" {
		if err := checkMessageID(p.ReplyTo); err != nil {
			return nil, err
		}
	}
	if p.Text != nil && len(*p.Text) > MaxText {
		return nil, Errorf(CodeTextTooLong, "the text is longer than 48 KiB (49152 bytes)")
	}
	return c.Daemon.Draft(ctx, DraftRequest(p))
}

type sendTypingParams struct {
	signalTarget
	Stop bool  `json:"stop"`
	When *bool `json:"when"` // false is stop
}

// sendTyping is signal-cli's.
func (c *conn) sendTyping(ctx context.Context, params []byte) (any, error) {
	var p sendTypingParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	all, err := c.recipients(ctx, p.signalTarget)
	if err != nil {
		return nil, err
	}
	if p.Stop || p.When != nil && !*p.When {
		return none{}, nil // it ends by itself
	}
	for _, who := range all {
		if err := c.Daemon.Typing(ctx, who); err != nil {
			return nil, err
		}
	}
	return none{}, nil
}
