package files

import (
	"errors"
	"slices"
	"time"

	"rushlight/node/engine"
	"rushlight/node/post"
	"rushlight/protocol/file"
	"rushlight/protocol/message"
)

// How many stretches of a file are ordered ahead: what comes in about
// orderAhead, so that other mail at the relay doesn't wait behind them for
// longer, at most half of what the mailbox may hold.
const (
	firstAhead = 128
	leastAhead = 32
	mostAhead  = 512
	orderAhead = 2 * time.Second
	leastOrder = 16 // at once
	// mostBegun bounds the pieces of which some came.
	mostBegun = 96
	// knownAhead is how many missing stretches are recognised that weren't
	// ordered: they may lie at a relay since before a restart.
	knownAhead = mostAhead
)

// When files are ordered, and ordered again.
const (
	orderAfter = 10 * time.Second // without a holder; see Manager.patience
	orderQuiet = 10 * time.Second // when nothing comes, for the first time, doubling,
	orderAgain = 12 * time.Hour   // at most
	orderLost  = 30 * time.Second // when what was ordered later has come
	stampsLast = 48 * time.Hour   // for so long a relay knows what a stamp was spent on
	lookAgain  = 30 * time.Second // for stamps
)

// courier orders stretches and puts them together. It is the gathering
// goroutine's.
type courier struct {
	f      *fetch
	keys   file.Mailing
	since  time.Time // without a holder
	relay  [32]byte  // that is ordered at
	most   int       // stretches that it has room for
	ahead  int
	cursor uint32 // pieces below are there

	orders []*order
	wanted map[uint32]*order // by stretch
	came   time.Time         // the last stretch, or the first order
	wait   time.Duration     // for another before all is ordered again
	begun  map[uint32]*mailed
	spare  [][]byte // memory for such

	mark  time.Time // since then
	bytes int       // came

	looked time.Time // when stamps were asked for
	wrong  int       // stretches and pieces that were
	rests  time.Time // until then nothing is ordered
}

// order is what was ordered together.
type order struct {
	at      time.Time
	o       *message.FileOrder
	left    int
	serials []uint32
}

// batch is stretches that came, with who waits until they are kept.
type batch struct {
	relay [32]byte
	parts []post.Part
	done  chan struct{} // closed when they have been put together
	check []chan struct{}
}

// heldPart is a stretch that was taken and isn't known to be kept yet.
type heldPart struct {
	relay [32]byte
	seq   uint64
	n     uint32
	wrong bool
}

func (g *courier) begin() {
	f := g.f
	g.since, g.wait, g.ahead = time.Now(), orderQuiet, firstAhead
	g.wanted, g.begun = map[uint32]*order{}, map[uint32]*mailed{}
	g.keys = f.of.Key.Mailing(f.m.cfg.Device)
	if f.m.cfg.Relays == nil || f.blob.Bytes() == 0 {
		return
	}
	// Some may lie there since before a restart.
	if relay, _, ok := f.m.cfg.Relays.Waiting(); ok {
		f.m.await(f, g.keys, relay, g.missing(knownAhead))
		f.m.cfg.Relays.Look(relay)
	}
}

// ask orders what is missing once nobody was there for a while.
func (g *courier) ask(now time.Time) error {
	f := g.f
	if f.m.cfg.Relays == nil || now.Sub(g.since) < f.m.patience || now.Before(g.rests) {
		return nil
	}
	relay, quota, ok := f.m.cfg.Relays.Waiting()
	if !ok || !f.m.cfg.Engine.HasMailbox(f.from.With) {
		return nil
	}
	if relay != g.relay { // the one before it is gone, or none was
		g.forget()
		g.relay, g.wait, g.came = relay, orderQuiet, now
		f.m.await(f, g.keys, relay, g.missing(knownAhead))
	}
	g.most = max(1, min(mostAhead, int(quota/2/(64<<10))/f.m.fetching()))
	if err := g.lost(now); err != nil {
		return err
	}
	g.adapt(now)
	size := min(max(g.ahead/4, leastOrder), g.most, message.MaxOrdered)
	for len(g.wanted)+size <= max(size, g.ahead) {
		sent, err := g.order(now, size)
		if err != nil || !sent {
			return err
		}
	}
	return nil
}

// forget forgets what was ordered.
func (g *courier) forget() {
	clear(g.wanted)
	g.orders = nil
}

// lost sends orders again of which nothing comes, with the stamps that they have,
// and forgets what is lost of others, so that it is ordered anew.
func (g *courier) lost(now time.Time) error {
	if len(g.wanted) == 0 {
		return nil
	}
	if f := g.f; now.Sub(g.came) >= g.wait {
		g.came, g.wait = now, min(2*g.wait, orderAgain)
		g.ahead = g.most // the other side isn't there at the same time, it seems
		if now.Sub(g.orders[0].at) >= stampsLast {
			g.forget()
			return nil
		}
		for _, x := range g.orders {
			if x.left <= 0 {
				continue
			}
			if _, err := f.m.cfg.Engine.Order(f.ctx, f.from.With, x.o, nil); err != nil {
				return err
			}
		}
		f.m.cfg.Hurry(f.from.With)
		return nil
	}
	// What was ordered before something that has come is not on its way.
	for n, o := range g.wanted {
		if now.Sub(o.at) >= orderLost && g.passed(o) {
			delete(g.wanted, n)
			o.left--
		}
	}
	return nil
}

// passed reports whether a later order is done.
func (g *courier) passed(o *order) bool {
	for _, x := range g.orders {
		if x.at.After(o.at) && x.left == 0 {
			return true
		}
	}
	return false
}

// adapt sets how much is ordered ahead by how fast it comes.
func (g *courier) adapt(now time.Time) {
	d := now.Sub(g.mark)
	switch {
	case g.mark.IsZero() || g.bytes == 0 && d > time.Minute:
		g.mark, g.bytes = now, 0
	case g.bytes == 0: // nothing is known
	case d > time.Second/2:
		g.ahead = int(float64(g.bytes) / d.Seconds() * orderAhead.Seconds() / file.Stretch)
		g.mark, g.bytes = now, 0
	}
	g.ahead = min(max(g.ahead, leastAhead), max(g.most, 1))
}

// order orders up to size stretches.
func (g *courier) order(now time.Time, size int) (bool, error) {
	f := g.f
	o := &message.FileOrder{Message: f.ref.id, Nth: uint8(f.ref.nth), Device: f.m.cfg.Device, Relay: g.relay}
	for _, n := range g.missing(size) {
		if !o.Add(n) {
			break
		}
	}
	if len(o.Runs) == 0 {
		return false, nil
	}
	var spent []uint32
	g.orders = slices.DeleteFunc(g.orders, func(x *order) bool {
		if x.left <= 0 {
			spent = append(spent, x.serials...)
		}
		return x.left <= 0
	})
	serials, err := f.m.cfg.Engine.Order(f.ctx, f.from.With, o, spent)
	if errors.Is(err, engine.ErrNoStamps) {
		if now.Sub(g.looked) >= lookAgain {
			g.looked = now
			f.m.cfg.Relays.Look(g.relay)
		}
		return false, nil
	}
	if err != nil {
		return false, err
	}
	f.m.cfg.Hurry(f.from.With)
	if len(g.wanted) == 0 {
		g.came = now
	}
	x := &order{at: now, o: o, left: len(serials), serials: serials}
	g.orders = append(g.orders, x)
	nths := o.Nths()
	for _, n := range nths {
		g.wanted[n] = x
	}
	f.m.await(f, g.keys, g.relay, nths)
	return true, nil
}
