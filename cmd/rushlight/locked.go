package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"rushlight/node/api"
	"rushlight/storage"
)

// lockedEnv tells a process that took over from one that was told to lock: its
// value is the time by which what has expired is judged, in Unix milliseconds.
const lockedEnv = "RUSHLIGHT_LOCKED"

// errLock and errWipe end a daemon that was told so.
var (
	errLock = errors.New("told to lock")
	errWipe = errors.New("told to wipe")
)

func lockCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "lock",
		Short: "Forget the keys until the profile is unlocked",
		Long: `Forget the keys until the profile is unlocked. The daemon stays, but reaches
nobody and shows nothing; messages whose time is over still become unreadable.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.call(cmd.Context(), "lock", nil, nil); err != nil {
				return err
			}
			err := a.until(cmd.Context(), "Closing the profile", func(s api.Status) bool { return s.Locked })
			if err != nil {
				return err
			}
			return a.print(map[string]bool{"locked": true}, func(w io.Writer) { fmt.Fprintln(w, "Locked.") })
		},
	}
}

func unlockCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "unlock",
		Short: "Unlock a locked profile with its passphrase",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			var s api.Status
			if err := a.call(ctx, "status", nil, &s); err != nil {
				return err
			}
			if !s.Locked {
				return api.Errorf(api.CodeUsage, "the profile isn't locked")
			}
			pass, _, err := a.passphrase(ctx, false)
			if err != nil {
				return err
			}
			defer clear(pass)
			if err := a.call(ctx, "unlock", map[string]string{"passphrase": string(pass)}, nil); err != nil {
				return err
			}
			if err := a.until(ctx, "Opening the profile", func(s api.Status) bool { return s.Ready }); err != nil {
				return err
			}
			return a.print(map[string]bool{"locked": false}, func(w io.Writer) { fmt.Fprintln(w, "Unlocked.") })
		},
	}
}

// changeTime is how long the daemon may take to become something else, and
// goneTime how long nobody may answer until it is looked whether it lives.
const (
	changeTime = 5 * time.Minute
	goneTime   = 10 * time.Second
)

// until asks the daemon how it is, also while it is away for a moment. After a
// second it says what it waits for.
func (a *app) until(ctx context.Context, what string, done func(api.Status) bool) error {
	ctx, cancel := context.WithTimeout(ctx, changeTime)
	defer cancel()
	defer a.slowly(what)()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	heard := time.Now()
	for {
		var s api.Status
		err := a.call(ctx, "status", nil, &s)
		switch {
		case err == nil && done(s):
			return nil
		case err == nil:
			heard = time.Now()
		case !errors.Is(err, &api.Error{Code: api.CodeNoDaemon}) || time.Since(heard) > goneTime && !isRunning(a.dir):
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return api.AsError(ctx.Err())
		}
	}
}

// lockWhenIdle calls lock when the profile wasn't used for as long as after
// says; that can change, then the channel is closed that it returns.
func lockWhenIdle(ctx context.Context, after func() (time.Duration, <-chan struct{}), lastUse func() time.Time, lock func()) {
	start := time.Now()
	for ctx.Err() == nil {
		limit, changed := after()
		var due <-chan time.Time // never
		if limit > 0 {
			last := lastUse()
			if last.Before(start) {
				last = start
			}
			left := time.Until(last.Add(limit))
			if left <= 0 {
				lock()
				return
			}
			due = time.After(left)
		}
		select {
		case <-due:
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// lockedSince returns the time that a process before this one has locked at.
func lockedSince() (time.Time, bool) {
	ms, err := strconv.ParseInt(os.Getenv(lockedEnv), 10, 64)
	return time.UnixMilli(ms), err == nil
}

// becomeLocked replaces the process, whose memory has been full of keys. Where
// that can't be done it stays, with what the runtime gives back to the system.
func becomeLocked(now time.Time) {
	variable := fmt.Sprintf("%s=%d", lockedEnv, now.UnixMilli())
	if err := reexec(variable); err != nil {
		debug.FreeOSMemory()
	}
}

// trust bounds how far the system's clock is believed while nobody can be asked
// for the time: so long may the machine have slept.
const trust = 24 * time.Hour

// lockedClock is the time in a locked profile: the system's, but no earlier
// than when it was locked, and not much later than that and the time since.
type lockedClock struct{ since, started time.Time }

func (c lockedClock) now() time.Time {
	wall, most := time.Now().Round(0), c.since.Add(time.Since(c.started)+trust)
	if wall.After(most) {
		wall = most
	}
	if wall.Before(c.since) {
		wall = c.since
	}
	return wall
}

// expireEvery is how long a locked profile waits at most to look at the clock.
const expireEvery = 30 * time.Second

// serveLocked answers that the profile is locked, and destroys what expires,
// until somebody unlocks it, or it is told to stop.
func (a *app) serveLocked(ctx context.Context, s settings, since time.Time) (d daemon, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ln, err := api.Listen(ctx, a.dir)
	if err != nil {
		return nil, err
	}
	p, err := openPage(ctx, a.dir, s.page, nil)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	if !a.json {
		fmt.Fprintln(a.err, "locked")
	}
	var mu sync.Mutex // who has the store's files, and d
	unlocked := errors.New("unlocked")
	srv := &api.Server{
		Version: versionText(), Logger: s.logger, Shutdown: func() { stop(nil) },
		Unlock: func(_ context.Context, passphrase []byte) error {
			defer clear(passphrase)
			mu.Lock()
			defer mu.Unlock()
			if d != nil {
				return nil
			}
			opened, err := a.unlock(passphrase, s)
			if err != nil {
				return explain(err)
			}
			d = opened
			stop(unlocked)
			return nil
		},
		Wipe: func() error {
			mu.Lock()
			defer mu.Unlock()
			if d != nil {
				return api.Errorf(api.CodeBusy, "the profile was just unlocked").WithHint("try again")
			}
			if err := wipeKeys(a.dir); err != nil {
				return explain(err)
			}
			stop(errWipe)
			return nil
		},
	}
	var beside sync.WaitGroup
	if p != nil {
		beside.Go(func() {
			if err := p.serve(ctx, srv, s.logger); err != nil {
				stop(err)
			}
		})
	}
	beside.Go(func() {
		a.expire(ctx, &mu, func() bool { return d != nil }, lockedClock{since, time.Now()}, s.logger)
	})
	err = srv.Serve(ctx, ln)
	stop(nil)
	beside.Wait()
	cause := context.Cause(ctx)
	switch {
	case err != nil:
	case errors.Is(cause, unlocked):
		return d, nil
	case errors.Is(cause, errWipe):
		err = cause
	}
	if d != nil {
		err = errors.Join(err, d.Close())
	}
	return nil, err
}

// expire destroys what expires.
func (a *app) expire(ctx context.Context, mu *sync.Mutex, over func() bool, clock lockedClock, log *slog.Logger) {
	for {
		wait := expireEvery
		mu.Lock()
		if over() {
			mu.Unlock()
			return
		}
		now := clock.now()
		next, err := storage.Expire(storeDir(a.dir), now)
		mu.Unlock()
		if err != nil {
			log.Warn("what has expired can't be destroyed", "err", err)
		} else if !next.IsZero() {
			wait = min(max(next.Sub(now), 0), wait)
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}
