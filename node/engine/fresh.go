package engine

import (
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
	all map[identity.AccountID][]*freshEntry // by number, ascending
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
	if f.all == nil {
		f.all = map[identity.AccountID][]*freshEntry{}
	}
	old, known := f.all[a]
	if !known && len(f.all) >= maxFreshAccounts || len(old)+len(entries) > maxFresh {
		return
	}
	f.all[a] = append(old, entries...)
}

// drop forgets an entry that has left the outbox.
func (f *fresh) drop(a identity.AccountID, seq uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, e := range f.all[a] {
		if e.seq == seq {
			f.put(a, append(f.all[a][:i:i], f.all[a][i+1:]...))
			return
		}
		if e.seq > seq {
			return
		}
	}
}

func (f *fresh) put(a identity.AccountID, entries []*freshEntry) {
	if len(entries) == 0 {
		delete(f.all, a)
		return
	}
	f.all[a] = entries
}

// take removes and returns at most limit entries that follow a number without
// a gap.
func (f *fresh) take(a identity.AccountID, after uint64, limit int, now int64) (out []*freshEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.all[a]
	for len(all) > 0 && all[0].seq <= after {
		all = all[1:]
	}
	for len(all) > 0 && len(out) < limit && all[0].seq == after+1 && (all[0].expires == 0 || all[0].expires > now) {
		out, all, after = append(out, all[0]), all[1:], after+1
	}
	if f.all != nil {
		f.put(a, all)
	}
	return out
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
