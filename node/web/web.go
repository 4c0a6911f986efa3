// Package web is the page: what a browser gets from the daemon. Its sources
// are TypeScript in src, catalogues in lang and four published modules in
// modules; what they give is committed in static and embedded, so that the
// program is built without them.
//
// It is not a door: who may have the page, and under which headers, is decided
// by node/door. It keeps nothing and knows no profile.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:generate go run ./internal/bundle/write

//go:embed static
var static embed.FS

// A file is ready to be sent.
type file struct {
	kind  string // its media type
	tag   string // its entity tag
	plain []byte
	small []byte // by gzip; nil where that gains nothing
}

// kinds are the media types of the page's files.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".json": "application/json",
	".svg":  "image/svg+xml",
}

// Handler serves the page's files and nothing else. Browsers keep them and ask
// each time whether they are still the same.
func Handler() http.Handler {
	files := prepared()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := files[r.URL.Path]
		if f == nil {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		f.send(w, r)
	})
}

// prepared reads what is embedded, once. That can fail only in a program that
// was built wrongly, which the tests notice.
var prepared = sync.OnceValue(func() map[string]*file {
	files := map[string]*file{}
	err := fs.WalkDir(static, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := static.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := prepare(name, b)
		files[strings.TrimPrefix(name, "static")] = f
		return err
	})
	if err != nil {
		panic(fmt.Errorf("preparing the page: %w", err))
	}
	files["/"] = files["/index.html"]
	return files
})

func prepare(name string, b []byte) (*file, error) {
	sum := sha256.Sum256(b)
	f := &file{
		kind:  kinds[path.Ext(name)],
		tag:   `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
		plain: b,
	}
	if f.kind == "" {
		return nil, fmt.Errorf("a file of unknown type: %s", name)
	}
	var small bytes.Buffer
	z, err := gzip.NewWriterLevel(&small, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(b); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	if small.Len() < len(b) {
		f.small = small.Bytes()
	}
	return f, nil
}

func (f *file) send(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.tag)
	h.Set("Vary", "Accept-Encoding")
	if r.Header.Get("If-None-Match") == f.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	b := f.plain
	if f.small != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		b = f.small
	}
	h.Set("Content-Length", fmt.Sprint(len(b)))
	if r.Method != http.MethodHead {
		// A browser that has gone away has no use for the rest.
		_, _ = w.Write(b)
	}
}
