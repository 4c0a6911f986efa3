package main

import (
	"context"
	"time"

	"github.com/gen2brain/beeep"

	"rushlight/node/api"
)

// notifyEvery is how often a desktop is bothered at most.
const notifyEvery = 2 * time.Second

// desktop shows one notification.
func desktop(title, text string) error {
	beeep.AppName = "Rushlight"
	return beeep.Notify(title, text, "")
}

// notify shows that messages have come, as somebody wants that at the time,
// until ctx ends or the desktop doesn't take it. Muted conversations are left
// out.
func notify(ctx context.Context, d api.Daemon, how func() string, show func(title, text string) error) error {
	var last time.Time
	return d.Watch(ctx, api.FromNow, nil, func(e api.Event) error {
		m := e.Message
		if m == nil || m.Mine || time.Since(last) < notifyEvery {
			return nil
		}
		how := how()
		if how == api.NotifyOff {
			return nil
		}
		// Who was removed meanwhile needs no notification.
		if c, err := d.Chat(ctx, api.ChatRequest{Who: m.Conversation}); err != nil || c.Muted != 0 {
			return nil //nolint:nilerr // as said
		}
		last = time.Now()
		if how == api.NotifyContent && m.Kind == api.KindText {
			return show(clean(m.FromName), clean(m.Text))
		}
		return show("Rushlight", "New message")
	})
}
