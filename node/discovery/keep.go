package discovery

import (
	"bytes"
	"container/heap"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"sync"

	ds "github.com/ipfs/go-datastore"
	query "github.com/ipfs/go-datastore/query"
)

// keep holds the records of the hash table in memory, a bounded number of
// them. When it is full the record farthest from this node goes: those near are
// the ones that others will look for here, and whoever wants to push them out
// has to find keys that are nearer still.
type keep struct {
	near [32]byte // this node's place
	most int

	mu   sync.Mutex
	by   map[ds.Key]*kept
	far  farthest
	size int // bytes of all values
}

type kept struct {
	key      ds.Key
	value    []byte
	distance [32]byte
	index    int
}

var _ ds.Batching = (*keep)(nil)

func newKeep(self []byte, most int) *keep {
	return &keep{near: sha256.Sum256(self), most: most, by: map[ds.Key]*kept{}}
}

// distance is that of the hash table: between the hash of a record's key, which
// stands in base32 at the end of k, and that of this node's id.
func (s *keep) distance(k ds.Key) (d [32]byte) {
	text := k.String()
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(text[strings.LastIndexByte(text, '/')+1:])
	if err != nil {
		raw = []byte(text)
	}
	h := sha256.Sum256(raw)
	for i := range d {
		d[i] = h[i] ^ s.near[i]
	}
	return d
}

// Put implements [ds.Write]. It never fails: what is farther than everything
// that is kept is dropped without a word.
func (s *keep) Put(_ context.Context, k ds.Key, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.by[k]; r != nil {
		s.size += len(value) - len(r.value)
		r.value = value
		return nil
	}
	r := &kept{key: k, value: value, distance: s.distance(k)}
	s.by[k] = r
	s.size += len(value)
	heap.Push(&s.far, r)
	for len(s.by) > s.most {
		s.drop(s.far[0])
	}
	return nil
}

func (s *keep) drop(r *kept) {
	heap.Remove(&s.far, r.index)
	delete(s.by, r.key)
	s.size -= len(r.value)
}

// Get implements [ds.Read].
func (s *keep) Get(_ context.Context, k ds.Key) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.by[k]; r != nil {
		return r.value, nil
	}
	return nil, ds.ErrNotFound
}

// Has implements [ds.Read].
func (s *keep) Has(_ context.Context, k ds.Key) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.by[k] != nil, nil
}

// GetSize implements [ds.Read].
func (s *keep) GetSize(_ context.Context, k ds.Key) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.by[k]; r != nil {
		return len(r.value), nil
	}
	return -1, ds.ErrNotFound
}

// Delete implements [ds.Write].
func (s *keep) Delete(_ context.Context, k ds.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.by[k]; r != nil {
		s.drop(r)
	}
	return nil
}

// Query implements [ds.Read] as far as the table's sweep of old records needs
// it: by prefix.
func (s *keep) Query(_ context.Context, q query.Query) (query.Results, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []query.Entry
	for k, r := range s.by {
		if q.Prefix == "" || strings.HasPrefix(k.String(), strings.TrimSuffix(q.Prefix, "/")+"/") {
			out = append(out, query.Entry{Key: k.String(), Value: r.value, Size: len(r.value)})
		}
	}
	return query.ResultsWithEntries(q, out), nil
}

// Sync implements [ds.Datastore]: nothing outlives the process.
func (s *keep) Sync(context.Context, ds.Key) error { return nil }

// Close implements [ds.Datastore].
func (s *keep) Close() error { return nil }

// Batch implements [ds.Batching].
func (s *keep) Batch(context.Context) (ds.Batch, error) { return ds.NewBasicBatch(s), nil }

// clear forgets everything.
func (s *keep) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.by, s.far, s.size = map[ds.Key]*kept{}, nil, 0
}

func (s *keep) held() (records, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.by), s.size
}

// farthest is a heap, the farthest record first.
type farthest []*kept

func (f farthest) Len() int { return len(f) }
func (f farthest) Less(i, j int) bool {
	return bytes.Compare(f[i].distance[:], f[j].distance[:]) > 0
}

func (f farthest) Swap(i, j int) {
	f[i], f[j] = f[j], f[i]
	f[i].index, f[j].index = i, j
}

func (f *farthest) Push(x any) {
	r := x.(*kept)
	r.index = len(*f)
	*f = append(*f, r)
}

func (f *farthest) Pop() any {
	last := len(*f) - 1
	r := (*f)[last]
	(*f)[last] = nil
	*f = (*f)[:last]
	return r
}
