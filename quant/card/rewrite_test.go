package card

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The same card, written another way, says the same. Every public card with a
// table, and ours, are rewritten in each way; rows and findings about them must
// stay.
func TestRewrittenCards(t *testing.T) {
	files, err := filepath.Glob("testdata/*.md")
	if err != nil {
		t.Fatal(err)
	}
	public, err := filepath.Glob("../../../shared/cards/*.md")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, file := range append(files, public...) {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		md := strings.ReplaceAll(string(raw), "\r\n", "\n")
		before := Parse([]byte(md))
		if rankOf(before.Layout) != rankGPTQ && before.Layout != "awq6" && before.Layout != "exl2-vram" {
			continue
		}
		tried++
		for name, rewrite := range rewrites {
			after := Parse([]byte(rewrite(md)))
			if got, want := rowsOf(t, after), rowsOf(t, before); got != want {
				t.Errorf("%s, %s: got\n%s\nwant\n%s", file, name, got, want)
			}
		}
	}
	if tried < 3 {
		t.Errorf("%d cards have a table", tried)
	}
}

// rowsOf are the layout, the repository, the rows and what is said about them.
func rowsOf(t *testing.T, c *Card) string {
	var remarks []Finding
	for _, f := range c.Findings {
		if !f.Formal() && f.Code != "UNREADABLE" {
			remarks = append(remarks, f)
		}
	}
	return c.Layout + " " + asJSON(t, c.Repo) + "\n" + strings.ReplaceAll(asJSON(t, c.Rows), "},{", "},\n{") + "\n" + asJSON(t, remarks)
}

var rewrites = map[string]func(string) string{
	"CR LF":                func(md string) string { return strings.ReplaceAll(md, "\n", "\r\n") },
	"CR":                   func(md string) string { return strings.ReplaceAll(md, "\n", "\r") },
	"byte order mark":      func(md string) string { return "\ufeff" + md },
	"columns turned round": onTables(func(t [][]string) string { return markdown(reversed(t), true) }),
	"no outer pipes":       onTables(func(t [][]string) string { return markdown(t, false) }),
	"short line below the header": onTables(func(t [][]string) string {
		return strings.Replace(markdown(t, true), "| --- | --- |", "| --- |", 1)
	}),
	"HTML":         onTables(func(t [][]string) string { return "\n" + htmlOf(t, "\n") + "\n" }),
	"HTML in bits": onTables(func(t [][]string) string { return "\n" + htmlOf(t, "\n\n") + "\n" }),
	"details": onTables(func(t [][]string) string {
		return "\n<details>\n<summary>Click</summary>\n" + markdown(t, true) + "\n</details>\n"
	}),
	"twice": onTables(func(t [][]string) string { return markdown(t, true) + "\n## Again\n\n" + markdown(t, true) }),
	"quotation": onTables(func(t [][]string) string {
		return "> " + strings.ReplaceAll(strings.TrimSuffix(markdown(t, true), "\n"), "\n", "\n> ") + "\n"
	}),
	"an unknown column": onTables(func(t [][]string) string {
		for i := range t {
			t[i] = slices.Insert(t[i], 1, "Mirror")
		}
		return markdown(t, true)
	}),
	"HTML with its own links": onTables(func(t [][]string) string {
		return "\n" + anchors.ReplaceAllString(htmlOf(t, ""), `<a target="_blank" href='$2'>$1</a>`) + "\n"
	}),
	"HTML links in Markdown": onTables(func(t [][]string) string { return anchors.ReplaceAllString(markdown(t, true), `<a href="$2">$1</a>`) }),
	"unit in the header": onTables(func(t [][]string) string {
		for i, h := range t[0] {
			if low := strings.ToLower(h); low == "size" || low == "file size" {
				t[0][i] += " (GB)"
				for _, row := range t[1:] {
					row[i] = strings.TrimSuffix(row[i], " GB")
				}
			}
		}
		return markdown(t, true)
	}),
	"sizes in MB": cells("size", func(s string) string {
		if !strings.HasSuffix(s, " GB") {
			return s
		}
		whole, rest, _ := strings.Cut(strings.TrimSuffix(s, " GB"), ".")
		return whole + "," + (rest + "000")[:3] + " MB"
	}),
	"a remark behind main": cells("branch", func(s string) string { return s + " (recommended) ⭐" }),
	"bold branches":        cells("branch", func(s string) string { return "**" + s + "**" }),
	"other headers": onTables(func(t [][]string) string {
		for i, h := range t[0] {
			if to, ok := synonyms[strings.ToLower(h)]; ok {
				t[0][i] = to
			}
		}
		return markdown(t, true)
	}),
	"sizes without a space": cells("size", func(s string) string { return strings.ReplaceAll(s, " GB", "GB") }),
	"sizes with a comma":    cells("size", func(s string) string { return strings.ReplaceAll(s, ".", ",") }),
	"sizes with a footnote": cells("size", func(s string) string { return s + "<sup>1</sup>" }),
	"sizes, about":          cells("size", func(s string) string { return "~" + s }),
	"bits with a word":      cells("bits", func(s string) string { return s + "-bit" }),
	"bits as Int4":          cells("bits", func(s string) string { return "Int" + s }),
	"groups with a g":       cells("gs", func(s string) string { return strings.Replace(s+"g", "Noneg", "No group size", 1) }),
	"marks for act-order":   cells("act order", func(s string) string { return strings.NewReplacer("Yes", "✅", "No", "❌").Replace(s) }),
	"words for act-order":   cells("act order", func(s string) string { return strings.NewReplacer("Yes", "TRUE", "No", "false").Replace(s) }),
	"damp in percent":       cells("damp %", func(s string) string { return strings.NewReplacer("0.01", "1%", "0.1", "10 %").Replace(s) }),
	"tokens in thousands": cells("seq len", func(s string) string {
		return strings.NewReplacer("4096", "4,096", "8192", "8k", "2048", "2 048").Replace(s)
	}),
	"code for what is short": cells("bits", func(s string) string { return "`" + s + "`" }),
}

var anchors = regexp.MustCompile(`\[([^\]]*)\]\(([^)]*)\)`)

var synonyms = map[string]string{
	"branch": "🌿 Git branch", "bits": "**Weight bits**", "gs": "Group_Size", "group size": "GS", "act order": "desc_act?", "act order (desc_act)": "Act-Order",
	"damp %": "Damp percent", "gptq dataset": "GPTQ dataset *", "seq len": "Sequence Length", "size": "Download size", "file size": "Size on disk",
	"exllama": "ExLlama compatible?", "exllama compatible?": "ExLlama", "desc": "Notes", "description": "Comments",
}

// onTables rewrites each table of quants of a card; a branch's table begins with
// a header that says so.
func onTables(rewrite func([][]string) string) func(string) string {
	return func(md string) string {
		var out strings.Builder
		var table [][]string
		for line := range strings.Lines(md + "\n") {
			in := strings.HasPrefix(line, "|") && (table != nil || strings.Contains(line, "Branch"))
			switch {
			case in:
				cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
				for i := range cells {
					cells[i] = strings.TrimSpace(cells[i])
				}
				if strings.Trim(strings.Join(cells, ""), "-: ") != "" {
					table = append(table, cells)
				}
				continue
			case table != nil:
				for i := range table {
					for len(table[i]) < len(table[0]) {
						table[i] = append(table[i], "")
					}
				}
				out.WriteString(rewrite(table))
				table = nil
			}
			out.WriteString(line)
		}
		return out.String()
	}
}

// cells rewrites the cells of one column.
func cells(column string, rewrite func(string) string) func(string) string {
	return onTables(func(t [][]string) string {
		for i, h := range t[0] {
			for _, row := range t[1:] {
				if strings.ToLower(h) == column && row[i] != "" {
					row[i] = rewrite(row[i])
				}
			}
		}
		return markdown(t, true)
	})
}

func reversed(t [][]string) [][]string {
	for i := range t {
		slices.Reverse(t[i])
	}
	return t
}

func markdown(t [][]string, outer bool) string {
	var b strings.Builder
	for i, row := range t {
		if i == 1 {
			b.WriteString(strings.TrimSuffix(strings.Repeat("| --- ", len(t[0]))+"|", " ") + "\n")
		}
		if outer {
			b.WriteString("| " + strings.Join(row, " | ") + " |\n")
		} else {
			b.WriteString(strings.Join(row, " | ") + "\n")
		}
	}
	return b.String()
}

// htmlOf writes a table as HTML; links stay as Markdown has them, which counts
// between empty lines.
func htmlOf(t [][]string, newline string) string {
	var b strings.Builder
	b.WriteString("<table>" + newline)
	for i, row := range t {
		kind := "td"
		if i == 0 {
			kind = "th"
		}
		b.WriteString("  <tr>" + newline)
		for _, s := range row {
			b.WriteString("<" + kind + ">" + s + "</" + kind + ">" + newline)
		}
		b.WriteString("  </tr>" + newline)
	}
	b.WriteString("</table>\n")
	return b.String()
}
