package node_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

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
	var last api.Sent
	var mu sync.Mutex
	for range b.N {
		sem <- struct{}{}
		wg.Go(func() {
			s, err := x.Send(ctx, api.SendRequest{To: to, Text: text})
			if err != nil {
				b.Error(err)
			}
			mu.Lock()
			last = s
			mu.Unlock()
			<-sem
		})
	}
	wg.Wait()
	if _, err := x.Wait(ctx, last.ID, api.StateDelivered); err != nil {
		b.Fatal(err)
	}
	for {
		s, err := x.Status(ctx)
		if err != nil {
			b.Fatal(err)
		}
		if s.Outbox == 0 {
			break
		}
		time.Sleep(time.Millisecond)
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
