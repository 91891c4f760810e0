package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// shape is what config.json says about a decoder of the Llama family.
type shape struct {
	Architecture string
	Type         string
	Hidden       int
	Inter        int
	Layers       int
	Heads        int
	KVHeads      int
	Vocab        int
	Context      int
	Window       int // 0 = none
	Theta        float64
	Experts      int // 0 = dense
	PerToken     int
}

// presets are the shapes of well-known models, and two small ones.
var presets = map[string]shape{
	"tinyllama": {"LlamaForCausalLM", "llama", 2048, 5632, 22, 32, 4, 32000, 2048, 0, 1e4, 0, 0},
	"llama7b":   {"LlamaForCausalLM", "llama", 4096, 11008, 32, 32, 32, 32000, 4096, 0, 1e4, 0, 0},
	"7b":        {"MistralForCausalLM", "mistral", 4096, 14336, 32, 32, 8, 32000, 32768, 4096, 1e4, 0, 0},
	"mixtral":   {"MixtralForCausalLM", "mixtral", 4096, 14336, 32, 32, 8, 32000, 32768, 0, 1e6, 8, 2},
	"tiny":      {"LlamaForCausalLM", "llama", 128, 352, 2, 4, 2, 512, 256, 0, 1e4, 0, 0},
	"tiny-moe":  {"MixtralForCausalLM", "mixtral", 128, 352, 2, 4, 2, 512, 256, 0, 1e6, 8, 2},
}

func presetNames() []string { return slices.Sorted(maps.Keys(presets)) }

// quantConfig is quantize_config.json, and quantization_config in config.json.
func (o options) quantConfig() map[string]any {
	q := map[string]any{
		"bits": o.bits, "group_size": o.group, "desc_act": o.actOrder, "sym": !o.asym, "damp_percent": 0.1,
		"static_groups": false, "true_sequential": true, "quant_method": "gptq", "checkpoint_format": "gptq",
	}
	if o.v2 {
		q["checkpoint_format"] = "gptq_v2"
	}
	if o.Experts > 0 { // without the list some loaders look for a quantised router
		blocks := [][]string{{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}, {"self_attn.o_proj"}}
		for _, name := range []string{"w1", "w3", "w2"} {
			var experts []string
			for e := range o.Experts {
				experts = append(experts, fmt.Sprintf("block_sparse_moe.experts.%d.%s", e, name))
			}
			blocks = append(blocks, experts)
		}
		q["modules_in_block_to_quantize"] = blocks
	}
	return q
}

// config is config.json.
func (o options) config() map[string]any {
	c := map[string]any{
		"architectures": []string{o.Architecture}, "model_type": o.Type,
		"hidden_size": o.Hidden, "intermediate_size": o.Inter, "num_hidden_layers": o.Layers,
		"num_attention_heads": o.Heads, "num_key_value_heads": o.KVHeads, "vocab_size": o.Vocab,
		"max_position_embeddings": o.Context, "rms_norm_eps": 1e-5, "rope_theta": o.Theta, "hidden_act": "silu",
		"tie_word_embeddings": false, "torch_dtype": "float16",
		"bos_token_id": beginID, "eos_token_id": endID,
		"quantization_config": o.quantConfig(),
	}
	if o.Type != "llama" {
		c["sliding_window"] = nil
	}
	if o.Window > 0 {
		c["sliding_window"] = o.Window
	}
	if o.Experts > 0 {
		c["num_local_experts"], c["num_experts_per_tok"] = o.Experts, o.PerToken
	}
	return c
}

// encode is JSON as people read it.
func encode(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	return append(data, '\n'), err
}
