package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// fake is a backend whose answers a test sets. Functions that are nil answer
// with what the fields say.
type fake struct {
	listing *app.Listing
	listErr error
	offline bool
	kept    *app.Listing // of an earlier session
	items   []app.StoreItem
	get     func(ctx context.Context, ref app.Ref, o app.GetOptions) (*app.GetResult, error)
	verify  func(ctx context.Context, t app.Target, o app.VerifyOptions) (*app.VerifyReport, error)
	tokens  []string
	genErr  error
	machine *app.GPUReport // nil = a card of 12 GiB
	survErr error
	shown   *app.Shown
	diff    *app.Diff
	usage   *app.StoreUsage
	useErr  error
	proof   *app.ProveReport
	remove  func(q app.RemoveRequest) (*app.SweepReport, error)
	collect func(q app.CollectRequest) (*app.SweepReport, error)
	pins    []string
	looked  []app.RepoID
	queue   []app.Queued
	pending *app.PendingReport

	mu     sync.Mutex
	loads  int
	closes int
	asked  []app.Request
}

func (f *fake) List(context.Context, app.RepoID, app.ListOptions) (*app.Listing, error) {
	if f.listErr != nil {
		return nil, f.listErr
	}
	l := *f.listing
	l.Branches = append([]app.BranchRow(nil), f.listing.Branches...)
	return &l, nil
}

func (f *fake) Offline() bool { return f.offline }

func (f *fake) Kept(context.Context, app.RepoID) survey {
	if f.kept == nil {
		return nil
	}
	return fakeSurvey{f.kept}
}

func (f *fake) Recent(string) ([]app.RepoID, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.looked, nil
}

func (f *fake) Queue(string) ([]app.Queued, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.queue, nil
}

func (f *fake) KeepQueue(_ string, queue []app.Queued) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = queue
	return nil
}

func (f *fake) Remember(_ string, repo app.RepoID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looked = append([]app.RepoID{repo}, f.looked...)
	return nil
}

func (f *fake) Survey(ctx context.Context, ref app.Ref) (survey, error) {
	if f.survErr != nil {
		return nil, f.survErr
	}
	l, err := f.List(ctx, ref.Repo, app.ListOptions{})
	return fakeSurvey{l}, err
}

func (f *fake) GPUs(context.Context, app.GPUOptions) (*app.GPUReport, error) {
	if f.machine != nil {
		return f.machine, nil
	}
	return machineOf(gib(12), gib(11.4)), nil
}

// machineOf is a machine with one card.
func machineOf(total, free int64) *app.GPUReport {
	return &app.GPUReport{GPUs: []app.GPU{{ID: "nvidia:0", Vendor: "nvidia", Name: "RTX 3060", Total: &total, Free: &free}}}
}

func gib(n float64) int64 { return int64(n * (1 << 30)) }

// fakeSurvey measures by a formula that is simple enough to be seen through:
// weights, 0.8 MB a token, and 0.8, 1.2 or 2.2 GiB.
type fakeSurvey struct{ listing *app.Listing }

func (s fakeSurvey) Rows() *app.Listing {
	l := *s.listing
	l.Branches = append([]app.BranchRow(nil), s.listing.Branches...)
	return &l
}

func (s fakeSurvey) Fit(o app.FitOptions) (*app.FitReport, error) {
	r := &app.FitReport{Repo: s.listing.Repo, Engine: o.Engine, Split: o.Split, Notes: s.listing.Notes}
	switch {
	case o.VRAM != "":
		n, err := app.ParseSize(o.VRAM)
		if err != nil {
			return nil, err
		}
		r.Memory, r.Cards = o.VRAMFrom, []app.FitCard{{Name: "card 0", Total: n, Free: n}}
	default:
		for _, g := range o.Machine.Visible() {
			r.Memory, r.Cards = "gpu", append(r.Cards, app.FitCard{Name: g.Name, Total: *g.Total, Free: *g.Free})
		}
	}
	for _, b := range s.listing.Branches {
		r.Branches = append(r.Branches, fakeFit(b, o, r.Cards))
	}
	return r, nil
}

func fakeFit(b app.BranchRow, o app.FitOptions, cards []app.FitCard) app.FitRow {
	f := app.FitRow{Branch: b.Branch, Bytes: b.WeightBytes, Verdict: app.VerdictUnknown, Why: "nothing is known of the weights"}
	if b.WeightBytes == 0 {
		return f
	}
	if strings.HasPrefix(b.Branch, "awq") {
		j2 := app.Finding{Code: "J2", Severity: app.Fatal, Where: "quantize_config.json", Message: "this is AWQ, not GPTQ"}
		f.Verdict, f.Why, f.Findings = app.VerdictUnusable, app.FindingText(j2), []app.Finding{j2}
	}
	tokens := int64(o.Context)
	if tokens == 0 {
		tokens = app.DefaultContext
	}
	weights, cache := app.EstimateTerm{Name: "weights", Source: "tensor headers"}, app.EstimateTerm{Name: "KV cache", Source: "config.json"}
	run := app.EstimateTerm{Name: "engine overhead", Source: "assumption"}
	weights.Low, weights.Expected, weights.High = b.WeightBytes, b.WeightBytes, b.WeightBytes
	kv := 819_200 * tokens
	cache.Low, cache.Expected, cache.High = kv, kv, kv
	run.Low, run.Expected, run.High = gib(.8), gib(1.2), gib(2.2)
	f.Estimate.Terms = []app.EstimateTerm{weights, cache, run}
	n := &f.Estimate.Need
	n.Low, n.Expected, n.High = b.WeightBytes+kv+run.Low, b.WeightBytes+kv+run.Expected, b.WeightBytes+kv+run.High
	if len(cards) == 0 {
		return f
	}
	free := cards[0].Free
	if f.Verdict == app.VerdictUnusable {
		f.Estimate.Verdict = app.VerdictFits // by its memory alone
		return f
	}
	f.Estimate.MaxContext = int(max(0, free-b.WeightBytes-run.High) / 819_200)
	switch f.Why = ""; {
	case n.High <= free:
		f.Verdict = app.VerdictFits
	case n.Expected <= free:
		f.Verdict, f.Why = app.VerdictTight, app.GiBText(free-n.Expected)+" free beyond the expected need"
	default:
		f.Verdict, f.Why = app.VerdictTooBig, "needs "+app.GiBText(n.Expected-free)+" more"
	}
	f.Estimate.Verdict = f.Verdict
	f.Engines = []app.EngineRow{{ID: "gptqmodel", Name: "GPTQModel", Loads: "yes"}, {ID: "exllamav2", Name: "ExLlamaV2", Loads: "no"},
		{ID: "vllm", Name: "vLLM", Loads: "caveat"}, {ID: "qbranch", Name: "qbranch gen", Loads: "yes"}}
	if b.Bits != nil && *b.Bits == 4 {
		f.Engines[1].Loads = "yes"
	}
	return f
}

func (f *fake) Show(context.Context, app.Target, app.FitOptions) (*app.Shown, error) {
	return f.shown, f.listErr
}

func (f *fake) Diff(context.Context, app.Target, app.Target, app.FitOptions) (*app.Diff, error) {
	return f.diff, f.listErr
}

func (f *fake) Prove(context.Context, app.Target, app.ProveOptions) (*app.ProveReport, error) {
	return f.proof, nil
}

func (f *fake) StoreUse(context.Context, []app.Ref) (*app.StoreUsage, error) {
	if f.useErr != nil {
		return nil, f.useErr
	}
	if f.usage == nil {
		return &app.StoreUsage{}, nil
	}
	return f.usage, nil
}

func (f *fake) StoreRemove(_ context.Context, q app.RemoveRequest) (*app.SweepReport, error) {
	if f.remove != nil {
		return f.remove(q)
	}
	return &app.SweepReport{DryRun: q.DryRun}, nil
}

func (f *fake) StoreCollect(_ context.Context, q app.CollectRequest) (*app.SweepReport, error) {
	if f.collect != nil {
		return f.collect(q)
	}
	return &app.SweepReport{DryRun: q.DryRun}, nil
}

func (f *fake) StorePin(_ context.Context, ref app.Ref, off bool) (bool, error) {
	f.pins = append(f.pins, fmt.Sprintf("%v off=%v", ref, off))
	return true, nil
}

func (f *fake) StoreList(context.Context) ([]app.StoreItem, error) { return f.items, nil }

// Pending answers with what is unfinished in the store.
func (f *fake) Pending(context.Context) (*app.PendingReport, error) {
	if f.pending == nil {
		return &app.PendingReport{}, nil
	}
	return f.pending, nil
}

func (f *fake) Get(ctx context.Context, ref app.Ref, o app.GetOptions) (*app.GetResult, error) {
	if f.get != nil {
		return f.get(ctx, ref, o)
	}
	return &app.GetResult{}, nil
}

func (f *fake) Verify(ctx context.Context, t app.Target, o app.VerifyOptions) (*app.VerifyReport, error) {
	if f.verify != nil {
		return f.verify(ctx, t, o)
	}
	return &app.VerifyReport{OK: true}, nil
}

func (f *fake) LoadModel(context.Context, app.Target) (generator, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loads++
	return fakeModel{f}, nil
}

type fakeModel struct{ f *fake }

func (m fakeModel) Close() error {
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	m.f.closes++
	return nil
}

func (m fakeModel) Generate(ctx context.Context, r app.Request, emit func(app.Token) error) (*app.Generation, error) {
	m.f.mu.Lock()
	m.f.asked = append(m.f.asked, r)
	m.f.mu.Unlock()
	g := &app.Generation{FinishReason: "stop", PromptTokens: 31, Prefill: 100 * time.Millisecond, Decode: time.Second}
	for i, text := range m.f.tokens {
		if err := emit(app.Token{ID: i, Text: text}); err != nil {
			return g, err
		}
		g.IDs, g.Text = append(g.IDs, i), g.Text+text
	}
	return g, m.f.genErr
}

// hinted is an error that knows what to do next.
type hinted struct{ text, hint string }

func (e hinted) Error() string { return e.text }
func (e hinted) Hint() string  { return e.hint }

func ptr[T any](v T) *T { return &v }

var tales = app.RepoID{Owner: "qbranch", Name: "llama-tales-moe-2m-GPTQ"}

func talesRef(branch string) app.Ref { return app.Ref{Repo: tales, Revision: branch} }

const (
	group32  = "gptq-4bit-32g-actorder_True"
	commitA  = "4a1c9d2f00112233445566778899aabbccddeeff"
	commitB  = "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3"
	megabyte = 1_000_000
)

// talesListing is a small repository with every kind of row.
func talesListing() *app.Listing {
	row := func(branch, commit string, bits, group int, act bool, mb float64) app.BranchRow {
		return app.BranchRow{
			Branch: branch, Commit: commit, Bits: ptr(bits), GroupSize: ptr(group), ActOrder: ptr(act),
			TotalBytes: int64(mb * megabyte), WeightBytes: int64((mb - .4) * megabyte), Files: 9,
			CardBytes: ptr(int64(mb * megabyte)),
		}
	}
	l := &app.Listing{
		Repo: tales.String(), Endpoint: "http://127.0.0.1:41873", Requests: 18,
		Branches: []app.BranchRow{
			row("main", commitA, 4, 128, false, 2.11),
			row(group32, commitB, 4, 32, true, 2.34),
			row("gptq-8bit--1g-actorder_True", commitA, 8, -1, true, 3.32),
			row("gptq-8bit-128g-actorder_False", commitA, 8, 128, false, 3.39),
			row("gptq-3bit-128g-actorder_True", commitB, 3, 128, true, 1.79),
			row("gptq-3bit-32g-actorder_True", commitB, 3, 32, true, 1.98),
			row("gptq-2bit-64g-actorder_True", commitB, 2, 64, true, 1.52),
			{Branch: "broken-config", Commit: commitA, TotalBytes: 2 * megabyte, Files: 9,
				Error: "quantize_config.json is not JSON: trailing bracket at byte 181"},
		},
		Notes: []app.Note{
			{Branch: group32, Code: "size", Message: "the card says 2.34 GB, the files are 2.34 MB"},
			{Code: "card", Message: "two branches of the card's table do not exist"},
		},
	}
	l.Branches[0].Local, l.Branches[0].LocalBytes = app.LocalVerified, l.Branches[0].TotalBytes
	l.Branches[2].Local, l.Branches[2].LocalBytes = app.LocalPartial, 1_430_000
	l.Branches[3].Local = app.LocalCorrupt
	l.Branches[4].Local = app.LocalOutdated
	return l
}

// agedListing is what the hub said two hours ago.
func agedListing() *app.Listing {
	l := talesListing()
	l.Age = "2 h"
	return l
}

// awqListing has a branch that is no GPTQ, and of the most bits.
func awqListing() *app.Listing {
	l := talesListing()
	l.Branches[2].Branch, l.Branches[2].Local, l.Branches[2].LocalBytes = "awq", app.LocalNone, 0
	l.Notes = append(l.Notes, app.Note{Branch: "awq", Code: "NOT_GPTQ", Message: "the branch is AWQ"})
	return l
}

// bench is a model under test: no window size yet, no ticks of its own, no
// colour. Commands run when the test says so.
func bench(t *testing.T, b backend) *model {
	t.Helper()
	w := newWorker(t.Context())
	t.Cleanup(w.close)
	m := newModel(w, b, newLook("mono", false, false), Options{Version: "v0.1.0"})
	m.tick = func() tea.Cmd { return nil }
	m.clip = io.Discard
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	settle(m, m.lookAround())
	return m
}

// settle runs a command and what follows from it to the end, in order.
func settle(m *model, cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	switch msg := cmd().(type) {
	case nil:
	case tea.BatchMsg:
		for _, c := range msg {
			settle(m, c)
		}
	default:
		_, next := m.Update(msg)
		settle(m, next)
	}
}

// keyOf makes the message of a key by Bubble Tea's name.
func keyOf(name string) tea.KeyMsg {
	for t, n := range map[tea.KeyType]string{
		tea.KeyEnter: "enter", tea.KeyEsc: "esc", tea.KeyCtrlC: "ctrl+c", tea.KeyTab: "tab", tea.KeyUp: "up",
		tea.KeyDown: "down", tea.KeyPgUp: "pgup", tea.KeyPgDown: "pgdown", tea.KeyBackspace: "backspace",
		tea.KeyLeft: "left", tea.KeyRight: "right", tea.KeyShiftTab: "shift+tab", tea.KeyCtrlP: "ctrl+p", tea.KeyCtrlO: "ctrl+o", tea.KeyCtrlY: "ctrl+y", tea.KeyHome: "home", tea.KeyEnd: "end", tea.KeyCtrlU: "ctrl+u", tea.KeyCtrlW: "ctrl+w",
		tea.KeyCtrlT: "ctrl+t", tea.KeyF1: "f1", tea.KeyDelete: "delete", tea.KeyCtrlL: "ctrl+l",
	} {
		if n == name {
			return tea.KeyMsg{Type: t}
		}
	}
	if name == "space" {
		return tea.KeyMsg{Type: tea.KeySpace, Runes: []rune{' '}}
	}
	return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(name)}
}

// hit presses keys and returns the last one's command, not run.
func hit(m *model, names ...string) tea.Cmd {
	var cmd tea.Cmd
	for _, n := range names {
		_, cmd = m.Update(keyOf(n))
	}
	return cmd
}

// tap presses keys and runs what each starts to its end.
func tap(m *model, names ...string) {
	for _, n := range names {
		settle(m, hit(m, n))
	}
}

// atTales is a model that shows the small repository's branches.
func atTales(t *testing.T, f *fake) *model {
	t.Helper()
	if f.listing == nil {
		f.listing = talesListing()
	}
	m := bench(t, f)
	m.show(onBranches)
	settle(m, m.branches.open(m, app.Ref{Repo: tales}))
	if m.branches.listing == nil {
		t.Fatal("the listing did not arrive")
	}
	m.Update(tickMsg(t0)) // the one that was asked for while it came
	return m
}

// wants fails unless the screen shows every text.
func wants(t *testing.T, m *model, texts ...string) {
	t.Helper()
	view := m.View()
	for _, text := range texts {
		if !strings.Contains(view, text) {
			t.Errorf("screen lacks %q:\n%s", text, view)
		}
	}
}

// lacks fails if the screen shows one of the texts.
func lacks(t *testing.T, m *model, texts ...string) {
	t.Helper()
	view := m.View()
	for _, text := range texts {
		if strings.Contains(view, text) {
			t.Errorf("screen shows %q:\n%s", text, view)
		}
	}
}

var errPlain = errors.New("something went wrong")
