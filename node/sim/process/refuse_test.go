//go:build linux

package process_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"rushlight/node/api"
)

// TestEveryText sends texts of all of Unicode, up to the longest there is, and
// compares them byte for byte. One byte more is refused.
func TestEveryText(t *testing.T) {
	t.Parallel()
	a, b := newDaemon(t, "ann"), newDaemon(t, "bob")
	befriend(t, a, b)
	rng := rand.New(rand.NewPCG(1, 2))
	texts := []string{
		"x", " leading and trailing \n", "e\u0301 and é", "👩‍👩‍👧‍👦", "\u202eright to left\u202c", "שלום", "a\x00b", "\ufeff",
		strings.Repeat("x", api.MaxText), strings.Repeat("ü", api.MaxText/2),
	}
	for range 20 {
		var s strings.Builder
		for n := rng.IntN(api.MaxText); s.Len() < n; {
			if r := rune(rng.IntN(utf8.MaxRune + 1)); utf8.ValidRune(r) && s.Len()+utf8.RuneLen(r) <= api.MaxText {
				s.WriteRune(r)
			}
		}
		texts = append(texts, s.String()+"x")
	}
	for i, text := range texts {
		if len(text) > api.MaxText {
			texts[i] = text[:len(text)-1]
		}
		if _, err := a.send(b, texts[i], ""); err != nil {
			t.Fatalf("text %d: %v", i, err)
		}
	}
	a.drained()
	for i, d := range []*daemon{b, a} {
		var res struct{ Messages []api.Message }
		d.call("read", obj{"who": []*daemon{a, b}[i].account}, &res)
		if len(res.Messages) != len(texts) {
			t.Fatalf("%d of %d texts", len(res.Messages), len(texts))
		}
		for k, m := range res.Messages {
			if m.Text != texts[k] {
				t.Errorf("text %d of %d bytes differs", k, len(texts[k]))
			}
		}
	}
	_, err := a.send(b, strings.Repeat("x", api.MaxText+1), "")
	if e := api.AsError(err); e == nil || e.Code != api.CodeTextTooLong || !strings.Contains(e.Message, "49152") {
		t.Errorf("one byte too many: %v", err)
	}
}

// TestDiskFull fills the disk under a daemon: sending is refused and changes
// nothing, reading works, and with room again everything goes on. It needs
// root, for a small file system.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a small file system")
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=760m", "tmpfs", disk).CombinedOutput(); err != nil {
		t.Skipf("this machine can't mount a small file system: %s", out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", disk).Run() })
	a, b := newDaemon(t, "ann"), newDaemon(t, "bob")
	befriend(t, a, b)
	if _, err := a.send(b, "before", ""); err != nil {
		t.Fatal(err)
	}
	a.drained()
	a.moveTo(filepath.Join(disk, "ann"))

	full := filepath.Join(disk, "full")
	if err := exec.Command("fallocate", "-l", "400M", full).Run(); err != nil {
		t.Fatal(err)
	}
	refused := false
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); { // the guard looks a few times a second
		if _, err := a.send(b, "too much", ""); err != nil {
			if e := api.AsError(err); e.Code != api.CodeDiskFull {
				t.Fatalf("refused with %q: %v", e.Code, err)
			}
			refused = true
			break
		}
	}
	if !refused {
		t.Fatal("nothing was refused although the disk is full")
	}
	var res struct{ Messages []api.Message }
	a.call("read", obj{"who": b.account, "peek": true}, &res)
	held := len(res.Messages)
	if held == 0 {
		t.Fatal("nothing can be read while the disk is full")
	}
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(60 * time.Second); ; {
		_, err := a.send(b, "room again", "")
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("still refused with room on the disk:", err)
		}
	}
	a.drained()
	a.call("read", obj{"who": b.account, "peek": true}, &res)
	if len(res.Messages) != held+1 {
		t.Errorf("%d messages, expected %d", len(res.Messages), held+1)
	}
}

// moveTo stops the daemon, moves its profile and starts it there.
func (d *daemon) moveTo(dir string) {
	d.t.Helper()
	d.kill()
	_ = os.Remove(filepath.Join(d.dir, "rushlight.sock")) // left by the kill
	if err := os.CopyFS(dir, os.DirFS(d.dir)); err != nil {
		d.t.Fatal(err)
	}
	pass := filepath.Join(filepath.Dir(dir), "passphrase")
	text, err := os.ReadFile(d.pass())
	if err == nil {
		err = os.WriteFile(pass, text, 0o600)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	d.dir = dir
	d.start()
}

// TestDamagedProfile changes one byte in every kind of file of a profile. The
// program says what is wrong and exits with 1, or has lost nothing.
func TestDamagedProfile(t *testing.T) {
	t.Parallel()
	a, b := newDaemon(t, "ann"), newDaemon(t, "bob")
	befriend(t, a, b)
	for range 30 {
		if _, err := a.send(b, strings.Repeat("something to lose ", 50), ""); err != nil {
			t.Fatal(err)
		}
	}
	a.drained()
	_ = a.cmd.Process.Signal(syscall.SIGTERM)
	<-a.exited
	a.cmd = nil
	var files []string
	err := filepath.WalkDir(a.dir, func(path string, e os.DirEntry, err error) error {
		if info, ierr := e.Info(); err == nil && ierr == nil && info.Mode().IsRegular() && info.Size() > 64 {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		rel, _ := filepath.Rel(a.dir, path)
		if strings.HasSuffix(rel, "ballast") {
			continue
		}
		// A copy each time: what opens a profile may change its files.
		dir := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(dir, os.DirFS(a.dir)); err != nil {
			t.Fatal(err)
		}
		bad, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bad[len(bad)/3] ^= 0x10
		if err := os.WriteFile(filepath.Join(dir, rel), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(program, "check", "--dir", dir, "--json", "--passphrase-file", a.pass()).Output()
		var exit *exec.ExitError
		switch {
		case err == nil:
			if !strings.Contains(string(out), `"ok":true`) {
				t.Errorf("%s: exit 0 and %s", rel, out)
			}
		case errors.As(err, &exit) && exit.ExitCode() == 1 && strings.Contains(string(out), `"code":"corrupt_store"`):
		default:
			t.Errorf("%s: %v, %s", rel, err, out)
		}
	}
	a.start() // the profile itself starts
	var res struct{ Messages []api.Message }
	a.call("read", obj{"who": b.account}, &res)
	if len(res.Messages) != 30 {
		t.Errorf("%d messages", len(res.Messages))
	}
}
