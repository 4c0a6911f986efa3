package world

import (
	"testing"
	"time"
)

// few runs f among n people who all know each other.
func few(t *testing.T, n int, f func(w *world)) {
	t.Helper()
	simulate(t, n, func(w *world) {
		w.befriendAll()
		f(w)
	})
}

func TestTalk(t *testing.T) {
	few(t, 2, func(w *world) {
		a, b := w.people[0], w.people[1]
		w.arrive("talk", time.Second, w.say(a, b), w.say(b, a))
		w.check()
	})
}
