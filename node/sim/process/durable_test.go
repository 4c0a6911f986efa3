//go:build linux

package process_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rushlight/node/engine"
)

// underWay is how many callers send at once.
const underWay = 512

// BenchmarkDurable sends 100-byte texts through the engine from many
// goroutines, each waiting until its message is durable, and compares with what
// Badger's own group commit reaches in the same run when it writes records of
// the same sizes. Run it with -benchtime=60000x.
func BenchmarkDurable(b *testing.B) {
	y := newDaemon(b, "bob")
	x := newSender(b, y)
	y.kill() // nothing is delivered meanwhile
	n := max(b.N, 4*underWay)
	text := strings.Repeat("x", 100)
	self, began := cpuTime(b, syscall.RUSAGE_SELF), time.Now()
	each(b, n, func() error {
		_, err := x.Send(context.Background(), engine.Send{To: x.to, Text: text})
		return err
	})
	ours := float64(n) / time.Since(began).Seconds()
	x.stop()
	used := cpuTime(b, syscall.RUSAGE_SELF) - self
	self = cpuTime(b, syscall.RUSAGE_SELF)
	floor := groupCommit(b, n)
	alone := cpuTime(b, syscall.RUSAGE_SELF) - self
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ours, "msg/s")
	b.ReportMetric(floor, "badger-msg/s")
	b.ReportMetric(ours/floor, "ratio")
	b.ReportMetric(perMessage(used, n), "cpu-µs")
	b.ReportMetric(perMessage(alone, n), "badger-cpu-µs")
}

// each calls f n times from as many goroutines as are under way.
func each(b *testing.B, n int, f func() error) {
	b.Helper()
	var wg sync.WaitGroup
	for i := range underWay {
		wg.Go(func() {
			for range (n + i) / underWay {
				if err := f(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// ofMessage is what one message makes its sender write.
var ofMessage = sizes["sender"][0]

// groupCommit writes the records of n messages into a database of Badger's in
// this process, whatever waits in one synced transaction, and returns messages
// a second.
func groupCommit(b *testing.B, n int) float64 {
	db, err := openBadger(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	queue := make(chan written, underWay)
	failed := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		if err := commitGroups(db, queue, underWay); err != nil {
			b.Error(err)
			close(failed)
		}
	})
	began := time.Now()
	var number atomic.Uint64
	each(b, n, func() error {
		done := make(chan struct{})
		w := written{number.Add(1), ofMessage, func() { close(done) }}
		select {
		case queue <- w:
		case <-failed:
			return nil
		}
		select {
		case <-done:
		case <-failed:
		}
		return nil
	})
	took := time.Since(began)
	close(queue)
	writing.Wait()
	return float64(n) / took.Seconds()
}

// cpuTime is how long processors have worked for this process, or for those of
// its children that have ended.
func cpuTime(b *testing.B, who int) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpuTime is how long processors have worked for the daemon, in steps of the
// kernel's hundredth of a second.
func (d *daemon) cpuTime() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))
	if err != nil {
		d.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), ") ")
	var used time.Duration
	for _, f := range strings.Fields(after)[11:13] { // of its program, and of the kernel for it
		n, err := strconv.Atoi(f)
		if err != nil {
			d.t.Fatal(err)
		}
		used += time.Duration(n) * 10 * time.Millisecond
	}
	return used
}

// perMessage is in microseconds.
func perMessage(d time.Duration, n int) float64 { return float64(d.Nanoseconds()) / 1000 / float64(n) }
