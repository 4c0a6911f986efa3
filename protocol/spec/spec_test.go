package spec_test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the directory of the module, seen from this one.
const root = "../.."

// layers are the directories whose code the specification speaks about.
var layers = []string{"cmd", "node", "protocol", "storage"}

// A file is one file by its slash-separated path below root.
type file struct{ path, text string }

// TestCitations holds code and specification together: every section that
// code cites exists, and every section with a MUST is cited by code.
func TestCitations(t *testing.T) {
	chapters, code := readChapters(t), readCode(t)
	secs, problems := sections(chapters)
	if len(secs) < 10 {
		t.Errorf("only %d sections were found", len(secs))
	}
	for _, p := range append(problems, citationProblems(secs, code)...) {
		t.Error(p)
	}
}

// TestLabels compares the registry with the constants.
func TestLabels(t *testing.T) {
	secs, _ := sections(readChapters(t))
	i := slices.IndexFunc(secs, func(s section) bool { return s.number == "2.3" })
	if i < 0 {
		t.Fatal("there is no section 2.3")
	}
	for _, p := range labelProblems(secs[i].text, readCode(t)) {
		t.Error(p)
	}
}

// TestThreatModel holds every claim to a test that exists.
func TestThreatModel(t *testing.T) {
	text, err := os.ReadFile("threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range threatProblems(string(text), readCode(t)) {
		t.Error(p)
	}
}

func readChapters(t *testing.T) []file {
	t.Helper()
	names, err := filepath.Glob("[0-9][0-9]-*.md")
	if err != nil || len(names) == 0 {
		t.Fatalf("no chapters: %v", err)
	}
	var out []file
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, file{name, string(text)})
	}
	return out
}

// readCode reads every Go file but those of this directory, whose fixtures
// cite what isn't there.
func readCode(t *testing.T) []file {
	t.Helper()
	var out []file
	for _, layer := range layers {
		err := filepath.WalkDir(filepath.Join(root, layer), func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(root, name)
			if err != nil {
				return err
			}
			rel = filepath.ToSlash(rel)
			if d.IsDir() || path.Ext(rel) != ".go" || path.Dir(rel) == "protocol/spec" {
				return nil
			}
			text, err := os.ReadFile(name)
			out = append(out, file{rel, string(text)})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// A section is one numbered heading with the text up to the next heading.
type section struct{ number, where, text string }

var (
	heading  = regexp.MustCompile(`^#{2,5} (\d+(?:\.\d+)*)\.? \S`)
	anyTitle = regexp.MustCompile(`^#{1,6} `)
	must     = regexp.MustCompile(`\bMUST\b`)
)

// sections splits chapters at their numbered headings. A section belongs to
// the chapter that has its first number and occurs once.
func sections(chapters []file) (out []section, problems []string) {
	seen := map[string]string{}
	for _, c := range chapters {
		chapter := strings.TrimLeft(path.Base(c.path)[:2], "0")
		fenced := false
		current := -1
		for i, line := range strings.Split(c.text, "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				fenced = !fenced
			}
			if !fenced && anyTitle.MatchString(line) {
				current = -1
				if m := heading.FindStringSubmatch(line); m != nil {
					where := fmt.Sprintf("%s:%d", c.path, i+1)
					if first, _, _ := strings.Cut(m[1], "."); first != chapter {
						problems = append(problems, fmt.Sprintf("%s: section %s in chapter %s", where, m[1], chapter))
					}
					if at, twice := seen[m[1]]; twice {
						problems = append(problems, fmt.Sprintf("%s: section %s is also at %s", where, m[1], at))
					}
					seen[m[1]] = where
					out = append(out, section{number: m[1], where: where})
					current = len(out) - 1
				}
			}
			switch {
			case current >= 0:
				out[current].text += line + "\n"
			case must.MatchString(line):
				problems = append(problems, fmt.Sprintf("%s:%d: a MUST outside every numbered section", c.path, i+1))
			}
		}
	}
	return out, problems
}

var (
	comment  = regexp.MustCompile(`\n[ \t]*//[ \t]*`)
	citation = regexp.MustCompile(`\b[Ss]pec:? §§?(\d+(?:\.\d+)*(?:(?:, | and |, and | or |–|-)§\d+(?:\.\d+)*)*)`)
	number   = regexp.MustCompile(`\d+(?:\.\d+)*`)
)

// citations returns the sections that one file cites, also where a citation
// is broken over two lines of a comment.
func citations(text string) []string {
	var out []string
	for _, m := range citation.FindAllStringSubmatch(comment.ReplaceAllString(text, " "), -1) {
		out = append(out, number.FindAllString(m[1], -1)...)
	}
	return out
}

func citationProblems(secs []section, code []file) []string {
	var out []string
	exists, cited := map[string]bool{}, map[string]bool{}
	for _, s := range secs {
		exists[s.number] = true
	}
	for _, f := range code {
		for _, n := range citations(f.text) {
			cited[n] = true
			if !exists[n] {
				out = append(out, fmt.Sprintf("%s cites section %s, which does not exist", f.path, n))
			}
		}
	}
	for _, s := range secs {
		if must.MatchString(s.text) && !cited[s.number] {
			out = append(out, fmt.Sprintf("%s: section %s has a MUST and no code cites it", s.where, s.number))
		}
	}
	return out
}
