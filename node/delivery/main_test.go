package delivery

import (
	"context"
	"log/slog"
	"testing"

	"go.uber.org/goleak"
)

// The one goroutine left out is a library's, started once for the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/libp2p/go-flow-metrics.(*sweeper).run"))
}

// testLog sends the log of a node to the test's output.
func testLog(t testing.TB) *slog.Logger {
	if !testing.Verbose() {
		return nil
	}
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	if context.Cause(w.t.Context()) == nil {
		w.t.Log(string(b[:len(b)-1]))
	}
	return len(b), nil
}
