package discovery

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"rushlight/storage/record"
)

// Bounds on remembered nodes of the hash table.
const (
	maxRemembered = 64
	maxCandidates = 24 // of one beginning
	hopeless      = 20 // calls in vain after which a node is forgotten
)

// servers remembers nodes of the hash table, which forgets all of them itself
// when it ends.
type servers struct {
	mu    sync.Mutex
	by    map[peer.ID]*record.Server
	dirty map[peer.ID]bool   // changed since the last flush; absent from by: deleted
	named map[peer.ID]string // by whose purse, in this run; empty for the person
}

// hearsay is the purse of all nodes that never answered and whose namer isn't
// known any more.
const hearsay = "hearsay"

func newServers() *servers {
	return &servers{by: map[peer.ID]*record.Server{}, dirty: map[peer.ID]bool{}, named: map[peer.ID]string{}}
}

// load takes one from the store.
func (s *servers) load(r *record.Server) { s.by[peer.ID(r.Peer)] = r }

// heard takes one that the owner of a purse named: it has a place as long as there
// are not enough that have answered. It reports whether it, or its address, is new.
func (s *servers) heard(p peer.AddrInfo, purse string) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.by[p.ID]
	addrs := bareAddrs(p)
	if p.ID == "" || len(addrs) == 0 {
		return false
	}
	news = r == nil || slices.ContainsFunc(addrs, func(a []byte) bool { return !has(r, a) })
	if r == nil {
		r = &record.Server{Peer: []byte(p.ID)}
		s.by[p.ID] = r
	}
	// What worked last stays first.
	n := min(1, len(r.Addrs))
	s.merge(r, r.Addrs[:n], addrs, r.Addrs[n:])
	s.bound()
	if s.by[p.ID] == r && (r.Seen == 0 && news || purse == "") {
		s.named[p.ID] = purse
	}
	return news && s.by[p.ID] == r
}

// payer is the purse from which a call to a node is paid, empty for one of its
// own, which who has answered once has, and whom the person named.
func (s *servers) payer(id peer.ID) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.by[id]; r != nil && r.Seen > 0 {
		return ""
	}
	if by, ok := s.named[id]; ok {
		return by
	}
	return hearsay
}

func has(r *record.Server, addr []byte) bool {
	return slices.ContainsFunc(r.Addrs, func(a []byte) bool { return slices.Equal(a, addr) })
}

// tried takes the outcome of a call, and reports whether one has answered of
// which that was not known.
func (s *servers) tried(p peer.AddrInfo, ok bool, now time.Time) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.by[p.ID]
	switch {
	case ok:
		news = r == nil || r.Seen == 0 || r.Failures > 0 || slices.ContainsFunc(bareAddrs(p), func(a []byte) bool { return !has(r, a) })
		if r == nil {
			r = &record.Server{Peer: []byte(p.ID)}
			s.by[p.ID] = r
		}
		s.merge(r, bareAddrs(p), r.Addrs)
		// Once an hour is enough to remember that it lives.
		if now.Unix()-r.Seen > 3600 || r.Failures > 0 {
			s.dirty[p.ID] = true
		}
		r.Seen, r.Failures = now.Unix(), 0
	case r != nil:
		if r.Failures++; r.Failures >= hopeless {
			s.forget(p.ID)
		}
		s.dirty[p.ID] = true
	}
	s.bound()
	return news
}

// merge sets the addresses of r to those of all lists, the first ones first.
func (s *servers) merge(r *record.Server, lists ...[][]byte) {
	var all [][]byte
	for _, l := range lists {
		for _, a := range l {
			if len(all) < record.MaxServerAddrs && !slices.ContainsFunc(all, func(b []byte) bool { return slices.Equal(a, b) }) {
				all = append(all, a)
			}
		}
	}
	if !slices.EqualFunc(all, r.Addrs, slices.Equal) {
		r.Addrs = all
		s.dirty[peer.ID(r.Peer)] = true
	}
}

// bound forgets the worst when there are too many.
func (s *servers) bound() {
	for len(s.by) > maxRemembered {
		var worst *record.Server
		for _, r := range s.by {
			if worst == nil || better(worst, r) < 0 {
				worst = r
			}
		}
		s.forget(peer.ID(worst.Peer))
		s.dirty[peer.ID(worst.Peer)] = true
	}
}

func (s *servers) forget(id peer.ID) {
	delete(s.by, id)
	delete(s.named, id)
}

// better orders servers by how likely they are to answer.
func better(a, b *record.Server) int {
	return cmp.Or(cmp.Compare(a.Failures, b.Failures), cmp.Compare(b.Seen, a.Seen))
}

// candidates are the nodes to begin with: the best third in random order, so
// that not everybody calls the same, then the others.
func (s *servers) candidates() (out []peer.AddrInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*record.Server, 0, len(s.by))
	for _, r := range s.by {
		all = append(all, r)
	}
	slices.SortFunc(all, better)
	first := all[:min(len(all), max(4, len(all)/3))]
	rand.Shuffle(len(first), func(i, j int) { first[i], first[j] = first[j], first[i] })
	for _, r := range all[:min(len(all), maxCandidates)] {
		out = append(out, serverInfo(r))
	}
	return out
}

// any reports whether there is a node to begin with.
func (s *servers) any() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.by) > 0
}

// tell are nodes to name to a contact: some that answered of late, at public
// addresses.
func (s *servers) tell(now time.Time) (out []record.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.by { // in random order
		if r.Failures > 0 || now.Unix()-r.Seen > 7*86400 || len(out) == maxServers {
			continue
		}
		x := record.Server{Peer: r.Peer}
		for _, b := range r.Addrs {
			if a, err := ma.NewMultiaddrBytes(b); err == nil && manet.IsPublicAddr(a) && len(x.Addrs) < maxServerAddrs {
				x.Addrs = append(x.Addrs, b)
			}
		}
		if len(x.Addrs) > 0 {
			out = append(out, x)
		}
	}
	return out
}

// health counts what is remembered: all, and those that answered last time.
func (s *servers) health() (all, well int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.by {
		if r.Failures == 0 && r.Seen > 0 {
			well++
		}
	}
	return len(s.by), well
}

// changes returns at most so many changed records, and the peers of deleted
// ones, and takes them for saved.
func (s *servers) changes(most int) (put []record.Server, gone [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.dirty {
		if len(put)+len(gone) == most {
			break
		}
		if r := s.by[id]; r != nil {
			put = append(put, *r)
		} else {
			gone = append(gone, []byte(id))
		}
		delete(s.dirty, id)
	}
	return put, gone
}

// bareAddrs are the addresses of p without the peer, as bytes.
func bareAddrs(p peer.AddrInfo) (out [][]byte) {
	for _, a := range p.Addrs {
		if rest, _ := peer.SplitAddr(a); rest != nil && len(rest.Bytes()) <= 128 {
			out = append(out, rest.Bytes())
		}
	}
	return out
}

func serverInfo(r *record.Server) peer.AddrInfo {
	p := peer.AddrInfo{ID: peer.ID(r.Peer)}
	for _, b := range r.Addrs {
		if a, err := ma.NewMultiaddrBytes(b); err == nil {
			p.Addrs = append(p.Addrs, a)
		}
	}
	return p
}
