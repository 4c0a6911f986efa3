package engine_test

import (
	"fmt"
	"testing"

	"rushlight/protocol/identity"
	"rushlight/protocol/message"
)

// far makes a write so many messages to b, none of which has come yet, and
// returns their envelopes.
func far(a, b *device, n int) (out [][]byte) {
	a.t.Helper()
	var bodies [][]byte
	for i := range n {
		body, err := message.NewBody(fmt.Sprint("message ", i), message.Lifetime{})
		a.must(err)
		bodies = append(bodies, body)
	}
	for len(bodies) > 0 {
		k := min(100, len(bodies))
		_, err := a.Flood(a.t.Context(), b.Account(), message.TypeText, bodies[:k])
		a.must(err)
		bodies = bodies[k:]
	}
	ps, err := a.Pending(b.Account(), 0, 2*n)
	a.must(err)
	for _, p := range ps {
		out = append(out, p.Envelope)
	}
	return out
}

// TestGivenUpIsNotAcknowledged: what a window gave up since so much that was sent
// after it has come was never received. When it comes after all it is refused, so
// that its sender seals it anew; who acknowledged it would lose it.
func TestGivenUpIsNotAcknowledged(t *testing.T) {
	a, b := newDevice(t, "Ann"), newDevice(t, "Bob")
	join(t, a, b)
	a.carry(b)
	b.carry(a)
	envs := far(a, b, 1200)
	if len(envs) < 1200 {
		t.Fatal("in the outbox:", len(envs))
	}
	give := func(from identity.DeviceID, i int) error {
		return b.ReceiveBatch(t.Context(), from, [][]byte{envs[i]})[0].Err
	}
	for _, i := range []int{1, 600, 1190} {
		if err := give(a.Device(), i); err != nil {
			t.Fatal(i, err)
		}
	}
	check := func(when string) {
		t.Helper()
		if err := give(a.Device(), 5); err == nil {
			t.Error(when, "what was given up is acknowledged")
		}
		// Controls: what came is acknowledged again, what is missing is taken.
		if err := give(a.Device(), 600); err != nil {
			t.Error(when, "what came is refused:", err)
		}
	}
	check("at once:")
	b.restart()
	check("after a start:")
	if err := give(a.Device(), 700); err != nil {
		t.Error("what is still awaited is refused:", err)
	}
}
