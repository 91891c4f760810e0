package tui

import (
	"context"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// detailScreen shows everything that is known of a branch, section by section.
type detailScreen struct {
	ref    app.Ref
	task   task
	shown  *app.Shown // the last good one; nil = nothing is known
	partly bool       // shown is what the table of branches knows
	err    error      // of the last attempt

	section int
	cursors [sections]int
}

// The sections.
const (
	parametersSection = iota
	findingsSection
	memorySection
	enginesSection
	filesSection
	cardSection
	siblingsSection
	sections
)

// detailMsg is all that is known of a branch.
type detailMsg struct {
	gen   int
	shown *app.Shown
	err   error
}

// open shows a branch, in the section that was open last.
func (s *detailScreen) open(m *model, ref app.Ref) tea.Cmd {
	ref.Revision = ref.RevisionOrMain()
	if s.ref != ref {
		s.task.abandon()
		*s = detailScreen{ref: ref, task: s.task, section: s.section}
		s.guess(m)
	}
	m.show(onDetail)
	return s.refresh(m)
}

// guess shows what the table of branches knows until more does.
func (s *detailScreen) guess(m *model) {
	b := &m.branches
	for _, r := range b.all() {
		if b.ref(r.Branch) != s.ref || b.stored {
			continue
		}
		s.partly, s.shown = true, &app.Shown{Target: s.ref.String(), From: app.ShownHub, Repo: s.ref.Repo.String(), Branch: r}
		for _, other := range b.all() {
			s.shown.Siblings = append(s.shown.Siblings, other.Branch)
		}
		if f := b.fits[r.Branch]; f != nil {
			s.shown.Estimate, s.shown.Findings, s.shown.Unread = f.Estimate, f.Findings, f.Unread
			for _, e := range f.Engines {
				s.shown.Engines = append(s.shown.Engines, app.ProgramVerdict{ID: e.ID, Name: e.Name, Loads: e.Loads, Why: e.Why})
			}
		}
		for _, n := range b.notes() {
			if n.Branch == "" || n.Branch == r.Branch {
				s.shown.Notes = append(s.shown.Notes, n)
			}
		}
	}
}

func (s *detailScreen) refresh(m *model) tea.Cmd {
	m.frame = 0
	ctx, gen := s.task.begin(m.work.ctx)
	back, ref, o := m.back, s.ref, m.measured()
	return m.work.command(ctx, func(ctx context.Context) tea.Msg {
		shown, err := back.Show(ctx, app.Target{Ref: ref}, o)
		return detailMsg{gen, shown, err}
	})
}

// measured is what a branch is measured against when it is asked for alone: this
// machine's memory has to be named then.
func (m *model) measured() app.FitOptions {
	o := m.plan.options(m.machine)
	if o.VRAM == "" && len(o.GPUs) == 0 {
		o.VRAM = "auto"
	}
	return o
}

func (s *detailScreen) loaded(msg detailMsg) {
	if !s.task.ended(msg.gen) {
		return
	}
	if s.err = msg.err; msg.err == nil && msg.shown != nil {
		s.shown, s.partly = msg.shown, false
	}
}

// local is what is here of the branch.
func (s *detailScreen) local(m *model) app.LocalState {
	if s.shown == nil {
		return m.localOf(s.ref, app.LocalNone)
	}
	return m.localOf(s.ref, s.shown.Branch.Local)
}

func (s *detailScreen) head(*model) (string, string) { return s.ref.String(), "" }

// at is the row under the cursor.
func (s *detailScreen) at(n int) int { return max(0, min(s.cursors[s.section], n-1)) }

func (s *detailScreen) keys(m *model) []binding {
	enter, verify, generate := branchKeys(m, s.ref, s.local(m), true)
	n := s.sheet(m).n
	if s.section == siblingsSection && n > 0 {
		enter = bind("enter", "enter", s.follow().label, true, simply(s.walk))
	}
	return []binding{
		bind(moveKeys, "↑↓", "move", n > 1, func(_ *model, pressed string) tea.Cmd {
			s.cursors[s.section] = moved(s.at(n), pressed, n)
			return nil
		}),
		bind("right left tab shift+tab l h", "← →", "section", true, func(_ *model, pressed string) tea.Cmd {
			by := 1
			if pressed == "left" || pressed == "shift+tab" || pressed == "h" {
				by = sections - 1
			}
			s.section = (s.section + by) % sections
			return nil
		}),
		enter, verify, generate,
		bind("[ ]", "[ ]", "context, less or more", s.shown != nil, func(m *model, pressed string) tea.Cmd {
			planFields[1].step(m, map[string]int{"[": -1, "]": +1}[pressed])
			if cmd := m.branches.grade(m); cmd != nil && s.fit(m) != nil {
				return cmd
			}
			return s.refresh(m)
		}),
		bind("r", "r", "refresh, asking again", !s.task.running(), simply(s.refresh)).or("it is being asked for already"),
		copyKey(true, func(*model) app.Ref { return s.ref }),
		bind("esc", "esc", "back, transfers go on", true, simply(goBack)),
		helpKey("?", "?"),
		bind("q ctrl+c", "q", "quit", true, askQuit),
	}
}

// sibling is a branch or a repository that one can walk to.
type sibling struct {
	kind  string // "branch", "GGUF", "original", …
	name  string
	ref   app.Ref
	label string // what enter does
}

// siblings are the other forms of the model that can be named, then the other
// branches.
func (s *detailScreen) siblings() (out []sibling) {
	if s.shown == nil {
		return nil
	}
	seen := map[app.RepoID]bool{s.ref.Repo: true}
	add := func(kind, name string) {
		if ref, err := app.ParseRef(name); err == nil && !seen[ref.Repo] {
			seen[ref.Repo] = true
			out = append(out, sibling{kind, name, app.Ref{Repo: ref.Repo}, "its branches"})
		}
	}
	if c := s.shown.Card; c != nil {
		for _, r := range c.Repositories {
			add(r[0], r[1])
		}
		for _, base := range c.BaseModel {
			add("base model", base)
		}
	}
	for _, b := range s.shown.Siblings {
		if b != s.ref.Revision {
			out = append(out, sibling{"branch", b, app.Ref{Repo: s.ref.Repo, Revision: b}, "show it"})
		}
	}
	return out
}

// follow is the sibling under the cursor.
func (s *detailScreen) follow() sibling {
	all := s.siblings()
	if len(all) == 0 {
		return sibling{}
	}
	return all[s.at(len(all))]
}

// walk goes where the cursor is: to another branch, or to the branches of another
// repository.
func (s *detailScreen) walk(m *model) tea.Cmd {
	to := s.follow()
	if to.ref.Revision != "" {
		return s.open(m, to.ref)
	}
	s.task.abandon()
	trail := append(m.branches.trail, s.ref)
	m.show(onBranches)
	cmd := m.branches.open(m, to.ref)
	m.branches.trail = trail
	return cmd
}

// leave stops asking. The table's cursor goes to the branch that was looked at
// last.
func (s *detailScreen) leave(m *model) tea.Cmd {
	s.task.abandon()
	if b := &m.branches; b.repo == s.ref.Repo {
		b.want = s.ref.Revision
		b.seek()
		b.want = ""
	}
	return nil
}

func (s *detailScreen) status(m *model) remark {
	switch {
	case s.err != nil && s.shown != nil:
		return remark{bad, "✗ " + s.err.Error(), hintOr(s.err, "r tries again; shown is what was known before")}
	case s.task.running() && m.frame > 2:
		return remark{role: dim, text: spinner(m.frame) + " reading what is known of it"}
	case s.shown == nil:
		return remark{}
	}
	for _, n := range s.shown.Notes {
		switch n.Code {
		case "RESTRICTED":
			return remark{warn, n.Message, howToUnlock}
		case "OFFLINE":
			return remark{role: warn, text: n.Message}
		}
	}
	return remark{}
}

// command is the line that prints the section.
func (s *detailScreen) command(m *model) string {
	ref := s.ref.String()
	switch s.section {
	case memorySection:
		return strings.TrimSpace("qbranch fit " + ref + " --explain " + m.plan.flags())
	case enginesSection:
		return "qbranch show " + ref + " --engines"
	case filesSection:
		return "qbranch show " + ref + " --files"
	case cardSection:
		return "qbranch card " + ref
	case siblingsSection:
		if to := s.follow(); to.ref.Revision != "" {
			return "qbranch show " + to.ref.String()
		} else if to.label != "" {
			return "qbranch ls " + to.ref.Repo.String()
		}
	}
	return "qbranch show " + ref
}
