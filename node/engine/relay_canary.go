package engine

import (
	"context"
	"fmt"
	"time"

	"rushlight/protocol/envelope"
	"rushlight/protocol/mailbox"
	"rushlight/protocol/receipt"
	"rushlight/protocol/stamp"
	"rushlight/protocol/suite"
	"rushlight/protocol/wire"
	"rushlight/storage/record"
)

const (
	maxMissed = 3              // tests in a row that fail before contacts are told of others
	downAfter = 24 * time.Hour // without an answer
)

// Canary is a letter that this device leaves for itself, to see whether the
// relay hands it out (spec §12.11). To the relay it looks like any other.
type Canary struct {
	Stamp    stamp.Stamp
	Envelope []byte
}

// Canary makes a letter to oneself; nil when there is no stamp for it.
func (e *Engine) Canary(ctx context.Context, relay [32]byte) (c *Canary, err error) {
	err = e.do(ctx, 128<<10, func(t *txn) error {
		c = nil
		s, err := t.draw(relay, 0, 1)
		if err != nil || len(s) == 0 {
			return err
		}
		c = &Canary{Stamp: s[0].Stamp, Envelope: make([]byte, envelope.S.Size())}
		suite.Random(c.Envelope)
		return nil
	})
	return c, err
}

// Proof shows that a relay has lied: it has signed for an envelope, and the log
// that it gave out up to a later commit did not have it.
type Proof struct {
	Object, Tag [16]byte
	Receipt     receipt.Receipt
	Batch       uint64 // of the END that lacks the envelope
}

// Marshal encodes p.
func (p *Proof) Marshal() []byte {
	return p.Receipt.Append(wire.NewWriter(nil).Raw(p.Object[:]).Raw(p.Tag[:]).U64(p.Batch).Out())
}

// ParseProof decodes a [Proof].
func ParseProof(b []byte) (*Proof, error) {
	r := wire.NewReader(b)
	p := &Proof{Object: r.A16(), Tag: r.A16(), Batch: r.U64()}
	p.Receipt = receipt.Read(r)
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("reading a proof: %w", err)
	}
	return p, nil
}

// Holds reports whether the relay did sign, before the commit up to which it
// gave its log out. That the log lacked the envelope is the word of who has the
// proof.
func (p *Proof) Holds(relay [32]byte) bool {
	return p.Batch >= p.Receipt.Batch && p.Receipt.VerifyRoot(relay[:], p.Receipt.Root(p.Object, p.Tag))
}

// ProofOf makes the proof for a canary that did not come.
func ProofOf(c *Canary, r *receipt.Receipt, batch uint64) *Proof {
	return &Proof{Object: mailbox.Object(c.Envelope), Tag: envelope.TagOf(c.Envelope), Receipt: *r, Batch: batch}
}

// CanaryCame notes the outcome of a test. A relay that fails several times in a
// row, or of which there is proof that it lies, is not named to contacts any
// more while there is another.
func (e *Engine) CanaryCame(ctx context.Context, relay [32]byte, came bool, proof *Proof) error {
	return e.judge(ctx, relay, func(t *txn, r *record.Relay) {
		r.Canary = t.now.Unix()
		switch {
		case came:
			r.Missed = 0
		case r.Missed < 255:
			r.Missed++
		}
		if proof != nil && r.Lied == 0 && proof.Holds(relay) {
			r.Lied, r.Proof = t.now.Unix(), proof.Marshal()
			t.e.log.Warn("a relay has lied: it signed for mail and did not hand it out")
		}
	})
}

// RelayAnswered notes whether a relay could be reached. One that could not for a
// day is not named to contacts any more while there is another.
func (e *Engine) RelayAnswered(ctx context.Context, relay [32]byte, ok bool) error {
	for _, r := range e.Mailboxes() {
		if now := e.store.Now(); r.Key == relay && ok && !r.Down && now.Sub(time.Unix(r.Worked, 0)) < time.Hour ||
			r.Key == relay && !ok && (r.Down || r.Worked == 0 || now.Sub(time.Unix(r.Worked, 0)) < downAfter) {
			return nil
		}
	}
	return e.judge(ctx, relay, func(t *txn, r *record.Relay) {
		if ok {
			r.Worked, r.Down = t.now.Unix(), false
		} else {
			r.Down = r.Worked != 0 && t.now.Sub(time.Unix(r.Worked, 0)) >= downAfter
		}
	})
}

// judge changes what is thought of a relay, and tells contacts if the set of
// relays is another one now.
func (e *Engine) judge(ctx context.Context, relay [32]byte, change func(t *txn, r *record.Relay)) error {
	return e.do(ctx, 1<<20, func(t *txn) error {
		r := t.relay(relay)
		if r == nil {
			return nil
		}
		before := len(t.ready())
		bad := Bad(r)
		change(t, r)
		if err := t.putRelay(relay, r); err != nil {
			return err
		}
		if Bad(r) == bad || before == len(t.ready()) && len(t.relays()) == 1 {
			return nil
		}
		return t.issue()
	})
}
