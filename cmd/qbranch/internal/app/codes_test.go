package app

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

// Every code that this package emits is documented, and the other way round.
func TestCodesAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../../docs/findings.md")
	if err != nil {
		t.Fatal(err)
	}
	_, ours, _ := strings.Cut(string(page), "\n## Codes without a letter and number\n")
	ours, _, found := strings.Cut(ours, "\n## Model cards\n")
	if !found {
		t.Fatal("docs/findings.md has other headings")
	}
	var documented []string
	for _, m := range regexp.MustCompile(`(?m)^\| ([A-Z_]+) \|`).FindAllStringSubmatch(ours, -1) {
		documented = append(documented, m[1])
	}
	slices.Sort(documented)
	if got := emittedCodes(t); !slices.Equal(got, documented) {
		t.Errorf("emitted:\n%q\ndocumented:\n%q", got, documented)
	}
}

// emittedCodes finds the codes in the source: literals given to note and
// Finding.
func emittedCodes(t *testing.T) []string {
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile(`^[A-Z]{2,}(_[A-Z]+)*$`)
	var codes []string
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			s, err := strconv.Unquote(lit.Value)
			if err == nil && code.MatchString(s) && !strings.HasPrefix(s, "QBRANCH_") && !strings.HasPrefix(s, "XDG_") {
				codes = append(codes, s)
			}
			return true
		})
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}
