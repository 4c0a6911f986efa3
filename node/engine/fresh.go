package engine

import (
	"slices"
	"sync"

	"rushlight/node/delivery/parcel"
	"rushlight/protocol/envelope"
	"rushlight/protocol/identity"
	"rushlight/storage/record"
)

// maxFresh bounds how many envelopes are kept in memory for one account, and
// maxFreshAccounts for how many.
const (
	maxFresh         = 512
	maxFreshAccounts = 32
)

// fresh hands what was just committed to delivery without reading it back. What
// isn't here is in the store.
type fresh struct {
	mu  sync.Mutex
	all map[identity.AccountID]*freshList
}

// freshList is what is fresh for one account.
type freshList struct {
	entries []*freshEntry // by number, ascending
	newest  uint64        // the last number that was committed, here or not
}

// freshEntry is an outbox entry with its payload as it was packed.
type freshEntry struct {
	seq     uint64
	entry   *record.Outbox
	payload []byte
	expires int64 // unix milliseconds; 0 is never
}

func (f *fresh) add(a identity.AccountID, entries []*freshEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.all[a]
	if l == nil {
		if len(f.all) >= maxFreshAccounts {
			clear(f.all)
		}
		if f.all == nil {
			f.all = map[identity.AccountID]*freshList{}
		}
		l = &freshList{}
		f.all[a] = l
	}
	l.newest = entries[len(entries)-1].seq
	if len(l.entries)+len(entries) <= maxFresh {
		l.entries = append(l.entries, entries...)
	}
}

// drop forgets an entry that has left the outbox.
func (f *fresh) drop(a identity.AccountID, seq uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.all[a]
	if l == nil {
		return
	}
	l.entries = slices.DeleteFunc(l.entries, func(e *freshEntry) bool { return e.seq == seq })
}

// take removes and returns at most limit entries that follow a number without
// a gap, and whether there may be more of them elsewhere.
func (f *fresh) take(a identity.AccountID, after uint64, limit int, now int64) (out []*freshEntry, more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.all[a]
	if l == nil {
		return nil, true
	}
	all := l.entries
	for len(all) > 0 && all[0].seq <= after {
		all = all[1:]
	}
	for len(all) > 0 && len(out) < limit && all[0].seq == after+1 && (all[0].expires == 0 || all[0].expires > now) {
		out, all, after = append(out, all[0]), all[1:], after+1
	}
	l.entries = all
	return out, after < l.newest
}

// parcels makes the envelopes of entries.
func parcels(entries []*freshEntry) (out []parcel.Parcel, err error) {
	for _, e := range entries {
		o := e.entry
		env, err := envelope.Seal(make([]byte, 0, o.Class.Size()), envelope.KeysFor(o.Key, envelope.Direct), o.Class, e.payload)
		if err != nil {
			return nil, err
		}
		out = append(out, parcel.Parcel{Seq: e.seq, Class: o.Class, Envelope: env})
	}
	return out, nil
}
