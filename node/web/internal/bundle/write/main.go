// The command write makes the page's files anew; see go generate ./node/web.
package main

import (
	"log"
	"os"
	"path/filepath"

	"rushlight/node/web/internal/bundle"
)

func main() {
	log.SetFlags(0)
	files, err := bundle.Files(".")
	if err != nil {
		log.Fatal(err)
	}
	for name, b := range files {
		path := filepath.Join("static", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
