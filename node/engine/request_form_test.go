package engine

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"rushlight/protocol/handshake"
	"rushlight/protocol/identity"
	"rushlight/protocol/message"
	"rushlight/protocol/wire"
)

// exampleRequest is a request with a greeting, and the key that signs for it.
func exampleRequest(t testing.TB, invite [16]byte) (*request, ed25519.PrivateKey) {
	t.Helper()
	now := time.Unix(1_700_000_000, 0)
	d := identity.NewDevice()
	m, err := identity.NewManifest(identity.NewAccount(), nil, []identity.DeviceInfo{d.Info(uint32(now.Unix()))})
	if err != nil {
		t.Fatal(err)
	}
	card, err := identity.SignCard(d, m, 1, now, "bob", nil)
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := handshake.NewOneTimeBundle(d, m, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	q := &request{card: card.Marshal(), bundle: b.Marshal(), greeting: "hello"}
	q.sign(d.Signing, invite)
	return q, d.Signing
}

// A greeting is its sender's, and for the maker of one invite.
func TestRequestSigned(t *testing.T) {
	q, key := exampleRequest(t, [16]byte{1})
	for name, c := range map[string]struct {
		change func()
		good   bool
	}{
		"control":           {func() {}, true},
		"another text":      {func() { q.greeting = "hallo" }, false},
		"other things":      {func() { q.standing = []byte{1} }, false},
		"another invite":    {func() { q.sign(key, [16]byte{2}) }, false},
		"somebody else":     {func() { other, _ := exampleRequest(t, [16]byte{1}); q.signature = other.signature }, false},
		"control: no text":  {func() { q.greeting = "" }, true},
		"control: anew":     {func() { q.greeting = "hallo"; q.sign(key, [16]byte{1}) }, true},
		"somebody's bundle": {func() { other, _ := exampleRequest(t, [16]byte{1}); q.bundle = other.bundle; q.sign(key, [16]byte{1}) }, false},
	} {
		before := *q
		c.change()
		_, _, _, err := q.open([16]byte{1})
		if *q = before; (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRequestForms(t *testing.T) {
	q, _ := exampleRequest(t, [16]byte{1})
	empty := wire.NewWriter(nil).U8(2).Vec16(q.card).Vec16(q.bundle).Vec24(nil).Vec16(nil).Vec16(nil).Raw(q.signature[:]).Out()
	long, bad := *q, *q
	long.greeting, bad.greeting = strings.Repeat("ä", message.MaxNote+1), "\xff"
	for name, b := range map[string][]byte{
		"no greeting":    empty,
		"over the limit": long.marshal(),
		"no text":        bad.marshal(),
		"more behind":    append(q.marshal(), 0),
		"cut":            q.marshal()[:len(q.marshal())-1],
		"version":        append([]byte{3}, q.marshal()[1:]...),
	} {
		if _, err := parseRequest(b); err == nil {
			t.Error("taken:", name)
		}
	}
	long.greeting = strings.Repeat("ä", message.MaxNote)
	if _, err := parseRequest(long.marshal()); err != nil {
		t.Error("control:", err)
	}
}

func FuzzRequest(f *testing.F) {
	q, _ := exampleRequest(f, [16]byte{1})
	f.Add(q.marshal())
	q.greeting, q.relays, q.standing = "", []byte{1}, []byte{2}
	f.Add(q.marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := parseRequest(b)
		if err == nil && !bytes.Equal(q.marshal(), b) {
			t.Error("a request has two spellings")
		}
	})
}
