package tui

import (
	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (s *detailScreen) body(m *model, w, h int) []line {
	if s.shown == nil && s.err != nil {
		return append(failure(s.err, w), nil, say(plain, "   r tries again, esc goes back."))
	}
	out := []line{sectionBar(s.names(), s.section, w)}
	if h > 18 {
		out = append(out, nil)
	}
	sh := s.sheet(m)
	rest := splitAt(w, h-len(out), detailSide(w), tellHeight(h),
		pane{"", func(w, h int) []line { return s.draw(m, sh, w, h) }},
		pane{sh.titleOf(s.at(sh.n)), func(w, h int) []line { return s.tell(m, sh, w, h) }})
	if s.err != nil {
		rest = grey(rest)
	}
	return append(out, rest...)
}

// detailSide is what the pane beside a section takes of a wide window.
func detailSide(w int) int { return max(42, w*38/100) }

func (sh *sheet) titleOf(i int) string {
	if sh.n == 0 || sh.title == nil {
		return ""
	}
	return sh.title(i)
}

func (s *detailScreen) draw(m *model, sh *sheet, w, h int) []line {
	switch {
	case sh.n == 0 && s.task.running():
		return waitingRows(w, h)
	case sh.n == 0:
		var out []line
		for _, row := range wrap(sh.empty, w-6) {
			out = append(out, say(dim, "   "+row))
		}
		return out
	}
	return table(sh.columns(w), sh.n, s.at(sh.n), h)
}

func (s *detailScreen) tell(m *model, sh *sheet, w, h int) []line {
	var out []line
	if sh.n > 0 && sh.tell != nil {
		out = sh.tell(s.at(sh.n), w)
	}
	if sh.after != nil {
		out = append(out, sh.after(w)...)
	}
	return withCommand(out, s.command(m), w, h)
}

// names are the sections with how much is in each.
func (s *detailScreen) names() []sectionName {
	names := []sectionName{{"Parameters", "Params", -1}, {"Findings", "Findings", -1}, {"Memory", "Memory", -1}, {"Engines", "Engines", -1},
		{"Files", "Files", -1}, {"Card", "Card", -1}, {"Siblings", "Siblings", -1}}
	if s.shown != nil {
		names[findingsSection].count, names[siblingsSection].count = len(remarksOn(s.shown)), len(s.siblings())
		if !s.partly {
			names[filesSection].count = len(s.shown.Files)
		}
	}
	return names
}

// sheet is the section that is shown.
func (s *detailScreen) sheet(m *model) *sheet {
	if s.shown == nil {
		return &sheet{}
	}
	switch s.section {
	case findingsSection:
		return findingsSheet(s.shown)
	case memorySection:
		return memorySheet(s.estimate(m), s.mainMemory(m), s.whyUnusable(m))
	case enginesSection:
		return enginesSheet(s.shown)
	case filesSection:
		return filesSheet(s.shown)
	case cardSection:
		return cardSheet(s.shown)
	case siblingsSection:
		return s.siblingsSheet(m)
	}
	return parametersSheet(s.shown)
}

// gauge sums the branch up.
func (s *detailScreen) gauge(m *model, w int) line {
	if s.shown == nil {
		return nil
	}
	b, e := s.shown.Branch, s.estimate(m)
	out := line{{plain, " " + paramsText(b)}}
	if b.TotalBytes > 0 {
		out = append(out, span{plain, "  " + app.BytesText(b.TotalBytes)})
	}
	if s.whyUnusable(m) != "" {
		out = append(out, span{plain, "  "}, verdictSpan(app.VerdictUnusable))
	} else if cpu := s.mainMemory(m); cpu != nil {
		sign, r := verdictSign(cpu.Verdict)
		out = append(out, span{plain, "  "}, span{r, sign + " " + app.GiBText(cpu.Need.Expected) + " of RAM"})
	} else if e.Need.Expected > 0 {
		sign, r := verdictSign(e.Verdict)
		if e.Verdict == app.VerdictUnknown || e.Verdict == "" {
			sign, r = "needs", plain
		}
		if m.plan.simulated() {
			out = append(out, span{warn, "  SIM"})
		}
		out = append(out, span{plain, "  "}, span{r, sign + " " + app.GiBText(e.Need.Expected)})
	}
	if st := stateSpan(s.local(m), percent(b.LocalBytes, b.TotalBytes)); st.text != "" {
		out = append(out, span{plain, "  "}, st)
	}
	from := map[string]string{app.ShownStore: "from the store "}[s.shown.From]
	if b.Commit != "" {
		from = "commit " + head(clean(b.Commit), 7) + " " + from
	}
	return ends(out, say(dim, from), w)
}

// whyUnusable says what but memory keeps the branch from being used; "" = nothing
// that is known.
func (s *detailScreen) whyUnusable(m *model) string {
	if f := s.fit(m); f != nil {
		if m.branches.unusable(s.ref.Revision) {
			return whyUnusable(f)
		}
		return ""
	}
	for _, f := range s.shown.Findings {
		if f.Severity == app.Fatal {
			return app.FindingText(f)
		}
	}
	return ""
}

// mainMemory is what qbranch gen needs, where no card is known; nil otherwise.
func (s *detailScreen) mainMemory(m *model) *app.EstimateSummary {
	if f := s.fit(m); f != nil {
		return f.CPU
	}
	return nil
}

// fit is what the table of branches measured; nil when the branch is not in it.
func (s *detailScreen) fit(m *model) *app.FitRow {
	if m.branches.repo != s.ref.Repo {
		return nil
	}
	return m.branches.fits[s.ref.Revision]
}

// estimate is the table's, which follows the plan at once, else what was asked for
// alone.
func (s *detailScreen) estimate(m *model) app.Estimate {
	if f := s.fit(m); f != nil && len(f.Estimate.Terms) > 0 {
		return f.Estimate
	}
	return s.shown.Estimate
}

// clicked chooses a section by its name, or a row.
func (s *detailScreen) clicked(m *model, x, y, w, h int) tea.Cmd {
	if y == 0 {
		if i, ok := sectionAt(sectionBar(s.names(), s.section, w), x); ok {
			s.section = i
		}
		return nil
	}
	y, low := y-1, tellHeight(h)
	if h--; h > 17 {
		y, h = y-1, h-1
	}
	n := s.sheet(m).n
	if i, ok := rowOf(w, h, detailSide(w), low, n, s.at(n), x, y); ok {
		s.cursors[s.section] = i
	}
	return nil
}

// rowOf is the row of a table of n that was clicked, where splitAt drew the table
// first.
func rowOf(w, h, side, low, n, cursor, x, y int) (int, bool) {
	if w >= wideFrom {
		y, h = y-1, h-2
		if x > w-side-2 {
			return 0, false
		}
	} else if h -= low + 1; y >= h {
		return 0, false
	}
	return rowAt(n, cursor, h, y)
}
