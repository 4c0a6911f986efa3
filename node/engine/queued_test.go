package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/message"
)

// A reaction to what burns while this device is off is taken back when it starts
// again, and not counted any more.
func TestQueuedAboutWhatBurnsWhileOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := skewed(t, "ann", 0), skewed(t, "bob", 0)
		meet(t, a, b)
		a.carry(b)
		b.carry(a)
		id := a.send(b, engine.Send{Text: "for a minute", Life: message.Lifetime{Burn: time.Minute}})
		a.carry(b)
		b.must(b.React(t.Context(), id, "👍"))
		if got := b.texts(a); len(got) != 1 {
			t.Fatalf("he sees %q", got)
		}
		b.close()
		time.Sleep(time.Hour)
		b.open()
		b.start()
		time.Sleep(time.Second)
		b.carry(a)
		if n := b.Queued(); n != 0 {
			t.Errorf("%d are queued", n)
		}
	})
}
