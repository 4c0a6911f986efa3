//go:build linux

package process_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newSpaces makes network namespaces that are gone after the test.
func newSpaces(t testing.TB, names ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long")
	}
	if os.Getuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs Debian's iproute2")
	}
	for _, n := range names {
		_ = exec.Command("ip", "netns", "del", n).Run() // left by a run that was cut off
		if out, err := exec.Command("ip", "netns", "add", n).CombinedOutput(); err != nil {
			t.Skipf("this machine has no network namespaces: %s", out)
		}
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", n).Run() })
		command(t, "ip", "-n", n, "link", "set", "lo", "up")
	}
}

// command runs a program that must succeed.
func command(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// inSpace calls f in a network namespace; sockets that f opens stay there.
func inSpace(space string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		// The thread is not given back: it ends with the goroutine.
		runtime.LockOSThread()
		fd, err := unix.Open("/run/netns/"+space, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			_ = unix.Close(fd)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// double is this test's program in a process of its own; see serveChild.
type double struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// newDouble starts one in a namespace. A variable of its environment says what
// it is to be.
func newDouble(t *testing.T, space, variable string) *double {
	t.Helper()
	d := &double{cmd: exec.Command("ip", "netns", "exec", space, os.Args[0])}
	d.cmd.Env = append(os.Environ(), variable)
	d.cmd.Stderr = os.Stderr
	var err error
	if d.in, err = d.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.out = bufio.NewReader(out)
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return d
}

// end lets it end.
func (d *double) end() error {
	_ = d.in.Close()
	return d.cmd.Wait()
}

// listenIn listens on a TCP address of a namespace.
func listenIn(t testing.TB, space, addr string) net.Listener {
	t.Helper()
	var l net.Listener
	if err := inSpace(space, func() (err error) { l, err = net.Listen("tcp", addr); return err }); err != nil {
		t.Fatal(err)
	}
	return l
}

// dialIn dials a TCP address out of a namespace.
func dialIn(space, addr string) (c net.Conn, err error) {
	err = inSpace(space, func() (err error) { c, err = net.DialTimeout("tcp", addr, 5*time.Second); return err })
	return c, err
}

// capture sees every packet of a namespace.
type capture struct {
	fd   int
	stop atomic.Bool
	wg   sync.WaitGroup

	mu    sync.Mutex
	seen  map[string]int // what it was → how often
	bytes int
}

// watchSpace starts a capture, which ends with the test.
func watchSpace(t testing.TB, space string) *capture {
	t.Helper()
	c := &capture{seen: map[string]int{}}
	err := inSpace(space, func() (err error) {
		every := binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL & 0xff})
		if c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(every)); err != nil {
			return err
		}
		_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20) // the more the better
		return unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50000})
	})
	if err != nil {
		t.Skipf("this machine has no packet sockets: %v", err)
	}
	c.wg.Go(c.run)
	t.Cleanup(func() { c.end() })
	return c
}

func (c *capture) run() {
	buf := make([]byte, 65536)
	for !c.stop.Load() {
		n, _, err := unix.Recvfrom(c.fd, buf, 0)
		if err != nil {
			continue
		}
		if what := describe(buf[:n]); what != "" {
			c.mu.Lock()
			c.seen[what]++
			c.bytes += n
			c.mu.Unlock()
		}
	}
}

// end ends the capture, after what is under way has passed, and returns what
// was seen.
func (c *capture) end() map[string]int {
	if !c.stop.Swap(true) {
		c.wg.Wait()
		_ = unix.Close(c.fd)
	}
	return c.seen
}

// saw tells whether something was seen up to now.
func (c *capture) saw(is func(what string) bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for what := range c.seen {
		if is(what) {
			return true
		}
	}
	return false
}

// beside are the packets that are neither from nor to the address.
func (c *capture) beside(addr string) []string {
	var out []string
	for what, n := range c.end() {
		if !strings.Contains(what+" ", " "+addr+" ") && !strings.HasPrefix(what, onWire) {
			out = append(out, fmt.Sprintf("%d × %s", n, what))
		}
	}
	return out
}

// onWire begins the questions for the two ends of the wire of newLAN.
const onWire = "arp 10.77.1."

// describe says what a frame is: "tcp 1.2.3.4:5 6.7.8.9:10". It is empty for
// IPv6 neighbour discovery. "arp 1.2.3.4" asks where that is: for an address
// that isn't there, no other packet is ever seen.
func describe(b []byte) string {
	if len(b) < 14 {
		return "short frame"
	}
	kind := binary.BigEndian.Uint16(b[12:])
	b = b[14:]
	var proto byte
	var from, to netip.Addr
	switch {
	case kind == 0x0806 && len(b) >= 28:
		return fmt.Sprint("arp ", netip.AddrFrom4([4]byte(b[24:28])))
	case kind == 0x0800 && len(b) >= 20:
		proto, from, to = b[9], netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		b = b[min(int(b[0]&15)*4, len(b)):]
	case kind == 0x86dd && len(b) >= 40:
		proto, from, to = b[6], netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		b = b[40:]
		if proto == 0 && len(b) >= 8 { // hop by hop
			proto, b = b[0], b[8:]
		}
		if proto == 58 && len(b) > 0 && (b[0] >= 130 && b[0] <= 136 || b[0] == 143) {
			return ""
		}
	default:
		return fmt.Sprintf("ethernet type %#x", kind)
	}
	name := map[byte]string{6: "tcp", 17: "udp"}[proto]
	if name == "" || len(b) < 4 {
		return fmt.Sprintf("ip protocol %d %v %v", proto, from, to)
	}
	port := func(at int) uint16 { return binary.BigEndian.Uint16(b[at:]) }
	return fmt.Sprintf("%s %v %v", name, netip.AddrPortFrom(from, port(0)), netip.AddrPortFrom(to, port(2)))
}
