package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// SocketName is the socket's name in the profile directory.
const SocketName = "rushlight.sock"

// Listen opens the socket of a profile directory: the directory gets mode 0700,
// the socket 0600. A socket that is left over from a daemon that died is
// removed first, so the caller must hold the profile's lock. Windows has no
// such modes; there the directory lies in the user's own, which others can't
// open.
func Listen(ctx context.Context, dir string) (net.Listener, error) {
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("securing the profile directory: %w", err)
	}
	path := filepath.Join(dir, SocketName)
	if fi, err := os.Lstat(path); err == nil {
		if fi.Mode().Type() != fs.ModeSocket {
			return nil, Errorf(CodeInternal, "%s in the profile directory is not a socket", SocketName)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("removing an old socket: %w", err)
		}
	}
	addr, done, err := socketAddr(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", addr)
	if err != nil {
		return nil, fmt.Errorf("opening the daemon's socket: %w", bare(err))
	}
	// The listener would remove the name it was given, which may be one that
	// only this moment has.
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, fmt.Errorf("securing the daemon's socket: %w", err)
	}
	return &listener{ln, path}, nil
}

// listener removes its socket when it is closed.
type listener struct {
	net.Listener
	path string
}

func (l *listener) Close() error {
	err := l.Listener.Close()
	if err == nil {
		// If it can't be removed, the next Listen does.
		_ = os.Remove(l.path)
	}
	return err
}

// maxSocketPath is what fits into every system's sockaddr_un.
const maxSocketPath = 103

// Dial connects to the daemon of a profile directory: CodeNoDaemon if none
// runs, CodeNotAllowed if it is another user's.
func Dial(ctx context.Context, dir string) (*Client, error) {
	c, err := DialRaw(ctx, dir)
	if err != nil {
		return nil, err
	}
	return newClient(c), nil
}

// DialRaw is Dial for a proxy: it gives the connection itself.
func DialRaw(ctx context.Context, dir string) (net.Conn, error) {
	addr, done, err := socketAddr(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errNoDaemon
		}
		return nil, err
	}
	defer done()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", addr)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTSOCK):
		return nil, errNoDaemon
	case runtime.GOOS == "windows": // which has other numbers for the same
		return nil, errNoDaemon
	case errors.Is(err, fs.ErrPermission):
		return nil, errOtherUser
	case ctx.Err() != nil:
		return nil, ctx.Err()
	default:
		return nil, fmt.Errorf("connecting to the daemon: %w", bare(err))
	}
	if os.Getuid() != 0 {
		if err := allowed(c); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

var errNoDaemon = Errorf(CodeNoDaemon, "no daemon is running for this profile")

// bare takes the address out of a network error.
func bare(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}
