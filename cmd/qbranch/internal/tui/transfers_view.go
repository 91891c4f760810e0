package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// summary tells other screens how transfers go.
func (s *transfersScreen) summary() remark {
	queued := 0
	var now *transfer
	for _, t := range s.list {
		switch t.state {
		case transferQueued:
			queued++
		case transferRunning, transferStopping:
			now = t
		}
	}
	if now == nil {
		return remark{}
	}
	r := remark{role: accent, text: "↓ " + now.branch() + "  " + now.progressText()}
	if queued > 0 {
		r.hint = fmt.Sprintf("%d queued", queued)
	}
	return r
}

func (t *transfer) branch() string { return t.ref.RevisionOrMain() }

// progressText says in a line how far a transfer is and how fast.
func (t *transfer) progressText() string {
	switch {
	case t.state == transferQueued:
		return "queued"
	case t.state == transferStopping:
		return "stopping"
	case !t.planned:
		return "planning"
	}
	u := unitFor(t.total)
	all := u.of(t.total)
	return fmt.Sprintf("%4s  %s of %s %s  %s", percent(t.done, t.total), right(u.of(t.done), len(all)), all, u.name, t.speed())
}

// speed is the rate, the time left, or for how long nothing has come.
func (t *transfer) speed() string {
	if t.meter.stalled >= 5*time.Second {
		return fmt.Sprintf("no bytes for %d s", int(t.meter.stalled.Seconds()))
	}
	text := right(rate(t.meter.perSecond), 9)
	if left := t.meter.left(t.total - t.done); left != "" {
		text += "  " + left + " left"
	}
	return text
}

// outcome is a sign and a word for a transfer's state.
func (t *transfer) outcome() span {
	switch t.state {
	case transferQueued:
		return span{dim, "· queued"}
	case transferRunning:
		if !t.planned {
			return span{accent, "↓ planning"}
		}
		return span{accent, "↓ fetching"}
	case transferStopping:
		return span{warn, "◐ stopping"}
	case transferDone:
		return span{good, "● verified"}
	case transferStopped:
		return span{warn, "◐ stopped"}
	}
	return span{bad, "✗ failed"}
}

func (s *transfersScreen) body(_ *model, w, h int) []line {
	t := s.selected()
	if t == nil {
		return []line{say(plain, "   Nothing was fetched yet.")}
	}
	return split(w, h,
		pane{"Queue", s.table},
		pane{t.branch(), t.detail})
}

func (s *transfersScreen) table(w, h int) []line {
	largest, longest := int64(0), 20
	for _, t := range s.list {
		largest, longest = max(largest, t.total), max(longest, width(t.branch()))
	}
	u := unitFor(largest)
	const fixed = 3 + 2 + 8 + 2 + 7 + 2 + 11 // all but the name and the bar
	barWidth := min(w-fixed-longest, 24)
	if barWidth < 4 {
		barWidth = 0
	}
	cols := []column{
		{title: "Branch", cell: func(i int) span { return span{plain, s.list[i].branch()} }},
		{title: "Total " + u.name, width: 8, right: true, cell: func(i int) span {
			if s.list[i].total == 0 {
				return known("")
			}
			return span{plain, u.of(s.list[i].total)}
		}},
		{title: "On disk", width: max(barWidth+5, 7), cell: func(i int) span {
			t := s.list[i]
			return span{plain, bar(t.done, t.total, barWidth) + right(percent(t.done, t.total), max(5, 7-barWidth))}
		}},
		{title: "State", width: 11, cell: func(i int) span { return s.list[i].outcome() }},
	}
	cols[0].width = min(longest, w-tableWidth(cols))
	return table(cols, len(s.list), s.cursor, h)
}

// detail tells how the transfer under the cursor goes, and what happened last.
func (t *transfer) detail(w, h int) []line {
	out := fact("from", plain, t.ref.Repo.String(), w)
	switch t.state {
	case transferFailed:
		out = append(failure(t.err, w), say(plain, "   What is on disk stays; enter resumes."))
	case transferStopped:
		out = append(out, fact("stopped", warn, fmt.Sprintf("%s of %s on disk; enter resumes", app.BytesText(t.done), app.BytesText(t.total)), w)...)
	case transferDone:
		out = append(out, t.account(w)...)
	case transferQueued:
		out = append(out, fact("now", dim, "waits for the transfers before it", w)...)
	default:
		out = append(out, fact("now", accent, strings.TrimSpace(t.progressText()), w)...)
		out = append(out, fact("network", plain, fmt.Sprintf("%s, %s, %s on disk before",
			plural(int(t.conns), "connection", "connections"), plural(int(t.retries), "retry", "retries"), app.BytesText(t.kept)), w)...)
	}
	room := h - len(out) - len(wrapCommand(t.command(), w-4))
	return withCommand(append(out, t.latest(w, room)...), t.command(), w, h)
}

// latest draws the last entries of the log that fit h rows, each of them whole.
func (t *transfer) latest(w, h int) []line {
	var out []line
	for _, entry := range slices.Backward(t.log) {
		var rows []line
		for i, row := range wrap(entry.text, w-6) {
			indent := "   "
			if i > 0 {
				indent = "     "
			}
			rows = append(rows, line{{plain, indent}, {entry.role, row}})
		}
		if len(out)+len(rows) > h {
			break
		}
		out = append(rows, out...)
	}
	return out
}

func (t *transfer) command() string { return "qbranch get " + t.ref.String() }

// account says where the bytes of a finished transfer came from.
func (t *transfer) account(w int) []line {
	r := t.result
	if r == nil {
		return nil
	}
	out := fact("verified", good, fmt.Sprintf("%s in %s", app.BytesText(r.Plan.Bytes), duration(r.Elapsed)), w)
	text := app.BytesText(r.Received) + " fetched"
	for _, part := range []struct {
		n    int64
		what string
	}{
		{r.Refetched, "of it twice"}, {r.Kept, "kept from before"}, {r.Reused, "shared with other branches"},
	} {
		if part.n > 0 {
			text += ", " + app.BytesText(part.n) + " " + part.what
		}
	}
	return append(out, fact("bytes", plain, text, w)...)
}

// toTell reports whether a finding is worth the room: beside a verdict of good,
// one that asks for nothing would only cause doubt.
func toTell(f app.Finding) bool { return f.Severity != "info" }

// findingText says what was found and what to do about it.
func findingText(f app.Finding) string {
	text := f.Code + " " + f.Where + ": " + f.Message
	if f.Hint != "" {
		text += " (" + f.Hint + ")"
	}
	return text
}

func findingRole(f app.Finding) role {
	switch f.Severity {
	case "fatal":
		return bad
	case "warn":
		return warn
	}
	return dim
}
