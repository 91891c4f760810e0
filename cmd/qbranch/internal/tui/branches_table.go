package tui

import (
	"slices"
	"strconv"
	"strings"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// skeletonRows stand where branches will be until they are known.
const skeletonRows = 8

// table draws the branches. Branch, size of the weights, need, verdict and local
// state are always there; the other columns are, as far as names need not be cut
// for them. Sizes of files are decimal, as the hub's pages have them; memory is
// binary, as drivers have it.
func (s *branchesScreen) table(m *model, w, h int) []line {
	rows := s.rows()
	prefix := ""
	for _, strip := range []string{"", "gptq-"} {
		prefix = strip
		if cols := s.columns(m, rows, prefix, w); cols[0].width >= s.longest(rows, prefix) {
			break
		}
	}
	cols := s.columns(m, rows, prefix, w)
	if s.listing == nil {
		for i := range cols {
			cols[i].cell = func(row int) span { return span{dim, skeleton(i, cols[i].width, row)} }
		}
		return table(cols, skeletonRows, -1, h)
	}
	return tableMarked(cols, len(rows), s.cursor, h, func(i int) bool { return s.marked[rows[i].Branch] })
}

// longest is the widest name, without a prefix that most have.
func (s *branchesScreen) longest(rows []app.BranchRow, prefix string) int {
	n := 20
	for _, r := range rows {
		n = max(n, width(strings.TrimPrefix(r.Branch, prefix)))
	}
	return min(n, 40)
}

// columns chooses the columns for w: what tells most goes last.
func (s *branchesScreen) columns(m *model, rows []app.BranchRow, prefix string, w int) []column {
	largest := int64(0)
	for _, r := range rows {
		largest = max(largest, r.WeightBytes)
	}
	u := unitFor(largest)
	branch := column{title: "Branch", cell: func(i int) span { return span{plain, strings.TrimPrefix(rows[i].Branch, prefix)} }}
	bits := column{title: "Bits", width: 4, right: true, cell: func(i int) span { return known(intText(rows[i].Bits)) }}
	group := column{title: "GS", width: 4, right: true, cell: func(i int) span { return known(intText(rows[i].GroupSize)) }}
	act := column{title: "Act", width: 3, cell: func(i int) span { return known(boolText(rows[i].ActOrder)) }}
	size := column{title: "Size " + u.name, width: 8, right: true, cell: func(i int) span {
		if rows[i].WeightBytes <= 0 {
			return known("")
		}
		return span{plain, u.of(rows[i].WeightBytes)}
	}}
	need := column{title: "VRAM GiB", width: 8, right: true, cell: func(i int) span { return s.needCell(rows[i].Fit) }}
	fit := column{title: "Fit", width: 10, cell: func(i int) span { return s.verdictWord(rows[i].Fit) }}
	gauge := column{title: "Fit", width: 10, cell: func(i int) span { return s.fitBar(rows[i].Fit) }}
	engines := column{title: "Eng", width: 4, cell: func(i int) span { return engineLetters(rows[i].Fit) }}
	rank := column{title: "Rank", width: 5, cell: func(i int) span { return span{dim, s.rank(&rows[i])} }}
	local := column{title: "Local", width: 10, cell: func(i int) span { return s.local(m, rows[i]) }}
	brief := func(c column, title string, n int) column { c.title, c.width = title, n; return c }
	gb, gibs, sign := brief(size, u.name, 6), brief(need, "GiB", 5), brief(local, "Local", 5)
	sign.cell = func(i int) span { return inShort(s.local(m, rows[i])) }

	sets := [][]column{
		{branch, gb, gibs, fit, sign},
		{branch, bits, gb, gibs, fit, sign},
		{branch, bits, group, gb, gibs, fit, sign},
		{branch, bits, group, gb, gibs, fit, local},
		{branch, bits, group, act, gb, gibs, gauge, sign},
		{branch, bits, group, act, gb, gibs, gauge, engines, sign},
		{branch, bits, group, act, gb, gibs, gauge, engines, local},
		{branch, bits, group, act, gb, gibs, gauge, engines, rank, local},
		{branch, bits, group, act, size, need, gauge, engines, rank, local},
	}
	if s.stored { // nothing else is known
		sets = [][]column{{branch, local}}
	}
	cols := sets[0]
	for _, set := range sets[1:] {
		if w-tableWidth(set) >= s.longest(rows, prefix) {
			cols = set
		}
	}
	cols[0].width = max(8, min(w-tableWidth(cols), max(s.longest(rows, prefix), 28)))
	return cols
}

// needCell is the expected need.
func (s *branchesScreen) needCell(f *app.FitRow) span {
	need := int64(0)
	if f != nil {
		need = f.Estimate.Need.Expected
		if f.CPU != nil {
			need = f.CPU.Need.Expected
		}
	}
	switch {
	case f == nil && s.waiting():
		return span{dim, "…"}
	case need <= 0:
		return known("")
	}
	return span{plain, strconv.FormatFloat(float64(need)/(1<<30), 'f', 1, 64)}
}

// waiting reports whether grades are on their way.
func (s *branchesScreen) waiting() bool {
	return s.task.running() || s.reading.running() || s.grading.running()
}

// verdictWord is a sign and a word for a verdict.
func (s *branchesScreen) verdictWord(f *app.FitRow) span {
	if f == nil {
		if s.waiting() {
			return span{dim, "…"}
		}
		return known("")
	}
	return verdictSpan(s.verdict(f))
}

// verdictSpan is a sign and a word for a verdict.
func verdictSpan(v app.Verdict) span {
	sign, r := verdictSign(v)
	word := map[app.Verdict]string{app.VerdictFits: "fits", app.VerdictTight: "tight", app.VerdictTooBig: "too big", app.VerdictUnusable: "unusable"}[v]
	return span{r, sign + " " + orAny(word, "unknown")}
}

func verdictSign(v app.Verdict) (string, role) {
	switch v {
	case app.VerdictFits:
		return "✓", good
	case app.VerdictTight:
		return "~", warn
	case app.VerdictTooBig, app.VerdictUnusable:
		return "✗", bad
	}
	return "?", dim
}

// fitBar is the sign of the verdict and the need as a part of what is free, or the
// GiB that it goes beyond: a full bar said nothing of how much. Where that is not known the word stands for it.
func (s *branchesScreen) fitBar(f *app.FitRow) span {
	word := s.verdictWord(f)
	free := s.freeFor(f)
	if f == nil || free <= 0 || s.verdict(f) == app.VerdictUnusable || s.verdict(f) == app.VerdictUnknown {
		return word
	}
	need := f.Estimate.Need.Expected
	if f.CPU != nil {
		need = f.CPU.Need.Expected
	}
	sign, r := verdictSign(s.verdict(f))
	if need > free {
		return span{r, sign + " +" + strconv.FormatFloat(float64(need-free)/(1<<30), 'f', 1, 64)}
	}
	return span{r, sign + " " + bar(need, free, 8)}
}

// freeFor is the free memory that a row was measured against.
func (s *branchesScreen) freeFor(f *app.FitRow) int64 {
	if s.report == nil || f == nil {
		return 0
	}
	if f.CPU != nil {
		if s.report.RAM == nil {
			return 0
		}
		return s.report.RAM.Free
	}
	var most, sum int64
	for _, c := range s.report.Cards {
		most, sum = max(most, c.Free), sum+max(0, c.Free)
	}
	if s.report.Split != "" {
		return sum
	}
	return most
}

// engineLetters says which programs load a branch: A AutoGPTQ or GPTQModel, E
// ExLlama or ExLlamaV2, V vLLM, Q qbranch. A small letter is with a caveat, a dash
// is no, a question mark that it is not known.
func engineLetters(f *app.FitRow) span {
	if f == nil {
		return known("")
	}
	var out strings.Builder
	for _, group := range []struct {
		letter string
		ids    []string
	}{{"A", []string{"autogptq", "gptqmodel"}}, {"E", []string{"exllama", "exllamav2"}}, {"V", []string{"vllm"}}, {"Q", []string{"qbranch"}}} {
		best := "-"
		for _, e := range f.Engines {
			if slices.Contains(group.ids, e.ID) {
				best = better(best, map[string]string{"yes": group.letter, "caveat": strings.ToLower(group.letter), "unknown": "?"}[string(e.Loads)])
			}
		}
		out.WriteString(best)
	}
	return span{plain, out.String()}
}

// better is the letter that promises more.
func better(a, b string) string {
	worth := func(s string) int {
		switch {
		case s == "" || s == "-":
			return 0
		case s == "?":
			return 1
		case s == strings.ToLower(s):
			return 2
		}
		return 3
	}
	if worth(b) > worth(a) {
		return b
	}
	return a
}

// unusable reports whether a branch is measured, and something but memory keeps it
// from being used.
func (s *branchesScreen) unusable(branch string) bool {
	f := s.fits[branch]
	return f != nil && s.verdict(f) == app.VerdictUnusable
}

// whyUnusable is what keeps a branch from being used: without a card, what
// qbranch gen says, unless nothing loads it.
func whyUnusable(f *app.FitRow) string {
	if f.CPU != nil && f.Verdict != app.VerdictUnusable {
		for _, e := range f.Engines {
			if e.ID == "qbranch" {
				return "qbranch gen does not run it: " + strings.Join(e.Why, "; ")
			}
		}
	}
	return f.Why
}

// rank is the expected quality of a row among all of the repository, one to five
// dots: bits, then group size, then act-order. It is an order, not a measurement.
func (s *branchesScreen) rank(r *app.BranchRow) string {
	all := slices.DeleteFunc(slices.Clone(s.all()), func(o app.BranchRow) bool { return s.unusable(o.Branch) })
	if r.Bits == nil || len(all) < 2 || s.unusable(r.Branch) {
		return ""
	}
	worse := 0
	for i := range all {
		if app.CompareQuality(r, &all[i]) < 0 {
			worse++
		}
	}
	dots := 1 + worse*4/(len(all)-1)
	return strings.Repeat("●", dots) + strings.Repeat("○", 5-dots)
}

// inShort is a local state without its word.
func inShort(l span) span {
	sign, rest, _ := strings.Cut(l.text, " ")
	if strings.HasSuffix(rest, "%") {
		sign += strings.TrimSpace(rest)
	}
	return span{l.role, sign}
}

// skeleton is a placeholder for a cell that is not known yet.
func skeleton(col, w, row int) string {
	if col > 0 {
		return strings.Repeat("░", min(w, 3))
	}
	return strings.Repeat("░", min(w, 16+row*5%9))
}

// known is a cell that may be empty because nobody says.
func known(text string) span {
	if text == "" {
		return span{dim, "·"}
	}
	return span{plain, text}
}

// intText prints a number; -1 is "none".
func intText(n *int) string {
	switch {
	case n == nil:
		return ""
	case *n == -1:
		return "none"
	}
	return strconv.Itoa(*n)
}

func boolText(b *bool) string {
	switch {
	case b == nil:
		return ""
	case *b:
		return "yes"
	}
	return "no"
}

// local says what is here of a branch: a transfer's progress, else what the
// store said.
func (s *branchesScreen) local(m *model, r app.BranchRow) span {
	if t := m.transfers.find(s.ref(r.Branch)); t.underWay() {
		if t.state == transferQueued {
			return span{dim, "· queued"}
		}
		return span{accent, "↓ " + percent(t.done, t.total)}
	}
	if r.Local == app.LocalNone && s.listing != nil && s.listing.Restricted() != "" {
		return span{warn, "⊘ locked"}
	}
	return stateSpan(r.Local, percent(r.LocalBytes, r.TotalBytes))
}

// stateSpan is a sign and a word for a local state.
func stateSpan(state app.LocalState, share string) span {
	switch state {
	case app.LocalVerified:
		return span{good, "● verified"}
	case app.LocalPartial:
		if share == "" {
			share = "partial"
		}
		return span{warn, "◐ " + share}
	case app.LocalCorrupt:
		return span{bad, "! corrupt"}
	case app.LocalOutdated:
		return span{warn, "↻ outdated"}
	}
	return span{}
}
