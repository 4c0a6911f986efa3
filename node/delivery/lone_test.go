package delivery

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"rushlight/protocol/envelope"
)

// TestClaim holds that what a queue is claimed for and what is put meanwhile
// don't overtake each other.
func TestClaim(t *testing.T) {
	ctx := context.Background()
	q := newQueue(10, 10, func(int) int { return 0 })
	if q.claim() {
		t.Error("claimed before anybody takes")
	}
	if q.swap(nil) != nil || !q.claim() {
		t.Fatal("not claimed at rest")
	}
	if q.claim() {
		t.Error("claimed twice")
	}
	if err := q.put(ctx, []int{1}); err != nil {
		t.Fatal(err)
	}
	if q.swap(nil) != nil {
		t.Error("taken while claimed")
	}
	q.release()
	if q.claim() {
		t.Error("claimed with something ahead")
	}
	if got, err := q.take(ctx, nil); err != nil || len(got) != 1 {
		t.Error("not taken after release:", got, err)
	}
	if q.claim() {
		t.Error("claimed while somebody works on what was taken")
	}
}

// A lone acknowledgement is recorded by the goroutine that read it, while
// another waits for the next frame: when the record fails, the stream must end
// at once and not with the next frame.
func TestLoneFailureEndsTheStream(t *testing.T) {
	ea, eb := newMemory(t), newMemory(t)
	ha, hb := newHost(t), newHost(t)
	ea.meet(eb, true, hintsOf(hb)...)
	eb.meet(ea, true)
	a, _ := start(t, ea, ha), start(t, eb, hb)
	a.queue(eb.account, 1, envelope.S)
	a.until("the first", func() bool { return len(ea.contacts[eb.account].outbox) == 0 })
	x := a.manager.sessions()[0]
	for !x.answers.claim() { // until all is quiet
		runtime.Gosched()
	}
	x.answers.release()
	tried := make(chan struct{})
	tell := sync.OnceFunc(func() { close(tried) })
	ea.mu.Lock()
	ea.broken = func() error {
		for x.reading.try() { // until the other has begun to read
			x.reading.pass()
			runtime.Gosched()
		}
		tell()
		return errors.New("disk is full")
	}
	ea.mu.Unlock()
	a.queue(eb.account, 1, envelope.S)
	<-tried
	for limit := time.Now().Add(90 * time.Second); slices.Contains(a.manager.sessions(), x); runtime.Gosched() {
		if time.Now().After(limit) {
			t.Fatal("the stream goes on")
		}
	}
}
