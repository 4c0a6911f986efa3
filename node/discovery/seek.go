package discovery

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"rushlight/node/host"
	"rushlight/protocol/beacon"
	"rushlight/protocol/identity"
)

// How often somebody is looked for (spec §14.4).
const (
	seekFirst   = 5 * time.Second
	seekOften   = 10 * time.Second // the longest pause in the first moments
	seekShort   = time.Minute      // the longest pause in the first minutes
	seekEager   = 10 * time.Minute // the first minutes
	seekLast    = 4 * time.Hour
	seekTime    = 10 * time.Second // for one search
	newerTime   = 2 * time.Second  // for a newer beacon after the first
	askTime     = 8 * time.Second  // for one contact to answer
	askedAtMost = 6                // contacts asked at a time
)

// quest is the search for one contact, or for the maker of one invite.
type quest struct {
	began, next time.Time
	pause       time.Duration
	busy        bool
	turn        int // contacts asked so far
}

// failed plans the next search. In a small table the first ones come quickly
// after each other: they cost little, and its parts may just be coming together.
// Where little may be spent they come seldom.
func (q *quest) failed(now time.Time, small bool, left host.Thrift) {
	first, limit := seekFirst, seekShort
	switch began := now.Sub(q.began); {
	case left == host.Spent:
		first, limit = seekEager, seekLast
	case began > seekEager || left != host.Ample && began > settling:
		limit = seekLast
	case began < settling && small:
		limit = seekOften
	}
	q.pause = min(max(first, 2*q.pause), limit)
	q.next = now.Add(q.pause)
}

// pursue looks for a contact once.
func (f *Finder) pursue(ctx context.Context, a identity.AccountID, q *quest) {
	found := false
	if f.cfg.Waits(a) && !f.isThere(a) {
		found = f.seek(ctx, a, q)
	} else {
		f.mu.Lock()
		if f.quests[a] == q {
			delete(f.quests, a)
		}
		f.mu.Unlock()
		return
	}
	f.mu.Lock()
	q.busy = false
	q.failed(time.Now(), f.small(), f.cfg.Host.Thrift())
	f.mu.Unlock()
	if found {
		f.cfg.Found(a)
	}
	f.ring()
}

func (f *Finder) isThere(a identity.AccountID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.there {
		if a == b {
			return true
		}
	}
	return false
}

// seek asks the hash table, and other contacts when that has nothing new. It
// reports whether there are other addresses than before.
func (f *Finder) seek(ctx context.Context, a identity.AccountID, q *quest) bool {
	f.mu.Lock()
	r := f.friends[a]
	if r == nil || r.Reader == ([64]byte{}) {
		f.mu.Unlock()
		return false
	}
	reader, since := readerOf(r.Reader), r.Made
	f.mu.Unlock()
	if body, made, ok := f.read(ctx, reader, beacon.Places, time.UnixMilli(since)); ok {
		if len(body.Relays) > 0 {
			f.cfg.FoundRelays(ctx, a, body.Relays, made)
		}
		return f.learn(a, hintsOf(body), made.UnixMilli())
	}
	hints, made := f.askAround(ctx, a, reader.Secret, q)
	return len(hints) > 0 && f.learn(a, f.ofPeers(a, hints), made)
}

// read looks for an owner's newest beacon, made after a time.
func (f *Finder) read(ctx context.Context, r beacon.Reader, places uint8, after time.Time) (body *beacon.Body, made time.Time, ok bool) {
	now := time.Now()
	err := f.ask(ctx, func(t *Table) error {
		ctx, cancel := context.WithTimeout(ctx, f.patience(seekTime))
		defer cancel()
		var mu sync.Mutex
		var wg sync.WaitGroup
		for e := r.Epoch(now); e+1 >= r.Epoch(now); e-- {
			for n := range places {
				p := beacon.Place{Epoch: e, N: n}
				key, err := r.Key(p)
				if err != nil {
					return err
				}
				wg.Go(func() {
					_ = t.Search(ctx, BeaconKey(key), func(v []byte) bool {
						b, at, err := r.Open(p, v, now)
						mu.Lock()
						defer mu.Unlock()
						if err != nil || !at.After(after) {
							return true // held back, or replayed
						}
						after, body, made = at, b, at
						if !ok {
							ok = true
							time.AfterFunc(newerTime, cancel)
						}
						return true
					})
				})
			}
		}
		wg.Wait()
		f.mu.Lock()
		f.size = max(t.Size(), 1)
		f.mu.Unlock()
		return nil
	})
	if err != nil {
		f.log.Debug("looking for a contact", "error", err)
	}
	return body, made, ok
}

// askAround asks contacts who may know, some each time: those that are there
// first, then those heard of most lately.
func (f *Finder) askAround(ctx context.Context, about identity.AccountID, secret [32]byte, q *quest) (hints []identity.Hint, made int64) {
	type someone struct {
		account identity.AccountID
		peer    peer.ID
		seen    int64
	}
	var all []someone
	f.mu.Lock()
	for p, a := range f.there {
		all = append(all, someone{a, p, 1 << 62})
	}
	for a, r := range f.friends {
		if a != about && !slices.ContainsFunc(all, func(s someone) bool { return s.account == a }) {
			all = append(all, someone{a, "", r.Made})
		}
	}
	slices.SortFunc(all, func(a, b someone) int {
		return cmp.Or(cmp.Compare(b.seen, a.seen), bytes.Compare(a.account[:], b.account[:]))
	})
	if q.turn >= len(all) {
		q.turn = 0
	}
	some := all[q.turn:min(len(all), q.turn+askedAtMost)]
	q.turn += len(some)
	f.mu.Unlock()

	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, s := range some {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, f.patience(askTime))
			defer cancel()
			p := s.peer
			if p == "" {
				var ok bool
				if p, ok = f.call(ctx, s.account); !ok {
					return
				}
			}
			got, err := f.tell(ctx, s.account, p, &secret)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && got != nil && got.made > made {
				hints, made = got.hints, got.made
			}
		})
	}
	wg.Wait()
	return hints, made
}

// patience is how long to wait for what takes so long elsewhere: all goes slower
// through Tor.
func (f *Finder) patience(d time.Duration) time.Duration {
	if f.cfg.Host.Profile() == host.Hidden {
		return 6 * d
	}
	return d
}

// call connects to a device of a contact.
func (f *Finder) call(ctx context.Context, a identity.AccountID) (peer.ID, bool) {
	ctx = host.CallsFor(ctx, string(a[:]))
	for p, addrs := range addrsOf(slices.Concat(f.Hints(a), f.cfg.Known(a))) {
		if f.cfg.Host.Connect(ctx, peer.AddrInfo{ID: p, Addrs: Order(addrs)}) == nil {
			return p, true
		}
	}
	return "", false
}

// ofPeers leaves out addresses of devices that are not known to be the
// contact's: another contact named them.
func (f *Finder) ofPeers(a identity.AccountID, hints []identity.Hint) (out []identity.Hint) {
	known := slices.Concat(f.Hints(a), f.cfg.Known(a))
	for _, h := range hints {
		if slices.ContainsFunc(known, func(k identity.Hint) bool { return slices.Equal(k.Peer, h.Peer) }) {
			out = append(out, h)
		}
	}
	return out
}

// learn takes newer addresses of a contact, and reports whether they are
// others than before.
func (f *Finder) learn(a identity.AccountID, hints []identity.Hint, made int64) bool {
	if len(hints) == 0 {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.friends[a]
	if r == nil || made <= r.Made {
		return false
	}
	same := sameHints(r.Hints, hints)
	r.Hints, r.Made = hints, made
	f.dirty[a] = true
	return !same
}

func sameHints(a, b []identity.Hint) bool {
	return slices.EqualFunc(a, b, func(a, b identity.Hint) bool {
		return slices.Equal(a.Peer, b.Peer) && slices.Equal(a.Addr, b.Addr)
	})
}

// SeekInvite looks for the maker of an invite whose addresses don't work: in
// the hash table, then with contacts who may know. It returns nothing when it
// looked a moment ago.
func (f *Finder) SeekInvite(ctx context.Context, inv *identity.Invite) (out []identity.Hint) {
	now := time.Now()
	f.mu.Lock()
	q := f.invited[inv.ID]
	if q == nil {
		clear(f.invited) // few are open at once, and nothing is lost
		q = &quest{began: now}
		f.invited[inv.ID] = q
	}
	ok := f.open && !q.busy && !q.next.After(now)
	q.busy = q.busy || ok
	f.mu.Unlock()
	if !ok {
		return nil
	}
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		q.busy = false
		q.failed(time.Now(), f.small(), f.cfg.Host.Thrift())
	}()
	// Whoever holds the invite can write there: devices that the invite doesn't
	// name are left out.
	named := func(hints []identity.Hint) (out []identity.Hint) {
		for _, h := range hints {
			if len(inv.Hints) == 0 || slices.ContainsFunc(inv.Hints, func(k identity.Hint) bool { return slices.Equal(k.Peer, h.Peer) }) {
				out = append(out, h)
			}
		}
		return out
	}
	if body, _, ok := f.read(ctx, beacon.InviteOwner(inv.Secret).Reader(), 1, time.Time{}); ok {
		out = named(hintsOf(body))
	}
	if len(out) == 0 {
		hints, _ := f.askAround(ctx, inv.Account, vouchSecret(inv.Secret), q)
		out = named(hints)
	}
	return out
}

func readerOf(b [64]byte) beacon.Reader {
	return beacon.Reader{Public: [32]byte(b[:32]), Secret: [32]byte(b[32:])}
}

func readerBytes(r beacon.Reader) (b [64]byte) {
	copy(b[:], r.Public[:])
	copy(b[32:], r.Secret[:])
	return b
}

func sameRelays(a, b []beacon.Relay) bool {
	return slices.EqualFunc(a, b, func(a, b beacon.Relay) bool {
		return a.Key == b.Key && a.Request == b.Request && slices.EqualFunc(a.Addrs, b.Addrs, bytes.Equal)
	})
}

// bodyOf is what a beacon says of addresses and relays.
func bodyOf(hints []identity.Hint, relays []beacon.Relay) *beacon.Body {
	b := &beacon.Body{Relays: relays}
	for _, h := range hints {
		if len(h.Addr) == 0 {
			continue
		}
		i := slices.IndexFunc(b.Peers, func(p beacon.Peer) bool { return slices.Equal(p.ID, h.Peer) })
		if i < 0 {
			i = len(b.Peers)
			b.Peers = append(b.Peers, beacon.Peer{ID: h.Peer})
		}
		b.Peers[i].Addrs = append(b.Peers[i].Addrs, h.Addr)
	}
	b.Trim()
	return b
}

func hintsOf(b *beacon.Body) (out []identity.Hint) {
	for _, p := range b.Peers {
		for _, a := range p.Addrs {
			out = append(out, identity.Hint{Peer: p.ID, Addr: a})
		}
	}
	return out
}
