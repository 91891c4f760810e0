package tui

import (
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (s *storeScreen) body(m *model, w, h int) []line {
	switch {
	case s.use == nil && s.err != nil:
		return append(failure(s.err, w), nil, say(plain, "   r tries again, esc goes back."))
	case s.use != nil && len(s.rows()) == 0 && s.err == nil:
		return s.nothing(m, w, h)
	}
	what := ""
	if b := s.row(); b != nil {
		what = branchName(*b)
	}
	out := splitAt(w, h, sideWidth(w), tellHeight(h),
		pane{"", func(w, h int) []line { return s.table(w, h) }},
		pane{what, func(w, h int) []line { return s.tell(m, w, h) }})
	if s.err != nil {
		return grey(out)
	}
	return out
}

// nothing says what to do when no branch is here.
func (s *storeScreen) nothing(m *model, w, h int) []line {
	out := []line{
		say(title, "   The store is empty."),
		nil,
		say(plain, "   Nothing has been fetched yet, or all of it was removed."),
		say(plain, "   1 leads to the branches of a repository; enter fetches one."),
		nil,
	}
	if s.use.Total.Files > 0 {
		out = append(out, say(title, "   Still on the disk"))
		out = append(out, s.totals(w)...)
		return withCommand(out, s.command(m), w, h)
	}
	return withCommand(out, "qbranch get owner/name:branch", w, h)
}

// branchName is a branch of the store without its repository.
func branchName(b app.BranchUsage) string {
	if b.Branch == "" {
		return "@" + head(clean(b.Commit), 7)
	}
	return b.Branch
}

// table lists the branches, those first that take most. Unique is what the disk
// gets back; shared is stored once for several.
func (s *storeScreen) table(w, h int) []line {
	rows := s.rows()
	if s.use == nil {
		cols := s.columns(make([]app.BranchUsage, skeletonRows), w)
		for i := range cols {
			cols[i].cell = func(row int) span { return span{dim, skeleton(i, cols[i].width, row)} }
		}
		cols[0].width = max(cols[0].width, 24)
		return table(cols, skeletonRows, -1, h)
	}
	return tableMarked(s.columns(rows, w), len(rows), s.cursor, h, func(i int) bool { return s.marked[keyOfBranch(rows[i])] })
}

// columns chooses the columns for w. Names come first: a repository without its
// owner, a branch without a prefix that most have, before either is cut.
func (s *storeScreen) columns(rows []app.BranchUsage, w int) []column {
	largest := int64(0)
	for _, b := range rows {
		largest = max(largest, b.Unique, b.Shared)
	}
	u := unitFor(largest)
	repo := column{title: "Repository", cell: func(i int) span { return span{plain, rows[i].Repo} }}
	name := column{title: "Repository", cell: func(i int) span { return span{plain, rows[i].Repo[strings.IndexByte(rows[i].Repo, '/')+1:]} }}
	branch := column{title: "Branch", cell: func(i int) span { return span{plain, branchName(rows[i])} }}
	brief := column{title: "Branch", cell: func(i int) span { return span{plain, strings.TrimPrefix(branchName(rows[i]), "gptq-")} }}
	unique := column{title: "Unique " + u.name, width: 9, right: true, cell: func(i int) span { return span{plain, u.of(rows[i].Unique)} }}
	shared := column{title: "Shared", width: 6, right: true, cell: func(i int) span { return span{dim, u.of(rows[i].Shared)} }}
	state := column{title: "State", width: 10, cell: func(i int) span { return stateSpan(rows[i].State, "") }}
	sign := column{title: "St", width: 2, cell: func(i int) span { return inShort(stateSpan(rows[i].State, "")) }}
	pin := column{title: "Pin", width: 3, cell: func(i int) span {
		if rows[i].Pinned {
			return span{accent, "pin"}
		}
		return span{}
	}}
	longest := func(c column) int {
		most := width(c.title)
		for i := range rows {
			most = max(most, width(c.cell(i).text))
		}
		return most
	}
	var cols []column
	for _, set := range [][]column{
		{repo, branch, unique, shared, state, pin},
		{name, branch, unique, shared, state, pin},
		{name, branch, unique, shared, sign, pin},
		{name, brief, unique, shared, sign, pin},
		{name, brief, unique, sign, pin},
	} {
		if cols = set; tableWidth(set)+longest(set[0])+longest(set[1]) <= w {
			break
		}
	}
	left := w - tableWidth(cols)
	cols[1].width = max(8, min(longest(cols[1]), left-12))
	cols[0].width = max(8, min(longest(cols[0]), left-cols[1].width))
	return cols
}

// tell is about the branch under the cursor, then what all of it takes.
func (s *storeScreen) tell(m *model, w, h int) []line {
	var out []line
	if b := s.row(); b != nil {
		out = append(out, fact("of", plain, b.Repo, w)...)
		frees := app.BytesText(b.Unique)
		if b.Shared > 0 {
			frees += "; " + app.BytesText(b.Shared) + " stay for branches that share it"
		}
		if b.Pinned {
			frees = "nothing: it is pinned, until P lets it go"
		}
		out = append(out, fact("frees", plain, frees, w)...)
		if st := stateSpan(b.State, ""); b.State != app.LocalVerified && st.text != "" {
			out = append(out, fact("state", st.role, st.text+stateAdvice(b.State), w)...)
		}
		if h > 8 {
			out = append(out, fact("commit", dim, b.Commit, w)...)
		}
	}
	if s.use != nil && h > 8 {
		out = append(append(out, nil, say(title, "   All of the store")), s.totals(w)...)
	}
	return withCommand(out, s.command(m), w, h)
}

func stateAdvice(state app.LocalState) string {
	switch state {
	case app.LocalCorrupt:
		return ": v says where, and repairs it"
	case app.LocalPartial:
		return ": files are missing; enter, then enter fetches them"
	case app.LocalOutdated:
		return ": the branch stands at another commit by now"
	}
	return ""
}

// totals are the sums: they add up to what the store takes.
func (s *storeScreen) totals(w int) []line {
	u := s.use
	var out []line
	add := func(label string, r role, a app.Amount, about string) {
		if a.Files > 0 {
			out = append(out, fact(label, r, fmt.Sprintf("%s in %s%s", app.BytesText(a.Bytes), plural(a.Files, "file", "files"), about), w)...)
		}
	}
	add("branches", plain, u.Blobs, "")
	add("  shared", dim, u.Shared, "")
	add("unfinished", warn, u.Unfinished, "; u removes")
	add("unused", warn, u.Unreferenced, "; c collects")
	add("lists", dim, u.Other, "")
	add("total", title, u.Total, "")
	if u.Linked > 0 {
		out = append(out, fact("linked", dim, app.BytesText(u.Linked)+" are also files of other folders, and stay until those have gone", w)...)
	}
	if d := u.Disk; d != nil {
		text := app.BytesText(d.Free)
		if d.Total > 0 {
			text += " of " + app.BytesText(d.Total)
		}
		out = append(out, fact("disk free", plain, text, w)...)
	}
	return out
}

// gauge sums the store up, and says what the disk has left.
func (s *storeScreen) gauge(_ *model, w int) line {
	u := s.use
	if u == nil {
		return nil
	}
	out := line{{plain, " " + app.BytesText(u.Total.Bytes)}}
	if u.Shared.Bytes > 0 {
		out = append(out, span{dim, "  shared " + app.BytesText(u.Shared.Bytes)})
	}
	if u.Unfinished.Bytes > 0 {
		out = append(out, span{warn, "  unfinished " + app.BytesText(u.Unfinished.Bytes)})
	}
	if u.Unreferenced.Bytes > 0 {
		out = append(out, span{warn, "  unused " + app.BytesText(u.Unreferenced.Bytes)})
	}
	var end line
	if d := u.Disk; d != nil {
		end = line{{plain, app.BytesText(d.Free) + " free "}}
		if d.ReadOnly {
			end = line{{bad, "read-only disk "}}
		}
	}
	return ends(out, end, w)
}

func (s *storeScreen) status(m *model) remark {
	marked := 0
	var unique int64
	for _, b := range s.rows() {
		if s.marked[keyOfBranch(b)] {
			marked, unique = marked+1, unique+b.Unique
		}
	}
	switch {
	case s.err != nil && s.use != nil:
		return remark{bad, "✗ " + s.err.Error(), hintOr(s.err, "r tries again; shown is what was known before")}
	case s.sweep.running() && m.frame > 2:
		return remark{role: dim, text: spinner(m.frame) + " working in the store"}
	case s.task.running() && m.frame > 2:
		return remark{role: dim, text: spinner(m.frame) + " measuring the store"}
	case marked > 0 && s.pinnedAmong():
		return remark{warn, fmt.Sprintf("%d marked, one of them pinned", marked), "P on that one lets it go, space unmarks it"}
	case marked > 0:
		return remark{accent, fmt.Sprintf("%d marked, at least %s", marked, app.BytesText(unique)), "x removes what is marked, esc unmarks"}
	case s.use != nil && s.use.Disk != nil && s.use.Disk.ReadOnly:
		return remark{warn, "the disk of the store is mounted read-only", "what is here can be read; nothing can be removed or fetched"}
	}
	return remark{}
}

// sweepQuestion says exactly what goes, and what stays and why.
func sweepQuestion(q sweeping, r *app.SweepReport) []string {
	text := []string{"This frees " + app.BytesText(r.Freed) + ":"}
	if r.Freed == 0 {
		text[0] = "This removes:"
	}
	const most = 6
	for i, b := range r.Branches {
		if i == most && len(r.Branches) > most+1 {
			text = append(text, fmt.Sprintf("  and %d branches more", len(r.Branches)-most))
			break
		}
		text = append(text, "  "+b.Ref())
	}
	small := 0
	for _, t := range r.Removed {
		switch t.Kind {
		case "snapshot", "branch":
		case "blob", "partial":
			text = append(text, "  "+sweptThing(t))
		default:
			small += t.Files
		}
	}
	if small > 0 {
		text = append(text, "  "+plural(small, "small file", "small files")+" beside them")
	}
	switch {
	case q.partial:
		text = append(text, "What was begun begins again when it is fetched.")
	case q.young:
		text = append(text, "No branch uses them, and they came less than a day ago:", "a fetch that was stopped would go on with them.")
	}
	for _, k := range r.Kept {
		if k.Bytes > 0 || k.Kind == "branch" {
			text = append(text, "It keeps "+sweptThing(k)+": "+k.Why+".")
		}
	}
	if r.Linked > 0 {
		text = append(text, app.BytesText(r.Linked)+" of it stay on the disk: other folders have the same files.")
	}
	return append(text, "", "$ "+q.command())
}

func sweptThing(t app.SweepTotal) string {
	switch t.Kind {
	case "snapshot":
		return plural(t.Files, "branch", "branches")
	case "blob":
		return plural(t.Files, "file", "files") + " of " + app.BytesText(t.Bytes)
	case "partial":
		return plural(t.Files, "unfinished file", "unfinished files") + " of " + app.BytesText(t.Bytes)
	}
	return plural(t.Files, "small file", "small files")
}

// sweptText is how much has gone.
func sweptText(r *app.SweepReport) string {
	if n, _ := r.Count("snapshot"); n > 0 {
		return ": " + plural(n, "branch", "branches") + " removed"
	}
	if n, _ := r.Count("partial"); n > 0 {
		return ": " + plural(n, "unfinished file", "unfinished files") + " removed"
	}
	if n, _ := r.Count("blob"); n > 0 {
		return ": " + plural(n, "file", "files") + " removed"
	}
	return ""
}

// keptText says what a removal left alone, in a few words.
func keptText(r *app.SweepReport) string {
	var parts []string
	for _, k := range r.Kept {
		if k.Bytes > 0 {
			parts = append(parts, sweptThing(k)+": "+k.Why)
		}
	}
	if r.Outdated > 0 {
		parts = append(parts, plural(r.Outdated, "commit", "commits")+" that branches have left, for x to remove")
	}
	if parts == nil {
		return ""
	}
	return "kept " + strings.Join(parts, "; ")
}

// clicked puts the cursor on a row.
func (s *storeScreen) clicked(_ *model, x, y, w, h int) tea.Cmd {
	if i, ok := rowOf(w, h, sideWidth(w), tellHeight(h), len(s.rows()), s.cursor, x, y); ok {
		s.cursor = i
	}
	return nil
}
