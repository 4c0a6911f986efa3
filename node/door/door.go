// Package door lets a browser and scripts in: JSON-RPC over HTTP and WebSocket,
// events as a stream, and the page itself, on a loopback address of this
// machine.
//
// It decides who may come in and says nothing about what the methods mean; those
// are package api's. It promises that nothing listens beyond this machine, that
// nothing but the page itself, opened at the very address it was told, and
// programs that hold a token reach a method, that no token stands on the disk,
// and that what one client can hold of memory and connections is bounded.
package door

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"rushlight/node/api"
)

// Limits of the listener.
const (
	maxConns   = 128
	maxHeader  = 16 << 10
	headerTime = 5 * time.Second
	idleTime   = 2 * time.Minute
	stopTime   = time.Second
)

// Door serves one daemon on one listener.
type Door struct {
	Server *api.Server
	Tokens *Tokens
	Page   http.Handler // serves everything beside /api/
	Logger *slog.Logger // nil: silent

	addr netip.AddrPort // of the listener
	wg   sync.WaitGroup // what http.Server doesn't know of
}

// ErrNotLoopback is returned by [Listen] for an address others can reach.
var ErrNotLoopback = errors.New("door: not a loopback address")

// Listen opens a loopback address such as 127.0.0.1:0 or [::1]:8080. localhost
// is 127.0.0.1.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	ip, port, ok := parse(addr)
	if !ok {
		return nil, ErrNotLoopback
	}
	network := "tcp4"
	if ip.Is6() {
		network = "tcp6"
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, network, net.JoinHostPort(ip.String(), port))
	if err != nil {
		return nil, fmt.Errorf("opening the page's port: %w", err)
	}
	return ln, nil
}

// IsLoopback tells whether addr is one for [Listen].
func IsLoopback(addr string) bool { _, _, ok := parse(addr); return ok }

func parse(addr string) (ip netip.Addr, port string, ok bool) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return ip, "", false
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if ip, err = netip.ParseAddr(host); err != nil || ip.Zone() != "" {
		return ip, "", false
	}
	ip = ip.Unmap()
	_, err = strconv.ParseUint(port, 10, 16)
	return ip, port, err == nil && ip.IsLoopback()
}

// AddrOf is the address of a listener of [Listen].
func AddrOf(ln net.Listener) netip.AddrPort {
	a, ok := ln.Addr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := a.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// Link is a link to the page that lets in whoever opens it first, for a minute.
func Link(addr netip.AddrPort, t *Tokens) string {
	return Base(addr) + "/#code=" + t.NewCode()
}

// Base is the address of everything, without a slash at its end.
func Base(addr netip.AddrPort) string { return "http://" + addr.String() }

// Serve answers until ctx ends, lets what is in flight finish for a moment, and
// returns when everything it started has ended.
func (d *Door) Serve(ctx context.Context, ln net.Listener) error {
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	d.addr = AddrOf(ln)
	if !d.addr.Addr().IsLoopback() {
		return errors.Join(ErrNotLoopback, ln.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	srv := &http.Server{
		Handler:           d.handler(),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(d.Logger.Handler(), slog.LevelDebug),
	}
	var closing sync.WaitGroup
	defer d.wg.Wait()
	defer closing.Wait()
	defer cancel()
	closing.Go(func() {
		<-ctx.Done()
		grace, done := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer done()
		if srv.Shutdown(grace) != nil {
			_ = srv.Close() // a client that doesn't read has had its time
		}
	})
	err := srv.Serve(netutil.LimitListener(ln, maxConns))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// handler is everything there is, behind the guard.
func (d *Door) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/session", d.openSession)
	mux.HandleFunc("DELETE /api/v1/session", d.closeSession)
	mux.HandleFunc("POST /api/v1/rpc", d.rpc)
	mux.HandleFunc("GET /api/v1/events", d.events)
	mux.HandleFunc("POST /api/v1/files", d.upload)
	mux.HandleFunc("GET /api/v1/files/{id}", d.download)
	mux.HandleFunc("DELETE /api/v1/files/{id}", d.dropUpload)
	mux.HandleFunc("GET /api/v1/check", d.check)
	mux.HandleFunc("GET /api/v1/openrpc.json", d.openrpc)
	mux.HandleFunc("GET /api/v1/ws", d.webSocket)
	mux.HandleFunc("/api/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusNotFound, api.Errorf(api.CodeUsage, "there is nothing here"))
	})
	if d.Page != nil {
		mux.Handle("/", getOnly(d.Page))
	}
	return d.guard(mux)
}

// getOnly serves files, which can only be read.
func getOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			refuse(w, http.StatusMethodNotAllowed, api.Errorf(api.CodeUsage, "this can only be read"))
			return
		}
		next.ServeHTTP(w, r)
	})
}
