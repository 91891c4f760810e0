package quant

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/quant/gptq"
)

func TestParseConfig(t *testing.T) {
	// Every key under another name or spelling, as tools have written them.
	cfg, err := ParseConfig("quantize_config.json", []byte(`{
		"BITS": 3, "q_group_size": -1, "Desc_Act": true, "sym": false, "static_groups": null, "quant_method": "GPTQ",
		"format": "GPTQ_v2", "model_file_base_name": "model", "lm_head": true, "is_marlin_format": false, "pack_dtype": "int32",
		"inside_layer_modules": [["a"]], "use_exllama": true, "Surprise": {"a": 1},
		"meta": {"quantizer": ["gptqmodel:5.0.0"], "damp_percent": 0.05, "static_groups": true, "true_sequential": false},
		"dynamic": {"+:a\\..*": {"bits": 8, "group_size": 64, "desc_act": false, "Sym": true}, "-:a\\.b": {}, "c": {}}}`))
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintln(cfg.Bits, cfg.GroupSize, cfg.HasGroupSize, *cfg.DescAct, *cfg.Sym, *cfg.StaticGroups, *cfg.TrueSeq, *cfg.DampPercent,
		cfg.Method, cfg.Format, cfg.HasFormat, cfg.FileBaseName, cfg.LMHead, cfg.Marlin, cfg.PackDType, string(cfg.Modules), cfg.Quantizer)
	want := `3 -1 true true false true false 0.05 gptq gptq_v2 true model true false int32 [["a"]] gptqmodel:5.0.0` + "\n"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if len(cfg.Extra) != 1 || string(cfg.Extra["Surprise"]) != `{"a": 1}` || len(cfg.odd) != 0 {
		t.Errorf("extra %v, odd %v", cfg.Extra, cfg.odd)
	}
	tests := []struct {
		module          string
		bits, groupSize int
		quantised       bool
		descAct, sym    bool
	}{
		{"a.x", 8, 64, true, false, true},
		{"a.b", 3, -1, false, true, false}, // exclusions come first, wherever they stand
		{"c.x", 3, -1, true, true, false},
		{"x.a.y", 3, -1, true, true, false}, // matched from the start only
	}
	for _, tt := range tests {
		d := cfg.rules().forModule(tt.module)
		if d.bits != tt.bits || d.groupSize != tt.groupSize || d.quantised != tt.quantised || !d.known || *d.descAct != tt.descAct || *d.sym != tt.sym {
			t.Errorf("forModule(%s) = %+v, want %+v", tt.module, d, tt)
		}
	}
}

func TestParseConfigDefaults(t *testing.T) {
	cfg, err := ParseConfig("q", []byte(`{}`))
	if err != nil || cfg.Bits != 0 || cfg.HasGroupSize || cfg.Sym != nil || cfg.Method != "gptq" || cfg.Format != "gptq" || cfg.HasFormat || cfg.PackDType != "int32" {
		t.Errorf("got %+v, %v", cfg, err)
	}
	// AWQ by the keys only its tools write.
	cfg, err = ParseConfig("q", []byte(`{"w_bit": 4, "zero_point": true, "version": "GEMM"}`))
	if err != nil || cfg.Method != "awq" || cfg.Bits != 4 || *cfg.Sym {
		t.Errorf("AWQ: got %+v, %v", cfg, err)
	}
	// A value of the wrong type is kept for Check to judge.
	cfg, err = ParseConfig("q", []byte(`{"bits": 4.25, "dynamic": [], "sym": "yes", "meta": 7}`))
	if err != nil || cfg.Bits != 0 || len(cfg.odd) != 4 {
		t.Errorf("wrong types: got %+v, %v", cfg, err)
	}
}

func TestParseModelConfig(t *testing.T) {
	if _, ok, err := ParseModelConfig([]byte(`{"hidden_size": 4}`)); ok || err != nil {
		t.Errorf("without the object: %v, %v", ok, err)
	}
	if _, ok, err := ParseModelConfig([]byte(`{"quantization_config": null}`)); ok || err != nil {
		t.Errorf("null: %v, %v", ok, err)
	}
	cfg, ok, err := ParseModelConfig([]byte(`{"quantization_config": {"bits": 8}}`))
	if !ok || err != nil || cfg.Bits != 8 || cfg.File != "config.json" {
		t.Errorf("got %+v, %v, %v", cfg, ok, err)
	}
}

func TestZeros(t *testing.T) {
	yes, no := true, false
	tests := []struct {
		cfg  Config
		bits int
		want gptq.ZeroFormat
	}{
		{Config{Format: "gptq"}, 4, gptq.ZeroV1},
		{Config{Format: "gptq_v2"}, 4, gptq.ZeroV2},
		{Config{Format: "gptq_p"}, 4, gptq.ZeroV2},
		{Config{Format: "gptq", Sym: &yes, Quantizer: "gptqmodel:5.0.0"}, 4, gptq.ZeroV1},
		{Config{Format: "gptq", Sym: &no, Quantizer: "gptqmodel:5.0.0"}, 4, gptq.ZeroV1Carry},
		{Config{Format: "gptq", Sym: &no, Quantizer: "gptqmodel:5.0.0"}, 3, gptq.ZeroV1}, // 3 bits never borrowed
		{Config{Format: "gptq", Sym: &no}, 4, gptq.ZeroV1},
		{Config{Format: "gptq", Sym: &yes, Quantizer: "gptqmodel:5.0.0", Dynamic: []Rule{{Sym: &no}}}, 4, gptq.ZeroV1Carry},
	}
	for i, tt := range tests {
		if got := tt.cfg.Zeros(tt.bits); got != tt.want {
			t.Errorf("row %d: got %d, want %d", i, got, tt.want)
		}
	}
}

func TestJSONErrors(t *testing.T) {
	tests := []struct {
		in           string
		line, column int
		hint         string // a part of it
	}{
		// The kind found in published Mixtral branches: the array is closed twice.
		{"{\n  \"a\": [\n    [\"x\"]\n    ]\n  ],\n  \"b\": 1\n}", 5, 3, "closes what is not open"},
		{"{\"a\": [1, 2,]}", 1, 13, "remove the comma"},
		{"{\n  \"a\": 1,\n}", 3, 1, "remove the comma"},
		{"{\n  \"desc_act\": True\n}", 2, 15, "true, false and null"},
		{"{\"a\": None}", 1, 7, "true, false and null"},
		{"{\"a\": NaN}", 1, 7, "no NaN"},
		{"{\"a\": 1 \"b\": 2}", 1, 9, "comma is missing"},
		{"{\"a\": [1, 2", 1, 11, "ends too early"},
		{"", 1, 1, "ends too early"},
		{"<!doctype html><html>", 1, 1, "web page"},
		{"\ufeff{}", 1, 1, "byte order mark"},
		{"version https://git-lfs.github.com/spec/v1\n", 1, 1, "git-lfs pointer"},
		{"{'a': 1}", 1, 2, "edited the file by hand"},
		{"[1]", 1, 1, "one object"},
		{"null", 1, 1, "one object"},
		{strings.Repeat(" ", maxJSON) + "{}", 1, 1, "not the configuration"},
	}
	for _, tt := range tests {
		_, err := ParseConfig("f.json", []byte(tt.in))
		var e *JSONError
		if !errors.As(err, &e) {
			t.Errorf("%.40q: got %v", tt.in, err)
			continue
		}
		if e.Line != tt.line || e.Column != tt.column || !strings.Contains(e.Hint(), tt.hint) {
			t.Errorf("%.40q: got line %d, column %d, hint %q\n%v", tt.in, e.Line, e.Column, e.Hint(), err)
		}
	}
}

func TestReconcile(t *testing.T) {
	// Without headers a contradiction cannot be settled; config.json comes first.
	in := Input{JSON: map[string][]byte{
		"config.json":          []byte(`{"quantization_config": {"bits": 4, "group_size": 128}}`),
		"quantize_config.json": []byte(`{"bits": 3, "group_size": 128, "sym": true, "model_file_base_name": "model"}`),
	}}
	cfg, findings := in.Config()
	if cfg.Bits != 4 || cfg.GroupSize != 128 || !isTrue(cfg.Sym) || cfg.FileBaseName != "model" {
		t.Errorf("got %+v", cfg)
	}
	if len(findings) != 1 || findings[0].Code != "J5" || findings[0].Severity != Fatal || findings[0].Where != "bits" {
		t.Errorf("got %+v", findings)
	}
	// With headers the tensors decide, and the wrong file is named.
	f := newFake("llama")
	f.config["quantization_config"].(map[string]any)["bits"] = 3
	in, _ = f.build(t)
	cfg, findings = in.Config()
	if cfg.Bits != 4 || len(findings) != 1 || findings[0].Severity != Warn || !strings.HasSuffix(findings[0].Message, "by the tensors config.json is wrong") {
		t.Errorf("got bits %d, %+v", cfg.Bits, findings)
	}
	// Without any file the tensors say it all.
	f.config, f.quant = nil, nil
	in, _ = f.build(t)
	if cfg, _ = in.Config(); cfg.File != "tensors" || cfg.Bits != 4 || cfg.GroupSize != 32 {
		t.Errorf("got %+v", cfg)
	}
}

func TestWeightFiles(t *testing.T) {
	index := func(shards ...string) []byte {
		m := map[string]string{}
		for i, s := range shards {
			m[fmt.Sprint(i)] = s
		}
		b, err := json.Marshal(map[string]any{"weight_map": m})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	tests := []struct {
		name, base string
		files      string
		index      string // its name, with two shards
		want       string
	}{
		{"single", "", "model.safetensors config.json", "", "model.safetensors"},
		{"named", "gptq_model-4bit-32g", "gptq_model-4bit-32g.safetensors other.safetensors", "", "gptq_model-4bit-32g.safetensors"},
		{"named, but not there", "gptq_model-4bit-32g", "model.safetensors", "", "model.safetensors"},
		{"sharded", "model", "a.safetensors b.safetensors model.safetensors", "model.safetensors.index.json", "a.safetensors b.safetensors"},
		{"2023", "", "gptq_model-4bit-128g.safetensors x.safetensors", "", "gptq_model-4bit-128g.safetensors"},
		{"2023, several widths", "", "gptq_model-3bit-128g.safetensors gptq_model-4bit-32g.safetensors", "", "gptq_model-4bit-32g.safetensors"},
		{"free name", "", "vicuna-4bit.safetensors", "", "vicuna-4bit.safetensors"},
		{"in a folder", "", "consolidated/model.safetensors", "", ""},
		{"pickles", "", "model.bin", "", ""},
	}
	for _, tt := range tests {
		in := Input{Files: map[string]int64{}, JSON: map[string][]byte{"quantize_config.json": []byte(`{"bits": 4, "group_size": 32, "model_file_base_name": "` + tt.base + `"}`)}}
		for _, name := range strings.Fields(tt.files) {
			in.Files[name] = 1
		}
		if tt.index != "" {
			in.JSON[tt.index] = index("a.safetensors", "b.safetensors")
		}
		if got := in.WeightFiles(); !slices.Equal(got, strings.Fields(tt.want)) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// FuzzCheck: whatever the JSON, no panic, every code is well formed, and nothing
// that must not reach a terminal.
func FuzzCheck(f *testing.F) {
	f.Add([]byte(`{"model_type":"mixtral","hidden_size":64,"num_hidden_layers":2,"quantization_config":{"bits":4,"dynamic":{"-:a":{}}}}`), []byte(`{"bits":3,"group_size":"x"}`), "gptq-4bit-32g")
	f.Add([]byte(`{"quantization_config":{"bits":4,"dynamic":{"+:.*w1":{"bits":5,"group_size":0,"sym":false,"desc_act":"x"},"(?!a)":{}}}}`),
		[]byte(`{"w_bit":4,"q_group_size":32,"zero_point":false,"checkpoint_format":"gptq_p","format":"gptq","pack_dtype":"int8","meta":{"quantizer":["gptqmodel:5.0.0",1]}}`), "3bit-128g")
	f.Add([]byte(`{"a":[1]]}`), []byte(`{"quant_method":"\u001b[2J"}`), "main")
	fake := newFake("mixtral")
	f.Fuzz(func(t *testing.T, config, quantize []byte, branch string) {
		in, _ := fake.build(t)
		in.Branch, in.JSON["config.json"], in.JSON["quantize_config.json"] = branch, config, quantize
		in.Sources()
		in.RecoverHeaders()
		if got := len(in.Beliefs()); got != len(Loaders()) {
			t.Errorf("%d beliefs", got)
		}
		for _, finding := range Check(in) {
			if !codePattern.MatchString(finding.Code) {
				t.Errorf("code %q", finding.Code)
			}
			for _, s := range []string{finding.Where, finding.Message, finding.Got, finding.Want, finding.Hint} {
				if printable(s) != s {
					t.Errorf("%s holds %q", finding.Code, s)
				}
			}
		}
	})
}
