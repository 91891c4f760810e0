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
	slices.Sort(documented)
	if emitted := emitted(t); !slices.Equal(documented, emitted) {
		t.Errorf("documented %v\n  emitted %v", documented, emitted)
	}
}

// Every code has a card of our own that triggers it and one that does not.
// UNREADABLE has none: no card is known that breaks the parser.
func TestEveryCode(t *testing.T) {
	files, err := filepath.Glob("testdata/cards/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var cards []*Card
	for _, file := range append(files, "testdata/files.md") {
		md, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		cards = append(cards, Parse(md))
	}
	cards = append(cards, Parse([]byte(strings.Repeat("a line of text\n", maxCard/10))))
	copied := Parse([]byte("# x GPTQ\n```\ngit clone https://huggingface.co/other/x-GPTQ\n```\n"))
	copied.ReadFrom("a/b")
	cards = append(cards, copied)
	for _, code := range emitted(t) {
		n := 0
		for _, c := range cards {
			if slices.Contains(codes(c), code) {
				n++
			}
		}
		if code != "UNREADABLE" && (n == 0 || n == len(cards)) {
			t.Errorf("%d of %d cards trigger %s", n, len(cards), code)
		}
	}
}

// emitted lists the codes that stand in the sources.
func emitted(t *testing.T) (all []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
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
				all = append(all, code)
			}
			return true
		})
	}
	slices.Sort(all)
	return slices.Compact(all)
}
