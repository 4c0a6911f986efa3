package shelf

import (
	"math"
	"sync/atomic"
	"testing"

	"rushlight/protocol/envelope"
	"rushlight/protocol/mailbox"
	"rushlight/protocol/stamp"
)

// benchOptions are the defaults but for the room that they ask of the disk.
func benchOptions(dir string) Options {
	o := testOptions(dir)
	o.MemTableSize, o.time, o.Quota = 0, nil, 1<<40
	return o
}

// BenchmarkDeposit stores envelopes of 2 KiB with 1,024 under way at a time,
// for 256 mailboxes. deposits/cpu-s is per second of processor time of the
// whole process, which is what a relay pays for.
func BenchmarkDeposit(b *testing.B) {
	for _, c := range []struct {
		name    string
		receipt bool
	}{{"plain", false}, {"receipt", true}} {
		b.Run(c.name, func(b *testing.B) { benchDeposit(b, c.receipt) })
	}
}

func benchDeposit(b *testing.B, receipt bool) {
	const boxes, window = 256, 1024
	s := start(b, benchOptions(b.TempDir()))
	stamps := mintAll(b, s.Shelf, boxes, b.N)
	e := env(envelope.S)
	slots := make(chan struct{}, window)
	var failed atomic.Int64
	done := func(d *Deposit, err error) {
		if err != nil || d.Answer.Refused != nil || receipt && d.Answer.Receipt == nil {
			failed.Add(1)
		}
		<-slots
	}
	cpu := cpuTime()
	b.ResetTimer()
	for i := range b.N {
		slots <- struct{}{}
		ticket, refused := s.OpenStamp(&stamps[i])
		if refused != nil {
			b.Fatal(refused)
		}
		with := append([]byte(nil), e...)
		with[0], with[1], with[2] = byte(i), byte(i>>8), byte(i>>16)
		d := &Deposit{Ticket: ticket, Envelope: with, Object: mailbox.Object(with), TTL: 30, Receipt: receipt, Done: done}
		if err := s.Put(d); err != nil {
			b.Fatal(err)
		}
	}
	for range window {
		slots <- struct{}{}
	}
	b.StopTimer()
	used := cpuTime() - cpu
	if failed.Load() > 0 {
		b.Fatalf("%d refused", failed.Load())
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deposits/s")
	b.ReportMetric(float64(b.N)/used.Seconds(), "deposits/cpu-s")
	b.ReportMetric(float64(b.N)/float64(s.Stats().Commits), "deposits/commit")
}

// mintAll makes n stamps for some mailboxes in turn.
func mintAll(b *testing.B, s *Shelf, boxes, n int) []stamp.Stamp {
	b.Helper()
	each := (n + boxes - 1) / boxes
	all := make([][]stamp.Stamp, boxes)
	for i := range all {
		h := newMailbox(b, s, byte(i))
		for len(all[i]) < each {
			all[i] = append(all[i], mint(b, s, h, envelope.S, min(each-len(all[i]), mailbox.MaxMint))...)
		}
	}
	out := make([]stamp.Stamp, n)
	for i := range out {
		out[i] = all[i%boxes][i/boxes]
	}
	return out
}

// BenchmarkFetch reads a mailbox of 4,000 envelopes.
func BenchmarkFetch(b *testing.B) {
	s := start(b, benchOptions(b.TempDir()))
	h := newMailbox(b, s.Shelf, 1)
	for _, st := range mint(b, s.Shelf, h, envelope.S, 4000) {
		ticket, _ := s.OpenStamp(&st)
		e := env(envelope.S)
		if err := s.Put(&Deposit{Ticket: ticket, Envelope: e, Object: mailbox.Object(e), TTL: 30, Done: func(*Deposit, error) {}}); err != nil {
			b.Fatal(err)
		}
	}
	if state(b, s.Shelf, h).Next != 4001 {
		b.Fatal("not all are there")
	}
	b.SetBytes(4000 * 2048)
	for b.Loop() {
		n := 0
		if _, err := s.Fetch(h, 0, math.MaxInt, func(*mailbox.Env) error { n++; return nil }); err != nil || n != 4000 {
			b.Fatal(n, err)
		}
	}
}

// BenchmarkTurn is the end of a day.
func BenchmarkTurn(b *testing.B) {
	s := start(b, testOptions(b.TempDir()))
	for b.Loop() {
		s.turn(b, 1)
	}
}
