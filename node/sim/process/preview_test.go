//go:build linux

package process_test

import (
	"slices"
	"strings"
	"testing"

	"rushlight/node/api"
)

// site is where the link of the test points: an address that the recipient
// could reach, where nobody but it would ask.
const site = "10.77.1.2:443"

// receivePreview makes Bob get and read a message with a preview of a link, and
// its edit, and returns what passed in his namespace.
func receivePreview(t *testing.T, names []string, then func(bob *daemon)) *capture {
	t.Helper()
	newLAN(t, names...)
	l := listenIn(t, names[1], site)
	t.Cleanup(func() { _ = l.Close() })
	ann := startDaemon(t, &daemon{space: names[1], flags: []string{"--no-lan", "--listen", "/ip4/10.77.1.2/tcp/4001"}}, "ann")
	c := watchSpace(t, names[0])
	bob := startDaemon(t, &daemon{space: names[0], flags: []string{"--no-lan", "--listen", "/ip4/10.77.1.1/tcp/4001"}}, "bob")
	befriend(t, ann, bob)
	const link = "https://10.77.1.2/page"
	preview := obj{"url": link, "title": "A page", "description": "of it"}
	var sent struct{ ID string }
	ann.call("send", obj{"recipient": bob.account, "message": "see " + link, "preview": preview}, &sent)
	var all struct{ Messages []api.Message }
	read := func(so func(api.Message) bool) {
		t.Helper()
		bob.until("the preview is there", func() bool {
			bob.call("read", obj{"who": ann.account}, &all)
			return slices.ContainsFunc(all.Messages, func(m api.Message) bool { return m.Preview != nil && so(m) })
		})
	}
	read(func(m api.Message) bool { return m.Preview.Host == "10.77.1.2" && m.Preview.Title == "A page" })
	ann.call("edit", obj{"id": sent.ID, "message": "look: " + link}, nil)
	read(func(m api.Message) bool { return m.Edited })
	bob.call("send", obj{"recipient": ann.account, "forward": sent.ID}, nil)
	ann.drained()
	bob.drained()
	then(bob)
	bob.stop()
	return c
}

// TestPreviewRecipient: who gets a message with a preview, reads it and sends it
// on makes no connection but to the sender. It needs root and Debian's
// iproute2.
func TestPreviewRecipient(t *testing.T) {
	t.Parallel()
	c := receivePreview(t, []string{"rl-prev", "rl-prevout"}, func(*daemon) {})
	if beside := c.beside("10.77.1.2:4001"); len(beside) > 0 {
		t.Errorf("packets beside those with the sender:\n%s", strings.Join(beside, "\n"))
	}
	if len(c.seen) == 0 {
		t.Error("no packet was seen at all")
	}
}

// TestPreviewRecipientControl is the same with somebody who follows the link:
// the capture sees it.
func TestPreviewRecipientControl(t *testing.T) {
	t.Parallel()
	names := []string{"rl-prevc", "rl-prevcout"}
	c := receivePreview(t, names, func(bob *daemon) {
		if c, err := dialIn(names[0], site); err == nil {
			_ = c.Close()
		}
	})
	if beside := strings.Join(c.beside("10.77.1.2:4001"), "\n"); !strings.Contains(beside, site) {
		t.Errorf("the capture did not see %s among\n%s", site, beside)
	}
}
