package mail

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
)

// template is some profiles that were made once, and are copied: making one
// costs more than a whole history.
var template struct {
	once sync.Once
	dir  string
}

const templates = 3

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // every store and shelf makes some megabytes of garbage
	code := m.Run()
	if template.dir != "" {
		if err := os.RemoveAll(template.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// makeTemplate has to be called before a test's bubble begins.
func makeTemplate(t *testing.T) {
	t.Helper()
	template.once.Do(func() {
		dir, err := os.MkdirTemp("", "rushlight-mail-")
		if err != nil {
			t.Fatal(err)
		}
		template.dir = dir
		t.Run("profiles", func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, 1)
			synctest.Test(t, func(t *testing.T) {
				w := &world{t: t, ctx: t.Context(), base: dir, count: map[string]int{}}
				for range templates {
					w.newPerson()
				}
				for _, p := range w.people {
					p.halt()
				}
			})
		})
	})
}

// fromTemplate adds copies of profiles.
func (w *world) fromTemplate(n int) {
	for i := range n {
		p := &person{w: w, n: len(w.people), dir: w.newDir()}
		w.must(copyDir(filepath.Join(template.dir, fmt.Sprint(i+1)), p.dir))
		p.open()
		p.account, p.device = p.eng.Account(), p.eng.Device()
		w.people = append(w.people, p)
	}
}
