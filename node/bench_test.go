package node_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"rushlight/node/api"
)

func BenchmarkPipelined(b *testing.B) {
	x, y := pair(b)
	to := y.id()
	text := strings.Repeat("x", 100)
	ctx := context.Background()
	b.ResetTimer()
	var wg sync.WaitGroup
	sem := make(chan struct{}, 256)
	ids := make([]string, b.N)
	for i := range b.N {
		sem <- struct{}{}
		wg.Go(func() {
			s, err := x.Send(ctx, api.SendRequest{To: to, Text: text})
			if err != nil {
				b.Error(err)
			}
			ids[i] = s.ID
			<-sem
		})
	}
	wg.Wait()
	for _, id := range ids {
		if _, err := x.Wait(ctx, id, api.StateDelivered); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

func BenchmarkOneByOne(b *testing.B) {
	x, y := pair(b)
	to := y.id()
	ctx := context.Background()
	for range b.N {
		s, err := x.Send(ctx, api.SendRequest{To: to, Text: "ping"})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := x.Wait(ctx, s.ID, api.StateDelivered); err != nil {
			b.Fatal(err)
		}
	}
}
