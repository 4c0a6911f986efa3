package engine

import (
	"slices"
	"sync"

	"rushlight/node/delivery/parcel"
	"rushlight/protocol/envelope"
	"rushlight/protocol/identity"
	"rushlight/storage/record"
)

// What is kept in memory of all accounts, and of how many envelopes of one the
// payload as well, which would have to be unfolded otherwise.
const (
	maxFreshBytes = 8 << 20
	maxPayloads   = 512
)

// fresh hands what was just committed to delivery without reading it back. What
// isn't here is in the store.
type fresh struct {
	mu    sync.Mutex
	all   map[identity.AccountID]*freshList
	bytes int
}

// freshList is what is fresh for one account.
type freshList struct {
	entries []*freshEntry // by number, ascending
	newest  uint64        // the last number that was committed, here or not
}

// freshEntry is an outbox entry.
type freshEntry struct {
	seq     uint64
	entry   *record.Outbox
	payload []byte // as it was packed; nil when it isn't kept
	sealed  []byte // the envelope, if there was time to make it
	expires int64  // unix milliseconds; 0 is never
}

// freshBatch is what one transaction makes for an account.
type freshBatch struct {
	entries []*freshEntry // those for which there was room
	newest  uint64        // the last number, in entries or not
}

// freshen notes an entry of this transaction, and keeps it unless there is no
// room.
func (t *txn) freshen(a identity.AccountID, e *freshEntry, keep bool) {
	if t.fresh == nil {
		t.fresh = map[identity.AccountID]*freshBatch{}
	}
	b := t.fresh[a]
	if b == nil {
		b = &freshBatch{}
		t.fresh[a] = b
	}
	b.newest = e.seq
	if keep {
		b.entries = append(b.entries, e)
	}
}

// size is about how much memory an entry takes.
func (e *freshEntry) size() int {
	return 400 + len(e.entry.Folded) + len(e.entry.Packet) + len(e.payload)
}

// room reports whether there is room for one more entry of an account, and for
// its payload. Those of transactions on their way aren't counted.
func (f *fresh) room(a identity.AccountID) (entry, payload bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.all[a]
	return f.bytes < maxFreshBytes, l == nil || len(l.entries) < maxPayloads
}

func (f *fresh) add(a identity.AccountID, b *freshBatch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.all[a]
	if l == nil {
		if f.all == nil {
			f.all = map[identity.AccountID]*freshList{}
		}
		l = &freshList{}
		f.all[a] = l
	}
	for _, e := range b.entries {
		if len(l.entries) >= maxPayloads {
			e.payload, e.sealed = nil, nil
		}
		if f.bytes+e.size() > maxFreshBytes {
			break
		}
		f.bytes += e.size()
		l.entries = append(l.entries, e)
	}
	l.newest = b.newest
}

// drop forgets an entry that has left the outbox.
func (f *fresh) drop(a identity.AccountID, seq uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.all[a]
	if l == nil {
		return
	}
	if i, ok := slices.BinarySearchFunc(l.entries, seq, (*freshEntry).compare); ok {
		f.bytes -= l.entries[i].size()
		l.entries = slices.Delete(l.entries, i, i+1)
	}
	if len(l.entries) == 0 {
		l.entries = nil
	}
}

func (e *freshEntry) compare(seq uint64) int {
	switch {
	case e.seq < seq:
		return -1
	case e.seq > seq:
		return 1
	}
	return 0
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
	n, _ := slices.BinarySearchFunc(l.entries, after+1, (*freshEntry).compare) // those before went another way
	for n < len(l.entries) && len(out) < limit && l.entries[n].seq == after+1 && (l.entries[n].expires == 0 || l.entries[n].expires > now) {
		out, after, n = append(out, l.entries[n]), after+1, n+1
	}
	for _, e := range l.entries[:n] {
		f.bytes -= e.size()
	}
	clear(l.entries[:n])
	l.entries = l.entries[n:]
	if len(l.entries) == 0 {
		l.entries = nil
	}
	return out, after < l.newest
}

// prepare makes the envelopes of a small transaction while it is on its way to
// the disk, so that they are ready when it is there.
func (t *txn) prepare() {
	for _, b := range t.fresh {
		for _, e := range b.entries[:min(len(b.entries), 4)] {
			if env, err := e.envelope(); err == nil {
				e.sealed = env
			}
		}
	}
}

func (e *freshEntry) envelope() (env []byte, err error) {
	o, payload := e.entry, e.payload
	if payload == nil {
		if payload, err = envelope.Unfold(o.Class, o.Content, 1, o.Folded); err != nil {
			return nil, err
		}
	}
	return envelope.Seal(make([]byte, 0, o.Class.Size()), envelope.KeysFor(o.Key, envelope.Direct), o.Class, payload)
}

// parcels makes the envelopes of entries.
func parcels(entries []*freshEntry) (out []parcel.Parcel, err error) {
	for _, e := range entries {
		env := e.sealed
		if env == nil {
			if env, err = e.envelope(); err != nil {
				return nil, err
			}
		}
		out = append(out, parcel.Parcel{Seq: e.seq, Class: e.entry.Class, Envelope: env})
	}
	return out, nil
}
