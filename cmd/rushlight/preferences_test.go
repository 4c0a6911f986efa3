package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"rushlight/node/api"
)

// What is chosen holds from then on and after a restart, except where the
// command line says otherwise, and that is not written down.
func TestPreferences(t *testing.T) {
	dir := t.TempDir()
	open := func(s settings) *preferences {
		t.Helper()
		p, err := openPreferences(dir, s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	holds := func(p *preferences, want api.Choices) {
		t.Helper()
		if got, err := p.change(api.ChoicesRequest{}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
	quarter, hour, bad := api.Timer(15*time.Minute), api.Timer(time.Hour), api.Timer(1)
	content, loud := api.NotifyContent, "loud"
	none := api.List[string]{}

	p := open(settings{})
	holds(p, api.Choices{Notify: api.NotifyPlain, Fixed: none})
	_, changed := p.lockAfter()
	if _, err := p.change(api.ChoicesRequest{LockAfter: &quarter, Notify: &content}); err != nil {
		t.Fatal(err)
	}
	<-changed
	if d, _ := p.lockAfter(); d != 15*time.Minute || p.notify() != api.NotifyContent {
		t.Errorf("%v, %s", d, p.notify())
	}
	for _, r := range []api.ChoicesRequest{{LockAfter: &bad}, {Notify: &loud}} {
		if _, err := p.change(r); err == nil {
			t.Errorf("%+v was taken", r)
		}
	}
	holds(open(settings{}), api.Choices{LockAfter: quarter, Notify: content, Fixed: none})

	p = open(settings{said: map[string]bool{flagLockAfter: true}, lockAfter: time.Minute, notify: api.NotifyOff})
	holds(p, api.Choices{LockAfter: api.Timer(time.Minute), Notify: content, Fixed: api.List[string]{"lockAfter"}})
	if _, err := p.change(api.ChoicesRequest{LockAfter: &hour}); !errors.Is(err, &api.Error{Code: api.CodeNotAllowed}) {
		t.Errorf("what the command line says was changed: %v", err)
	}
	plain := api.NotifyPlain
	if _, err := p.change(api.ChoicesRequest{Notify: &plain}); err != nil {
		t.Fatal(err)
	}
	holds(open(settings{}), api.Choices{LockAfter: quarter, Notify: plain, Fixed: none})

	if err := os.WriteFile(filepath.Join(dir, preferencesFile), []byte(`{"notify":"loud"`), 0o600); err != nil {
		t.Fatal(err)
	}
	holds(open(settings{}), api.Choices{Notify: api.NotifyPlain, Fixed: none})
}
