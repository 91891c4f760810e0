package quant

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// dims is config.json of a decoder with gated MLPs.
func dims(kind string, hidden, inter, layers, heads, kv, vocab int, more string) string {
	return fmt.Sprintf(`{"model_type":%q,"hidden_size":%d,"intermediate_size":%d,"num_hidden_layers":%d,"num_attention_heads":%d,"num_key_value_heads":%d,"vocab_size":%d%s}`,
		kind, hidden, inter, layers, heads, kv, vocab, more)
}

var (
	mixtral8x7B = dims("mixtral", 4096, 14336, 32, 32, 8, 32002, `,"num_local_experts":8,"num_experts_per_tok":2`)
	llama2x13B  = dims("llama", 5120, 13824, 40, 40, 40, 32000, "")
	llama2x70B  = dims("llama", 8192, 28672, 80, 64, 8, 32000, "")
	mistral7B   = dims("mistral", 4096, 14336, 32, 32, 8, 32000, "")
	tinyLlama   = dims("llama", 2048, 5632, 22, 32, 4, 32000, "")
)

// layoutFor is what AutoGPTQ writes for a model.
func layoutFor(t *testing.T, model string, bits, groupSize int) Layout {
	t.Helper()
	m, err := ParseModel([]byte(model))
	if err != nil {
		t.Fatal(err)
	}
	yes, damp := true, 0.1
	cfg := Config{Bits: bits, GroupSize: groupSize, HasGroupSize: true, DescAct: &yes, DampPercent: &damp}
	l, err := LayoutOf(cfg, m, WriterOptions(cfg, m))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// The published branches of a Mixtral, to the byte without the header, and to
// the digit of the model card with it.
func TestLayoutOfMixtral(t *testing.T) {
	for _, tt := range []struct {
		bits, groupSize int
		data            int64
		card            string // decimal GB
	}{
		{4, -1, 23_811_006_464, "23.81"},
		{4, 128, 24_696_233_984, "24.70"},
		{4, 32, 27_417_288_704, "27.42"},
		{3, -1, 18_005_000_192, "18.01"},
		{3, 128, 18_845_966_336, "18.85"},
		{3, 32, 21_430_968_320, "21.43"},
		{8, -1, 47_035_031_552, "47.04"},
		{8, 128, 48_097_304_576, "48.10"},
	} {
		l := layoutFor(t, mixtral8x7B, tt.bits, tt.groupSize)
		if got := l.DataBytes(); got != tt.data || len(l.Tensors) != 4579 {
			t.Errorf("%d bits, %d: %d bytes in %d tensors, want %d in 4579", tt.bits, tt.groupSize, got, len(l.Tensors), tt.data)
		}
		if got := fmt.Sprintf("%.2f", float64(l.FileBytes())/1e9); got != tt.card {
			t.Errorf("%d bits, %d: %s GB, want %s", tt.bits, tt.groupSize, got, tt.card)
		}
		if h := l.HeaderBytes(); h < 500_000 || h > 600_000 {
			t.Errorf("%d bits, %d: header of %d bytes", tt.bits, tt.groupSize, h)
		}
	}
}

// Sizes on model cards, in decimal GB.
func TestLayoutOfCards(t *testing.T) {
	for _, tt := range []struct {
		model           string
		bits, groupSize int
		card            float64
	}{
		{llama2x13B, 4, 128, 7.26}, {llama2x13B, 4, 64, 7.51}, {llama2x13B, 4, 32, 8.00},
		{llama2x70B, 4, -1, 35.33}, {llama2x70B, 4, 128, 36.65}, {llama2x70B, 4, 64, 37.99}, {llama2x70B, 4, 32, 40.66},
		{mistral7B, 4, 128, 4.16}, {mistral7B, 4, 32, 4.57}, {mistral7B, 8, -1, 7.52}, {mistral7B, 8, 128, 7.68},
		{tinyLlama, 4, 128, 0.77}, {tinyLlama, 4, 32, 0.82}, {tinyLlama, 8, -1, 1.23},
	} {
		got := float64(layoutFor(t, tt.model, tt.bits, tt.groupSize).FileBytes()) / 1e9
		if math.Abs(got-tt.card) > 0.0065 { // the card rounds to 0.005, and may be cut
			t.Errorf("%.60s, %d bits, %d: %.4f GB, the card says %.2f", tt.model, tt.bits, tt.groupSize, got, tt.card)
		}
	}
}

// Real files, whose length the hub lists, to the byte where their metadata is
// known. Files from before August 2023 carry rotary frequencies and other
// metadata; the oldest also have scales in F32 and no g_idx.
func TestLayoutOfRealFiles(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(shared(t, "cards"), "*.repo.json"))
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var repo struct {
			Branches []struct {
				Name  string
				Files []struct {
					Path string
					Size int64
				}
				Config string          `json:"quantize_config_raw"`
				Dims   json.RawMessage `json:"config_json_dims"`
			}
		}
		if err := json.Unmarshal(raw, &repo); err != nil {
			t.Fatal(err)
		}
		for _, b := range repo.Branches {
			if strings.HasPrefix(filepath.Base(file), "wizardcoder-15b-") { // the case states no more than the vocabulary
				b.Dims = []byte(`{"model_type":"gpt_bigcode","n_embd":6144,"n_layer":40,"n_head":48,"n_inner":24576,"n_positions":8192,"vocab_size":49153}`)
			}
			m, _ := ParseModel(b.Dims)
			if b.Dims == nil || m == nil || !m.Known() {
				continue // the case does not list its dimensions
			}
			cfg, err := ParseConfig("quantize_config.json", []byte(b.Config))
			if err != nil {
				t.Fatal(err)
			}
			o, within := WriterOptions(cfg, m), int64(0)
			old := LayoutOptions{ZeroBias: true, Rotary: true, Metadata: map[string]string{"format": "pt", "quantized_by": "TheBloke"}}
			switch id := filepath.Base(file) + " " + b.Name; {
			case strings.HasPrefix(id, "genz-"):
				within = 200 // of metadata nobody has seen
			case strings.HasPrefix(id, "wizardcoder-"):
				o.Metadata = map[string]string{}
			case strings.HasPrefix(id, "wizard-mega-"):
				o, within = old, 100
				o.NoGIdx, o.Scales = true, "F32"
			case strings.HasPrefix(id, "wizard-vicuna-30b-2023-09-27.repo.json main"):
				continue // a file of an experimental writer, before the others
			case strings.HasPrefix(id, "wizard-vicuna-"):
				o = old
			}
			l, err := LayoutOf(cfg, m, o)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range b.Files {
				if filepath.Ext(f.Path) != ".safetensors" {
					continue
				}
				compared++
				if d := f.Size - l.FileBytes(); d > within || d < -within {
					t.Errorf("%s %s: the file has %d bytes, %d more than expected", filepath.Base(file), b.Name, f.Size, d)
				}
			}
		}
	}
	if compared < 19 {
		t.Errorf("only %d files were compared", compared)
	}
}

// What LayoutOf lists is what writers write, name by name.
func TestLayoutOfSharedCheckpoints(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(shared(t, "vectors/checkpoints"), "*"))
	if err != nil || len(dirs) == 0 {
		t.Fatal(dirs, err)
	}
	demo, err := filepath.Glob(filepath.Join(shared(t, "demo-model"), "*bit*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range slices.Concat(dirs, demo) {
		in, _ := load(t, dir, "")
		cfg, _ := in.Config()
		m, err := ParseModel(in.JSON["config.json"])
		if err != nil {
			t.Fatal(err)
		}
		o := WriterOptions(cfg, m)
		o.NewNaming = newChecker(in).inv.newNaming(m)
		var size int64
		got, want := map[string]string{}, map[string]string{}
		files := in.WeightFiles()
		for _, file := range files {
			size += in.Files[file]
			if len(in.Headers[file].Metadata) > 0 {
				o.Metadata = in.Headers[file].Metadata
			}
			for _, x := range in.Headers[file].Tensors {
				want[x.Name] = fmt.Sprint(x.DType, x.Shape)
			}
		}
		l, err := LayoutOf(cfg, m, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range l.Tensors {
			got[x.Name] = fmt.Sprint(x.DType, x.Shape)
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s:\n got %v\nwant %v", filepath.Base(dir), got, want)
		}
		// GPTQModel writes tensors in another order, so that offsets have other
		// numbers of digits.
		within := int64(0)
		if strings.Contains(cfg.Quantizer, "gptqmodel") {
			within = 64
		}
		if d := size - l.FileBytes(); len(files) == 1 && (d > within || d < -within) {
			t.Errorf("%s: %d bytes, want %d", filepath.Base(dir), l.FileBytes(), size)
		}
	}
}

// Whatever config.json says, the tensors are bounded and their sums agree; and
// what is listed has no fault by the same configuration.
func FuzzLayout(f *testing.F) {
	for _, model := range architectures {
		f.Add([]byte(model), []byte(small4x32))
	}
	f.Add([]byte(`{"model_type":"stablelm","qk_layernorm":true,"num_hidden_layers":1024,"num_attention_heads":4096,"hidden_size":262144,"intermediate_size":1048576,"vocab_size":16777216}`), []byte(`{"bits":8,"group_size":1}`))
	f.Add([]byte(`{"model_type":"falcon","hidden_size":64,"n_layer":1,"n_head":3,"n_head_kv":1e9,"vocab_size":1,"head_dim":-1}`), []byte(`{"bits":3,"group_size":-1,"lm_head":true}`))
	f.Add([]byte(`{"model_type":"qwen2_moe","mlp_only_layers":[-1,1,1e3,99],"text_config":{"model_type":"x"}}`), []byte(`{"dynamic":{"-:":{},"+:a":{"bits":9}},"modules_in_block_to_quantize":[[],"a",1]}`))
	f.Fuzz(func(t *testing.T, model, config []byte) {
		m, err := ParseModel(model)
		if err != nil {
			return
		}
		cfg, err := ParseConfig("quantize_config.json", config)
		if err != nil {
			return
		}
		l, err := LayoutOf(cfg, m, WriterOptions(cfg, m))
		if (err == nil) != (m.Known() && widthFits(cfg.Bits) && sizeFits(cfg.groupSize())) {
			t.Fatalf("%v, known %v", err, m.Known())
		}
		if err != nil {
			return
		}
		var byRole, byPart int64
		for _, n := range l.RoleBytes() {
			byRole += n
		}
		for _, n := range l.PartBytes() {
			byPart += n
		}
		total := l.DataBytes()
		if total < 0 || byRole != total || byPart != total || l.FileBytes() <= total || len(l.Tensors) > 6*maxMatrices || len(l.LayerBytes()) > m.Layers {
			t.Fatalf("%d bytes, %d by role, %d by part, %d tensors, %d layers", total, byRole, byPart, len(l.Tensors), len(l.LayerBytes()))
		}
		if len(l.Tensors) > 500 {
			return
		}
		in, _ := inputOf(t, string(model), string(config), l)
		for _, finding := range Check(in) {
			switch finding.Code {
			case "H3", "H4", "H9", "H15":
				t.Errorf("%+v", finding)
			}
		}
	})
}
