package delivery

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"rushlight/protocol/identity"
)

// Bounds on streams.
const (
	maxStrangers       = 32 // streams of whoever has not proved to be a contact
	maxStrangersOfPeer = 4
	maxStreamsOfDevice = 4
)

// add takes a new stream into account.
func (m *Manager) add(x *session) error {
	var account identity.AccountID
	known := x.dialled
	if x.named {
		_, known = m.engine.AccountOf(identity.NewDeviceID(x.proof.key), x.proof.key)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.open {
		return errStopping
	}
	if !known {
		all, same := 0, 0
		for y := range m.live {
			if !y.dialled && y.who.Load() == nil {
				all++
				if y.peer() == x.peer() {
					same++
				}
			}
		}
		if all >= maxStrangers || same >= maxStrangersOfPeer {
			return errCrowded
		}
	}
	m.live[x] = true
	m.stir()
	if x.dialled {
		account = x.target
		x.active.Store(true)
		m.byAccount[account] = append(m.byAccount[account], x)
	}
	return nil
}

// trusted moves all sending to the newest stream of a device: the old one may
// be on a connection that is dead without anybody knowing.
func (m *Manager) trusted(x *session, c contact) {
	m.mu.Lock()
	on := m.byDevice[c.device]
	for _, y := range on {
		y.active.Store(false)
	}
	var oldest *session
	if len(on) >= maxStreamsOfDevice {
		oldest = on[0]
	}
	x.active.Store(true)
	m.byDevice[c.device] = append(on, x)
	if !x.dialled {
		m.byAccount[c.account] = append(m.byAccount[c.account], x)
	}
	m.news[c.account] |= newsThere
	m.mu.Unlock()
	m.watcher.There(c.account, x.peer(), x.dialled)
	signal(m.notify)
	if oldest != nil {
		oldest.fail(errReplaced)
	}
}

// remove forgets a stream and moves its duty to another, if there is one.
func (m *Manager) remove(x *session) {
	account, known := x.recipient()
	c := x.who.Load()
	var heir *session
	gone := false
	m.mu.Lock()
	delete(m.live, x)
	if c != nil {
		on := without(m.byDevice[c.device], x)
		if len(on) == 0 {
			delete(m.byDevice, c.device)
		} else {
			m.byDevice[c.device] = on
			if x.active.Load() {
				heir = on[len(on)-1]
				heir.active.Store(true)
			}
		}
	}
	if known {
		on := without(m.byAccount[account], x)
		if len(on) > 0 {
			m.byAccount[account] = on
		} else {
			delete(m.byAccount, account)
			m.news[account] |= newsStopped
			gone = true
		}
	}
	m.mu.Unlock()
	if gone {
		m.watcher.Gone(account)
	}
	signal(m.notify)
	if heir != nil {
		heir.out.restart()
	}
}

func without(on []*session, x *session) []*session {
	return slices.DeleteFunc(slices.Clone(on), func(y *session) bool { return y == x })
}

// reached tells the engine the address of a proved device, when it is new. The
// address of a peer that called is one it can be called at over QUIC, which
// calls from the port it listens on; over TCP that isn't so.
func (m *Manager) reached(ctx context.Context, x *session, c contact) {
	conn := x.s.Conn()
	addr := conn.RemoteMultiaddr()
	if conn.Stat().Direction == network.DirInbound {
		if _, err := addr.ValueForProtocol(ma.P_CIRCUIT); err == nil {
			return // the caller is behind another circuit, if any
		}
		if _, err := addr.ValueForProtocol(ma.P_QUIC_V1); err != nil {
			return
		}
	}
	at := string(addr.Bytes()) + string(x.peer())
	m.mu.Lock()
	same := m.told[c.device] == at
	m.told[c.device] = at
	m.mu.Unlock()
	if !same {
		m.engine.Reached(ctx, c.account, c.device, []byte(x.peer()), addr.Bytes())
	}
}

// Times after which a stream is looked at (see watch).
const (
	quietTime = 3 * time.Second  // an answer is missing: ask whether the peer is there
	deadTime  = 7 * time.Second  // it didn't say so
	probeTime = 3 * time.Second  // the same after the network has changed
	stallTime = 30 * time.Second // silence in the middle of a frame
	idleTime  = 5 * time.Minute  // nobody said anything
	calmTime  = time.Minute      // the connection needs no protection
	retryTime = time.Minute      // a parcel was refused and may still be pending
)

const protectTag = "rushlight.pending"

// watch looks after one stream and returns the error it should end with, if
// any. It is errSilent when the connection should go, too.
func (m *Manager) watch(x *session, now time.Time) error {
	since := func(ns int64) time.Duration { return now.Sub(time.Unix(0, ns)) }
	if at := x.stalls.Load(); at != 0 && since(at) > stallTime {
		return errProtocol
	}
	if at := x.probe.Load(); at != 0 && since(at) > probeTime {
		return errSilent
	}
	if at := x.denied.Load(); at != 0 && since(at) > retryTime {
		x.denied.Store(0)
		x.out.restart()
	}
	from, waiting := x.window.waiting()
	cm := m.host.Libp2p().ConnManager()
	if !waiting {
		if idle := since(x.lastUs.Load()); idle > idleTime {
			return errIdle
		} else if idle > calmTime {
			cm.Unprotect(x.peer(), protectTag)
		}
		return nil
	}
	cm.Protect(x.peer(), protectTag)
	if x.held.Load() {
		x.lastIn.Store(now.UnixNano())
		return nil
	}
	quiet := min(now.Sub(from), since(x.lastIn.Load()))
	if quiet > quietTime+deadTime {
		return errSilent
	}
	if quiet > quietTime {
		return x.out.push(frame{framePing, nil})
	}
	return nil
}

// watchAll looks after every stream, and returns when to do so again.
func (m *Manager) watchAll(now time.Time) time.Duration {
	m.calm.Store(true) // whatever happens from here on stirs it
	all := m.sessions()
	again := watchCalm
	if len(all) == 0 {
		again = watchNothing
	}
	for _, x := range all {
		err := m.watch(x, now)
		if err == nil {
			if _, waiting := x.window.waiting(); waiting || x.probe.Load() != 0 {
				again = watchEvery
			}
			continue
		}
		x.fail(err)
		if errors.Is(err, errSilent) {
			_ = x.s.Conn().Close() // the next call must not find it
			if a, ok := x.recipient(); ok {
				m.tell(a, newsHope)
			}
		}
	}
	if again == watchEvery {
		m.calm.Store(false)
	}
	return again
}

// stir says that an answer is missing from now on.
func (m *Manager) stir() {
	if m.calm.Swap(false) {
		signal(m.stirred)
	}
}

// tell gives the loop news.
func (m *Manager) tell(account identity.AccountID, n news) {
	m.mu.Lock()
	m.news[account] |= n
	m.mu.Unlock()
	signal(m.notify)
}

// probeAll asks every peer whether it is there.
func (m *Manager) probeAll(now time.Time) {
	for _, x := range m.sessions() {
		x.probe.Store(now.UnixNano())
		if err := x.out.push(frame{framePing, nil}); err != nil {
			x.fail(err)
		}
	}
}

func (m *Manager) sessions() []*session {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(keys(m.live))
}

// nearby are the addresses at which the account was last noticed, if that
// wasn't long ago.
func (m *Manager) nearby(account identity.AccountID) []ma.Multiaddr {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.found[account]
	if time.Since(f.at) > foundLife {
		return nil
	}
	return f.addrs
}

// Peers are the network names of the devices of an account that have proved
// which they are, on streams that stand.
func (m *Manager) Peers(account identity.AccountID) (out []peer.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, x := range m.byAccount[account] {
		if p := x.peer(); x.who.Load() != nil && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}
