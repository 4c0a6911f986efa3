//go:build !linux

package engine_test

func cannotMount() string { return "filesystems in a file are mounted on Linux only" }
