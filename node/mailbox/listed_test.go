package mailbox

import (
	"sync/atomic"
	"testing"

	"rushlight/protocol/envelope"
	wire "rushlight/protocol/mailbox"
)

// An owner who isn't listed any more can empty the mailbox, and nothing else
// that prolongs it.
func TestNotListedAnyMore(t *testing.T) {
	var listed atomic.Bool
	listed.Store(true)
	r := newRelay(t, func(r *relay) {
		r.cfg.Hosting = wire.HostList
		r.cfg.Allow = func([32]byte) bool { return listed.Load() }
	})
	p := r.person(r.client())
	st := p.stamps(r, envelope.S, 1)[0]
	if _, err := r.deposits(r.client()).Deposit(r.ctx(), &wire.Deposit{TTL: 30, Stamp: st, Envelope: env(envelope.S)}); err != nil {
		t.Fatal(err)
	}
	listed.Store(false)
	if state := p.open(r); !state.Found {
		t.Fatal("the mailbox is gone at once")
	}
	if got, _ := p.fetch(r, 0, 0); len(got) != 1 {
		t.Errorf("%d fetched", len(got))
	}
	_, err := p.box.Create(r.ctx(), &wire.Create{})
	wantErr(t, err, wire.CodeRefused)
	listed.Store(true)
	p.open(r)
	if _, err := p.box.Create(r.ctx(), &wire.Create{}); err != nil {
		t.Errorf("listed again: %v", err)
	}
}
