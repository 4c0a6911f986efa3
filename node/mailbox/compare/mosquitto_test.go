package compare

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func BenchmarkMosquitto(b *testing.B) {
	b.Run("default", func(b *testing.B) { benchMosquitto(b, "autosave_interval 1800", b.N) })
	// Each message costs more than the one before: more than these would take
	// minutes, and make it look worse.
	b.Run("strongest", func(b *testing.B) {
		benchMosquitto(b, "autosave_interval 1\nautosave_on_changes true", min(b.N, 1000))
	})
}

func benchMosquitto(b *testing.B, autosave string, n int) {
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		b.Skip("mosquitto isn't installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	_ = l.Close()
	dir := b.TempDir()
	conf := filepath.Join(dir, "conf")
	text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location %s/\n%s\n"+
		"max_queued_messages 0\nmax_inflight_messages 0\nlog_type none\nuser root\n", addr.Port, dir, autosave)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(path, "-c", conf)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for i := range recipients {
		c := dialMQTT(b, addr.String(), fmt.Sprint("r", i), false)
		c.subscribe(b, fmt.Sprint("mail/", i))
		_ = c.conn.Close()
	}
	c := dialMQTT(b, addr.String(), "sender", true)
	var reader sync.WaitGroup
	reader.Go(c.acks)
	defer reader.Wait()
	defer c.conn.Close()
	measure(b, server{pid: cmd.Process.Pid}, n, func(i int, body []byte, done func(error)) {
		c.publish(fmt.Sprint("mail/", i%recipients), body, done)
	})
}

// mqtt is as much of MQTT 3.1.1 as a sender needs.
type mqtt struct {
	conn net.Conn
	in   *bufio.Reader

	mu      sync.Mutex
	next    uint16
	waiting map[uint16]func(error)
}

func dialMQTT(b *testing.B, addr, id string, clean bool) *mqtt {
	b.Helper()
	var conn net.Conn
	err := errors.New("never tried")
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for late := time.After(30 * time.Second); err != nil; {
		if conn, err = net.Dial("tcp", addr); err != nil {
			select {
			case <-again.C:
				continue
			case <-late:
			}
			break
		}
	}
	if err != nil {
		b.Fatal(err)
	}
	c := &mqtt{conn: conn, in: bufio.NewReader(conn), waiting: map[uint16]func(error){}}
	flags := byte(0)
	if clean {
		flags = 2
	}
	body := append([]byte{0, 4, 'M', 'Q', 'T', 'T', 4, flags, 0, 0}, text(id)...)
	c.write(b, 0x10, body)
	c.expect(b, 0x20)
	return c
}

func text(s string) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...) }

func packet(typ byte, body []byte) []byte {
	return append(binary.AppendUvarint([]byte{typ}, uint64(len(body))), body...)
}

func (c *mqtt) write(b *testing.B, typ byte, body []byte) {
	b.Helper()
	if _, err := c.conn.Write(packet(typ, body)); err != nil {
		b.Fatal(err)
	}
}

func (c *mqtt) read() (typ byte, body []byte, err error) {
	if typ, err = c.in.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(c.in)
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, n)
	_, err = io.ReadFull(c.in, body)
	return typ, body, err
}

func (c *mqtt) expect(b *testing.B, typ byte) {
	b.Helper()
	if got, _, err := c.read(); err != nil || got != typ {
		b.Fatalf("packet %#x, %v", got, err)
	}
}

func (c *mqtt) subscribe(b *testing.B, topic string) {
	b.Helper()
	c.write(b, 0x82, append(append([]byte{0, 1}, text(topic)...), 1))
	c.expect(b, 0x90)
}

func (c *mqtt) publish(topic string, payload []byte, done func(error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next++; c.next == 0 {
		c.next = 1
	}
	c.waiting[c.next] = done
	body := append(binary.BigEndian.AppendUint16(text(topic), c.next), payload...)
	if _, err := c.conn.Write(packet(0x32, body)); err != nil {
		delete(c.waiting, c.next)
		go done(err)
	}
}

// acks hands on acknowledgements until the connection ends.
func (c *mqtt) acks() {
	for {
		typ, body, err := c.read()
		if err != nil {
			return
		}
		if typ != 0x40 || len(body) != 2 {
			continue
		}
		c.mu.Lock()
		id := binary.BigEndian.Uint16(body)
		done := c.waiting[id]
		delete(c.waiting, id)
		c.mu.Unlock()
		if done != nil {
			done(nil)
		}
	}
}
