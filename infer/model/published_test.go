package model

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// The settings that published repositories have, each with its own defaults and
// leftovers, mean what the reference makes of them.
func TestPublishedConfigs(t *testing.T) {
	tests := []struct{ name, config, want string }{
		{"Llama 2 7B", `"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 11008, "max_position_embeddings": 4096,
			"num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": null, "tie_word_embeddings": false, "torch_dtype": "float16", "vocab_size": 32000`,
			"heads 32/32 of 128, context 4096, silu, default 128 of theta 10000"},
		{"CodeLlama", `"model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "max_position_embeddings": 16384, "num_attention_heads": 32, "num_hidden_layers": 32, "rope_theta": 1000000, "vocab_size": 32016`,
			"heads 32/32 of 128, context 16384, silu, default 128 of theta 1e+06"},
		{"Vicuna 16k", `"model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "max_position_embeddings": 4096, "max_sequence_length": 16384, "num_attention_heads": 32, "num_hidden_layers": 32,
			"num_key_value_heads": 32, "rope_scaling": {"factor": 4.0, "type": "linear"}, "vocab_size": 32000`,
			"heads 32/32 of 128, context 16384, silu, linear 128 of theta 10000"},
		{"Llama 3.1", `"model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 131072, "mlp_bias": false, "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
			"rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"}, "rope_theta": 500000.0, "vocab_size": 128256`,
			"heads 32/8 of 128, context 131072, silu, llama3 128 of theta 500000"},
		{"Zephyr", `"model_type": "mistral", "architectures": ["MistralForCausalLM"], "hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 32768, "num_attention_heads": 32, "num_hidden_layers": 32,
			"num_key_value_heads": 8, "rope_theta": 10000.0, "sliding_window": 4096, "vocab_size": 32000`,
			"heads 32/8 of 128, context 32768, silu, default 128 of theta 10000, 32 windows of 4096"},
		{"Mistral Nemo", `"model_type": "mistral", "head_dim": 128, "hidden_size": 5120, "intermediate_size": 14336, "max_position_embeddings": 131072, "num_attention_heads": 32, "num_hidden_layers": 40,
			"num_key_value_heads": 8, "rope_theta": 1000000.0, "sliding_window": null, "vocab_size": 131072`,
			"heads 32/8 of 128, context 131072, silu, default 128 of theta 1e+06"},
		{"Mixtral", `"model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 32768, "num_attention_heads": 32, "num_experts_per_tok": 2, "num_hidden_layers": 32,
			"num_key_value_heads": 8, "num_local_experts": 8, "rope_theta": 1000000.0, "sliding_window": null, "vocab_size": 32002`,
			"heads 32/8 of 128, context 32768, silu, default 128 of theta 1e+06, 2 of 8 experts of 14336 in 32 layers"},
		{"Qwen 2.5 7B", `"model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "max_position_embeddings": 32768, "max_window_layers": 28, "num_attention_heads": 28, "num_hidden_layers": 28, "num_key_value_heads": 4,
			"rope_theta": 1000000.0, "sliding_window": 131072, "use_mrope": false, "use_sliding_window": false, "vocab_size": 152064`,
			"heads 28/4 of 128, context 32768, silu, default 128 of theta 1e+06, qkv biases"},
		{"Qwen 2.5 with YaRN", `"model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "max_position_embeddings": 32768, "num_attention_heads": 28, "num_hidden_layers": 28, "num_key_value_heads": 4,
			"rope_scaling": {"factor": 4.0, "original_max_position_embeddings": 32768, "type": "yarn"}, "rope_theta": 1000000.0, "vocab_size": 152064`,
			"heads 28/4 of 128, context 131072, silu, yarn 128 of theta 1e+06, qkv biases"},
		{"Qwen 1.5 MoE", `"model_type": "qwen2_moe", "decoder_sparse_step": 1, "hidden_size": 2048, "intermediate_size": 5632, "max_position_embeddings": 8192, "max_window_layers": 21, "moe_intermediate_size": 1408, "norm_topk_prob": false,
			"num_attention_heads": 16, "num_experts": 60, "num_experts_per_tok": 4, "num_hidden_layers": 24, "num_key_value_heads": 16, "shared_expert_intermediate_size": 5632, "sliding_window": 32768, "use_sliding_window": false, "vocab_size": 151936`,
			"heads 16/16 of 128, context 8192, silu, default 128 of theta 10000, qkv biases, 4 of 60 experts of 1408 in 24 layers, shared 5632"},
		{"Qwen 3 0.6B", `"model_type": "qwen3", "attention_bias": false, "head_dim": 128, "hidden_size": 1024, "intermediate_size": 3072, "max_position_embeddings": 40960, "max_window_layers": 28, "num_attention_heads": 16,
			"num_hidden_layers": 28, "num_key_value_heads": 8, "rope_scaling": null, "rope_theta": 1000000, "sliding_window": null, "tie_word_embeddings": true, "use_sliding_window": false, "vocab_size": 151936`,
			"heads 16/8 of 128, context 40960, silu, default 128 of theta 1e+06, tied, q and k normalised"},
		{"Gemma 2B", `"model_type": "gemma", "head_dim": 256, "hidden_act": "gelu", "hidden_activation": null, "hidden_size": 2048, "intermediate_size": 16384, "max_position_embeddings": 8192, "num_attention_heads": 8,
			"num_hidden_layers": 18, "num_key_value_heads": 1, "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 10000.0, "vocab_size": 256000`,
			"heads 8/1 of 256, context 8192, gelu_tanh, default 256 of theta 10000, tied"},
		{"Gemma 2 9B", `"model_type": "gemma2", "attn_logit_softcapping": 50.0, "cache_implementation": "hybrid", "final_logit_softcapping": 30.0, "head_dim": 256, "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh",
			"hidden_size": 3584, "intermediate_size": 14336, "max_position_embeddings": 8192, "num_attention_heads": 16, "num_hidden_layers": 42, "num_key_value_heads": 8, "query_pre_attn_scalar": 256, "rope_theta": 10000.0,
			"sliding_window": 4096, "sliding_window_size": 4096, "vocab_size": 256000`,
			"heads 16/8 of 256, context 8192, gelu_tanh, default 256 of theta 10000, tied, 21 windows of 4096, caps 50 and 30"},
		{"Phi 1.5", `"model_type": "phi", "hidden_act": "gelu_new", "hidden_size": 2048, "intermediate_size": 8192, "layer_norm_eps": 1e-05, "max_position_embeddings": 2048, "num_attention_heads": 32, "num_hidden_layers": 24,
			"num_key_value_heads": null, "partial_rotary_factor": 0.5, "qk_layernorm": false, "rope_scaling": null, "rope_theta": 10000.0, "vocab_size": 51200`,
			"heads 32/32 of 64, context 2048, gelu_tanh, default 32 of theta 10000, qkv biases"},
		{"Phi 2", `"model_type": "phi", "hidden_act": "gelu_new", "hidden_size": 2560, "intermediate_size": 10240, "max_position_embeddings": 2048, "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32,
			"partial_rotary_factor": 0.4, "vocab_size": 51200`,
			"heads 32/32 of 80, context 2048, gelu_tanh, default 32 of theta 10000, qkv biases"},
		{"Phi 2 of 2023", `"model_type": "phi-msft", "architectures": ["PhiForCausalLM"], "activation_function": "gelu_new", "flash_attn": false, "layer_norm_epsilon": 1e-05, "n_embd": 2560, "n_head": 32, "n_head_kv": null, "n_inner": null,
			"n_layer": 32, "n_positions": 2048, "rotary_dim": 32, "tie_word_embeddings": false, "vocab_size": 51200`,
			"heads 32/32 of 80, context 2048, gelu_tanh, default 32 of theta 10000, qkv biases"},
		{"Phi 3 mini 4k", `"model_type": "phi3", "attention_bias": false, "hidden_act": "silu", "hidden_size": 3072, "intermediate_size": 8192, "max_position_embeddings": 4096, "num_attention_heads": 32, "num_hidden_layers": 32,
			"num_key_value_heads": 32, "original_max_position_embeddings": 4096, "rope_scaling": null, "rope_theta": 10000.0, "sliding_window": 2047, "vocab_size": 32064`,
			"heads 32/32 of 96, context 4096, silu, default 96 of theta 10000, 32 windows of 2047"},
		{"Pythia", `"model_type": "gpt_neox", "hidden_act": "gelu", "hidden_size": 2048, "intermediate_size": 8192, "layer_norm_eps": 1e-05, "max_position_embeddings": 2048, "num_attention_heads": 16, "num_hidden_layers": 24,
			"rotary_emb_base": 10000, "rotary_pct": 0.25, "use_parallel_residual": true, "vocab_size": 50304`,
			"heads 16/16 of 128, context 2048, gelu, default 32 of theta 10000, qkv biases, parallel"},
		{"GPT-NeoX 20B", `"model_type": "gpt_neox", "hidden_act": "gelu_fast", "hidden_size": 6144, "intermediate_size": 24576, "max_position_embeddings": 2048, "num_attention_heads": 64, "num_hidden_layers": 44,
			"rotary_emb_base": 10000, "rotary_pct": 0.25, "vocab_size": 50432`,
			"heads 64/64 of 96, context 2048, gelu_tanh, default 24 of theta 10000, qkv biases, parallel"},
		{"RedPajama-INCITE", `"model_type": "gpt_neox", "hidden_act": "gelu", "hidden_size": 2560, "intermediate_size": 10240, "max_position_embeddings": 2048, "num_attention_heads": 32, "num_hidden_layers": 32,
			"rotary_emb_base": 10000, "rotary_pct": 1.0, "use_parallel_residual": false, "vocab_size": 50432`,
			"heads 32/32 of 80, context 2048, gelu, default 80 of theta 10000, qkv biases"},
		{"Falcon 7B of 2023", `"model_type": "RefinedWebModel", "architectures": ["RWForCausalLM"], "alibi": false, "apply_residual_connection_post_layernorm": false, "bias": false, "hidden_size": 4544, "layer_norm_epsilon": 1e-05,
			"multi_query": true, "n_head": 71, "n_layer": 32, "parallel_attn": true, "vocab_size": 65024`,
			"heads 71/1 of 64, context 2048, gelu, default 64 of theta 10000, tied, parallel"},
		{"Falcon 40B", `"model_type": "falcon", "alibi": false, "bias": false, "hidden_size": 8192, "multi_query": true, "new_decoder_architecture": true, "num_attention_heads": 128, "num_hidden_layers": 60, "num_kv_heads": 8,
			"parallel_attn": true, "vocab_size": 65024`,
			"heads 128/8 of 64, context 2048, gelu, default 64 of theta 10000, tied, parallel, two norms"},
		{"StableLM 2 12B", `"model_type": "stablelm", "hidden_act": "silu", "hidden_size": 5120, "intermediate_size": 13824, "layer_norm_eps": 1e-05, "max_position_embeddings": 4096, "num_attention_heads": 32, "num_hidden_layers": 40,
			"num_key_value_heads": 8, "partial_rotary_factor": 0.25, "qk_layernorm": true, "rope_theta": 10000, "use_parallel_residual": true, "use_qkv_bias": false, "vocab_size": 100352`,
			"heads 32/8 of 160, context 4096, silu, default 40 of theta 10000, q and k normalised, parallel"},
		{"StableLM Zephyr 3B of 2023", `"model_type": "stablelm_epoch", "architectures": ["StableLMEpochForCausalLM"], "hidden_act": "silu", "hidden_size": 2560, "intermediate_size": 6912, "max_position_embeddings": 4096, "norm_eps": 1e-05,
			"num_attention_heads": 32, "num_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32, "rope_pct": 0.25, "rope_theta": 10000, "rotary_scaling_factor": 1.0, "vocab_size": 50304`,
			"heads 32/32 of 80, context 4096, silu, default 20 of theta 10000"},
	}
	for _, test := range tests {
		c, err := ParseConfig([]byte("{" + test.config + "}"))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got := describe(c); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, got, test.want)
		}
	}
}

// describe puts what a config asks for into words.
func describe(c Config) string {
	s := fmt.Sprintf("heads %d/%d of %d, context %d, %s, %s %d of theta %v", c.Heads, c.KVHeads, c.HeadDim, c.Context, c.Act, c.Rope.Type, c.Rope.Dim, c.Rope.Theta)
	windows := map[int]int{}
	for _, w := range c.Windows {
		windows[w]++
	}
	delete(windows, 0)
	for _, word := range []struct {
		is   bool
		text string
	}{{c.Tied, "tied"}, {c.QKVBias, "qkv biases"}, {c.QKNorm, "q and k normalised"}, {c.Parallel, "parallel"}, {c.TwoNorms, "two norms"}} {
		if word.is {
			s += ", " + word.text
		}
	}
	for w, n := range windows {
		s += fmt.Sprintf(", %d windows of %d", n, w)
	}
	if c.Experts > 0 {
		layers := 0
		for i := range c.Layers {
			if c.Sparse == nil || c.Sparse[i] {
				layers++
			}
		}
		s += fmt.Sprintf(", %d of %d experts of %d in %d layers", c.ExpertsPerToken, c.Experts, c.ExpertWidth, layers)
	}
	if c.SharedWidth > 0 {
		s += fmt.Sprintf(", shared %d", c.SharedWidth)
	}
	if c.ScoreCap > 0 {
		s += fmt.Sprintf(", caps %v and %v", c.ScoreCap, c.LogitCap)
	}
	return s
}

// docs/architectures.md lists what runs.
func TestArchitecturesPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/architectures.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, name := range slices.Concat([]string{f.architecture}, f.aliases, f.types) {
			if name != "LLaMAForCausalLM" && !strings.Contains(string(page), "`"+name+"`") { // a slip of early 2023
				t.Errorf("docs/architectures.md does not name %s", name)
			}
		}
	}
}
