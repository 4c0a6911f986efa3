package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rushlight/node/api"
)

func TestProgressText(t *testing.T) {
	one := api.Transfer{Direction: api.TransferIn, Name: "a\x1b[2J.pdf", Size: 10_000_000, Have: 4_200_000, Rate: 1_000_000, State: api.TransferRunning}
	out, taken, waits, empty := one, one, one, one
	out.Direction = api.TransferOut
	taken.Direction, taken.State = api.TransferOut, api.TransferPreparing
	waits.State, waits.Rate = api.TransferWaiting, 0
	empty.Size, empty.Have, empty.Name = 0, 0, "e"
	for _, c := range []struct {
		of   []api.Transfer
		want string
	}{
		{[]api.Transfer{one}, "fetching 42% of 10.0 MB, 1.0 MB/s, 6s left: a\ufffd[2J.pdf"},
		{[]api.Transfer{out}, "sending 42% of 10.0 MB, 1.0 MB/s, 6s left: a\ufffd[2J.pdf"},
		{[]api.Transfer{taken}, "encrypting 42% of 10.0 MB, 1.0 MB/s, 6s left: a\ufffd[2J.pdf"},
		{[]api.Transfer{waits}, "fetching 42% of 10.0 MB, waiting: a\ufffd[2J.pdf"},
		{[]api.Transfer{waits, one}, "fetching 42% of 20.0 MB, 1.0 MB/s, 12s left: 2 files"},
		{[]api.Transfer{empty}, "fetching 100% of 0 B, 1.0 MB/s: e"},
	} {
		if got := progressText(c.of); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestProgressIsShownWhileItLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var out bytes.Buffer
		ask := func() ([]api.Transfer, error) {
			have := int64(time.Since(began).Seconds() * 1000)
			return []api.Transfer{
				{ID: "mine", Name: "a", Size: 10_000, Have: have, Rate: 1000, State: api.TransferRunning},
				{ID: "other", Name: "b", Size: 10_000, State: api.TransferRunning},
			}, nil
		}
		mine := func(t api.Transfer) bool { return t.ID == "mine" }
		show := func(d time.Duration, width int) string {
			began = time.Now()
			out.Reset()
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			showTransfers(ctx, &out, func() int { return width }, ask, mine)
			return out.String()
		}
		if got := show(showAfter/2, 80); got != "" {
			t.Errorf("what is done at once: %q", got)
		}
		got := show(2*time.Second, 80)
		lines := strings.Split(got, "\r")
		if len(lines) != 5 || !strings.HasPrefix(lines[1], "fetching 7% of 10.0 kB, 1.0 kB/s, 10s left: a") || !strings.HasPrefix(lines[3], "fetching 17% ") || lines[4] != "\x1b[K" {
			t.Errorf("%q", lines)
		}
		if got := show(time.Second, 12); got != "\rfetching 7%\x1b[K\r\x1b[K" {
			t.Errorf("on a narrow terminal: %q", got)
		}
	})
}

// Only a terminal is told.
func TestProgressNotInAFile(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/err")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, ok := terminal(f); ok {
		t.Error("a file is taken for a terminal")
	}
	a := &app{err: f, dirErr: os.ErrInvalid}
	a.showProgress(t.Context(), func(api.Transfer) bool { return true })()
	if st, err := f.Stat(); err != nil || st.Size() != 0 {
		t.Errorf("%v %v", st, err)
	}
}
