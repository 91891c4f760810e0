package quant

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/quant/gptq"
)

// Names of the fake's tensors.
const (
	qProj = "model.layers.0.self_attn.q_proj"
	oProj = "model.layers.0.self_attn.o_proj"
	down  = "model.layers.0.mlp.down_proj"
)

// spoiled is one thing wrong with a checkpoint and exactly what is found.
type spoiled struct {
	name  string
	kind  string // "" = llama
	spoil func(*fake)
	want  []string
}

var configCases = []spoiled{
	{"nothing", "", func(f *fake) {}, nil},
	{"nothing, mixture of experts", "mixtral", func(f *fake) {}, nil},
	{"config.json closes a bracket twice", "", func(f *fake) { f.config = nil; f.json["config.json"] = "{\n \"a\": [[1]]]\n}" }, []string{"J1 fatal"}},
	{"quantize_config.json in Python", "", func(f *fake) { f.quant = nil; f.json["quantize_config.json"] = `{"desc_act": True}` }, []string{"J1 warn"}},
	{"quantize_config.json broken and alone", "", func(f *fake) {
		f.quant, f.config["quantization_config"] = nil, nil
		f.json["quantize_config.json"] = `{"bits": 4`
	}, []string{"J1 fatal"}},
	{"quantization_config is a list", "", func(f *fake) { f.config["quantization_config"] = []int{4} }, []string{"J1 fatal"}},
	{"no configuration but the tensors", "", func(f *fake) { f.quant, f.config["quantization_config"] = nil, nil }, []string{"J2 warn"}},
	{"config.json without quant_method", "", func(f *fake) {
		delete(f.config["quantization_config"].(map[string]any), "quant_method")
	}, []string{"J2 warn"}},
	{"no configuration at all", "", func(f *fake) { f.quant, f.config = nil, nil }, []string{"J13 fatal", "J2 warn"}},
	{"another method", "", func(f *fake) {
		f.quant = nil
		f.config["quantization_config"] = map[string]any{"quant_method": "awq", "bits": 4, "version": "gemm", "zero_point": true}
	}, []string{"J2 fatal"}},
	{"bitsandbytes by its keys alone", "", func(f *fake) {
		f.quant = nil
		f.config["quantization_config"] = map[string]any{"load_in_4bit": true, "bnb_4bit_quant_type": "nf4"}
	}, []string{"J2 fatal"}},
	{"compressed-tensors by its keys alone", "", func(f *fake) {
		f.quant = nil
		f.config["quantization_config"] = map[string]any{"config_groups": map[string]any{}, "format": "pack-quantized"}
	}, []string{"J2 fatal"}},
	{"AWQ by its keys alone", "", func(f *fake) {
		f.config["quantization_config"] = nil
		f.quant = map[string]any{"w_bit": 4, "q_group_size": 128, "zero_point": true, "version": "GEMM"}
	}, []string{"J2 fatal"}},
	// What GPTQ asks of a model is not asked of other methods.
	{"AWQ of a model GPTQ could not judge", "", func(f *fake) {
		f.config = map[string]any{"quantization_config": map[string]any{"quant_method": "awq", "bits": 4.65}}
		f.quant = nil
	}, []string{"J2 fatal"}},
	{"GGUF", "", func(f *fake) {
		clear(f.tensors)
		f.quant, f.config = nil, nil
		f.files["model.Q4_K_M.gguf"] = 1000
	}, []string{"J2 fatal"}},
	{"bits 5", "", func(f *fake) { f.both("bits", 5) }, []string{"H5 fatal", "J3 fatal"}},
	{"bits 16", "", func(f *fake) { f.both("bits", 16) }, []string{"H5 fatal", "J3 fatal"}},
	{"bits a string", "", func(f *fake) { f.quant["bits"] = "4" }, []string{"J3 fatal"}},
	{"bits 0", "", func(f *fake) { f.both("bits", 0) }, []string{"J3 fatal"}},
	// The tensors prove them, but no engine would load it.
	{"bits null", "", func(f *fake) { f.both("bits", nil) }, []string{"J3 fatal"}},
	{"bits in no file", "", func(f *fake) {
		delete(f.quant, "bits")
		delete(f.config["quantization_config"].(map[string]any), "bits")
	}, []string{"J3 fatal"}},
	{"bits strings", "", func(f *fake) { f.both("bits", "four") }, []string{"J3 fatal", "J3 fatal"}},
	{"bits in one file only", "", func(f *fake) { delete(f.quant, "bits") }, nil},
	{"group_size in no file", "", func(f *fake) { f.both("group_size", nil) }, []string{"J4 warn"}},
	{"group_size 0", "", func(f *fake) { f.both("group_size", 0) }, []string{"J4 fatal"}},
	{"group_size -2", "", func(f *fake) { f.both("group_size", -2) }, []string{"J4 fatal"}},
	{"group_size a fraction", "", func(f *fake) { f.quant["group_size"] = 32.5 }, []string{"J4 fatal"}},
	{"group size 48 in truth", "", func(f *fake) {
		f.both("group_size", 48)
		f.each(func(name string) {
			s := f.tensors[name+".scales"].Shape
			f.linear(name, 4, 48, len(f.tensors[name+".g_idx"].Bytes)/4, int(s[1]))
		})
	}, []string{"H12 info", "J4 warn"}},
	{"the files differ, the tensors decide", "", func(f *fake) { f.quant["bits"], f.quant["group_size"] = 3, 128 }, []string{"J5 warn", "J5 warn"}},
	{"the files differ in desc_act", "", func(f *fake) { f.quant["desc_act"] = false }, []string{"J5 fatal"}},
	{"the files differ in sym", "", func(f *fake) { f.quant["sym"] = false }, []string{"J5 fatal"}},
	{"one file knows the format", "", func(f *fake) {
		f.quant["checkpoint_format"] = "gptq_v2"
		f.each(func(name string) {
			s := f.tensors[name+".scales"].Shape
			f.setZeros(name, 4, int(s[0]), int(s[1]), gptq.SymZero(4))
		})
	}, []string{"J5 warn"}},
	{"branch name", "", func(f *fake) { f.branch = "gptq-3bit-128g-actorder_False" }, []string{"J6 warn", "J6 warn", "J6 warn"}},
	{"branch name that agrees", "", func(f *fake) { f.branch = "gptq-4bit-32g-actorder_True" }, nil},
	{"act-order without groups", "", func(f *fake) {
		f.both("group_size", -1)
		f.each(func(name string) {
			s := f.tensors[name+".scales"].Shape
			f.linear(name, 4, -1, len(f.tensors[name+".g_idx"].Bytes)/4, int(s[1]))
		})
	}, []string{"J7 info"}},
	{"no sym", "", func(f *fake) { delete(f.quant, "sym"); f.both("sym", nil) }, []string{"J8 warn"}},
	{"marlin", "", func(f *fake) { f.quant["is_marlin_format"] = true }, []string{"J10 fatal"}},
	{"bitblas", "", func(f *fake) { f.both("checkpoint_format", "BitBLAS") }, []string{"J10 fatal"}},
	{"two formats", "", func(f *fake) {
		f.both("checkpoint_format", "gptq")
		f.quant["format"] = "gptq_v2"
	}, []string{"J10 fatal"}},
	{"pack_dtype", "", func(f *fake) { f.quant["pack_dtype"] = "int8" }, []string{"J10 fatal"}},
	{"damp_percent", "", func(f *fake) { f.quant["damp_percent"] = 1 }, []string{"J11 warn"}},
	{"base name", "", func(f *fake) { f.quant["model_file_base_name"] = "gptq_model-4bit-32g" }, []string{"J12 warn"}},
	{"only pickles", "", func(f *fake) { clear(f.tensors); f.files["model.bin"] = 1000 }, []string{"J12 fatal"}},
	{"no config.json", "", func(f *fake) { f.config = nil }, []string{"J13 fatal"}},
	{"no hidden_size", "", func(f *fake) { delete(f.config, "hidden_size") }, []string{"J13 fatal"}},
	{"layers a string", "", func(f *fake) { f.config["num_hidden_layers"] = "1" }, []string{"J13 fatal"}},
	{"heads do not divide", "", func(f *fake) { f.config["num_attention_heads"] = 5 }, []string{"J13 fatal", "J13 fatal"}},
	{"a million layers", "", func(f *fake) { f.config["num_hidden_layers"] = 1_000_000 }, []string{"J13 fatal"}},
	{"too many matrices", "mixtral", func(f *fake) { f.config["num_hidden_layers"], f.config["num_local_experts"] = 1000, 1000 }, []string{"J13 fatal"}},
	{"unknown architecture", "", func(f *fake) { f.config["model_type"] = "bloom" }, []string{"J13 info"}},
	{"sliding window on a Mixtral", "mixtral", func(f *fake) { f.config["sliding_window"] = 4096 }, []string{"J13 warn"}},
	{"Mixtral without a module list", "mixtral", func(f *fake) {
		delete(f.config["quantization_config"].(map[string]any), "modules_in_block_to_quantize")
	}, []string{"J14 warn"}},
	{"a rule Go cannot read", "", func(f *fake) { f.both("dynamic", map[string]any{`-:(?=lookahead)`: nil}) }, []string{"J15 warn"}},
	{"desc_act a string", "", func(f *fake) { f.quant["desc_act"] = "true" }, []string{"J16 warn"}},
	{"a rule of 5 bits", "", func(f *fake) {
		f.linear(down, 5, 32, fakeInter, fakeHidden)
		f.both("dynamic", map[string]any{`+:.*down_proj`: map[string]any{"bits": 5}})
	}, []string{"J3 fatal"}},
	{"a rule of 0 bits", "", func(f *fake) {
		f.both("dynamic", map[string]any{`+:.*down_proj`: map[string]any{"bits": 0}, `.*up_proj`: map[string]any{"bits": "4"}})
	}, []string{"J3 fatal"}},
	{"a rule of an impossible group size", "", func(f *fake) {
		f.both("dynamic", map[string]any{`+:.*down_proj`: map[string]any{"group_size": -2}})
	}, []string{"J4 fatal"}},
	{"a rule without groups", "", func(f *fake) {
		f.linear(down, 4, -1, fakeInter, fakeHidden)
		f.both("dynamic", map[string]any{`+:.*down_proj`: map[string]any{"group_size": -1}})
	}, nil},
	{"a rule whose desc_act is a string", "", func(f *fake) {
		f.both("dynamic", map[string]any{`+:.*down_proj`: map[string]any{"desc_act": "yes"}})
	}, []string{"J16 warn"}},
	{"rules in one file only", "", func(f *fake) {
		f.linear(down, 8, 32, fakeInter, fakeHidden)
		f.quant["dynamic"] = map[string]any{`+:.*down_proj`: map[string]any{"bits": 8}}
	}, []string{"J5 warn"}},
	{"rules in another order", "", func(f *fake) {
		f.json["quantize_config.json"] = `{"bits":4,"group_size":32,"desc_act":true,"sym":true,"dynamic":{"-:x":{},"+:b":{"bits":8},"+:a":{"bits":8}}}`
		f.quant = nil
		f.config["quantization_config"].(map[string]any)["dynamic"] = map[string]any{"+:a": map[string]any{"bits": 8}, "+:b": map[string]any{"bits": 8}, "-:x": map[string]any{}}
	}, nil},
	{"one file says AWQ", "", func(f *fake) { f.quant["quant_method"] = "awq" }, []string{"J2 fatal"}},
	{"planar, 4 bits", "", func(f *fake) { f.both("checkpoint_format", "gptq_p"); f.zerosAs(8) }, nil},
	{"planar, 3 bits", "", func(f *fake) { f.both("bits", 3); f.both("checkpoint_format", "gptq_p"); f.all(3); f.symmetricV2() }, []string{"J10 fatal"}},
	{"planar, 3 bits by a rule", "", func(f *fake) {
		f.both("checkpoint_format", "gptq_p")
		f.both("dynamic", map[string]any{`+:.*down_proj`: map[string]any{"bits": 3}})
		f.linear(down, 3, 32, fakeInter, fakeHidden)
		f.symmetricV2()
	}, []string{"J10 fatal"}},
	{"2 bits", "", func(f *fake) { f.both("bits", 2); f.all(2) }, nil},
	{"3 bits", "", func(f *fake) { f.both("bits", 3); f.all(3) }, nil},
	{"8 bits", "", func(f *fake) { f.both("bits", 8); f.all(8) }, nil},
	{"rotation", "", func(f *fake) { f.quant["rotation"] = "hadamard" }, []string{"J17 warn"}},
	{"auto_map", "", func(f *fake) { f.config["auto_map"] = map[string]any{"AutoModel": "x.Y"} }, []string{"J18 warn"}},
}

var headerCases = []spoiled{
	{"whole", "", func(f *fake) {}, []string{"H13 info"}},
	{"length", "", func(f *fake) { f.files["model.safetensors"] = 1000 }, []string{"H1 fatal"}},
	{"index without its shard", "", func(f *fake) {
		for name := range f.tensors {
			f.shard[name] = "a.safetensors"
		}
		f.json["model.safetensors.index.json"] = `{"metadata":{"total_size":1},"weight_map":{"` + qProj + `.qweight":"a.safetensors","x":"b.safetensors"}}`
	}, []string{"H2 fatal", "H2 warn"}},
	{"index and shard differ", "", func(f *fake) {
		f.json["model.safetensors.index.json"] = `{"metadata":{"total_size":1},"weight_map":{"` + qProj + `.qweight":"model.safetensors","x":"model.safetensors"}}`
	}, []string{"H2 fatal", "H2 warn", "H2 warn"}},
	{"index with a path", "", func(f *fake) {
		f.json["model.safetensors.index.json"] = `{"weight_map":{"x":"../model.safetensors"}}`
	}, []string{"H2 fatal"}},
	{"no scales", "", func(f *fake) { f.drop(qProj + ".scales") }, []string{"H3 fatal"}},
	{"a layer missing", "", func(f *fake) {
		f.drop(qProj+".scales", qProj+".qweight", qProj+".qzeros", qProj+".g_idx")
	}, []string{"H3 fatal"}},
	{"no g_idx", "", func(f *fake) { f.each(func(name string) { f.drop(name + ".g_idx") }) }, []string{"D4 warn", "H3 warn"}},
	{"another model's layer", "", func(f *fake) { f.linear(oProj, 4, 32, 128, 64) }, []string{"H4 fatal"}},
	{"shapes that contradict", "", func(f *fake) { f.put(oProj+".g_idx", "I32", make([]byte, 4*40), 40) }, []string{"H4 fatal"}},
	{"bias of another length", "", func(f *fake) { f.plain(oProj+".bias", 32) }, []string{"D8 warn", "H10 info", "H4 fatal"}},
	{"8 bits in truth", "", func(f *fake) {
		f.each(func(name string) {
			s := f.tensors[name+".scales"].Shape
			f.linear(name, 8, 32, len(f.tensors[name+".g_idx"].Bytes)/4, int(s[1]))
		})
	}, []string{"H5 fatal"}},
	{"one layer of 8 bits", "", func(f *fake) { f.linear(down, 8, 32, fakeInter, fakeHidden) }, []string{"H5 fatal"}},
	{"one layer of 8 bits, by a rule", "", func(f *fake) {
		f.linear(down, 8, 32, fakeInter, fakeHidden)
		f.both("dynamic", map[string]any{`+:model\.layers\.0\.mlp\.down`: map[string]any{"bits": 8}})
	}, nil},
	{"a layer that should be left out", "", func(f *fake) { f.both("dynamic", map[string]any{`-:.*down_proj`: map[string]any{}}) }, []string{"H5 fatal"}},
	{"quantised and not listed", "", func(f *fake) {
		f.config["quantization_config"].(map[string]any)["modules_in_block_to_quantize"] = []string{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
			"self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj"}
	}, []string{"H5 warn"}},
	{"not quantised and not listed", "", func(f *fake) {
		f.config["quantization_config"].(map[string]any)["modules_in_block_to_quantize"] = [][]string{{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
			"self_attn.o_proj"}, {"mlp.gate_proj", "mlp.up_proj"}}
		f.drop(down+".scales", down+".qweight", down+".qzeros", down+".g_idx")
		f.plain(down+".weight", fakeHidden, fakeInter)
	}, nil},
	{"a layer of another model in floating point", "", func(f *fake) {
		f.drop(down+".scales", down+".qweight", down+".qzeros", down+".g_idx")
		f.plain(down+".weight", fakeHidden, 32)
	}, []string{"H4 fatal"}},
	{"groups of 16 in truth", "", func(f *fake) { f.linear(down, 4, 16, fakeInter, fakeHidden) }, []string{"H5 fatal"}},
	{"zero points in F32", "", func(f *fake) { f.tensors[oProj+".qzeros"].DType = "F32" }, []string{"H6 fatal"}},
	{"g_idx in I64", "", func(f *fake) {
		f.each(func(name string) {
			g := f.tensors[name+".g_idx"]
			var wide []byte
			for i := 0; i < len(g.Bytes); i += 4 {
				wide = append(append(wide, g.Bytes[i:i+4]...), 0, 0, 0, 0)
			}
			g.DType, g.Bytes = "I64", wide
		})
	}, []string{"H6 warn"}},
	{"scales in BF16", "", func(f *fake) { f.tensors[oProj+".scales"].DType = "BF16" }, []string{"H6 warn"}},
	{"scales in I16", "", func(f *fake) { f.tensors[oProj+".scales"].DType = "I16" }, []string{"H6 fatal"}},
	{"zero points in U32", "", func(f *fake) { f.tensors[oProj+".qzeros"].DType = "U32" }, []string{"H6 warn"}},
	{"g_idx for two matrices", "", func(f *fake) {
		g := f.tensors[qProj+".g_idx"].Bytes
		f.put(qProj+".g_idx", "I32", slices.Concat(g, g), 2*fakeHidden)
	}, []string{"H4 fatal"}},
	{"AWQ", "", func(f *fake) {
		clear(f.tensors)
		f.put(qProj+".qweight", "I32", make([]byte, 64*8*4), 64, 8)
		f.put(qProj+".qzeros", "I32", make([]byte, 2*8*4), 2, 8)
		f.plain(qProj+".scales", 2, 64)
	}, []string{"H7 fatal"}},
	{"EXL2", "", func(f *fake) { clear(f.tensors); f.plain(qProj+".q_weight", 4) }, []string{"H7 fatal"}},
	{"Marlin", "", func(f *fake) { clear(f.tensors); f.plain(qProj+".B", 4); f.plain(qProj+".s", 4) }, []string{"H7 fatal"}},
	{"not quantised", "", func(f *fake) { clear(f.tensors); f.plain("x", 4) }, []string{"H7 fatal"}},
	{"a layer twice", "", func(f *fake) { f.plain(qProj+".weight", 64, 64) }, []string{"H8 warn"}},
	{"a layer in floating point", "", func(f *fake) {
		f.drop(down+".scales", down+".qweight", down+".qzeros", down+".g_idx")
		f.plain(down+".weight", fakeHidden, fakeInter)
	}, []string{"H8 warn"}},
	{"lm_head promised", "", func(f *fake) { f.both("lm_head", true) }, []string{"H8 warn"}},
	{"lm_head quantised", "", func(f *fake) {
		f.both("lm_head", true)
		f.config["vocab_size"] = 64
		f.plain("model.embed_tokens.weight", 64, fakeHidden)
		f.drop("lm_head.weight")
		f.linear("lm_head", 4, 32, fakeHidden, 64)
	}, nil},
	{"lm_head quantised, and nobody says so", "", func(f *fake) {
		f.config["vocab_size"] = 64
		f.plain("model.embed_tokens.weight", 64, fakeHidden)
		f.drop("lm_head.weight")
		f.linear("lm_head", 4, 32, fakeHidden, 64)
	}, []string{"H9 fatal"}},
	{"a layer in floating point, by a rule", "", func(f *fake) {
		f.drop(down+".scales", down+".qweight", down+".qzeros", down+".g_idx")
		f.plain(down+".weight", fakeHidden, fakeInter)
		f.both("dynamic", map[string]any{`-:.*down_proj`: map[string]any{}})
	}, nil},
	{"no norm", "", func(f *fake) { f.drop("model.norm.weight") }, []string{"H9 fatal"}},
	{"vocabulary", "", func(f *fake) { f.config["vocab_size"] = 41 }, []string{"H9 fatal"}},
	{"embedding in I16", "", func(f *fake) { f.tensors["model.embed_tokens.weight"].DType = "I16" }, []string{"H9 fatal"}},
	{"quantised router", "mixtral", func(f *fake) {
		gate := "model.layers.0.block_sparse_moe.gate"
		f.drop(gate + ".weight")
		f.linear(gate, 4, 32, fakeHidden, 8)
	}, []string{"H12 info", "H9 fatal"}},
	{"quantised router of 32 experts", "mixtral", func(f *fake) {
		f.config["num_local_experts"] = 32
		listed := []string{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"}
		for e := range 32 {
			x := fmt.Sprintf("block_sparse_moe.experts.%d.", e)
			listed = append(listed, x+"w1", x+"w2", x+"w3")
			f.linear("model.layers.0."+x+"w1", 4, 32, fakeHidden, fakeInter)
			f.linear("model.layers.0."+x+"w3", 4, 32, fakeHidden, fakeInter)
			f.linear("model.layers.0."+x+"w2", 4, 32, fakeInter, fakeHidden)
		}
		f.config["quantization_config"].(map[string]any)["modules_in_block_to_quantize"] = listed
		gate := "model.layers.0.block_sparse_moe.gate"
		f.drop(gate + ".weight")
		f.linear(gate, 4, 32, fakeHidden, 32)
	}, []string{"H9 warn"}},
	{"tied embedding without lm_head", "", func(f *fake) { f.config["tie_word_embeddings"] = true; f.drop("lm_head.weight") }, nil},
	{"zero bias", "", func(f *fake) { f.put(oProj+".bias", "F16", make([]byte, 128), 64) }, []string{"H10 info"}},
	{"bias the architecture has", "", func(f *fake) {
		f.config["mlp_bias"] = true
		f.plain(down+".bias", 64)
		f.plain("model.layers.0.mlp.gate_proj.bias", 96)
		f.plain("model.layers.0.mlp.up_proj.bias", 96)
	}, nil},
	{"no bias where the architecture has one", "", func(f *fake) { f.config["attention_bias"] = true; f.plain(oProj+".bias", 64) }, []string{"H3 warn"}},
	{"metadata", "", func(f *fake) {
		f.meta = map[string]string{"gptq_bits": "3", "gptq_group_size": "32", "gptq_desc_act": "True"}
	}, []string{"H11 warn"}},
	{"metadata of the wrong type", "", func(f *fake) { f.meta = map[string]string{"gptq_bits": "four", "gptq_damp_percent": "0.2"} }, []string{"H11 warn", "H11 warn"}},
	{"metadata that agrees", "", func(f *fake) {
		f.meta = map[string]string{"gptq_bits": "4", "gptq_desc_act": "True", "gptq_damp_percent": "0.10", "gptq_quant_method": "gptq", "gptq_checkpoint_format": "gptq"}
	}, nil},
	{"parameters of TGI's quantiser that differ", "", func(f *fake) {
		f.put("gptq_bits", "I64", append([]byte{8}, make([]byte, 7)...), 1)
		f.put("gptq_groupsize", "I64", bytes.Repeat([]byte{0xFF}, 8), 1)
		f.put("gptq_sym", "BOOL", []byte{0})
	}, []string{"H11 warn", "H11 warn", "H11 warn"}},
	{"second copy in shards", "", func(f *fake) {
		for i := range 4 {
			f.files[fmt.Sprintf("pytorch_model-0000%d-of-00004.bin", i+1)] = 15_000
		}
	}, []string{"H14 warn"}},
	{"small files beside the weights", "", func(f *fake) { f.files["training_args.bin"], f.files["adapter.safetensors"] = 4000, 10_000 }, nil},
	{"second copy", "", func(f *fake) { f.files["pytorch_model.bin"] = 1 << 30 }, []string{"H14 warn"}},
	{"the same tensors in two files", "", func(f *fake) {
		f.quant["model_file_base_name"] = nil
		f.shard[qProj+".qweight"], f.shard[qProj+".g_idx"] = "a.safetensors", "a.safetensors"
		for name := range f.tensors {
			if f.shard[name] == "" {
				f.shard[name] = "b.safetensors"
			}
		}
		f.again = []string{qProj + ".qweight"}
	}, []string{"H14 warn"}},
	{"parts without an index", "", func(f *fake) {
		f.quant["model_file_base_name"] = nil
		for name := range f.tensors {
			f.shard[name] = "b.safetensors"
		}
		f.shard[qProj+".qweight"] = "a.safetensors"
	}, nil},
	{"extra tensors", "", func(f *fake) { f.plain("model.layers.1.mlp.down_proj.weight", 4) }, []string{"H15 warn"}},
	{"parameters of TGI's quantiser", "", func(f *fake) {
		f.put("gptq_bits", "I64", append([]byte{4}, make([]byte, 7)...), 1)
		f.put("gptq_groupsize", "I64", append([]byte{32}, make([]byte, 7)...), 1)
		f.put("gptq_sym", "BOOL", []byte{1})
	}, nil},
	{"rotary frequencies of old writers", "", func(f *fake) { f.plain("model.layers.0.self_attn.rotary_emb.inv_freq", 8) }, nil},
}

var dataCases = []spoiled{
	{"g_idx past the last group", "", func(f *fake) { f.word(qProj+".g_idx", 7, 2) }, []string{"D2 fatal"}},
	{"g_idx below zero", "", func(f *fake) { f.word(qProj+".g_idx", 7, 0xFFFFFFFF) }, []string{"D2 fatal"}},
	{"a group too large", "", func(f *fake) {
		for i := range 3 {
			f.word(oProj+".g_idx", i, 1)
		}
	}, []string{"D3 fatal"}},
	{"act-order that is not claimed", "", func(f *fake) { f.both("desc_act", false) }, []string{"D4 fatal"}},
	{"act-order that is not there", "", func(f *fake) { f.sequential() }, []string{"D4 warn"}},
	{"act-order with static groups", "", func(f *fake) { f.sequential(); f.quant["static_groups"] = true }, nil},
	{"no act-order", "", func(f *fake) { f.sequential(); f.both("desc_act", false) }, nil},
	{"g_idx of zeros", "", func(f *fake) {
		f.both("desc_act", false)
		f.each(func(name string) { clear(f.tensors[name+".g_idx"].Bytes) })
	}, []string{"D4 info"}},
	{"one matrix in order", "", func(f *fake) {
		for i := range fakeInter {
			f.word(down+".g_idx", i, uint32(i/32))
		}
	}, []string{"D4 warn"}},
	{"one g_idx of zeros", "", func(f *fake) { clear(f.tensors[down+".g_idx"].Bytes) }, []string{"D4 info", "D4 warn"}},
	{"act-order by a rule", "", func(f *fake) {
		order := slices.Clone(f.tensors[down+".g_idx"].Bytes)
		f.sequential()
		copy(f.tensors[down+".g_idx"].Bytes, order)
		f.both("desc_act", false)
		f.both("dynamic", map[string]any{`+:.*down_proj`: map[string]any{"desc_act": true}})
	}, nil},
	{"g_idx in I64, far outside", "", func(f *fake) {
		g := f.tensors[down+".g_idx"]
		wide := make([]byte, 2*len(g.Bytes))
		wide[4] = 1 // 2^32: cut to 32 bits it would be 0
		g.DType, g.Bytes = "I64", wide
	}, []string{"D2 fatal", "H6 warn"}},
	{"act-order that no file states", "", func(f *fake) { f.both("desc_act", nil) }, []string{"D4 warn"}},
	{"g_idx of zeros, act-order claimed", "", func(f *fake) {
		f.each(func(name string) { clear(f.tensors[name+".g_idx"].Bytes) })
	}, []string{"D4 info", "D4 warn"}},
	{"q and k in different orders", "", func(f *fake) {
		g := f.tensors[qProj+".g_idx"].Bytes
		copy(g, slices.Concat(g[128:], g[:128])) // the halves change places
	}, []string{"D5 warn"}},
	{"NaN in scales", "", func(f *fake) { f.half(qProj+".scales", 70, 0x7e00) }, []string{"D6 fatal"}},
	{"infinity in scales", "", func(f *fake) { f.half(qProj+".scales", 70, 0xfc00) }, []string{"D6 fatal"}},
	{"scale of zero", "", func(f *fake) { f.half(qProj+".scales", 70, 0) }, []string{"D6 warn"}},
	{"scale below zero", "", func(f *fake) { f.half(qProj+".scales", 70, 0xa000) }, []string{"D6 warn"}},
	{"scales that F16 hardly holds", "", func(f *fake) {
		for i := range 20 {
			f.half(qProj+".scales", i, 0x0100)
		}
	}, []string{"D6 warn"}},
	{"a few small scales", "", func(f *fake) { f.half(qProj+".scales", 70, 0x0300) }, nil},
	{"scales from one end to the other", "", func(f *fake) { f.half(qProj+".scales", 70, 0x0001); f.half(qProj+".scales", 71, 0x7000) }, []string{"D6 warn"}},
	{"scales in the wrong places", "mixtral", func(f *fake) {
		f.scales(func(group, col, n int) int { return (group*n + col) * 7919 % 1009 })
	}, []string{"D6 warn"}},
	{"scales of outputs that differ", "mixtral", func(f *fake) {
		f.scales(func(group, col, n int) int { return col*7919%1009 + (group+col)%2 })
	}, nil},
	{"one odd zero point", "", func(f *fake) { f.word(qProj+".qzeros", 3, 0x77777787) }, []string{"D7 fatal"}},
	{"v2 labelled v1", "", func(f *fake) {
		f.each(func(name string) {
			s := f.tensors[name+".scales"].Shape
			f.setZeros(name, 4, int(s[0]), int(s[1]), 8)
		})
	}, []string{"D7 fatal"}},
	{"v1 labelled v2", "", func(f *fake) { f.both("checkpoint_format", "gptq_v2") }, []string{"D7 fatal"}},
	{"v1 and v2 in one file", "", func(f *fake) { f.setZeros(oProj, 4, 2, 64, 8) }, []string{"D7 fatal"}},
	{"asymmetric, a zero of 0", "", func(f *fake) { f.both("sym", false); f.word(qProj+".qzeros", 3, 0x7777F777) }, []string{"D7 warn", "J9 warn"}},
	{"asymmetric, overflowed word", "", func(f *fake) { f.both("sym", false); f.word(qProj+".qzeros", 3, 0xFFFF5777) }, []string{"D7 warn", "J9 warn"}},
	{"asymmetric by GPTQModel", "", func(f *fake) {
		f.both("sym", false)
		f.quant["meta"] = map[string]any{"quantizer": []string{"gptqmodel:5.0.0"}}
		f.word(qProj+".qzeros", 3, 0x7777F777)
	}, nil},
	{"asymmetric by its zero points, sym not stated", "", func(f *fake) { f.both("sym", nil); f.asymmetric(0) }, []string{"D7 warn", "J8 warn"}},
	{"asymmetric by a rule", "", func(f *fake) {
		f.setFields(down, 0)
		f.both("dynamic", map[string]any{`+:.*down_proj`: map[string]any{"sym": false}})
	}, nil},
	{"asymmetric, and no rule says so", "", func(f *fake) { f.setFields(down, 0) }, []string{"D7 fatal"}},
	{"what fills up a word of zero points", "", func(f *fake) {
		f.config["model_type"] = "novel"
		f.linear(oProj, 4, 32, fakeHidden, 60)
		for group := range 2 {
			f.word(oProj+".qzeros", 8*group+7, 0xEEEE7777) // 60 outputs end in the middle of it
		}
	}, []string{"H12 info", "J13 info"}},
	{"asymmetric", "", func(f *fake) { f.both("sym", false); f.asymmetric(0) }, []string{"J9 warn"}},
	{"asymmetric, v2 labelled v1", "", func(f *fake) { f.both("sym", false); f.asymmetric(1) }, []string{"D7 warn", "J9 warn"}},
	{"asymmetric, v2", "", func(f *fake) { f.both("sym", false); f.both("checkpoint_format", "gptq_v2"); f.asymmetric(1) }, nil},
	{"asymmetric, v1 labelled v2", "", func(f *fake) { f.both("sym", false); f.both("checkpoint_format", "gptq_v2"); f.asymmetric(0) }, []string{"D7 warn"}},
	{"symmetric in truth", "", func(f *fake) { f.both("sym", false) }, []string{"D7 info", "J9 warn"}},
	{"symmetric in truth, and mislabelled", "", func(f *fake) { f.both("sym", false); f.both("checkpoint_format", "gptq_v2") }, []string{"D7 fatal", "D7 info"}},
	{"bias that is not zero", "", func(f *fake) { f.plain(oProj+".bias", 64) }, []string{"D8 warn", "H10 info"}},
	{"bias that is not finite", "", func(f *fake) { f.plain(oProj+".bias", 64); f.half(oProj+".bias", 0, 0x7c00) }, []string{"D11 fatal", "H10 info"}},
	{"qweight of zeros", "", func(f *fake) { clear(f.tensors[oProj+".qweight"].Bytes) }, []string{"D9 fatal"}},
	{"qweight of ones", "", func(f *fake) {
		for i := range f.tensors[oProj+".qweight"].Bytes {
			f.tensors[oProj+".qweight"].Bytes[i] = 0xFF
		}
	}, []string{"D9 fatal"}},
	{"too few zeros to tell", "", func(f *fake) { clear(f.tensors[oProj+".qweight"].Bytes[:256]) }, nil},
	{"a page of zeros", "", func(f *fake) {
		f.wide()
		clear(f.tensors[down+".qweight"].Bytes[4096:16384])
	}, []string{"D9 fatal"}},
	{"noise for codes", "", func(f *fake) { f.codes(oProj, func(i int) int { return i * 7 % 16 }) }, []string{"D10 warn"}},
	{"half of the codes", "", func(f *fake) { f.codes(oProj, func(i int) int { return 6 + i*i%5 }) }, []string{"D10 warn"}},
	{"codes far from zero", "", func(f *fake) { f.codes(oProj, func(i int) int { return min(15, i*i%47/3) / (1 + i%3) }) }, []string{"D10 warn"}},
	{"a token without a row", "", func(f *fake) { f.json["added_tokens.json"] = `{"<|im_end|>": 40, "<pad>": 39}` }, []string{"D11 warn"}},
	{"a token without a row, by the tokenizer", "", func(f *fake) {
		f.json["tokenizer_config.json"] = `{"added_tokens_decoder": {"41": {"content": "<|im_end|>"}, "0": {"content": "<s>"}}}`
	}, []string{"D11 warn"}},
	{"tokens that were never trained", "", func(f *fake) {
		f.json["added_tokens.json"] = `{"<|im_end|>": 38, "<pad>": 39}`
		clear(f.tensors["model.embed_tokens.weight"].Bytes[2*38*fakeHidden:])
	}, []string{"D11 warn"}},
	{"tokens with rows", "", func(f *fake) { f.json["added_tokens.json"] = `{"<|im_end|>": 38, "<pad>": 39}` }, nil},
	{"NaN in the embedding", "", func(f *fake) { f.half("model.embed_tokens.weight", 99, 0x7e01) }, []string{"D11 fatal"}},
}

// asymmetric spreads the zero points, stored less one plus as much as is given,
// around the symmetric one.
func (f *fake) asymmetric(plus int) {
	f.each(func(name string) { f.setFields(name, plus) })
}

func (f *fake) setFields(name string, plus int) {
	s := f.tensors[name+".scales"].Shape
	fields := make([]uint8, s[0]*s[1])
	for i := range fields {
		fields[i] = uint8(gptq.SymZero(4) - 1 + plus + i%3 - 1)
	}
	f.put(name+".qzeros", "I32", le(gptq.PackCols(fields, 4, int(s[0]), int(s[1]))), s[0], int64(gptq.Words(int(s[1]), 4)))
}

// all quantises every matrix anew.
func (f *fake) all(bits int) {
	f.each(func(name string) {
		f.linear(name, bits, 32, len(f.tensors[name+".g_idx"].Bytes)/4, int(f.tensors[name+".scales"].Shape[1]))
	})
}

// symmetricV2 stores the symmetric zero points as they are.
func (f *fake) symmetricV2() {
	f.each(func(name string) {
		s := f.tensors[name+".scales"].Shape
		bits := int(f.tensors[name+".qzeros"].Shape[1]) * 32 / int(s[1])
		f.setZeros(name, bits, int(s[0]), int(s[1]), gptq.SymZero(bits))
	})
}

// scales sets every scale, as steps above the least.
func (f *fake) scales(steps func(group, col, n int) int) {
	f.each(func(name string) {
		s := f.tensors[name+".scales"].Shape
		for i := range int(s[0] * s[1]) {
			n := int(s[1])
			f.half(name+".scales", i, 0x2000+uint16(steps(i/n, i%n, n)))
		}
	})
}

// codes sets every code of a square matrix of 4 bits.
func (f *fake) codes(name string, code func(i int) int) {
	codes := make([]uint8, fakeHidden*fakeHidden)
	for i := range codes {
		codes[i] = uint8(code(i))
	}
	f.setCodes(name, 4, fakeHidden, fakeHidden, codes)
}

// wide makes the matrices of the network's second half larger.
func (f *fake) wide() {
	const inter = 1024
	f.config["intermediate_size"] = inter
	for _, name := range []string{"gate_proj", "up_proj"} {
		f.linear("model.layers.0.mlp."+name, 4, 32, fakeHidden, inter)
	}
	f.linear(down, 4, 32, inter, fakeHidden)
}

// sequential undoes act-order.
func (f *fake) sequential() {
	f.each(func(name string) {
		for i := range len(f.tensors[name+".g_idx"].Bytes) / 4 {
			f.word(name+".g_idx", i, uint32(i/32))
		}
	})
}

func TestFindings(t *testing.T) {
	for _, tt := range slices.Concat(configCases, headerCases, dataCases) {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(cmp.Or(tt.kind, "llama"))
			tt.spoil(f)
			in, open := f.build(t)
			got, all := judge(t, in, open)
			if !slices.Contains(tt.want, "H13 info") {
				got = butSize(got)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q\n%+v", got, tt.want, all)
			}
		})
	}
}

// What is asked of an input does not change with who lists its tensors, nor with
// what was asked before.
func TestWithInventory(t *testing.T) {
	for _, tt := range slices.Concat(configCases, headerCases) {
		f := newFake(cmp.Or(tt.kind, "llama"))
		tt.spoil(f)
		in, _ := f.build(t)
		all := func(in Input) []any {
			cfg, contradictions := in.Config()
			return []any{in.Proven(), in.WeightFiles(), cfg, contradictions, in.Beliefs(), in.RecoverHeaders(), Check(in)}
		}
		want, taken := all(in), in.WithInventory()
		for range 2 {
			if got := all(taken); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %+v, want %+v", tt.name, got, want)
			}
		}
	}
}

// Every code has a case that triggers it and one that does not. D1 comes from
// those who hash, D12 from those who run: see TestCodesAreDocumented.
func TestEveryCode(t *testing.T) {
	codes, fired, silent := emitted(t), map[string]int{}, map[string]int{} // code → cases
	for _, tt := range slices.Concat(configCases, headerCases, dataCases) {
		f := newFake(cmp.Or(tt.kind, "llama"))
		tt.spoil(f)
		in, open := f.build(t)
		_, all := judge(t, in, open)
		for _, code := range codes {
			if slices.ContainsFunc(all, func(f Finding) bool { return f.Code == code }) {
				fired[code]++
			} else {
				silent[code]++
			}
		}
	}
	for code := range silent {
		if code != "D1" && code != "D12" && fired[code] == 0 {
			t.Errorf("no case triggers %s", code)
		}
	}
	for code := range fired {
		if silent[code] == 0 {
			t.Errorf("every case triggers %s", code)
		}
	}
}

var codePattern = regexp.MustCompile(`^[JHD][0-9]+$`)

// emitted lists the codes that stand in the sources.
func emitted(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && codePattern.MatchString(strings.Trim(lit.Value, `"`)) {
				codes = append(codes, strings.Trim(lit.Value, `"`))
			}
			return true
		})
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// Every code that is emitted is documented and tested, and the other way round,
// with the severities it has.
func TestCodesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/findings.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| ([JHD][0-9]+) \| ([a-z, ]+) \|`).FindAllStringSubmatch(string(page), -1) {
		documented[m[1]] = m[2]
	}
	// D1 comes from those who hash: TestVerifyDamage of cmd/qbranch/internal/app
	// has the case, and TestVerify there the one without.
	one := DigestFinding("model.safetensors", "0-1048575")
	tested := map[string][]string{one.Code: {string(one.Severity)}}
	// D12 from those who run: TestBreakages there has cases of both severities.
	tested[RunFailure(errors.New("no")).Code] = []string{string(Fatal), string(Warn)}
	cases := slices.Concat(configCases, headerCases, dataCases)
	for _, tt := range cases {
		for _, w := range tt.want {
			code, severity, _ := strings.Cut(w, " ")
			if !slices.Contains(tested[code], severity) {
				tested[code] = append(tested[code], severity)
			}
		}
	}
	codes := emitted(t)
	if got := sortedKeys(documented); !slices.Equal(got, codes) {
		t.Errorf("documented %v\n  emitted %v", got, codes)
	}
	for code, severities := range documented {
		want := strings.Split(severities, ", ")
		slices.SortFunc(tested[code], func(a, b string) int { return rank(Severity(a)) - rank(Severity(b)) })
		if !slices.Equal(tested[code], want) {
			t.Errorf("%s is documented as %v, tested as %v", code, want, tested[code])
		}
	}
}
