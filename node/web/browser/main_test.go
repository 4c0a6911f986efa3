//go:build linux

// Package browser drives the page in a real browser, against the real program:
// what people do with it, what others may not do to it, and how it looks.
//
// It needs Debian's package chromium; without it, and with -short, the tests are
// skipped. With -pictures DIR they leave pictures of what they see.
package browser_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"rushlight/node/media"
	"rushlight/storage/keyfile"
)

var (
	program string          // the program under test, built once
	browser context.Context // the browser; nil without one
)

// pictures is where -pictures puts what the page looks like.
var pictures = flag.String("pictures", "", "folder for pictures of the page")

// docs is whether the pictures of README.md are made anew:
//
//	go test ./node/web/browser -run EveryView -docs
var docs = flag.Bool("docs", false, "make the pictures of the documentation")

// patience is how long anything may take on a slow machine.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	keyfile.RunChildIfAsked()
	media.RunChildIfAsked()
	flag.Parse()
	_ = os.Setenv("CI", "1") // the daemons notify nobody
	os.Exit(func() int {
		path, err := exec.LookPath("chromium")
		if err != nil || testing.Short() {
			return m.Run() // each test says what is missing
		}
		dir, err := os.MkdirTemp("", "rushlight-browser-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		spare.dir = dir
		program = filepath.Join(dir, "rushlight")
		build := exec.Command("go", "build", "-o", program, "rushlight/cmd/rushlight")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building: %v\n%s", err, out)
			return 1
		}
		ctx, stop := chromedp.NewExecAllocator(context.Background(),
			chromedp.ExecPath(path),
			chromedp.UserDataDir(filepath.Join(dir, "chromium")),
			chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
			chromedp.Flag("disable-quic", true),
			chromedp.Flag("disable-background-networking", true),
			chromedp.Flag("disable-component-update", true),
			chromedp.Flag("disable-sync", true),
			chromedp.Flag("disable-dev-shm-usage", true),
			chromedp.Flag("disable-background-timer-throttling", true),
			chromedp.Flag("disable-renderer-backgrounding", true),
			chromedp.Flag("disable-backgrounding-occluded-windows", true),
			chromedp.Flag("lang", "en-GB"),
			chromedp.Flag("use-fake-device-for-media-stream", true), // a microphone that beeps
			chromedp.Flag("use-fake-ui-for-media-stream", true),
			chromedp.WindowSize(1180, 760),
			chromedp.WSURLReadTimeout(patience),
		)
		defer stop()
		ctx, done := chromedp.NewContext(ctx)
		defer done()
		if err := chromedp.Do(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "starting chromium:", err)
			return 1
		}
		browser = ctx //nolint:fatcontext // one for all tests
		return m.Run()
	}())
}

// needBrowser skips a test where there is none.
func needBrowser(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("the browser takes its time")
	}
	if browser == nil {
		t.Skip("chromium is missing: apt-get install chromium")
	}
}
