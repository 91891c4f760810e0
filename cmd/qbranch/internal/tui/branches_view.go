package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (s *branchesScreen) status(m *model) remark {
	switch {
	case s.seeking:
		return remark{role: accent, text: "/ " + s.filter.text() + "▏"}
	case s.err != nil && s.listing != nil && s.listing.Age != "":
		return remark{bad, "✗ " + s.err.Error(), "r tries again; shown is what the hub said " + s.listing.Age + " ago"}
	case s.err != nil && s.listing != nil:
		return remark{bad, "✗ " + s.err.Error(), hintOr(s.err, "r tries again; shown is what was known before")}
	case s.task.running() && m.frame > 2:
		return remark{role: dim, text: spinner(m.frame) + " asking the hub"}
	case s.gradeErr != nil:
		return remark{bad, "✗ what fits is not known: " + s.gradeErr.Error(), hintOr(s.gradeErr, "r tries again")}
	case s.listing != nil && s.listing.Restricted() != "":
		return remark{warn, s.listing.Restricted(), howToUnlock}
	case s.reading.running() && m.frame > 2:
		return remark{role: dim, text: spinner(m.frame) + " reading the headers of the weights"}
	}
	return remark{}
}

func (s *branchesScreen) body(m *model, w, h int) []line {
	if s.listing == nil && s.err != nil {
		out := failure(s.err, w)
		return append(out, nil, say(plain, "   r tries again, esc goes back."))
	}
	if s.listing != nil && len(s.all()) == 0 {
		return []line{say(plain, "   The repository has no branches.")}
	}
	if len(s.rows()) == 0 && s.listing != nil {
		return s.nothing(w)
	}
	second := pane{"", func(w, h int) []line { return s.detail(m, w, h) }}
	if r := s.row(); r != nil {
		second.title = r.Branch
	}
	if s.planner.open {
		second = pane{"Plan", func(w, h int) []line { return s.planner.draw(m, s, w, h) }}
	}
	draw := func(w, h int) []line {
		if s.err != nil {
			return grey(s.table(m, w, h))
		}
		return s.table(m, w, h)
	}
	return splitAt(w, h, sideWidth(w), s.lowHeight(h), pane{s.tableTitle(), draw}, second)
}

// nothing says why no row is shown, and what would show some.
func (s *branchesScreen) nothing(w int) []line {
	if s.filter.text() != "" {
		return []line{say(plain, "   No branch matches "+s.filter.text()+"."), say(dim, "   esc shows all.")}
	}
	out := []line{say(plain, "   No branch fits.")}
	if s.report != nil {
		if err := s.report.Require(s.only == onlyPossible); err != nil {
			out = failure(err, w)
		}
	}
	return append(out, nil, say(dim, "   f shows the others; p plans with other memory, or less context."))
}

// lowHeight is how much of a narrow window is below the table.
func (s *branchesScreen) lowHeight(h int) int {
	if s.planner.open {
		return min(len(planFields)+2, h/2+1)
	}
	return lowHeight(h)
}

// sideWidth is what the pane beside the table takes of a wide window: the table
// gets most of what comes with width.
func sideWidth(w int) int { return max(34, w*28/100) }

func (s *branchesScreen) tableTitle() string {
	switch n, all := len(s.rows()), len(s.all()); {
	case all == 0:
		return "Branches"
	case n < all:
		return fmt.Sprintf("Branches %d of %d", n, all)
	default:
		return fmt.Sprintf("Branches %d", n)
	}
}

// gauge says what the table is measured against, and how it is arranged.
func (s *branchesScreen) gauge(m *model, w int) line {
	out := line{{plain, " "}}
	if m.plan.simulated() {
		out = append(out, span{warn, "SIM "})
	}
	if text := m.memoryText(s.report); text != "" {
		out = append(out, span{plain, text}, span{plain, "  "})
	}
	context := cmp.Or(m.plan.context, app.DefaultContext)
	if r := s.row(); r != nil && r.Fit != nil && r.Fit.Estimate.Context > 0 {
		context = r.Fit.Estimate.Context // a small model's own
	}
	facts := []string{fmt.Sprintf("ctx %d", context)}
	if m.plan.kv != "" {
		facts = append(facts, "kv "+m.plan.kv)
	}
	facts = append(facts, orAny(m.plan.engine, "any engine"))
	if m.plan.batch > 1 {
		facts = append(facts, fmt.Sprintf("batch %d", m.plan.batch))
	}
	if m.plan.split != "" {
		facts = append(facts, m.plan.split)
	}
	// What leaves rows out is always told; how they are sorted, and what they are
	// measured for, as there is room.
	var narrowed line
	if text := s.filter.text(); text != "" {
		narrowed = append(narrowed, span{accent, fmt.Sprintf("/%s %d of %d", text, len(s.rows()), len(s.all()))}, span{plain, "  "})
	}
	if s.only != "" {
		narrowed = append(narrowed, span{accent, "fit: " + s.only}, span{plain, "  "})
	}
	order := "sort: " + orAny(s.sort, "main first") + " "
	if s.only == "" {
		order = "fit: all  " + order
	}
	measured := span{dim, strings.Join(facts, "  ")}
	for _, l := range [][2]line{
		{append(slices.Clone(out), measured), append(slices.Clone(narrowed), span{dim, order})},
		{append(slices.Clone(out), measured), narrowed},
		{append(slices.Clone(out), span{dim, facts[0]}), narrowed},
	} {
		if l[0].width()+1+l[1].width() <= w {
			return ends(l[0], l[1], w)
		}
	}
	return ends(say(plain, " "), narrowed, w)
}

// detail tells about the branch under the cursor. The last line is the command
// line that does what enter does, or for a branch that is here, what g does.
func (s *branchesScreen) detail(m *model, w, h int) []line {
	r := s.row()
	if r == nil {
		return nil
	}
	var out []line
	if h > 8 {
		out = fact("quant", plain, paramsText(*r), w)
		out = append(out, fact("size", plain, sizeText(*r), w)...)
	}
	out = append(out, s.estimate(r.Fit, w, h > 12)...)
	if localRole, localText := s.localText(m, *r); h > 8 || r.Local != app.LocalNone {
		out = append(out, fact("here", localRole, localText, w)...)
	}
	if r.Error != "" {
		out = append(out, fact("problem", bad, r.Error, w)...)
	}
	if r.Fit != nil {
		for _, f := range r.Fit.Findings {
			if toTell(f) && app.FindingText(f) != r.Fit.Why { // what the verdict says is not said twice
				out = append(out, fact(f.Code, findingRole(f), f.Message, w)...)
			}
		}
	}
	for _, n := range s.notes() {
		if n.Branch == r.Branch && !(n.Code == "NOT_GPTQ" && s.unusable(r.Branch)) {
			out = append(out, fact("note", warn, n.Message, w)...)
		}
	}
	if r.Fit != nil && h > 8 && !s.unusable(r.Branch) {
		out = append(out, fact("engines", plain, r.Fit.EngineSummary(), w)...)
	}
	if r.Commit != "" && h > 8 {
		out = append(out, fact("commit", dim, head(clean(r.Commit), 7), w)...)
	}
	if r.Description != "" {
		out = append(out, fact("card says", dim, r.Description, w)...)
	}
	for _, n := range s.notes() {
		if n.Branch == "" {
			out = append(out, fact("note", dim, n.Message, w)...)
		}
	}
	return withCommand(out, commandFor(s.ref(r.Branch), r.Local), w, h)
}

// notes of the report, which knows more, else of the listing.
func (s *branchesScreen) notes() []app.Note {
	if s.report != nil && len(s.report.Notes) > 0 {
		return s.report.Notes
	}
	return s.listing.Notes
}

// estimate tells what a branch needs and what that is made of, in rows where
// there is room for them, and whether that fits.
func (s *branchesScreen) estimate(f *app.FitRow, w int, room bool) []line {
	switch {
	case f == nil:
		return nil
	case s.verdict(f) == app.VerdictUnusable:
		return fact("fit", bad, "✗ unusable: "+whyUnusable(f), w)
	case f.Estimate.Need.Expected <= 0:
		return fact("fit", dim, f.Why, w)
	}
	var out []line
	if room {
		out = termRows(f, w)
	} else {
		out = termSum(f, w)
	}
	word := s.verdictWord(f)
	if f.CPU != nil {
		return append(out, fact("in RAM", word.role, word.text+": qbranch gen needs "+gibText(f.CPU.Need.Expected)+" GiB; p plans for a card", w)...)
	}
	text := word.text
	if f.Why != "" {
		text += ": " + f.Why
	}
	out = append(out, fact("fit", word.role, text, w)...)
	switch help := f.Help(false); {
	case s.verdict(f) == app.VerdictFits && f.Estimate.MaxContext > 0:
		out = append(out, fact("context", plain, fmt.Sprintf("fits up to %d tokens", f.Estimate.MaxContext), w)...)
	case len(help) > 0:
		out = append(out, fact("would fit", plain, "with "+help[0], w)...)
	}
	return out
}

// termRows are the terms of an estimate, a row for each. The narrow pane has no
// room for their sources.
func termRows(f *app.FitRow, w int) (out []line) {
	row := func(label string, r role, n int64, more string) {
		out = append(out, line{{dim, "   " + left(label, 18)}, {r, right(gibText(n), 7)}, {dim, more}})
	}
	for _, t := range f.Estimate.Terms {
		sign, source := "+ ", ""
		if t.Expected < 0 {
			sign = "- "
		}
		if w >= 46 {
			source = "  " + string(t.Source)
		}
		row(sign+t.Name, plain, abs(t.Expected), source)
	}
	need := "= need GiB"
	if f.CPU != nil {
		need = "= on a card, GiB"
	}
	n := f.Estimate.Need
	row(need, title, n.Expected, "")
	return append(out, line{{dim, fmt.Sprintf("     %s to %s", gibText(n.Low), gibText(n.High))}})
}

// termSum is the same as one sum.
func termSum(f *app.FitRow, w int) []line {
	var sum strings.Builder
	for i, t := range f.Estimate.Terms {
		switch {
		case t.Expected < 0:
			sum.WriteString(" − ")
		case i > 0:
			sum.WriteString(" + ")
		}
		sum.WriteString(gibText(abs(t.Expected)) + " " + t.Name)
	}
	label := "need"
	if f.CPU != nil {
		label = "on a card"
	}
	n := f.Estimate.Need
	return fact(label, plain, fmt.Sprintf("%s = %s GiB (%s-%s)", sum.String(), gibText(n.Expected), gibText(n.Low), gibText(n.High)), w)
}

func abs(n int64) int64 { return max(n, -n) }

// withCommand puts a command line at the foot of a pane, cut where it would take
// more than half: Y copies all of it.
func withCommand(facts []line, command string, w, h int) []line {
	var foot []line
	rows := wrapCommand(command, w-4)
	if most := max(1, h/2); len(rows) > most {
		rows = rows[:most]
		rows[most-1] = cut(rows[most-1]+"…", w-4)
	}
	for i, row := range rows {
		mark := " $ "
		if i > 0 {
			mark = "   "
		}
		foot = append(foot, line{{dim, mark}, {accent, row}})
	}
	return append(exactly(facts, h-len(foot)), foot...)
}

// wrapCommand breaks a command line at blanks; a reference that is longer than a
// row, behind its signs.
func wrapCommand(s string, w int) []string {
	s = clean(s)
	var rows []string
	for {
		row := head(s, w)
		if len(row) == len(s) || row == "" {
			return append(rows, s)
		}
		at := strings.LastIndexByte(row, ' ')
		if word, _, _ := strings.Cut(s[at+1:], " "); at <= 0 || width(word) > w {
			at = strings.LastIndexAny(row, " :/") // the reference has to be broken
		}
		if at > 0 {
			row = row[:at+1]
		}
		rows = append(rows, strings.TrimRight(row, " "))
		s = s[len(row):]
	}
}

func sizeText(r app.BranchRow) string {
	if r.TotalBytes <= 0 {
		return "not known"
	}
	text := app.BytesText(r.TotalBytes) + " in " + plural(r.Files, "file", "files")
	if r.CardBytes != nil {
		text = "card says " + app.BytesText(*r.CardBytes) + "; " + text
	}
	if r.WeightBytes > 0 {
		text = "weights " + app.BytesText(r.WeightBytes) + ", " + text
	}
	return text
}

func (s *branchesScreen) localText(m *model, r app.BranchRow) (role, string) {
	if t := m.transfers.find(s.ref(r.Branch)); t.underWay() {
		return accent, t.progressText()
	}
	switch r.Local {
	case app.LocalVerified:
		return good, "all of it, verified"
	case app.LocalPartial:
		return warn, fmt.Sprintf("%s of %s, resumable", app.BytesText(r.LocalBytes), app.BytesText(r.TotalBytes))
	case app.LocalCorrupt:
		return bad, "bytes on disk changed; enter fetches the bad parts again"
	case app.LocalOutdated:
		return warn, "an older commit; enter fetches what changed"
	}
	return dim, "nothing yet"
}
