package shelf

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rushlight/protocol/envelope"
)

// jumpEnv tells TestClockJumpsWithinAMerge that it is the process that merges,
// where, and after how long the clock jumps.
const jumpEnv = "RUSHLIGHT_SHELF_TEST_JUMP"

// tooSlow is how that process ends when the clock has jumped before a merge.
const tooSlow = 3

// Row 16, at the relay: the clock goes ahead by 40 days in the middle of a merge.
// The shelf fails rather than replace its tables, and when it is opened again, by
// a clock that is right, all mail is there. Control: without that, what was
// merged after the jump is gone.
func TestClockJumpsWithinAMerge(t *testing.T) {
	const mails = 200
	if f := strings.Fields(os.Getenv(jumpEnv)); len(f) == 3 {
		after, err := time.ParseDuration(f[1])
		if err != nil {
			t.Fatal(err)
		}
		mergeAndJump(t, f[0], after, f[2] == "merge", mails)
	}
	for _, how := range []string{"stop", "merge"} {
		t.Run(how, func(t *testing.T) {
			dir, err := "", error(nil)
			for after := 8 * time.Second; after < 10*time.Minute; after *= 4 {
				dir = t.TempDir()
				cmd := exec.Command(os.Args[0], "-test.run=^TestClockJumpsWithinAMerge$")
				cmd.Env = append(os.Environ(), fmt.Sprint(jumpEnv, "=", dir, " ", after, " ", how))
				var out []byte
				if out, err = cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != tooSlow {
					t.Logf("%s", out)
					break
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) { // long before Badger hides anything
				s := start(t, jumpOptions(dir, &jumpingClock{}))
				h, found, err := s.Login(owner(1))
				if err != nil || !found {
					t.Fatal(found, err)
				}
				switch got, _ := fetch(t, s.Shelf, h, 0); {
				case how == "stop" && len(got) != mails:
					t.Errorf("%d of %d envelopes are left", len(got), mails)
				case how == "merge" && len(got) > mails/2:
					t.Errorf("control: %d of %d envelopes are left", len(got), mails)
				}
				s.end(t)
			})
		})
	}
}

// jumpingClock is far ahead from a moment of the system's clock on, at which
// Badger may drop all envelopes.
type jumpingClock struct{ at time.Time }

func (c *jumpingClock) now() time.Time {
	t := time.Unix(20000*secondsOfDay, 0)
	if !c.at.IsZero() && time.Now().After(c.at) {
		t = t.Add(40 * day)
	}
	return t
}

func (c *jumpingClock) dropAt(uint16) time.Time { return c.at }

func jumpOptions(dir string, c *jumpingClock) Options {
	o := testOptions(dir)
	none := 0
	o.time, o.MemTableSize, o.Compactors = c, 2<<20, &none
	return o
}

// mergeAndJump leaves mail, lets it be merged, and goes on when the first table
// of several is made and the clock has jumped. It ends the process, because a
// merge that is kept from ending can't be ended otherwise.
func mergeAndJump(t *testing.T, dir string, after time.Duration, merge bool, mails int) {
	c := &jumpingClock{time.Now().Add(after)}
	o := jumpOptions(dir, c)
	s := start(t, o)
	h := newMailbox(t, s.Shelf, 1)
	for _, st := range mint(t, s.Shelf, h, envelope.L, mails) {
		if a := put(t, s.Shelf, st, env(envelope.L)); a.Refused != nil {
			t.Fatal(a.Refused)
		}
	}
	s.end(t)
	two := 2
	o.Compactors, o.merge = &two, merge
	var begun atomic.Bool
	made := make(chan struct{}, 1)
	o.heard = func(format string) {
		switch {
		case strings.Contains(format, "LOG Compact. Added") && begun.CompareAndSwap(false, time.Now().Before(c.at)):
			time.Sleep(time.Until(c.at) + time.Second)
		case format == saysMerged:
			select {
			case made <- struct{}{}:
			default:
			}
		}
	}
	s = start(t, o)
	select {
	case <-made:
	case <-time.After(time.Until(c.at) + time.Second):
		if !begun.Load() {
			os.Exit(tooSlow)
		}
		<-made
	}
	if merge {
		s.end(t)
	} else if err := errors.Join(<-s.done, s.Close()); !errors.Is(err, errJumped) || !errors.Is(err, ErrFailed) {
		t.Error(err)
	}
	if t.Failed() {
		os.Exit(1)
	}
	os.Exit(0)
}
