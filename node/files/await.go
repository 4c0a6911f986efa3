package files

import (
	"context"
	"slices"
	"time"

	"rushlight/node/post"
	"rushlight/protocol/envelope"
	"rushlight/protocol/file"
)

// awaited names a stretch of a file that is on its way here.
type awaited struct {
	f *fetch
	n uint32
}

// awaitedFor is for how long stretches of a file that isn't fetched any more
// are still known: what was ordered comes late.
const awaitedFor = 30 * time.Minute

// await makes stretches at a relay known by their tags.
func (m *Manager) await(f *fetch, keys file.Mailing, relay [32]byte, nths []uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range nths {
		tag := keys.Tag(relay, n)
		m.tags[tag] = awaited{f, n}
		f.tags = append(f.tags, tag)
	}
	// Those that came long ago aren't asked for again.
	for len(f.tags) > 8*mostAhead {
		if m.tags[f.tags[0]].f == f {
			delete(m.tags, f.tags[0])
		}
		f.tags = f.tags[1:]
	}
}

// Awaits implements post.Porter.
func (m *Manager) Awaits(tag [16]byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.tags[tag]
	return ok
}

func (m *Manager) awaiter(env []byte) *fetch {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tags[envelope.TagOf(env)].f
}

// awaited is which stretch of a file an envelope has.
func (m *Manager) awaited(f *fetch, env []byte) (n uint32, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	x, ok := m.tags[envelope.TagOf(env)]
	return x.n, ok && x.f == f
}

// unawait forgets the stretches of files that ended a while ago.
func (m *Manager) unawait(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for tag, x := range m.tags {
		if !x.f.endedAt.IsZero() && now.Sub(x.f.endedAt) > awaitedFor {
			delete(m.tags, tag)
		}
	}
}

// hold remembers that a stretch was taken.
func (f *fetch) hold(h heldPart) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = append(f.held, h)
}

// kept are the numbers at a relay of the stretches of which nothing is missing
// any more, or that were wrong.
func (f *fetch) kept(relay [32]byte) (done []uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rest := f.held[:0]
	for _, h := range f.held {
		missing := false
		f.blob.Layout().PiecesIn(h.n, func(i uint32, _, _, _ int) { missing = missing || !f.blob.Has(i) })
		switch {
		case missing && !h.wrong:
			rest = append(rest, h)
		case h.relay == relay:
			done = append(done, h.seq)
		}
	}
	f.held = rest
	return done
}

// claimMailed takes a piece that came whole by way of relays. What it returns is
// closed when it has been checked.
func (f *fetch) claimMailed(i uint32) (checked chan struct{}, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.blob.Has(i) || f.checks[i] != nil {
		return nil, false
	}
	checked = make(chan struct{})
	f.claimed[i], f.checks[i] = true, checked
	return checked, true
}

// checking reports whether a piece that came by way of relays is being checked.
func (f *fetch) checking(i uint32) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.checks[i] != nil
}

// checkedMailed notes that a piece was checked. Of a wrong one nothing is kept.
func (f *fetch) checkedMailed(i uint32, right bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.checks[i]
	if c == nil {
		return
	}
	delete(f.checks, i)
	if !right {
		f.wrongs++
	}
	for k := range f.held {
		if !right {
			f.blob.Layout().PiecesIn(f.held[k].n, func(p uint32, _, _, _ int) { f.held[k].wrong = f.held[k].wrong || p == i })
		}
	}
	close(c)
}

// wrongMailed is how many pieces were wrong since it was asked last.
func (f *fetch) wrongMailed() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, f.wrongs = f.wrongs, 0
	return n
}

// fetching is how many files are being fetched, at least one.
func (m *Manager) fetching() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(1, len(m.in))
}

// Carry implements post.Porter.
func (m *Manager) Carry(ctx context.Context, relay [32]byte, parts []post.Part) (done []uint64) {
	byFetch := map[*fetch][]post.Part{}
	for _, p := range parts {
		if f := m.awaiter(p.Envelope); f != nil {
			byFetch[f] = append(byFetch[f], p)
		}
	}
	for f, some := range byFetch {
		done = append(done, f.carry(ctx, relay, some)...)
	}
	return done
}

// carry waits until stretches are put together and what is complete is checked.
func (f *fetch) carry(ctx context.Context, relay [32]byte, parts []post.Part) (done []uint64) {
	c := &batch{relay: relay, parts: parts, done: make(chan struct{})}
	wait := func(ch <-chan struct{}) bool {
		select {
		case <-ch:
			return true
		case <-f.ctx.Done():
		case <-ctx.Done():
		}
		return false
	}
	select {
	case f.batches <- c:
		<-c.done // it waits for nothing but the disk, and the end of the fetch
		ok := true
		for i := 0; ok && i < len(c.check); i++ {
			ok = wait(c.check[i])
		}
	case <-f.ctx.Done():
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return nil
	}
	done = f.kept(relay)
	if f.blob.Whole() || f.over() { // nothing of it is wanted any more
		for _, p := range parts {
			done = append(done, p.Seq)
		}
	}
	slices.Sort(done)
	return slices.Compact(done)
}

// over reports whether the fetch ended for good.
func (f *fetch) over() bool {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return !f.endedAt.IsZero() && !f.again
}
