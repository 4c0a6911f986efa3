//go:build unix

package media

import (
	"os"
	"runtime"
	"syscall"
	"testing"
)

// checkRSS checks the most memory that an ended process took, in bytes.
func checkRSS(t *testing.T, s *os.ProcessState, most int64) {
	t.Helper()
	took := s.SysUsage().(*syscall.Rusage).Maxrss
	if runtime.GOOS != "darwin" {
		took <<= 10
	}
	t.Logf("the process took %d MiB", took>>20)
	if took > most {
		t.Errorf("more than %d MiB", most>>20)
	}
}
