package tui

import (
	"slices"
	"testing"
	"time"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// Fixtures of the screens of one branch, of two and of the store.

var elsewhere = [][2]string{{"GPTQ", tales.String()}, {"GGUF", "qbranch/llama-tales-moe-2m-GGUF"}, {"AWQ", "qbranch/llama-tales-moe-2m-AWQ"},
	{"original", "qbranch/llama-tales-moe-2m"}}

const commitC = "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3"

// talesShown is all that is known of the second branch of the small repository.
func talesShown() *app.Shown {
	row := talesListing().Branches[1]
	row.Description = "4-bit with act-order and groups of 32."
	says := func(pairs ...any) (out []app.Said) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, app.Said{Source: pairs[i].(string), Value: pairs[i+1]})
		}
		return out
	}
	row.Parameters = []app.Parameter{
		{Name: "bits", Value: 4, From: app.FromTensors, Why: "the shapes of the tensors prove it", Agree: true, Says: says("tensors", 4, "config.json", 4, "quantize_config.json", 4, "name", 4, "card", 4)},
		{Name: "group_size", Value: 32, From: app.FromTensors, Why: "the shapes of the tensors prove it", Says: says("tensors", 32, "config.json", 32, "quantize_config.json", 128, "name", 32, "card", nil)},
		{Name: "act_order", Value: true, From: "config.json", Why: "engines read the configuration", Agree: true, Says: says("config.json", true, "name", true)},
		{Name: "sym", Value: nil, Says: says("config.json", nil)},
		{Name: "damp_percent", Value: .1, From: "config.json", Why: "engines read the configuration", Agree: true, Says: says("config.json", .1)},
		{Name: "size", Value: int64(1_940_000), From: app.FromTree, Why: "the sizes of the weight files, together", Agree: true, Says: says("tree", int64(1_940_000), "card", int64(1_940_000))},
		{Name: "commit", Value: commitB, From: app.FromRefs, Why: "the hub says where the branch stands", Agree: true, Says: says("refs", commitB, "store", nil)},
	}
	row.Sources = []app.Source{{Source: "metadata", State: app.SourceUnread}, {Source: "quant_config.json", State: app.SourceUnreadable, Detail: "trailing bracket at byte 181"}}
	term := func(t app.EstimateTerm, low, expected, high float64) app.EstimateTerm {
		t.Low, t.Expected, t.High = gib(low), gib(expected), gib(high)
		return t
	}
	s := &app.Shown{
		Target: talesRef(group32).String(), From: app.ShownHub, Repo: tales.String(), Branch: row, AsOf: t0,
		Siblings: []string{"main", group32, "gptq-8bit--1g-actorder_True", "gptq-3bit-128g-actorder_True"},
		Files: []app.ShownFile{
			{Path: "README.md", Size: 4186, GitOID: "2b9ec07d91e3c12c8b11b43ca029e6685acc97b7"},
			{Path: "config.json", Size: 1752, GitOID: "789ce1000cf8087829223861dbd0a73e9a8e4de9", SHA256: "3f786850e387550fdab836ed7e6dc881de23001b3f786850e387550fdab836ed", Held: true},
			{Path: "model.safetensors", Size: 2_218_000, SHA256: "10925fe4d88cba05d23f5207b8c9da761c3f12229b142c69a853ba5ca894e798"},
			{Path: "notes.txt", Size: 12},
		},
		Loaders: []app.Reading{
			{ID: "autogptq", Name: "AutoGPTQ", File: "quantize_config.json", Bits: 4, GroupSize: 128, ActOrder: ptr(true), Misled: []string{"group_size"}},
			{ID: "vllm", Name: "vLLM", File: "config.json", Bits: 4, GroupSize: 32, ActOrder: ptr(true)},
		},
		Findings: []app.Finding{
			{Code: "H10", Severity: app.Info, Where: "model.layers.0.mlp.down_proj.bias", Message: "the architecture has no bias here; AutoGPTQ up to 0.7 writes one of zeros"},
			{Code: "J5", Severity: app.Warn, Where: "quantize_config.json", Message: "the group size is 128 here and 32 in config.json", Got: "128", Want: "32",
				Hint: "programs that read quantize_config.json compute nonsense: correct it there"},
		},
		Unread: []string{"read chat_template.json: 403 Forbidden"},
		Engines: []app.ProgramVerdict{
			{ID: "gptqmodel", Name: "GPTQModel", Loads: "yes"},
			{ID: "vllm", Name: "vLLM", Loads: "caveat", Why: []string{"with a card of compute capability 7.5 or more", "act-order makes it slower"}},
			{ID: "exllama", Name: "ExLlama", Loads: "no", Why: []string{"architecture mixtral: ExLlama runs llama and mistral only"}},
			{ID: "openvino", Name: "OpenVINO", Loads: "unknown", Why: []string{"not known whether it converts quantised experts"}},
			{ID: "qbranch", Name: "qbranch gen", Loads: "yes"},
		},
		Card: &app.Card{
			Repo: ptr(tales.String()), Method: "gptq", BaseModel: []string{"qbranch/llama-tales-moe-2m"}, ModelType: ptr("mixtral"),
			QuantizedBy: ptr("qbranch"), License: "apache-2.0", Languages: []string{"en"}, PromptName: ptr("ChatML"),
			PromptTemplate: "<|im_start|>system\n{system_message}<|im_end|>\n<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n", Repositories: slices.Clone(elsewhere),
		},
		Notes: []app.Note{{Branch: group32, Code: "CARD_SIZE", Message: "the card says 2.34 GB, the files are 2.34 MB"}},
	}
	e := &s.Estimate
	e.Terms = []app.EstimateTerm{
		term(app.EstimateTerm{Name: "weights", Source: "tensor headers", Formula: "the sum of all tensors"}, 1.81, 1.81, 1.81),
		term(app.EstimateTerm{Name: "embeddings", Source: "tensor headers", Formula: "kept in main memory: 32000 × 64 × 2 bytes"}, -.12, -.12, -.12),
		term(app.EstimateTerm{Name: "KV cache", Source: "config.json", Formula: "2 × 64 elements × 2 layers × 4096 tokens × 2 bytes (fp16)"}, 3.12, 3.12, 3.12),
		term(app.EstimateTerm{Name: "engine overhead", Source: "assumption", Formula: "CUDA context, runtime, room to unpack a matrix"}, .8, 1.2, 2.2),
	}
	for _, t := range e.Terms {
		e.Need.Low, e.Need.Expected, e.Need.High = e.Need.Low+t.Low, e.Need.Expected+t.Expected, e.Need.High+t.High
	}
	e.Engine, e.Context, e.Batch, e.KV, e.Verdict, e.MaxContext = "generic", 4096, 1, "fp16", app.VerdictFits, 9216
	e.Cards = append(e.Cards, app.EstimateShare{Card: "RTX 3060", Need: e.Need, Available: gib(11.4), Verdict: app.VerdictFits})
	return s
}

// talesDiff is in what two branches of the small repository differ.
func talesDiff() *app.Diff {
	side := func(branch, commit, from string, local app.LocalState, need float64, total int64) app.DiffSide {
		s := app.DiffSide{Target: talesRef(branch).String(), From: from, Repo: tales.String(), Branch: branch, Commit: commit, Local: local, TotalBytes: total, Files: 9}
		s.Estimate = app.EstimateSummary{Engine: "generic", Context: 4096, Batch: 1, KV: "fp16", Verdict: app.VerdictFits, MaxContext: 9216}
		s.Estimate.Need.Low, s.Estimate.Need.Expected, s.Estimate.Need.High = gib(need-.4), gib(need), gib(need+1)
		return s
	}
	d := &app.Diff{
		A: side("main", commitA, app.ShownStore, app.LocalVerified, 4.1, 2_110_000), B: side(group32, commitB, app.ShownHub, app.LocalNone, 4.4, 2_340_000),
		Parameters: []app.DiffParameter{{Name: "bits", A: 4, B: 4, Same: true}, {Name: "group_size", A: 128, B: 32}, {Name: "act_order", A: false, B: true},
			{Name: "damp_percent", A: .1, B: .1, Same: true}, {Name: "dataset", A: "Llama tales", B: nil}, {Name: "format"},
			{Name: "size", A: int64(1_710_000), B: int64(1_940_000)}, {Name: "commit", A: commitA, B: commitB}},
		Shared: []app.DiffFile{{PathA: "README.md", PathB: "README.md", SizeA: 4186, SizeB: 4186}, {PathA: "tok.json", PathB: "tokenizer.json", SizeA: 35110, SizeB: 35110}},
		Changed: []app.DiffFile{{PathA: "config.json", PathB: "config.json", SizeA: 1752, SizeB: 1760},
			{PathA: "model.safetensors", PathB: "model.safetensors", SizeA: 2_090_000, SizeB: 2_218_000}},
		OnlyA:       []app.DiffFile{{PathA: "licence.txt", SizeA: 300}},
		OnlyB:       []app.DiffFile{{PathB: "added_tokens.json", SizeB: 49}},
		Unknown:     []app.DiffFile{{PathA: "notes.txt", PathB: "notes.txt", SizeA: 12, SizeB: 12}},
		SharedBytes: 39_296, SwitchBytes: 2_219_809, FetchBytes: 2_259_105,
		Engines: []app.DiffEngine{{ID: "exllama", Name: "ExLlama", A: "yes", B: "no", Why: []string{"act-order with groups needs ExLlamaV2"}}},
		FindingsB: []app.Finding{{Code: "J5", Severity: app.Warn, Where: "quantize_config.json", Message: "the group size is 128 here and 32 in config.json",
			Hint: "correct it there"}},
	}
	return d
}

// fullStore holds branches in every state.
func fullStore() *app.StoreUsage {
	const llama = "TheBloke/Llama-2-13B-chat-GPTQ"
	u := &app.StoreUsage{
		Branches: []app.BranchUsage{
			{Repo: llama, Branch: "gptq-8bit-128g-actorder_True", Commit: commitA, State: app.LocalVerified, Unique: 13_650_000_000, Shared: 2_000_000},
			{Repo: llama, Branch: group32, Commit: commitB, State: app.LocalPartial, Unique: 8_000_000_000, Shared: 2_000_000},
			{Repo: llama, Branch: "main", Commit: commitC, State: app.LocalVerified, Unique: 7_260_000_000, Shared: 2_000_000, Pinned: true},
			{Repo: tales.String(), Branch: "main", Commit: commitA, State: app.LocalOutdated, Unique: 2_110_000},
			{Repo: tales.String(), Branch: "main", Commit: commitB, State: app.LocalVerified, Unique: 2_120_000, Shared: 41_000},
			{Repo: tales.String(), Commit: commitC, State: app.LocalCorrupt, Unique: 1_900_000},
		},
		Shared: app.Amount{Files: 4, Bytes: 2_041_000}, Blobs: app.Amount{Files: 31, Bytes: 28_916_171_000},
		Unreferenced: app.Amount{Files: 2, Bytes: 1_300_000_000}, Unfinished: app.Amount{Files: 1, Bytes: 3_200_000_000},
		Other: app.Amount{Files: 60, Bytes: 90_000}, Total: app.Amount{Files: 94, Bytes: 33_416_261_000},
		Disk: &app.Disk{Kind: "ext4", Free: 212_000_000_000, Total: 500_000_000_000},
	}
	return u
}

// atDetail is a model that shows all of the second branch, from the table.
func atDetail(t *testing.T, f *fake) *model {
	t.Helper()
	if f.shown == nil {
		f.shown = talesShown()
	}
	m := atTales(t, f)
	tap(m, "j", "d")
	if m.top() != onDetail || m.detail.shown == nil {
		t.Fatal("the detail is not shown")
	}
	return m
}

// alone is a model that shows all of a branch without a table of branches.
func alone(t *testing.T, f *fake) *model {
	t.Helper()
	f.shown = talesShown()
	m := bench(t, f)
	settle(m, m.detail.open(m, talesRef(group32)))
	return m
}

func detailStates(t *testing.T) []state {
	var out []state
	for i, name := range []string{"detail", "detail-findings", "detail-memory", "detail-engines", "detail-files", "detail-card", "detail-siblings"} {
		m := atDetail(t, &fake{})
		if i == memorySection {
			m = alone(t, &fake{})
		}
		for range i {
			hit(m, "tab")
		}
		hit(m, "j")
		out = append(out, state{name, m})
	}

	partly := atTales(t, &fake{shown: talesShown()}) // what the table knows is there at once
	hit(partly, "j", "d", "tab", "tab")
	ticks(partly, 4, nil)

	loading := bench(t, &fake{})
	loading.detail.open(loading, talesRef(group32))
	ticks(loading, 4, nil)

	waiting := atTales(t, &fake{})
	hit(waiting, "j", "d")
	waiting.work.pauses.put(app.Wait{Host: "huggingface.co", For: 192 * time.Second, Reason: "too many requests (429)"})
	ticks(waiting, 4, nil)

	restricted := talesShown()
	restricted.Notes = append(restricted.Notes, app.Note{Code: "RESTRICTED", Message: "the files need permission, so bits and groups are from names and card"})
	restricted.Files, restricted.Estimate, restricted.Engines = nil, app.Estimate{}, nil
	gated := atDetail(t, &fake{shown: restricted})

	f := &fake{}
	stale := atDetail(t, f)
	f.listErr = hinted{"show: rate limited", "try again in 4 minutes"}
	tap(stale, "r")

	failed := bench(t, &fake{listErr: hinted{"qbranch/llama-tales-moe-2m-GPTQ:main is not in the store", "go online, then: qbranch get qbranch/llama-tales-moe-2m-GPTQ:main"}})
	settle(failed, failed.detail.open(failed, talesRef("main")))
	return append(out, state{"detail-partly", partly}, state{"detail-loading", loading}, state{"detail-waiting", waiting}, state{"detail-gated", gated}, state{"detail-stale", stale}, state{"detail-failed", failed})
}

// atCompare is a model that shows the first two branches side by side.
func atCompare(t *testing.T, f *fake) *model {
	t.Helper()
	if f.diff == nil {
		f.diff = talesDiff()
	}
	m := atTales(t, f)
	tap(m, "space", "c")
	if m.top() != onCompare || m.compare.diff == nil {
		t.Fatal("the comparison is not shown")
	}
	return m
}

func compareStates(t *testing.T) []state {
	all := atCompare(t, &fake{})
	only := atCompare(t, &fake{})
	hit(only, "f", "end")

	loading := atTales(t, &fake{})
	hit(loading, "space", "c")
	ticks(loading, 4, nil)

	f := &fake{}
	stale := atCompare(t, f)
	f.listErr = hinted{"diff: rate limited", "try again in 4 minutes"}
	tap(stale, "r")

	f = &fake{}
	failed := atTales(t, f)
	f.listErr = hinted{"list qbranch/llama-tales-moe-2m-GPTQ: offline", "unset HF_HUB_OFFLINE"}
	tap(failed, "space", "c")

	same := talesDiff()
	same.B.Commit, same.Parameters, same.Changed, same.OnlyA, same.OnlyB, same.Unknown = same.A.Commit, same.Parameters[:1], nil, nil, nil, nil
	same.Engines, same.FindingsB, same.A.Unread = nil, nil, []string{"read config.json: 403 Forbidden"}
	unread := atCompare(t, &fake{diff: same})
	hit(unread, "end")
	return []state{{"compare", all}, {"compare-only", only}, {"compare-loading", loading}, {"compare-stale", stale}, {"compare-failed", failed}, {"compare-unread", unread}}
}

// atStore is a model that shows a store with branches in every state.
func atStore(t *testing.T, f *fake) *model {
	t.Helper()
	if f.usage == nil {
		f.usage = fullStore()
	}
	m := atTales(t, f)
	tap(m, "3")
	return m
}

// wouldRemove answers as the store would for what is asked.
func wouldRemove(q app.RemoveRequest) (*app.SweepReport, error) {
	r := &app.SweepReport{DryRun: q.DryRun, Removed: []app.SweepTotal{{Kind: "snapshot", Files: len(q.Refs)}}}
	if q.Partial {
		r.Removed, r.Freed = []app.SweepTotal{{Kind: "partial", Files: 1, Bytes: 3_200_000_000}}, 3_200_000_000
		return r, nil
	}
	for _, ref := range q.Refs {
		item := app.StoreItem{Repo: ref.Repo.String(), Branch: ref.Revision, Commit: commitA, Bytes: 13_652_000_000}
		if commit, is := ref.Commit(); is {
			item.Branch, item.Commit = "", string(commit)
		}
		r.Branches, r.Freed = append(r.Branches, item), r.Freed+13_650_000_000
	}
	r.Removed = append(r.Removed, app.SweepTotal{Kind: "blob", Files: 3, Bytes: r.Freed}, app.SweepTotal{Kind: "parts", Files: 3, Bytes: 360})
	r.Kept = []app.SweepTotal{{Kind: "blob", Why: "another branch uses it", Files: 4, Bytes: 2_000_000}}
	return r, nil
}

func storeStates(t *testing.T) []state {
	full := atStore(t, &fake{})
	marked := atStore(t, &fake{})
	hit(marked, "space", "space")
	question := atStore(t, &fake{remove: wouldRemove})
	tap(question, "x")
	removed := atStore(t, &fake{remove: wouldRemove})
	tap(removed, "x", "y")

	empty := atStore(t, &fake{usage: &app.StoreUsage{Disk: &app.Disk{Free: 212_000_000_000}}})
	left := atStore(t, &fake{usage: &app.StoreUsage{Unfinished: app.Amount{Files: 2, Bytes: 3_200_000_000}, Total: app.Amount{Files: 2, Bytes: 3_200_000_000}}})

	loading := atTales(t, &fake{})
	hit(loading, "3")
	ticks(loading, 4, nil)

	unread := hinted{"read snapshot 4a1c9d2: the file is damaged or of an unknown format", "'qbranch store fsck' says what is wrong"}
	failed := atStore(t, &fake{useErr: unread})
	f := &fake{}
	stale := atStore(t, f)
	f.useErr = unread
	tap(stale, "r")

	readOnly := fullStore()
	readOnly.Disk.ReadOnly = true
	still := atStore(t, &fake{usage: readOnly})

	locked := atStore(t, &fake{collect: func(app.CollectRequest) (*app.SweepReport, error) {
		return nil, hinted{"collect: another process is fetching into this store", "wait for it, or stop it"}
	}})
	tap(locked, "c")
	return []state{{"store", full}, {"store-marked", marked}, {"store-question", question}, {"store-removed", removed}, {"store-empty", empty}, {"store-left", left},
		{"store-loading", loading}, {"store-failed", failed}, {"store-stale", stale}, {"store-readonly", still}, {"store-locked", locked}}
}
