package mailbox

import (
	"os"
	"runtime"
	"time"
)

// slice is for how long a thread of a relay runs while another waits for the
// processor: the least that Linux takes.
const slice = 100 * time.Microsecond

// ShareProcessors prepares the process to run a relay: what takes all it gets,
// like a merge in the database, must not keep deposits waiting at each of the
// many steps that one takes. It returns why the system doesn't divide its
// processors as finely as it could, which is no reason not to run; GOMAXPROCS in
// the environment stays as it is.
func ShareProcessors() error {
	if os.Getenv("GOMAXPROCS") == "" {
		// With one, Go would let a merge go on for 10 ms; with a few more the
		// system shares one processor between them in smaller parts.
		runtime.GOMAXPROCS(max(4, runtime.GOMAXPROCS(0)))
	}
	return setSlice(slice)
}
