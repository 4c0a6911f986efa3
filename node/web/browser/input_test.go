//go:build linux

package browser_test

import (
	"context"

	"github.com/chromedp/cdproto/input"
)

// insert puts in a text as if it was pasted or came from an input method.
func insert(ctx context.Context, text string) error { return input.InsertText(text).Do(ctx) }
