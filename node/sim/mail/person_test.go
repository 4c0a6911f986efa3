package mail

import (
	"context"
	"os"
	"strings"
	"testing/synctest"
	"time"

	"rushlight/node/delivery/parcel"
	"rushlight/node/engine"
	"rushlight/protocol/identity"
	"rushlight/storage"
)

// person is one device: an engine over a store in a directory.
type person struct {
	w     *world
	n     int
	dir   string
	store *storage.Store
	eng   *engine.Engine
	stop  context.CancelFunc
	done  chan error
	gone  bool // the device was destroyed

	account identity.AccountID
	device  identity.DeviceID

	away   map[[32]byte]time.Time // relays that didn't answer, until when they are left alone
	noRoom map[roomOf]time.Time   // mailboxes that had none, likewise
	known  map[[32]byte]bool      // relays at which the mailbox was made
	owes   bool
	ahead  time.Duration // of its clock
	memory int64         // of the store's tables of recent writes; 0 is little
}

// roomOf is the mailbox of somebody at a relay.
type roomOf struct {
	relay [32]byte
	owner *person
}

// Wake implements engine.Courier: the driver looks at every outbox anyhow.
func (*person) Wake(identity.AccountID) {}

var root = [32]byte{1}

func (w *world) newPerson() *person {
	p := &person{w: w, n: len(w.people), dir: w.newDir()}
	p.openStore()
	w.must(engine.Create(p.store, identity.NewRecoveryCode(), string(rune('a'+p.n%26)), time.Now()))
	p.start()
	p.account, p.device = p.eng.Account(), p.eng.Device()
	w.people = append(w.people, p)
	return p
}

func (p *person) openStore() {
	s, err := storage.Open(storage.Options{
		Dir: p.dir, Root: root, MemTableSize: max(p.memory, 2<<20), Compactors: p.w.compactors(), Ballast: -1, MinFree: -1,
		Wall: func() time.Time { return time.Now().Add(p.ahead) },
	})
	p.w.must(err)
	p.store = s
}

func (p *person) start() {
	e, err := engine.Open(p.store, engine.Options{})
	p.w.must(err)
	e.SetCourier(p)
	ctx, cancel := context.WithCancel(context.Background())
	p.eng, p.stop, p.done = e, cancel, make(chan error, 1)
	p.noRoom = map[roomOf]time.Time{}
	p.away, p.known = map[[32]byte]time.Time{}, map[[32]byte]bool{}
	p.owes = true
	go func() { p.done <- e.Run(ctx) }()
	synctest.Wait()
}

func (p *person) open() {
	if p.gone || p.stop != nil {
		return
	}
	p.openStore()
	p.start()
}

func (p *person) halt() {
	if p.stop == nil {
		return
	}
	p.stop()
	p.stop = nil
	p.w.must(<-p.done)
	p.w.must(p.store.Close())
	synctest.Wait()
}

// crash goes on with a copy of the directory as it is now.
func (p *person) crash() {
	dir := p.w.copyOf(p.dir)
	p.moveTo(dir)
	p.w.count["clients killed"]++
}

func (p *person) moveTo(dir string) {
	p.halt()
	p.w.must(os.RemoveAll(p.dir))
	p.dir = dir
	p.open()
}

// dies kills p so often in a thousand.
func (p *person) dies(often int) bool {
	if p.w.rng.IntN(1000) >= often {
		return false
	}
	p.crash()
	p.w.log("%d is killed", p.n)
	return true
}

// befriend makes two people contacts, who come together this once.
func (w *world) befriend(a, b *person) {
	link, _, err := a.eng.CreateInvite(w.ctx, engine.InviteOptions{Uses: 1, Life: time.Hour})
	w.must(err)
	inv, err := identity.ParseInvite(link)
	w.must(err)
	w.must(b.eng.Join(w.ctx, inv, link, "", "", false))
	_, reply, code := a.eng.ServeInvite(w.ctx, inv.ID, func(s [32]byte) bool { return s == inv.Secret })
	if code != 0 {
		w.fatal("an invite was refused with code %d", code)
	}
	w.must(b.eng.Offered(w.ctx, inv, reply))
	w.together(a, b)
}

// together lets two people meet until nothing is left to say.
func (w *world) together(a, b *person) {
	for moved := 1; moved > 0; {
		synctest.Wait()
		moved = w.carry(a, b) + w.carry(b, a)
	}
}

func (w *world) carry(a, b *person) (taken int) {
	w.must(a.eng.PeerCounters(w.ctx, b.device, b.eng.Counters(a.device)))
	w.must(b.eng.PeerCounters(w.ctx, a.device, a.eng.Counters(b.device)))
	ps, err := a.eng.Pending(b.account, 0, 64)
	w.must(err)
	if len(ps) == 0 {
		return 0
	}
	var envs [][]byte
	for _, p := range ps {
		envs = append(envs, p.Envelope)
	}
	var acks []parcel.Ack
	for i, r := range b.eng.ReceiveBatch(w.ctx, a.device, envs) {
		w.must(r.Err)
		acks = append(acks, parcel.Ack{Seq: ps[i].Seq, MAC: r.MAC})
	}
	w.must(a.eng.Acked(w.ctx, b.account, b.device, acks))
	synctest.Wait()
	return len(acks)
}

// shows is what p shows of its conversation with q.
func (p *person) shows(q *person) []engine.View {
	views, err := p.eng.Read(p.w.ctx, engine.Read{With: q.account, Peek: true})
	p.w.must(err)
	return views
}

// labelOf is the name that a text begins with.
func labelOf(v engine.View) string {
	label, _, _ := strings.Cut(v.Text, "|")
	return label
}
