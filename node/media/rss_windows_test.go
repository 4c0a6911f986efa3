package media

import (
	"os"
	"testing"
)

// checkRSS checks nothing: the system doesn't tell it of a process that has ended.
func checkRSS(t *testing.T, _ *os.ProcessState, _ int64) { t.Helper() }
