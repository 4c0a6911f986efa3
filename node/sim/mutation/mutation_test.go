package mutation

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutation is a mistake in one file, and the test that must find it.
type mutation struct {
	name      string
	file      string // in the module
	good, bad string
	pkg, test string
	says      string // what the test says then
	root      bool   // it mounts a filesystem
}

const shelf, envelope, reconcile = "storage/shelf", "protocol/envelope", "protocol/reconcile"

var mutations = []mutation{
	{
		name: "expiry inverted", file: "storage/shelf/days.go",
		good: "!ok || day < today {\n\t\t\t\tpassed", bad: "!ok || day > today {\n\t\t\t\tpassed",
		pkg: shelf, test: "TestErase",
	},
	{
		name: "expiry of what is read inverted", file: "storage/shelf/deposit.go",
		good: "if key == nil {\n\t\treturn o, passed", bad: "if key != nil {\n\t\treturn o, passed",
		pkg: shelf, test: "TestDepositAndFetch",
	},
	{
		name: "expiry of a stamp inverted", file: "storage/shelf/deposit.go",
		good: "case t.ExpDay < g.day.settled:", bad: "case t.ExpDay > g.day.settled:",
		pkg: shelf, test: "TestDepositAndFetch",
	},
	{
		name: "sync skipped", file: "storage/shelf/disk.go",
		good: "if a.err = d.log.Sync(); a.err != nil", bad: "if a.err != nil",
		pkg: shelf, test: "TestPowerCut", says: "acknowledged envelopes were lost", root: true,
	},
	{
		name: "acknowledged before the commit", file: "storage/shelf/writer.go",
		good: "if s.o.UnsafeAckFirst {\n\t\tfor i", bad: "if s.o.UnsafeAckFirst = true; s.o.UnsafeAckFirst {\n\t\tfor i",
		pkg: shelf, test: "TestKill", says: "LOST",
	},
	{
		name: "tags that aren't keyed by the message", file: "protocol/envelope/keys.go",
		good: "m := suite.MAC(mk[:], labelTag, relay[:])", bad: "m := suite.MAC(relay[:], labelTag, relay[:])",
		pkg: envelope, test: "TestVectors",
	},
	{
		name: "tags that aren't keyed by the relay", file: "protocol/envelope/keys.go",
		good: "m := suite.MAC(mk[:], labelTag, relay[:])", bad: "m := suite.MAC(mk[:], labelTag)",
		pkg: envelope, test: "TestCopiesShareNothing",
	},
	{
		name: "fingerprints that aren't keyed", file: "protocol/suite/idsum.go",
		good: "h.block.Encrypt(out[:], id[:])", bad: "copy(out[:], id[:])",
		pkg: reconcile, test: "TestCraftedIDs", says: "a difference is not found",
	},
}

// TestMutations wants the suite to fail with each mistake, and to pass without.
func TestMutations(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("compiles packages anew")
	}
	top, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	sound := map[string]string{} // tests of packages as they are
	for _, pkg := range []string{shelf, envelope, reconcile} {
		sound[pkg] = build(t, top, pkg)
	}
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			if m.root && !canMount(t) {
				t.Skip("needs root, mkfs.ext4 and loop devices")
			}
			if out, passed := run(t, top, m, sound[m.pkg], "-test.short"); !passed {
				t.Fatalf("control: it fails without the mistake: %s", out)
			}
			mutant := build(t, top, m.pkg, "-overlay", overlay(t, top, m))
			for range 4 { // a crash may spare what it could have taken
				out, passed := run(t, top, m, mutant)
				if !passed && strings.Contains(out, "--- FAIL: "+m.test) && strings.Contains(out, m.says) {
					return
				}
				if !passed && m.says == "" && strings.Contains(out, "panic:") {
					return
				}
				t.Logf("passed %v: %.2000s", passed, out)
			}
			t.Error("the suite doesn't find it")
		})
	}
}

// overlay writes the file with the mistake, and what tells the build to take it.
func overlay(t *testing.T, top string, m mutation) string {
	t.Helper()
	file, dir := filepath.Join(top, m.file), t.TempDir()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(src), m.good); n != 1 {
		t.Fatalf("%s holds what is to be mutated %d times", m.file, n)
	}
	mutant, list := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {file: mutant}})
	if err != nil {
		t.Fatal(err)
	}
	for path, b := range map[string][]byte{mutant: []byte(strings.Replace(string(src), m.good, m.bad, 1)), list: replace} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// build compiles the tests of a package.
func build(t *testing.T, top, pkg string, args ...string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "suite.test")
	cmd := exec.Command("go", append([]string{"test", "-c", "-vet=off", "-o", bin}, append(args, "./"+pkg)...)...)
	cmd.Dir = top
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("it doesn't build: %v: %s", err, out)
	}
	return bin
}

// run runs the test that is to find a mistake.
func run(t *testing.T, top string, m mutation, bin string, args ...string) (out string, passed bool) {
	t.Helper()
	cmd := exec.Command(bin, append(args, "-test.v", "-test.run", "^"+m.test+"$")...)
	cmd.Dir = filepath.Join(top, m.pkg)
	b, err := cmd.CombinedOutput()
	if strings.Contains(string(b), "--- SKIP: "+m.test) {
		t.Skipf("the test is skipped here: %s", b)
	}
	return string(b), err == nil
}

func canMount(t *testing.T) bool {
	t.Helper()
	_, err := exec.LookPath("mkfs.ext4")
	return err == nil && os.Getuid() == 0
}
