package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/infer"
	"github.com/qbranch/qbranch/quant/vram/gpu"
)

// Weights that are larger than the memory for them are told of before a
// generation begins; memory that is not known is no reason to warn.
func TestMemoryNotes(t *testing.T) {
	free := int64(8 << 30)
	tests := []struct {
		name   string
		info   infer.Info
		memory gpu.Memory
		want   string // "" = no note
	}{
		{"they fit", infer.Info{WeightBytes: 7 << 30}, gpu.Memory{Available: &free}, ""},
		{"unknown memory", infer.Info{WeightBytes: 70 << 30}, gpu.Memory{}, ""},
		{"a dense model", infer.Info{WeightBytes: 9 << 30}, gpu.Memory{Available: &free},
			"the weights are 9.00 GiB and 8.00 GiB of memory are available: every token reads them again"},
		{"a mixture of experts", infer.Info{WeightBytes: 22 << 30, Experts: 8}, gpu.Memory{Available: &free}, "experts are read from the disk as tokens need them"},
	}
	for _, test := range tests {
		got := strings.Join(memoryNotes(test.info, test.memory), "\n")
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: got %q, want %q in it", test.name, got, test.want)
		}
	}
}

// The prompt format of a card that lies beside the weights is found, and a card
// that cannot be read is none.
func TestPromptTemplate(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.md"), filepath.Join(dir, "bad.md")
	for path, text := range map[string]string{
		good: "# A model\n\n## Prompt template: Alpaca\n\n```\n### Instruction:\n{prompt}\n\n### Response:\n\n```\n",
		bad:  "# A model\x00",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		files infer.Files
		want  string
	}{
		{infer.Files{readme: good}, "### Instruction:\n{prompt}\n\n### Response:"},
		{infer.Files{readme: bad}, ""},
		{infer.Files{readme: filepath.Join(dir, "gone.md")}, ""},
		{infer.Files{}, ""},
	} {
		if got := strings.TrimSpace(promptTemplate(test.files)); got != test.want {
			t.Errorf("%v: got %q, want %q", test.files, got, test.want)
		}
	}
}

// A folder without a config.json is taken for a reference, and the error says so.
func TestNotLocalFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	ref, err := ParseRef("owner/name")
	if err != nil {
		t.Fatal(err)
	}
	absent := &notLocalError{ref: ref}
	if got, want := HintOf(absent), "fetch it, or go on fetching it: qbranch get owner/name"; got != want {
		t.Errorf("without a folder: got %q, want %q", got, want)
	}
	if err := os.MkdirAll("owner/name", 0o700); err != nil {
		t.Fatal(err)
	}
	if got, want := HintOf(absent), "the folder of that name has no config.json; to name it all the same: ./owner/name"; got != want {
		t.Errorf("with a folder: got %q, want %q", got, want)
	}
}
