package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A pkg is what `go list -json` says about one package of this module.
type pkg struct {
	ImportPath   string
	Dir          string
	GoFiles      []string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
	Incomplete   bool
}

// layers is the order of the import rule: a package imports its own layer and
// those further left.
var layers = []string{"protocol", "storage", "node", "cmd"}

// impure is what a package of protocol never imports, with what is below it.
var impure = []string{"net", "os", "sync", "log", "math/rand", "syscall"}

// clock is what a package of protocol never takes from package time.
var clock = []string{
	"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer",
}

// users says which packages may import a module: one where that is possible.
// A path that ends in a slash stands for everything below it. golang.org/x is
// for everybody and not listed.
var users = map[string][]string{
	"code.dny.dev/ssrf":              {"rushlight/node/preview"},
	"filippo.io/edwards25519":        {"rushlight/protocol/beacon"},
	"github.com/BurntSushi/toml":     {"rushlight/cmd/rushlight"},
	"github.com/coder/websocket":     {"rushlight/node/door"},
	"github.com/creachadair/jrpc2":   {"rushlight/node/api"},
	"github.com/dgraph-io/badger/v4": {"rushlight/storage", "rushlight/storage/merge", "rushlight/storage/shelf"},
	// It makes the page out of its sources, which is no part of the program.
	"github.com/evanw/esbuild": {"rushlight/node/web/internal/bundle"},
	// They lock the profile, the store and the key wheel.
	"github.com/gen2brain/beeep": {"rushlight/cmd/rushlight"},
	"github.com/gofrs/flock":     {"rushlight/cmd/rushlight", "rushlight/storage", "rushlight/storage/keyfile/wheel"},
	// node passes a simulation's network on to node/host.
	"github.com/libp2p/go-libp2p": {"rushlight/node/delivery", "rushlight/node", "rushlight/node/discovery", "rushlight/node/files", "rushlight/node/host", "rushlight/node/mailbox", "rushlight/node/post"},
	// The distributed hash table, and the interfaces of its store and its
	// validators.
	"github.com/ipfs/go-datastore":         {"rushlight/node/discovery"},
	"github.com/jackpal/go-nat-pmp":        {"rushlight/node/host"},
	"github.com/libp2p/go-libp2p-kad-dht":  {"rushlight/node/discovery"},
	"github.com/libp2p/go-libp2p-kbucket":  {"rushlight/node/discovery"},
	"github.com/libp2p/go-libp2p-record":   {"rushlight/node/discovery"},
	"github.com/multiformats/go-multiaddr": {"rushlight/node", "rushlight/node/delivery", "rushlight/node/discovery", "rushlight/node/host", "rushlight/node/post"},
	"github.com/pdfcpu/pdfcpu":             {"rushlight/node/media"},
	"github.com/spf13/cobra":               {"rushlight/cmd/rushlight"},
	"github.com/spf13/pflag":               {"rushlight/cmd/rushlight"},
	"github.com/tailscale/peercred":        {"rushlight/node/api"},
	"github.com/zalando/go-keyring":        {"rushlight/cmd/rushlight"},
	"github.com/quic-go/quic-go":           {"rushlight/node/host"}, // counts what a connection carries
	"google.golang.org/protobuf":           {"rushlight/storage"},   // reads Badger's own files
	"github.com/makiuchi-d/gozxing":        {"rushlight/node/api"},
	"rsc.io/qr":                            {"rushlight/cmd/rushlight", "rushlight/node/api"},
}

// testUsers is the same for test files, which may also import what the
// package under test may.
var testUsers = map[string][]string{
	"github.com/bep/imagemeta":             {"rushlight/node/media"},
	"github.com/c2sp/wycheproof":           {"rushlight/protocol/"},
	"github.com/chromedp/cdproto":          {"rushlight/node/web/browser"},
	"github.com/chromedp/chromedp":         {"rushlight/node/web/browser"},
	"github.com/cockroachdb/datadriven":    {"rushlight/"},
	"github.com/dgraph-io/badger/v4":       {"rushlight/node/engine", "rushlight/node/sim/"},
	"github.com/libp2p/go-libp2p":          {"rushlight/node/sim/"},
	"github.com/libp2p/go-libp2p-kad-dht":  {"rushlight/node/sim/"},
	"github.com/libp2p/go-libp2p-kbucket":  {"rushlight/node/sim/"},
	"google.golang.org/protobuf":           {"rushlight/node/sim/"},
	"github.com/quic-go/quic-go":           {"rushlight/node/sim/"},
	"github.com/multiformats/go-multiaddr": {"rushlight/node/sim/"},
	"github.com/rogpeppe/go-internal":      {"rushlight/cmd/rushlight"},
	"go.uber.org/goleak":                   {"rushlight/"},
	"pgregory.net/rapid":                   {"rushlight/"},
}

// TestLayers holds the tree to cmd → node → storage → protocol → {std,
// golang.org/x, filippo.io/edwards25519}, and protocol to purity, on every
// system that the program is built for.
func TestLayers(t *testing.T) {
	root := moduleRoot(t)
	files := map[string]bool{}
	for _, goos := range []string{"linux", "darwin", "windows"} {
		list := goList(t, root, goos)
		if len(list) < 3 {
			t.Fatalf("go list found %d packages", len(list))
		}
		for _, v := range violations(list) {
			t.Errorf("%s: %s", goos, v)
		}
		for _, p := range list {
			if layer(p.ImportPath) != "protocol" {
				continue
			}
			for _, f := range p.GoFiles {
				files[filepath.Join(p.Dir, f)] = true
			}
		}
	}
	if len(files) == 0 {
		t.Fatal("no file of protocol was read")
	}
	for name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range impurities(name, src) {
			t.Error(v)
		}
	}
}

// TestLayersControl feeds the checks one offence at a time.
func TestLayersControl(t *testing.T) {
	cases := []struct {
		name string
		pkg  pkg
		want string // "" for no violation
	}{
		{"downward", pkg{ImportPath: "rushlight/node/x", Imports: []string{"rushlight/protocol/y", "rushlight/storage/z", "os"}}, ""},
		{"same layer", pkg{ImportPath: "rushlight/protocol/x", Imports: []string{"rushlight/protocol/y"}}, ""},
		{"x modules", pkg{ImportPath: "rushlight/protocol/x", Imports: []string{"golang.org/x/crypto/argon2", "time", "crypto/mlkem"}}, ""},
		{"protocol tests may read files", pkg{ImportPath: "rushlight/protocol/x", TestImports: []string{"os", "pgregory.net/rapid"}}, ""},
		{"blinding", pkg{ImportPath: "rushlight/protocol/beacon", Imports: []string{"filippo.io/edwards25519"}}, ""},

		{"protocol → storage", pkg{ImportPath: "rushlight/protocol/x", Imports: []string{"rushlight/storage"}}, "imports upwards"},
		{"protocol → node", pkg{ImportPath: "rushlight/protocol/x", Imports: []string{"rushlight/node/host"}}, "imports upwards"},
		{"storage → node", pkg{ImportPath: "rushlight/storage/x", Imports: []string{"rushlight/node"}}, "imports upwards"},
		{"node → cmd", pkg{ImportPath: "rushlight/node/x", Imports: []string{"rushlight/cmd/rushlight"}}, "imports upwards"},
		{"in a test", pkg{ImportPath: "rushlight/storage/x", TestImports: []string{"rushlight/node"}}, "imports upwards"},
		{"in an external test", pkg{ImportPath: "rushlight/storage/x", XTestImports: []string{"rushlight/node"}}, "imports upwards"},
		{"fifth layer", pkg{ImportPath: "rushlight/internal/x"}, "is in no layer"},
		{"import of a fifth layer", pkg{ImportPath: "rushlight/cmd/x", Imports: []string{"rushlight/util"}}, "is in no layer"},
		{"package at the top", pkg{ImportPath: "rushlight"}, "is in no layer"},

		{"net", pkg{ImportPath: "rushlight/protocol/x", Imports: []string{"net"}}, "is not pure"},
		{"net/netip", pkg{ImportPath: "rushlight/protocol/x", Imports: []string{"net/netip"}}, "is not pure"},
		{"os", pkg{ImportPath: "rushlight/protocol/x", Imports: []string{"os"}}, "is not pure"},
		{"os/exec", pkg{ImportPath: "rushlight/protocol/x", Imports: []string{"os/exec"}}, "is not pure"},
		{"sync", pkg{ImportPath: "rushlight/protocol/x", Imports: []string{"sync"}}, "is not pure"},
		{"sync/atomic", pkg{ImportPath: "rushlight/protocol/x", Imports: []string{"sync/atomic"}}, "is not pure"},
		{"log", pkg{ImportPath: "rushlight/protocol/x", Imports: []string{"log"}}, "is not pure"},
		{"log/slog", pkg{ImportPath: "rushlight/protocol/x", Imports: []string{"log/slog"}}, "is not pure"},
		{"math/rand", pkg{ImportPath: "rushlight/protocol/x", Imports: []string{"math/rand"}}, "is not pure"},
		{"math/rand/v2", pkg{ImportPath: "rushlight/protocol/x", Imports: []string{"math/rand/v2"}}, "is not pure"},
		{"syscall", pkg{ImportPath: "rushlight/protocol/x", Imports: []string{"syscall"}}, "is not pure"},

		{"module in protocol", pkg{ImportPath: "rushlight/protocol/x", Imports: []string{"github.com/dgraph-io/badger/v4"}}, "may not import"},
		{"new module", pkg{ImportPath: "rushlight/node/api", Imports: []string{"example.org/new/thing"}}, "may not import"},
		{"module elsewhere", pkg{ImportPath: "rushlight/node/api", Imports: []string{"github.com/libp2p/go-libp2p/core/peer"}}, "may not import"},
		{"similar module", pkg{ImportPath: "rushlight/node/host", Imports: []string{"github.com/libp2p/go-libp2p-else"}}, "may not import"},
		{"test module outside tests", pkg{ImportPath: "rushlight/storage", Imports: []string{"pgregory.net/rapid"}}, "may not import"},
		{"new module in a test", pkg{ImportPath: "rushlight/storage", TestImports: []string{"example.org/assert"}}, "may not import"},

		{"engine → libp2p", pkg{ImportPath: "rushlight/node/engine", Deps: []string{"github.com/libp2p/go-libp2p/core/peer"}}, "reaches libp2p"},
		{"engine → host → libp2p", pkg{ImportPath: "rushlight/node/engine", Imports: []string{"rushlight/node/host"}, Deps: []string{"rushlight/node/host", "github.com/libp2p/go-libp2p"}}, "reaches libp2p"},
		{"below engine", pkg{ImportPath: "rushlight/node/engine/x", Deps: []string{"github.com/libp2p/go-libp2p"}}, "reaches libp2p"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			expect(t, violations([]pkg{c.pkg}), c.want)
		})
	}

	sources := []struct{ name, src, want string }{
		{"pure", `import "time"; func f(now time.Time) time.Duration { return now.Sub(time.Unix(0, 0)) }`, ""},
		{"own Now", `type c struct{}; func (c) Now() {}; func f(time c) { time.Now() }`, ""},
		{"time.Now", `import "time"; func f() { _ = time.Now() }`, "time.Now"},
		{"time.Now as a value", `import "time"; var now = time.Now`, "time.Now"},
		{"renamed", `import clock "time"; func f() { _ = clock.Now() }`, "time.Now"},
		{"dot import", `import . "time"; func f() { _ = Now() }`, "dot import"},
		{"time.Since", `import "time"; func f(t time.Time) { _ = time.Since(t) }`, "time.Since"},
		{"timer", `import "time"; func f() { <-time.After(1) }`, "time.After"},
		{"goroutine", `func f() { go f() }`, "goroutine"},
	}
	for _, c := range sources {
		t.Run(c.name, func(t *testing.T) {
			expect(t, impurities("x.go", []byte("package p\n"+c.src)), c.want)
		})
	}
}

func expect(t *testing.T, got []string, want string) {
	t.Helper()
	switch {
	case want == "" && len(got) > 0:
		t.Errorf("reported %q", got)
	case want != "" && (len(got) == 0 || !strings.Contains(got[0], want)):
		t.Errorf("reported %q, want %q", got, want)
	}
}

// violations returns every import that breaks a rule, in the order of list.
func violations(list []pkg) []string {
	var out []string
	bad := func(p pkg, format string, args ...any) {
		out = append(out, p.ImportPath+" "+fmt.Sprintf(format, args...))
	}
	for _, p := range list {
		own := slices.Index(layers, layer(p.ImportPath))
		if own < 0 {
			bad(p, "is in no layer")
			continue
		}
		check := func(imports []string, tables ...map[string][]string) {
			for _, to := range imports {
				switch {
				case strings.TrimSuffix(to, "_test") == p.ImportPath || to == "C":
				case within(to, "rushlight"):
					switch rank := slices.Index(layers, layer(to)); {
					case rank < 0:
						bad(p, "imports %s, which is in no layer", to)
					case rank > own:
						bad(p, "imports upwards: %s", to)
					}
				case !strings.Contains(strings.Split(to, "/")[0], "."), within(to, "golang.org/x"):
				case !allowed(p.ImportPath, to, tables...):
					bad(p, "may not import %s", to)
				}
			}
		}
		check(p.Imports, users)
		check(p.TestImports, users, testUsers)
		check(p.XTestImports, users, testUsers)

		if layers[own] == "protocol" {
			for _, to := range p.Imports {
				if slices.ContainsFunc(impure, func(i string) bool { return within(to, i) }) {
					bad(p, "is not pure: imports %s", to)
				}
			}
		}
		if within(p.ImportPath, "rushlight/node/engine") {
			for _, to := range p.Deps {
				if strings.HasPrefix(to, "github.com/libp2p/") {
					bad(p, "reaches libp2p: %s", to)
				}
			}
		}
	}
	return out
}

// allowed reports whether a table gives the module of path to the package.
func allowed(importer, path string, tables ...map[string][]string) bool {
	for _, table := range tables {
		for module, by := range table {
			if within(path, module) && slices.ContainsFunc(by, func(u string) bool {
				return u == importer || strings.HasSuffix(u, "/") && strings.HasPrefix(importer, u)
			}) {
				return true
			}
		}
	}
	return false
}

// impurities returns the uses of a clock and the goroutines in one file.
func impurities(name string, src []byte) []string {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, 0)
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	bad := func(n ast.Node, what string) {
		out = append(out, fmt.Sprintf("%s: %s in protocol", fset.Position(n.Pos()), what))
	}
	local := "" // what this file calls package time
	for _, i := range f.Imports {
		if i.Path.Value != `"time"` {
			continue
		}
		local = "time"
		if i.Name != nil {
			local = i.Name.Name
		}
		if local == "." {
			bad(i, "dot import of time")
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			bad(n, "goroutine")
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && local != "" && x.Name == local && slices.Contains(clock, n.Sel.Name) {
				bad(n, "time."+n.Sel.Name)
			}
		}
		return true
	})
	return out
}

// layer returns the first element of a path below this module, or "".
func layer(path string) string {
	rest, ok := strings.CutPrefix(path, "rushlight/")
	if !ok {
		return ""
	}
	first, _, _ := strings.Cut(rest, "/")
	return first
}

// within reports whether path is dir or below it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(strings.TrimSpace(string(out)))
}

// goList lists the packages of this module as they are on one system.
func goList(t *testing.T, root, goos string) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e",
		"-json=ImportPath,Dir,GoFiles,Imports,TestImports,XTestImports,Deps,Incomplete", "./...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	var list []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}
