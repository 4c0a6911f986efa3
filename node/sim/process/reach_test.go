//go:build linux

package process_test

import (
	"fmt"
	"testing"
	"time"

	"rushlight/node/api"
)

// soon is within what a message must arrive once its recipient can be reached
// again, on a machine that does much else; package world measures it.
const soon = 60 * time.Second

// never is within what nothing arrives that has no way to.
const never = 8 * time.Second

// TestComesBack checks that what was sent to somebody who was away goes out by
// itself when they are back, and when both were away.
func TestComesBack(t *testing.T) {
	t.Parallel()
	a, b := newDaemon(t, "ann"), newDaemon(t, "bob")
	befriend(t, a, b)
	say := func(from, to *daemon, text string) {
		t.Helper()
		if _, err := from.send(to, text, ""); err != nil {
			t.Fatal(err)
		}
	}
	b.kill()
	say(a, b, "while bob was away")
	b.start()
	a.drainedWithin(soon)

	b.kill()
	say(a, b, "while bob was away again")
	a.kill()
	b.start()
	say(b, a, "while ann was away")
	a.start()
	a.drainedWithin(soon)
	b.drainedWithin(soon)
	for i, d := range []*daemon{a, b} {
		var res struct{ Messages []api.Message }
		d.call("read", obj{"who": []*daemon{b, a}[i].account}, &res)
		if len(res.Messages) != 3 {
			t.Errorf("side %d has %d messages", i, len(res.Messages))
		}
	}
}

// TestMovesOnTheLAN gives both sides new addresses while they run: only the
// local network can tell them where the other went. It needs root and Debian's
// iproute2, for network namespaces.
func TestMovesOnTheLAN(t *testing.T) {
	t.Parallel()
	lan := newLAN(t, "rl-ann", "rl-bob")
	a := startDaemon(t, &daemon{space: lan[0]}, "ann")
	b := startDaemon(t, &daemon{space: lan[1]}, "bob")
	befriend(t, a, b)
	if _, err := a.send(b, "here", ""); err != nil {
		t.Fatal(err)
	}
	a.drainedWithin(soon)
	move(t, lan, 2)
	if _, err := a.send(b, "and there", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := b.send(a, "me too", ""); err != nil {
		t.Fatal(err)
	}
	// A connection that stands takes up to half a minute to be given up.
	a.drainedWithin(90 * time.Second)
	b.drainedWithin(90 * time.Second)

	// Off, moved, and on again: from ready on it takes no longer than soon.
	a.kill()
	b.kill()
	move(t, lan, 3)
	a.start()
	if _, err := a.send(b, "moved again", ""); err != nil {
		t.Fatal(err)
	}
	b.start()
	a.drainedWithin(soon)
}

// TestMovesWithoutLAN is the control of [TestMovesOnTheLAN]: with the local
// network left alone nothing arrives.
func TestMovesWithoutLAN(t *testing.T) {
	t.Parallel()
	lan := newLAN(t, "rl-cy", "rl-di")
	a := startDaemon(t, &daemon{space: lan[0], flags: []string{"--no-lan"}}, "ann")
	b := startDaemon(t, &daemon{space: lan[1], flags: []string{"--no-lan"}}, "bob")
	befriend(t, a, b)
	a.kill()
	b.kill()
	move(t, lan, 2)
	a.start()
	if _, err := a.send(b, "moved", ""); err != nil {
		t.Fatal(err)
	}
	b.start()
	if a.drains(never) {
		t.Error("delivered although nobody knew where: the LAN test proves nothing")
	}
}

// drainedWithin fails the test when something is left to deliver after d.
func (d *daemon) drainedWithin(limit time.Duration) {
	d.t.Helper()
	if !d.drains(limit) {
		d.t.Errorf("not delivered within %v", limit)
	}
}

func (d *daemon) drains(limit time.Duration) bool {
	d.t.Helper()
	deadline := time.Now().Add(limit)
	for time.Now().Before(deadline) {
		var s api.Status
		d.call("status", nil, &s)
		if s.Outbox == 0 {
			return true
		}
		<-time.After(20 * time.Millisecond)
	}
	return false
}

// newLAN makes two network namespaces on one wire.
func newLAN(t *testing.T, names ...string) []string {
	t.Helper()
	newSpaces(t, names...)
	command(t, "ip", "link", "add", "wire0", "netns", names[0], "type", "veth", "peer", "name", "wire0", "netns", names[1])
	for _, n := range names {
		command(t, "ip", "-n", n, "link", "set", "wire0", "up")
	}
	move(t, names, 1)
	return names
}

// move gives both ends addresses in another subnet.
func move(t *testing.T, names []string, subnet int) {
	t.Helper()
	for i, n := range names {
		command(t, "ip", "-n", n, "addr", "flush", "dev", "wire0", "scope", "global")
		command(t, "ip", "-n", n, "addr", "add", fmt.Sprintf("10.77.%d.%d/24", subnet, i+1), "dev", "wire0")
		command(t, "ip", "-n", n, "route", "replace", "default", "dev", "wire0")
	}
}
