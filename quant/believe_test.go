package quant

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Which values each loader goes on with, where the files differ.
func TestBeliefs(t *testing.T) {
	const (
		first  = `{"quantization_config": {"bits": 4, "group_size": 128, "desc_act": true, "sym": true}}`
		second = `{"bits": 3, "group_size": 32, "desc_act": false, "sym": true, "checkpoint_format": "gptq", "format": "gptq_v2"}`
	)
	show := func(b Belief) string {
		if b.Problem != "" {
			return "refuses"
		}
		return fmt.Sprintf("%s %d %d %s %s %s %s", b.File, b.Config.Bits, b.Config.GroupSize, boolText(b.Config.DescAct), boolText(b.Config.Sym),
			b.Config.Format, strings.Join(b.Assumed, ","))
	}
	tests := []struct {
		name string
		json map[string]string
		want map[string]string // loader → what it goes on with
	}{
		{"both, and they differ", map[string]string{"config.json": first, "quantize_config.json": second}, map[string]string{
			"transformers": "config.json 4 128 true true gptq ",
			"vllm":         "config.json 4 128 true true gptq ",
			"tgi":          "config.json 4 128 true true gptq ",
			"autogptq":     "quantize_config.json 3 32 false true gptq ",
			"gptqmodel":    "quantize_config.json 3 32 false true gptq_v2 ",
		}},
		{"only the quantiser's", map[string]string{"config.json": `{}`, "quantize_config.json": `{"bits": 4}`}, map[string]string{
			"transformers": "refuses",
			"vllm":         "refuses", // it lacks three keys
			"tgi":          "quantize_config.json 4 -1 false false gptq group_size,desc_act,sym",
			"autogptq":     "quantize_config.json 4 -1 true true gptq group_size,desc_act,sym",
			"gptqmodel":    "quantize_config.json 4 128 false true gptq group_size,desc_act,sym",
		}},
		{"TGI goes on to the next file, and keeps what it read", map[string]string{
			"config.json":          `{"quantization_config": {"bits": 8, "group_size": 64, "sym": true}}`,
			"quantize_config.json": `{"bits": 4, "group_size": 128, "desc_act": true}`,
		}, map[string]string{"tgi": "quantize_config.json 4 128 true true gptq ", "transformers": "config.json 8 64 false true gptq desc_act"}},
		{"one broken", map[string]string{"config.json": first, "quantize_config.json": `{"bits": True}`}, map[string]string{
			"autogptq": "refuses", "vllm": "config.json 4 128 true true gptq ",
		}},
		{"several that vLLM could mean", map[string]string{"config.json": `{}`, "a_quantize_config.json": second, "quantize_config.json": second}, map[string]string{
			"vllm": "refuses", "autogptq": "quantize_config.json 3 32 false true gptq ",
		}},
		{"none", map[string]string{}, map[string]string{"transformers": "refuses", "tgi": " 4 -1 false false gptq bits,group_size,desc_act,sym"}},
	}
	for _, tt := range tests {
		in := Input{JSON: map[string][]byte{}}
		for name, text := range tt.json {
			in.JSON[name] = []byte(text)
		}
		got := map[string]string{}
		for _, b := range in.Beliefs() {
			got[b.Loader.ID] = show(b)
		}
		for _, id := range slices.Sorted(maps.Keys(tt.want)) {
			if got[id] != tt.want[id] {
				t.Errorf("%s: %s: got %q, want %q", tt.name, id, got[id], tt.want[id])
			}
		}
	}
}

// ExLlama looks at tensors whatever a file says.
func TestBeliefsOfShapes(t *testing.T) {
	f := newFake("llama")
	f.both("bits", 8)
	f.both("group_size", 128)
	in, _ := f.build(t)
	for _, b := range in.Beliefs() {
		if b.Loader.Shapes && (b.Config.Bits != 4 || b.Config.GroupSize != 32 || b.Config.DescAct != nil) {
			t.Errorf("%s: got %+v", b.Loader.ID, b)
		}
	}
}

// Without headers nothing is known of what it takes.
func TestBeliefsWithoutHeaders(t *testing.T) {
	in, _ := newFake("llama").build(t)
	in.Headers = nil
	for _, b := range in.Beliefs() {
		if b.Loader.Shapes && (b.Config.Bits != 0 || b.Config.GroupSize != 0) {
			t.Errorf("%s: got %+v", b.Loader.ID, b)
		}
	}
}

// What the tensors refute is named for those that believe it, and for nobody else.
func TestBeliefsRefuted(t *testing.T) {
	tests := []struct {
		name      string
		key       string // of quantize_config.json alone
		value     any
		autogptq  []string
		gptqmodel []string
	}{
		{"right", "bits", 4, nil, nil},
		{"other bits", "bits", 8, []string{"bits"}, []string{"bits"}},
		{"other groups", "group_size", 64, []string{"group_size"}, []string{"group_size"}},
		{"one assumes -1, the other 128", "group_size", nil, []string{"group_size"}, []string{"group_size"}},
		{"act-order is not in the shapes", "desc_act", false, nil, nil},
	}
	for _, tt := range tests {
		f := newFake("llama")
		f.quant[tt.key] = tt.value
		if tt.value == nil {
			delete(f.quant, tt.key)
		}
		in, _ := f.build(t)
		for _, b := range in.Beliefs() {
			var want []string
			switch b.Loader.ID {
			case "autogptq":
				want = tt.autogptq
			case "gptqmodel":
				want = tt.gptqmodel
			}
			if !slices.Equal(b.Wrong, want) {
				t.Errorf("%s: %s: got %q, want %q", tt.name, b.Loader.ID, b.Wrong, want)
			}
		}
	}
}

// The weight file's own metadata is the last source: it fills in what no file
// says.
func TestMetadata(t *testing.T) {
	cfg, ok := ParseMetadata("m.safetensors", map[string]string{"format": "pt", "gptq_bits": "3", "gptq_group_size": "-1", "gptq_desc_act": "True",
		"gptq_damp_percent": "0.01", "gptq_checkpoint_format": "gptq_v2", "gptq_quant_method": "gptq", "gptq_sym": "None", "gptq_odd": "a b"})
	if !ok || cfg.Bits != 3 || cfg.GroupSize != -1 || !isTrue(cfg.DescAct) || *cfg.DampPercent != 0.01 || cfg.Format != "gptq_v2" || cfg.Sym != nil ||
		string(cfg.Extra["odd"]) != `"a b"` || cfg.File != "m.safetensors metadata" || len(cfg.odd) > 0 {
		t.Errorf("got %+v", cfg)
	}
	if _, ok := ParseMetadata("m.safetensors", map[string]string{"format": "pt"}); ok {
		t.Error("metadata of others taken for parameters")
	}
	f := newFake("llama")
	f.meta = map[string]string{"gptq_bits": "4", "gptq_desc_act": "True", "gptq_sym": "True"}
	f.both("desc_act", nil)
	in, _ := f.build(t)
	if cfg, _ := in.Config(); !isTrue(cfg.DescAct) {
		t.Errorf("desc_act of the metadata is not taken: %+v", cfg)
	}
	var files []string
	for _, s := range in.Sources() {
		files = append(files, s.File)
	}
	if want := []string{"config.json", "quantize_config.json", "model.safetensors metadata"}; !slices.Equal(files, want) {
		t.Errorf("sources %q, want %q", files, want)
	}
}
