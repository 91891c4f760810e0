package quant

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
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
// every warning is one about what engines do.
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
		if old && strings.Contains(name, "asym") {
			want = append(want, "J9 warn")
		}
		slices.Sort(want)
		if got, all := judge(t, in, open); !slices.Equal(butSize(got), want) {
			t.Errorf("%s: got %q, want %q\n%+v", name, got, want, all)
		}
	}
}

// Configuration files as they are found in public.
func TestPublicConfigs(t *testing.T) {
	raw, err := os.ReadFile(shared(t, "cards/_configs.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		ID, File, Raw string
		Expect        struct {
			Valid     bool     `json:"valid_json"`
			Method    string   `json:"method"`
			Bits      float64  `json:"bits"`
			GroupSize *int     `json:"group_size"`
			DescAct   *bool    `json:"desc_act"`
			Damp      *float64 `json:"damp"`
			Sym       *bool    `json:"sym"`
			Static    *bool    `json:"static_groups"`
		}
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
		want := c.Expect
		if !want.Valid {
			if err == nil {
				t.Errorf("%s: parses", c.ID)
			}
			continue
		}
		groupSize := -1
		if want.GroupSize != nil {
			groupSize = *want.GroupSize
		}
		if want.Bits != math.Trunc(want.Bits) { // EXL2 has fractions, which are no bits of ours
			want.Bits, groupSize = 0, 0
		}
		if err != nil || cfg.Method != want.Method || cfg.Bits != int(want.Bits) || cfg.GroupSize != groupSize ||
			boolText(cfg.DescAct) != boolText(want.DescAct) || want.Sym != nil && boolText(cfg.Sym) != boolText(want.Sym) ||
			want.Static != nil && boolText(cfg.StaticGroups) != boolText(want.Static) || want.Damp != nil && (cfg.DampPercent == nil || *cfg.DampPercent != *want.Damp) {
			t.Errorf("%s: got %+v, %v", c.ID, cfg, err)
		}
	}
}
