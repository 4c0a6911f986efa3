package spec_test

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	packageClause = regexp.MustCompile(`(?m)^package (\w+)`)
	testFunc      = regexp.MustCompile(`(?m)^func (Test\w*|Fuzz\w*)\(`)
	testName      = regexp.MustCompile("`(\\w+\\.(?:Test|Fuzz)\\w*)`")
)

// threatProblems checks the tables of what an adversary cannot do. Such a
// table is one whose first column is headed "Cannot"; each of its rows names,
// in the last column, at least one test, and all of them exist.
func threatProblems(text string, code []file) []string {
	tests := map[string]bool{}
	for _, f := range code {
		clause := packageClause.FindStringSubmatch(f.text)
		if !strings.HasSuffix(f.path, "_test.go") || clause == nil {
			continue
		}
		for _, m := range testFunc.FindAllStringSubmatch(f.text, -1) {
			tests[strings.TrimSuffix(clause[1], "_test")+"."+m[1]] = true
		}
	}

	var out []string
	rows, inside := 0, false
	for i, line := range strings.Split(text, "\n") {
		if !strings.HasPrefix(line, "|") {
			inside = false
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		first := strings.TrimSpace(cells[0])
		switch {
		case first == "Cannot":
			inside = true
		case !inside || strings.Trim(first, "-: ") == "":
		default:
			rows++
			names := testName.FindAllStringSubmatch(cells[len(cells)-1], -1)
			if len(cells) < 2 || len(names) == 0 {
				out = append(out, fmt.Sprintf("threat-model.md:%d: no test is named", i+1))
			}
			for _, m := range names {
				if !tests[m[1]] {
					out = append(out, fmt.Sprintf("threat-model.md:%d: %s does not exist", i+1, m[1]))
				}
			}
		}
	}
	if rows == 0 {
		out = append(out, "threat-model.md: no row says what an adversary cannot do")
	}
	return out
}
