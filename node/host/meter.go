package host

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
)

// meter counts what the host's streams carry, and estimates what else goes
// over the wire. What serves no message is upkeep: staying reachable, being
// found, finding others. libp2p's own counter wakes up every second.
type meter struct {
	in, out atomic.Int64
	upkeep  atomic.Int64
	settled atomic.Int64 // of upkeep, when last looked at
	heard   func(peer.ID, protocol.ID, int64)
	step    int64         // after which to look again; 0 is never
	much    chan struct{} // has a token when that much was spent

	mu   sync.Mutex
	last time.Time
	days ledger
	thrift
}

// A hundredth of a day's cap is looked at at once.
const steps = 100

func newMeter(limit int64) *meter {
	m := &meter{much: make(chan struct{}, 1), heard: func(peer.ID, protocol.ID, int64) {}, step: limit / steps}
	m.limit = limit
	return m
}

// spend counts upkeep.
func (m *meter) spend(n int64) {
	if total := m.upkeep.Add(n); m.step > 0 && total-m.settled.Load() >= m.step {
		select {
		case m.much <- struct{}{}:
		default:
		}
	}
}

// Estimates of what streams don't count, in bytes both ways: to begin a
// connection, to dial somebody who is away, and to keep a connection for a
// second. QUIC's keepalive of 15 s can't be changed.
const (
	beginQUIC, beginTCP = 8000, 6000
	awayQUIC, awayTCP   = 12000, 240
	keepQUIC, keepTCP   = 21, 1
)

var _ metrics.Reporter = (*meter)(nil)

// use tells what carries messages from upkeep by the protocol's name.
func use(p protocol.ID) bool { return strings.HasPrefix(string(p), "/rushlight/") && !isDHT(p) }

func isDHT(p protocol.ID) bool { return strings.Contains(string(p), "/kad/") }

// LogSentMessage implements [metrics.Reporter].
func (m *meter) LogSentMessage(n int64) { m.out.Add(n) }

// LogRecvMessage implements [metrics.Reporter].
func (m *meter) LogRecvMessage(n int64) { m.in.Add(n) }

// LogSentMessageStream implements [metrics.Reporter].
func (m *meter) LogSentMessageStream(n int64, p protocol.ID, _ peer.ID) {
	if !use(p) {
		m.spend(n)
	}
}

// LogRecvMessageStream implements [metrics.Reporter].
func (m *meter) LogRecvMessageStream(n int64, p protocol.ID, id peer.ID) {
	m.heard(id, p, n)
	m.LogSentMessageStream(n, p, id)
}

// GetBandwidthForPeer implements [metrics.Reporter]: it isn't counted.
func (m *meter) GetBandwidthForPeer(peer.ID) (s metrics.Stats) { return s }

// GetBandwidthForProtocol implements [metrics.Reporter]: it isn't counted.
func (m *meter) GetBandwidthForProtocol(protocol.ID) (s metrics.Stats) { return s }

// GetBandwidthTotals implements [metrics.Reporter].
func (m *meter) GetBandwidthTotals() metrics.Stats {
	return metrics.Stats{TotalIn: m.in.Load(), TotalOut: m.out.Load()}
}

// GetBandwidthByPeer implements [metrics.Reporter]: it isn't counted.
func (m *meter) GetBandwidthByPeer() map[peer.ID]metrics.Stats { return nil }

// GetBandwidthByProtocol implements [metrics.Reporter]: it isn't counted.
func (m *meter) GetBandwidthByProtocol() map[protocol.ID]metrics.Stats { return nil }

// Reset implements [metrics.Reporter].
func (m *meter) Reset() {}

// TrimIdle implements [metrics.Reporter].
func (m *meter) TrimIdle(time.Time) {}

// dialled counts an attempt at an address.
func (m *meter) dialled(a ma.Multiaddr) { m.spend(byTransport(a, awayQUIC, awayTCP)) }

// begun counts a new connection. If this side began it, the attempt was counted
// before, as one in vain.
func (m *meter) begun(c network.Conn) {
	n := byTransport(c.RemoteMultiaddr(), beginQUIC, beginTCP)
	if c.Stat().Direction == network.DirOutbound {
		n -= byTransport(c.RemoteMultiaddr(), awayQUIC, awayTCP)
	}
	m.spend(n)
}

// byTransport is one of two numbers. A connection behind a circuit is counted
// with the one to the relay.
func byTransport(a ma.Multiaddr, quic, tcp int64) int64 {
	switch TransportOf(a) {
	case "quic":
		return quic
	case "circuit":
		return 0
	}
	return tcp
}

// look counts the connections that stand since the last look and settles the
// account.
func (m *meter) look(now time.Time, conns []network.Conn) Thrift {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last.IsZero() {
		m.last = now
	}
	passed := now.Sub(m.last)
	m.last = now
	var rate int64
	for _, c := range conns {
		rate += byTransport(c.RemoteMultiaddr(), keepQUIC, keepTCP)
	}
	m.upkeep.Add(int64(passed.Seconds() * float64(rate)))
	total := m.upkeep.Load()
	m.settled.Store(total)
	m.days.note(now, total)
	m.settle(passed, total)
	return m.state()
}

// Thrift is how much of what may be spent on upkeep is left.
type Thrift uint8

// The steps of thrift.
const (
	Ample   Thrift = iota // do what is useful
	Sparing               // do less of it, and later
	Spent                 // do only what somebody waits for
)

// String is the word that people read.
func (t Thrift) String() string { return [...]string{"ok", "sparing", "spent"}[min(t, Spent)] }

// thrift is an account that fills up over the day. It begins with a fifth of
// the day's cap and gets the rest hour by hour, so that a day never costs more
// than the cap.
type thrift struct {
	limit int64 // bytes a day; 0 is none
	left  float64
	spent int64 // of the total so far
	begun bool
}

// settle takes what was spent in a time out of the account.
func (t *thrift) settle(passed time.Duration, total int64) {
	if t.limit == 0 {
		return
	}
	stock := float64(t.limit) / 5
	if !t.begun {
		t.begun, t.left = true, stock
	}
	t.left += float64(t.limit) * 4 / 5 * passed.Hours() / 24
	t.left = min(t.left-float64(total-t.spent), stock)
	// What could not be helped is not held against the device for ever.
	t.left = max(t.left, -stock)
	t.spent = total
}

func (t *thrift) state() Thrift {
	switch stock := float64(t.limit) / 5; {
	case t.limit == 0 || !t.begun || t.left > stock/3:
		return Ample
	case t.left > 0:
		return Sparing
	}
	return Spent
}

// ledger remembers a growing total by the hour, for a day.
type ledger []entry

type entry struct {
	at    time.Time
	total int64
}

// note keeps the total once an hour.
func (l *ledger) note(now time.Time, total int64) {
	if n := len(*l); n > 0 && now.Sub((*l)[n-1].at) < time.Hour {
		return
	}
	*l = append(*l, entry{now, total})
	if len(*l) > 26 {
		*l = (*l)[1:]
	}
}

// since returns what was added in the last day, give or take an hour, or since
// the beginning.
func (l ledger) since(now time.Time, total int64) int64 {
	base := int64(0)
	for _, e := range l {
		if now.Sub(e.at) >= 24*time.Hour {
			base = e.total
		}
	}
	return total - base
}

// Upkeep is what the host has spent on staying reachable and on finding and
// being found.
type Upkeep struct {
	Limit int64 // bytes a day, 0 for none
	Day   int64 // bytes in the last 24 hours, in part estimated
	State Thrift
}

// Upkeep reports the account.
func (h *Host) Upkeep() Upkeep {
	m := h.meter
	m.mu.Lock()
	defer m.mu.Unlock()
	return Upkeep{Limit: m.limit, Day: m.days.since(time.Now(), m.upkeep.Load()), State: m.state()}
}

// Thrift says how much of the day's upkeep is left. Whoever does something
// that nobody waits for looks here first.
func (h *Host) Thrift() Thrift { return Thrift(h.saving.Load()) }

// lookEvery is how often the account is settled.
const lookEvery = time.Minute

// account settles the account, and lets go of what costs when little is left:
// first the second place at a relay, then every connection that nobody uses.
func (h *Host) account(now time.Time) {
	conns := h.h.Network().Conns()
	state := h.meter.look(now, conns)
	if was := Thrift(h.saving.Swap(int32(state))); was != state {
		h.log.Info("what may be spent on being reachable has changed", "from", was, "to", state)
		if h.circuits != nil {
			h.circuits.thrift(state)
		}
	}
	if state == Ample {
		return
	}
	for _, c := range conns {
		idle := now.Sub(c.Stat().Opened) > time.Minute && len(c.GetStreams()) == 0
		if idle && !h.h.ConnManager().IsProtected(c.RemotePeer(), "") {
			_ = c.Close() // it costs a little more if it stays
		}
	}
}
