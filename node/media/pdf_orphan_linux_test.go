package media

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"rushlight/node/internal/judge"
)

// A document that nobody waits for any more isn't read to its end.
func TestGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	end := cleaning(ctx, t)
	childOf(t, os.Getpid())
	cancel()
	if err := <-end; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Nor is it damaged when what reads it is ended from outside.
func TestEndedFromOutside(t *testing.T) {
	end := cleaning(t.Context(), t)
	pid, err := strconv.Atoi(childOf(t, os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-end; err == nil || errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

// cleaning has a long document read, and says how that ends.
func cleaning(ctx context.Context, t *testing.T) <-chan error {
	ended := inChild(t)
	b := judge.Pages(400_000)
	end := make(chan error)
	go func() {
		_, err := cleanedPDF(ctx, b)
		if all := ended(); err == nil || len(all) != 1 || all[0].Exited() {
			t.Errorf("it wasn't ended: %v, processes %v", err, all)
		}
		end <- err
	}()
	return end
}

// slowEnv has [TestNobodyWaits] read a long document, and do nothing else.
const slowEnv = "RUSHLIGHT_MEDIA_TEST_SLOW"

// Who reads a document for a daemon that is killed ends too, long before it would
// be done.
func TestNobodyWaits(t *testing.T) {
	if os.Getenv(slowEnv) != "" {
		inChild(t)
		_, err := cleanedPDF(t.Context(), judge.Pages(400_000))
		t.Fatal("it was read sooner than anybody could have looked: ", err)
	}
	parent := exec.Command(os.Args[0], "-test.run=^TestNobodyWaits$")
	parent.Env = append(os.Environ(), slowEnv+"=1")
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	child := childOf(t, parent.Process.Pid)
	until(t, "it has read what it was given", func() bool { // or it would end for want of the rest
		in, err := os.Readlink("/proc/" + child + "/fd/0")
		if err != nil {
			t.Fatal("it has ended already: ", err)
		}
		all, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", parent.Process.Pid))
		for _, fd := range all {
			if to, _ := os.Readlink(fd); to == in {
				return false
			}
		}
		return true
	})
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	killed := time.Now()
	until(t, "it has ended", func() bool {
		b, err := os.ReadFile("/proc/" + child + "/stat")
		return err != nil || bytes.Contains(b, []byte(") Z "))
	})
	t.Logf("it ended after %v", time.Since(killed).Round(time.Millisecond))
}

// childOf waits until a process has a document read, and returns by which.
func childOf(t *testing.T, pid int) (child string) {
	t.Helper()
	until(t, "the document is being read", func() bool {
		all, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
		for _, name := range all {
			b, _ := os.ReadFile(name)
			for _, pid := range strings.Fields(string(b)) { // starting one makes others, for a moment
				if env, _ := os.ReadFile("/proc/" + pid + "/environ"); bytes.Contains(env, []byte(childEnv)) {
					child = pid
				}
			}
		}
		return child != ""
	})
	return child
}

// until waits for at most ten seconds.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within ten seconds: %s", what)
		}
	}
}
