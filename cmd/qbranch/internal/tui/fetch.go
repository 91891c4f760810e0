package tui

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// What enter, v and g mean for a branch is the same on every screen that shows
// one.

// localOf is what is here of a branch, by what this session knows: the listing is
// told of transfers and verifications that ended since. Otherwise it is what the
// caller was told.
func (m *model) localOf(ref app.Ref, otherwise app.LocalState) app.LocalState {
	ref.Revision = ref.RevisionOrMain()
	for _, r := range m.branches.all() {
		if m.branches.ref(r.Branch) == ref {
			return r.Local
		}
	}
	if t := m.transfers.find(ref); t != nil && t.state == transferDone && otherwise != app.LocalCorrupt {
		return app.LocalVerified
	}
	return otherwise
}

// fetchLabel is what enter does for a branch: "" is nothing.
func (m *model) fetchLabel(ref app.Ref, local app.LocalState) string {
	if m.transfers.find(ref).underWay() {
		return "watch"
	}
	switch local {
	case app.LocalVerified:
		return ""
	case app.LocalCorrupt:
		return "repair"
	case app.LocalPartial:
		return "resume"
	case app.LocalOutdated:
		return "update"
	}
	return "get"
}

// whyNotFetch says why keys do nothing for a branch, given what enter does for it.
func whyNotFetch(branch, label string) string {
	switch label {
	case "":
		return branch + " is here already: v verifies it, g generates with it"
	case "get":
		return "nothing of " + branch + " is here yet: enter fetches it"
	case "resume":
		return "only a part of " + branch + " is here: enter fetches the rest"
	case "repair":
		return "bytes of " + branch + " are corrupt: enter repairs them"
	case "watch":
		return branch + " is being fetched, or waits to be: enter shows it"
	}
	return ""
}

const howToUnlock = "accept the terms on the model's page, then set HF_TOKEN"

// cannotFetch says why what enter does for a branch cannot be done now; "" = it can.
func (m *model) cannotFetch(ref app.Ref, label string) string {
	b := &m.branches
	if label == "get" && b.repo == ref.Repo && b.listing != nil && b.listing.Restricted() != "" {
		return ref.RevisionOrMain() + " cannot be fetched without permission: " + howToUnlock
	}
	if m.offline && label != "" && label != "repair" && label != "watch" {
		return "offline: it cannot be fetched now; start again without --offline and HF_HUB_OFFLINE"
	}
	return ""
}

// fetch does what a label says.
func (m *model) fetch(ref app.Ref, label string) tea.Cmd {
	if label == "repair" {
		return m.verify.open(m, ref, true)
	}
	if fatal := m.against(ref); len(fatal) > 0 && label != "watch" {
		return m.askForce(ref, fatal)
	}
	cmd := m.transfers.add(m, ref)
	m.show(onTransfers)
	return cmd
}

// against are the fatal findings that are known to speak against fetching a branch,
// unless the user has said that it is to be fetched all the same.
func (m *model) against(ref app.Ref) []app.Finding {
	t := m.transfers.find(ref)
	var refused *app.FindingsError
	var all []app.Finding
	switch b := &m.branches; {
	case t != nil && t.force:
		return nil
	case t != nil && errors.As(t.err, &refused):
		all = refused.Findings
	case b.repo == ref.Repo && b.fits[ref.RevisionOrMain()] != nil:
		all = b.fits[ref.RevisionOrMain()].Findings
	case m.detail.ref == ref && m.detail.shown != nil:
		all = m.detail.shown.Findings
	}
	return slices.DeleteFunc(slices.Clone(all), func(f app.Finding) bool { return f.Severity != app.Fatal })
}

// askForce asks whether to fetch what fatal findings speak against.
func (m *model) askForce(ref app.Ref, fatal []app.Finding) tea.Cmd {
	text := []string{ref.String(), app.FindingText(fatal[0])}
	if n := len(fatal) - 1; n > 0 {
		text[1] += fmt.Sprintf(", and %d more", n)
	}
	pickle := app.Pickled(fatal)
	if pickle {
		text = append(text, "Pickles can run code when a program loads them. Here they are never opened.")
	}
	m.over = &question{text: text, ask: "Fetch it all the same?", yes: func(m *model) tea.Cmd {
		cmd := m.transfers.force(m, ref, pickle)
		m.show(onTransfers)
		return cmd
	}}
	return nil
}

// branchKeys are enter, v and g for a branch; on is that there is one.
func branchKeys(m *model, ref app.Ref, local app.LocalState, on bool) (enter, verify, generate binding) {
	label := m.fetchLabel(ref, local)
	here := on && (label == "" || label == "repair" || label == "update")
	why := whyNotFetch(ref.RevisionOrMain(), label)
	off := m.cannotFetch(ref, label)
	enter = bind("enter", "enter", orAny(label, "get"), on && label != "" && off == "", simply(func(m *model) tea.Cmd { return m.fetch(ref, label) })).or(cmp.Or(off, why))
	verify = bind("v", "v", "verify, every byte against its hash", here, simply(func(m *model) tea.Cmd { return m.verify.open(m, ref, false) })).or(why)
	generate = bind("g", "g", "generate, text from a prompt", here && label != "repair", simply(func(m *model) tea.Cmd { return m.generate.open(m, ref) })).or(why)
	return enter, verify, generate
}

// reread reads the store again for the screens on the way back: what they show is
// of before a transfer, a verification or a removal ended.
func (m *model) reread() tea.Cmd {
	var cmds []tea.Cmd
	for _, id := range m.way {
		switch id {
		case onDetail:
			cmds = append(cmds, m.detail.refresh(m))
		case onCompare:
			cmds = append(cmds, m.compare.refresh(m))
		case onStore:
			cmds = append(cmds, m.store.refresh(m))
		}
	}
	return tea.Batch(cmds...)
}

// commandFor is the command line that does what enter does, or for a branch that
// is here, what g does.
func commandFor(ref app.Ref, local app.LocalState) string {
	switch local {
	case app.LocalVerified:
		return "qbranch gen " + ref.String() + ` -p "…"`
	case app.LocalCorrupt:
		return "qbranch verify " + ref.String() + " --repair"
	}
	return "qbranch get " + ref.String()
}

// grey is how what may no longer be so is drawn.
func grey(ls []line) []line {
	for i, l := range ls {
		all := ""
		for _, s := range l {
			all += s.text
		}
		ls[i] = say(dim, strings.TrimRight(all, " "))
	}
	return ls
}
