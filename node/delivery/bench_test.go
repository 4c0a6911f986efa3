package delivery

import (
	"testing"

	"rushlight/protocol/envelope"
)

// BenchmarkThroughput is messages end to end: outbox to commit to
// acknowledgement, one way.
func BenchmarkThroughput(b *testing.B) {
	for name, listen := range map[string]string{"quic": quicAny, "tcp": tcpAny} {
		b.Run(name, func(b *testing.B) {
			x, y := pair(b, listen)
			x.queue(y.account, 1, envelope.S)
			x.until("the first", func() bool { return len(x.contacts[y.account].outbox) == 0 })
			b.ReportAllocs()
			b.ResetTimer()
			for left := b.N; left > 0; left -= 2000 {
				x.queue(y.account, min(left, 2000), envelope.S)
				x.until("all", func() bool { return len(x.contacts[y.account].outbox) == 0 })
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// BenchmarkRoundTrip is one message at a time on a standing stream.
func BenchmarkRoundTrip(b *testing.B) {
	for name, listen := range map[string]string{"quic": quicAny, "tcp": tcpAny} {
		b.Run(name, func(b *testing.B) {
			x, y := pair(b, listen)
			x.queue(y.account, 1, envelope.S)
			x.until("the first", func() bool { return len(x.contacts[y.account].outbox) == 0 })
			b.ReportAllocs()
			for b.Loop() {
				x.queue(y.account, 1, envelope.S)
				x.until("acknowledged", func() bool { return len(x.contacts[y.account].outbox) == 0 })
			}
		})
	}
}
