package api

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// logOf is a Watch over a fixed log that then follows what comes.
func logOf(n uint64, more <-chan Event) func(context.Context, uint64, func(uint64), func(Event) error) error {
	return func(ctx context.Context, after uint64, started func(uint64), fn func(Event) error) error {
		const first = 3
		if after != FromNow && after+1 < first {
			f := uint64(first)
			return &Error{Code: CodeGone, Message: "the log starts later", First: &f}
		}
		started(n)
		for i := after + 1; after != FromNow && i <= n; i++ {
			if err := fn(Event{Seq: i, At: ms, Type: EventState, State: &StateChange{msgID, bob, StateRead}}); err != nil {
				return err
			}
		}
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case e, ok := <-more:
				if !ok {
					return Errorf(CodeInternal, "the log broke")
				}
				if err := fn(e); err != nil {
					return err
				}
			}
		}
	}
}

func TestWatch(t *testing.T) {
	more := make(chan Event)
	d := &scripted{watch: logOf(7, more)}
	dir, _ := serve(t, d)

	c, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	enough := errors.New("enough")
	var got []string
	var last uint64
	err = c.Watch(t.Context(), 5, func(n uint64) {
		last = n
		more <- Event{At: ms, Type: EventNetwork, Network: &Network{"public", 2, 1, "t"}}
	}, func(e Event, raw json.RawMessage) error {
		got = append(got, string(raw))
		if e.Type == EventNetwork {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
	want := []string{
		`{"seq":6,"at":"2023-11-14T22:13:20.123Z","type":"state","state":{"id":"` + msgID + `","conversation":"` + bob + `","state":"read"}}`,
		`{"seq":7,"at":"2023-11-14T22:13:20.123Z","type":"state","state":{"id":"` + msgID + `","conversation":"` + bob + `","state":"read"}}`,
		`{"at":"2023-11-14T22:13:20.123Z","type":"network","network":{"reachability":"public","peers":2,"relays":1,"text":"t"}}`,
	}
	if last != 7 || strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("last %d, events\n%s", last, strings.Join(got, "\n"))
	}
}

func TestWatchGone(t *testing.T) {
	dir, _ := serve(t, &scripted{watch: logOf(7, nil)})
	c, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.Watch(t.Context(), 1, nil, func(Event, json.RawMessage) error { return nil })
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != CodeGone || e.First == nil || *e.First != 3 {
		t.Fatalf("got %#v", err)
	}
}

func TestWatchEnds(t *testing.T) {
	more := make(chan Event)
	d := &scripted{watch: logOf(0, more)}
	dir, stop := serve(t, d)
	w := dialWire(t, dir)
	watching := func() {
		t.Helper()
		if got := w.ask("watch", `{}`); got != `{"seq":0}` {
			t.Fatalf("watch: %s", got)
		}
	}
	watching()
	if got := w.ask("watch", `{}`); !strings.Contains(got, `"code":"usage"`) {
		t.Errorf("a second watch: %s", got)
	}
	if got := w.ask("unwatch", `{}`); got != `{"stopped":true}` {
		t.Errorf("unwatch: %s", got)
	}
	// Once the first one has ended, there may be another.
	for w.ask("unwatch", `{}`) != `{"stopped":false}` {
	}
	watching()
	close(more)
	if got, want := w.line(), `{"jsonrpc":"2.0","method":"watchEnded","params":{"code":"internal","message":"the log broke","hint":""}}`; got != want {
		t.Errorf("got %s", got)
	}

	c, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d.watch = logOf(0, nil)
	err = c.Watch(t.Context(), FromNow, func(uint64) { go stop() }, func(Event, json.RawMessage) error { return nil })
	if code(t, err) != CodeNoDaemon {
		t.Errorf("when the daemon stops: %v", err)
	}
	stop()
}
