package api

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// childEnv holds the profile directory that a copy of the test binary, started
// as another user, is to speak to.
const childEnv = "RUSHLIGHT_TEST_DIAL"

// runAsChild is that copy's work: print what the daemon says.
func runAsChild() bool {
	dir := os.Getenv(childEnv)
	if dir == "" {
		return false
	}
	c, err := DialRaw(context.Background(), dir)
	if err != nil {
		fmt.Print("dial: ", err)
		return true
	}
	defer c.Close()
	// The daemon may have closed already; what it said is still there.
	_, _ = io.WriteString(c, `{"jsonrpc":"2.0","id":1,"method":"version"}`+"\n")
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	fmt.Print(string(buf[:n]), err)
	return true
}

// Another user's process gets no answer even when the modes of the socket and
// its directory let it connect.
func TestOtherUserIsRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	open := t.TempDir()
	if err := os.Chmod(filepath.Dir(open), 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(open, "child")
	if err := os.WriteFile(bin, b, 0o755); err != nil { // #nosec: other users must run it
		t.Fatal(err)
	}
	dir, _ := serve(t, &scripted{})
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	as := func(uid uint32) string {
		cmd := exec.CommandContext(t.Context(), bin)
		cmd.Env = []string{childEnv + "=" + dir}
		cmd.Dir = "/"
		setUser(cmd, uid)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("child: %v\n%s", err, out)
		}
		return string(out)
	}

	if got := as(65534); !strings.HasPrefix(got, "dial: ") {
		t.Errorf("with the modes as they are: %s", got)
	}
	for p, mode := range map[string]os.FileMode{dir: 0o755, filepath.Join(dir, SocketName): 0o666} {
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
	}
	// The child's own check, that the daemon is its user's or root's, lets
	// root's daemon pass.
	if got := as(65534); !strings.Contains(got, CodeNotAllowed) || strings.Contains(got, "result") {
		t.Errorf("another user got %s", got)
	}
	if got := as(0); !strings.Contains(got, `"result":{"version":"v1"}`) {
		t.Errorf("the same user got %s", got)
	}
}
