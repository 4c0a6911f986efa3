package node

import (
	"context"
	"slices"
	"time"

	"rushlight/node/api"
	"rushlight/node/engine"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
)

// compose makes of a request what the engine sends.
func (n *Node) compose(to identity.AccountID, r api.SendRequest, attached []message.File) (s engine.Send, err error) {
	s = engine.Send{To: to, Files: attached, Text: r.Text, Life: lifetime(r.Expires, r.Burn), Key: r.IdempotencyKey, Forwarded: r.Forwarded, Entered: r.Entered}
	if r.ReplyTo != "" {
		if s.ReplyTo, err = message.ParseID(r.ReplyTo); err != nil {
			return s, apiError(err)
		}
	}
	if r.Forward != "" {
		return s, n.forward(&s, r.Forward)
	}
	if s.Text, s.Styles, s.Mentions, err = n.marked(r.Text, r.Markdown, r.Mentions); err == nil {
		s.Preview, err = shown(s.Text, r.Preview)
	}
	return s, err
}

// forward takes the text of another message, which then lives no longer than
// that one.
func (n *Node) forward(s *engine.Send, id string) error {
	mid, err := message.ParseID(id)
	if err != nil {
		return apiError(err)
	}
	v, err := n.engine.Message(mid)
	if err != nil {
		return apiError(err)
	}
	if err := mayForward(v); err != nil {
		return err
	}
	s.Text, s.Styles, s.Preview, s.Forwarded = v.Text, v.Styles, v.Preview, true
	if v.Expires.IsZero() {
		return nil
	}
	left := max(time.Until(v.Expires).Truncate(time.Second), message.MinExpiry)
	if s.Life.Expiry <= 0 || s.Life.Expiry > left {
		s.Life.Expiry = min(left, message.MaxExpiry)
	}
	return nil
}

func mayForward(v *engine.View) error {
	if v.Deleted || v.Newer || v.Timer != nil || v.Burn != 0 {
		return api.Errorf(api.CodeUsage, "this message can't be forwarded").WithHint("one that burns, was taken back or is no text stays where it is")
	}
	return nil
}

// marked is a text with its styles and mentions. Mentions count in the text as
// it is after the marks were taken out.
func (n *Node) marked(text string, md bool, mentions []api.MentionRequest) (string, []message.Style, []message.Mention, error) {
	var styles []message.Style
	if md {
		text, styles = markdown(text)
	}
	var out []message.Mention
	for _, m := range mentions {
		account := n.engine.Account()
		if m.Who != "me" {
			c, err := n.resolve(m.Who)
			if err != nil {
				return "", nil, nil, err
			}
			account = c.Account
		}
		start, ok1 := bytesAt(text, m.Start)
		end, ok2 := bytesAt(text, m.Start+m.Length)
		if !ok1 || !ok2 || end <= start {
			return "", nil, nil, api.Errorf(api.CodeUsage, "a mention doesn't fit the text").WithHint("start and length count UTF-16 code units")
		}
		out = append(out, message.Mention{Start: uint32(start), Length: uint32(end - start), Account: account})
	}
	slices.SortFunc(out, func(a, b message.Mention) int { return int(int64(a.Start) - int64(b.Start)) })
	for i := 1; i < len(out); i++ {
		if out[i].Start < out[i-1].Start+out[i-1].Length {
			return "", nil, nil, api.Errorf(api.CodeUsage, "two mentions overlap")
		}
	}
	return text, styles, out, nil
}

// contentJSON fills in what a message says.
func (n *Node) contentJSON(m *api.Message, v *engine.View) {
	switch {
	case v.Newer:
		m.Kind = api.KindNewer
	case len(v.Files) > 0:
		m.Kind, m.Files = api.KindFile, n.filesJSON(v)
	case v.Timer != nil:
		m.Kind = api.KindTimer
		m.Timer = &api.Timers{Expires: api.Duration(v.Timer.Expiry), Burn: api.Duration(v.Timer.Burn)}
	}
	m.Edited, m.Deleted, m.Forwarded, m.Preview = v.Edited, v.Deleted, v.Forwarded, previewJSON(v)
	for _, r := range v.Reactions {
		m.Reactions = append(m.Reactions, api.Reaction{Emoji: r.Emoji, From: r.From.String()})
	}
	for _, s := range v.Styles {
		if name := styleNames[s.Kind]; name != "" {
			m.Styles = append(m.Styles, api.Style{Start: units(v.Text[:s.Start]), Length: units(v.Text[s.Start : s.Start+s.Length]), Style: name})
		}
	}
	for _, x := range v.Mentions {
		m.Mentions = append(m.Mentions, api.Mention{
			Start: units(v.Text[:x.Start]), Length: units(v.Text[x.Start : x.Start+x.Length]), Account: x.Account.String(),
		})
	}
	if v.ReplyTo != (message.ID{}) {
		m.ReplyTo = api.NullString(v.ReplyTo.String())
	}
	if v.Quote != nil {
		m.Quote = &api.Quote{From: v.Quote.From.String(), FromName: n.nameOf(v.Quote.From), Text: v.Quote.Text}
	}
}

// nameOf is what an account is called.
func (n *Node) nameOf(a identity.AccountID) string {
	if a == n.engine.Account() {
		return n.engine.Name()
	}
	if c := n.engine.Contact(a); c != nil {
		return c.Shown()
	}
	return ""
}

// reactionOf is an account's reaction to a message, empty for none.
func reactionOf(v *engine.View, a identity.AccountID) string {
	for _, r := range v.Reactions {
		if r.From == a {
			return r.Emoji
		}
	}
	return ""
}

// conversationOf is the other side of the conversation of an event about a
// message that is there, empty when it isn't any more.
func (n *Node) conversationOf(ev engine.Event) string {
	if ev.Account != n.engine.Account() && ev.Account != (identity.AccountID{}) {
		return ev.Account.String()
	}
	if v, err := n.engine.Message(ev.Message); err == nil {
		return v.With.String()
	}
	return ""
}

// Unsend implements api.Daemon.
func (n *Node) Unsend(ctx context.Context, id string) error {
	mid, err := message.ParseID(id)
	if err == nil {
		err = n.engine.Unsend(ctx, mid)
	}
	return apiError(err)
}

// Edit implements api.Daemon.
func (n *Node) Edit(ctx context.Context, r api.EditRequest) error {
	mid, err := message.ParseID(r.ID)
	if err != nil {
		return apiError(err)
	}
	text, styles, mentions, err := n.marked(r.Text, r.Markdown, r.Mentions)
	if err != nil {
		return err
	}
	to := engine.Amended{Text: text, Styles: styles, Mentions: mentions}
	if to.Preview, err = shown(text, r.Preview); err != nil {
		return err
	}
	if r.Preview == nil {
		v, err := n.engine.Message(mid)
		if err != nil {
			return apiError(err)
		}
		to.Preview = stays(v, text)
	}
	return apiError(n.engine.Amend(ctx, mid, to))
}

// React implements api.Daemon.
func (n *Node) React(ctx context.Context, id, emoji string) error {
	mid, err := message.ParseID(id)
	if err == nil {
		err = n.engine.React(ctx, mid, emoji)
	}
	return apiError(err)
}

// Timer implements api.Daemon.
func (n *Node) Timer(ctx context.Context, r api.TimerRequest) (api.Timers, error) {
	c, err := n.resolve(r.Who)
	if err != nil {
		return api.Timers{}, err
	}
	l, err := n.engine.Timer(c.Account)
	if err != nil {
		return api.Timers{}, apiError(err)
	}
	if r.Expires != nil || r.Burn != nil {
		before := l
		if r.Expires != nil {
			l.Expiry = *r.Expires
		}
		if r.Burn != nil {
			l.Burn = *r.Burn
		}
		if l != before {
			if _, err := n.engine.SetTimer(ctx, c.Account, l); err != nil {
				return api.Timers{}, apiError(err)
			}
		}
	}
	return api.Timers{Expires: api.Duration(l.Expiry), Burn: api.Duration(l.Burn)}, nil
}
