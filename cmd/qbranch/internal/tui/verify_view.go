package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (s *verifyScreen) body(m *model, w, h int) []line {
	name := "Files"
	if n := len(s.files); n > 0 {
		name = fmt.Sprintf("Files %d", n)
	}
	verdict := "Verdict"
	if s.task.running() {
		verdict = map[inquiry]string{checkRepair: "Repairing", checkProve: "Proving"}[s.what]
		verdict = orAny(verdict, "Checking")
	}
	return splitAt(w, h, max(48, w*2/5), max(lowHeight(h), h/2), pane{name, s.table},
		pane{verdict, func(w, h int) []line { return s.verdict(m, w, h) }})
}

func (s *verifyScreen) table(w, h int) []line {
	largest := int64(0)
	for _, f := range s.files {
		largest = max(largest, f.Size)
	}
	u := unitFor(largest)
	cols := []column{
		{title: "File", cell: func(i int) span { return span{plain, s.files[i].Path} }},
		{title: "Size " + u.name, width: 8, right: true, cell: func(i int) span { return span{plain, u.of(s.files[i].Size)} }},
		{title: "Checked by", width: 16, cell: func(i int) span { return span{dim, s.files[i].Checked} }},
		{title: "Verdict", width: 9, cell: func(i int) span { return fileVerdict(s.files[i]) }},
	}
	if w < 72 {
		cols = slices.Delete(cols, 2, 3)
	}
	cols[0].width = min(44, w-tableWidth(cols))
	return table(cols, len(s.files), s.cursor, h)
}

func fileVerdict(f app.FileCheck) span {
	switch {
	case f.OK:
		return span{good, "✓ good"}
	case f.Missing:
		return span{bad, "✗ missing"}
	}
	return span{bad, "✗ bad"}
}

// check is a step of an inquiry and how it went.
type check struct {
	sign span
	name string
	text string
}

// step makes a check: waiting, running, or with an outcome.
func step(name string, state int, text string) check {
	return check{[]span{{dim, "·"}, {accent, "▸"}, {good, "✓"}, {warn, "~"}, {bad, "✗"}}[state], name, text}
}

const (
	stepWaits = iota
	stepRuns
	stepGood
	stepDoubt
	stepBad
)

// checks are the steps, in their order; room is how many rows there are.
func (s *verifyScreen) checks(m *model, room int) []check {
	out := []check{s.bytesCheck(m), s.judged()}
	if r := s.recovered(); r != nil {
		out = append(out, step("tensors", stepGood, "by themselves "+app.RecoveredText(*r)))
	}
	if s.what == checkProve {
		out = append(out, s.ran(room-len(out)-runMargin)...)
	}
	return out
}

func (s *verifyScreen) recovered() *app.Recovered {
	switch {
	case s.proof != nil:
		return s.proof.Recovered
	case s.report != nil:
		return s.report.Recovered
	}
	return nil
}

// bytesCheck is how the reading went.
func (s *verifyScreen) bytesCheck(m *model) check {
	reading := s.task.running() && (s.total == 0 || s.done < s.total)
	bad := 0
	for _, f := range s.files {
		if !f.OK {
			bad++
		}
	}
	switch {
	case bad > 0:
		return step("bytes", stepBad, fmt.Sprintf("%d of %s bad", bad, plural(len(s.files), "file", "files")))
	case reading && s.total > 0:
		return step("bytes", stepRuns, bar(s.done, s.total, 16)+right(percent(s.done, s.total), 5)+" of "+app.BytesText(s.total))
	case reading:
		return step("bytes", stepRuns, spinner(m.frame)+" reading")
	case s.stopped || !s.ready() && !s.task.running():
		return step("bytes", stepWaits, "")
	}
	text := app.BytesText(max(s.total, s.done)) + " in " + plural(len(s.files), "file", "files") + " as published"
	if r := s.report; r != nil && r.Elapsed > 0 {
		text += fmt.Sprintf(", %s, %s", duration(r.Elapsed), rate(float64(r.Bytes)/r.Elapsed.Seconds()))
	}
	return step("bytes", stepGood, text)
}

// badBytes is the finding that the files' own rows tell better.
const badBytes = "D1"

// judged is what configuration, headers and tensors say of one another.
func (s *verifyScreen) judged() check {
	count := map[string]int{}
	for _, f := range s.findings {
		if f.Code != badBytes && f.Code != app.RunCode {
			count[string(f.Severity)]++
		}
	}
	switch {
	case count["fatal"] > 0:
		return step("judged", stepBad, plural(count["fatal"], "contradiction", "contradictions")+" that no program survives")
	case count["warn"] > 0:
		return step("judged", stepDoubt, plural(count["warn"], "warning", "warnings"))
	case s.ready() && !s.corrupt():
		return step("judged", stepGood, "configuration, headers and tensors agree")
	case s.task.running() && s.total > 0 && s.done >= s.total:
		return step("judged", stepRuns, "configuration against tensors")
	}
	return step("judged", stepWaits, "configuration against tensors")
}

// runMargin is the rows of a proof that are no steps: verdict, command, breaks
// of lines.
const runMargin = 6

// ran is what the run showed, each signal with its bound where there is room;
// without it those that speak against the branch, and how many others there are.
func (s *verifyScreen) ran(room int) []check {
	if s.proof == nil {
		state := stepWaits
		if s.task.running() && s.total > 0 && s.done >= s.total {
			state = stepRuns
		}
		return []check{step("run", state, "texts read and written, on the CPU")}
	}
	var out []check
	if s.proof.CannotRun != "" {
		out = append(out, step("run", stepDoubt, s.proof.CannotRun))
	}
	if len(s.proof.Signals) == 0 && len(out) == 0 {
		return []check{step("run", stepBad, "it could not be run")}
	}
	within, unknown := 0, 0
	for _, x := range s.proof.Signals {
		state, ok := map[string]int{app.SignalSuspect: stepDoubt, app.SignalBroken: stepBad}[x.Verdict]
		value, bound := x.Numbers()
		switch {
		case ok:
			out = append(out, step("run", state, app.SignalName(x)+" "+app.SignalText(x)))
		case value == "":
			unknown++
		case len(s.proof.Signals) <= room:
			out = append(out, step("run", stepGood, app.SignalName(x)+" "+value+", "+bound))
		default:
			within++
		}
	}
	if within > 0 {
		out = append(out, step("run", stepGood, plural(within, "signal", "signals")+" within bounds"))
	}
	if unknown > 0 {
		out = append(out, step("run", stepWaits, plural(unknown, "signal", "signals")+" not measured"))
	}
	for i := range out[1:] {
		out[1+i].name = ""
	}
	return out
}

// verdict shows the verdict once there is one, the steps as they pass, then what
// was found; bad ranges of the file under the cursor first.
func (s *verifyScreen) verdict(m *model, w, h int) []line {
	out := s.conclusion(w)
	for _, c := range s.checks(m, h) {
		rows := wrap(c.text, w-16)
		for i, row := range rows {
			l := line{{plain, strings.Repeat(" ", 15)}, {plain, row}}
			if i == 0 {
				l = line{{plain, " "}, c.sign, {plain, " " + left(c.name, 12)}, {plain, row}}
			}
			out = append(out, l)
		}
	}
	if s.cursor < len(s.files) {
		if f := s.files[s.cursor]; !f.OK {
			out = append(out, fact("bad", bad, f.Path+" "+badRanges(f), w)...)
		}
	}
	for _, f := range s.findings {
		if toTell(f) && f.Code != badBytes && f.Code != app.RunCode {
			out = append(out, fact(f.Code, findingRole(f), findingText(f), w)...)
		}
	}
	for _, l := range s.fetched {
		out = append(out, fact("repair", l.role, l.text, w)...)
	}
	return withCommand(out, s.command(m), w, h)
}

// conclusion is the verdict in a line, and what to do next.
func (s *verifyScreen) conclusion(w int) []line {
	switch {
	case s.task.running():
		return nil
	case s.stopped:
		return concluded(warn, "◐", "stopped", "r starts again", w)
	case s.err != nil && !s.corrupt():
		return failure(s.err, w)
	case s.corrupt():
		return concluded(bad, "✗", "corrupt", "enter fetches the bad parts again, and only those", w)
	case s.proof != nil:
		return s.proved(w)
	case s.report == nil:
		return nil
	case !s.report.OK:
		return concluded(bad, "✗", "unsound", "the bytes are as published, but contradict each other", w)
	case s.report.Repaired > 0:
		return concluded(good, "✓", "good", app.BytesText(s.report.Repaired)+" repaired; every byte is as published", w)
	}
	return concluded(good, "✓", "good", "every byte is as published", w)
}

// concluded is a verdict in the columns of the steps above it.
func concluded(r role, sign, word, text string, w int) []line {
	var out []line
	for i, row := range wrap(text, w-16) {
		l := line{{plain, strings.Repeat(" ", 15)}, {r, row}}
		if i == 0 {
			l = line{{plain, " "}, {r, sign + " " + left(word, 12) + row}}
		}
		out = append(out, l)
	}
	return out
}

// proved is the verdict of a proof, with its gravest reason.
func (s *verifyScreen) proved(w int) []line {
	p := s.proof
	sign, r := verdictOfProof(p.Verdict)
	text := "in " + duration(time.Duration(p.Seconds*float64(time.Second)))
	if len(p.Reasons) > 0 {
		text = p.Reasons[0] + "; " + text
	}
	return concluded(r, sign, p.Verdict, text, w)
}

func verdictOfProof(verdict string) (sign string, r role) {
	switch verdict {
	case app.Sound:
		return "✓", good
	case app.Suspect, app.Unproven:
		return "~", warn
	}
	return "✗", bad
}

// badRanges lists where a file is bad.
func badRanges(f app.FileCheck) string {
	if f.Missing {
		return "is missing"
	}
	var parts []string
	for _, r := range f.Ranges {
		parts = append(parts, fmt.Sprintf("bytes %d to %d", r.Offset, r.Offset+r.Length-1))
	}
	return strings.Join(parts, ", ")
}
