package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rushlight/node/engine"
	"rushlight/storage"
)

// TestKeysFail: an engine whose store can't make the key of a conversation ends
// and says so; it doesn't live on and refuse everything.
func TestKeysFail(t *testing.T) {
	a, b := newDevice(t, "ann"), newDevice(t, "bob")
	join(t, a, b)
	if err := os.Rename(filepath.Join(a.dir, "wheel"), filepath.Join(a.dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Send(t.Context(), engine.Send{To: b.Account(), Text: "hi"}); err == nil {
		t.Error("a message was taken without a key for it")
	}
	select {
	case err := <-a.done:
		if !errors.Is(err, storage.ErrPoisoned) {
			t.Errorf("the engine ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("the engine lives on")
	}
	a.done <- nil // for the end of the test
	if err := os.Rename(filepath.Join(a.dir, "elsewhere"), filepath.Join(a.dir, "wheel")); err != nil {
		t.Fatal(err)
	}
}
