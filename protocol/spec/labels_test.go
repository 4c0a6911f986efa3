package spec_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	labelForm  = regexp.MustCompile(`^rushlight/[a-z0-9]+(?:/[a-z0-9-]+)+/[0-9]+$`)
	labelInRow = regexp.MustCompile("`(rushlight/[^`]*)`")
)

// labelProblems compares the registry's rows with the suite.Label constants of
// non-test code: the same set, each once, and no label as a bare string.
func labelProblems(registry string, code []file) []string {
	var out []string
	listed := map[string]bool{}
	for _, line := range strings.Split(registry, "\n") {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		for _, m := range labelInRow.FindAllStringSubmatch(line, -1) {
			if listed[m[1]] {
				out = append(out, fmt.Sprintf("the registry lists %s twice", m[1]))
			}
			listed[m[1]] = true
		}
	}

	used := map[string]string{}
	for _, f := range code {
		if strings.HasSuffix(f.path, "_test.go") {
			continue
		}
		labels, bare, err := labelsOf(f)
		if err != nil {
			out = append(out, err.Error())
			continue
		}
		for _, l := range labels {
			if at, twice := used[l]; twice {
				out = append(out, fmt.Sprintf("%s: label %s is also in %s", f.path, l, at))
			}
			used[l] = f.path
			if !labelForm.MatchString(l) {
				out = append(out, fmt.Sprintf("%s: label %q is not rushlight/<package>/<use>/<n>", f.path, l))
			}
			if dirs := strings.Split(path.Dir(f.path), "/"); labelForm.MatchString(l) && !slices.Contains(dirs, strings.Split(l, "/")[1]) {
				out = append(out, fmt.Sprintf("%s: label %s does not name its package", f.path, l))
			}
			if !listed[l] {
				out = append(out, fmt.Sprintf("%s: label %s is not in the registry", f.path, l))
			}
		}
		for _, l := range bare {
			out = append(out, fmt.Sprintf("%s: label %s is not a suite.Label constant", f.path, l))
		}
	}
	for l := range listed {
		if used[l] == "" {
			out = append(out, fmt.Sprintf("the registry lists %s, which no code uses", l))
		}
	}
	slices.Sort(out)
	return out
}

// labelsOf returns the labels that one file declares as constants of type
// Label, and the strings in the form of a label anywhere else.
func labelsOf(f file) (labels, bare []string, err error) {
	tree, err := parser.ParseFile(token.NewFileSet(), f.path, f.text, 0)
	if err != nil {
		return nil, nil, err
	}
	declared := map[ast.Node]bool{}
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.GenDecl:
			if n.Tok != token.CONST {
				return true
			}
			for _, s := range n.Specs {
				spec := s.(*ast.ValueSpec)
				if !isLabel(spec.Type) {
					continue
				}
				for _, v := range spec.Values {
					lit, ok := v.(*ast.BasicLit)
					if !ok || lit.Kind != token.STRING {
						continue
					}
					declared[lit] = true
					if l, err := strconv.Unquote(lit.Value); err == nil {
						labels = append(labels, l)
					}
				}
			}
		case *ast.BasicLit:
			if n.Kind != token.STRING || declared[n] {
				return true
			}
			if l, err := strconv.Unquote(n.Value); err == nil && labelForm.MatchString(l) {
				bare = append(bare, l)
			}
		}
		return true
	})
	return labels, bare, nil
}

// isLabel reports whether a type is written Label or suite.Label.
func isLabel(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == "Label"
	case *ast.SelectorExpr:
		x, ok := e.X.(*ast.Ident)
		return ok && x.Name == "suite" && e.Sel.Name == "Label"
	}
	return false
}
