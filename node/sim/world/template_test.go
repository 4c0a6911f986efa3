package world

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rushlight/node/engine"
	"rushlight/protocol/identity"
	"rushlight/storage"
)

// identities are directories of devices that were never switched on, one for
// each person. Making an identity is dear on purpose, and so each is made once
// for all worlds: their people are the same, and don't know of each other.
type identities struct {
	mu   sync.Mutex
	base string
	made int
}

var templates identities

// of is the directory of one person.
func (i *identities) of(n int) string { return filepath.Join(i.base, fmt.Sprint(n)) }

// make makes them for n people. It is called outside of any bubble, and all are
// made when a bubble's time begins.
func (i *identities) make(t *testing.T, n int) {
	t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.made >= n {
		return
	}
	var err error
	if i.base == "" {
		if i.base, err = os.MkdirTemp("/dev/shm", "rushlight-sim-"); err != nil {
			i.base, err = os.MkdirTemp("", "rushlight-sim-")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		for ; i.made < n; i.made++ {
			if err := makeIdentity(i.of(i.made), i.made); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func makeIdentity(dir string, n int) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	o := storeOptions()
	o.Dir, o.Root = filepath.Join(dir, "store"), root
	s, err := storage.Open(o)
	if err != nil {
		return err
	}
	err = engine.Create(s, identity.RecoveryCode{byte(n)}, fmt.Sprint("person ", n), time.Now())
	return errors.Join(err, s.Close())
}

func (i *identities) remove() error {
	if i.base == "" {
		return nil
	}
	return os.RemoveAll(i.base)
}
