package tui

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// screenID names a screen on the way back.
type screenID int

const (
	onStart screenID = iota
	onBranches
	onDetail
	onCompare
	onTransfers
	onVerify
	onGenerate
	onStore
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

// typist is a screen with a text field. While it is typing it gets the keys that
// no binding takes, and letters and digits mean themselves.
type typist interface {
	typing() bool
	typed(*model, tea.KeyMsg)
}

// commander is a screen that knows the command line which does the same; "" is
// that there is none now.
type commander interface{ command(*model) string }

// gauge is a screen with a second line under its head.
type gauge interface {
	gauge(m *model, w int) line
}

// pointed is a screen whose body takes clicks: at column x and row y of a body of
// w×h.
type pointed interface {
	clicked(m *model, x, y, w, h int) tea.Cmd
}

// model is the whole program.
type model struct {
	back    backend
	work    *worker
	slot    *modelSlot
	look    look
	tick    func() tea.Cmd
	clip    io.Writer // gets the escape sequence that copies; nil = nowhere
	display *display  // nil = nobody looks
	crash   *crashError
	tour    tour
	version string
	repo    string // to open at once
	offline bool   // no network is used
	passing bool   // the store is deleted at the end

	width, height int
	frame         int // ticks so far, for the spinner
	ticking       bool
	over          overlay // nil = none
	pause         pause   // that a task is kept by
	notice        remark  // until the next key
	way           []screenID
	plan          plan               // what branches are to run in, and how
	machine       *app.GPUReport     // this machine's cards; nil = not known yet
	proofs        map[app.Ref]string // verdicts of this session

	start     startScreen
	branches  branchesScreen
	detail    detailScreen
	compare   compareScreen
	transfers transfersScreen
	verify    verifyScreen
	generate  generateScreen
	store     storeScreen
}

func newModel(w *worker, b backend, k look, o Options) *model {
	return &model{
		back: b, work: w, slot: &modelSlot{}, look: k, tick: w.tick,
		tour: tour{on: o.Tour}, version: o.Version, repo: o.Repo, offline: b.Offline(), passing: o.Temporary, way: []screenID{onStart},
		plan: newPlan(o.Fit), proofs: make(map[app.Ref]string),
	}
}

// Init opens the first screen.
func (m *model) Init() tea.Cmd {
	cmd := m.start.load(m)
	if m.repo != "" {
		m.start.input.set(m.repo)
		cmd = tea.Batch(cmd, m.start.open(m))
	}
	return tea.Batch(cmd, m.lookAround(), m.transfers.lookAtStore(m), m.transfers.recall(m), m.keepTicking())
}

func (m *model) top() screenID { return m.way[len(m.way)-1] }

func (m *model) current() screen {
	switch m.top() {
	case onBranches:
		return &m.branches
	case onTransfers:
		return &m.transfers
	case onDetail:
		return &m.detail
	case onCompare:
		return &m.compare
	case onStore:
		return &m.store
	case onVerify:
		return &m.verify
	case onGenerate:
		return &m.generate
	}
	return &m.start
}

// show goes to a screen; esc leads back to this one. A screen that was on the way
// here is gone back to, so that no way leads in circles.
func (m *model) show(id screenID) {
	if i := slices.Index(m.way, id); i >= 0 {
		m.way = m.way[:i+1]
		return
	}
	m.way = append(m.way, id)
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
	return m.branches.running() || m.detail.task.running() || m.compare.task.running() || m.store.running() ||
		m.verify.task.running() || m.generate.task.running() || m.transfers.moving(m)
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
	m.tour.note(m)
	return m, tea.Batch(append(cmds, m.keepTicking())...)
}

// singly takes apart what Bubble Tea v1 reads as one key: letters typed in a
// burst, and, where nobody types text, esc and another key in one read, which look
// like alt and that key. A paste stays whole, and so do alt and a digit: tabs. In
// what is typed above the table of branches alt means nothing.
func (m *model) singly(k tea.KeyMsg) []tea.KeyMsg {
	if k.Paste {
		return []tea.KeyMsg{k}
	}
	var keys []tea.KeyMsg
	if k.Alt && !isTab(k) && (!m.typing() || m.top() == onBranches || k.Type == tea.KeyEsc) {
		keys, k.Alt = append(keys, tea.KeyMsg{Type: tea.KeyEsc}), false
	}
	if k.Type != tea.KeyRunes {
		return append(keys, k)
	}
	for _, r := range k.Runes {
		keys = append(keys, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}, Alt: k.Alt})
	}
	return keys
}

// isTab reports whether a key is the digit of a tab, with alt or without.
func isTab(k tea.KeyMsg) bool {
	return len(k.Runes) == 1 && k.Runes[0] >= '1' && k.Runes[0] <= '9'
}

func (m *model) take(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tickMsg:
		m.ticking = false
		m.frame++
		m.pause.sample(time.Time(msg), m.work.pauses)
		m.verify.sample()
		m.generate.sample(time.Time(msg))
		return m.transfers.sample(m, time.Time(msg))
	case storeMsg:
		m.start.loaded(msg)
	case machineMsg:
		return m.seen(msg)
	case listMsg:
		return m.branches.listed(m, msg)
	case surveyMsg:
		return m.branches.surveyed(m, msg)
	case gradeMsg:
		m.branches.graded(m, msg)
	case detailMsg:
		m.detail.loaded(msg)
	case compareMsg:
		m.compare.loaded(msg)
	case usageMsg:
		m.store.loaded(msg)
	case sweepMsg:
		return m.store.swept(m, msg)
	case pinMsg:
		return m.store.pinned(m, msg)
	case tea.MouseMsg:
		return m.mouse(msg)
	case transferMsg:
		return tea.Batch(m.transfers.ended(m, msg), m.reread())
	case roomMsg:
		m.transfers.room(msg)
	case queueMsg:
		m.transfers.recalled(m, msg)
		m.start.unfinished(m.transfers.list)
	case pendingMsg:
		m.transfers.found(m, msg)
		m.start.unfinished(m.transfers.list)
	case verifyMsg:
		m.verify.ended(m, msg)
		return m.reread()
	case generateMsg:
		m.generate.ended(msg)
	case noticeMsg:
		m.notice = remark(msg)
	case *crashError:
		m.crash = msg
		return tea.Quit
	}
	return nil
}

// typing reports whether letters are text now.
func (m *model) typing() bool {
	t, is := m.current().(typist)
	return is && m.over == nil && !m.tooSmall() && t.typing()
}

// pressed does what a key means now.
func (m *model) pressed(k tea.KeyMsg) tea.Cmd {
	m.notice = remark{}
	switch k.String() {
	case "ctrl+l":
		m.display.redraw()
		return nil
	case "ctrl+z":
		return m.work.command(m.work.ctx, func(context.Context) tea.Msg { suspend(); return nil })
	}
	if cmd, ok := press(m, m.bindings(), k); ok {
		return cmd
	}
	if m.over != nil || m.tooSmall() {
		return nil
	}
	if m.typing() && !(k.Alt && isTab(k)) {
		m.current().(typist).typed(m, k)
		return nil
	}
	if k.Paste {
		return m.paste(k)
	}
	cmd, _ := press(m, m.everywhere(), k)
	return cmd
}

// paste opens the reference that is pasted where nobody types.
func (m *model) paste(k tea.KeyMsg) tea.Cmd {
	text := strings.TrimSpace(string(k.Runes))
	ref, err := app.ParseRef(text)
	if err != nil {
		m.notice = remark{warn, "✗ " + err.Error(), app.HintOf(err)}
		return nil
	}
	m.start.input.set(text)
	m.start.input.kept = true
	m.show(onBranches)
	return m.branches.open(m, ref)
}

// bindings are those that work now: of the overlay, else of the screen.
func (m *model) bindings() []binding {
	switch {
	case m.tooSmall():
		return []binding{bind("q ctrl+c", "q", "quit", true, func(*model, string) tea.Cmd { return tea.Quit })}
	case m.over != nil:
		return m.over.keys(m)
	}
	return m.current().keys(m)
}

// everywhere are the bindings of every screen that is not typing. The head shows
// the tabs, and the help the others.
func (m *model) everywhere() []binding {
	command := ""
	if c, is := m.current().(commander); is {
		command = c.command(m)
	}
	out := []binding{bind("Y", "Y", "copy the command line that does the same", command != "", simply(func(m *model) tea.Cmd { return m.copy(command) }))}
	for i, t := range tabs {
		number := strconv.Itoa(i + 1)
		out = append(out, bind(number+" alt+"+number, number, t.name, true, simply(t.open)))
	}
	return out
}

// tab is one of the places that a digit leads to.
type tab struct {
	name    string
	short   string
	screens []screenID // that belong to it
	open    func(*model) tea.Cmd
}

var tabs = []tab{
	{"Branches", "Br", []screenID{onStart, onBranches, onDetail, onCompare, onVerify}, func(m *model) tea.Cmd {
		if m.branches.repo == (app.RepoID{}) {
			m.show(onStart)
			return nil
		}
		m.show(onBranches)
		return nil
	}},
	{"Transfers", "Tr", []screenID{onTransfers}, showTransfers},
	{"Store", "St", []screenID{onStore}, func(m *model) tea.Cmd { return m.store.open(m) }},
	{"Generate", "Gen", []screenID{onGenerate}, func(m *model) tea.Cmd { return m.generate.openFor(m) }},
}

// askQuit quits, after a question when that would stop a transfer.
func askQuit(m *model, _ string) tea.Cmd {
	if m.transfers.active() == 0 {
		return tea.Quit
	}
	text := []string{
		plural(m.transfers.active(), "transfer is", "transfers are") + " not finished.",
		"What has come stays and is not fetched again;",
		"the next start lists it under Transfers.",
	}
	if m.passing {
		text[1], text[2] = "The store is a temporary one: what was fetched", "is deleted at the end."
	}
	m.over = &question{text: text, ask: "Quit?", yes: func(*model) tea.Cmd { return tea.Quit }, keys2: "ctrl+c"}
	return nil
}

// Bindings that most screens end with.
func helpKey(keys, label string) binding {
	return bind(keys, label, "help, keys and signs", true, simply(func(m *model) tea.Cmd { m.over = &help{}; return nil }))
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
