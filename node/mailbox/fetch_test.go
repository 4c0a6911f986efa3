package mailbox

import (
	"testing"

	"rushlight/protocol/envelope"
	wire "rushlight/protocol/mailbox"
)

// More mail of several sizes than one answer has room for: every answer keeps
// within what was asked for, and together they have all of it.
func TestFetchInParts(t *testing.T) {
	r := newRelay(t)
	bob := r.person(r.client())
	d := r.deposits(r.client())
	total := 0
	for i := range 40 {
		c := []envelope.Class{envelope.M, envelope.M, envelope.S, envelope.L}[i%4]
		if _, err := d.Deposit(r.ctx(), &wire.Deposit{TTL: 14, Stamp: bob.stamps(r, c, 1)[0], Envelope: env(c)}); err != nil {
			t.Fatal(err)
		}
		total++
	}
	for _, most := range []uint32{1, 40_000, 100_000, fetchWindow, 300_000, 600_000} {
		n, after := 0, uint64(0)
		for more := true; more; {
			sum, some := 0, 0
			end, err := bob.box.Fetch(r.ctx(), wire.Fetch{After: after, MaxBytes: most}, func(e *wire.Env) error {
				sum, some = sum+len(e.Envelope), some+1
				return nil
			})
			if err != nil {
				t.Fatalf("%d at a time, after %d: %v", most, after, err)
			}
			if some == 0 || some > 1 && sum > int(most) {
				t.Fatalf("%d envelopes of %d bytes in an answer of at most %d", some, sum, most)
			}
			n, after, more = n+some, end.Next, end.More
		}
		if n != total {
			t.Errorf("%d at a time: %d envelopes of %d", most, n, total)
		}
	}
}
