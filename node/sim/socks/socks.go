// Package socks is a SOCKS5 proxy (RFC 1928, 1929) for tests: it writes down
// where it was asked to connect to, and may send every connection elsewhere.
//
// It is not a proxy for people: it serves who asks.
package socks

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
)

// Proxy is a listening proxy.
type Proxy struct {
	// Dial connects to the host and port that was asked for, a name or an
	// address; nil takes them as they are.
	Dial func(asked string) (net.Conn, error)

	l     net.Listener
	wg    sync.WaitGroup
	mu    sync.Mutex
	conns map[net.Conn]bool
	asked []string
	users []string
}

// Listen starts a proxy at the address. Dial is set before anybody asks.
func Listen(ctx context.Context, addr string) (*Proxy, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("socks: listening: %w", err)
	}
	return Serve(l), nil
}

// Serve starts a proxy on a listener.
func Serve(l net.Listener) *Proxy {
	p := &Proxy{l: l, conns: map[net.Conn]bool{}}
	p.wg.Go(p.serve)
	return p
}

// Addr is the host:port of the proxy.
func (p *Proxy) Addr() string { return p.l.Addr().String() }

// Asked lists the hosts and ports that were asked for so far.
func (p *Proxy) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}

// Users lists the names under which connections logged in.
func (p *Proxy) Users() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.users...)
}

// Close ends all connections.
func (p *Proxy) Close() error {
	err := p.l.Close()
	p.mu.Lock()
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
	return err
}

func (p *Proxy) serve() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() {
			defer p.hold(c)()
			_ = p.handle(c) // whoever asked notices
		})
	}
}

// hold keeps a connection to be closed by Close, until it is let go.
func (p *Proxy) hold(c net.Conn) (letGo func()) {
	p.mu.Lock()
	p.conns[c] = true
	p.mu.Unlock()
	return func() {
		_ = c.Close()
		p.mu.Lock()
		delete(p.conns, c)
		p.mu.Unlock()
	}
}

var errRequest = errors.New("socks: not a request")

func (p *Proxy) handle(c net.Conn) error {
	user, err := greet(c)
	if err != nil {
		return err
	}
	asked, err := request(c)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.asked, p.users = append(p.asked, asked), append(p.users, user)
	p.mu.Unlock()
	dial := p.Dial
	if dial == nil {
		dial = func(to string) (net.Conn, error) { return net.Dial("tcp", to) }
	}
	out, err := dial(asked)
	if err != nil {
		_, _ = c.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
		return err
	}
	defer p.hold(out)()
	if _, err := c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0}); err != nil {
		return err
	}
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(out, c); _ = out.Close() })
	_, _ = io.Copy(c, out)
	_ = c.Close()
	wg.Wait()
	return nil
}

// greet takes a login by name and any password, or none.
func greet(c net.Conn) (user string, err error) {
	methods, err := vector(c, 1)
	if err != nil {
		return "", err
	}
	named := false
	for _, m := range methods {
		named = named || m == 2
	}
	if !named {
		_, err = c.Write([]byte{5, 0})
		return "", err
	}
	if _, err = c.Write([]byte{5, 2}); err != nil {
		return "", err
	}
	name, err := vector(c, 1)
	if err == nil {
		_, err = vector(c, 0)
	}
	if err == nil {
		_, err = c.Write([]byte{1, 0})
	}
	return string(name), err
}

// vector reads skip bytes, a length, and as many bytes.
func vector(c net.Conn, skip int) ([]byte, error) {
	head := make([]byte, skip+1)
	if _, err := io.ReadFull(c, head); err != nil {
		return nil, err
	}
	b := make([]byte, head[skip])
	_, err := io.ReadFull(c, b)
	return b, err
}

// request reads a CONNECT.
func request(c net.Conn) (string, error) {
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return "", err
	}
	if head[0] != 5 || head[1] != 1 {
		return "", errRequest
	}
	host := ""
	switch size := map[byte]int{1: 4, 4: 16}[head[3]]; {
	case size > 0:
		b := make([]byte, size)
		if _, err := io.ReadFull(c, b); err != nil {
			return "", err
		}
		host = net.IP(b).String()
	case head[3] == 3:
		b, err := vector(c, 0)
		if err != nil {
			return "", err
		}
		host = string(b)
	default:
		return "", errRequest
	}
	var port [2]byte
	if _, err := io.ReadFull(c, port[:]); err != nil {
		return "", err
	}
	return net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(port[:])))), nil
}
