package wheel

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

const writerEnv = "RUSHLIGHT_WHEEL_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		start, err := strconv.Atoi(os.Args[1])
		if err == nil {
			err = writer(dir, start)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writer burns the even leaves of buckets 1 to 4, one after the other, and says
// so on its output when each is acknowledged. Now and then it makes a bucket,
// and destroys it later without the kek.
func writer(dir string, start int) error {
	for i := start; ; {
		w, err := Open(dir, testKek, Options{})
		if err != nil {
			return err
		}
		for turn := range 10 {
			if err := w.Commit(Forget{Leaves: []Ref{burnedBy(i)}}); err != nil {
				return err
			}
			fmt.Println("burned", i)
			if turn == 0 {
				if err := w.Ensure(1000 + uint32(i)); err != nil {
					return err
				}
			}
			i++
		}
		if err := w.Close(); err != nil {
			return err
		}
		if err := ScrubShards(dir, 1000+uint32(i-10)); err != nil {
			return err
		}
		fmt.Println("scrubbed", 1000+i-10)
	}
}

func burnedBy(i int) Ref { return Ref{uint32(i%4 + 1), uint32(i/4) * 2} }

// The power fails at any moment. What the medium then holds opens, has all live
// keys and none of those whose end was acknowledged, neither for the wheel nor
// for an attacker.
func TestPowerCut(t *testing.T) {
	for kind, cuts := range map[string]int{"ext4": 12, "btrfs": 4} {
		if testing.Short() {
			cuts = 2
		}
		t.Run(kind, func(t *testing.T) { powerCuts(t, newImage(t, kind, ""), cuts) })
	}
}

func powerCuts(t *testing.T, i *image, cuts int) {
	dir := filepath.Join(i.dir, "wheel")
	w := openAt(t, dir)
	must(t, w.EnsureConversations(convA))
	must(t, w.Ensure(1, 2, 3, 4))
	var canaries, burns []target
	for n := range uint32(800) {
		x := target{bucket: n%4 + 1, leaf: n / 4 * 2, conv: convA}
		x.want = key(t, w, x.bucket, x.leaf, x.conv)
		burns = append(burns, x)
		x.leaf++
		x.want = key(t, w, x.bucket, x.leaf, x.conv)
		canaries = append(canaries, x)
	}
	must(t, w.Close())
	i.flush(t)
	next, done, scrubbed := 0, 0, []uint32{}
	for ; done < cuts && next < len(burns)-60; done++ {
		cmd := exec.Command(os.Args[0], strconv.Itoa(next))
		cmd.Env = append(os.Environ(), writerEnv+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		read := func() bool {
			if !lines.Scan() {
				return false
			}
			var what string
			var n int
			if _, err := fmt.Sscan(lines.Text(), &what, &n); err != nil {
				t.Fatal(err)
			}
			if what == "burned" {
				next = n + 1
			} else {
				scrubbed = append(scrubbed, uint32(n))
			}
			return true
		}
		for range 3 + rand.IntN(30) {
			if !read() {
				t.Fatal("the writer ended")
			}
		}
		must(t, cmd.Process.Signal(unix.SIGSTOP))
		var status unix.WaitStatus
		if _, err := unix.Wait4(cmd.Process.Pid, &status, unix.WUNTRACED, nil); err != nil || !status.Stopped() {
			t.Fatalf("%v %v", status, err)
		}
		cut := &image{file: filepath.Join(t.TempDir(), "cut")}
		if out, err := exec.Command("cp", "--sparse=always", i.file, cut.file).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		must(t, cmd.Process.Kill())
		for read() { // what was acknowledged before it stopped
		}
		_ = cmd.Wait()
		checkCut(t, cut, burns[:next], canaries, scrubbed)
	}
	t.Logf("%d cuts, %d acknowledged burns, %d buckets scrubbed", done, next, len(scrubbed))
}

func checkCut(t *testing.T, cut *image, burned, canaries []target, scrubbed []uint32) {
	t.Helper()
	a := carve(cut.raw(t), testKek)
	cut.mount(t, "")
	defer cut.unmount(t)
	w, err := Open(filepath.Join(cut.dir, "wheel"), testKek, Options{})
	if err != nil {
		t.Fatalf("after the cut: %v", err)
	}
	defer func() { _ = w.Close() }()
	for _, x := range burned {
		if w.Alive(x.bucket, x.leaf, x.conv) || a.recovers(x.bucket, x.leaf, x.conv, x.want) {
			t.Fatal("a key came back")
		}
	}
	for _, id := range scrubbed {
		if w.Alive(id, 0, convA) || len(a.shares[id]) > 0 {
			t.Fatal("a scrubbed bucket came back")
		}
	}
	for n, x := range canaries {
		if key(t, w, x.bucket, x.leaf, x.conv) != x.want {
			t.Fatal("a live key changed")
		}
		if n%40 == 0 && !a.recovers(x.bucket, x.leaf, x.conv, x.want) {
			t.Fatal("control: the attacker doesn't find a live key")
		}
	}
}
