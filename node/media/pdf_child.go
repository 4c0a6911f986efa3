package media

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"sync/atomic"
	"time"
)

// A document is read and written by a library that unpacks some of it without
// a limit of ours. So the program starts itself once more for each one, and that
// process ends when it takes more memory than a document of that length may.

const (
	// childEnv is the number of the process that waits for the child.
	childEnv = "RUSHLIGHT_MEDIA_CHILD"

	// A document may take pdfRoom bytes of memory and as many for each of its own.
	pdfRoom    = 96 << 20
	pdfPerByte = 24

	// pdfTime is how long one may take.
	pdfTime = 5 * time.Minute

	// watchEvery is how often the memory is looked at.
	watchEvery = 2 * time.Millisecond
)

// Exit codes of the child.
const (
	childDamaged = 3 + iota
	childInvalid
	childLocked
	childTooMuch
	childTooLong
)

var (
	errUnreadable = damaged("the document can't be read")
	errInvalid    = damaged("the document doesn't keep to the rules")
	errTooMuch    = damaged("the document unpacks to far more than its length")
	errTooLong    = damaged("the document takes too long to read")
	errLocked     = fmt.Errorf("%w: the document is locked with a password", ErrUnknown)
)

var childErrors = map[int]error{
	childDamaged: errUnreadable, childInvalid: errInvalid, childLocked: errLocked, childTooMuch: errTooMuch, childTooLong: errTooLong,
}

var haveChild atomic.Bool

// RunChildIfAsked must be called by main before anything else is begun. In a
// process that was started as a child it doesn't return. Otherwise it lets this
// package start the program as its child from then on; without it, documents are
// read in the process itself.
func RunChildIfAsked() {
	parent := os.Getenv(childEnv)
	if parent == "" {
		haveChild.Store(true)
		return
	}
	os.Exit(serve(parent, os.Stdin, os.Stdout))
}

// serve rewrites one document and returns the exit code.
func serve(parent string, in io.Reader, out io.Writer) int {
	b, err := io.ReadAll(io.LimitReader(in, maxPDF))
	if err != nil {
		return 1
	}
	go watch(parent, pdfRoom+pdfPerByte*int64(len(b)))
	clean, err := rewriteAll(b)
	for code, e := range childErrors {
		if errors.Is(err, e) {
			return code
		}
	}
	if err != nil {
		return 1
	}
	if _, err := out.Write(clean); err != nil {
		return 1
	}
	return 0
}

// watch ends the process when it takes more than so many bytes of memory, or too
// long, or when nobody waits for it any more.
func watch(parent string, most int64) {
	began := time.Now()
	debug.SetMemoryLimit(most * 3 / 4) // what is garbage isn't meant
	takes := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	for range time.Tick(watchEvery) {
		metrics.Read(takes)
		if int64(takes[0].Value.Uint64()-takes[1].Value.Uint64()) > most {
			os.Exit(childTooMuch)
		}
		if time.Since(began) > pdfTime || strconv.Itoa(os.Getppid()) != parent {
			os.Exit(childTooLong)
		}
	}
}

// program is the path of this program, which an update may have replaced since it
// was started.
func program() (string, error) {
	const self = "/proc/self/exe"
	if _, err := os.Stat(self); err == nil {
		return self, nil
	}
	return os.Executable()
}

// childEnded is told of each child; for the tests.
var childEnded = func(*os.ProcessState) {}

// cleanedPDF is a document without what tells of its making.
func cleanedPDF(ctx context.Context, b []byte) ([]byte, error) {
	if !haveChild.Load() {
		return rewriteAll(b)
	}
	exe, err := program()
	if err != nil {
		return nil, fmt.Errorf("media: finding the program: %w", err)
	}
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = []string{childEnv + "=" + strconv.Itoa(os.Getpid())}
	cmd.Stdin = bytes.NewReader(b)
	var out bytes.Buffer
	cmd.Stdout = &out
	err = cmd.Run()
	if cmd.ProcessState != nil {
		childEnded(cmd.ProcessState)
	}
	var ended *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err == nil && Detect(out.Bytes()) != PDF: // another version of the program
		return nil, errors.New("media: what reads documents has answered with something else")
	case err == nil:
		return out.Bytes(), nil
	case !errors.As(err, &ended):
		return nil, fmt.Errorf("media: starting what reads documents: %w", err)
	}
	if e := childErrors[ended.ExitCode()]; e != nil {
		return nil, e
	}
	if !ended.Exited() { // which isn't the document's fault
		return nil, fmt.Errorf("media: what reads documents was ended from outside: try again: %w", err)
	}
	return nil, errUnreadable
}
