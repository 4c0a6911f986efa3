package shelf

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"rushlight/protocol/envelope"
	"rushlight/protocol/mailbox"
	"rushlight/protocol/stamp"
)

// childEnv tells the test binary that it is a writer, and how one.
const childEnv = "RUSHLIGHT_SHELF_TEST_CHILD"

func TestMain(m *testing.M) {
	if how := os.Getenv(childEnv); how != "" {
		if err := writer(os.Args[1], how); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

// entry is the n-th envelope of the ledger, which anyone can make again.
func entry(n uint64) []byte {
	b := make([]byte, envelope.S.Size())
	binary.BigEndian.PutUint64(b[32:], n)
	for at := 40; at < len(b); at += 32 {
		h := sha256.Sum256(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, n), uint64(at)))
		copy(b[at:], h[:])
	}
	return b
}

func entryNumber(e []byte) (uint64, bool) {
	n := binary.BigEndian.Uint64(e[32:])
	return n, string(e) == string(entry(n))
}

func childOptions(dir, how string) Options {
	o := testOptions(dir)
	o.Quota = 1 << 40
	o.UnsafeNoSync = strings.Contains(how, "nosync")
	o.UnsafeAckFirst = strings.Contains(how, "ackfirst")
	if strings.Contains(how, "small") {
		o.MemTableSize = 2 << 20
	}
	return o
}

// writer appends the ledger to a mailbox and prints each number, with its
// stamp, when it is acknowledged, until it is killed.
func writer(dir, how string) error {
	fmt.Println("start")
	s, err := Open(childOptions(dir, how))
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.Background()) }()
	h, err := s.Create(owner(1), &mailbox.Create{}, [16]byte{}, true)
	if err != nil {
		return err
	}
	n := uint64(0)
	if _, err := s.Fetch(h, 0, math.MaxInt, func(e *mailbox.Env) error {
		k, _ := entryNumber(e.Envelope)
		n = max(n, k)
		return nil
	}); err != nil {
		return err
	}
	slots := make(chan struct{}, 48)
	for full := false; !full; {
		_, sts, err := s.Mint(h, envelope.S, 256)
		if err != nil {
			return err
		}
		for _, st := range sts {
			n++
			number := n
			t, _ := s.OpenStamp(&st)
			e := entry(n)
			slots <- struct{}{}
			err := s.Put(&Deposit{Ticket: t, Envelope: e, Object: mailbox.Object(e), TTL: 30, Done: func(d *Deposit, err error) {
				switch {
				case err != nil:
				case d.Answer.Refused != nil:
					fmt.Println("refused", d.Answer.Refused.Code)
				default:
					fmt.Println(number, hex.EncodeToString(st[:]))
				}
				<-slots
			}})
			if err != nil {
				return errors.Join(err, <-ended)
			}
		}
	}
	return nil
}

// acked is what a writer has said.
type acked struct {
	last    stamp.Stamp
	lastN   uint64
	numbers map[uint64]bool
	refused int
}

// run starts the writer and reads until it has acknowledged so many, or stop
// says so.
func run(t testing.TB, dir, how string, a *acked, acks int) (cmd *exec.Cmd, read func() bool, rest func()) {
	t.Helper()
	if how == "" {
		t.Fatal("a child without a name would run the tests")
	}
	cmd = exec.Command(os.Args[0], dir)
	cmd.Env = append(os.Environ(), childEnv+"="+how)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	read = func() bool {
		if !lines.Scan() {
			return false
		}
		switch f := strings.Fields(lines.Text()); {
		case f[0] == "refused":
			a.refused++
		case len(f) == 2:
			raw, err := hex.DecodeString(f[1])
			if _, serr := fmt.Sscan(f[0], &a.lastN); err != nil || serr != nil || len(raw) != stamp.Size {
				return true // cut off by the kill
			}
			a.last = stamp.Stamp(raw)
			a.numbers[a.lastN] = true
		}
		return true
	}
	for range acks {
		if !read() {
			t.Fatal("the writer ended")
		}
	}
	return cmd, read, func() {
		for read() {
		}
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	}
}

// verify opens a shelf and compares it with what was acknowledged: nothing
// lost, nothing twice, and the last one's stamp known.
func verify(dir, how string, a *acked) (err error) {
	// Who looks acknowledges nothing too early, whatever the writer did.
	o := childOptions(dir, how)
	o.UnsafeAckFirst = false
	s, err := Open(o)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended, s.Close())
	}()
	h, err := s.Create(owner(1), &mailbox.Create{}, [16]byte{}, true)
	if err != nil {
		return err
	}
	have := map[uint64]bool{}
	last := uint64(0)
	_, err = s.Fetch(h, 0, math.MaxInt, func(e *mailbox.Env) error {
		n, ok := entryNumber(e.Envelope)
		switch {
		case !ok:
			return fmt.Errorf("envelope %d isn't what was sent", e.Seq)
		case have[n]:
			return fmt.Errorf("%d is there twice", n)
		case e.Seq <= last:
			return fmt.Errorf("number %d after %d", e.Seq, last)
		}
		have[n], last = true, e.Seq
		return nil
	})
	if err != nil {
		return err
	}
	lost := 0
	for n := range a.numbers {
		if !have[n] {
			lost++
		}
	}
	if lost > 0 {
		return fmt.Errorf("LOST %d of %d", lost, len(a.numbers))
	}
	st, err := s.State(h)
	if err != nil {
		return err
	}
	if st.Live != uint64(len(have))*2048 || st.Next <= last {
		return fmt.Errorf("%d envelopes, state %+v", len(have), st)
	}
	if a.lastN > 0 {
		got, err := tryPut(s, a.last, entry(a.lastN), 30)
		if err != nil || got.Refused != nil || !got.Dup {
			return fmt.Errorf("a retry after the crash: %+v, %w", got, err)
		}
	}
	return nil
}

// Row 11, at the relay: kill -9 at any moment.
func TestKill(t *testing.T) {
	kills := 25
	if testing.Short() {
		kills = 5
	}
	acks := killed(t, "plain", kills, func(err error, _ *acked) {
		if err != nil {
			t.Fatal(err)
		}
	})
	if acks == 0 {
		t.Fatal("nothing was ever acknowledged")
	}
}

// killed kills a writer so often, and gives what is found now and then to
// check. It returns how many envelopes were acknowledged since that forgot.
func killed(t *testing.T, how string, kills int, check func(error, *acked)) (acks int) {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	a := &acked{numbers: map[uint64]bool{}}
	for range kills {
		cmd, _, rest := run(t, dir, how, a, 1+r.IntN(400)) // 1 kills while it opens
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		rest()
		if r.IntN(3) == 0 {
			check(verify(dir, how, a), a)
		}
	}
	check(verify(dir, how, a), a)
	t.Logf("%d kills, %d envelopes acknowledged", kills, len(a.numbers))
	return len(a.numbers)
}

// Control: a shelf that acknowledges before it commits is found out.
func TestKillControl(t *testing.T) {
	lost := false
	for range 4 {
		killed(t, "ackfirst", 10, func(err error, a *acked) {
			if err != nil && strings.Contains(err.Error(), "LOST") {
				lost = true
				a.numbers, a.lastN = map[uint64]bool{}, 0
			}
		})
		if lost {
			return
		}
	}
	t.Error("acknowledging before the commit loses nothing in these crashes")
}

// Row 10: a commit that fails is acknowledged to nobody, and stops the shelf.
func TestFailedCommit(t *testing.T) {
	o := testOptions(t.TempDir())
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(t.Context()) }()
	h := newMailbox(t, s, 1)
	st := mint(t, s, h, envelope.S, 2)
	wantCode(t, put(t, s, st[0], env(envelope.S)), 0)
	s.merger.Close()
	if err := s.db.Close(); err != nil { // the disk goes away
		t.Fatal(err)
	}
	if _, err := tryPut(s, st[1], env(envelope.S), 30); !errors.Is(err, ErrFailed) {
		t.Errorf("acknowledged: %v", err)
	}
	if err := <-ended; !errors.Is(err, ErrFailed) {
		t.Error(err)
	}
	if _, err := tryPut(s, st[1], env(envelope.S), 30); !errors.Is(err, ErrFailed) {
		t.Errorf("goes on: %v", err)
	}
	s.release()
	again := start(t, o)
	if got, _ := fetch(t, again.Shelf, h, 0); len(got) != 1 {
		t.Errorf("%d after the failure", len(got))
	}
}

// Rows 4 and 12, at the relay: an older database that is put back is noticed,
// and every owner sees another log.
func TestOlderDatabase(t *testing.T) {
	o := testOptions(t.TempDir())
	s := start(t, o)
	h := newMailbox(t, s.Shelf, 1)
	log := state(t, s.Shelf, h).Log
	s.end(t)
	old := t.TempDir()
	if err := os.CopyFS(old+"/db", os.DirFS(o.Dir+"/db")); err != nil {
		t.Fatal(err)
	}
	s = start(t, o)
	put(t, s.Shelf, mint(t, s.Shelf, h, envelope.S, 1)[0], env(envelope.S))
	s.end(t)
	// Control: as it is, nothing is wrong.
	s = start(t, o)
	if state(t, s.Shelf, h).Log != log {
		t.Error("another log for no reason")
	}
	s.end(t)
	if err := errors.Join(os.RemoveAll(o.Dir+"/db"), os.Rename(old+"/db", o.Dir+"/db")); err != nil {
		t.Fatal(err)
	}
	s = start(t, o)
	if st := state(t, s.Shelf, h); st.Log == log || st.Next != 1 {
		t.Errorf("the loss isn't told: %+v", st)
	}
	put(t, s.Shelf, mint(t, s.Shelf, h, envelope.S, 1)[0], env(envelope.S))
	second := state(t, s.Shelf, h).Log
	s.end(t)
	s = start(t, o)
	if state(t, s.Shelf, h).Log != second {
		t.Error("another log again")
	}
}
