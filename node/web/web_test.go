package web_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"rushlight/node/web"
	"rushlight/node/web/internal/bundle"
)

// What is committed is what the sources give.
func TestBundle(t *testing.T) {
	files, err := bundle.Files(".")
	if err != nil {
		t.Fatal(err)
	}
	if len(files["app.js"]) < 10_000 || len(files["style.css"]) < 1000 {
		t.Fatal("the sources give hardly anything")
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("static", filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("static/%s isn't what the sources give: run go generate ./node/web", name)
		}
	}
}

// Every language says the same things, and everything that the page says.
func TestCatalogues(t *testing.T) {
	english := catalogue(t, "lang/en.json")
	base := func(key string) string {
		return regexp.MustCompile(`\.(zero|one|two|few|many|other)$`).ReplaceAllString(key, "")
	}
	known := map[string]bool{}
	for k := range english {
		known[base(k)] = true
	}
	others, err := filepath.Glob("lang/*.json")
	if err != nil {
		t.Fatal(err)
	}
	hole := regexp.MustCompile(`\{\w+\}`)
	for _, path := range others {
		has := map[string]bool{}
		for k, text := range catalogue(t, path) {
			has[base(k)] = true
			like := english[k]
			if like == "" {
				like = english[base(k)+".other"]
			}
			for _, h := range hole.FindAllString(text, -1) {
				if !strings.Contains(like, h) && h != "{n}" {
					t.Errorf("%s: %s has %s, English doesn't", path, k, h)
				}
			}
		}
		for k := range known {
			if !has[k] {
				t.Errorf("%s lacks %s", path, k)
			}
		}
		for k := range has {
			if !known[k] {
				t.Errorf("%s has %s, which English doesn't", path, k)
			}
		}
	}
	said := regexp.MustCompile("\\bt\\(\\s*\"([a-z.]+)\"")
	for _, path := range sources(t) {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range said.FindAllSubmatch(src, -1) {
			if key := string(m[1]); !known[key] {
				t.Errorf("%s says %s, which isn't in the catalogue", path, key)
			}
		}
	}
}

// Nothing in the sources makes HTML out of text, or asks anybody but the daemon.
func TestSources(t *testing.T) {
	bad := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|document\.write|\beval\(|new Function|DOMParser|https?://|srcdoc`)
	for _, path := range sources(t) {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if m := bad.Find(src); m != nil {
			t.Errorf("%s has %s", path, m)
		}
	}
}

// The script is small enough to be there at once.
func TestSize(t *testing.T) {
	const most = 100_000
	js, err := os.ReadFile("static/app.js")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(js); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, %d compressed", len(js), b.Len())
	if b.Len() > most {
		t.Errorf("the script has %d bytes when compressed, more than %d", b.Len(), most)
	}
}

func TestHandler(t *testing.T) {
	h := web.Handler()
	get := func(path string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	for path, kind := range map[string]string{
		"/": "text/html; charset=utf-8", "/app.js": "text/javascript; charset=utf-8", "/style.css": "text/css; charset=utf-8",
		"/icon.svg": "image/svg+xml", "/lang/en.json": "application/json",
	} {
		w := get(path)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != kind || w.Body.Len() == 0 {
			t.Errorf("%s: status %d, type %q, %d bytes", path, w.Code, w.Header().Get("Content-Type"), w.Body.Len())
		}
		again := get(path, "If-None-Match", w.Header().Get("ETag"))
		if again.Code != http.StatusNotModified || again.Body.Len() != 0 {
			t.Errorf("%s: status %d for what the browser has", path, again.Code)
		}
	}
	for _, path := range []string{"/static/app.js", "/../web.go", "/lang/", "/index", "/api/v1/rpc"} {
		if w := get(path); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
	plain, small := get("/app.js").Body.Bytes(), get("/app.js", "Accept-Encoding", "gzip")
	z, err := gzip.NewReader(small.Body)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(z); err != nil || !bytes.Equal(b, plain) {
		t.Errorf("the compressed script is another one: %v", err)
	}
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d", w.Code)
	}
}

func catalogue(t *testing.T, path string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return out
}

func sources(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"src/*.ts", "src/*.tsx"} {
		list, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, list...)
	}
	if len(out) < 10 {
		t.Fatalf("only %d sources", len(out))
	}
	return out
}
