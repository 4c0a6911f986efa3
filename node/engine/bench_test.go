package engine_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"rushlight/node/delivery/parcel"
	"rushlight/node/engine"
	"rushlight/protocol/envelope"
	"rushlight/protocol/suite"
)

// BenchmarkPipelined sends 100-byte texts from one engine to another and takes
// the acknowledgements back, with as many under way as a stream allows.
func BenchmarkPipelined(b *testing.B) {
	x, y := newDevice(b, "ann"), newDevice(b, "bob")
	join(b, x, y)
	text := strings.Repeat("x", 100)
	ctx := context.Background()
	to := y.Account()
	b.ResetTimer()
	after := uint64(0)
	for left := b.N; left > 0; {
		n := min(left, 256)
		left -= n
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				if _, err := x.Send(ctx, engine.Send{To: to, Text: text}); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
		ps, err := x.Pending(to, after, n)
		if err != nil {
			b.Fatal(err)
		}
		envs := make([][]byte, len(ps))
		for i, p := range ps {
			envs[i], after = p.Envelope, p.Seq
		}
		acks := make([]parcel.Ack, len(ps))
		for i, r := range y.ReceiveBatch(ctx, x.Device(), envs) {
			if r.Err != nil {
				b.Fatal(r.Err)
			}
			acks[i] = parcel.Ack{Seq: ps[i].Seq, MAC: r.MAC}
		}
		if err := x.Acked(ctx, to, y.Device(), acks); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkUnknownTags takes envelopes of a contact's device under tags that
// mean nothing: the work for each must not hold up other people's messages.
func BenchmarkUnknownTags(b *testing.B) {
	x, y := newDevice(b, "ann"), newDevice(b, "bob")
	join(b, x, y)
	env := make([]byte, envelope.S.Size())
	for b.Loop() {
		suite.Random(env[:16])
		if r := y.ReceiveBatch(context.Background(), x.Device(), [][]byte{env})[0]; r.Err == nil {
			b.Fatal("accepted")
		}
	}
}
