package node_test

import (
	"errors"
	"testing"
	"time"

	"rushlight/node/api"
)

// A new name lasts over a restart, and a contact of later sees it.
func TestSetName(t *testing.T) {
	dir := t.TempDir()
	a, b := start(t, dir, "ann"), start(t, t.TempDir(), "bob")
	if s, err := a.SetName(t.Context(), "Anna"); err != nil || s.Name != "Anna" {
		t.Fatalf("%v, %v", s, err)
	}
	if _, err := a.SetName(t.Context(), "a\u202eb"); !errors.Is(err, &api.Error{Code: api.CodeUsage}) {
		t.Errorf("a name that turns text around: %v", err)
	}
	if _, err := a.SetName(t.Context(), ""); err == nil {
		t.Error("no name is no error")
	}
	a.halt()
	a = start(t, dir, "")
	inv, err := a.CreateInvite(t.Context(), api.InviteRequest{Uses: 1, Expires: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := b.Add(t.Context(), api.AddRequest{Link: inv.Link}); err != nil || c.Name != "Anna" {
		t.Errorf("the contact is called %q, %v", c.Name, err)
	}
}
