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
)

// A document that nobody waits for any more isn't read to its end.
func TestGivenUp(t *testing.T) {
	ended := inChild(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := cleanedPDF(ctx, pages(400_000)); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if all := ended(); len(all) != 1 || all[0].Exited() {
		t.Errorf("processes that ended: %v", all)
	}
}

// Nor is it damaged when what reads it is ended from outside.
func TestEndedFromOutside(t *testing.T) {
	inChild(t)
	end := make(chan error)
	go func() {
		_, err := cleanedPDF(t.Context(), pages(400_000))
		end <- err
	}()
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

// slowEnv has [TestNobodyWaits] read a long document, and do nothing else.
const slowEnv = "RUSHLIGHT_MEDIA_TEST_SLOW"

// Who reads a document for a daemon that is killed ends too, long before it would
// be done.
func TestNobodyWaits(t *testing.T) {
	if os.Getenv(slowEnv) != "" {
		inChild(t)
		_, err := cleanedPDF(t.Context(), pages(400_000))
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

// pages is a document of so many empty pages; each thousand takes a good part of a
// second.
func pages(n int) []byte {
	var b bytes.Buffer
	var table strings.Builder
	object := func(s string) {
		fmt.Fprintf(&table, "%010d 00000 n \n", b.Len())
		b.WriteString(s)
	}
	b.WriteString("%PDF-1.4\n")
	object("1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n")
	var kids strings.Builder
	for i := range n {
		fmt.Fprintf(&kids, "%d 0 R ", i+3)
	}
	object(fmt.Sprintf("2 0 obj\n<</Type/Pages/Kids[%s]/Count %d>>\nendobj\n", kids.String(), n))
	for i := range n {
		object(fmt.Sprintf("%d 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>\nendobj\n", i+3))
	}
	at := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", n+3, table.String(), n+3, at)
	return b.Bytes()
}
