package world

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"rushlight/node"
	"rushlight/node/api"
	"rushlight/node/host"
	"rushlight/storage"
)

// person has one device, and always the same address.
type person struct {
	w       *world
	n       int
	dir     string
	account string
	profile host.Profile
	cap     int64    // bytes a day for what serves no message; 0 is none
	roots   []string // nodes of the hash table that the person was told of
	claims  []string // addresses that the device says it has; empty for its own

	node *node.Node // nil while switched off
	stop context.CancelFunc
	done chan error
	left leftovers
}

// storeOptions are those that suit virtual time and many stores.
func storeOptions() storage.Options {
	none := 0
	return storage.Options{MemTableSize: 2 << 20, Compactors: &none, Ballast: -1, MinFree: -1}
}

var root = [32]byte{1}

// start switches the device on: cold, from its directory.
func (p *person) start() {
	p.w.t.Helper()
	if p.node != nil {
		return
	}
	p.w.air.change(func() { p.w.air.dark[p.n] = false })
	n, err := node.Open(node.Config{
		Dir: p.dir, Root: root, Name: fmt.Sprint("person ", p.n), NoLAN: true,
		Listen:  []string{fmt.Sprintf("/ip4/%v/udp/%d/quic-v1", p.w.air.addrOf(p.n).Addr(), port)},
		Host:    p.w.air.on(p.n, &p.left),
		Profile: p.profile, Bootstrap: p.roots, IdleCap: p.cap, Announce: p.claims,
		Store: storeOptions(), Logger: slog.New(logged{p.w, p.n}),
	})
	p.w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	p.node, p.stop, p.done = n, cancel, make(chan error, 1)
	go func() { p.done <- n.Run(ctx) }()
	<-n.Ready()
	self, err := n.Self(p.w.ctx)
	p.w.must(err)
	p.account = self.Account
}

// halt switches the device off in order.
func (p *person) halt() {
	p.w.t.Helper()
	if p.node == nil {
		return
	}
	p.stop()
	p.w.must(<-p.done)
	p.w.must(p.left.close())
	p.node = nil
}

// unplug switches the device off without anybody hearing of it.
func (p *person) unplug() {
	p.w.t.Helper()
	p.w.air.change(func() { p.w.air.dark[p.n] = true })
	p.halt()
}

// knows reports whether q is an approved contact.
func (p *person) knows(q *person) bool {
	list, err := p.node.Contacts(p.w.ctx)
	p.w.must(err)
	for _, c := range list {
		if c.ID == q.account {
			return c.State == api.ContactApproved
		}
	}
	return false
}

// accept accepts an invite of q, who need not be there.
func (p *person) accept(link string) api.Contact {
	p.w.t.Helper()
	c, err := p.node.Add(p.w.ctx, api.AddRequest{Link: link})
	p.w.must(err)
	return c
}

func (p *person) invite() string {
	p.w.t.Helper()
	inv, err := p.node.CreateInvite(p.w.ctx, api.InviteRequest{Uses: 1, Expires: 24 * time.Hour})
	p.w.must(err)
	return inv.Link
}

// edit changes the store of a person who is switched off, behind the engine's
// back.
func (p *person) edit(f func(tx *storage.Tx) error) {
	p.w.t.Helper()
	p.stored(func(s *storage.Store) error { return s.Update(f) })
}

// stored opens the store of a person who is switched off.
func (p *person) stored(f func(s *storage.Store) error) {
	p.w.t.Helper()
	o := storeOptions()
	o.Dir, o.Root = filepath.Join(p.dir, "store"), root
	s, err := storage.Open(o)
	p.w.must(err)
	p.w.must(f(s))
	p.w.must(s.Close())
}

// backUp copies the directory of a person who is switched off.
func (p *person) backUp() (dir string) {
	p.w.t.Helper()
	dir = p.w.newDir()
	p.w.must(os.CopyFS(dir, os.DirFS(p.dir)))
	return dir
}

// logged is the log of one node: an error there is a bug of ours and fails the
// test.
type logged struct {
	w *world
	n int
}

func (l logged) Enabled(_ context.Context, at slog.Level) bool {
	return verbose || at >= slog.LevelError
}

func (l logged) Handle(_ context.Context, r slog.Record) error {
	text := fmt.Sprintf("%s person %d: %s", l.w.clock(), l.n, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		if err, ok := a.Value.Any().(error); ok {
			for err = errors.Unwrap(err); err != nil; err = errors.Unwrap(err) {
				text += " < " + err.Error() // errors of a node don't say whom they are about
			}
		}
		return true
	})
	if r.Level >= slog.LevelError {
		l.w.t.Errorf("seed %d: %s", l.w.seed, text)
	} else {
		l.w.t.Log(text)
	}
	return nil
}

func (l logged) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l logged) WithGroup(string) slog.Handler      { return l }
