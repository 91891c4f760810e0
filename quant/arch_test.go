package quant

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/quant/safetensors"
)

// architectures are small networks of every kind that is known. The dimensions
// differ from one another, so that no two can be confused.
var architectures = map[string]string{
	"llama":          dims("llama", 256, 384, 2, 8, 2, 512, ""),
	"llama, biases":  dims("llama", 256, 384, 2, 8, 2, 512, `,"attention_bias":true,"mlp_bias":true`),
	"mistral":        dims("mistral", 256, 384, 2, 8, 2, 512, `,"head_dim":64`),
	"mixtral":        dims("mixtral", 256, 384, 2, 8, 2, 512, `,"num_local_experts":4`),
	"qwen2":          dims("qwen2", 256, 384, 2, 8, 2, 512, `,"tie_word_embeddings":true`),
	"qwen3":          dims("qwen3", 256, 384, 2, 8, 2, 512, ""),
	"qwen2-moe":      dims("qwen2_moe", 256, 384, 4, 8, 2, 512, `,"num_experts":4,"moe_intermediate_size":64,"shared_expert_intermediate_size":160,"decoder_sparse_step":2,"mlp_only_layers":[3]`),
	"qwen3-moe":      dims("qwen3_moe", 256, 384, 2, 8, 2, 512, `,"num_experts":4,"moe_intermediate_size":64,"head_dim":64`),
	"gemma":          dims("gemma", 256, 384, 2, 8, 2, 512, ""),
	"gemma2":         dims("gemma2", 256, 384, 2, 8, 2, 512, `,"head_dim":64`),
	"gemma3":         dims("gemma3_text", 256, 384, 2, 8, 2, 512, `,"head_dim":64`),
	"phi":            dims("phi", 256, 384, 2, 8, 8, 512, `,"qk_layernorm":true`),
	"phi3":           dims("phi3", 256, 384, 2, 8, 2, 512, ""),
	"gpt-neox":       dims("gpt_neox", 256, 384, 2, 8, 8, 512, ""),
	"falcon 7B":      `{"model_type":"falcon","hidden_size":256,"num_hidden_layers":2,"num_attention_heads":8,"vocab_size":512,"multi_query":true,"parallel_attn":true}`,
	"falcon 40B":     `{"model_type":"falcon","hidden_size":256,"num_hidden_layers":2,"num_attention_heads":8,"num_kv_heads":2,"vocab_size":512,"new_decoder_architecture":true}`,
	"falcon 11B":     `{"model_type":"falcon","hidden_size":256,"num_hidden_layers":2,"num_attention_heads":8,"num_kv_heads":2,"vocab_size":512,"new_decoder_architecture":true,"num_ln_in_parallel_attn":1}`,
	"falcon-rw 1B":   `{"model_type":"falcon","hidden_size":256,"num_hidden_layers":2,"num_attention_heads":8,"vocab_size":512,"multi_query":false,"alibi":true,"bias":true,"parallel_attn":false}`,
	"stablelm":       dims("stablelm", 256, 384, 2, 8, 2, 512, `,"use_qkv_bias":true,"qk_layernorm":true`),
	"stablelm 12B":   dims("stablelm", 256, 384, 2, 8, 2, 512, `,"use_parallel_residual":true`),
	"starcoder":      `{"model_type":"gpt_bigcode","n_embd":256,"n_layer":2,"n_head":8,"n_inner":null,"vocab_size":512,"n_positions":128,"multi_query":true}`,
	"starcoder2":     dims("starcoder2", 256, 384, 2, 8, 2, 512, ""),
	"opt":            `{"model_type":"opt","hidden_size":256,"ffn_dim":384,"num_hidden_layers":2,"num_attention_heads":8,"vocab_size":512,"max_position_embeddings":128}`,
	"opt 350M":       `{"model_type":"opt","hidden_size":256,"ffn_dim":384,"num_hidden_layers":2,"num_attention_heads":8,"vocab_size":512,"max_position_embeddings":128,"word_embed_proj_dim":128,"do_layer_norm_before":false}`,
	"qwen":           `{"model_type":"qwen","hidden_size":256,"intermediate_size":768,"num_hidden_layers":2,"num_attention_heads":8,"kv_channels":32,"vocab_size":512}`,
	"internlm2":      dims("internlm2", 256, 384, 2, 8, 2, 512, `,"bias":false`),
	"baichuan":       dims("baichuan", 256, 384, 2, 8, 8, 512, ""),
	"codegen":        `{"model_type":"codegen","n_embd":256,"n_layer":2,"n_head":8,"n_inner":null,"vocab_size":512,"n_positions":128}`,
	"gpt-j":          `{"model_type":"gptj","n_embd":256,"n_layer":2,"n_head":8,"vocab_size":512}`,
	"refined web 7B": `{"model_type":"RefinedWebModel","hidden_size":256,"n_layer":2,"n_head":8,"vocab_size":512,"multi_query":true,"parallel_attn":true}`,
}

const small4x32 = `{"bits":4,"group_size":32,"desc_act":true,"sym":true}`

// tensorsOf is what a writer without zero biases makes of a model, by name.
func tensorsOf(t *testing.T, model, config string, o LayoutOptions) map[string]LayoutTensor {
	t.Helper()
	m, err := ParseModel([]byte(model))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := ParseConfig("quantize_config.json", []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	l, err := LayoutOf(cfg, m, o)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]LayoutTensor{}
	for _, x := range l.Tensors {
		if _, twice := byName[x.Name]; twice {
			t.Errorf("%s is listed twice", x.Name)
		}
		byName[x.Name] = x
	}
	return byName
}

// headersSay gives the codes of all findings from headers, but H13 and what is
// said of a Mixtral's configuration.
func headersSay(t *testing.T, model, config string, tensors map[string]LayoutTensor) (codes []string, all []Finding) {
	t.Helper()
	l := Layout{}
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		x := tensors[name]
		x.Name = name
		x.Bytes, _ = safetensors.ByteSize(x.DType, x.Shape)
		l.Tensors = append(l.Tensors, x)
	}
	in, _ := inputOf(t, model, config, l)
	all = Check(in)
	for _, f := range all {
		if f.Code != "H13" && f.Code != "J14" {
			codes = append(codes, f.Code+" "+string(f.Severity))
		}
		if f.Message == "" || f.Where == "" || f.Severity == Fatal && f.Hint == "" {
			t.Errorf("%s says too little: %+v", f.Code, f)
		}
	}
	return codes, all
}

// Every architecture without a fault, and with each of the faults headers show.
func TestArchitectures(t *testing.T) {
	for name, model := range architectures {
		quantised, norm := "", ""
		good := tensorsOf(t, model, small4x32, LayoutOptions{})
		for tensor, x := range good {
			if base, ok := strings.CutSuffix(tensor, ".qweight"); ok && x.Role != RoleHead && (quantised == "" || base > quantised) {
				quantised = base
			}
			if x.Role == RoleNorm && tensor > norm {
				norm = tensor
			}
		}
		hasBias := good[quantised+".bias"].Name != ""
		for _, tt := range []struct {
			name  string
			spoil func(map[string]LayoutTensor)
			want  []string
		}{
			{"nothing", func(map[string]LayoutTensor) {}, nil},
			{"a matrix missing", func(all map[string]LayoutTensor) {
				maps.DeleteFunc(all, func(name string, _ LayoutTensor) bool { return strings.HasPrefix(name, quantised+".") })
			}, []string{"H3 fatal"}},
			{"a matrix of another model", func(all map[string]LayoutTensor) {
				for name, x := range all {
					if base, _ := strings.CutSuffix(name, "."+x.Part); base == quantised && x.Part != "g_idx" {
						x.Shape = slices.Clone(x.Shape)
						x.Shape[len(x.Shape)-1] *= 2
						all[name] = x
					}
				}
			}, []string{"H4 fatal"}},
			{"a norm missing", func(all map[string]LayoutTensor) { delete(all, norm) }, []string{"H9 fatal"}},
			{"a tensor of another model", func(all map[string]LayoutTensor) {
				all["visual.proj.weight"] = LayoutTensor{DType: "F16", Shape: []int64{4}}
			}, []string{"H15 warn"}},
			{"rotary frequencies", func(all map[string]LayoutTensor) {
				all["model.layers.0.self_attn.rotary_emb.inv_freq"] = LayoutTensor{DType: "F32", Shape: []int64{16}}
			}, nil},
			{"a bias of zeros", func(all map[string]LayoutTensor) {
				all[quantised+".bias"] = LayoutTensor{DType: "F16", Shape: good[quantised+".scales"].Shape[1:]}
			}, map[bool][]string{false: {"H10 info"}}[hasBias]},
		} {
			all := maps.Clone(good)
			tt.spoil(all)
			if got, findings := headersSay(t, model, small4x32, all); !slices.Equal(got, tt.want) {
				t.Errorf("%s, %s (%s, %s): got %v, want %v\n%+v", name, tt.name, quantised, norm, got, tt.want, findings)
			}
		}
	}
}

// Of an architecture that is not known, headers still tell a good deal.
func TestUnknownArchitecture(t *testing.T) {
	model := strings.Replace(dims("llama", 256, 384, 12, 8, 2, 512, ""), "llama", "novel", 1)
	good := tensorsOf(t, dims("llama", 256, 384, 12, 8, 2, 512, ""), small4x32, LayoutOptions{})
	const v = "model.layers.7.self_attn.v_proj"
	for _, tt := range []struct {
		name  string
		spoil func(map[string]LayoutTensor)
		want  []string
	}{
		{"nothing", func(map[string]LayoutTensor) {}, []string{"J13 info"}},
		{"a matrix missing", func(all map[string]LayoutTensor) {
			maps.DeleteFunc(all, func(name string, _ LayoutTensor) bool { return strings.HasPrefix(name, v) })
		}, []string{"H3 warn", "J13 info"}},
		{"a matrix in floating point", func(all map[string]LayoutTensor) {
			maps.DeleteFunc(all, func(name string, _ LayoutTensor) bool { return strings.HasPrefix(name, v) })
			all[v+".weight"] = LayoutTensor{DType: "F16", Shape: []int64{64, 256}}
		}, []string{"J13 info"}},
		{"scales missing", func(all map[string]LayoutTensor) { delete(all, v+".scales") }, []string{"H3 fatal", "J13 info"}},
		{"g_idx of another length", func(all map[string]LayoutTensor) {
			all[v+".g_idx"] = LayoutTensor{DType: "I32", Shape: []int64{64}}
		}, []string{"H4 fatal", "J13 info"}},
		{"a matrix twice", func(all map[string]LayoutTensor) {
			all[v+".weight"] = LayoutTensor{DType: "F16", Shape: []int64{64, 256}}
		}, []string{"H8 warn", "J13 info"}},
	} {
		all := maps.Clone(good)
		tt.spoil(all)
		if got, findings := headersSay(t, model, small4x32, all); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v\n%+v", tt.name, got, tt.want, findings)
		}
	}
	if got, findings := headersSay(t, model, `{"bits":3,"group_size":64}`, good); !slices.Contains(got, "H5 fatal") {
		t.Errorf("3 bits claimed: %v\n%+v", got, findings)
	}
}

// Rules and lists change what is quantised; an unknown architecture has no
// layout, and impossible values none either.
func TestLayoutRules(t *testing.T) {
	llama := architectures["llama"]
	for _, tt := range []struct {
		name, config  string
		has, has8, no string
	}{
		{"all", small4x32, "model.layers.0.mlp.down_proj.qweight", "", "lm_head.qweight"},
		{"excluded", `{"bits":4,"group_size":32,"dynamic":{"-:.*down":{}}}`, "model.layers.0.mlp.down_proj.weight", "", "model.layers.0.mlp.down_proj.qweight"},
		{"8 bits by a rule", `{"bits":4,"group_size":32,"dynamic":{"+:model\\.layers\\.1\\.":{"bits":8}}}`, "model.layers.0.mlp.down_proj.qweight", "model.layers.1.mlp.down_proj.qweight", ""},
		{"lm_head", `{"bits":4,"group_size":32,"lm_head":true}`, "lm_head.qweight", "", "lm_head.weight"},
		{"listed", `{"bits":4,"group_size":32,"modules_in_block_to_quantize":[["self_attn.q_proj"]]}`, "model.layers.1.self_attn.q_proj.qweight", "", "model.layers.1.mlp.up_proj.qweight"},
	} {
		all := tensorsOf(t, llama, tt.config, LayoutOptions{})
		if all[tt.has].Name == "" || tt.no != "" && all[tt.no].Name != "" {
			t.Errorf("%s: lists %v", tt.name, slices.Sorted(maps.Keys(all)))
		}
		if x := all[tt.has8]; tt.has8 != "" && !slices.Equal(x.Shape, []int64{96, 256}) {
			t.Errorf("%s: %+v", tt.name, x)
		}
		// What is listed has no fault either, by the same configuration.
		if got, findings := headersSay(t, llama, tt.config, all); len(butJ(got)) > 0 {
			t.Errorf("%s: %v\n%+v", tt.name, got, findings)
		}
	}
	for name, config := range map[string]string{"unknown": `{"model_type":"novel"}`, "incomplete": `{"model_type":"llama"}`, "huge": dims("mixtral", 64, 64, 1024, 8, 8, 64, `,"num_local_experts":4096`)} {
		m, err := ParseModel([]byte(config))
		if err != nil {
			t.Fatal(err)
		}
		if l, err := LayoutOf(Config{Bits: 4}, m, LayoutOptions{}); err == nil {
			t.Errorf("%s: lists %d tensors", name, len(l.Tensors))
		}
	}
}

func butJ(codes []string) []string {
	return slices.DeleteFunc(slices.Clone(codes), func(code string) bool { return strings.HasPrefix(code, "J") })
}

// Bits, group size and dimensions without any configuration.
func TestRecoverHeaders(t *testing.T) {
	for _, bits := range []int{2, 3, 4, 8} {
		for _, size := range []int{-1, 32, 64, 128} {
			config := fmt.Sprintf(`{"bits":%d,"group_size":%d}`, bits, size)
			in := Input{}
			l := Layout{}
			for _, x := range tensorsOf(t, architectures["mixtral"], config, LayoutOptions{}) {
				l.Tensors = append(l.Tensors, x)
			}
			whole, _ := inputOf(t, "{}", "{}", l)
			in.Headers = whole.Headers
			r := in.RecoverHeaders()
			if r.Format != "GPTQ" || r.Bits != bits || r.GroupSize != size || !r.GIdx || !r.Complete || len(r.Modules) != 2*(4+3*4) {
				t.Fatalf("%s: %d bits, %d, %q, %d modules", config, r.Bits, r.GroupSize, r.Format, len(r.Modules))
			}
			for _, m := range r.Modules {
				if m.Bits != bits || m.Problem != "" || m.Evidence() == "" || m.Bias {
					t.Errorf("%s: %+v", config, m)
				}
				if strings.HasSuffix(m.Name, "w2") && (m.K != 384 || m.N != 256) {
					t.Errorf("%s: %+v", config, m)
				}
			}
		}
	}
	if r := (Input{}).RecoverHeaders(); r.Format != "" || r.Bits != 0 || r.GIdx || r.Complete {
		t.Errorf("nothing: %+v", r)
	}
}

// Names of other writers, and a router that can be packed.
func TestOtherWriters(t *testing.T) {
	for _, kind := range []string{"mixtral", "phi3", "gpt-neox"} {
		all := tensorsOf(t, architectures[kind], small4x32, LayoutOptions{NewNaming: true})
		if got, findings := headersSay(t, architectures[kind], small4x32, all); len(got) > 0 || maps.Equal(shapes(all), shapes(tensorsOf(t, architectures[kind], small4x32, LayoutOptions{}))) {
			t.Errorf("%s: %v\n%+v", kind, got, findings)
		}
	}
	model := strings.Replace(architectures["qwen3-moe"], `"num_experts":4`, `"num_experts":64`, 1)
	all := tensorsOf(t, model, small4x32, LayoutOptions{})
	const gate = "model.layers.1.mlp.gate"
	delete(all, gate+".weight")
	for part, shape := range map[string][]int64{"qweight": {32, 64}, "qzeros": {8, 8}, "scales": {8, 64}, "g_idx": {256}} {
		all[gate+"."+part] = LayoutTensor{DType: map[bool]string{true: "F16", false: "I32"}[part == "scales"], Shape: shape}
	}
	if got, findings := headersSay(t, model, small4x32, all); !slices.Equal(got, []string{"H9 warn"}) {
		t.Errorf("quantised router: %v\n%+v", got, findings)
	}
}

func shapes(all map[string]LayoutTensor) map[string]string {
	m := map[string]string{}
	for name, x := range all {
		m[name] = fmt.Sprint(x.Shape)
	}
	return m
}

// Other formats by the tensors that show them.
func TestForeignFormats(t *testing.T) {
	for format, tensors := range map[string][]string{
		"EXL2":                {"q_weight", "q_scale", "q_groups", "q_invperm"},
		"EXL3":                {"trellis", "suh", "svh"},
		"Marlin":              {"B", "s"},
		"bitsandbytes":        {"weight", "weight.absmax", "weight.quant_map", "weight.quant_state.bitsandbytes__nf4"},
		"compressed-tensors":  {"weight_packed", "weight_scale", "weight_shape"},
		"HQQ":                 {"W_q", "meta"},
		"AQLM":                {"codes", "codebooks", "scales"},
		"QuIP#":               {"Qidxs", "SU", "SV"},
		"FP8":                 {"weight", "weight_scale_inv"},
		"MXFP4":               {"gate_up_proj_blocks", "gate_up_proj_scales"},
		"GPTQ of before zero": {"qweight", "zeros", "scales"},
	} {
		all := map[string]LayoutTensor{}
		for _, name := range tensors {
			all["model.layers.0.self_attn.q_proj."+name] = LayoutTensor{DType: "I32", Shape: []int64{8, 8}}
		}
		got, findings := headersSay(t, architectures["llama"], small4x32, all)
		if !slices.Equal(got, []string{"H7 fatal"}) || !strings.HasPrefix(findings[0].Got, format) {
			t.Errorf("%s: %v\n%+v", format, got, findings)
		}
	}
}

// Pickles run code when they are loaded: whatever a configuration or an index
// says, they are no weight files and are never opened.
func TestPicklesAreNeverOpened(t *testing.T) {
	for name, in := range map[string]Input{
		"listed":        {Files: map[string]int64{"pytorch_model.bin": 1 << 30, "4bit.pt": 1 << 30, "config.json": 2}},
		"named":         {Files: map[string]int64{"pytorch_model.bin": 1 << 30}, JSON: map[string][]byte{"quantize_config.json": []byte(`{"bits":4,"model_file_base_name":"pytorch_model.bin"}`)}},
		"indexed":       {JSON: map[string][]byte{"model.safetensors.index.json": []byte(`{"weight_map":{"a":"pytorch_model.bin"}}`)}},
		"its own index": {Files: map[string]int64{"pytorch_model.bin": 1}, JSON: map[string][]byte{"pytorch_model.bin.index.json": []byte(`{"weight_map":{"a":"pytorch_model.bin"}}`)}},
	} {
		if files := in.WeightFiles(); len(files) > 0 {
			t.Errorf("%s: takes %v for weights", name, files)
		}
		if _, err := CheckData(t.Context(), in, func(path string) (io.ReaderAt, error) { return nil, errors.New("opened " + path) }); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A file that is no safetensors file says what it is.
func TestOtherFilesAreNamed(t *testing.T) {
	for _, tt := range []struct{ begin, want string }{
		{"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-lfs pointer"},
		{"GGUF\x03\x00\x00\x00\x23\x01\x00\x00", "a GGUF or GGML file, not safetensors"},
		{"PK\x03\x04\x00\x00\x08\x08\x00\x00", "a zip archive, as PyTorch saves pickles in, not safetensors"},
		{"\x80\x02}q\x00(X\x05\x00\x00", "a pickle, not safetensors"},
		{"\x89HDF\r\n\x1a\n", "an HDF5 file, not safetensors"},
		{"<!doctype html><html>", "a web page or XML, not safetensors"},
		{`{"error":"Repository not found"}`, "JSON text, not safetensors"},
		{"something else altogether", "header length"},
		// Lengths that begin as other formats do are lengths.
		{"\x80\x02\x00\x00\x00\x00\x00\x00{}", "header length 640 does not fit"},
		{"PK\x03\x04\x00\x00\x00\x00{}", "header length 67324752 does not fit"},
	} {
		_, err := safetensors.Parse(strings.NewReader(tt.begin), int64(len(tt.begin)))
		if err == nil {
			t.Fatalf("%q parses", tt.begin)
		}
		f := HeaderFinding("model.safetensors", err)
		if f.Code != "H1" || f.Severity != Fatal || !strings.Contains(f.Message, tt.want) || f.Hint == "" {
			t.Errorf("%q: %+v", tt.begin, f)
		}
	}
}
