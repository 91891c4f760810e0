package app_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/hubtest"
)

// noteCase is a repository that has something to note, and one that nearly does.
// Both begin with three branches of the demo and a card that lists just these.
type noteCase struct {
	code    string
	trigger func(*noteWorld)
	near    func(*noteWorld) // nil = nothing is done
}

// noteWorld is a repository before and while it is listed.
type noteWorld struct {
	*world
	branches map[string]files
	inspect  bool // read the headers, too
}

// edit changes a text file of a branch.
func edit(branch, file, old, new string) func(*noteWorld) {
	return func(w *noteWorld) { replace(w.TB, w.branches[branch], file, old, new) }
}

// both does one thing after the other.
func both(steps ...func(*noteWorld)) func(*noteWorld) {
	return func(w *noteWorld) {
		for _, step := range steps {
			step(w)
		}
	}
}

// drop removes a file of a branch.
func drop(branch, file string) func(*noteWorld) {
	return func(w *noteWorld) { delete(w.branches[branch], file) }
}

const cardOf32 = "| 3 | 32 | Yes | 0.1 |"

var noteCases = []noteCase{
	{"BRANCH_GONE", func(w *noteWorld) { w.serve(); w.get(main32, app.GetOptions{}); w.remove(main32) },
		func(w *noteWorld) { w.serve(); w.get(main32, app.GetOptions{}) }},
	{"CARD_ACT_ORDER", edit("main", "README.md", cardOf32, "| 3 | 32 | No | 0.1 |"), edit("main", "README.md", cardOf32, "| 3 | 32 | True | 0.1 |")},
	{"CARD_BITS", edit("main", "README.md", cardOf32, "| 4 | 32 | Yes | 0.1 |"), nil},
	{"CARD_DAMP", edit("main", "README.md", cardOf32, "| 3 | 32 | Yes | 0.01 |"), edit("main", "README.md", cardOf32, "| 3 | 32 | Yes | 0.10 |")},
	{"CARD_GROUP_SIZE", edit("main", "README.md", cardOf32, "| 3 | None | Yes | 0.1 |"), nil},
	{"CARD_MISSING_BRANCH", func(w *noteWorld) { delete(w.branches, main32) }, nil},
	{"CARD_SIZE", edit("main", "README.md", "1.98 MB", "1.99 MB"), edit("main", "README.md", "1.98 MB", "1.976 MB")},
	{"CARD_UNREADABLE", func(w *noteWorld) {
		w.serve()
		w.hub.AddFault(hubtest.Fault{PathContains: "README.md", Status: 500})
	}, nil},
	{"CONFIG_DIFFERS", edit(main32, "quantize_config.json", `"bits": 3`, `"bits": 4`), edit(main32, "quantize_config.json", `"bits": 3`, `"bits":  3`)},
	{"CONFIG_UNREADABLE", func(w *noteWorld) {
		w.branches[main32]["quantize_config.json"] = append(slices.Clone(w.branches[main32]["quantize_config.json"]), ']', '}')
	}, nil},
	{"ENGINE_CARD", func(w *noteWorld) {
		replace(w.TB, w.branches["main"], "README.md", "1.98 MB | No |", "1.98 MB | Yes |")
		w.inspect = true
	}, func(w *noteWorld) {
		card := w.branches["main"]
		card["README.md"] = bytes.ReplaceAll(card["README.md"], []byte(" MB | No |"), []byte(" MB | |"))
		w.inspect = true
	}},
	{"METADATA_DIFFERS", func(w *noteWorld) { w.metadata(main32, `{"gptq_bits":"4"}`); w.inspect = true },
		func(w *noteWorld) { w.metadata(main32, `{"gptq_bits":"3"}`); w.inspect = true }},
	{"MOVED", func(w *noteWorld) { w.serve(); w.get(main32, app.GetOptions{}); w.move(main32) },
		func(w *noteWorld) { w.serve(); w.move(main32); w.get(main32, app.GetOptions{}) }},
	{"NAME_ACT_ORDER", act(false), nil},
	{"NAME_BITS", both(edit(main32, "quantize_config.json", `"bits": 3`, `"bits": 4`), drop(main32, "config.json")), nil},
	{"NAME_GROUP_SIZE", both(edit(main32, "quantize_config.json", `: 32`, `: 64`), drop(main32, "config.json")), nil},
	{"NO_CARD", drop("main", "README.md"), drop(main32, "README.md")},
	{"NO_CARD_TABLE", func(w *noteWorld) { w.branches["main"]["README.md"] = []byte("# Hello\n") }, nil},
	{"NO_CONFIG", both(drop(main32, "quantize_config.json"), drop(main32, "config.json")), drop(main32, "quantize_config.json")},
	{"NOT_GPTQ", func(w *noteWorld) {
		w.branches[main32]["quantize_config.json"] = []byte(`{"w_bit":4,"q_group_size":128,"zero_point":true,"version":"GEMM"}`)
		delete(w.branches[main32], "config.json")
	}, nil},
	{"NO_WEIGHTS", drop(main32, weights), drop("main", "added_tokens.json")},
	{"OFFLINE", func(w *noteWorld) { w.serve(); w.cached(false).list(); w.cached(true) }, func(w *noteWorld) { w.serve(); w.cached(false).list(); w.cached(false) }},
	{"REF_NOT_ON_CARD", func(w *noteWorld) {
		w.branches["extra"] = maps.Clone(w.branches["main"])
		w.branches["extra"]["NEWS"] = []byte("x")
	}, nil},
	{"RENAMED", func(w *noteWorld) { w.serve(); w.rename() }, nil},
	{"RESTRICTED", func(w *noteWorld) { w.serveAs(hubtest.RepoData{Gated: true}, hubtest.Options{Token: "hf_good"}) }, nil},
	{"SAME_COMMIT", func(w *noteWorld) { w.branches["copy"] = w.branches["main"] }, func(w *noteWorld) {
		w.branches["copy"] = maps.Clone(w.branches["main"])
		w.branches["copy"]["NEWS"] = []byte("x")
	}},
	{"SAME_WEIGHTS", func(w *noteWorld) { w.branches[main32][weights] = w.branches["main"][weights] }, nil},
	{"STORE_UNREADABLE", func(w *noteWorld) {
		if err := os.WriteFile(w.store, []byte("no store"), 0o644); err != nil {
			w.Fatal(err)
		}
	}, nil},
	{"TENSORS_DIFFER", func(w *noteWorld) {
		act(true)(w)
		replace(w.TB, w.branches[main32], "quantize_config.json", `: 32`, `: 64`)
		w.inspect = true
	}, func(w *noteWorld) { w.inspect = true }},
}

// act rewrites the one configuration of main32 with another act-order.
func act(on bool) func(*noteWorld) {
	if on {
		return drop(main32, "config.json")
	}
	return both(edit(main32, "quantize_config.json", `"desc_act": true`, `"desc_act": false`), drop(main32, "config.json"))
}

// TestNotes: every note has a repository that makes it, and one that does not.
func TestNotes(t *testing.T) {
	t.Parallel()
	for _, test := range noteCases {
		t.Run(test.code, func(t *testing.T) {
			t.Parallel()
			if codes := notesOf(t, test.trigger); !slices.Contains(codes, test.code) {
				t.Errorf("got notes %q, want %s among them", codes, test.code)
			}
			near := test.near
			if near == nil {
				near = func(*noteWorld) {}
			}
			if codes := notesOf(t, near); slices.Contains(codes, test.code) {
				t.Errorf("got notes %q where there is no reason", codes)
			}
		})
	}
}

// TestNotesAreAllTested compares the cases with the table in the docs.
func TestNotesAreAllTested(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../../docs/findings.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "\n## Notes of `ls`\n")
	table, _, _ = strings.Cut(table, "\n## ")
	var documented, tested []string
	for _, m := range regexp.MustCompile(`(?m)^\| ([A-Z_]+) \|`).FindAllStringSubmatch(table, -1) {
		documented = append(documented, m[1])
	}
	for _, test := range noteCases {
		tested = append(tested, test.code)
	}
	slices.Sort(documented)
	slices.Sort(tested)
	if !slices.Equal(documented, tested) {
		t.Errorf("documented:\n%q\ntested:\n%q", documented, tested)
	}
}

// notesOf lists a repository after it was prepared, and returns the codes.
func notesOf(t *testing.T, prepare func(*noteWorld)) []string {
	t.Helper()
	w := &noteWorld{world: &world{TB: t, store: filepath.Join(t.TempDir(), "store")}, branches: demoBranches(t, "main", main32, main128)}
	card := w.branches["main"]["README.md"]
	w.branches["main"]["README.md"] = regexp.MustCompile(`(?m)^\| \[gptq-(3bit--1g|3bit-128g|4bit-32g|8bit).*\n`).ReplaceAll(card, nil)
	prepare(w)
	if w.hub == nil {
		w.serve()
	}
	ref := w.ref("main")
	ref.Revision = ""
	var l *app.Listing
	var err error
	if w.inspect {
		l, _, err = w.Inspect(context.Background(), ref)
	} else {
		l, err = w.List(context.Background(), ref.Repo, app.ListOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, n := range l.Notes {
		codes = append(codes, n.Code)
	}
	return codes
}

func (w *noteWorld) serve() { w.serveAs(hubtest.RepoData{}, hubtest.Options{}) }

// serveAs starts the hub with the branches as they are.
func (w *noteWorld) serveAs(repo hubtest.RepoData, o hubtest.Options) {
	repo.ID, repo.Branches = repoID, w.branches
	served := newWorldOf(w.TB, repo, o)
	served.store = w.store
	served.App = served.open(hub.Options{})
	w.world = served
}

// cached makes the App one with a cache.
func (w *noteWorld) cached(offline bool) *noteWorld {
	w.App = w.open(hub.Options{CacheDir: filepath.Join(filepath.Dir(w.store), "cache"), Offline: offline})
	return w
}

func (w *noteWorld) move(branch string) {
	moved := maps.Clone(w.branches[branch])
	moved["NEWS.md"] = []byte("news\n")
	if _, err := w.hub.SetBranch(repoID, branch, moved); err != nil {
		w.Fatal(err)
	}
}

func (w *noteWorld) remove(branch string) {
	if _, err := w.hub.SetBranch(repoID, branch, nil); err != nil {
		w.Fatal(err)
	}
}

func (w *noteWorld) rename() {
	if err := w.hub.Rename(repoID, "someone/else"); err != nil {
		w.Fatal(err)
	}
}

// metadata gives the weights of a branch other metadata.
func (w *noteWorld) metadata(branch, meta string) {
	data := w.branches[branch][weights]
	n := binary.LittleEndian.Uint64(data)
	header := regexp.MustCompile(`"__metadata__":\{[^}]*\}`).ReplaceAll(data[8:8+n], []byte(`"__metadata__":`+meta))
	if bytes.Equal(header, data[8:8+n]) {
		w.Fatal("the header has no metadata to replace")
	}
	header = append(header, bytes.Repeat([]byte(" "), (8-len(header)%8)%8)...)
	w.branches[branch][weights] = slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header, data[8+n:])
}
