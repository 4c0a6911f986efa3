package discovery

import (
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// After a blow to the network, as after a start, the hash table may be in
// pieces that don't know of each other. A beacon lies in one of them, and who
// looks for it may be in another. So in the first moments, and in a table small
// enough for that, a device acts on each node that it hears of: it takes it
// into its own part, tells contacts that are there, which join their parts with
// it in turn, and puts its beacon again.
const (
	settling   = 2 * time.Minute // after a start, or a change of address
	smallTable = 2 * bucketSize  // nodes; in a larger one a put reaches the same as a search
	spreadWait = 2 * time.Second // for more of them
	maxFresh   = 8
	meetTime   = 3 * time.Second
)

// begun is when this device last began, or moved. The caller holds the lock.
func (f *Finder) begun() time.Time {
	if f.made.After(f.born) {
		return f.made
	}
	return f.born
}

// small reports whether the table is so small that questions cost little. The
// caller holds the lock.
func (f *Finder) small() bool { return f.size < smallTable }

// heard takes a node that the owner of a purse named.
func (f *Finder) heard(p peer.AddrInfo, purse string) {
	if f.servers.heard(p, purse) {
		f.found(p)
	}
}

// answered takes a node that has answered.
func (f *Finder) answered(p peer.AddrInfo) {
	if f.servers.tried(p, true, time.Now()) {
		f.found(p)
	}
}

// found acts on a node of which nothing was known, or not where it is.
func (f *Finder) found(p peer.AddrInfo) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if !f.open || !f.small() || now.Sub(f.begun()) > settling {
		return
	}
	for _, l := range []*[]peer.AddrInfo{&f.fresh.client, &f.fresh.table} {
		*l = append(*l, p)
		*l = (*l)[max(0, len(*l)-maxFresh):]
	}
	if f.spreadAt.IsZero() {
		f.spreadAt = now.Add(spreadWait)
	}
	f.ring()
}

// spread makes use of the nodes just found. The caller holds the lock.
func (f *Finder) spread(now time.Time) {
	f.spreadAt = time.Time{}
	f.rev++
	f.looked = f.rev
	for p, a := range f.there {
		f.news = append(f.news, arrival{account: a, peer: p, at: now})
	}
	if !f.pub.busy {
		f.pub.next = now
	} else {
		f.pub.again = true
	}
	for _, q := range f.quests {
		if !q.busy {
			q.next = now
		}
	}
	if f.table != nil {
		f.joinAt = now
	}
	f.ring()
}

// meetNew takes nodes just found, which it takes from a list, into a table.
func (f *Finder) meetNew(ctx context.Context, t *Table, from *[]peer.AddrInfo) {
	f.mu.Lock()
	all := *from
	*from = nil
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, f.patience(meetTime))
	defer cancel()
	var wg sync.WaitGroup
	for _, p := range all {
		if t.knows(p.ID) {
			continue
		}
		wg.Go(func() {
			if t.meet(ctx, p) == nil {
				f.answered(p)
			}
		})
	}
	wg.Wait()
}
