package card

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Every code of a finding is documented, and no other.
func TestCodesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/findings.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	_, section, found := strings.Cut(string(page), "\n## Model cards\n")
	if !found {
		t.Fatal("docs/findings.md has other headings")
	}
	for _, m := range regexp.MustCompile(`(?m)^\| ([A-Z_]{4,}) \|`).FindAllStringSubmatch(section, -1) {
		documented = append(documented, m[1])
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var emitted []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			var first ast.Expr // of the call note("CODE", …), or the literal Finding{"CODE", …}
			switch n := n.(type) {
			case *ast.CallExpr:
				if fn, ok := n.Fun.(*ast.SelectorExpr); ok && len(n.Args) > 0 && (fn.Sel.Name == "note" || fn.Sel.Name == "guard") {
					first = n.Args[0]
				}
			case *ast.CompositeLit:
				if id, ok := n.Type.(*ast.Ident); ok && id.Name == "Finding" && len(n.Elts) > 0 {
					first = n.Elts[0]
				}
			}
			if lit, ok := first.(*ast.BasicLit); ok {
				code, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				emitted = append(emitted, code)
			}
			return true
		})
	}
	slices.Sort(documented)
	slices.Sort(emitted)
	if emitted = slices.Compact(emitted); !slices.Equal(documented, emitted) {
		t.Errorf("documented %v\n  emitted %v", documented, emitted)
	}
}
