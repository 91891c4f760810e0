package card

import (
	"bytes"
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
	Layout       string           `json:"layout"`
	Repo         string           `json:"repo"`
	Rows         []map[string]any `json:"rows"`
	Files        []map[string]any `json:"files"`
	Findings     [][3]string      `json:"findings"`
	DecoyTables  int              `json:"decoy_tables"`
	Repositories [][2]string      `json:"repositories"`
	BaseModel    []string         `json:"base_model"`
	ModelLink    string           `json:"model_link"`
	ModelType    *string          `json:"model_type"`
	QuantizedBy  *string          `json:"quantized_by"`
	PromptName   *string          `json:"prompt_template_name"`

	Case   string `json:"case"`   // its name,
	Source string `json:"source"` // and where it is from: nothing a card says
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
			d := json.NewDecoder(bytes.NewReader(raw))
			d.DisallowUnknownFields() // every key is compared
			if err := d.Decode(&want); err != nil {
				t.Fatal(err)
			}
			md, err := os.ReadFile(filepath.Join(dir, name+".md"))
			if err != nil {
				t.Fatal(err)
			}
			comparePublic(t, Parse(md), want, bytes.Contains(raw, []byte(`"repositories"`)), bytes.Contains(raw, []byte(`"prompt_template_name"`)))
		})
	}
}

func comparePublic(t *testing.T, got *Card, want expected, repositories, prompt bool) {
	t.Helper()
	check := func(key string, got, want any) {
		t.Helper()
		if asJSON(t, got) != asJSON(t, want) {
			t.Errorf("%s %s, want %s", key, asJSON(t, got), asJSON(t, want))
		}
	}
	check("layout", got.Layout, want.Layout)
	check("repo", got.Repo, want.Repo)
	compareRows(t, "rows", got.Rows, want.Rows)
	compareRows(t, "files", got.Files, want.Files)
	check("base_model", got.BaseModel, want.BaseModel)
	if want.ModelLink != "" { // a case names it only where there is no base model
		check("model_link", got.ModelLink, want.ModelLink)
	}
	check("model_type", got.ModelType, want.ModelType)
	check("quantized_by", got.QuantizedBy, want.QuantizedBy)
	check("decoy_tables", got.DecoyTables, want.DecoyTables)
	check("decoys", len(got.Decoys), want.DecoyTables)
	if repositories { // some cases leave these out, though their cards have them
		check("repositories", got.Repositories, want.Repositories)
	}
	if prompt {
		check("prompt_template_name", got.PromptName, want.PromptName)
	}
	compareFindings(t, got.Findings, want.Findings)
}

// compareFindings: three codes are complete in the expectations. Of the others
// we know some, and what is expected of these must be there.
func compareFindings(t *testing.T, got []Finding, want [][3]string) {
	t.Helper()
	complete := []string{"DESC_GS", "DESC_REF_ABSENT", "DESC_SUPERLATIVE"}
	known := []string{"ARXIV_NUMBER", "BASE_MODEL_URL", "BRANCH_GRAMMAR", "CRLF", "DECOY_TABLE", "DESC_GENERIC", "EXLLAMA_TEXT", "FOREIGN_FILE", "MAIN_WITHOUT_WEIGHTS",
		"MULTI_FILE_BRANCH", "NOT_BRANCHES", "NO_TABLE", "PROMPT_FENCE", "SEQ_LEN_ODD", "STRAY_BACKTICK", "VRAM_NOT_SIZE", "CMD_NAME"}
	var remarks, wantRemarks, all []string
	for _, f := range got {
		all = append(all, f.Code)
		if slices.Contains(complete, f.Code) {
			remarks = append(remarks, f.Code+" "+f.Where)
		}
	}
	for _, f := range want {
		if slices.Contains(complete, f[0]) {
			wantRemarks = append(wantRemarks, f[0]+" "+f[1])
		}
		if slices.Contains(known, f[0]) && !slices.Contains(all, f[0]) {
			t.Errorf("no finding %s: %s", f[0], f[2])
		}
	}
	slices.Sort(remarks)
	slices.Sort(wantRemarks)
	if !slices.Equal(remarks, wantRemarks) {
		t.Errorf("remarks %q, want %q", remarks, wantRemarks)
	}
}

// compareRows: the same keys, null or not, with the same values.
func compareRows[T Row | File](t *testing.T, what string, got []T, want []map[string]any) {
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
			if g, ok := m[key]; !ok || !reflect.DeepEqual(g, w) {
				t.Errorf("%s[%d].%s = %v, want %v", what, i, key, g, w)
			}
		}
		for key, g := range m {
			if _, ok := want[i][key]; !ok {
				t.Errorf("%s[%d].%s = %v, want no such key", what, i, key, g)
			}
		}
	}
}
