package app

import (
	"regexp"
	"strings"
	"testing"
)

func TestFilter(t *testing.T) {
	tests := []struct {
		include, exclude string // separated by commas
		path             string
		want             bool
	}{
		{"", "", "a", true},
		{"*.json", "", "config.json", true},
		{"*.json", "", "sub/dir/config.json", true}, // * crosses folders, as in the official client
		{"*.json", "", "config.json5", false},
		{"config.json", "", "sub/config.json", false},
		{"sub/", "", "sub/dir/x", true},
		{"sub/", "", "subx", false},
		{"", "*.safetensors", "model.safetensors", false},
		{"*.json,*.md", "README*", "README.md", false},
		{"*.json,*.md", "README*", "NEWS.md", true},
		{"model-0000[12]-*", "", "model-00002-of-00009.safetensors", true},
		{"model-0000[!12]-*", "", "model-00002-of-00009.safetensors", false},
		{"[]x]", "", "]", true},
		{"a[b", "", "a[b", true}, // a set without an end
		{"?.txt", "", "ä.txt", true},
		{"*a*b*c", "", "xxaxxbxxbxc", true},
		{"*a*b*c", "", "xxaxxbxxbx", false},
		{"**", "", "", true},
	}
	split := func(s string) []string { return strings.FieldsFunc(s, func(r rune) bool { return r == ',' }) }
	for _, tt := range tests {
		f := Filter{Include: split(tt.include), Exclude: split(tt.exclude)}
		if got := f.Keeps(tt.path); got != tt.want || f.Empty() != (tt.include+tt.exclude == "") {
			t.Errorf("include %q, exclude %q: %q: got %v, want %v", tt.include, tt.exclude, tt.path, got, tt.want)
		}
	}
}

// The slow twin of globMatch is a regular expression; sets are left out of it.
func FuzzGlob(f *testing.F) {
	f.Add("*.json", "a/b.json")
	f.Add("a?*b/", "aXb/c")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		got := globMatch(pattern, path)
		if strings.ContainsAny(pattern, "[") || strings.ToValidUTF8(pattern+path, "") != pattern+path || len(pattern) > 100 {
			return
		}
		if strings.HasSuffix(pattern, "/") {
			pattern += "*"
		}
		twin := regexp.QuoteMeta(pattern)
		twin = strings.ReplaceAll(strings.ReplaceAll(twin, `\*`, `.*`), `\?`, `.`)
		if want := regexp.MustCompile(`(?s)\A` + twin + `\z`).MatchString(path); got != want {
			t.Errorf("%q on %q: got %v, want %v", pattern, path, got, want)
		}
	})
}
