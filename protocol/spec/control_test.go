package spec_test

import (
	"slices"
	"strings"
	"testing"
)

// expect wants exactly one problem that contains want, or none when it is "".
func expect(t *testing.T, got []string, want string) {
	t.Helper()
	switch {
	case want == "" && len(got) > 0:
		t.Errorf("reported %q", got)
	case want != "" && (len(got) != 1 || !strings.Contains(got[0], want)):
		t.Errorf("reported %q, want one %q", got, want)
	}
}

func TestCitationsControl(t *testing.T) {
	const chapter = "# 6 Ratchet\n\n## 6 Ratchet\n\nText.\n\n### 6.1 Steps\n\nThe receiver MUST verify.\n"
	const cites = "package p\n\n// Step verifies (spec §6.1).\n"
	cases := []struct{ name, chapter, code, want string }{
		{"good", chapter, cites, ""},
		{"broken over lines", chapter, "package p\n\n// Step verifies (spec\n// §6.1).\n", ""},
		{"several", chapter, "package p\n\n// Spec §6 and §6.1.\n", ""},
		{"unknown section", chapter, cites + "// spec §6.7\n", "cites section 6.7"},
		{"unknown, second of two", chapter, cites + "// spec §6.1, §9\n", "cites section 9"},
		{"unknown subsection", chapter, cites + "// spec §6.1.2\n", "cites section 6.1.2"},
		{"MUST that nobody cites", chapter, "package p\n", "section 6.1 has a MUST"},
		{"MUST cited by its parent only", chapter, "package p // spec §6\n", "section 6.1 has a MUST"},
		{"must in lower case", "## 6 Ratchet\n\nIt must.\n", "package p\n", ""},
		{"MUST before any section", "# 6\n\nMUST\n\n## 6 Ratchet\n", "package p\n", "outside every numbered section"},
		{"section twice", "## 6 A\n\n## 6 B\n", "package p\n", "is also at"},
		{"section of another chapter", "## 7 A\n", "package p\n", "in chapter 6"},
		{"heading in a listing", "## 6 A\n\n```\n## 6.1 MUST\n```\n", "package p // spec §6", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			secs, problems := sections([]file{{"06-ratchet.md", c.chapter}})
			problems = append(problems, citationProblems(secs, []file{{"protocol/p/p.go", c.code}})...)
			expect(t, problems, c.want)
		})
	}
}

func TestLabelsControl(t *testing.T) {
	const row = "### 2.3 Labels\n\n| Label | Use |\n| --- | --- |\n| `rushlight/p/key/1` | keys |\n"
	const decl = "package p\n\nconst labelKey suite.Label = \"rushlight/p/key/1\"\n"
	cases := []struct {
		name, registry, want string
		code                 []file
	}{
		{"good", row, "", []file{{"protocol/p/p.go", decl}}},
		{"in a group", row, "", []file{{"protocol/p/p.go", "package p\n\nconst (\n\tn = 1\n\tl suite.Label = \"rushlight/p/key/1\"\n)\n"}}},
		{"tests may repeat", row, "", []file{{"protocol/p/p.go", decl}, {"protocol/p/p_test.go", decl}}},
		{"import path", row, "", []file{{"protocol/p/p.go", "package p\n\nimport _ \"rushlight/p/q/1\"\n" + decl[10:]}}},
		{"not in the registry", row, "is not in the registry", []file{{"protocol/p/p.go", decl + "const m suite.Label = \"rushlight/p/mac/1\"\n"}}},
		{"not in code", row + "| `rushlight/p/mac/1` | |\n", "which no code uses", []file{{"protocol/p/p.go", decl}}},
		{"listed twice", row + "| `rushlight/p/key/1` | |\n", "lists rushlight/p/key/1 twice", []file{{"protocol/p/p.go", decl}}},
		{"used twice", row, "is also in", []file{{"protocol/p/p.go", decl}, {"protocol/p/q.go", decl}}},
		{"wrong form", row + "| `rushlight/p` | |\n", "is not rushlight/<package>/<use>/<n>", []file{{"protocol/p/p.go", decl + "const m suite.Label = \"rushlight/p\"\n"}}},
		{"other package", row, "does not name its package", []file{{"protocol/q/p.go", decl}}},
		{"bare string", row, "is not a suite.Label constant", []file{{"protocol/p/p.go", decl + "var m = mac(\"rushlight/p/mac/1\")\n"}}},
		{"untyped constant", row, "is not a suite.Label constant", []file{{"protocol/p/p.go", decl + "const m = \"rushlight/p/mac/1\"\n"}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { expect(t, labelProblems(c.registry, c.code), c.want) })
	}
}

func TestThreatModelControl(t *testing.T) {
	const head = "## Thief\n\n| Cannot | Test |\n| --- | --- |\n"
	code := []file{
		{"protocol/p/p_test.go", "package p_test\n\nfunc TestGone(t *testing.T) {}\n"},
		{"protocol/p/p.go", "package p\n\nfunc TestNot(t *testing.T) {}\n"},
	}
	cases := []struct{ name, text, want string }{
		{"good", head + "| read | `p.TestGone` |\n", ""},
		{"no test", head + "| read | trust us |\n", "no test is named"},
		{"one column", head + "| read |\n", "no test is named"},
		{"missing test", head + "| read | `p.TestOther` |\n", "p.TestOther does not exist"},
		{"missing, second of two", head + "| read | `p.TestGone`, `q.TestGone` |\n", "q.TestGone does not exist"},
		{"not in a test file", head + "| read | `p.TestNot` |\n", "p.TestNot does not exist"},
		{"other tables are free", "| Can | |\n| --- | --- |\n| see | |\n\n" + head + "| read | `p.TestGone` |\n", ""},
		{"no rows", head, "no row says"},
		{"no tables", "## Thief\n", "no row says"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { expect(t, threatProblems(c.text, code), c.want) })
	}
}

// TestReadsTheTree guards the checks against reading nothing.
func TestReadsTheTree(t *testing.T) {
	code := readCode(t)
	for _, want := range []string{"protocol/suite/suite.go", "protocol/wire/reader.go"} {
		if !slices.ContainsFunc(code, func(f file) bool { return f.path == want }) {
			t.Errorf("%s was not read", want)
		}
	}
}
