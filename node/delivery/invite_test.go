package delivery

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"rushlight/node/delivery/parcel"
	"rushlight/protocol/suite"
)

// inviter is a node that answers for one invite with a code, and one that
// wants to know.
func inviter(t *testing.T, code uint8) (asker *Manager, hints []Hint, id [16]byte, secret [32]byte) {
	t.Helper()
	suite.Random(id[:])
	suite.Random(secret[:])
	e := newMemory(t)
	e.invite = func(got [16]byte, proof func([32]byte) bool) ([32]byte, []byte, uint8) {
		if got != id || !proof(secret) {
			return [32]byte{}, nil, parcel.CodeUnknown
		}
		return secret, []byte("the bundle"), code
	}
	h := newHost(t)
	start(t, e, h)
	return New(newHost(t), newMemory(t), Config{Logger: testLog(t)}), hintsOf(h), id, secret
}

func TestFetchInvite(t *testing.T) {
	asker, hints, id, secret := inviter(t, 0)
	got, err := asker.FetchInvite(t.Context(), hints, id, secret)
	if err != nil || !bytes.Equal(got, []byte("the bundle")) {
		t.Fatalf("%q, %v", got, err)
	}
	// A dead hint beside a good one does no harm.
	dead := newHost(t)
	all := append(hintsOf(dead), hints...)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := asker.FetchInvite(t.Context(), all, id, secret); err != nil {
		t.Error(err)
	}

	wrong := secret
	wrong[0] ^= 1
	if _, err := asker.FetchInvite(t.Context(), hints, id, wrong); !errors.Is(err, ErrInviteUnknown) {
		t.Errorf("wrong secret: %v", err)
	}
	if _, err := asker.FetchInvite(t.Context(), hints, [16]byte{1}, secret); !errors.Is(err, ErrInviteUnknown) {
		t.Errorf("wrong id: %v", err)
	}
	if _, err := asker.FetchInvite(t.Context(), nil, id, secret); !errors.Is(err, ErrUnreachable) {
		t.Errorf("no hints: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := asker.FetchInvite(ctx, hints, id, secret); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestFetchInviteRefused(t *testing.T) {
	for code, want := range map[uint8]error{
		parcel.CodeUsed: ErrInviteUsed, parcel.CodeExpired: ErrInviteExpired,
		parcel.CodeUnknown: ErrInviteUnknown, parcel.CodeBusy: ErrUnreachable,
	} {
		asker, hints, id, secret := inviter(t, code)
		if _, err := asker.FetchInvite(t.Context(), hints, id, secret); !errors.Is(err, want) {
			t.Errorf("code %d: %v", code, err)
		}
	}
}

// A request that was overheard serves nobody else, and a reply opens for the
// request alone. Control: unchanged, both hold.
func TestInviteBindings(t *testing.T) {
	var secret [32]byte
	suite.Random(secret[:])
	g := inviteGet{id: [16]byte{1}, nonce: [32]byte{2}}
	a, b, c := newHost(t).ID(), newHost(t).ID(), newHost(t).ID()
	again := g
	if inviteMAC(secret, g, a, b) != inviteMAC(secret, again, a, b) {
		t.Error("the same request has two proofs")
	}
	other := g
	other.nonce[0]++
	if inviteMAC(secret, g, a, b) == inviteMAC(secret, g, c, b) || inviteMAC(secret, g, a, b) == inviteMAC(secret, g, a, c) ||
		inviteMAC(secret, g, a, b) == inviteMAC(secret, other, a, b) {
		t.Error("a proof holds for another request")
	}
	var n [32]byte
	sealed := suite.Seal(nil, inviteKey(secret, g, n, a, b), nil, []byte("x"))
	if _, err := suite.Open(nil, inviteKey(secret, g, n, a, b), nil, sealed); err != nil {
		t.Error("the reply does not open")
	}
	for _, key := range [][]byte{inviteKey(secret, other, n, a, b), inviteKey(secret, g, n, c, b), inviteKey(secret, g, [32]byte{1}, a, b)} {
		if _, err := suite.Open(nil, key, nil, sealed); err == nil {
			t.Error("the reply opens for another request")
		}
	}
}
