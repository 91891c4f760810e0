package tui

import "github.com/qbranch/qbranch/cmd/qbranch/internal/app"

// tour leads a newcomer through the whole job, by a line below the screen that
// says the next step and the keys of it: browse, plan, get, verify, generate.
// Steps that are done are not asked for again, in whatever order they are done.
type tour struct {
	on                                         bool
	browsed, planned, got, verified, generated bool
}

// note takes note of what the user has done. It is called after every message.
func (t *tour) note(m *model) {
	if !t.on {
		return
	}
	b := &m.branches
	t.browsed = t.browsed || b.cursor > 0 || b.planner.open || m.top() != onBranches && m.top() != onStart
	t.planned = t.planned || b.planner.open
	for _, r := range b.all() {
		t.got = t.got || r.Local == app.LocalVerified
	}
	t.verified = t.verified || m.verify.ready()
	t.generated = t.generated || m.generate.result != nil
}

// says is the next step, for somebody who sees the screen that is shown.
func (t *tour) says(m *model) remark {
	at := m.top()
	say := func(text, keys string) remark { return remark{role: accent, text: text, hint: keys} }
	switch {
	case !t.on:
		return remark{}
	case m.branches.planner.open && at == onBranches:
		return say("2 of 5, plan: Fit and VRAM follow what you choose here.", "← → change a value, ↑↓ choose another, esc closes; then enter fetches")
	case at == onGenerate && t.got && !t.generated && m.generate.ref == (app.Ref{}):
		return say("5 of 5, generate: choose which branch is to write.", "enter runs the one under the cursor")
	case at == onGenerate && t.got && !t.generated:
		return say("5 of 5, generate: type: Write a story about llamas", "enter sends it; this program makes the text, on this machine")
	case !t.browsed:
		return say("1 of 5, browse: each row is a branch with its own quant.", "↑↓ move; d shows everything about one, esc leads back")
	case !t.planned && !t.got && m.transfers.active() == 0:
		return say("2 of 5, plan: would it fit another card, or more context?", toBranches(m, "p plans; choose with the arrow keys and watch the table"))
	case !t.got && m.transfers.active() > 0:
		return say("3 of 5, get: it is fetched, and hashed as it comes.", "esc goes back and it goes on; quit, and the next start resumes it")
	case !t.got:
		return say("3 of 5, get: fetch the branch under the cursor.", toBranches(m, "enter fetches; space marks several"))
	case !t.verified:
		return say("4 of 5, verify: are the bytes on the disk still right?", toBranch(m, "v verifies every byte against its hash"))
	case !t.generated:
		return say("5 of 5, generate: let the branch write something.", toBranch(m, "g opens the prompt"))
	}
	return say("That was all of it. Any other model: qbranch OWNER/NAME", "? explains every key; q quits (ctrl+c while typing)")
}

// toBranches says how to come to the table first, where one is elsewhere.
func toBranches(m *model, keys string) string {
	switch {
	case m.top() == onBranches:
		return keys
	case m.typing():
		return "alt+1 leads back to the table; there " + keys
	}
	return "1 leads back to the table; there " + keys
}

// toBranch is the same for keys that work on every screen that has branches.
func toBranch(m *model, keys string) string {
	switch m.top() {
	case onTransfers, onDetail, onVerify, onStore:
		return keys
	}
	return toBranches(m, "choose a row with ●: "+keys)
}
