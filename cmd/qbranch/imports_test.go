package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/qbranch/qbranch/"

// ours says which packages of this module a package may import. Imports go one
// way: a front end uses app, app uses the domain packages, hub, store and quant
// know nothing of each other. The first row that fits a package is its own;
// "x/..." is x and everything below it.
var ours = []struct {
	pkg string
	may []string
}{
	{"cmd/peerbench", []string{"hub/hubtest"}},
	{"cmd/qbranch", []string{"cmd/qbranch/internal/cli", "cmd/qbranch/internal/termguard"}},
	{"cmd/qbranch/internal/cli", []string{"cmd/qbranch/internal/app", "cmd/qbranch/internal/demo", "cmd/qbranch/internal/tui"}},
	{"cmd/qbranch/internal/tui", []string{"cmd/qbranch/internal/app"}},
	{"cmd/qbranch/internal/app", []string{"hub", "hub/fetch", "infer", "infer/proof", "quant/...", "store", "store/bundle", "store/hfcache"}},
	{"cmd/qbranch/internal/demo", []string{"cmd/qbranch/internal/app", "hub", "hub/hubtest", "store"}},
	{"cmd/qbranch/internal/demo/pack", []string{"cmd/qbranch/internal/demo"}},
	{"cmd/qbranch/internal/termguard", nil},
	{"cmd/gptqmake", []string{"quant", "quant/gptq", "quant/safetensors"}},
	{"cmd/hubtest", []string{"hub/hubtest"}},
	{"hub", nil},
	{"hub/fetch", []string{"hub", "store"}},
	{"hub/hubtest", []string{"hub"}},
	{"store", nil},
	{"store/bundle", []string{"store"}},
	{"store/hfcache", []string{"store"}},
	{"store/storetest", []string{"store"}},

	{"quant/...", []string{"quant/..."}},
	{"infer/...", []string{"infer/...", "quant", "quant/gptq", "quant/safetensors"}},
}

// oursInTests is what any test may import as well, and what some may.
var oursInTests = map[string][]string{
	"...":                       {"hub/hubtest", "store/storetest"},
	"cmd/gptqmake":              {"infer"},
	"cmd/qbranch":               {"cmd/qbranch/internal/app", "cmd/qbranch/internal/demo", "cmd/qbranch/internal/termtest", "store"},
	"cmd/qbranch/internal/cli":  {"hub", "hub/fetch", "infer", "quant", "quant/card", "store"},
	"cmd/qbranch/internal/app":  {"cmd/qbranch/internal/demo"},
	"cmd/qbranch/internal/demo": {"infer", "infer/infertest"},
	"cmd/qbranch/internal/tui":  {"cmd/qbranch/internal/demo", "cmd/qbranch/internal/termtest"},
}

// theirs fences other people's modules: each may be imported by these packages
// alone, so that replacing one is work in one place.
var theirs = map[string][]string{
	"github.com/adrg/xdg":                   {"cmd/qbranch/internal/app"},
	"github.com/charmbracelet":              {"cmd/qbranch/internal/tui"},
	"github.com/goccy/go-yaml":              {"quant/card"},
	"github.com/gofrs/flock":                {"store", "store/hfcache"},
	"github.com/hashicorp/go-retryablehttp": {"hub"},
	"github.com/klauspost/compress":         {"cmd/qbranch/internal/demo", "store/bundle"},
	"github.com/mattn/go-runewidth":         {"cmd/qbranch/internal/cli", "cmd/qbranch/internal/tui", "cmd/termsvg"},
	"github.com/muesli/termenv":             {"cmd/qbranch/internal/tui"},
	"github.com/rivo/uniseg":                {"infer/tokenizer"},
	"github.com/spf13":                      {"cmd/qbranch/internal/cli"},
	"github.com/yuin/goldmark":              {"quant/card"},
	"github.com/zeebo/blake3":               {"cmd/peerbench", "store"},
	"golang.org/x/sync":                     {"..."},
	"golang.org/x/sys":                      {"cmd/qbranch/internal/termtest", "cmd/qbranch/internal/tui", "infer/...", "store"},
	"golang.org/x/term":                     {"cmd/qbranch/internal/cli", "cmd/qbranch/internal/tui"},
	"golang.org/x/text":                     {"hub", "infer/tokenizer"},
	"golang.org/x/time":                     {"hub/fetch", "hub/hubtest"},
}

// theirsInTests is what tests may import as well.
var theirsInTests = map[string][]string{
	"github.com/klauspost/compress":   {"infer/tokenizer"}, // its vectors are compressed
	"github.com/rogpeppe/go-internal": {"cmd/qbranch"},
}

// within reports whether a pattern of the tables covers a package.
func within(pattern, pkg string) bool {
	parent, tree := strings.CutSuffix(pattern, "...")
	parent = strings.TrimSuffix(parent, "/")
	return pkg == parent || tree && (parent == "" || strings.HasPrefix(pkg, parent+"/"))
}

func anyWithin(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return within(p, pkg) })
}

// forbidden says why pkg may not import imported, "" if it may.
func forbidden(pkg, imported string, test bool) string {
	if target, ok := strings.CutPrefix(imported, modulePath); ok {
		return forbiddenOurs(pkg, target, test)
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return "" // the standard library
	}
	for _, module := range slices.Sorted(maps.Keys(theirs)) {
		if within(module+"/...", imported) && anyWithin(theirs[module], pkg) {
			return ""
		}
	}
	for module, allowed := range theirsInTests {
		if test && within(module+"/...", imported) && anyWithin(allowed, pkg) {
			return ""
		}
	}
	return "no row of theirs allows it"
}

func forbiddenOurs(pkg, target string, test bool) string {
	if test && target == pkg {
		return "" // an external test of the package itself
	}
	for where, allowed := range oursInTests {
		if test && within(where, pkg) && anyWithin(allowed, target) {
			return ""
		}
	}
	for _, row := range ours {
		if within(row.pkg, pkg) {
			if anyWithin(row.may, target) {
				return ""
			}
			return "its row of ours does not allow it"
		}
	}
	return "ours has no row for this package: say where it belongs"
}

// The check itself: each way of breaking the rule is noticed.
func TestForbidden(t *testing.T) {
	const internal = "cmd/qbranch/internal/"
	for _, tc := range []struct {
		pkg, imported string
		test, want    bool
	}{
		{"store", "os", false, false},
		{"store", modulePath + "hub", false, true}, // the domain packages do not know each other
		{"hub", modulePath + "hub/fetch", false, true},
		{"hub/fetch", modulePath + "store", false, false},
		{internal + "tui", modulePath + "hub", false, true}, // front ends go through app
		{internal + "app", modulePath + internal + "cli", false, true},
		{internal + "app", modulePath + "quant/card", false, false},
		{internal + "app", modulePath + "hub/hubtest", false, true}, // the fake hub stays out of the program …
		{internal + "app", modulePath + "hub/hubtest", true, false}, // … but for tests
		{internal + "demo", modulePath + "hub/hubtest", false, false},
		{"infer/model", modulePath + "infer/kernel", false, false},
		{"infer/model", modulePath + "store", false, true},
		{"util", modulePath + "hub", false, true},
		{"quant", "github.com/charmbracelet/lipgloss", false, true},
		{internal + "tui", "github.com/charmbracelet/bubbles/key", false, false},
		{internal + "cli", "github.com/spf13/cobra", false, false},
		{internal + "tui", "github.com/spf13/cobra", false, true},
		{"store", "github.com/zeebo/blake3/guts", false, false},
		{"hub", "github.com/zeebo/blake3", false, true},
		{"hub", "github.com/stretchr/testify/assert", true, true},
		{"cmd/qbranch", "github.com/rogpeppe/go-internal/testscript", true, false},
		{"cmd/qbranch", "github.com/rogpeppe/go-internal/testscript", false, true},
	} {
		if why := forbidden(tc.pkg, tc.imported, tc.test); (why != "") != tc.want {
			t.Errorf("%s imports %s (test: %v): got %q, want forbidden: %v", tc.pkg, tc.imported, tc.test, why, tc.want)
		}
	}
}

// sources walks the repository's own Go files: folder, path, content.
func sources(t *testing.T, visit func(dir, name string, src []byte)) {
	t.Helper()
	root := repositoryRoot(t)
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() && name != root && (base == "testdata" || base == "bin" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(base, ".go") {
			return nil
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		visit(path.Dir(rel), rel, src)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func repositoryRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestImports(t *testing.T) {
	packages := map[string]bool{}
	sources(t, func(dir, name string, src []byte) {
		file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
		if err != nil {
			t.Error(err)
			return
		}
		packages[dir] = true
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if why := forbidden(dir, imported, strings.HasSuffix(name, "_test.go")); why != "" {
				t.Errorf("%s imports %s: %s", name, imported, why)
			}
		}
	})
	// A row for a package that has gone is a rule nobody reads.
	for _, row := range ours {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(packages)), func(p string) bool { return within(row.pkg, p) }) {
			t.Errorf("ours has a row for %s, which does not exist", row.pkg)
		}
	}
}

// Every package says in doc.go what it owns; commands say it in main.go.
func TestPackageDocs(t *testing.T) {
	documented, packages := map[string]bool{}, map[string]bool{}
	sources(t, func(dir, name string, src []byte) {
		packages[dir] = true
		want := "doc.go"
		if dir == "cmd/qbranch" || strings.HasSuffix(dir, "/pack") {
			want = "main.go"
		}
		if path.Base(name) != want {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Error(err)
			return
		}
		documented[dir] = file.Doc != nil
	})
	for dir := range packages {
		if !documented[dir] {
			t.Errorf("package %s has no doc.go with a package comment", dir)
		}
	}
}

// A file that nobody reads to its end is two files.
func TestFileLength(t *testing.T) {
	const most = 800
	sources(t, func(_, name string, src []byte) {
		if n := strings.Count(string(src), "\n"); n > most {
			t.Errorf("%s has %d lines, at most %d", name, n, most)
		}
	})
}

// The top level stays as it is. Dot-files and what .gitignore names are free.
func TestTopLevel(t *testing.T) {
	want := strings.Fields("CHANGELOG.md LICENSE Makefile README.md cmd docs go.mod go.sum hub infer quant store")
	root := repositoryRoot(t)
	ignored, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, ".") && !slices.Contains(strings.Fields(string(ignored)), "/"+name+"/") {
			got = append(got, name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("top level is\n%q, want\n%q", got, want)
	}
}
