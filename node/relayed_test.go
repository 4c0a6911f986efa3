package node_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"net"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"rushlight/node/api"
	"rushlight/node/mailbox"
)

// relay is a relay in this process, on a port that it keeps.
type relay struct {
	*mailbox.Relay
	t    testing.TB
	dir  string
	at   string
	stop context.CancelFunc
	done chan error
}

func startRelay(t testing.TB, dir string) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	r := &relay{t: t, dir: dir, at: "/ip4/127.0.0.1/tcp/" + strconv.Itoa(port)}
	r.start()
	t.Cleanup(r.halt)
	return r
}

func (r *relay) start() {
	r.t.Helper()
	var err error
	if r.Relay, err = mailbox.OpenRelay(r.t.Context(), mailbox.RelayConfig{Dir: r.dir, Listen: []string{r.at}}); err != nil {
		r.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop, r.done = stop, make(chan error, 1)
	go func() { r.done <- r.Run(ctx) }()
	<-r.Ready()
}

func (r *relay) halt() {
	if r.stop == nil {
		return
	}
	r.stop()
	r.stop = nil
	if err := <-r.done; err != nil {
		r.t.Error(err)
	}
	if err := r.Close(); err != nil {
		r.t.Error(err)
	}
}

func (p *profile) mailbox(r *relay) {
	p.t.Helper()
	if _, err := p.AddRelay(context.Background(), r.Addrs(), ""); err != nil {
		p.t.Fatal(err)
	}
	p.until("the mailbox is made", func() bool {
		all, err := p.Mailboxes(context.Background())
		return err == nil && len(all) > 0 && !slices.ContainsFunc(all, func(m api.Mailbox) bool { return m.State != api.MailboxOK })
	})
}

func (p *profile) until(what string, done func() bool) {
	p.t.Helper()
	late := time.After(2 * time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			p.t.Fatal("waited too long until", what)
		}
	}
}

func (p *profile) send(to, text, state string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s, err := p.Send(ctx, api.SendRequest{To: to, Text: text})
	if err != nil {
		p.t.Fatal(err)
	}
	if got, err := p.Wait(ctx, s.ID, state); err != nil {
		p.t.Fatal("not ", state, ": ", got, err)
	}
	return s.ID
}

func (p *profile) count(with, text string) (n int) {
	p.t.Helper()
	m, err := p.Read(context.Background(), api.ReadRequest{Who: with, Peek: true})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, one := range m {
		if one.Text == text {
			n++
		}
	}
	return n
}

// bobIsAway makes two contacts, of whom bob, who has mailboxes at two relays, is
// off in the end. prepare is called before they meet.
func bobIsAway(t *testing.T, dir string, prepare func(a *profile, r1 *relay)) (a *profile, r1, r2 *relay, ann, bob string) {
	t.Helper()
	for _, d := range []string{"a", "b"} {
		if err := os.Mkdir(dir+"/"+d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r1, r2 = startRelay(t, dir+"/r1"), startRelay(t, dir+"/r2")
	a, b := start(t, dir+"/a", "ann"), start(t, dir+"/b", "bob")
	b.mailbox(r1)
	b.mailbox(r2)
	prepare(a, r1)
	befriend(t, a, b)
	ann, bob = a.id(), b.id()
	a.sendAndWait(b, "directly")
	b.halt()
	return a, r1, r2, ann, bob
}

// TestRelayHoldsMail leaves messages for somebody who is away at two relays.
// One relay is gone when they are left, and comes back; the other is gone when
// they are fetched.
func TestRelayHoldsMail(t *testing.T) {
	dir := t.TempDir()
	a, r1, r2, ann, bob := bobIsAway(t, dir, func(a *profile, r1 *relay) { a.mailbox(r1) })
	stored := a.send(bob, "to both", api.StateStored)
	r1.halt()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	s, err := a.Send(ctx, api.SendRequest{To: bob, Text: "to one"})
	if err != nil {
		t.Fatal(err)
	}
	before := r2.Status().Deposits
	a.until("the relay that is left has it", func() bool { return r2.Status().Deposits > before })
	r1.start()
	if got, err := a.Wait(ctx, s.ID, api.StateStored); err != nil {
		t.Fatal("not stored after the relay came back:", got, err)
	}
	r1.halt()
	a.halt()

	b := start(t, dir+"/b", "bob")
	for _, text := range []string{"to both", "to one"} {
		b.until("the mail was fetched", func() bool { return b.count(ann, text) == 1 })
	}
	r1.start()
	a = start(t, dir+"/a", "ann")
	if got, err := a.Wait(ctx, stored, api.StateDelivered); err != nil {
		t.Fatal("not delivered:", got, err)
	}
	for _, text := range []string{"directly", "to both", "to one"} {
		if n := b.count(ann, text); n != 1 {
			t.Errorf("%q was shown %d times", text, n)
		}
	}
}

// TestTakenBackAtRelays deletes a message for everyone and lets another end
// that wait at two relays for somebody who is away: no relay keeps either.
func TestTakenBackAtRelays(t *testing.T) {
	dir := t.TempDir()
	a, r1, r2, ann, bob := bobIsAway(t, dir, func(*profile, *relay) {})
	ctx := context.Background()
	live := func() int64 { return r1.Status().Envelopes + r2.Status().Envelopes }
	var base int64
	a.until("the relays are empty", func() bool { base = live(); return base == 0 })
	id := a.send(bob, "regretted", api.StateStored)
	if live() < 2 {
		t.Fatal("not at the relays")
	}
	if err := a.Unsend(ctx, id); err != nil {
		t.Fatal(err)
	}
	a.until("it is gone from the relays", func() bool { return r1.Status().Unsent+r2.Status().Unsent == 2 })

	expires := 6 * time.Second
	if _, err := a.Send(ctx, api.SendRequest{To: bob, Text: "passing", Expires: &expires}); err != nil {
		t.Fatal(err)
	}
	a.until("it has ended at the relays", func() bool { return r1.Status().Unsent+r2.Status().Unsent == 4 })
	a.send(bob, "after", api.StateStored)
	b := start(t, dir+"/b", "bob")
	b.until("the mail was fetched", func() bool { return b.count(ann, "after") == 1 })
	for _, text := range []string{"regretted", "passing"} {
		if b.count(ann, text) != 0 {
			t.Errorf("%q was shown", text)
		}
	}
}

// TestFileThroughRelays: a file comes to somebody who is never online together
// with its sender.
func TestFileThroughRelays(t *testing.T) {
	dir := t.TempDir()
	a, r1, r2, ann, bob := bobIsAway(t, dir, func(*profile, *relay) {})
	deposits := func() int64 { return r1.Status().Deposits + r2.Status().Deposits }
	before := deposits()
	content := make([]byte, 150<<10)
	_, _ = rand.Read(content)
	if err := os.WriteFile(dir+"/file", content, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s, err := a.Send(ctx, api.SendRequest{To: bob, Text: "with a file", Files: []api.Attachment{{Path: dir + "/file"}}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.Wait(ctx, s.ID, api.StateStored); err != nil {
		t.Fatal("not stored:", got, err)
	}
	// Twelve parts, each at one relay, and the message at both.
	a.until("the file is left as well", func() bool { return deposits() >= before+2+12 })
	a.halt()

	b := start(t, dir+"/b", "bob")
	b.until("the mail was fetched", func() bool { return b.count(ann, "with a file") == 1 })
	saved, err := b.Save(ctx, api.SaveRequest{ID: s.ID, File: 0, Path: dir + "/saved"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(saved[0].Path); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
