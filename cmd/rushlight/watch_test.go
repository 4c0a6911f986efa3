package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"rushlight/node/api"
)

// A glance at the events is no reading that anybody is told of: what burns is
// left out until it was opened, and is there in all other cases.
func TestWatchLeavesUnopenedOut(t *testing.T) {
	secret := api.Message{
		ID: "1", Kind: api.KindFile, Text: "secret", Burn: api.Duration(time.Minute), State: api.StateDelivered,
		Files:   api.List[api.File]{{Name: "secret.txt"}},
		Preview: &api.Preview{Title: "secret"}, Quote: &api.Quote{Text: "secret"},
	}
	with := func(change func(m *api.Message)) *api.Message {
		m := secret
		change(&m)
		return &m
	}
	for what, x := range map[string]struct {
		event api.Event
		out   bool
	}{
		"a message":   {api.Event{Message: &secret}, true},
		"an edit":     {api.Event{Edit: &secret}, true},
		"its place":   {api.Event{Placed: &secret}, true},
		"opened":      {api.Event{Message: with(func(m *api.Message) { m.State = api.StateRead })}, false},
		"one's own":   {api.Event{Message: with(func(m *api.Message) { m.Mine = true })}, false},
		"one to stay": {api.Event{Message: with(func(m *api.Message) { m.Burn = 0 })}, false},
	} {
		b, err := json.Marshal(closed(x.event))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "secret") == x.out {
			t.Errorf("%s: %s", what, b)
		}
		if x.out && !strings.Contains(string(b), `"id":"1"`) {
			t.Errorf("%s isn't told of", what)
		}
	}
	if secret.Text == "" {
		t.Error("the event itself was changed")
	}
}
