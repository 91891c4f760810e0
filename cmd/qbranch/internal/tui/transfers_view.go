package tui

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// summary tells other screens how transfers go, and what an earlier session left.
func (s *transfersScreen) summary(key string) remark {
	queued, left := 0, 0
	var now *transfer
	for _, t := range s.list {
		switch t.state {
		case transferQueued:
			queued++
		case transferRunning, transferStopping:
			if now == nil || now.paused {
				now = t
			}
		case transferStopped:
			left++
		}
	}
	switch {
	case now != nil:
		r := remark{role: accent, text: "↓ " + now.branch() + "  " + now.progressText()}
		if queued > 0 {
			r.hint = fmt.Sprintf("%d queued", queued)
		}
		return r
	case s.offer && left > 0:
		return remark{warn, "◐ " + plural(left, "transfer", "transfers") + " can be resumed: " + key + " shows " + map[bool]string{true: "it", false: "them"}[left == 1], ""}
	}
	return remark{}
}

func (t *transfer) branch() string { return t.ref.RevisionOrMain() }

// progressText says in a line how far a transfer is and how fast.
func (t *transfer) progressText() string {
	if text := t.amount(); text != "" && t.planned && t.state != transferQueued {
		return fmt.Sprintf("%4s  %s  %s", percent(t.done, t.total), text, t.pace().text)
	}
	return t.pace().text
}

// amount is what is on disk, of how much.
func (t *transfer) amount() string {
	if t.total <= 0 {
		return ""
	}
	u := unitFor(t.total)
	all := u.of(t.total)
	return fmt.Sprintf("%s of %s %s", right(u.of(t.done), len(all)), all, u.name)
}

// pace says what happens now: the rate and the time left, or what is in the way.
func (t *transfer) pace() span {
	now := t.wait.now
	switch {
	case t.state == transferQueued:
		return span{dim, "waits for the transfers before it"}
	case t.state == transferStopping:
		return span{warn, "stopping"}
	case t.state == transferElsewhere:
		by := fmt.Sprintf("another qbranch (pid %d) is writing this: read only here", t.pid)
		if t.meter.perSecond >= 1 {
			by = strings.TrimSpace(rate(t.meter.perSecond)) + ", by another qbranch (pid " + fmt.Sprint(t.pid) + "): read only here"
		}
		return span{warn, by}
	case t.waited:
		return span{warn, "was queued when the program ended; enter fetches it"}
	case t.state == transferStopped:
		text := "stopped; enter resumes"
		if t.left && !t.begun.IsZero() {
			text += "; begun " + t.begun.Local().Format("2006-01-02 15:04")
		}
		return span{warn, text}
	case t.wait.full != "":
		return span{bad, "the disk is full; goes on when there is space"}
	case t.paused:
		return span{warn, "paused; space goes on"}
	case t.waits() && t.wait.again:
		return span{warn, "no answer, trying again in " + duration(t.wait.until.Sub(now).Round(time.Second)) + ": " + t.wait.why}
	case t.waits():
		return span{warn, "waiting " + duration(t.wait.until.Sub(now).Round(time.Second)) + " for " + t.wait.why}
	case t.quiet():
		return span{warn, "no answer from " + t.wait.quiet + " for " + duration(now.Sub(t.wait.since).Round(time.Second))}
	case !t.planned:
		return span{accent, "planning"}
	case t.done >= t.total && t.total > 0:
		return span{accent, "checking the last bytes"}
	case t.meter.stalled >= 5*time.Second && t.wait.others != "":
		return span{warn, "another fetch is bringing " + path.Base(t.wait.others)}
	case t.meter.stalled >= noBytes:
		return span{warn, fmt.Sprintf("no bytes for %d s", int(t.meter.stalled.Seconds()))}
	}
	text := right(rate(t.meter.perSecond), 9)
	if left := t.meter.left(t.total - t.done); left != "" {
		text += "  " + left + " left"
	}
	return span{accent, text}
}

// noBytes is after how long without bytes that is said, and no rate any more.
const noBytes = 3 * time.Second

// waits reports whether the transfer as a whole waits for the hub: one connection
// may, while others bring bytes.
func (t *transfer) waits() bool {
	return t.wait.until.After(t.wait.now) && (!t.planned || t.meter.stalled >= 2*time.Second)
}

// quiet reports whether nothing comes since a host does not answer.
func (t *transfer) quiet() bool {
	return t.wait.quiet != "" && (!t.planned || t.meter.stalled >= 2*time.Second)
}

// outcome is a sign and a word for a transfer's state.
func (t *transfer) outcome() span {
	switch t.state {
	case transferQueued:
		return span{dim, "· queued"}
	case transferRunning:
		return t.runningOutcome()
	case transferStopping:
		return span{warn, "◐ stopping"}
	case transferDone:
		return span{good, "● verified"}
	case transferStopped:
		if t.waited {
			return span{dim, "· was queued"}
		}
		return span{warn, "◐ stopped"}
	case transferElsewhere:
		return span{warn, fmt.Sprintf("↓ pid %d", t.pid)}
	}
	return span{bad, "✗ failed"}
}

func (t *transfer) runningOutcome() span {
	switch {
	case t.wait.full != "":
		return span{bad, "! disk full"}
	case t.paused:
		return span{warn, "◐ paused"}
	case t.waits():
		return span{warn, "· waiting"}
	case t.quiet():
		return span{warn, "· waiting"}
	case !t.planned:
		return span{accent, "↓ planning"}
	case t.meter.stalled >= noBytes:
		return span{warn, "· stalled"}
	}
	return span{accent, "↓ fetching"}
}

func (s *transfersScreen) head(m *model) (string, string) {
	count, paused := map[transferState]int{}, 0
	for _, t := range s.list {
		if t.state == transferRunning && t.paused {
			paused++
			continue
		}
		count[t.state]++
	}
	var parts []string
	for _, p := range []struct {
		state transferState
		word  string
	}{
		{transferRunning, "running"}, {transferStopping, "stopping"}, {transferQueued, "queued"},
		{transferDone, "done"}, {transferStopped, "stopped"}, {transferFailed, "failed"}, {transferElsewhere, "elsewhere"},
	} {
		if n := count[p.state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, p.word))
		}
	}
	if paused > 0 {
		parts = append(parts, fmt.Sprintf("%d paused", paused))
	}
	return "Transfers", strings.Join(parts, " · ")
}

// gauge tells what holds for all transfers.
func (s *transfersScreen) gauge(_ *model, w int) line {
	limit, most := "none", fmt.Sprintf("automatic, up to %d", app.DefaultConnections)
	if n := s.inUse(); n > 0 {
		most = fmt.Sprintf("%d (%s)", n, most)
	}
	if s.limit > 0 {
		limit = rate(float64(s.limit))
	}
	if s.most > 0 {
		most = fmt.Sprintf("at most %d", s.most)
	}
	l := line{{dim, " limit "}, {plain, limit}, {dim, "   connections "}, {plain, most}}
	r := line{{plain, " "}}
	if s.free > 0 {
		r = line{{dim, "disk "}, {plain, app.BytesText(s.free) + " free "}}
	}
	return ends(l, r, w)
}

func (s *transfersScreen) body(_ *model, w, h int) []line {
	t := s.selected()
	if t == nil {
		return []line{say(plain, "   Nothing is being fetched."), nil,
			say(dim, "   On a branch, enter fetches it; space marks several, and they queue here."),
			say(dim, "   What was stopped, in this session or before, is gone on with here.")}
	}
	queue := s.queueHeight(h)
	out := exactly(s.table(w, queue), queue)
	out = append(out, rule(w, t.branch()))
	return append(out, exactly(s.detail(t, w, h-queue-1), h-queue-1)...)
}

// queueHeight is how many rows the queue has, its head included.
func (s *transfersScreen) queueHeight(h int) int { return 1 + min(len(s.list), max(2, h/4)) }

// clicked moves the cursor to a row of the queue.
func (s *transfersScreen) clicked(_ *model, _, y, _, h int) tea.Cmd {
	if i, ok := rowAt(len(s.list), s.cursor, s.queueHeight(h), y); ok {
		s.cursor = i
	}
	return nil
}

func (s *transfersScreen) table(w, h int) []line {
	largest, longest, repo := int64(0), 20, 0
	several := slices.ContainsFunc(s.list, func(t *transfer) bool { return t.ref.Repo != s.list[0].ref.Repo })
	for _, t := range s.list {
		largest, longest, repo = max(largest, t.total), max(longest, width(t.branch())), max(repo, width(t.ref.Repo.String()))
	}
	u := unitFor(largest)
	bars := column{title: "On disk", width: 7}
	cols := []column{
		{title: "Branch", cell: func(i int) span { return span{plain, s.list[i].branch()} }},
		{title: "Total " + u.name, width: 8, right: true, cell: func(i int) span {
			if s.list[i].total == 0 {
				return known("")
			}
			return span{plain, u.of(s.list[i].total)}
		}},
		bars,
		{title: "State", width: 13, cell: func(i int) span { return s.list[i].outcome() }},
	}
	if w >= wideFrom {
		cols = append(cols, column{title: "Rate", width: 10, right: true, cell: func(i int) span { return s.list[i].speed() }},
			column{title: "Left", width: 8, right: true, cell: func(i int) span { return s.list[i].timeLeft() }})
	}
	if several {
		cols = slices.Insert(cols, 1, s.repoColumn(w-tableWidth(cols), longest, repo))
	}
	cols[0].width = 0
	free := w - tableWidth(cols) // of the name and the bar
	cols[0].width = max(8, min(longest, free))
	barWidth := min(free-cols[0].width, max(24, w/4))
	if barWidth < 4 {
		barWidth = 0
	}
	i := slices.IndexFunc(cols, func(c column) bool { return c.title == bars.title })
	cols[i].width = max(barWidth+5, 7)
	cols[i].cell = func(i int) span {
		t := s.list[i]
		return span{plain, bar(t.done, t.total, barWidth) + right(percent(t.done, t.total), max(5, 7-barWidth))}
	}
	return table(cols, len(s.list), s.cursor, h)
}

// repoColumn names the repositories beside branches of such a length, in so much
// room with them; without the owners where that would not fit.
func (s *transfersScreen) repoColumn(room, branch, repo int) column {
	most := max(12, room-branch-2)
	return column{title: "Repository", width: min(repo, most), cell: func(i int) span {
		r := s.list[i].ref.Repo
		if repo > most {
			return span{dim, r.Name}
		}
		return span{dim, r.String()}
	}}
}

// moves reports whether bytes come.
func (t *transfer) moves() bool {
	return t.is(transferRunning, transferElsewhere) && !t.paused && t.meter.stalled < noBytes && t.meter.perSecond >= 1
}

func (t *transfer) speed() span {
	if !t.moves() {
		return span{dim, "–"}
	}
	return span{plain, strings.TrimSpace(rate(t.meter.perSecond))}
}

func (t *transfer) timeLeft() span {
	left := t.meter.left(t.total - t.done)
	if !t.moves() || left == "" {
		return span{dim, "–"}
	}
	return span{plain, left}
}

// detail tells how the transfer under the cursor goes. As the room falls, the
// connections go first, then the map, then the files.
func (s *transfersScreen) detail(t *transfer, w, h int) []line {
	out := t.summaryLines(w)
	command := s.commandOf(t)
	room := h - len(out) - len(wrapCommand(command, w-4))
	switch {
	case room < 1:
	case s.showLog && t.active(), len(t.look.files) == 0:
		out = append(out, t.latest(w, room)...)
	default:
		out = append(out, t.closeUp(w, room)...)
	}
	return withCommand(out, command, w, h)
}

// summaryLines say in two rows, or as many as an error takes, how far it is.
func (t *transfer) summaryLines(w int) []line {
	amount := line{{plain, t.amount()}, {accent, right(percent(t.done, t.total), 6)}, {plain, " "}}
	if t.total <= 0 {
		amount = nil
	}
	out := []line{ends(line{{plain, "   "}, {title, t.ref.Repo.String()}}, amount, w)}
	switch t.state {
	case transferFailed:
		out = append(out, failure(t.err, w)...)
		for i, r := range t.removable {
			label := ""
			if i == 0 {
				label = "3 frees"
			}
			out = append(out, fact(label, plain, r, w)...)
		}
		if t.refused() && !t.force {
			return append(out, say(plain, "   enter asks whether to fetch it all the same; x takes it off this list."))
		}
		if !app.Resumable(t.err) {
			return append(out, say(plain, "   Trying again will not help as long as that is so; x takes it off this list."))
		}
		return append(out, say(plain, "   What is on disk stays; enter resumes."))
	case transferDone:
		return append(out, t.account(w)...)
	}
	p := t.pace()
	var more string
	if t.is(transferRunning) && p.role == accent { // nothing is in the way, which would be said in full
		if t.history.peak > 0 && w >= 72 {
			more = "  peak " + rate(t.history.peak)
		}
		if t.retries > 0 {
			more += "  " + plural(int(t.retries), "retry", "retries")
		}
	}
	l := say(plain, "   ")
	const least = 8 // of the bar; a reason is worth more
	room := w - 3 - 2 - width(p.text) - width(more) - 1
	if room >= least {
		l = append(l, span{accent, bar(t.done, t.total, min(room, w/3))}, span{plain, "  "})
	}
	l = append(l, p, span{dim, more})
	if rest := w - l.width() - 3; rest >= 10 && len(t.history.seconds) > 0 && t.is(transferRunning, transferStopping, transferElsewhere) {
		l = append(l, span{plain, "  "}, span{accent, sparkline(t.history.seconds, min(rest, historyLength))})
	}
	return append(out, l)
}

// sparkline draws the last n values, scaled by the largest of them.
func sparkline(values []float64, n int) string {
	values = values[max(0, len(values)-n):]
	top := slices.Max(values)
	signs := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, v := range values {
		i := 0
		if top > 0 {
			i = min(int(v/top*float64(len(signs))), len(signs)-1)
		}
		b.WriteRune(signs[max(i, 0)])
	}
	return b.String()
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

// account says where the bytes of a finished transfer came from.
func (t *transfer) account(w int) []line {
	r := t.result
	if r == nil {
		return []line{say(good, "   ● here and verified")}
	}
	text := fmt.Sprintf("%s in %s", app.BytesText(r.Plan.Bytes), duration(r.Elapsed))
	if s := r.Elapsed.Seconds(); s > 0 && r.Received > 0 {
		text += ", " + strings.TrimSpace(rate(float64(r.Received)/s))
	}
	out := fact("verified", good, text, w)
	text = app.BytesText(r.Received) + " fetched"
	for _, part := range []struct {
		n    int64
		what string
	}{
		{r.Refetched, "of it twice"}, {r.Kept, "kept from before"}, {r.Reused, "shared with other branches"}, {r.Adopted, "taken from this machine"},
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
	text := f.Where + ": " + f.Message
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
