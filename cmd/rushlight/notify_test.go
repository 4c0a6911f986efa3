package main

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rushlight/node/api"
)

// said is a Daemon to which messages come, a minute apart.
type said struct {
	api.Daemon
	events []api.Event
}

func (d said) Chat(_ context.Context, r api.ChatRequest) (c api.Chat, err error) {
	if r.Who == "muted" {
		c.Muted = 1
	}
	return c, nil
}

func (d said) Watch(_ context.Context, _ uint64, _ func(uint64), fn func(api.Event) error) error {
	for _, e := range d.events {
		<-time.After(time.Minute)
		for range 2 { // one of them is enough
			if err := fn(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func TestNotify(t *testing.T) {
	d := said{events: []api.Event{
		{Message: &api.Message{Conversation: "bob", FromName: "Bob", Text: "secret", Kind: api.KindText}},
		{Message: &api.Message{Conversation: "muted", FromName: "Eve", Text: "loud", Kind: api.KindText}},
		{Message: &api.Message{Conversation: "bob", Mine: true, Text: "mine", Kind: api.KindText}},
		{Typing: &api.Typing{}},
	}}
	for how, want := range map[string][]string{
		api.NotifyPlain:   {"Rushlight: New message"},
		api.NotifyContent: {"Bob: secret"},
		api.NotifyOff:     nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			var got []string
			if err := notify(t.Context(), d, func() string { return how }, func(title, text string) error {
				got = append(got, title+": "+text)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q", how, got)
			}
		})
	}
}
