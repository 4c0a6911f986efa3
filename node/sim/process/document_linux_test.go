package process_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"rushlight/node/api"
	"rushlight/node/internal/judge"
)

// A daemon that is told to stop while it has a long document cleaned, which a
// process of its own does, stops in time; and so does that process.
func TestStopsWhileADocumentIsRead(t *testing.T) {
	t.Parallel()
	a, b := newDaemon(t, "ann"), newDaemon(t, "bob")
	befriend(t, a, b)
	path := filepath.Join(t.TempDir(), "long.pdf")
	if err := os.WriteFile(path, judge.Pages(400_000), 0o600); err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() {
		sent <- a.try("send", obj{"recipient": b.account, "message": "read this", "attachments": []string{path}}, nil)
	}()
	var child string
	a.until("the document is being read", func() bool {
		tasks, _ := filepath.Glob("/proc/" + strconv.Itoa(a.cmd.Process.Pid) + "/task/*/children")
		for _, t := range tasks {
			pids, _ := os.ReadFile(t)
			for _, pid := range strings.Fields(string(pids)) {
				if env, _ := os.ReadFile("/proc/" + pid + "/environ"); bytes.Contains(env, []byte("RUSHLIGHT_MEDIA_CHILD=")) {
					child = pid
				}
			}
		}
		return child != ""
	})
	if err := a.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-a.exited
	a.client.Close()
	logs, err := os.ReadFile(filepath.Join(a.dir, "..", "ann.log"))
	if code := a.cmd.ProcessState.ExitCode(); code != 0 || err != nil || bytes.Contains(logs, []byte("stopped before everything was closed")) {
		t.Errorf("exit code %d\n%s%v", code, logs, err)
	}
	if err := <-sent; err == nil {
		t.Error("it was sent all the same")
	} else if e, ok := errors.AsType[*api.Error](err); ok && e.Code == api.CodeFalseFile {
		t.Error("the document was found fault with: ", err)
	}
	a.until("its process has ended", func() bool {
		stat, err := os.ReadFile("/proc/" + child + "/stat")
		return err != nil || bytes.Contains(stat, []byte(") Z "))
	})
	a.cmd = nil
}
