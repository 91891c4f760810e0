package quant

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/quant/safetensors"
)

// load reads a checkpoint folder; the contents serve CheckData.
func load(t *testing.T, dir, branch string) (Input, func(string) (io.ReaderAt, error)) {
	t.Helper()
	in := Input{Branch: branch, Files: map[string]int64{}, JSON: map[string][]byte{}, Headers: map[string]*safetensors.Header{}}
	content := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, "reference.") {
			continue // what it should compute: no part of the checkpoint
		}
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		in.Files[name] = int64(len(b))
		switch filepath.Ext(name) {
		case ".json":
			in.JSON[name] = b
		case ".safetensors":
			content[name] = b
			if in.Headers[name], err = safetensors.Parse(bytes.NewReader(b), int64(len(b))); err != nil {
				t.Fatal(err)
			}
		}
	}
	return in, func(path string) (io.ReaderAt, error) { return bytes.NewReader(content[path]), nil }
}

// demoFindings is what is found in a branch of the demo: nothing but the zero
// biases of its writer, and act-order without effect where there are no groups.
func demoFindings(branch string) []string {
	if branch == "main" || strings.Contains(branch, "--1g") {
		return []string{"H10 info", "H13 info", "J7 info"}
	}
	return []string{"H10 info", "H13 info"}
}

// The eight branches of the demo, by their configuration and headers.
func TestCheckDemo(t *testing.T) {
	dirs, err := filepath.Glob("testdata/demo/*")
	if err != nil || len(dirs) != 8 {
		t.Fatalf("%d branches, %v", len(dirs), err)
	}
	for _, dir := range dirs {
		in, _ := load(t, dir, filepath.Base(dir))
		b, err := os.ReadFile(filepath.Join(dir, "model.safetensors.header"))
		if err != nil {
			t.Fatal(err)
		}
		size := int64(len(b)) + dataLength(t, b)
		h, err := safetensors.Parse(bytes.NewReader(b), size)
		if err != nil {
			t.Fatal(err)
		}
		in.Files["model.safetensors"], in.Headers["model.safetensors"] = size, h
		var got []string
		for _, f := range Check(in) {
			got = append(got, f.Code+" "+string(f.Severity))
		}
		slices.Sort(got)
		if !slices.Equal(got, demoFindings(in.Branch)) {
			t.Errorf("%s: got %q, want %q", in.Branch, got, demoFindings(in.Branch))
		}
		cfg, findings := in.Config()
		p := ParseBranchName(in.Branch)
		if len(findings) > 0 || p.Bits != nil && (cfg.Bits != *p.Bits || cfg.GroupSize != *p.GroupSize) || !isTrue(cfg.DescAct) {
			t.Errorf("%s: Config() = %+v, %v", in.Branch, cfg, findings)
		}
	}
}

// dataLength is the largest end of a tensor in a header.
func dataLength(t *testing.T, b []byte) int64 {
	t.Helper()
	var h map[string]struct {
		Offsets [2]int64 `json:"data_offsets"`
	}
	if err := json.Unmarshal(b[8:8+binary.LittleEndian.Uint64(b)], &h); err != nil {
		t.Fatal(err)
	}
	end := int64(0)
	for _, x := range h {
		end = max(end, x.Offsets[1])
	}
	return end
}

// shared gives a path beside the repository, or skips.
func shared(t *testing.T, path string) string {
	t.Helper()
	path = filepath.Join("../../shared", path)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("no reference data beside the repository")
	}
	return path
}

func TestSharedDemo(t *testing.T) {
	dir := shared(t, "demo-model")
	entries, err := os.ReadDir("testdata/demo")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		in, open := load(t, filepath.Join(dir, e.Name()), e.Name())
		if got, all := judge(t, in, open); !slices.Equal(got, demoFindings(e.Name())) {
			t.Errorf("%s: got %q\n%+v", e.Name(), got, all)
		}
	}
}

// Checkpoints of many kinds by the tools of 2024 and 2026: none has a fault, and
// every warning is one about what engines do, or that the weights, which are
// random, were never trained.
func TestSharedCheckpoints(t *testing.T) {
	dir := shared(t, "vectors/checkpoints")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := e.Name()
		in, open := load(t, filepath.Join(dir, name), "")
		var want []string
		old := in.JSON["tokenizer.json"] == nil // written by AutoGPTQ
		if old {
			want = append(want, "H10 info")
		}
		if strings.HasPrefix(name, "mixtral") {
			want = append(want, "J14 warn")
		}
		if !strings.Contains(name, "--1g") { // one group does not tell
			want = append(want, "D6 warn")
		}
		if old && strings.Contains(name, "asym") {
			want = append(want, "J9 warn")
		}
		slices.Sort(want)
		if got, all := judge(t, in, open); !slices.Equal(butSize(got), want) {
			t.Errorf("%s: got %q, want %q\n%+v", name, got, want, all)
		}
	}
}

// Configuration files as they are found in public: every value that is
// expected of them.
func TestPublicConfigs(t *testing.T) {
	raw, err := os.ReadFile(shared(t, "cards/_configs.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		ID, File, Raw string
		Expect        map[string]any
	}
	if err := json.Unmarshal(raw, &cases); err != nil || len(cases) == 0 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, c := range cases {
		var cfg Config
		var err error
		if c.File == "config.json" {
			cfg, _, err = ParseModelConfig([]byte(c.Raw))
		} else {
			cfg, err = ParseConfig(c.File, []byte(c.Raw))
		}
		if valid, _ := c.Expect["valid_json"].(bool); valid != (err == nil) {
			t.Errorf("%s: %v", c.ID, err)
		}
		for key, want := range c.Expect {
			if got, known := publicValue(cfg, key); !known {
				t.Errorf("%s: nothing compares %s", c.ID, key)
			} else if key != "valid_json" && key != "note" && got != want {
				t.Errorf("%s: %s is %v, want %v", c.ID, key, got, want)
			}
		}
	}
}

// publicValue is a value of the configuration under the name and in the form it
// has in the cases: null for what is not stated, and for no groups.
func publicValue(c Config, key string) (value any, known bool) {
	text := func(s string) any {
		var v any
		if json.Unmarshal([]byte(s), &v) != nil {
			return nil
		}
		return v
	}
	switch key {
	case "valid_json", "note":
		return nil, true
	case "method":
		return c.Method, true
	case "bits":
		for _, o := range c.odd { // EXL2 has fractions, which are no bits of ours
			if o.key == "bits" {
				return text(o.value), true
			}
		}
		return text(c.bitsText()), true
	case "group_size":
		if c.GroupSize == -1 {
			return nil, true
		}
		return text(c.groupText()), true
	case "desc_act":
		return text(boolText(c.DescAct)), true
	case "sym":
		return text(boolText(c.Sym)), true
	case "static_groups":
		return text(boolText(c.StaticGroups)), true
	case "damp":
		if c.DampPercent == nil {
			return nil, true
		}
		return *c.DampPercent, true
	case "quantizer":
		return cmp.Or(c.Quantizer, "unknown"), true
	case "dataset":
		return c.Dataset, true
	case "seq_len":
		return float64(c.SeqLen), true
	case "head_bits":
		return text(string(c.Ignored["head_bits"])), true
	}
	return nil, false
}
