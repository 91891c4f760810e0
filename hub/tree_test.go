package hub

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	someOID = "8f6f81dfda092eb48a2f50523c6e55972f451fcb"
	// tokenizer.model of TheBloke/MythoMax-L2-13B-GPTQ
	someLFS = `{"type":"file","oid":"6c00c742ce03c627d6cd5b795984876fa49fa899","size":499723,"path":"tokenizer.model",` +
		`"lfs":{"oid":"9e556afd44213b6bd1be2b850ebbbd98f5481437a8021afaf58ee7fb1818d347","size":499723,"pointerSize":131},"xetHash":"x"}`
)

func parseTree(data string) ([]File, string) {
	var entries []treeEntry
	if err := json.Unmarshal([]byte(data), &entries); err != nil {
		return nil, err.Error()
	}
	return checkTree(entries)
}

func TestCheckTree(t *testing.T) {
	files, reason := parseTree(`[` + someLFS + `,{"type":"directory","oid":"x","size":0,"path":"sub"},
		{"type":"file","oid":"` + someOID + `","size":9007199253000000,"path":"sub/a"}]`)
	if reason != "" || len(files) != 2 || files[0].Path != "sub/a" || files[0].LFS || files[0].Size != 9007199253000000 ||
		!files[1].LFS || files[1].Size != 499723 || files[1].SHA256.String()[:8] != "9e556afd" {
		t.Errorf("got %+v, %s", files, reason)
	}
	swap := func(old, new string) string { return strings.Replace(someLFS, old, new, 1) }
	if _, reason := parseTree("[" + swap(`"pointerSize":131`, `"pointerSize":190`) + "]"); reason != "" {
		t.Errorf("a pointer in a form of its own: %s", reason)
	}
	file := func(oid, size, path string) string {
		return fmt.Sprintf(`{"type":"file","oid":%q,"size":%s,"path":%q}`, oid, size, path)
	}
	bad := map[string]string{
		"size below zero":          file(someOID, "-1", "a"),
		"size 2^53":                file(someOID, "9007199254740992", "a"),
		"size 2^64":                file(someOID, "18446744073709551616", "a"),
		"size with a fraction":     file(someOID, "1.5", "a"),
		"size missing":             `{"type":"file","oid":"` + someOID + `","path":"a"}`,
		"oid cut":                  file(someOID[:39], "1", "a"),
		"path leaves":              file(someOID, "1", "../a"),
		"path twice":               file(someOID, "1", "a") + "," + file(someOID, "1", "a"),
		"LFS size":                 swap(`"size":499723,"pointer`, `"size":499724,"pointer`),
		"LFS size and size":        strings.ReplaceAll(someLFS, "499723", "499724"),
		"LFS digest":               swap("9e556a", "9e556b"),
		"LFS digest, upper case":   swap("9e556a", "9E556A"),
		"LFS digest, no pointer":   strings.Replace(swap("9e556a", "9e556b"), `,"pointerSize":131`, "", 1),
		"oid of something else":    swap("6c00c7", "6c00c8"),
		"sizes together":           file(someOID, "9007199254740991", "a") + "," + someLFS,
		"one content, two sizes":   file(someOID, "1", "a") + "," + file(someOID, "2", "b"),
		"empty, by its size":       file(someOID, "0", "a"),
		"empty, by its id":         file("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", "1", "a"),
		"no type":                  `{"oid":"` + someOID + `","size":1,"path":"a"}`,
		"null":                     `null`,
		"oid of zeros":             file(strings.Repeat("0", 40), "1", "a"),
		"digest of zeros":          swap("9e556afd44213b6bd1be2b850ebbbd98f5481437a8021afaf58ee7fb1818d347", strings.Repeat("0", 64)),
		"type of the wrong number": `{"type":"file","oid":5}`,
	}
	for name, entry := range bad {
		if files, reason := parseTree("[" + entry + "]"); reason == "" {
			t.Errorf("%s: taken as %+v", name, files)
		}
	}
}

// The listings of real repositories satisfy every check.
func TestCheckTreeOfRealRepositories(t *testing.T) {
	cards := filepath.Join("..", "..", "shared", "cards", "*.repo.json")
	names, err := filepath.Glob(cards)
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		if os.Getenv("CI") == "true" {
			t.Fatalf("nothing at %s", cards)
		}
		t.Skipf("nothing at %s", cards)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var repo struct {
			Branches []struct {
				Name  string
				Files []treeEntry
			}
		}
		if err := json.Unmarshal(data, &repo); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, b := range repo.Branches {
			// Of some repositories only names are known.
			b.Files = slices.DeleteFunc(b.Files, func(e treeEntry) bool { return e.OID == "" })
			for i := range b.Files {
				b.Files[i].Type = "file"
			}
			if files, reason := checkTree(b.Files); reason != "" || len(files) != len(b.Files) {
				t.Errorf("%s %s: %s", filepath.Base(name), b.Name, reason)
			}
			if reason := badRevision(b.Name); reason != "" {
				t.Errorf("%s: branch %s: %s", filepath.Base(name), b.Name, reason)
			}
		}
	}
}

func FuzzTree(f *testing.F) {
	f.Add("[" + someLFS + "]")
	f.Add(`[{"type":"file","oid":"` + someOID + `","size":1e3,"path":"a"}]`)
	f.Add(`[{"type":"file","oid":"` + someOID + `","size":3,"path":"a/b","lfs":null}]`)
	f.Fuzz(func(t *testing.T, data string) {
		files, reason := parseTree(data)
		if reason != "" {
			return
		}
		// Written back, it has to be the same listing.
		var out []string
		for _, f := range files {
			if ValidPath(f.Path) != nil || f.Size < 0 {
				t.Errorf("took %+v", f)
			}
			path, err := json.Marshal(f.Path)
			if err != nil {
				t.Fatal(err)
			}
			e := fmt.Sprintf(`{"type":"file","oid":"%s","size":%d,"path":%s`, f.OID, f.Size, path)
			if f.LFS {
				// The length 1 stands for a pointer in a form of its own.
				e += fmt.Sprintf(`,"lfs":{"oid":"%s","size":%d,"pointerSize":1}`, f.SHA256, f.Size)
			}
			out = append(out, e+"}")
		}
		again, reason := parseTree("[" + strings.Join(out, ",") + "]")
		if reason != "" || !slices.Equal(again, files) {
			t.Errorf("got %+v (%s), want %+v", again, reason, files)
		}
	})
}

func TestNextLink(t *testing.T) {
	tests := []struct {
		name    string
		headers []string
		want    string
	}{
		{"none", nil, ""},
		{"as the hub writes it", []string{`<https://huggingface.co/api/x?cursor=a%3D&limit=2>; rel="next"`}, "https://huggingface.co/api/x?cursor=a%3D&limit=2"},
		{"token", []string{`</a>; rel=next`}, "/a"},
		{"upper case, spaces", []string{`  </a> ;  REL = "next" `}, "/a"},
		{"second of two", []string{`</p>; rel="prev", </n>; rel="next"`}, "/n"},
		{"second header", []string{`</p>; rel="prev"`, `</n>; rel="next"`}, "/n"},
		{"several relations", []string{`</n>; rel="last next"`}, "/n"},
		{"other relation", []string{`</x>; rel="xet-auth"`}, ""},
		{"comma in the target", []string{`</n?a=1,2>; rel="next"`}, "/n?a=1,2"},
		{"comma and semicolon in quotes", []string{`</p>; title="a,b;rel=next", </n>; rel="next"`}, "/n"},
		{"not closed", []string{`</n; rel="next"`}, ""},
		{"no target", []string{`; rel="next"`}, ""},
	}
	for _, tt := range tests {
		if got := nextLink(tt.headers); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzNextLink(f *testing.F) {
	f.Add("/a?b=c,d", "x,y;z")
	f.Add(`<">;rel=next`, `"`)
	f.Fuzz(func(t *testing.T, target, title string) {
		nextLink([]string{target, title, target + title}) // must not panic
		if strings.ContainsAny(target, "<>") || strings.ContainsAny(title, `"<`) {
			return
		}
		header := fmt.Sprintf(`<prev>; title="%s"; rel="prev", <%s>; title="%s"; rel="next"`, title, target, title)
		if got := nextLink([]string{header}); got != target {
			t.Errorf("%s: got %q, want %q", header, got, target)
		}
	})
}
