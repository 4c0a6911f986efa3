//go:build unix

package main

import (
	"os"
	"strings"
	"syscall"
)

// scrubbing makes Go's collector overwrite what it frees (runtime's GODEBUG
// setting clobberfree), so that what was read under a destroyed key doesn't
// stay in memory. It can only be switched on from outside, so the program
// starts itself again; where that fails it goes on without.
func scrubbing() {
	const setting = "clobberfree="
	old, env := os.Getenv("GODEBUG"), os.Environ()
	if strings.Contains(old, setting) {
		return
	}
	exe, err := os.Executable()
	if err != nil {
		return
	}
	kept := env[:0]
	for _, v := range env {
		if !strings.HasPrefix(v, "GODEBUG=") {
			kept = append(kept, v)
		}
	}
	value := "GODEBUG=" + setting + "1"
	if old != "" {
		value += "," + old
	}
	_ = syscall.Exec(exe, os.Args, append(kept, value))
}
