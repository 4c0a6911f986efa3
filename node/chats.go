package node

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"rushlight/node/api"
	"rushlight/node/engine"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/storage/record"
)

func (n *Node) chatJSON(c *engine.Chat) api.Chat {
	out := api.Chat{
		ID: c.With.String(), Name: n.nameOf(c.With), Unread: c.Unread, Pinned: c.Pinned, Archived: c.Archived,
		Receipts: c.Receipts, Typing: c.Typing,
		Timer: api.Timers{Expires: api.Duration(c.Timer.Expiry), Burn: api.Duration(c.Timer.Burn)},
		Draft: draftJSON(c.Draft),
	}
	if c.Muted > time.Now().UnixMilli() {
		out.Muted = api.Time(c.Muted)
	}
	if c.Last != nil {
		m := n.messageJSON(c.Last)
		out.Last = &m
	}
	return out
}

func draftJSON(d record.Draft) *api.Draft {
	if d.Text == "" {
		return nil
	}
	out := &api.Draft{Text: d.Text}
	if d.ReplyTo != (message.ID{}) {
		out.ReplyTo = api.NullString(d.ReplyTo.String())
	}
	return out
}

// Chats implements api.Daemon: pinned ones first, then by the newest message.
func (n *Node) Chats(context.Context) ([]api.Chat, error) {
	list, err := n.engine.Chats()
	if err != nil {
		return nil, apiError(err)
	}
	last := func(c engine.Chat) int64 {
		if c.Last == nil {
			return 0
		}
		return c.Last.Sent.UnixMilli()
	}
	pinned := func(c engine.Chat) int {
		if c.Pinned {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(list, func(a, b engine.Chat) int {
		return cmp.Or(cmp.Compare(pinned(a), pinned(b)), cmp.Compare(last(b), last(a)))
	})
	out := make([]api.Chat, len(list))
	for i := range list {
		out[i] = n.chatJSON(&list[i])
	}
	return out, nil
}

// Chat implements api.Daemon.
func (n *Node) Chat(ctx context.Context, r api.ChatRequest) (api.Chat, error) {
	c, err := n.resolve(r.Who)
	if err != nil {
		return api.Chat{}, err
	}
	if r.Mute != nil || r.Pinned != nil || r.Archived != nil || r.Receipts != nil || r.Typing != nil {
		err := n.engine.SetChat(ctx, c.Account, func(x *record.Chat) {
			set := func(to *bool, from *bool) {
				if from != nil {
					*to = *from
				}
			}
			set(&x.Pinned, r.Pinned)
			set(&x.Archived, r.Archived)
			set(&x.Receipts, r.Receipts)
			set(&x.Typing, r.Typing)
			if r.Mute != nil {
				if x.Muted = 0; *r.Mute > 0 {
					x.Muted = time.Now().Add(*r.Mute).UnixMilli()
				}
			}
		})
		if err != nil {
			return api.Chat{}, apiError(err)
		}
	}
	one, err := n.engine.Chat(c.Account)
	if err != nil {
		return api.Chat{}, apiError(err)
	}
	return n.chatJSON(one), nil
}

// Draft implements api.Daemon.
func (n *Node) Draft(ctx context.Context, r api.DraftRequest) (api.Draft, error) {
	c, err := n.resolve(r.Who)
	if err != nil {
		return api.Draft{}, err
	}
	if r.Text != nil {
		d := record.Draft{Text: *r.Text}
		if r.ReplyTo != "" {
			if d.ReplyTo, err = message.ParseID(r.ReplyTo); err != nil {
				return api.Draft{}, apiError(err)
			}
		}
		if err := n.engine.SetDraft(ctx, c.Account, d); err != nil {
			return api.Draft{}, apiError(err)
		}
	}
	one, err := n.engine.Chat(c.Account)
	if err != nil {
		return api.Draft{}, apiError(err)
	}
	if d := draftJSON(one.Draft); d != nil {
		return *d, nil
	}
	return api.Draft{}, nil
}

// Search implements api.Daemon.
func (n *Node) Search(ctx context.Context, r api.SearchRequest) ([]api.Message, error) {
	s := engine.Search{Query: r.Query, Limit: r.Limit}
	if r.In != "" {
		c, err := n.resolve(r.In)
		if err != nil {
			return nil, err
		}
		s.In = c.Account
	}
	list, err := n.engine.Search(ctx, s)
	if err != nil {
		return nil, apiError(err)
	}
	out := make([]api.Message, len(list))
	for i := range list {
		out[i] = n.messageJSON(&list[i])
	}
	return out, nil
}

// Typing implements api.Daemon.
func (n *Node) Typing(ctx context.Context, who string) error {
	c, err := n.resolve(who)
	if err != nil {
		return err
	}
	return apiError(n.engine.Typing(ctx, c.Account))
}

// withTyping calls watch with a function that fn's calls take turns with those
// for notices of typing and for transfers, which are in no log.
func (n *Node) withTyping(ctx context.Context, fn func(api.Event) error, watch func(ctx context.Context, fn func(api.Event) error) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var turn sync.Mutex
	one := func(e api.Event) error {
		turn.Lock()
		defer turn.Unlock()
		return fn(e)
	}
	var done sync.WaitGroup
	defer done.Wait()
	defer cancel()
	done.Go(func() {
		// What ends it ends the watch as well, which says why.
		_ = n.engine.WatchTyping(ctx, func(a identity.AccountID) error {
			return one(api.Event{
				Type: api.EventTyping, At: api.TimeOf(time.Now()),
				Typing: &api.Typing{Conversation: a.String(), From: a.String()},
			})
		})
	})
	done.Go(func() { _ = n.followTransfers(ctx, one) })
	done.Go(func() { _ = n.watchNetwork(ctx, one) }) // as above
	return watch(ctx, one)
}
