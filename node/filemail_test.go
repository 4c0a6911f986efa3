package node_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"os"
	"strconv"
	"testing"
	"time"

	"rushlight/node"
	"rushlight/node/api"
	"rushlight/protocol/identity"
)

// unreachable starts a profile that nobody can call: it tells an address at
// which nobody answers.
func unreachable(t testing.TB, dir, name string) *profile {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	code := identity.NewRecoveryCode()
	return run(t, node.Config{
		Dir: dir, Root: [32]byte{7}, Name: name, NewIdentity: &code, NoLAN: true,
		Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Announce: []string{"/ip4/127.0.0.1/tcp/9"},
	})
}

// byRelays starts two that know each other and reach each other by way of
// relays only.
func byRelays(t testing.TB, dir string, relays ...*relay) (a, b *profile) {
	t.Helper()
	a, b = unreachable(t, dir+"/a", "ann"), unreachable(t, dir+"/b", "bob")
	for _, r := range relays {
		a.mailbox(r)
		b.mailbox(r)
	}
	inv, err := a.CreateInvite(t.Context(), api.InviteRequest{Uses: 1, Expires: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Add(t.Context(), api.AddRequest{Link: inv.Link}); err != nil {
		t.Fatal(err)
	}
	a.until("they know each other", func() bool {
		all, err := a.Contacts(t.Context())
		return err == nil && len(all) == 1 && all[0].State == api.ContactApproved
	})
	return a, b
}

// TestLargeFileThroughRelays: a file comes to somebody who can be reached by
// way of relays only, while both are there. RUSHLIGHT_MAIL_KIB sets its size.
func TestLargeFileThroughRelays(t *testing.T) {
	t.Parallel() // it waits most of the time
	size := 3 << 19
	if n, err := strconv.Atoi(os.Getenv("RUSHLIGHT_MAIL_KIB")); err == nil {
		size = n << 10
	}
	dir := t.TempDir()
	r1, r2 := startRelay(t, dir+"/r1"), startRelay(t, dir+"/r2")
	a, b := byRelays(t, dir, r1, r2)
	content := make([]byte, size)
	_, _ = rand.Read(content)
	if err := os.WriteFile(dir+"/file", content, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	began := time.Now()
	s, err := a.Send(ctx, api.SendRequest{To: b.id(), Text: "large", Files: []api.Attachment{{Path: dir + "/file", Original: true}}})
	if err != nil {
		t.Fatal(err)
	}
	b.until("it is announced", func() bool { return b.count(a.id(), "large") == 1 })
	sending := func() bool {
		all, err := a.Transfers(ctx)
		return err == nil && len(all) == 1 && all[0].Direction == api.TransferOut && all[0].Have > 0
	}
	deposits := r1.Status().Deposits + r2.Status().Deposits
	done := make(chan struct{})
	seen := false
	looking, enough := context.WithCancel(ctx)
	defer enough()
	go func() {
		defer close(done)
		for n := 0; looking.Err() == nil; n++ {
			seen = seen || sending()
			if all, err := b.Transfers(ctx); err == nil && len(all) == 1 && n%500 == 0 {
				t.Logf("after %v: %d KiB, %d KiB/s", time.Since(began).Round(time.Second), all[0].Have>>10, all[0].Rate>>10)
			}
			<-time.After(20 * time.Millisecond)
		}
	}()
	saved, err := b.Save(ctx, api.SaveRequest{ID: s.ID, File: 0, Path: dir + "/saved"})
	if err != nil {
		t.Fatal(err)
	}
	enough()
	if <-done; !seen {
		t.Error("its sender saw nothing of it")
	}
	t.Logf("%d KiB in %v, %d deposits", size>>10, time.Since(began), r1.Status().Deposits+r2.Status().Deposits-deposits)
	if got, err := os.ReadFile(saved[0].Path); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// TestRelayDiesWithAFile: of two relays that a file comes by, the one that more
// of it goes by dies when a part has come, with what lies there, and the rest comes by the other.
func TestRelayDiesWithAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r1, r2 := startRelay(t, dir+"/r1"), startRelay(t, dir+"/r2")
	a, b := byRelays(t, dir, r1, r2)
	content := make([]byte, 32<<20)
	_, _ = rand.Read(content)
	if err := os.WriteFile(dir+"/file", content, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := a.Send(t.Context(), api.SendRequest{To: b.id(), Text: "large", Files: []api.Attachment{{Path: dir + "/file", Original: true}}})
	if err != nil {
		t.Fatal(err)
	}
	have := func() int64 {
		all, err := b.Transfers(t.Context())
		if err != nil || len(all) != 1 {
			return 0
		}
		return all[0].Have
	}
	b.until("a part of it is here", func() bool { return have() >= 1<<20 })
	dies, stays := r1, r2
	if r1.Status().Deposits < r2.Status().Deposits {
		dies, stays = r2, r1 // the one that more goes by
	}
	carried, before := dies.Status().Deposits, stays.Status().Deposits
	dies.halt()
	at := have()
	if at >= int64(len(content)) {
		t.Fatal("all of it came before the relay died")
	}
	died := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	saved, err := b.Save(ctx, api.SaveRequest{ID: s.ID, File: 0, Path: dir + "/saved"})
	if err != nil {
		t.Fatalf("%v, %d bytes are here, %d when it died", err, have(), at)
	}
	t.Logf("%d KiB were here, %d deposits at the relay that died and %d at the other; the rest came in %v", at>>10, carried, before, time.Since(died))
	if got, err := os.ReadFile(saved[0].Path); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if carried < 20 || stays.Status().Deposits == before {
		t.Errorf("control: %d deposits at the relay that died, %d more at the other", carried, stays.Status().Deposits-before)
	}
}
