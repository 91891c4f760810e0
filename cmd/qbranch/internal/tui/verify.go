package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// verifyScreen checks a branch that is here, byte by byte.
type verifyScreen struct {
	ref      app.Ref
	repair   bool
	task     task
	counters *verifyCounters
	out      *outbox[app.Event]

	// What the last sample or the end said.
	done, total int64
	files       []app.FileCheck
	findings    []app.Finding
	fetched     []logLine // what a repair reports
	report      *app.VerifyReport
	err         error
	stopped     bool
	cursor      int
}

// verifyCounters are written by the command and sampled by ticks.
type verifyCounters struct{ done, total atomic.Int64 }

// verifyMsg says that a verification has ended.
type verifyMsg struct {
	gen    int
	report *app.VerifyReport
	err    error
}

// open verifies ref, and with repair fetches again what is bad.
func (s *verifyScreen) open(m *model, ref app.Ref, repair bool) tea.Cmd {
	m.show(onVerify)
	m.frame = 0
	ctx, gen := s.task.begin(m.work.ctx)
	counters, out := &verifyCounters{}, &outbox[app.Event]{}
	*s = verifyScreen{ref: ref, repair: repair, task: s.task, counters: counters, out: out}
	back := m.back
	return m.work.command(ctx, func(ctx context.Context) tea.Msg {
		r, err := back.Verify(ctx, app.Target{Ref: ref}, app.VerifyOptions{
			Repair: repair,
			Total:  counters.total.Store,
			Done:   func(n int64) { counters.done.Add(n) },
			Notify: out.put,
		})
		return verifyMsg{gen, r, err}
	})
}

func (s *verifyScreen) sample() {
	if !s.task.running() {
		return
	}
	s.done, s.total = s.counters.done.Load(), s.counters.total.Load()
	for _, e := range s.out.take() {
		switch {
		case e.File != nil:
			s.files = append(s.files, *e.File)
		case e.Findings != nil:
			s.findings = append(s.findings, e.Findings...)
		case e.Fetch != nil && e.Fetch.Err != nil:
			s.fetched = append(s.fetched, logLine{warn, e.Fetch.Err.Error()})
		}
	}
}

func (s *verifyScreen) ended(m *model, msg verifyMsg) {
	s.sample()
	if !s.task.ended(msg.gen) {
		return
	}
	s.report = msg.report
	if r := msg.report; r != nil {
		s.files, s.findings, s.done, s.total = r.Files, r.Findings, r.Bytes, r.Bytes
		s.cursor = firstBad(r.Files)
		if msg.err == nil || s.corrupt() {
			m.branches.judge(s.ref, !s.corrupt())
		}
	}
	var corruption *app.CorruptionError // the report tells it better
	switch {
	case errors.Is(msg.err, context.Canceled):
		s.stopped = true
	case !errors.As(msg.err, &corruption):
		s.err = msg.err
	}
}

// firstBad is where to look first.
func firstBad(files []app.FileCheck) int {
	for i, f := range files {
		if !f.OK {
			return i
		}
	}
	return 0
}

// corrupt reports whether bytes were found bad, as opposed to contradictions.
func (s *verifyScreen) corrupt() bool {
	for _, f := range s.files {
		if !f.OK {
			return s.report != nil
		}
	}
	return false
}

func (s *verifyScreen) head(*model) (string, string) {
	return "Verify  " + s.ref.String(), ""
}

func (s *verifyScreen) keys(*model) []binding {
	idle := !s.task.running()
	sound := idle && s.report != nil && s.report.OK
	return []binding{
		bind(moveKeys, "↑↓", "move", len(s.files) > 1, func(_ *model, pressed string) tea.Cmd {
			s.cursor = moved(s.cursor, pressed, len(s.files))
			return nil
		}),
		bind("enter", "enter", "repair, fetching the bad parts and nothing else", idle && s.corrupt(), simply(func(m *model) tea.Cmd { return s.open(m, s.ref, true) })).or(s.whyNot()),
		bind("x ctrl+c", "x", "stop", !idle, simply(func(*model) tea.Cmd { s.task.stop(); return nil })),
		bind("g", "g", "generate, text from a prompt", sound, simply(func(m *model) tea.Cmd { return m.generate.open(m, s.ref) })).or(s.whyNot()),
		bind("r", "r", "again, from the first byte", idle, simply(func(m *model) tea.Cmd { return s.open(m, s.ref, false) })).or(s.whyNot()),
		copyKey(true, func(*model) app.Ref { return s.ref }),
		bind("esc", "esc", "back", true, simply(goBack)),
		helpKey("?", "?"),
		bind("q ctrl+c", "q", "quit", true, askQuit),
	}
}

// whyNot says why enter, g or r do nothing now.
func (s *verifyScreen) whyNot() string {
	switch {
	case s.task.running():
		return "the files are being read; x stops"
	case s.corrupt():
		return "bytes are corrupt: enter repairs them"
	case s.report == nil:
		return "there is no verdict yet: r starts again"
	case !s.report.OK:
		return "the checkpoint contradicts itself, and fetching again would not change that"
	}
	return "nothing is to be repaired"
}

func (s *verifyScreen) leave(*model) tea.Cmd { s.task.abandon(); return nil }

func (s *verifyScreen) status(*model) remark { return remark{} }

func (s *verifyScreen) body(m *model, w, h int) []line {
	name := "Files"
	if n := len(s.files); n > 0 {
		name = fmt.Sprintf("Files %d", n)
	}
	verdict := "Checking"
	switch {
	case s.task.running() && s.repair:
		verdict = "Repairing"
	case !s.task.running():
		verdict = "Verdict"
	}
	return split(w, h,
		pane{name, s.table},
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

// verdict shows progress while it runs, then what was found; bad ranges of the
// file under the cursor first.
func (s *verifyScreen) verdict(m *model, w, h int) []line {
	var out []line
	switch {
	case s.task.running():
		text := spinner(m.frame) + " reading"
		if s.total > 0 {
			text = bar(s.done, s.total, 20) + right(percent(s.done, s.total), 5) + "  of " + app.BytesText(s.total)
		}
		out = append(out, line{{plain, "   "}, {accent, text}})
	case s.stopped:
		out = append(out, say(warn, " ◐ stopped; r starts again"))
	case s.err != nil:
		out = failure(s.err, w)
	}
	if s.report != nil && !s.stopped && (s.err == nil || s.corrupt()) {
		out = append(out, s.summary(w)...)
	}
	if s.cursor < len(s.files) {
		if f := s.files[s.cursor]; !f.OK {
			out = append(out, fact("bad", bad, f.Path+" "+badRanges(f), w)...)
		}
	}
	for _, f := range s.findings {
		if toTell(f) {
			out = append(out, fact("finding", findingRole(f), findingText(f), w)...)
		}
	}
	for _, l := range s.fetched {
		out = append(out, fact("repair", l.role, l.text, w)...)
	}
	return withCommand(out, s.command(), w, h)
}

func (s *verifyScreen) command() string {
	if s.repair || s.corrupt() {
		return "qbranch verify " + s.ref.String() + " --repair"
	}
	return "qbranch verify " + s.ref.String()
}

// summary is the verdict in one line.
func (s *verifyScreen) summary(w int) []line {
	r, badFiles := s.report, 0
	for _, f := range r.Files {
		if !f.OK {
			badFiles++
		}
	}
	read := fmt.Sprintf("%s in %s", app.BytesText(r.Bytes), duration(r.Elapsed))
	switch {
	case badFiles > 0:
		return append(fact("✗ corrupt", bad, fmt.Sprintf("%d of %s bad; read %s", badFiles, plural(len(r.Files), "file", "files"), read), w),
			fact("", plain, "enter fetches the bad parts again, and only those", w)...)
	case !r.OK:
		return fact("✗ unsound", bad, "the bytes are as published, but contradict each other; read "+read, w)
	}
	text := "every byte is as published; read " + read
	if seconds := r.Elapsed.Seconds(); seconds > 0 {
		text += ", " + rate(float64(r.Bytes)/seconds)
	}
	if r.Repaired > 0 {
		text = app.BytesText(r.Repaired) + " repaired; " + text
	}
	return fact("✓ good", good, text, w)
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
