package tui

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// inquiry is what a verifyScreen looks at.
type inquiry int

const (
	checkBytes  inquiry = iota // every byte against its hash, config against tensors
	checkDeeply                // and against the hub's own digests
	checkRepair                // and what is bad is fetched again
	checkProve                 // and it is run
)

// verifyScreen checks a branch that is here, byte by byte, and runs it if asked.
type verifyScreen struct {
	ref      app.Ref
	what     inquiry
	task     task
	counters *verifyCounters
	out      *outbox[app.Event]

	// What the last sample or the end said.
	done, total int64
	files       []app.FileCheck
	findings    []app.Finding
	fetched     []logLine // what a repair reports
	report      *app.VerifyReport
	proof       *app.ProveReport
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
	proof  *app.ProveReport // of checkProve, which has no report
	err    error
}

// open verifies ref, and with repair fetches again what is bad.
func (s *verifyScreen) open(m *model, ref app.Ref, repair bool) tea.Cmd {
	if repair {
		return s.begin(m, ref, checkRepair)
	}
	return s.begin(m, ref, checkBytes)
}

// begin looks into ref; what was found before is forgotten.
func (s *verifyScreen) begin(m *model, ref app.Ref, what inquiry) tea.Cmd {
	m.show(onVerify)
	m.frame = 0
	ctx, gen := s.task.begin(m.work.ctx)
	counters, out := &verifyCounters{}, &outbox[app.Event]{}
	*s = verifyScreen{ref: ref, what: what, task: s.task, counters: counters, out: out}
	back, t := m.back, app.Target{Ref: ref}
	total, done := counters.total.Store, func(n int64) { counters.done.Add(n) }
	if what == checkProve {
		return m.work.command(ctx, func(ctx context.Context) tea.Msg {
			p, err := back.Prove(ctx, t, app.ProveOptions{Total: total, Done: done, Notify: out.put})
			return verifyMsg{gen: gen, proof: p, err: err}
		})
	}
	o := app.VerifyOptions{Repair: what == checkRepair, Total: total, Done: done, Notify: out.put}
	if what == checkDeeply {
		o.Depth = app.VerifyDeep
	}
	return m.work.command(ctx, func(ctx context.Context) tea.Msg {
		r, err := back.Verify(ctx, t, o)
		return verifyMsg{gen: gen, report: r, err: err}
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
	s.report, s.proof = msg.report, msg.proof
	if r := msg.report; r != nil {
		s.files, s.findings, s.done, s.total = r.Files, r.Findings, r.Bytes, r.Bytes
	}
	if p := msg.proof; p != nil {
		s.findings, s.done = p.Findings, s.total
		m.proofs[s.ref] = p.Verdict
	}
	s.cursor = max(0, slices.IndexFunc(s.files, func(f app.FileCheck) bool { return !f.OK })) // where to look first
	if (s.report != nil || s.proof != nil) && (msg.err == nil || s.corrupt()) {
		m.branches.judge(s.ref, !s.corrupt())
	}
	var corruption *app.CorruptionError // the report tells it better
	var proof *app.ProofError           // likewise
	switch {
	case errors.Is(msg.err, context.Canceled):
		s.stopped = true
	case !errors.As(msg.err, &corruption) && !errors.As(msg.err, &proof):
		s.err = msg.err
	}
}

// ready reports whether there is a verdict.
func (s *verifyScreen) ready() bool { return s.report != nil || s.proof != nil }

// corrupt reports whether bytes were found bad, as opposed to contradictions.
func (s *verifyScreen) corrupt() bool {
	return s.ready() && slices.ContainsFunc(s.files, func(f app.FileCheck) bool { return !f.OK })
}

// sound reports whether nothing was found against the branch.
func (s *verifyScreen) sound() bool {
	switch {
	case s.task.running() || s.stopped:
		return false
	case s.proof != nil:
		return s.proof.Verdict == app.Sound || s.proof.Verdict == app.Unproven
	}
	return s.report != nil && s.report.OK
}

func (s *verifyScreen) head(*model) (string, string) {
	if s.what == checkProve {
		return "Prove  " + s.ref.String(), ""
	}
	return "Verify  " + s.ref.String(), ""
}

func (s *verifyScreen) keys(*model) []binding {
	idle := !s.task.running()
	again := func(what inquiry) func(*model, string) tea.Cmd {
		return simply(func(m *model) tea.Cmd { return s.begin(m, s.ref, what) })
	}
	return []binding{
		bind(moveKeys, "↑↓", "move", len(s.files) > 1, func(_ *model, pressed string) tea.Cmd {
			s.cursor = moved(s.cursor, pressed, len(s.files))
			return nil
		}),
		bind("enter", "enter", "repair, fetching the bad parts and nothing else", idle && s.corrupt(), again(checkRepair)).or(s.whyNot()),
		bind("x ctrl+c", "x", "stop", !idle, simply(func(*model) tea.Cmd { s.task.stop(); return nil })),
		bind("p", "p", "prove, by all of this and a short run", idle && !s.corrupt(), again(checkProve)).or(s.whyNot()),
		bind("g", "g", "generate, text from a prompt", s.sound(), simply(func(m *model) tea.Cmd { return m.generate.open(m, s.ref) })).or(s.whyNot()),
		bind("D", "D", "deep, against the hub's own digests too", idle, again(checkDeeply)).or(s.whyNot()),
		bind("r", "r", "again, from the first byte", idle, again(checkBytes)).or(s.whyNot()),
		copyKey(true, func(*model) app.Ref { return s.ref }),
		bind("esc", "esc", "back", true, simply(goBack)),
		helpKey("?", "?"),
		bind("q ctrl+c", "q", "quit", true, askQuit),
	}
}

// whyNot says why a key does nothing now.
func (s *verifyScreen) whyNot() string {
	switch {
	case s.task.running():
		return "the files are being read; x stops"
	case s.corrupt():
		return "bytes are corrupt: enter repairs them"
	case !s.ready():
		return "there is no verdict yet: r starts again"
	case !s.sound():
		return "the checkpoint contradicts itself, and fetching again would not change that"
	}
	return "nothing is to be repaired"
}

func (s *verifyScreen) leave(*model) tea.Cmd { s.task.abandon(); return nil }

func (s *verifyScreen) status(*model) remark { return remark{} }

func (s *verifyScreen) command(*model) string {
	switch {
	case s.what == checkRepair || s.corrupt():
		return "qbranch verify " + s.ref.String() + " --repair"
	case s.what == checkProve:
		return "qbranch prove " + s.ref.String()
	case s.what == checkDeeply:
		return "qbranch verify " + s.ref.String() + " --deep"
	}
	return "qbranch verify " + s.ref.String()
}
