package tui

import (
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// pairRow is one thing of both sides.
type pairRow struct {
	heading bool
	name    string
	a, b    string
	mark    string // "differs", "only A", …; "" = the same
	role    role
	facts   [][2]string // what the pane says of it
}

const differs = "differs"

// rows are all that is compared, with headings; of those that are the same only
// when they are wanted.
func (s *compareScreen) rows() []pairRow {
	if s.diff == nil {
		return nil
	}
	var out []pairRow
	for _, part := range []struct {
		name string
		rows []pairRow
	}{
		{"Parameters", comparedParameters(s.diff)}, {"Memory", comparedMemory(s.diff)}, {"Engines", comparedEngines(s.diff)},
		{"Files", comparedFiles(s.diff)}, {"Findings of one only", comparedFindings(s.diff)}, {"Not read", comparedUnread(s.diff)},
	} {
		from := len(out)
		for _, r := range part.rows {
			if r.mark != "" || !s.differs {
				out = append(out, r)
			}
		}
		if len(out) > from {
			out = append(out[:from], append([]pairRow{{heading: true, name: part.name}}, out[from:]...)...)
		}
	}
	return out
}

// pairOf is a row of two texts.
func pairOf(name, a, b string, same bool, facts ...[2]string) pairRow {
	r := pairRow{name: name, a: a, b: b, facts: facts}
	if !same {
		r.mark, r.role = differs, warn
	}
	return r
}

func comparedParameters(d *app.Diff) (out []pairRow) {
	for _, p := range d.Parameters {
		if p.A != nil || p.B != nil {
			out = append(out, pairOf(strings.ReplaceAll(p.Name, "_", " "), saidText(p.Name, p.A), saidText(p.Name, p.B), p.Same))
		}
	}
	a, b := hereText(d.A), hereText(d.B)
	return append(out, pairOf("here", a, b, a == b))
}

// hereText is what is here of a side.
func hereText(s app.DiffSide) string {
	if t := stateSpan(s.Local, "").text; t != "" {
		return t
	}
	return "nothing"
}

func comparedMemory(d *app.Diff) []pairRow {
	a, b := d.A.Estimate, d.B.Estimate
	pair := func(name string, of func(e app.EstimateSummary) string, facts ...[2]string) pairRow {
		return pairOf(name, of(a), of(b), of(a) == of(b), facts...)
	}
	out := []pairRow{pair("need GiB", func(e app.EstimateSummary) string {
		if e.Need.High == 0 {
			return ""
		}
		return fmt.Sprintf("%s (%s-%s)", gibText(e.Need.Expected), gibText(e.Need.Low), gibText(e.Need.High))
	}, [2]string{"of A", measuredFor(a)}, [2]string{"of B", measuredFor(b)})}
	if a.Verdict == app.VerdictUnknown && b.Verdict == app.VerdictUnknown {
		return out
	}
	return append(out, pair("verdict", func(e app.EstimateSummary) string {
		return verdictSpan(e.Verdict).text
	}, [2]string{"of A", a.Why}, [2]string{"of B", b.Why}), pair("most context", func(e app.EstimateSummary) string {
		if e.MaxContext == 0 {
			return "none"
		}
		return fmt.Sprintf("%d tokens", e.MaxContext)
	}))
}

func measuredFor(e app.EstimateSummary) string {
	if e.Context == 0 {
		return "not said"
	}
	return fmt.Sprintf("context %d, batch %d, %s cache, %s", e.Context, e.Batch, e.KV, engineText(e.Engine))
}

func comparedEngines(d *app.Diff) (out []pairRow) {
	for _, e := range d.Engines {
		out = append(out, pairOf(e.Name, loadsSpan(string(e.A)).text, loadsSpan(string(e.B)).text, false, [2]string{"because", strings.Join(e.Why, "; ")}))
	}
	if out == nil && len(d.Parameters) > 0 {
		out = []pairRow{{name: "all engines", a: "the same", b: "the same"}}
	}
	return out
}

func comparedFiles(d *app.Diff) (out []pairRow) {
	size := func(path string, n int64) string {
		if path == "" {
			return ""
		}
		return app.BytesText(n)
	}
	add := func(files []app.DiffFile, mark string, r role, about string) {
		for _, f := range files {
			row := pairRow{name: orAny(f.PathB, f.PathA), a: size(f.PathA, f.SizeA), b: size(f.PathB, f.SizeB), mark: mark, role: r, facts: [][2]string{{"", about}}}
			if f.PathA != "" && f.PathB != "" && f.PathA != f.PathB {
				row.facts = append(row.facts, [2]string{"in A", "it is called " + f.PathA})
			}
			out = append(out, row)
		}
	}
	add(d.Changed, differs, warn, "other content: switching fetches it")
	add(d.OnlyA, "only A", warn, "only A has it")
	add(d.OnlyB, "only B", warn, "only B has it: switching fetches it")
	add(d.Unknown, "unknown", warn, "one name and one size; no digest is known to compare")
	add(d.Shared, "", dim, "the same content: it is stored once and fetched once")
	return out
}

func comparedFindings(d *app.Diff) (out []pairRow) {
	for i, findings := range [][]app.Finding{d.FindingsA, d.FindingsB} {
		for _, f := range findings {
			r := pairRow{name: f.Code, mark: "only " + []string{"A", "B"}[i], role: findingRole(f),
				facts: [][2]string{{string(f.Severity), f.Message}, {"where", f.Where}, {"do", f.Hint}}}
			*[]*string{&r.a, &r.b}[i] = string(f.Severity) + ": " + f.Message
			out = append(out, r)
		}
	}
	return out
}

func comparedUnread(d *app.Diff) (out []pairRow) {
	for i, unread := range [][]string{d.A.Unread, d.B.Unread} {
		for _, u := range unread {
			r := pairRow{name: "not read", mark: "of " + []string{"A", "B"}[i], role: warn, facts: [][2]string{{"", u}}}
			*[]*string{&r.a, &r.b}[i] = u
			out = append(out, r)
		}
	}
	return out
}

func (s *compareScreen) body(m *model, w, h int) []line {
	if s.diff == nil && s.err != nil {
		return append(failure(s.err, w), nil, say(plain, "   r tries again, esc goes back."))
	}
	rows := s.rows()
	what := ""
	if s.cursor < len(rows) {
		what = rows[s.cursor].name
	}
	out := splitAt(w, h, sideWidth(w), tellHeight(h),
		pane{"", func(w, h int) []line { return s.table(rows, w, h) }},
		pane{what, func(w, h int) []line { return s.tell(m, rows, w, h) }})
	if s.err != nil {
		return grey(out)
	}
	return out
}

// table draws names, both sides and a word for how they differ. The side that
// enter fetches has the cursor's sign.
func (s *compareScreen) table(rows []pairRow, w, h int) []line {
	const mark = 7
	name := 14
	if w >= 72 {
		name = 20
	}
	each := max(8, (w-3-name-mark-3*2)/2)
	head := line{{dim, "   " + left("", name) + "  "}}
	for i, t := range s.sideNames(each - 4) {
		sign, r := "  ", dim
		if i == s.side {
			sign, r = "▸ ", accent
		}
		head = append(head, span{r, left(sign+[]string{"A ", "B "}[i]+t, each)}, span{plain, "  "})
	}
	if s.diff == nil {
		cols := []column{{width: name}, {width: each}, {width: each}}
		for i := range cols {
			cols[i].cell = func(row int) span { return span{dim, skeleton(i, cols[i].width, row)} }
		}
		return append([]line{head}, table(cols, skeletonRows, -1, h)[1:]...)
	}
	if len(rows) == 0 {
		return []line{head, say(plain, "   They are the same.")}
	}
	out := []line{head}
	from := firstRow(len(rows), s.cursor, h)
	for i := from; i < min(len(rows), from+max(0, h-1)); i++ {
		out = append(out, s.row(rows[i], i == s.cursor, name, each))
	}
	return out
}

func (s *compareScreen) row(r pairRow, here bool, name, each int) line {
	if r.heading {
		return say(title, "   "+r.name)
	}
	sign, text := "   ", plain
	switch {
	case here:
		sign, text = " ▸ ", accent
	case r.mark == "":
		text = dim
	}
	cell := func(t string) string {
		if t == "" {
			t = "·"
		}
		return left(t, each)
	}
	return line{{accent, sign}, {text, left(r.name, name) + "  "}, {text, cell(r.a) + "  "}, {text, cell(r.b) + "  "}, {r.role, r.mark}}
}

// sideNames are what the two are called, in w columns: branches of one repository
// without it.
func (s *compareScreen) sideNames(w int) [2]string {
	var out [2]string
	one := s.refs[0].Repo == s.refs[1].Repo
	for i, r := range s.refs {
		out[i] = r.String()
		if one {
			out[i] = r.RevisionOrMain()
		}
		if width(out[i]) > w {
			out[i] = strings.TrimPrefix(out[i], "gptq-")
		}
	}
	return out
}

// tell says what switching costs, and about the row under the cursor.
func (s *compareScreen) tell(m *model, rows []pairRow, w, h int) []line {
	var out []line
	if s.cursor < len(rows) {
		r := rows[s.cursor]
		for i, side := range []string{r.a, r.b} {
			if side != "" && !strings.HasPrefix(r.mark, "only") && !strings.HasPrefix(r.mark, "of ") {
				out = append(out, fact([]string{"A", "B"}[i], plain, side, w)...)
			}
		}
		for _, f := range r.facts {
			if f[1] != "" {
				out = append(out, fact(f[0], r.role, f[1], w)...)
			}
		}
	}
	if d := s.diff; d != nil && h > 8 {
		out = append(out, nil)
		out = append(out, fact("switching", title, "from A to B moves "+app.BytesText(d.SwitchBytes), w)...)
		out = append(out, fact("shared", plain, fmt.Sprintf("%s in %s", app.BytesText(d.SharedBytes), plural(len(d.Shared), "file", "files")), w)...)
		if d.FetchBytes != d.SwitchBytes {
			out = append(out, fact("now", plain, "A is not all here, so fetching B takes "+app.BytesText(d.FetchBytes), w)...)
		}
		for i, side := range []app.DiffSide{d.A, d.B} {
			out = append(out, fact([]string{"A", "B"}[i], dim, fmt.Sprintf("%s: %s in %s", orAny(side.Branch, side.Target), app.BytesText(side.TotalBytes), plural(side.Files, "file", "files")), w)...)
		}
	}
	return withCommand(out, s.command(m), w, h)
}

// gauge says what switching costs.
func (s *compareScreen) gauge(_ *model, w int) line {
	d := s.diff
	if d == nil {
		return nil
	}
	out := line{{plain, " from A to B moves "}, {accent, app.BytesText(d.SwitchBytes)}, {plain, ", shares " + app.BytesText(d.SharedBytes)}}
	if d.FetchBytes == d.SwitchBytes {
		return out
	}
	return ends(out, say(dim, "fetching B: "+app.BytesText(d.FetchBytes)+" "), w)
}

// clicked puts the cursor on a row.
func (s *compareScreen) clicked(_ *model, x, y, w, h int) tea.Cmd {
	rows := s.rows()
	if i, ok := rowOf(w, h, sideWidth(w), tellHeight(h), len(rows), s.cursor, x, y); ok && !rows[i].heading {
		s.cursor = i
	}
	return nil
}
