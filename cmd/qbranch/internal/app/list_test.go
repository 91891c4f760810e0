package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/hubtest"
)

func TestListDemo(t *testing.T) {
	branches := demoBranches(t)
	w := newWorld(t, branches)
	l := w.list()

	// The eight rows of the card: what names, configs and card agree on.
	want := []string{
		"main 4 -1 true", "gptq-3bit--1g-actorder_True 3 -1 true", "gptq-3bit-128g-actorder_True 3 128 true",
		"gptq-3bit-32g-actorder_True 3 32 true", "gptq-4bit-128g-actorder_True 4 128 true",
		"gptq-4bit-32g-actorder_True 4 32 true", "gptq-8bit--1g-actorder_True 8 -1 true", "gptq-8bit-128g-actorder_True 8 128 true",
	}
	var got []string
	for _, r := range l.Branches {
		got = append(got, params(r))
		f := branches[r.Branch]
		if r.WeightBytes != int64(len(f[weights])) || r.TotalBytes != total(f) || r.Files != len(f) {
			t.Errorf("%s: %d bytes of weights, %d in %d files; want %d, %d in %d", r.Branch,
				r.WeightBytes, r.TotalBytes, r.Files, len(f[weights]), total(f), len(f))
		}
		if r.CardBytes == nil || r.Description == "" || r.Error != "" || r.Local != app.LocalNone {
			t.Errorf("row %+v: want a card size, a description, no error, nothing local", r)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("rows:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(l.Notes) != 0 {
		t.Errorf("%d notes, the first: %+v", len(l.Notes), l.Notes[0])
	}
	// refs, eight trees, and the card and configurations of main: those of the
	// others follow from them.
	if n := len(w.hub.Log()); n != 12 || l.Requests != n {
		t.Errorf("%d requests, says %d; want 12", n, l.Requests)
	}
	if _, err := os.Stat(w.store); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("listing made a store: %v", err)
	}
}

// params prints the branch and what its row says.
func params(r app.BranchRow) string {
	bits, group, act := "?", "?", "?"
	if r.Bits != nil {
		bits = fmt.Sprint(*r.Bits)
	}
	if r.GroupSize != nil {
		group = fmt.Sprint(*r.GroupSize)
	}
	if r.ActOrder != nil {
		act = fmt.Sprint(*r.ActOrder)
	}
	return strings.Join([]string{r.Branch, bits, group, act}, " ")
}

func TestListContradictions(t *testing.T) {
	const cardRow = "| 3 | 32 | Yes | 0.1 |"
	card := func(new string) func(*testing.T, map[string]files) {
		return func(t *testing.T, b map[string]files) { replace(t, b["main"], "README.md", cardRow, new) }
	}
	tests := []struct {
		name   string
		change func(*testing.T, map[string]files)
		want   []string // "branch CODE: part of the message"
		params string   // of main32, when not "3 32 true"
	}{
		{"agreement", card(cardRow), nil, ""},
		{"card: other bits", card("| 4 | 32 | Yes | 0.1 |"), []string{main32 + " DESC_BITS: the description says 3 bits, the table 4", main32 + " CARD_BITS: the card says 4 bits, config.json says 3 bits"}, ""},
		{"card: other groups", card("| 3 | 64 | Yes | 0.1 |"), []string{main32 + " CARD_GROUP_SIZE: the card says groups of 64, config.json says groups of 32"}, ""},
		{"card: no groups", card("| 3 | None | Yes | 0.1 |"), []string{main32 + " CARD_GROUP_SIZE: the card says no groups, config.json says groups of 32"}, ""},
		{"card: no act-order", card("| 3 | 32 | No | 0.1 |"), []string{main32 + " DESC_ACT: the description says act-order true, the table false", main32 + " CARD_ACT_ORDER: the card says no act-order, config.json says act-order"}, ""},
		{"card: other size", func(t *testing.T, b map[string]files) { replace(t, b["main"], "README.md", "1.98 MB", "1.99 MB") },
			[]string{main32 + " CARD_SIZE: the card says 1.99 MB, the weights have 1.98 MB"}, ""},
		{"a branch that is not there", func(t *testing.T, b map[string]files) { delete(b, main128) },
			[]string{main128 + " CARD_MISSING_BRANCH: the repository does not have it"}, ""},
		{"a branch that is not listed", func(t *testing.T, b map[string]files) { b["extra"] = b["main"] },
			[]string{"extra REF_NOT_ON_CARD: the card does not list this branch", "extra SAME_COMMIT: the same commit as main"}, ""},
		{"the name promises more", func(t *testing.T, b map[string]files) {
			replace(t, b[main32], "quantize_config.json", `"group_size": 32`, `"group_size": 128`)
			replace(t, b[main32], "quantize_config.json", `"bits": 3`, `"bits": 4`)
			replace(t, b[main32], "quantize_config.json", `"desc_act": true`, `"desc_act": false`)
			delete(b[main32], "config.json")
		}, []string{
			main32 + " NAME_BITS: the name says 3 bits, quantize_config.json says 4 bits", main32 + " CARD_BITS: the card says 3 bits",
			main32 + " NAME_GROUP_SIZE: the name says groups of 32, quantize_config.json says groups of 128", main32 + " CARD_GROUP_SIZE: the card says groups of 32",
			main32 + " NAME_ACT_ORDER: the name says act-order, quantize_config.json says no act-order", main32 + " CARD_ACT_ORDER: the card says act-order",
		}, main32 + " 4 128 false"},
		// Without a config the name counts, and the card is compared with it.
		{"no config", func(t *testing.T, b map[string]files) {
			delete(b[main32], "quantize_config.json")
			delete(b[main32], "config.json")
			replace(t, b["main"], "README.md", cardRow, "| 4 | 32 | Yes | 0.1 |")
		}, []string{main32 + " DESC_BITS: the description says 3 bits, the table 4", main32 + " NO_CONFIG: no quantisation configuration", main32 + " CARD_BITS: the card says 4 bits, the name says 3 bits"}, ""},
		// Found in the wild: one bracket too many at the end.
		{"config is not JSON", func(t *testing.T, b map[string]files) {
			b[main32]["quantize_config.json"] = append(slices.Clone(b[main32]["quantize_config.json"]), ']', '}')
		}, []string{main32 + " CONFIG_UNREADABLE: quantize_config.json"}, ""},
		{"GGUF", func(t *testing.T, b map[string]files) {
			clear(b[main32])
			b[main32]["model.Q4_K_M.gguf"] = []byte("GGUF")
		}, []string{main32 + " NOT_GPTQ: this is GGUF, not GPTQ"}, ""},
		// What the card says of a branch that is not there is compared with its name.
		{"a branch that is not there, and contradicts its name", func(t *testing.T, b map[string]files) {
			card("| 4 | 32 | Yes | 0.1 |")(t, b)
			delete(b, main32)
		},
			[]string{main32 + " DESC_BITS: the description says 3 bits, the table 4", main32 + " CARD_MISSING_BRANCH: the repository does not have it", main32 + " CARD_BITS: the card says 4 bits, the name says 3 bits"}, "-"},
		{"a pointer", func(t *testing.T, b map[string]files) {
			b[main32][weights] = []byte("version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("0", 64) + "\nsize 1975776\n")
		}, []string{main32 + " CARD_SIZE: the card says", main32 + " NO_WEIGHTS: model.safetensors has 132 B: a pointer of git-lfs, it seems"}, ""},
		{"pickles", func(t *testing.T, b map[string]files) {
			b[main32]["pytorch_model.bin"] = b[main32][weights]
			delete(b[main32], weights)
		}, []string{main32 + " NO_WEIGHTS: there are no safetensors files; pytorch_model.bin is a pickle"}, ""},
		{"another repository's card", func(t *testing.T, b map[string]files) {
			replace(t, b["main"], "README.md", repoID, "someone/else-GPTQ")
		},
			[]string{" OTHER_REPO: README.md: says that it belongs to someone/else-GPTQ, and was read from " + repoID}, ""},
		{"two rows that differ", func(t *testing.T, b map[string]files) {
			row := regexp.MustCompile(`(?m)^\| \[` + main32 + `.*\n`).Find(b["main"]["README.md"])
			replace(t, b["main"], "README.md", string(row), string(row)+strings.Replace(string(row), "| 3 |", "| 2 |", 1))
		}, []string{main32 + " ROW_TWICE: a second row"}, ""},
		{"no card", func(t *testing.T, b map[string]files) { delete(b["main"], "README.md") }, []string{" NO_CARD: README.md"}, ""},
		{"card without a table", func(t *testing.T, b map[string]files) { b["main"]["README.md"] = []byte("# Hello\n") }, []string{" NO_CARD_TABLE: "}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			branches := demoBranches(t)
			test.change(t, branches)
			w := newWorld(t, branches)
			l := w.list()
			for _, want := range test.want {
				head, message, _ := strings.Cut(want, ": ")
				branch, code, _ := strings.Cut(head, " ")
				if !slices.ContainsFunc(l.Notes, func(n app.Note) bool {
					return n.Branch == branch && n.Code == code && strings.Contains(n.Message, message)
				}) {
					t.Errorf("no note %q", want)
				}
			}
			if len(l.Notes) != len(test.want) {
				t.Errorf("%d notes, want %d; the first: %+v", len(l.Notes), len(test.want), l.Notes[:min(3, len(l.Notes))])
			}
			want := test.params
			if want == "-" {
				return // it has no row
			}
			if want == "" {
				want = main32 + " 3 32 true"
			}
			if got := params(w.row(main32)); got != want {
				t.Errorf("row is %q, want %q", got, want)
			}
		})
	}
}

// TestListFallback: repositories that have their configuration elsewhere cost
// one more request for each such branch.
func TestListFallback(t *testing.T) {
	branches := demoBranches(t, "main", main32, main128)
	quantize := branches[main32]["quantize_config.json"]
	delete(branches[main32], "quantize_config.json")
	branches[main32]["quant_config.json"] = quantize
	delete(branches[main128], "quantize_config.json") // config.json has its quantization_config
	w := newWorld(t, branches)
	l := w.list()
	if got, want := params(l.Branches[1]), main32+" 3 32 true"; got != want {
		t.Errorf("quant_config.json: row is %q, want %q", got, want)
	}
	if got, want := params(l.Branches[2]), main128+" 4 128 true"; got != want {
		t.Errorf("config.json: row is %q, want %q", got, want)
	}
	if want := 1 + 2*3; l.Requests > want {
		t.Errorf("%d requests, want at most %d", l.Requests, want)
	}
	for _, n := range l.Notes {
		if n.Code != "CARD_MISSING_BRANCH" { // the other five
			t.Errorf("note %+v", n)
		}
	}
}

// TestListOneBranchFails: the others are listed all the same.
func TestListOneBranchFails(t *testing.T) {
	branches := demoBranches(t, "main", main32)
	w := newWorld(t, branches)
	bad := w.row(main32).Commit
	w.hub.AddFault(hubtest.Fault{PathContains: "/tree/" + bad, Status: 500})
	l := w.list()
	if r := l.Branches[0]; r.Error != "" || r.Files == 0 {
		t.Errorf("main: %+v", r)
	}
	if r := l.Branches[1]; !strings.Contains(r.Error, "500") || r.Files != 0 || r.Bits == nil {
		t.Errorf("%s: %+v; want an error, and bits all the same", main32, r)
	}
	w.hub.AddFault(hubtest.Fault{PathContains: "/tree/", Status: 500})
	if _, err := w.List(context.Background(), w.ref("main").Repo, app.ListOptions{}); !errors.Is(err, hub.ErrNetwork) {
		t.Errorf("no tree can be read: error %v, want ErrNetwork", err)
	}
}

// TestListTamperedConfig: a config that is not the one listed is not believed.
func TestListTamperedConfig(t *testing.T) {
	w := newWorld(t, demoBranches(t, main32))
	w.hub.AddFault(hubtest.Fault{PathContains: "quantize_config.json", Rewrite: func(b []byte) []byte {
		return []byte(strings.Replace(string(b), `"bits": 3`, `"bits": 4`, 1))
	}})
	l := w.list()
	if r := l.Branches[0]; !strings.Contains(r.Error, "git blob id") || *r.Bits != 3 {
		t.Errorf("row %+v; want an error and the bits of the name", r)
	}
}

func TestListErrors(t *testing.T) {
	w := newWorld(t, demoBranches(t, "main"))
	nobody, err := hub.ParseRepoID("nobody/nothing")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.List(context.Background(), nobody, app.ListOptions{}); !errors.Is(err, hub.ErrUnauthorized) && !errors.Is(err, hub.ErrRepoNotFound) {
		t.Errorf("unknown repository: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := w.List(ctx, w.ref("main").Repo, app.ListOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	w.hub.AddFault(hubtest.Fault{Body: "<html>log in</html>", Status: 200, Header: map[string][]string{"Content-Type": {"text/html"}}})
	if _, err := w.List(context.Background(), w.ref("main").Repo, app.ListOptions{}); !errors.Is(err, hub.ErrNotHub) {
		t.Errorf("web page: %v", err)
	}
}

func TestListGated(t *testing.T) {
	w := newWorldOf(t, hubtest.RepoData{ID: repoID, Branches: demoBranches(t, "main", main32), Gated: true}, hubtest.Options{Token: "hf_secret"})
	l := w.list()
	if len(l.Notes) != 1 || l.Notes[0].Code != "RESTRICTED" {
		t.Errorf("notes %+v; want RESTRICTED once", l.Notes)
	}
	if got, want := params(l.Branches[1]), main32+" 3 32 true"; got != want || l.Branches[1].Error != "" {
		t.Errorf("row is %q (%s), want %q, from the name", got, l.Branches[1].Error, want)
	}
	_, err := w.Get(context.Background(), w.ref(main32), app.GetOptions{})
	if !errors.Is(err, hub.ErrGated) {
		t.Fatalf("get: %v, want ErrGated", err)
	}
	wantHint(t, err, "access")
	w.App = w.open(hub.Options{Token: hub.NewToken("hf_secret", "the test")})
	if l := w.list(); params(l.Branches[0]) != "main 4 -1 true" {
		t.Errorf("with a token: %+v", l.Branches[0])
	}
	if _, err := w.Get(context.Background(), w.ref(main32), app.GetOptions{DryRun: true}); err != nil {
		t.Errorf("get with a token: %v", err)
	}
}

func TestListLocalStates(t *testing.T) {
	branches := demoBranches(t, main32, main128)
	w := newWorld(t, branches)
	state := func(branch string, want app.LocalState, bytes int64) {
		t.Helper()
		if r := w.row(branch); r.Local != want || r.LocalBytes != bytes {
			t.Errorf("%s: %q with %d bytes, want %q with %d", branch, r.Local, r.LocalBytes, want, bytes)
		}
	}
	w.get(main32, app.GetOptions{})
	state(main32, app.LocalVerified, total(branches[main32]))

	// Tokenizer and card are shared, but nothing of main128 was begun.
	var shared int64
	for name, data := range branches[main128] {
		if string(data) == string(branches[main32][name]) {
			shared += int64(len(data))
		}
	}
	state(main128, app.LocalNone, shared)

	// The third ranged request is refused for good: part 0 stays.
	remove := w.hub.AddFault(hubtest.Fault{Origin: "cdn", After: 2, Status: 404})
	if _, err := w.Get(context.Background(), w.ref(main128), app.GetOptions{Connections: 1}); err == nil {
		t.Fatal("get: no error though storage refuses")
	}
	remove()
	if r := w.row(main128); r.Local != app.LocalPartial || r.LocalBytes < mib || r.LocalBytes >= r.TotalBytes {
		t.Errorf("after an interruption: %q with %d bytes", r.Local, r.LocalBytes)
	}

	moved := maps.Clone(branches[main32])
	moved["NEWS.md"] = []byte("news\n")
	if _, err := w.hub.SetBranch(repoID, main32, moved); err != nil {
		t.Fatal(err)
	}
	state(main32, app.LocalOutdated, total(branches[main32]))
	items, err := w.StoreList(context.Background())
	if err != nil || len(items) != 1 || items[0].State != app.LocalVerified {
		t.Errorf("store: %+v, %v; want the snapshot, verified", items, err)
	}
	w.get(main32, app.GetOptions{})
	state(main32, app.LocalVerified, total(moved))
}

// TestListJSON pins the names that scripts read.
func TestListJSON(t *testing.T) {
	w := newWorld(t, demoBranches(t, main32))
	data, err := json.Marshal(w.list())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"repo", "endpoint", "branches", "notes", "requests", "branch", "commit", "bits", "group_size", "act_order",
		"card_bytes", "weight_bytes", "total_bytes", "files", "local", "local_bytes"} {
		if !strings.Contains(string(data), `"`+key+`":`) {
			t.Errorf("no %q in %s", key, data)
		}
	}
}
