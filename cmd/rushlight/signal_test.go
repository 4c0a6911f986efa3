package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestSignalSDK lets an unmodified client of signal-cli use a daemon; see
// docs/bots.md.
func TestSignalSDK(t *testing.T) {
	sdk := os.Getenv("RUSHLIGHT_SIGNAL_SDK")
	if sdk == "" {
		t.Skip("RUSHLIGHT_SIGNAL_SDK doesn't say where the npm package signal-sdk 0.0.6 is")
	}
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is not installed")
	}
	// Either the package, or where it was installed.
	if installed := filepath.Join(sdk, "node_modules", "signal-sdk"); isDir(installed) {
		sdk = installed
	}
	about, err := os.ReadFile(filepath.Join(sdk, "package.json"))
	if err != nil || !bytes.Contains(about, []byte(`"name": "signal-sdk"`)) {
		t.Fatalf("RUSHLIGHT_SIGNAL_SDK=%s is not where npm put signal-sdk", sdk)
	}
	here, err := filepath.Abs(filepath.Join("testdata", "signal"))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: here, RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("SDK", sdk)
			e.Setenv("CI", "1") // nobody is notified
			e.Setenv("TRY", filepath.Join(here, "try.js"))
			return os.WriteFile(filepath.Join(e.WorkDir, "pass"), []byte("correct horse\n"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ready": awaitReady, "capture": capture, "shows": awaitText(true),
		},
	})
}

func isDir(name string) bool {
	i, err := os.Stat(name)
	return err == nil && i.IsDir()
}
