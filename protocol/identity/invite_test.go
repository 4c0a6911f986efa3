package identity

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rushlight/protocol/wire"
)

func invite(uses, relays int) *Invite {
	i := NewInvite(NewAccount().ID(), time.Unix(1.8e9, 0))
	for n := range uses {
		i.Uses = append(i.Uses, sha256.Sum256([]byte{byte(n)}))
	}
	i.Hints = hints
	for n := range relays {
		r := InviteRelay{Key: [32]byte{byte(n)}, Addr: bytes.Repeat([]byte{7}, 11)}
		r.Stamp[3] = 9
		i.Relays = append(i.Relays, r)
	}
	return i
}

func link(t testing.TB, i *Invite) string {
	t.Helper()
	s, err := i.Link()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestInviteRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		i := invite(rapid.IntRange(1, 8).Draw(r, "uses"), rapid.IntRange(0, 2).Draw(r, "relays"))
		i.Flags = rapid.SampledFrom([]uint8{0, NeedsApproval}).Draw(r, "flags")
		i.Hints = i.Hints[:rapid.IntRange(0, 2).Draw(r, "hints")]
		s := link(t, i)
		qr, _ := i.QR()
		for _, form := range []string{s, qr} {
			got, err := ParseInvite(form)
			if err != nil || link(t, got) != s {
				r.Fatalf("round trip: %v", err)
			}
		}
		if qr != strings.ToUpper(s) {
			r.Fatal("QR form differs")
		}
	})
}

// One use, two hints as libp2p makes them and no relay: under 300 bytes.
func TestInviteIsShort(t *testing.T) {
	b, err := invite(1, 0).Marshal()
	if err != nil || len(b) >= 300 {
		t.Fatalf("%d bytes: %v", len(b), err)
	}
	t.Logf("%d bytes, link of %d characters", len(b), len(link(t, invite(1, 0))))
	full := invite(MaxUses, MaxRelays)
	full.Hints = nil
	for range MaxHints {
		full.Hints = append(full.Hints, Hint{Peer: make([]byte, maxPeer), Addr: make([]byte, maxAddr)})
	}
	for n := range full.Relays {
		full.Relays[n].Addr = make([]byte, maxRelayAddr)
	}
	s := link(t, full)
	if _, err := ParseInvite(s); err != nil || len(s) > maxInviteText {
		t.Fatalf("largest invite, %d characters: %v", len(s), err)
	}
}

func TestInviteCutAnywhere(t *testing.T) {
	s := link(t, invite(2, 1))
	for n := range s {
		if _, err := ParseInvite(s[:n]); !errors.Is(err, ErrInviteTruncated) {
			t.Fatalf("cut to %d of %d: %v", n, len(s), err)
		}
	}
}

func TestInviteAlteredAnywhere(t *testing.T) {
	s := link(t, invite(1, 1))
	for n := range s {
		for _, c := range []byte("b7zB= \n-") {
			bad := s[:n] + string(c) + s[n+1:]
			_, err := ParseInvite(bad)
			if bad != s && !errors.Is(err, ErrInviteAltered) && !errors.Is(err, ErrInviteTruncated) {
				t.Fatalf("character %d altered: %v", n, err)
			}
		}
	}
	// In the fixed part an alteration is never taken for a cut.
	b, _ := invite(1, 0).Marshal()
	for n := range 86 {
		bad := bytes.Clone(b)
		bad[n] ^= 0x10
		if _, err := ParseInvite(inviteScheme + wire.EncodeText(bad)); !errors.Is(err, ErrInviteAltered) {
			t.Fatalf("byte %d: %v", n, err)
		}
	}
	for name, bad := range map[string]string{
		"space inside": s[:40] + " " + s[40:], "line break": s[:40] + "\n" + s[40:], "space before": " " + s,
		"more": s + "aaaaaaaa", "scheme in upper case": strings.ToUpper(s[:10]) + s[10:],
		"Kelvin sign":  strings.Replace(strings.ToUpper(s), "K", "\u212a", 1) + "\u212a",
		"other scheme": "https://example.org/" + s, "long": inviteScheme + strings.Repeat("a", 1<<20),
	} {
		if _, err := ParseInvite(bad); !errors.Is(err, ErrInviteAltered) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Well-formed bytes with a right checksum that break a limit are refused too.
func TestInviteLimits(t *testing.T) {
	for name, spoil := range map[string]func(*Invite){
		"no use":        func(i *Invite) { i.Uses = nil },
		"nine uses":     func(i *Invite) { i.Uses = invite(9, 0).Uses },
		"one use twice": func(i *Invite) { i.Uses = append(i.Uses, i.Uses[0]) },
		"flag":          func(i *Invite) { i.Flags = 2 },
		"three relays":  func(i *Invite) { i.Relays = invite(1, 3).Relays },
		"relay address": func(i *Invite) { i.Relays[0].Addr = nil },
		"hint":          func(i *Invite) { i.Hints = []Hint{{}} },
	} {
		i := invite(1, 1)
		spoil(i)
		if _, err := i.Link(); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: made: %v", name, err)
		}
	}
	b, _ := invite(1, 0).Marshal()
	b = b[:len(b)-inviteSumLen]
	b[1] = 2
	if _, err := ParseInvite(inviteScheme + wire.EncodeText(append(b, inviteSum(b)...))); !errors.Is(err, ErrInviteAltered) {
		t.Errorf("unknown flag read: %v", err)
	}
	b[1], b[0] = 0, 2
	if _, err := ParseInvite(inviteScheme + wire.EncodeText(append(b, inviteSum(b)...))); !errors.Is(err, ErrInviteVersion) {
		t.Errorf("newer version: %v", err)
	}
}

func TestInviteExpiry(t *testing.T) {
	i := invite(1, 0)
	if at := time.Unix(1.8e9, 0); i.Expired(at.Add(-time.Second)) || !i.Expired(at) {
		t.Error("expiry is not at its second")
	}
}

func FuzzParseInvite(f *testing.F) {
	f.Add(link(f, invite(1, 0)))
	f.Add(link(f, invite(8, 2)))
	f.Fuzz(func(t *testing.T, s string) {
		i, err := ParseInvite(s)
		if err != nil {
			return
		}
		if again := link(t, i); again != s && strings.ToUpper(again) != s {
			t.Fatal("not canonical")
		}
	})
}
