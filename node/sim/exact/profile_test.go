package exact

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing/synctest"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/identity"
	"rushlight/storage"
)

// profile is one person's device: an engine over a store in a directory.
type profile struct {
	w     *world
	n     int
	dir   string
	store *storage.Store
	eng   *engine.Engine
	stop  context.CancelFunc
	done  chan error

	account identity.AccountID
	device  identity.DeviceID

	// life counts how often the profile was opened. What is answered to an
	// earlier life never arrives: its streams ended with it.
	life   int
	rolled int // how often an older copy was restored

	kill atomic.Pointer[plug] // to be pulled, when set
}

// plug is pulled by the next commit that queues something: the profile is copied
// into a directory before anybody hears of that commit. It may be one that the
// driver asked for, or one of the engine's own at the same time.
type plug struct {
	dir   string
	there chan struct{} // holds one token until it is pulled
	done  chan struct{} // closed when it was
}

var root = [32]byte{1}

// newProfile makes a profile with a fresh identity.
func (w *world) newProfile() *profile {
	p := &profile{w: w, n: len(w.people), dir: w.newDir()}
	p.openStore()
	w.must(engine.Create(p.store, identity.NewRecoveryCode(), string(rune('a'+p.n)), time.Now()))
	p.start()
	p.account, p.device = p.eng.Account(), p.eng.Device()
	w.people = append(w.people, p)
	return p
}

func (p *profile) openStore() {
	none := 0
	s, err := storage.Open(storage.Options{
		Dir: p.dir, Root: root, MemTableSize: 2 << 20, Compactors: &none, Ballast: -1, MinFree: -1,
	})
	p.w.must(err)
	p.store = s
}

func (p *profile) start() {
	e, err := engine.Open(p.store, engine.Options{})
	p.w.must(err)
	e.SetCourier(p)
	ctx, cancel := context.WithCancel(context.Background())
	p.eng, p.stop, p.done = e, cancel, make(chan error, 1)
	p.life++
	go func() { p.done <- e.Run(ctx) }()
	synctest.Wait()
}

// Wake implements engine.Courier. The engine calls it between a commit and the
// answer to whoever asked for it: the moment to pull the plug.
func (p *profile) Wake(identity.AccountID) {
	k := p.kill.Load()
	if k == nil {
		return
	}
	select {
	case <-k.there:
	default:
		return
	}
	defer close(k.done)
	// Nobody can wait here until the database has written behind: the engine's
	// loop may stand at a mutex. What didn't change meanwhile is whole.
	for before := ""; ; {
		now, err := listing(p.dir)
		if err == nil && now == before {
			return
		}
		p.w.must(os.RemoveAll(k.dir))
		if err = copyDir(p.dir, k.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			p.w.must(err)
		}
		if before = now; err != nil {
			before = ""
		}
	}
}

// listing is the names, sizes and times of all files of a directory.
func listing(dir string) (out string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		i, err := d.Info()
		if err == nil {
			out += fmt.Sprintln(path, i.Size(), i.ModTime().UnixNano())
		}
		return err
	})
	return out, err
}

// mortal calls f, and so often in a hundred pulls p's plug as soon as a commit
// in f has queued something: before f's caller, or anybody else, hears of it.
func (p *profile) mortal(percent int, f func()) (died bool) {
	if !p.w.chance(percent) {
		f()
		synctest.Wait()
		return false
	}
	k := &plug{dir: p.w.newDir(), there: make(chan struct{}, 1), done: make(chan struct{})}
	k.there <- struct{}{}
	p.kill.Store(k)
	f()
	select {
	case <-k.there:
	default:
		died = true
		<-k.done
	}
	p.kill.Store(nil)
	synctest.Wait()
	if died {
		p.w.count["killed after a commit"]++
		p.moveTo(k.dir)
	}
	return died
}

// halt ends the engine and the store.
func (p *profile) halt() {
	if p.stop == nil {
		return
	}
	p.stop()
	p.stop = nil
	p.w.must(<-p.done)
	p.w.must(p.store.Close())
	synctest.Wait()
}

// restart closes and opens the profile.
func (p *profile) restart() {
	p.halt()
	p.openStore()
	p.start()
}

// crash goes on with a copy of the directory as it is now; whatever the
// running engine still does is lost.
func (p *profile) crash() {
	dir := p.w.newDir()
	p.w.must(copyDir(p.dir, dir))
	p.moveTo(dir)
}

// moveTo goes on with another directory.
func (p *profile) moveTo(dir string) {
	p.halt()
	p.w.must(os.RemoveAll(p.dir))
	p.dir = dir
	p.openStore()
	p.start()
}

// edit changes the store behind the engine's back.
func (p *profile) edit(f func(tx *storage.Tx) error) {
	p.halt()
	p.openStore()
	p.w.must(p.store.Update(f))
	p.start()
}

// copyDir copies a store's directory. The logs are mapped files with much
// empty room behind what is written: it stays a hole.
func copyDir(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		dst := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(dst, 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n := len(b)
		for n > 0 && b[n-1] == 0 {
			n--
		}
		return errors.Join(os.WriteFile(dst, b[:n], 0o600), os.Truncate(dst, int64(len(b))))
	})
}
