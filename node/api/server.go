package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/creachadair/jrpc2"
	"github.com/tailscale/peercred"
)

// maxConns bounds the connections open at once.
const maxConns = 64

// Server serves one daemon on a listener. The zero value of every field but
// Daemon works. Without a Daemon the profile is locked: only version, status,
// unlock, wipe and shutdown answer.
type Server struct {
	Daemon   Daemon
	Version  string       // what the method version answers
	Shutdown func()       // called by the method shutdown; nil: it is refused
	Lock     func()       // called by lock; nil: it is refused
	Wipe     func() error // called by wipe; nil: it is refused
	// Recovery is the recovery code of a new profile, empty once it was confirmed.
	Recovery func(confirmed bool) string
	// Choose changes what somebody has chosen for this device, and tells all of
	// it; nil: there is nothing to choose.
	Choose func(r ChoicesRequest) (Choices, error)
	// Unlock opens a locked profile, or says why not. It may keep nothing of
	// the passphrase.
	Unlock func(ctx context.Context, passphrase []byte) error
	Backup func(ctx context.Context, r BackupRequest) (Backup, error) // nil: it is refused
	Rights Rights                                                     // nil: links and tokens are refused
	used   atomic.Int64                                               // when somebody last used the profile, in Unix milliseconds
	Logger *slog.Logger                                               // nil: silent

	reading sync.Mutex // of readQR
}

// Serve accepts connections until ctx ends, lets requests in flight finish for
// half a second, closes all connections and the listener, and returns when
// everything it started has ended. The error is nil when ctx has ended.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	log := s.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return serveAll(ctx, ln, func(c net.Conn) error {
		err := allowed(c)
		if err != nil {
			log.Warn("refused a connection of another user")
		}
		return err
	}, func(ctx context.Context, c net.Conn) { s.serveConn(ctx, c, Owner, true) })
}

// serveAll serves the connections of a listener that let doesn't refuse, each on
// its own and so many at once as there may be, until ctx ends. It returns when
// they have all ended and the listener is closed: whoever listens next at the
// same place mustn't have it taken away.
func serveAll(ctx context.Context, ln net.Listener, let func(net.Conn) error, serve func(context.Context, net.Conn)) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	end := sync.OnceFunc(func() { _ = ln.Close() })
	defer end()
	defer context.AfterFunc(ctx, end)()

	var open atomic.Int32
	for {
		c, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if err := let(c); err != nil {
			refuseConn(c, AsError(err))
			continue
		}
		if open.Load() >= maxConns {
			refuseConn(c, Errorf(CodeBusy, "too many connections to the daemon"))
			continue
		}
		open.Add(1)
		wg.Go(func() {
			defer open.Add(-1)
			serve(ctx, c)
		})
	}
}

var errOtherUser = Errorf(CodeNotAllowed, "this profile belongs to another user")

// allowed refuses every process but those of the same user and root. Where the
// system can't tell, the modes of the socket and its directory decide alone.
func allowed(c net.Conn) error {
	creds, err := peercred.Get(c)
	if errors.Is(err, peercred.ErrNotImplemented) {
		return nil
	}
	if err != nil {
		return errOtherUser
	}
	uid, ok := creds.UserID()
	if !ok || (uid != strconv.Itoa(os.Getuid()) && uid != "0") {
		return errOtherUser
	}
	return nil
}

// refuseConn says why and closes. The line fits every socket's buffer, so this
// does not block.
func refuseConn(c net.Conn, e *Error) {
	_, _ = c.Write(append(errorLine(e), '\n'))
	c.Close()
}

// errorLine is a response to no request in particular.
func errorLine(e *Error) []byte {
	x := rpcError(e)
	if e == errNotJSON {
		x.Code = jrpc2.ParseError
	} else if x.Code == jrpc2.InvalidParams {
		x.Code = jrpc2.InvalidRequest
	}
	b, err := json.Marshal(struct {
		Version string       `json:"jsonrpc"`
		ID      *int         `json:"id"`
		Error   *jrpc2.Error `json:"error"`
	}{"2.0", nil, x})
	if err != nil {
		return []byte(`{"jsonrpc":"2.0","id":null,"error":{"code":-32603}}`)
	}
	return b
}

// conn is one client.
type conn struct {
	*Server
	Daemon Daemon // as much of it as grant allows; nil when locked
	grant  Grant
	push   bool            // what happens can be told
	ctx    context.Context // ends when the daemon stops or the client is gone
	srv    *jrpc2.Server
	wg     sync.WaitGroup // watches

	lastSend chan struct{} // closed when the last send assigned has its place

	mu    sync.Mutex
	watch context.CancelFunc // the running watch, or nil
}

// serveConn serves one connection; begin are called once it is set up.
func (s *Server) serveConn(ctx context.Context, nc net.Conn, g Grant, push bool, begin ...func(*conn, context.Context)) {
	hard, cancelHard := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelHard()
	soft, cancelSoft := context.WithCancel(ctx)
	defer cancelSoft()
	l := newLines(nc, func() {
		cancelSoft()
		cancelHard()
	})
	var wg sync.WaitGroup
	wg.Go(l.flush)

	c := &conn{Server: s, Daemon: g.confine(s.Daemon), grant: g, push: push, ctx: soft, lastSend: make(chan struct{})}
	close(c.lastSend)
	// Requests in flight are bounded by the channel. A lower bound here would
	// stand in the way of sends that wait for their turn.
	c.srv = jrpc2.NewServer(c, &jrpc2.ServerOptions{
		AllowPush:      true,
		DisableBuiltin: true,
		Concurrency:    maxInFlight * maxBatch,
		NewContext:     func() context.Context { return hard },
	})
	stop := context.AfterFunc(ctx, l.stop)
	c.srv.Start(l)
	for _, f := range begin {
		f(c, hard)
	}
	// How a connection ended is the client's business.
	_ = c.srv.Wait()
	stop()
	c.wg.Wait()
	wg.Wait()
}
