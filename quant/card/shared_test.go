package card

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// expected is what a correct reader makes of a public card.
type expected struct {
	Layout      string           `json:"layout"`
	Repo        string           `json:"repo"`
	Rows        []map[string]any `json:"rows"`
	Files       []map[string]any `json:"files"`
	Findings    [][3]string      `json:"findings"`
	BaseModel   []string         `json:"base_model"`
	QuantizedBy string           `json:"quantized_by"`
	PromptName  string           `json:"prompt_template_name"`
}

// Real cards of many years and authors, where they stand beside the repository.
func TestPublicCards(t *testing.T) {
	const dir = "../../../shared/cards"
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("no public cards beside the repository")
	}
	files, err := filepath.Glob(dir + "/*.expected.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".expected.json")
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want expected
			if err := json.Unmarshal(raw, &want); err != nil {
				t.Fatal(err)
			}
			md, err := os.ReadFile(filepath.Join(dir, name+".md"))
			if err != nil {
				t.Fatal(err)
			}
			comparePublic(t, Parse(md), want, string(md))
		})
	}
}

func comparePublic(t *testing.T, got *Card, want expected, md string) {
	t.Helper()
	if got.Layout != want.Layout {
		t.Errorf("layout %q, want %q", got.Layout, want.Layout)
	}
	// An excerpt may have lost every mention of its own repository.
	if repo := ""; strings.Contains(md, want.Repo) {
		if got.Repo != nil {
			repo = *got.Repo
		}
		if repo != want.Repo {
			t.Errorf("repo %q, want %q", repo, want.Repo)
		}
	}
	compareRows(t, "rows", got.Rows, want.Rows)
	compareRows(t, "files", got.Files, want.Files)
	base := ""
	if len(want.BaseModel) > 0 {
		base = want.BaseModel[0]
	}
	if got.BaseModel != base || got.QuantizedBy != want.QuantizedBy {
		t.Errorf("base model %q by %q, want %q by %q", got.BaseModel, got.QuantizedBy, base, want.QuantizedBy)
	}
	if want.PromptName != "" && got.PromptName != want.PromptName {
		t.Errorf("prompt template %q, want %q", got.PromptName, want.PromptName)
	}
	// These three codes are complete in the expectations; the others rest on
	// more than the card.
	var remarks, wantRemarks []string
	for _, f := range got.Findings {
		if strings.HasPrefix(f.Code, "DESC_") {
			remarks = append(remarks, f.Code+" "+f.Where)
		}
	}
	for _, f := range want.Findings {
		if slices.Contains([]string{"DESC_GS", "DESC_REF_ABSENT", "DESC_SUPERLATIVE"}, f[0]) {
			wantRemarks = append(wantRemarks, f[0]+" "+f[1])
		}
	}
	slices.Sort(remarks)
	slices.Sort(wantRemarks)
	if !slices.Equal(remarks, wantRemarks) {
		t.Errorf("remarks %q, want %q", remarks, wantRemarks)
	}
}

// compareRows holds every key of the expectation against ours, and every key
// of ours that is set against the expectation.
func compareRows(t *testing.T, what string, got []Row, want []map[string]any) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d %s, want %d", len(got), what, len(want))
	}
	for i := range got {
		raw, err := json.Marshal(got[i])
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		for key, w := range want[i] {
			if !reflect.DeepEqual(m[key], w) {
				t.Errorf("%s[%d].%s = %v, want %v", what, i, key, m[key], w)
			}
		}
		for key, g := range m {
			if _, ok := want[i][key]; !ok && g != nil && g != "" && !(what == "files" && key == "description") {
				t.Errorf("%s[%d].%s = %v, want nothing", what, i, key, g)
			}
		}
	}
}
