package storage

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// childEnv tells the test binary which child it is.
const childEnv = "RUSHLIGHT_STORAGE_TEST_CHILD"

// children are what the test binary can be started as, by name.
var children = map[string]func(args []string) error{}

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		if err := children[name](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}
