package tui

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// plan is what branches are to run in, and how. Screens measure by it; the
// planner changes it. The zero value is this machine's cards, a context of at
// most 4096 tokens, the engine's own cache, any engine.
type plan struct {
	base    app.FitOptions // what the command line said
	vram    string         // sizes with commas between; "" = this machine's cards
	from    string         // who said so: "QBRANCH_VRAM"; "" = the planner
	gpu     string         // one of this machine's cards, by ID; "" = all
	split   string         // "", "layers", "tensor"
	context int            // tokens; 0 = the model's most, at most app.DefaultContext
	kv      string
	engine  string
	batch   int // 0 = 1
}

func newPlan(o app.FitOptions) plan {
	p := plan{base: o, vram: o.VRAM, from: o.VRAMFrom, split: o.Split, context: o.Context, kv: o.KV, engine: o.Engine, batch: o.Batch}
	if p.vram == "auto" {
		p.vram = ""
	}
	return p
}

// simulated reports whether the memory is not this machine's.
func (p plan) simulated() bool { return p.vram != "" }

// options asks app for what the plan says.
func (p plan) options(machine *app.GPUReport) app.FitOptions {
	o := p.base
	o.VRAM, o.VRAMFrom, o.Split, o.Context, o.KV, o.Engine, o.Batch = p.vram, p.from, p.split, p.context, p.kv, p.engine, p.batch
	o.GPUs, o.Machine = nil, machine
	if p.gpu != "" && !p.simulated() {
		o.GPUs = []string{p.gpu}
	}
	return o
}

// flags are what 'qbranch fit' needs to be told to measure the same.
func (p plan) flags() string {
	var out []string
	add := func(name, value string) {
		if value != "" && value != "0" {
			out = append(out, "--"+name+" "+value)
		}
	}
	switch {
	case p.simulated() && strings.Contains(p.vram, ","):
		add("split", p.vram)
	case p.simulated():
		add("vram", p.vram)
	default:
		add("gpu", p.gpu)
	}
	if p.split == "tensor" {
		out = append(out, "--tensor-parallel")
	}
	add("ctx", fmt.Sprint(p.context))
	add("kv", p.kv)
	add("engine", p.engine)
	if p.batch > 1 {
		add("batch", fmt.Sprint(p.batch))
	}
	return strings.Join(out, " ")
}

// machineMsg says which cards this machine has. With err, none are known.
type machineMsg struct {
	report *app.GPUReport
	err    error
}

// lookAround looks for this machine's cards.
func (m *model) lookAround() tea.Cmd {
	back := m.back
	return m.work.command(m.work.ctx, func(ctx context.Context) tea.Msg {
		r, err := back.GPUs(ctx, app.GPUOptions{VRAM: "auto"})
		return machineMsg{r, err}
	})
}

func (m *model) seen(msg machineMsg) tea.Cmd {
	if m.machine = msg.report; m.machine == nil {
		m.machine = &app.GPUReport{} // a machine without cards: a size can still be described
	}
	return m.branches.grade(m)
}

// field is a value of the plan that the planner changes.
type field struct {
	name   string
	value  func(m *model) string
	values func(m *model) []string // that left and right lead through
	set    func(m *model, v string)
	about  string
}

// sizes that cards are sold with.
var cardSizes = []string{"6GiB", "8GiB", "10GiB", "11GiB", "12GiB", "16GiB", "20GiB", "24GiB", "32GiB", "40GiB", "48GiB", "80GiB", "96GiB", "141GiB",
	"12GiB,12GiB", "24GiB,24GiB", "48GiB,48GiB", "24GiB,24GiB,24GiB,24GiB"}

var contexts = []int{512, 1024, 2048, 4096, 6144, 8192, 12288, 16384, 24576, 32768, 65536, 131072}

const thisMachine = "this machine"

var planFields = []field{
	{"memory", func(m *model) string {
		switch {
		case m.plan.simulated():
			return strings.ReplaceAll(m.plan.vram, "GiB", " GiB")
		case m.plan.gpu != "":
			return m.plan.gpu
		}
		return thisMachine
	}, func(m *model) []string {
		out := []string{thisMachine}
		if m.machine != nil && len(m.machine.Visible()) > 1 {
			for _, g := range m.machine.Visible() {
				out = append(out, g.ID)
			}
		}
		for _, s := range cardSizes {
			out = append(out, strings.ReplaceAll(s, "GiB", " GiB"))
		}
		return out
	}, func(m *model, v string) {
		m.plan.vram, m.plan.from, m.plan.gpu = "", "", ""
		switch {
		case v == thisMachine:
		case strings.Contains(v, "GiB"):
			m.plan.vram = strings.ReplaceAll(v, " GiB", "GiB")
			m.plan.from = "the planner"
		default:
			m.plan.gpu = v
		}
		if cards := strings.Count(m.plan.vram, ",") + 1; cards > 1 && m.plan.split == "" {
			m.plan.split = "layers"
		} else if cards == 1 && m.plan.simulated() {
			m.plan.split = ""
		}
	}, "type what is free, in GiB: 12, 24, or 24,24 for two cards"},
	{"context", func(m *model) string { return fmt.Sprint(cmp.Or(m.plan.context, app.DefaultContext)) }, func(*model) []string {
		var out []string
		for _, n := range contexts {
			out = append(out, fmt.Sprint(n))
		}
		return out
	}, func(m *model, v string) { fmt.Sscanf(v, "%d", &m.plan.context) },
		"tokens that a conversation may have, at first 4096 or the model's most; type a number for another one"},
	{"kv cache", func(m *model) string { return orAny(m.plan.kv, "the engine's own") },
		func(*model) []string { return append([]string{"the engine's own"}, app.KVTypes()...) },
		func(m *model, v string) { m.plan.kv = noneIf(v, "the engine's own") }, "how each token is kept"},
	{"engine", func(m *model) string { return orAny(m.plan.engine, "any") },
		func(*model) []string { return append([]string{"any"}, app.EngineIDs(false)...) },
		func(m *model, v string) { m.plan.engine = noneIf(v, "any") }, "what will run it: each has its own needs, and loads not all"},
	{"batch", func(m *model) string { return fmt.Sprint(max(1, m.plan.batch)) },
		func(*model) []string { return []string{"1", "2", "4", "8", "16", "32"} },
		func(m *model, v string) { fmt.Sscanf(v, "%d", &m.plan.batch) }, "sequences at a time"},
	{"cards", func(m *model) string { return orAny(m.plan.split, "the freest one") },
		func(*model) []string { return []string{"the freest one", "layers", "tensor"} },
		func(m *model, v string) { m.plan.split = noneIf(v, "the freest one") }, "how several share the model"},
}

func orAny(v, any string) string {
	if v == "" {
		return any
	}
	return v
}

func noneIf(v, none string) string {
	if v == none {
		return ""
	}
	return v
}

// step leads a field to the next value, or with by -1 to the one before.
func (f field) step(m *model, by int) {
	all := f.values(m)
	at := slices.Index(all, f.value(m))
	switch {
	case at < 0 && by < 0:
		at = 1
	case at < 0:
		at = -1
	}
	f.set(m, all[max(0, min(at+by, len(all)-1))])
}

// planner is the pane in which the plan is changed; the table beside it follows.
type planner struct {
	open   bool
	cursor int
	input  editor // a value being typed; empty = none
}

func (p *planner) keys(m *model, s *branchesScreen) []binding {
	change := func(by int) func(*model, string) tea.Cmd {
		return func(m *model, _ string) tea.Cmd {
			p.input.set("")
			planFields[p.cursor].step(m, by)
			return s.grade(m)
		}
	}
	typed := len(p.input.runes) > 0
	return []binding{
		bind("up down k j tab shift+tab", "↑↓", "choose", true, func(_ *model, pressed string) tea.Cmd {
			pressed = map[string]string{"tab": "down", "shift+tab": "up"}[pressed] + noneIf(noneIf(pressed, "tab"), "shift+tab")
			p.input.set("")
			p.cursor = moved(p.cursor, pressed, len(planFields))
			return nil
		}),
		bind("left h [ -", "←", "less", true, change(-1)),
		bind("right l ] +", "→", "more", true, change(+1)),
		bind("enter", "enter", map[bool]string{true: "take what was typed", false: "done"}[typed], true, func(m *model, _ string) tea.Cmd {
			if !typed {
				p.open = false
				return nil
			}
			return p.take(m, s)
		}),
		bind("r", "r", "reset, to this machine", true, func(m *model, _ string) tea.Cmd {
			m.plan = newPlan(app.FitOptions{StateDir: m.plan.base.StateDir})
			p.input.set("")
			return s.grade(m)
		}),
		bind("p esc", "esc", "close, keeping the plan", true, func(*model, string) tea.Cmd {
			p.open = false
			p.input.set("")
			return nil
		}),
		helpKey("?", "?"),
		bind("q ctrl+c", "q", "quit", true, askQuit),
	}
}

// typing: digits begin a value of the first two fields.
func (p *planner) typed(k tea.KeyMsg) { p.input.key(k) }

// take sets the field to what was typed, if that can be.
func (p *planner) take(m *model, s *branchesScreen) tea.Cmd {
	text := strings.TrimSpace(p.input.text())
	p.input.set("")
	switch planFields[p.cursor].name {
	case "memory":
		var parts []string
		for part := range strings.SplitSeq(text, ",") {
			n, err := app.ParseSize(strings.TrimSpace(part))
			if strings.HasSuffix(strings.ToUpper(strings.TrimSpace(part)), "GB") && err == nil {
				m.notice = remark{role: warn, text: strings.TrimSpace(part) + " is " + app.GiBText(n) + ": cards are sold in GiB", hint: "a card of so many GB has as many GiB: type the number alone"}
			}
			if err != nil {
				m.notice = remark{bad, "✗ " + err.Error(), app.HintOf(err)}
				return nil
			}
			parts = append(parts, strings.Replace(app.GiBText(n), ".00 ", " ", 1))
		}
		planFields[0].set(m, strings.Join(parts, ","))
	case "context", "batch":
		var n int
		if _, err := fmt.Sscanf(text, "%d", &n); err != nil || n < 1 || n > 1<<24 {
			m.notice = remark{role: bad, text: fmt.Sprintf("✗ %q is not a number of at least 1", clean(text))}
			return nil
		}
		planFields[p.cursor].set(m, fmt.Sprint(n))
	default:
		m.notice = remark{role: warn, text: "← and → choose this one"}
		return nil
	}
	return s.grade(m)
}

// draw shows the fields, and the command that measures the same.
func (p *planner) draw(m *model, s *branchesScreen, w, h int) []line {
	var out []line
	for i, f := range planFields {
		mark, r := "   ", plain
		if i == p.cursor {
			mark, r = " ▸ ", accent
		}
		value := line{{r, "‹ " + f.value(m) + " ›"}}
		if i == p.cursor && len(p.input.runes) > 0 {
			value = p.input.view(w-15, true, "")
		}
		out = append(out, append(line{{accent, mark}, {dim, left(f.name, 11)}}, value...))
	}
	if h > len(planFields)+4 {
		out = append(out, nil)
		out = append(out, fact("", dim, planFields[p.cursor].about, w)...)
	}
	return withCommand(out, strings.TrimSpace("qbranch fit "+s.repo.String()+" "+m.plan.flags()), w, h)
}

// memoryText says what branches are measured against, in a few words.
func (m *model) memoryText(r *app.FitReport) string {
	switch {
	case r == nil && m.machine == nil && !m.plan.simulated():
		return "looking for graphics cards"
	case r == nil:
		return ""
	case len(r.Cards) == 0 && r.RAM != nil && r.RAM.Free >= 0:
		return "no GPU; RAM " + app.GiBText(r.RAM.Free) + " free"
	case len(r.Cards) == 0:
		return "no GPU"
	}
	var parts []string
	for _, c := range r.Cards {
		text := c.Name
		if m.plan.simulated() {
			text = app.GiBText(c.Free)
		} else if c.Free >= 0 {
			text += " " + app.GiBText(c.Free) + " free"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " + ")
}
