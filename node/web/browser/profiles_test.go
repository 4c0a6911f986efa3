//go:build linux

package browser_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// To make a profile takes longer than most of what is tested. Those that begin
// with the recovery code confirmed are copies of one that was made so and has
// met nobody. A profile is lent to one test at a time, so that no two daemons
// that run have the same keys.

// profile is one that daemons begin with.
type profile struct {
	name, account, code string
	dir                 string // what it was when nobody had met it
}

var spare struct {
	sync.Mutex
	dir      string // where they are kept; set before any test
	profiles map[string][]*profile
}

// borrow takes a profile that nobody has, if there is one.
func borrow(name string) *profile {
	spare.Lock()
	defer spare.Unlock()
	all := spare.profiles[name]
	if len(all) == 0 {
		return nil
	}
	p := all[len(all)-1]
	spare.profiles[name] = all[:len(all)-1]
	return p
}

// giveBack lets other tests have a profile.
func giveBack(p *profile) {
	spare.Lock()
	defer spare.Unlock()
	if spare.profiles == nil {
		spare.profiles = map[string][]*profile{}
	}
	spare.profiles[p.name] = append(spare.profiles[p.name], p)
}

// confirmed is a daemon whose recovery code was confirmed.
func confirmed(t testing.TB, name string) *daemon {
	t.Helper()
	needBrowser(t)
	p := borrow(name)
	isNew := p == nil
	if isNew {
		p = &profile{name: name}
	}
	d := &daemon{t: t, dir: filepath.Join(t.TempDir(), "profile")}
	t.Cleanup(func() {
		d.kill()
		if p.dir != "" {
			giveBack(p)
		}
	})
	if isNew {
		d.make(name)
		d.call("recovery", map[string]bool{"confirmed": true}, nil)
		d.stop()
		p.account, p.code = d.account, d.code
		dir, err := os.MkdirTemp(spare.dir, "profile-")
		if err != nil {
			t.Fatal(err)
		}
		copyProfile(t, d.dir, dir)
		p.dir = dir
	} else {
		if err := os.Mkdir(d.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		copyProfile(t, p.dir, d.dir)
		d.writePass()
	}
	d.start()
	d.account, d.code = p.account, p.code
	return d
}

// copyProfile copies a profile that no daemon runs on, without what each makes
// anew: the page's port, which somebody else may have by then, and the space it
// keeps for a full disk.
func copyProfile(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		at := filepath.Join(to, rel)
		switch {
		case e.IsDir():
			return os.MkdirAll(at, 0o700)
		case !e.Type().IsRegular(), e.Name() == "door.json", e.Name() == "ballast":
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(at, b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}
