package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The tests that docs/security.md names exist.
func TestSecurityPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	functions := map[string]bool{}
	sources(t, func(dir, name string, src []byte) {
		if strings.HasSuffix(name, "_test.go") {
			for _, m := range testFunction.FindAllSubmatch(src, -1) {
				functions[dir+"."+string(m[1])] = true
			}
		}
	})
	rows := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || strings.Contains(cells[3], "---") || strings.TrimSpace(cells[3]) == "shown by" {
			continue
		}
		rows++
		named := testName.FindAllStringSubmatch(cells[3], -1)
		if len(named) == 0 {
			t.Errorf("no test shows this: %s", cells[1])
		}
		for _, m := range named {
			if script, ok := strings.CutPrefix(m[1], "script/"); ok {
				if _, err := os.Stat(filepath.Join("testdata", "script", script+".txtar")); err != nil {
					t.Error(err)
				}
			} else if !functions[m[1]] {
				t.Errorf("there is no %s", m[1])
			}
		}
	}
	if rows < 20 {
		t.Errorf("found %d rows: has the page another form?", rows)
	}
}

var (
	testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	testName     = regexp.MustCompile("`([^`]+)`")
)
