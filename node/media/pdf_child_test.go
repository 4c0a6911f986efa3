package media

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/pdfcpu/pdfcpu/pkg/api"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/model"

	"rushlight/node/internal/judge"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		RunChildIfAsked()
	}
	os.Exit(m.Run())
}

// inChild has documents read by a process of their own, and tells how many there
// were.
func inChild(t *testing.T) (ended func() []*os.ProcessState) {
	t.Helper()
	var mu sync.Mutex
	var all []*os.ProcessState
	haveChild.Store(true)
	childEnded = func(s *os.ProcessState) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, s)
	}
	t.Cleanup(func() {
		haveChild.Store(false)
		childEnded = func(*os.ProcessState) {}
	})
	return func() []*os.ProcessState {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

// locked is a document with a password.
func locked(t *testing.T) []byte {
	t.Helper()
	conf := model.NewAESConfiguration("user", "owner", 256)
	var out bytes.Buffer
	if err := api.Encrypt(bytes.NewReader(judge.Document), &out, conf); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// The process of its own says what this one would.
func TestDocumentsInAChild(t *testing.T) {
	bogus := bytes.Replace(judge.Document, []byte("trailer\n<<"), []byte("trailer\n<</Encrypt 1 0 R"), 1)
	all := append(documents(t), judge.Document[:30], bogus, locked(t), []byte("%PDF-1.7\n"+strings.Repeat("x", 100)))
	type result struct {
		out string
		err error
	}
	var want []result
	for _, b := range all {
		out, err := rewriteAll(b)
		want = append(want, result{string(out), err})
	}
	ended := inChild(t)
	refused, known := 0, false
	for i, b := range all {
		out, err := cleanedPDF(t.Context(), b)
		if string(out) != want[i].out || !errors.Is(err, want[i].err) {
			t.Errorf("document %d: %d bytes and %v, not %d and %v", i, len(out), err, len(want[i].out), want[i].err)
		}
		if err != nil {
			refused++
		}
		if errors.Is(err, errLocked) {
			known = true
		}
	}
	if !known {
		t.Error("the one with a password is not known as such")
	}
	if n := len(ended()); n != len(all) || refused == 0 || refused == n {
		t.Errorf("%d of %d documents were read in a process of their own, %d refused", n, len(all), refused)
	}
}

// aloneEnv has [TestPackedTable] be the only one in its process: what a child takes
// is counted from what its parent does when it starts it.
const aloneEnv = "RUSHLIGHT_MEDIA_TEST_ALONE"

// A document whose table of objects unpacks to hundreds of MiB ends the process
// that reads it, and nothing else. Control: read here, it takes them.
func TestPackedTable(t *testing.T) {
	b := packedTable(256)
	if os.Getenv(aloneEnv) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestPackedTable$", "-test.v")
		cmd.Env = append(os.Environ(), aloneEnv+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		var err error
		if took := allocated(func() { _, err = rewriteAll(b) }); took < 256<<20 {
			t.Errorf("control: %d MiB were allocated, %v", took>>20, err)
		}
		return
	}
	ended := inChild(t)
	var err error
	took := allocated(func() { _, err = cleanedPDF(t.Context(), b) })
	if !errors.Is(err, errTooMuch) || !errors.Is(err, ErrDamaged) {
		t.Errorf("read: %v", err)
	}
	if took > 16<<20 {
		t.Errorf("%d MiB were allocated here", took>>20)
	}
	all := ended()
	if len(all) != 1 {
		t.Fatalf("%d processes", len(all))
	}
	if !raceEnabled { // the detector takes several times as much
		checkRSS(t, all[0], 256<<20)
	}
}
