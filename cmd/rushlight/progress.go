package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/term"

	"rushlight/node/api"
)

// Times of showing how files go on: what is done at once shows nothing.
const (
	showAfter = 700 * time.Millisecond
	showEvery = 500 * time.Millisecond
)

// showProgress shows how the files for which mine is true go on, in the last
// line of the terminal that standard error is, until stop is called. Nothing is
// shown elsewhere, nor with --json.
func (a *app) showProgress(ctx context.Context, mine func(api.Transfer) bool) (stop func()) {
	fd, ok := terminal(a.err)
	if !ok || a.json {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var showing sync.WaitGroup
	showing.Go(func() {
		c, err := a.dial(ctx)
		if err != nil {
			return // what is waited for says why
		}
		defer c.Close()
		ask := func() ([]api.Transfer, error) {
			var r struct{ Transfers []api.Transfer }
			err := c.Call(ctx, "transfers", nil, &r)
			return r.Transfers, err
		}
		width := func() int {
			w, _, err := term.GetSize(fd)
			if err != nil || w < 1 {
				w = 80
			}
			return w
		}
		showTransfers(ctx, a.err, width, ask, mine)
	})
	return sync.OnceFunc(func() {
		cancel()
		showing.Wait()
	})
}

// showTransfers writes a line over the one before until ctx ends, and leaves an
// empty one.
func showTransfers(ctx context.Context, w io.Writer, width func() int, ask func() ([]api.Transfer, error), mine func(api.Transfer) bool) {
	shown := false
	defer func() {
		if shown {
			fmt.Fprint(w, "\r\x1b[K")
		}
	}()
	for next := time.NewTimer(showAfter); ; next.Reset(showEvery) {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		all, err := ask()
		if err != nil {
			return
		}
		line := ""
		var of []api.Transfer
		for _, t := range all {
			if mine(t) {
				of = append(of, t)
			}
		}
		if len(of) > 0 {
			line = progressText(of)
		}
		if line == "" && !shown {
			continue
		}
		shown = true
		text := []rune(line)
		fmt.Fprintf(w, "\r%s\x1b[K", string(text[:min(len(text), max(width()-1, 0))]))
	}
}

// progressText is "fetching 42% of 10.0 MB, 1.2 MB/s, 6s left: NAME", of one
// file or several together.
func progressText(of []api.Transfer) string {
	sum := of[0]
	what := clean(sum.Name)
	moving := false
	sum.Size, sum.Have, sum.Rate = 0, 0, 0
	for _, t := range of {
		sum.Size, sum.Have, sum.Rate = sum.Size+t.Size, sum.Have+t.Have, sum.Rate+t.Rate
		moving = moving || t.State == api.TransferRunning || t.State == api.TransferPreparing
	}
	if len(of) > 1 {
		what = count(len(of), "file")
	}
	how := "fetching"
	switch {
	case sum.State == api.TransferPreparing:
		how = "encrypting"
	case sum.Direction == api.TransferOut:
		how = "sending"
	}
	percent := int64(100)
	if sum.Size > 0 {
		percent = int64(float64(sum.Have) / float64(sum.Size) * 100)
	}
	how = fmt.Sprintf("%s %d%% of %s", how, percent, byteText(sum.Size))
	if !moving {
		return fmt.Sprintf("%s, %s: %s", how, sum.State, what)
	}
	how = fmt.Sprintf("%s, %s/s", how, byteText(sum.Rate))
	if left := sum.Size - sum.Have; left > 0 && sum.Rate > 0 {
		how += fmt.Sprintf(", %s left", time.Duration(left/sum.Rate+1)*time.Second)
	}
	return how + ": " + what
}
