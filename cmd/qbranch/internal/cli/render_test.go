package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/fetch"
	"github.com/qbranch/qbranch/quant/card"
)

func p[T any](v T) *T { return &v }

const commit = "4a1c9d2e00000000000000000000000000000000"

func listing() *app.Listing {
	return &app.Listing{Repo: "TheBloke/Llama-2-13B-chat-GPTQ", Endpoint: "https://huggingface.co", Branches: []app.BranchRow{
		{Branch: "main", Commit: commit, Bits: p(4), GroupSize: p(128), ActOrder: p(false), CardBytes: p[int64](7_260_000_000),
			WeightBytes: 7_259_000_000, TotalBytes: 7_262_000_000, Files: 12, Local: app.LocalVerified},
		{Branch: "gptq-4bit-32g-actorder_True", Commit: commit, Bits: p(4), GroupSize: p(32), ActOrder: p(true), CardBytes: p[int64](8_000_000_000),
			WeightBytes: 8_000_000_000, TotalBytes: 8_000_000_000, Files: 12, Local: app.LocalPartial, LocalBytes: 3_440_000_000},
		{Branch: "gptq-8bit--1g-actorder_True", Commit: commit, Bits: p(8), GroupSize: p(-1), ActOrder: p(true), WeightBytes: 13_360_000_000, Files: 12},
		{Branch: "odd\x1b[31m", Commit: "", Error: "list the files: \x1b]0;title\x07refused"},
	}, Notes: []app.Note{
		{Branch: "main", Code: "ACT_ORDER", Message: "the card says act-order, the config says not"},
		{Code: "CARD_ABSENT", Message: "the card names a branch that is not there"},
	}}
}

func TestLsText(t *testing.T) {
	want := `
Branch                       Bits    GS  Act  Size GB  Card GB  Commit   Local
main                            4   128  no      7.26     7.26  4a1c9d2  verified
gptq-4bit-32g-actorder_True     4    32  yes     8.00     8.00  4a1c9d2  partial 43%
gptq-8bit--1g-actorder_True     8  none  yes    13.36        -  4a1c9d2
odd                             ?     ?  ?          ?        -
note: odd: list the files: refused
note: main: the card says act-order, the config says not (ACT_ORDER)
note: the card names a branch that is not there (CARD_ABSENT)
`
	for _, width := range []int{0, 85} { // no terminal, and one that is wide enough
		if got := "\n" + lsText(listing(), width); got != want {
			t.Errorf("width %d: got%s\nwant%s", width, got, want)
		}
	}
	narrow := lsText(listing(), 80)
	if got := tableWidth(narrow[:strings.Index(narrow, "note:")]); got > 80 || strings.Contains(narrow, "Commit") || !strings.Contains(narrow, "partial 43%") {
		t.Errorf("%d columns wide:\n%s", got, narrow)
	}
}

// One unit for both columns, and its name in the header. A card that is far off
// does not choose it.
func TestLsUnit(t *testing.T) {
	small := &app.Listing{Branches: []app.BranchRow{{Branch: "main", Files: 9, WeightBytes: 2_090_000, CardBytes: p[int64](7_260_000_000)}}}
	if got := lsText(small, 0); !strings.Contains(got, "Size MB") || !strings.Contains(got, "2.09") {
		t.Errorf("got\n%s", got)
	}
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	if err := emitTo(&b, v); err != nil {
		t.Fatal(err)
	}
	if !json.Valid(b.Bytes()) {
		t.Fatalf("not JSON: %s", b.String())
	}
	return strings.TrimSpace(b.String())
}

func plan() app.Plan {
	return app.Plan{Repo: app.RepoID{Owner: "o", Name: "n"}, Branch: "main", Commit: commit,
		Files: []fetch.FilePlan{
			{File: hub.File{Path: "config.json", Size: 1_752}, State: "held", Held: 1_752},
			{File: hub.File{Path: "model.safetensors", Size: 2_214_528}, State: "partial", Held: 1 << 20, Parts: 2},
		},
		Bytes: 2_216_280, Held: 1_050_328, Move: 1_165_952, DiskNeeded: 1_165_952, DiskFree: 212e9}
}

func ref(t *testing.T, s string) app.Ref {
	t.Helper()
	r, err := app.ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestGetText(t *testing.T) {
	main := ref(t, "o/n:main")
	for _, tc := range []struct{ name, got, want string }{
		{"plan", planText(main, app.DefaultEndpoint, plan()),
			"o/n:main at 4a1c9d2\n  2 files, 2.22 MB: 1.05 MB held, 1.17 MB to move\n  disk: 1.17 MB needed, 212.00 GB free"},
		{"done", paint(false).gotText("/data/qbranch", main, &app.GetResult{Plan: plan(), Received: 1_165_952, Kept: 1_048_576, Reused: 1_752, Elapsed: 2 * time.Second}, true),
			"got o/n:main: 2.22 MB, sha256 verified\n  1.17 MB moved in 2.0 s (583.0 kB/s), 1.05 MB kept, 1.8 kB reused\n" +
				"  in store /data/qbranch\n  next: qbranch gen o/n:main -p \"Hello\"\n"},
		{"one of several, all of it here", paint(false).gotText("/data/qbranch", main, &app.GetResult{Plan: plan(), Reused: 2_216_280}, false),
			"already here: o/n:main, 2.22 MB (checked when it was fetched; 'qbranch verify o/n:main' hashes it again)\n"},
		{"nothing here can run it", paint(false).gotText("/data/qbranch", main, &app.GetResult{Plan: plan(), Received: 2_216_280, Elapsed: time.Second, CannotRun: "no tokenizer.json"}, true),
			"got o/n:main: 2.22 MB, sha256 verified\n  2.22 MB moved in 1.0 s (2.22 MB/s)\n  in store /data/qbranch\n"},
		{"a note about that", cannotRunText("no tokenizer.json"), "qbranch gen cannot run it: no tokenizer.json; fetching and verifying work"},
		{"finding", paint(false).findingText(app.Finding{Code: "J3", Severity: "warn", Where: "config.json", Message: "bits differ", Hint: "trust the tensors"}),
			"  warn J3 config.json: bits differ (trust the tensors)"},
		{"mismatch", fetchText(fetch.Event{Kind: fetch.EventMismatch, Path: "m", Err: errors.New("sha"), Ranges: []app.Range{{Offset: 0, Length: 1 << 20}, {Offset: 3 << 20, Length: 1 << 20}}}, false),
			"  m does not match its digest: fetching bytes 0-1048575, 3145728-4194303 (2.10 MB) again"},
		{"mismatch repaired", fetchText(fetch.Event{Kind: fetch.EventMismatch, Path: "m", Ranges: []app.Range{{Offset: 0, Length: 1 << 20}}}, false),
			"  bytes 0-1048575 (1.05 MB) of m were wrong and have been replaced"},
		{"waiting for another process", fetchText(fetch.Event{Kind: fetch.EventWait, Path: "m"}, false), "  another qbranch is fetching m: waiting for it"},
		{"disk full", fetchText(fetch.Event{Kind: fetch.EventSpace, Path: "m", Err: errors.New("full")}, false),
			"  paused, full: going on as soon as there is space"},
		{"space again", fetchText(fetch.Event{Kind: fetch.EventSpace, Path: "m"}, false), "  there is space again: going on"},
		{"retry is for -v", fetchText(fetch.Event{Kind: fetch.EventRetry, Path: "m", Err: errors.New("reset"), Wait: time.Second}, false), ""},
		{"retry with -v", fetchText(fetch.Event{Kind: fetch.EventRetry, Path: "m", Err: errors.New("reset"), Wait: time.Second}, true),
			"  retry m in 1.0 s: reset"},
		{"interrupted", (&interruptedError{what: "get " + main.String(), kept: 1_048_576, total: 2_216_280}).Error(),
			"get o/n:main: interrupted; 1.05 MB of 2.22 MB kept: run the same command to resume"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.name, tc.got, tc.want)
		}
	}
}

func TestGetJSON(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	for _, tc := range []struct {
		name string
		v    any
		want string
	}{
		{"plan", planJSON(ref(t, "o/n:main"), app.DefaultEndpoint, plan(), true),
			`{"type":"plan","schema":"qbranch/get/v1","endpoint":"https://huggingface.co","ref":"o/n:main","repo":"o/n","branch":"main","commit":"` + commit + `",` +
				`"files":[{"path":"config.json","size":1752,"state":"held","held_bytes":1752,"parts":0},` +
				`{"path":"model.safetensors","size":2214528,"state":"partial","held_bytes":1048576,"parts":2}],"parts":2,` +
				`"bytes":2216280,"held_bytes":1050328,"local_bytes":0,"move_bytes":1165952,"disk_needed_bytes":1165952,"disk_free_bytes":212000000000,"dry_run":true}`},
		{"file", fetchJSON(fetch.Event{Kind: fetch.EventFile, Path: "m", Bytes: 7}, at),
			`{"type":"file","time":"2026-01-02T03:04:05.006Z","path":"m","bytes":7,"state":"fetched"}`},
		{"retry", fetchJSON(fetch.Event{Kind: fetch.EventRetry, Path: "m", Err: errors.New("reset"), Wait: 1500 * time.Millisecond}, at),
			`{"type":"retry","time":"2026-01-02T03:04:05.006Z","path":"m","message":"reset","wait_seconds":1.5}`},
		{"mismatch", fetchJSON(fetch.Event{Kind: fetch.EventMismatch, Path: "m", Err: errors.New("sha"), Ranges: []app.Range{{Offset: 1 << 20, Length: 9}}}, at),
			`{"type":"retry","time":"2026-01-02T03:04:05.006Z","path":"m","message":"content does not match its digest","bad_ranges":[{"offset":1048576,"length":9}]}`},
		{"a hostile name stays inside its string", fetchJSON(fetch.Event{Kind: fetch.EventReuse, Path: "m\x1b[31m\u009b\u202e"}, at),
			`{"type":"file","time":"2026-01-02T03:04:05.006Z","path":"m\u001b[31m\u009b\u202e","state":"reused"}`},
	} {
		if got := marshal(t, tc.v); got != tc.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.name, got, tc.want)
		}
	}
}

func TestVerifyText(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{paint(false).checkText(app.FileCheck{Path: "a", Size: 1000, OK: true, Checked: "blake3"}), "ok   a  1.0 kB  blake3"},
		{paint(false).checkText(app.FileCheck{Path: "a", Size: 1000, OK: true, Checked: "read"}), "read  a  1.0 kB"},
		{paint(false).verifiedText(&app.VerifyReport{Target: "dd3", Files: []app.FileCheck{{Path: "a", OK: true, Checked: "read"}}}),
			"read dd3: 1 file; no digests recorded, so the bytes were not compared"},
		{paint(false).checkText(app.FileCheck{Path: "a", Ranges: []app.Range{{Offset: 1 << 20, Length: 1 << 20}}}), "BAD  a  bytes 1048576-2097151 (1.05 MB)"},
		{paint(false).checkText(app.FileCheck{Path: "a", Missing: true}), "missing  a  is not there"},
		{paint(false).verifiedText(&app.VerifyReport{Target: "o/n:main", Files: slices.Repeat([]app.FileCheck{{Checked: "blake3"}}, 9), Bytes: 2e6, Elapsed: time.Second, Repaired: 1 << 20}),
			"verified o/n:main: 9 files, 2.00 MB in 1.0 s (2.00 MB/s); 1.05 MB fetched again"},
		{paint(true).checkText(app.FileCheck{Path: "a", Missing: true}), "\x1b[31mmissing\x1b[0m  a  is not there"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

// The lines of verify have told the findings, and their hints.
func TestVerifyTold(t *testing.T) {
	findings := []app.Finding{{Code: "D6", Severity: app.Fatal, Where: "w", Message: "NaN", Hint: "take another branch"}, {Severity: app.Warn}}
	e := &toldError{&app.VerifyReport{Target: "dd", Findings: findings}, &app.FindingsError{Findings: findings}}
	if got, want := e.Error(), "verify dd: 1 fatal finding"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if code, h := exitCode(t.Context(), e), hint(e, exitIntegrity); code != exitIntegrity || h != "the findings above say what to do" {
		t.Errorf("code %d, hint %q", code, h)
	}
	findings[0].Hint = ""
	if h := hint(e, exitIntegrity); h == "" {
		t.Error("no advice at all")
	}
}

func TestGenOutput(t *testing.T) {
	res := &app.Generation{IDs: []int{5, 9}, Text: "Once", FinishReason: "stop", PromptTokens: 30, Reused: 10, Prefill: time.Second, Decode: 500 * time.Millisecond}
	g := &genRun{run: &run{}, target: app.Target{Ref: ref(t, "o/n:main")}, load: 250 * time.Millisecond}
	g.flags.request.MaxTokens, g.flags.request.Compute = 2, "int16"
	for reason, want := range map[string]string{"stop": "finished", "length": "stopped at -n 2", "context": "stopped where the model's context ends",
		"stop_string": "stopped at a --stop text", "cancelled": "interrupted"} {
		res := *res
		res.FinishReason = reason
		if got, want := g.speedText(&res), want+"; prompt 30 tokens at 20 tokens/s, 2 generated at 4 tokens/s"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	g.format = "tokenizer_config.json"
	if got, want := g.speedText(res), "finished; prompt 30 tokens at 20 tokens/s, 2 generated at 4 tokens/s; prompt format: tokenizer_config.json"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	want := `{"type":"summary","schema":"qbranch/gen/v1","target":"o/n:main","ids":[5,9],"text":"Once","finish_reason":"stop",` +
		`"prompt_tokens":30,"reused_tokens":10,"prefill_tokens_per_second":20,"decode_tokens_per_second":4,"compute":"int16",` +
		`"prompt_format":"tokenizer_config.json","load_seconds":0.25}`
	if got := marshal(t, g.object(res)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := marshal(t, tokenObject{"token", app.Token{ID: 5, Text: "Once"}}), `{"type":"token","id":5,"text":"Once"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The prompt may come from standard input, without its last line break.
func TestGenPromptFromStdin(t *testing.T) {
	r := &run{Program: Program{In: strings.NewReader("two\nlines\n")}}
	got, err := r.readPrompt(t.Context())
	if want := "two\nlines"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// Ctrl-C ends the wait for a prompt that never comes.
func TestGenPromptInterrupted(t *testing.T) {
	never, end := io.Pipe()
	defer end.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&SignalError{os.Interrupt})
	_, err := (&run{Program: Program{In: never}}).readPrompt(ctx)
	if got := exitCode(ctx, err); got != exitInterrupted {
		t.Errorf("code %d, %v", got, err)
	}
}

// Where the logits cannot be written is known before anything is loaded.
func TestCanCreate(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]int{"new": 0, "no/such/folder": exitStorage, ".": exitStorage} {
		err := canCreate(filepath.Join(dir, path))
		if got := exitCode(t.Context(), err); got != want {
			t.Errorf("%s: code %d, %v, want %d", path, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), ".qbranch-") {
			t.Errorf("%s: %v names a temporary file", path, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%d files left behind, %v", len(left), err)
	}
}

// The error that ends a fetch quotes the first fatal finding; the line above it
// would say the same.
func TestFatalFindingsOnce(t *testing.T) {
	findings := []app.Finding{{Code: "A", Severity: app.Warn}, {Code: "B", Severity: app.Fatal}, {Code: "C", Severity: app.Fatal}}
	told := false
	for range 2 { // only the first of all
		var codes string
		for _, f := range withoutFirstFatal(findings, &told) {
			codes += f.Code
		}
		want := "AC"
		if len(findings) == 1 {
			want = "B"
		}
		if codes != want {
			t.Errorf("got %q, want %q", codes, want)
		}
		findings = findings[1:2]
	}
}

func TestCardText(t *testing.T) {
	c := &app.Card{Layout: "gptq10", Repo: p("o/n"), QuantizedBy: p("TheBloke"), PromptTemplate: "[INST] {prompt}\n[/INST]", PromptName: p("Mistral"),
		Repositories: [][2]string{{"GPTQ", "o/n"}, {"GGUF", "o/n-GGUF"}}, Gated: &card.Gated{Heading: "Our licence", Prompt: "Be good.", Fields: []string{"Name"}},
		DecoyTables: 1, Decoys: []card.Decoy{{Where: "Results", Kind: "benchmark", Columns: []string{"Model", "MMLU"}}},
		Findings: []card.Finding{{Code: "DESC_GS", Where: "main", Message: "the description says \x1b[2Jgroup size 64"}}}
	c.Rows = []card.Row{{Branch: "main", Bits: p(4.0), ActOrder: p(true), Damp: p(0.1), Dataset: p("wikitext"), SeqLen: p(4096), SizeBytes: p[int64](7_260_000_000)}}
	want := `repository      o/n
quantised by    TheBloke
also as GGUF    o/n-GGUF
asks for        Name
terms Our licence
    Be good.
prompt template Mistral
    [INST] {prompt}
    [/INST]

Branch  Bits    GS  Act  Damp   Seq     Size  Dataset
main       4  none  yes   0.1  4096  7.26 GB  wikitext

not read:
  Results: Model, MMLU (benchmark)

note: main: the description says group size 64 (DESC_GS)
`
	if got := cardText(c); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCardWithoutTable(t *testing.T) {
	if got, want := cardText(&app.Card{Layout: "none"}), "no table of branches found\nnothing of a model card was found: is this one?\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStoreText(t *testing.T) {
	items := []app.StoreItem{
		{Repo: "o/n", Branch: "main", Commit: commit, Files: 9, Bytes: 2_100_000, SharedBytes: 40_000, State: app.LocalVerified, Created: time.Date(2026, 1, 2, 3, 4, 0, 0, time.Local)},
		{Repo: "o/n", Commit: commit, Files: 9, Bytes: 2_100_000, State: app.LocalCorrupt, Created: time.Date(2026, 1, 2, 3, 4, 0, 0, time.Local)},
	}
	want := `Branch                                        Commit   Files     Size   Shared  State     Fetched
o/n:main                                      4a1c9d2      9  2.10 MB  40.0 kB  verified  2026-01-02 03:04
o/n@4a1c9d2e00000000000000000000000000000000  4a1c9d2      9  2.10 MB      0 B  corrupt   2026-01-02 03:04
`
	narrow := `Branch      Files     Size   Shared  State     Fetched
o/n
  main          9  2.10 MB  40.0 kB  verified  2026-01-02
  @4a1c9d2      9  2.10 MB      0 B  corrupt   2026-01-02
`
	for width, want := range map[int]string{0: want, 106: want, 80: narrow} {
		if got := storeText(items, width); got != want {
			t.Errorf("width %d: got\n%s\nwant\n%s", width, got, want)
		}
	}
}

func TestParseRate(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want int64 // 0 = refused
	}{
		{"500000", 500_000},
		{"500k", 500_000},
		{"10M", 10_000_000},
		{"10MB/s", 10_000_000},
		{"2MiB", 2 << 20},
		{"1.5Gi", 3 << 29},
		{"", 0},
		{"fast", 0},
		{"10Q", 0},
		{"-1M", 0},
		{"0", 0},
		{"1e300", 0}, // would overflow
		{"NaN", 0},
		{"10Mk", 0},
	} {
		got, err := app.ParseRate(tc.in)
		if got != tc.want || (err == nil) != (tc.want != 0) {
			t.Errorf("%q: got %d, %v, want %d", tc.in, got, err, tc.want)
		}
	}
}

// What is accepted is at least a byte and prints back as itself.
func FuzzParseRate(f *testing.F) {
	for _, s := range []string{"10M", "2MiB", "500k/s", "1e9", "0x1p4", "Ki", "1.5Gi"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := app.ParseRate(s)
		if err != nil {
			return
		}
		if again, err := app.ParseRate(strings.TrimSpace(bytesAsDigits(n))); n < 1 || err != nil || again != n {
			t.Errorf("%q is %d, which reads back as %d, %v", s, n, again, err)
		}
	})
}

func bytesAsDigits(n int64) string {
	b, _ := json.Marshal(n) // an integer always encodes
	return string(b)
}
