package tui

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// state is a model as a user may see it.
type state struct {
	name string
	m    *model
}

var t0 = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// ticks sends n ticks, a second apart, calling step before each.
func ticks(m *model, n int, step func(i int)) {
	for i := range n {
		if step != nil {
			step(i)
		}
		m.Update(tickMsg(t0.Add(time.Duration(i) * time.Second)))
	}
}

// states builds every screen in every state that looks different.
func states(t *testing.T) []state {
	t.Helper()
	gated := hinted{"list qbranch/llama-tales-moe-2m-GPTQ: access to the repository is restricted",
		"accept the terms on the model's page, then set HF_TOKEN"}
	stored := []app.StoreItem{
		{Repo: tales.String(), Branch: "main", Commit: commitA, Files: 9, Bytes: 2_110_000, State: app.LocalVerified},
		{Repo: "TheBloke/Llama-2-13B-chat-GPTQ", Branch: group32, Commit: commitB, Files: 12, Bytes: 8_000_000_000, State: app.LocalPartial},
	}
	var out []state
	add := func(name string, m *model) { out = append(out, state{name, m}) }

	m := bench(t, &fake{})
	settle(m, m.Init())
	add("start-empty", m)

	m = bench(t, &fake{items: stored, looked: []app.RepoID{tales, {Owner: "TheBloke", Name: "Mistral-7B-v0.1-GPTQ"}}})
	settle(m, m.Init())
	add("start", m)

	m = bench(t, &fake{listing: talesListing()})
	m.show(onBranches)
	m.branches.open(m, app.Ref{Repo: tales})
	ticks(m, 4, nil)
	add("branches-loading", m)

	m = atTales(t, &fake{})
	tap(m, "j")
	add("branches", m)

	// A repository of 13B quants: what fits, and the planner.
	m = atTales(t, &fake{listing: bigListing()})
	add("branches-fit", m)

	m = atTales(t, &fake{listing: bigListing()})
	tap(m, "p", "2", "4", "enter", "down", "right")
	add("branches-planner", m)

	m = atTales(t, &fake{listing: bigListing()})
	tap(m, "s", "j", "space", "space")
	add("branches-marked", m)

	m = atTales(t, &fake{listing: bigListing()})
	tap(m, "/", "1", "2", "8", "g")
	add("branches-filter", m)

	m = atTales(t, &fake{listing: bigListing(), machine: &app.GPUReport{}})
	add("branches-no-gpu", m)

	m = atTales(t, &fake{listing: bigListing(), survErr: hinted{"read the header of model.safetensors: connection reset", "r tries again"}})
	add("branches-no-survey", m)

	m = atTales(t, &fake{listing: bigListing(), machine: machineOf(gib(8), gib(7.6))})
	tap(m, "f")
	add("branches-none-fits", m)

	m = bench(t, &fake{listErr: gated})
	m.show(onBranches)
	settle(m, m.branches.open(m, app.Ref{Repo: tales}))
	add("branches-gated", m)

	m = bench(t, &fake{listErr: hinted{"list qbranch/llama-tales-moe-2m-GPTQ: offline", "unset HF_HUB_OFFLINE"}, items: stored})
	m.show(onBranches)
	settle(m, m.branches.open(m, app.Ref{Repo: tales}))
	add("branches-offline", m)

	m = bench(t, &fake{listErr: hinted{"list qbranch/llama-tales-moe-2m-GPTQ: connection refused", "is the network up?"}, kept: agedListing()})
	m.show(onBranches)
	settle(m, m.branches.open(m, app.Ref{Repo: tales}))
	add("branches-kept", m)

	m = atTales(t, &fake{offline: true, listing: agedListing()})
	tap(m, "j", "enter")
	add("branches-offline-list", m)

	locked := talesListing()
	locked.Notes = []app.Note{{Code: "RESTRICTED", Message: "access to the files is restricted, so that some of this is from names and the card alone"}}
	m = atTales(t, &fake{listing: locked})
	tap(m, "j", "enter")
	add("branches-locked", m)

	f := &fake{}
	m = atTales(t, f)
	f.listErr = hinted{"list: rate limited", "try again in 4 minutes"}
	tap(m, "r")
	add("branches-stale", m)

	m = atTales(t, &fake{})
	startTransfer(m)
	hit(m, "esc", "j")
	add("branches-transfer", m)

	m = atTales(t, &fake{})
	startTransfer(m)
	add("transfers", m)
	out = append(out, transferEnds(t)...)
	out = append(out, transferStates(t)...)
	out = append(out, verifyStates(t)...)
	out = append(out, generateStates(t)...)
	out = append(out, detailStates(t)...)
	out = append(out, compareStates(t)...)
	out = append(out, storeStates(t)...)

	m = atTales(t, &fake{})
	hit(m, "?")
	add("help", m)

	m = atTales(t, &fake{})
	startTransfer(m)
	hit(m, "q")
	add("quit", m)
	m = atTales(t, &fake{})
	hit(m, "v", "p")
	m.verify.counters.total.Store(2_110_000)
	m.verify.counters.done.Store(2_110_000)
	ticks(m, 1, nil)
	add("prove-running", m)

	m = atTales(t, &fake{proof: &app.ProveReport{Verdict: app.Suspect, Files: 9, Compared: true, Seconds: 3.2, Reasons: []string{"the rows are in order, but desc_act is true"},
		Recovered: &app.Recovered{Bits: 4, GroupSize: ptr(128), ActOrder: ptr(false), Sym: ptr(true), Format: "gptq"},
		Findings:  []app.Finding{{Code: "D4", Severity: "warn", Where: "model.layers.0", Message: "the rows are in order, but desc_act is true", Hint: "correct it in both files"}},
		Signals:   signals("known_text", app.SignalGood, 1.91, 2.59, "entropy_high", app.SignalGood, 0.12, 0.5, "loops", app.SignalGood, 0.0, 0.5, "against_kl", app.SignalSuspect, 4.2, 0.016)}})
	tap(m, "v", "p")
	add("prove-suspect", m)

	m = bench(t, &fake{items: stored})
	settle(m, m.Init())
	settle(m, m.generate.open(m, app.Ref{}))
	add("generate-choice", m)

	m = bench(t, &fake{})
	settle(m, m.Init())
	settle(m, m.generate.open(m, app.Ref{}))
	add("generate-nothing", m)

	m = atTales(t, &fake{})
	tap(m, "g", "tab", "tab", "right", "up")
	add("generate-sampling", m)

	return out
}

// startTransfer fetches the second branch and queues another, and lets the
// first move for four seconds.
func startTransfer(m *model) {
	hit(m, "j", "enter", "esc", "end", "up", "enter", "esc", "up", "up", "up", "up", "up", "enter")
	tr := m.transfers.find(talesRef(group32))
	tr.stats.Total.Store(2_340_000)
	tr.stats.Kept.Store(500_000)
	tr.stats.Connections.Store(4)
	tr.stats.Retries.Store(1)
	tr.out.put(app.Event{Plan: &app.Plan{Commit: commitB, Bytes: 2_340_000, Held: 500_000, DiskFree: 212_000_000_000}})
	tr.out.put(app.Event{Judged: "config"})
	tr.out.put(app.Event{Judged: "header"})
	ticks(m, 5, func(i int) {
		tr.stats.Done.Store(500_000 + int64(i)*200_000)
		tr.stats.Received.Store(int64(i) * 200_000)
	})
}

func transferEnds(t *testing.T) []state {
	done := atTales(t, &fake{get: func(_ context.Context, _ app.Ref, o app.GetOptions) (*app.GetResult, error) {
		p := app.Plan{Commit: commitB, Bytes: 2_340_000}
		o.Notify(app.Event{Plan: &p})
		return &app.GetResult{Plan: p, Received: 1_840_000, Kept: 500_000, Refetched: 0, Elapsed: 3 * time.Second}, nil
	}})
	tap(done, "j", "enter")

	failed := atTales(t, &fake{get: func(context.Context, app.Ref, app.GetOptions) (*app.GetResult, error) {
		return nil, hinted{"fetch: not enough disk space: need 2.34 MB, 1.00 MB free", "free 1.34 MB, or use --store on another disk"}
	}})
	tap(failed, "j", "enter")

	stopped := atTales(t, &fake{})
	startTransfer(stopped)
	hit(stopped, "x")
	tr := stopped.transfers.find(talesRef(group32))
	stopped.Update(transferMsg{ref: tr.ref, gen: tr.gen, err: context.Canceled})
	return []state{{"transfers-done", done}, {"transfers-failed", failed}, {"transfers-stopped", stopped}}
}

func verifyStates(t *testing.T) []state {
	file := func(path string, n int64) app.FileCheck {
		return app.FileCheck{Path: path, Size: n, OK: true, Checked: "blake3"}
	}
	good := []app.FileCheck{file("config.json", 812), file("model.safetensors", 1_710_000), file("tokenizer.json", 398_000)}
	bad := append([]app.FileCheck(nil), good...)
	bad[1].OK, bad[1].Ranges = false, []app.Range{{Offset: 1 << 20, Length: 661_424}}

	running := atTales(t, &fake{})
	hit(running, "v")
	running.verify.counters.total.Store(2_110_000)
	running.verify.counters.done.Store(398_812)
	running.verify.out.put(app.Event{File: &good[0]})
	running.verify.out.put(app.Event{File: &good[2]})
	ticks(running, 4, nil)

	report := func(files []app.FileCheck, ok bool) *app.VerifyReport {
		return &app.VerifyReport{Files: files, Bytes: 2_108_812, OK: ok, Elapsed: 4 * time.Millisecond, Findings: []app.Finding{
			{Code: "D3", Severity: "info", Where: "model.safetensors", Message: "zero biases, as old writers left them"}}}
	}
	sound := atTales(t, &fake{verify: func(context.Context, app.Target, app.VerifyOptions) (*app.VerifyReport, error) {
		return report(good, true), nil
	}})
	tap(sound, "v")
	corrupt := atTales(t, &fake{verify: func(context.Context, app.Target, app.VerifyOptions) (*app.VerifyReport, error) {
		r := report(bad, false)
		return r, &app.CorruptionError{Report: r}
	}})
	tap(corrupt, "v")
	locked := atTales(t, &fake{verify: func(context.Context, app.Target, app.VerifyOptions) (*app.VerifyReport, error) {
		return nil, hinted{"verify: another process is writing this blob", "wait for the other qbranch, or stop it"}
	}})
	tap(locked, "v")
	return []state{{"verify-running", running}, {"verify-good", sound}, {"verify-corrupt", corrupt}, {"verify-locked", locked}}
}

func generateStates(t *testing.T) []state {
	f := &fake{tokens: []string{"Once", " upon", " a", " time", " there", " was", " a", " llama", " who", " lived", " on", " a", " hill",
		" and", " looked", " at", " the", " sea", " every", " day", ".\n", "One", " day", " it", " went", " down", " there", "."}}
	running := atTales(t, f)
	tap(running, "g")
	write(running, "Write a story about llamas")
	hit(running, "enter")
	for _, text := range f.tokens[:9] {
		running.generate.out.put(app.Token{Text: text})
	}
	ticks(running, 4, nil)

	done := atTales(t, f)
	tap(done, "g", "tab")
	write(done, "You are a story writing assistant")
	tap(done, "tab")
	write(done, "Write a story about llamas")
	tap(done, "enter")

	failed := atTales(t, &fake{genErr: errors.New("prompt longer than the context: 2048 tokens, 512 fit")})
	tap(failed, "g")
	write(failed, "Write")
	tap(failed, "enter")
	return []state{{"generate-running", running}, {"generate-done", done}, {"generate-failed", failed}}
}

// write types text key by key.
func write(m *model, text string) {
	for _, r := range text {
		hit(m, string(r))
	}
}

// bigListing is a repository of quants of a 13B model.
func bigListing() *app.Listing {
	l := &app.Listing{Repo: "TheBloke/Llama-2-13B-chat-GPTQ", Endpoint: "https://huggingface.co"}
	for _, b := range []struct {
		name        string
		bits, group int
		act         bool
		gb          float64
	}{
		{"main", 4, 128, false, 7.26},
		{"gptq-4bit-32g-actorder_True", 4, 32, true, 8.00},
		{"gptq-4bit-64g-actorder_True", 4, 64, true, 7.51},
		{"gptq-4bit-128g-actorder_True", 4, 128, true, 7.26},
		{"gptq-8bit--1g-actorder_True", 8, -1, true, 13.36},
		{"gptq-8bit-64g-actorder_True", 8, 64, true, 13.95},
		{"gptq-8bit-128g-actorder_False", 8, 128, false, 13.65},
	} {
		n := int64(b.gb * 1e9)
		l.Branches = append(l.Branches, app.BranchRow{Branch: b.name, Commit: commitA, Bits: ptr(b.bits), GroupSize: ptr(b.group), ActOrder: ptr(b.act),
			WeightBytes: n, TotalBytes: n + 2_000_000, CardBytes: &n, Files: 12})
	}
	l.Branches[1].Local, l.Branches[1].LocalBytes = app.LocalPartial, 3_440_000_000
	l.Branches[0].Local, l.Branches[0].LocalBytes = app.LocalVerified, l.Branches[0].TotalBytes
	return l
}

// signals are signals of a run: name, verdict, value, bound, and so on.
func signals(facts ...any) (all []app.Signal) {
	for f := range slices.Chunk(facts, 4) {
		all = append(all, app.Signal{Name: f[0].(string), Verdict: f[1].(string), Value: ptr(f[2].(float64)), Bound: ptr(f[3].(float64)), Limit: "most", Text: "of what is measured"})
	}
	return append(all, app.Signal{Name: "continuations", Verdict: app.SignalUnknown, Text: "no time was left for it"})
}
