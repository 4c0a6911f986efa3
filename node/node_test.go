package node_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rushlight/node"
	"rushlight/node/api"
	"rushlight/protocol/identity"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Started once for the process by libraries, and never ended.
		goleak.IgnoreTopFunction("github.com/libp2p/go-flow-metrics.(*sweeper).runActive"),
		goleak.IgnoreAnyFunction("github.com/golang/glog.(*fileSink).flushDaemon"),
	)
}

type profile struct {
	*node.Node
	t    testing.TB
	dir  string
	stop context.CancelFunc
	done chan error
}

func start(t testing.TB, dir, name string) *profile {
	t.Helper()
	code := identity.NewRecoveryCode()
	return run(t, node.Config{
		Dir: dir, Root: [32]byte{7}, Name: name, NewIdentity: &code, NoLAN: true,
		Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"},
	})
}

// run opens a node and runs it until the test ends, or it is halted.
func run(t testing.TB, cfg node.Config) *profile {
	t.Helper()
	n, err := node.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &profile{Node: n, t: t, dir: cfg.Dir, stop: cancel, done: make(chan error, 1)}
	go func() { p.done <- n.Run(ctx) }()
	<-n.Ready()
	t.Cleanup(p.halt)
	return p
}

func (p *profile) halt() {
	if p.stop == nil {
		return
	}
	p.stop()
	p.stop = nil
	if err := <-p.done; err != nil {
		p.t.Error(err)
	}
}

func pair(t testing.TB) (a, b *profile) {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"a", "b"} {
		if err := os.Mkdir(dir+"/"+d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	a, b = start(t, dir+"/a", "ann"), start(t, dir+"/b", "bob")
	befriend(t, a, b)
	return a, b
}

func befriend(t testing.TB, a, b *profile) {
	t.Helper()
	ctx := context.Background()
	inv, err := a.CreateInvite(ctx, api.InviteRequest{Uses: 1, Expires: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.Add(ctx, api.AddRequest{Link: inv.Link})
	if err != nil {
		t.Fatal(err)
	}
	if c.State != api.ContactApproved || c.Name != "ann" {
		t.Fatalf("contact is %+v", c)
	}
}

func (p *profile) id() string {
	s, err := p.Self(context.Background())
	if err != nil {
		p.t.Fatal(err)
	}
	return s.Account
}

func (p *profile) sendAndWait(to *profile, text string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	s, err := p.Send(ctx, api.SendRequest{To: to.id(), Text: text})
	if err != nil {
		p.t.Fatal(err)
	}
	if state, err := p.Wait(ctx, s.ID, api.StateDelivered); err != nil || state != api.StateDelivered {
		p.t.Fatal(state, err)
	}
}

func TestTwoNodesTalk(t *testing.T) {
	a, b := pair(t)
	a.sendAndWait(b, "hello")
	b.sendAndWait(a, "hello yourself")
	for i, p := range []*profile{a, b} {
		other := b
		if i == 1 {
			other = a
		}
		got, err := p.Read(t.Context(), api.ReadRequest{Who: other.id()})
		if err != nil || len(got) != 2 || got[0].Text != "hello" || got[1].Text != "hello yourself" {
			t.Fatalf("%v %+v", err, got)
		}
		report, err := p.Check(t.Context())
		if err != nil || !report.OK {
			t.Fatalf("%v %+v", err, report)
		}
	}
}

func TestUsedInviteIsRefused(t *testing.T) {
	dir := t.TempDir()
	var ps []*profile
	for i := range 3 {
		d := fmt.Sprint(dir, "/", i)
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
		ps = append(ps, start(t, d, fmt.Sprint("p", i)))
	}
	inv, err := ps[0].CreateInvite(t.Context(), api.InviteRequest{Uses: 1, Expires: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ps[1].Add(t.Context(), api.AddRequest{Link: inv.Link}); err != nil {
		t.Fatal(err)
	}
	_, err = ps[2].Add(t.Context(), api.AddRequest{Link: inv.Link})
	if !errors.Is(err, &api.Error{Code: api.CodeInviteUsed}) {
		t.Fatal("second use:", err)
	}
	if c, err := ps[2].Contacts(t.Context()); err != nil || len(c) != 0 {
		t.Fatal("a refused invite left a contact:", c, err)
	}
	_, err = ps[0].Add(t.Context(), api.AddRequest{Link: inv.Link})
	if !errors.Is(err, &api.Error{Code: api.CodeInviteOwn}) {
		t.Fatal("own invite:", err)
	}
}
