package main

import (
	"sync"

	"rushlight/protocol/identity"
)

// shownOnce gives the recovery code to the page until it was confirmed there.
// It is not kept longer than the daemon runs.
func shownOnce(code *identity.RecoveryCode) func(confirmed bool) string {
	if code != nil {
		own := *code
		code = &own
	}
	var mu sync.Mutex
	return func(confirmed bool) string {
		mu.Lock()
		defer mu.Unlock()
		if code == nil {
			return ""
		}
		text := code.String()
		if confirmed {
			clear(code[:])
			code = nil
		}
		return text
	}
}
