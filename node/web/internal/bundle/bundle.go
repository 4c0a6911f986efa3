// Package bundle makes the files that browsers get out of the page's sources:
// one script, one style sheet and the catalogues of the languages. The same
// sources always give the same bytes, so a test can tell whether what is
// committed is what the sources say. It is not part of the program.
package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"
)

// modules are the published ones that the sources import.
var modules = map[string]string{
	"preact":               "modules/preact.mjs",
	"preact/hooks":         "modules/hooks.mjs",
	"@preact/signals":      "modules/signals.mjs",
	"@preact/signals-core": "modules/signals-core.mjs",
}

// Files returns what the sources in dir, the folder of package web, give: names
// below static, and contents.
func Files(dir string) (map[string][]byte, error) {
	out := map[string][]byte{}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("finding the sources: %w", err)
	}
	alias := map[string]string{}
	for name, path := range modules {
		alias[name] = filepath.Join(dir, path)
	}
	r := api.Build(api.BuildOptions{
		AbsWorkingDir: dir,
		EntryPointsAdvanced: []api.EntryPoint{
			{InputPath: "src/main.tsx", OutputPath: "app"},
			{InputPath: "src/style/main.css", OutputPath: "style"},
		},
		Outdir:            filepath.Join(dir, "static"),
		Bundle:            true,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		Format:            api.FormatESModule,
		Target:            api.ES2022,
		Charset:           api.CharsetUTF8,
		LegalComments:     api.LegalCommentsNone,
		JSX:               api.JSXTransform,
		JSXFactory:        "h",
		JSXFragment:       "Fragment",
		Alias:             alias,
		TsconfigRaw:       "{}",
		LogLevel:          api.LogLevelSilent,
	})
	if len(r.Errors) > 0 {
		return nil, errors.New(problems(r.Errors))
	}
	for _, f := range r.OutputFiles {
		out[filepath.Base(f.Path)] = f.Contents
	}
	languages, err := filepath.Glob(filepath.Join(dir, "lang", "*.json"))
	if err != nil {
		return nil, fmt.Errorf("listing the catalogues: %w", err)
	}
	for _, path := range languages {
		src, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading a catalogue: %w", err)
		}
		var small bytes.Buffer
		if err := json.Compact(&small, src); err != nil {
			return nil, fmt.Errorf("reading %s: %w", filepath.Base(path), err)
		}
		out["lang/"+filepath.Base(path)] = small.Bytes()
	}
	return out, nil
}

// problems are the messages of a build that failed, a line each.
func problems(list []api.Message) string {
	var b bytes.Buffer
	for _, m := range list {
		if m.Location != nil {
			fmt.Fprintf(&b, "%s:%d:%d: ", m.Location.File, m.Location.Line, m.Location.Column)
		}
		fmt.Fprintln(&b, m.Text)
	}
	return b.String()
}
