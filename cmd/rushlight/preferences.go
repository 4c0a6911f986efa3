package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"rushlight/node/api"
)

// preferencesFile is where a profile directory keeps what was chosen on the
// page. It says nothing about people or messages.
const preferencesFile = "settings.json"

// The names of the choices, as the command line and the method settings have
// them.
const (
	flagLockAfter = "lock-after"
	flagNotify    = "notify"
)

// preferences are the choices that can be made while the daemon runs. What the
// command line says holds as long as the daemon runs, whatever is chosen. The
// methods may be called from many goroutines.
type preferences struct {
	path string

	told settings // what the command line says

	mu      sync.Mutex
	chosen  api.Choices   // without what the command line says
	changed chan struct{} // closed at the next change
}

// openPreferences reads what was chosen before; s is what the command line said.
// A file that can't be understood counts as none.
func openPreferences(dir string, s settings) (*preferences, error) {
	p := &preferences{path: filepath.Join(dir, preferencesFile), told: s, changed: make(chan struct{})}
	p.chosen = api.Choices{Notify: api.NotifyPlain}
	b, err := os.ReadFile(p.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the settings: %w", bareFile(err))
	}
	var kept api.Choices
	if err == nil && json.Unmarshal(b, &kept) == nil && kept.Check() == nil {
		p.chosen = kept
	}
	return p, nil
}

// holds is what was chosen, and where the command line says something, that.
// p.mu is held.
func (p *preferences) holds() api.Choices {
	s := p.chosen
	s.Fixed = api.List[string]{}
	if p.told.said[flagLockAfter] {
		s.LockAfter = api.Timer(p.told.lockAfter)
		s.Fixed = append(s.Fixed, "lockAfter")
	}
	if p.told.said[flagNotify] {
		s.Notify = p.told.notify
		s.Fixed = append(s.Fixed, "notify")
	}
	return s
}

// change takes what was chosen, keeps it and returns all that holds.
func (p *preferences) change(r api.ChoicesRequest) (api.Choices, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if next, err := r.On(p.holds()); err != nil {
		return next, err
	}
	next, err := r.On(p.chosen)
	if err != nil {
		return p.holds(), err
	}
	if next.LockAfter != p.chosen.LockAfter || next.Notify != p.chosen.Notify {
		if err := p.save(next); err != nil {
			return p.holds(), explain(err)
		}
		p.chosen = next
		close(p.changed)
		p.changed = make(chan struct{})
	}
	return p.holds(), nil
}

// save writes the file anew.
func (p *preferences) save(next api.Choices) error {
	b, err := json.Marshal(next)
	if err != nil {
		return err
	}
	part := p.path + ".new"
	err = os.WriteFile(part, b, 0o600)
	if err == nil {
		err = os.Rename(part, p.path)
	}
	if err != nil {
		return fmt.Errorf("saving the settings: %w", bareFile(err))
	}
	return nil
}

// lockAfter is how long nobody may use the profile before it is locked, 0 for
// ever, and what is closed when that may be another time.
func (p *preferences) lockAfter() (time.Duration, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Duration(p.holds().LockAfter), p.changed
}

// notify is what notifications say.
func (p *preferences) notify() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.holds().Notify
}
