package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// relayUnit returns the unit of a relay, with a program that is there.
func relayUnit(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("needs systemd-analyze, which is in Debian's systemd")
	}
	b, err := os.ReadFile(filepath.Join("packaging", "rushlight-relay.service"))
	if err != nil {
		t.Fatal(err)
	}
	unit := strings.Replace(string(b), "ExecStart=/usr/bin/rushlight ", "ExecStart=/bin/sh ", 1)
	if unit == string(b) {
		t.Fatal("the unit starts something else")
	}
	return unit
}

// analyze runs a command of systemd-analyze on a unit.
func analyze(t *testing.T, unit string, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rushlight-relay.service")
	if err := os.WriteFile(path, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "systemd-analyze", append(args, path)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Logf("systemd-analyze %v: %v", args, err)
	}
	return string(out)
}

// exposure is what systemd makes of a unit: 0 is shut off from everything, 10
// may do everything.
func exposure(t *testing.T, unit string) float64 {
	t.Helper()
	out := analyze(t, unit, "security", "--offline=true", "--no-pager")
	m := regexp.MustCompile(`exposure level for \S+: ([0-9.]+)`).FindStringSubmatch(out)
	if m == nil {
		t.Skipf("systemd-analyze is too old: %.200s", out) // before 250
	}
	e, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestUnitIsUnderstood: systemd finds nothing to say about the unit of a relay.
func TestUnitIsUnderstood(t *testing.T) {
	unit := relayUnit(t)
	if out := analyze(t, unit, "verify"); out != "" {
		t.Errorf("systemd says:\n%s", out)
	}
	mistyped := strings.Replace(unit, "ProtectHome=", "ProtectHouse=", 1)
	if out := analyze(t, mistyped, "verify"); !strings.Contains(out, "ProtectHouse") {
		t.Errorf("control: nothing is said of a mistyped line: %q", out)
	}
}

// TestUnitIsHardened: a relay that is broken into can do little to its machine.
// Systemd 252 says 1.3; other versions weigh a little differently.
func TestUnitIsHardened(t *testing.T) {
	unit := relayUnit(t)
	if e := exposure(t, unit); e > 2 {
		t.Errorf("the exposure is %.1f", e)
	}
	if e := exposure(t, "[Service]\nExecStart=/bin/sh\n"); e < 8 {
		t.Errorf("control: without anything the exposure is %.1f", e)
	}
	from := strings.Index(unit, "CapabilityBoundingSet=")
	if from < 0 {
		t.Fatal("nothing takes capabilities away")
	}
	if e := exposure(t, unit[:from]); e <= 2 {
		t.Errorf("control: without what hardens it the exposure is %.1f", e)
	}
}
