package tui

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// screenID names a screen on the way back.
type screenID int

const (
	onStart screenID = iota
	onBranches
	onTransfers
	onVerify
	onGenerate
)

// overlay covers the screen's body.
type overlay int

const (
	noOverlay overlay = iota
	helpOverlay
	quitOverlay
)

// remark is what the two status lines say.
type remark struct {
	role role
	text string
	hint string // the second line
}

// screen is what the root model asks of the one that is shown.
type screen interface {
	// head is the title and what stands at the right end of its line.
	head(m *model) (string, string)
	// keys lists what can be pressed, most important first.
	keys(m *model) []binding
	// body draws w×h; more lines are cut.
	body(m *model, w, h int) []line
	// status is said below the body; empty when there is nothing to say.
	status(m *model) remark
	// leave is called when the way back leads out of the screen.
	leave(m *model) tea.Cmd
}

// typist is a screen with a text field: it gets the keys that no binding takes.
type typist interface{ typed(*model, tea.KeyMsg) }

// model is the whole program.
type model struct {
	back    backend
	work    *worker
	slot    *modelSlot
	look    look
	tick    func() tea.Cmd
	clip    io.Writer // gets the escape sequence that copies; nil = nowhere
	hint    string    // said until something else is
	version string
	repo    string // to open at once
	passing bool   // the store is deleted at the end

	width, height int
	frame         int // ticks so far, for the spinner
	ticking       bool
	over          overlay
	notice        remark // until the next key
	way           []screenID

	start     startScreen
	branches  branchesScreen
	transfers transfersScreen
	verify    verifyScreen
	generate  generateScreen
}

func newModel(w *worker, b backend, k look, o Options) *model {
	return &model{
		back: b, work: w, slot: &modelSlot{}, look: k, tick: w.tick,
		hint: o.Hint, version: o.Version, repo: o.Repo, passing: o.Temporary, way: []screenID{onStart},
	}
}

// Init opens the first screen.
func (m *model) Init() tea.Cmd {
	cmd := m.start.load(m)
	if m.repo != "" {
		m.start.input.set(m.repo)
		cmd = tea.Batch(cmd, m.start.open(m))
	}
	return tea.Batch(cmd, m.keepTicking())
}

func (m *model) top() screenID { return m.way[len(m.way)-1] }

func (m *model) current() screen {
	switch m.top() {
	case onBranches:
		return &m.branches
	case onTransfers:
		return &m.transfers
	case onVerify:
		return &m.verify
	case onGenerate:
		return &m.generate
	}
	return &m.start
}

// show goes to a screen; esc leads back to this one.
func (m *model) show(id screenID) {
	if m.top() != id {
		m.way = append(m.way, id)
	}
}

// goBack leaves the screen.
func goBack(m *model) tea.Cmd {
	if len(m.way) == 1 {
		return nil
	}
	cmd := m.current().leave(m)
	m.way = m.way[:len(m.way)-1]
	return cmd
}

// busy reports whether something runs that the screen shows moving.
func (m *model) busy() bool {
	return m.branches.task.running() || m.verify.task.running() || m.generate.task.running() || m.transfers.active() > 0
}

func (m *model) keepTicking() tea.Cmd {
	if m.ticking || !m.busy() {
		return nil
	}
	m.ticking = true
	return m.tick()
}

// Update takes a message. It does no I/O; what takes time is in the command.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var cmds []tea.Cmd
	if k, ok := msg.(tea.KeyMsg); ok {
		for _, one := range m.singly(k) {
			cmds = append(cmds, m.pressed(one))
		}
	} else {
		cmds = append(cmds, m.take(msg))
	}
	return m, tea.Batch(append(cmds, m.keepTicking())...)
}

// singly takes apart what Bubble Tea v1 reads as one key: letters typed in a
// burst, and, where nobody types text, esc and letters in one read, which look
// like alt and a letter. A paste stays whole.
func (m *model) singly(k tea.KeyMsg) []tea.KeyMsg {
	if k.Type != tea.KeyRunes || k.Paste {
		return []tea.KeyMsg{k}
	}
	var keys []tea.KeyMsg
	if _, types := m.current().(typist); k.Alt && !types {
		keys, k.Alt = append(keys, tea.KeyMsg{Type: tea.KeyEsc}), false
	}
	for _, r := range k.Runes {
		keys = append(keys, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}, Alt: k.Alt})
	}
	return keys
}

func (m *model) take(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tickMsg:
		m.ticking = false
		m.frame++
		m.transfers.sample(time.Time(msg))
		m.verify.sample()
		m.generate.sample()
	case storeMsg:
		m.start.loaded(msg)
	case listMsg:
		m.branches.listed(m, msg)
	case transferMsg:
		return m.transfers.ended(m, msg)
	case verifyMsg:
		m.verify.ended(m, msg)
	case generateMsg:
		m.generate.ended(msg)
	case noticeMsg:
		m.notice = remark(msg)
	}
	return nil
}

// pressed does what a key means now.
func (m *model) pressed(k tea.KeyMsg) tea.Cmd {
	m.notice = remark{}
	if k.String() == "ctrl+l" {
		return tea.ClearScreen
	}
	if k.String() == "ctrl+z" {
		return tea.Suspend
	}
	cmd, ok := press(m, m.bindings(), k)
	if !ok && m.over == noOverlay && !m.tooSmall() {
		if t, is := m.current().(typist); is {
			t.typed(m, k)
		}
	}
	return cmd
}

// bindings are those that work now: of the overlay, else of the screen.
func (m *model) bindings() []binding {
	closeIt := simply(func(m *model) tea.Cmd { m.over = noOverlay; return nil })
	quit := func(*model, string) tea.Cmd { return tea.Quit }
	switch {
	case m.tooSmall():
		return []binding{bind("q ctrl+c", "q", "quit", true, quit)}
	case m.over == helpOverlay:
		return []binding{bind("? f1 esc q enter", "esc", "close", true, closeIt), bind("ctrl+c", "ctrl+c", "quit", true, askQuit)}
	case m.over == quitOverlay:
		return []binding{bind("n esc", "n", "stay", true, closeIt), bind("y enter ctrl+c", "y", "quit", true, quit)}
	}
	return m.current().keys(m)
}

// askQuit quits, after a question when that would stop a transfer.
func askQuit(m *model, _ string) tea.Cmd {
	if m.transfers.active() > 0 {
		m.over = quitOverlay
		return nil
	}
	return tea.Quit
}

// Bindings that most screens end with.
func helpKey(keys, label string) binding {
	return bind(keys, label, "keys, and signs", true, simply(func(m *model) tea.Cmd { m.over = helpOverlay; return nil }))
}

func copyKey(on bool, ref func(m *model) app.Ref) binding {
	return bind("y", "y", "copy, the reference into the clipboard", on, simply(func(m *model) tea.Cmd { return m.copy(ref(m).String()) }))
}

// noticeMsg is something a command has to say.
type noticeMsg remark

// copy asks the terminal to put text into the clipboard (OSC 52), which works
// over SSH too.
func (m *model) copy(text string) tea.Cmd {
	out := m.clip
	if out == nil {
		return nil
	}
	return m.work.command(m.work.ctx, func(context.Context) tea.Msg {
		if _, err := fmt.Fprintf(out, "\x1b]52;c;%s\a", base64.StdEncoding.EncodeToString([]byte(text))); err != nil {
			return noticeMsg{role: bad, text: "copying: " + err.Error()}
		}
		return noticeMsg{role: good, text: "copied " + text}
	})
}
