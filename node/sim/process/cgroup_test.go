//go:build linux

package process_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// cgroup counts what one process uses, where the system lets us make one: of
// version 2, or else of version 1.
type cgroup struct {
	cpu, memory string // directories; empty where there is none
	v2          bool
}

func newCgroup(t *testing.T, name string) (g cgroup) {
	t.Helper()
	make := func(root string, needs ...string) string {
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !os.IsExist(err) {
			return ""
		}
		// The process is gone by then.
		t.Cleanup(func() { _ = os.Remove(dir) })
		for _, f := range needs {
			if _, err := os.Stat(filepath.Join(dir, f)); err != nil {
				return ""
			}
		}
		return dir
	}
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if dir := make(root, "cgroup.procs", "cpu.stat", "memory.stat"); dir != "" {
			return cgroup{cpu: dir, memory: dir, v2: true}
		}
	}
	return cgroup{
		cpu:    make("/sys/fs/cgroup/cpuacct", "cgroup.procs", "cpuacct.usage"),
		memory: make("/sys/fs/cgroup/memory", "cgroup.procs", "memory.stat"),
	}
}

// String says by what is measured.
func (g cgroup) String() string {
	switch {
	case g.v2:
		return "cgroup v2"
	case g.cpu != "" && g.memory != "":
		return "cgroup v1"
	}
	return "/proc, there being no cgroups,"
}

// enter puts a process into the group.
func (g cgroup) enter(t *testing.T, pid int) {
	t.Helper()
	for _, dir := range []string{g.cpu, g.memory} {
		if dir == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// used is what the group has used since the process entered it: time, and
// memory in use. It is false where there is no group for both.
func (g cgroup) used(t *testing.T) (cpu time.Duration, memory int64, ok bool) {
	t.Helper()
	if g.cpu == "" || g.memory == "" {
		return 0, 0, false
	}
	stat := filepath.Join(g.memory, "memory.stat")
	if g.v2 {
		cpu = time.Duration(number(filepath.Join(g.cpu, "cpu.stat"), "usage_usec ")) * time.Microsecond
		return cpu, number(stat, "anon ") + number(stat, "file_mapped "), true
	}
	return time.Duration(number(filepath.Join(g.cpu, "cpuacct.usage"), "")), number(stat, "rss ") + number(stat, "mapped_file "), true
}
