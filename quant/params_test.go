package quant

import "testing"

// The number of parameters of well-known models, as the hub counts them over
// their original files: nothing here was counted with this package.
func TestLayoutCountsParameters(t *testing.T) {
	for _, tt := range []struct {
		name, config string
		want         int64
	}{
		{"Llama-2-7B", dims("llama", 4096, 11008, 32, 32, 32, 32000, ""), 6_738_415_616},
		{"TinyLlama-1.1B", tinyLlama, 1_100_048_384},
		{"Mistral-7B", mistral7B, 7_241_732_096},
		{"Mixtral-8x7B", dims("mixtral", 4096, 14336, 32, 32, 8, 32000, `,"num_local_experts":8`), 46_702_792_704},
		{"Qwen2.5-0.5B", dims("qwen2", 896, 4864, 24, 14, 2, 151936, `,"tie_word_embeddings":true`), 494_032_768},
		{"Qwen2-7B", dims("qwen2", 3584, 18944, 28, 28, 4, 152064, ""), 7_615_616_512},
		{"Qwen3-8B", dims("qwen3", 4096, 12288, 36, 32, 8, 151936, `,"head_dim":128`), 8_190_735_360},
		{"Qwen1.5-MoE-A2.7B", dims("qwen2_moe", 2048, 5632, 24, 16, 16, 151936, `,"num_experts":60,"moe_intermediate_size":1408,"shared_expert_intermediate_size":5632`), 14_315_784_192},
		{"Qwen3-30B-A3B", dims("qwen3_moe", 2048, 6144, 48, 32, 4, 151936, `,"num_experts":128,"moe_intermediate_size":768,"head_dim":128`), 30_532_122_624},
		{"Gemma-2B", dims("gemma", 2048, 16384, 18, 8, 1, 256000, `,"head_dim":256`), 2_506_172_416},
		{"Gemma-7B", dims("gemma", 3072, 24576, 28, 16, 16, 256000, `,"head_dim":256`), 8_537_680_896},
		{"Gemma-2-9B", dims("gemma2", 3584, 14336, 42, 16, 8, 256000, `,"head_dim":256`), 9_241_705_984},
		{"Phi-2", dims("phi", 2560, 10240, 32, 32, 32, 51200, ""), 2_779_683_840},
		{"Phi-3-mini-4k", dims("phi3", 3072, 8192, 32, 32, 32, 32064, ""), 3_821_079_552},
		{"Pythia-6.9B", dims("gpt_neox", 4096, 16384, 32, 32, 32, 50432, ""), 6_857_302_016},
		{"Falcon-7B", `{"model_type":"falcon","hidden_size":4544,"num_hidden_layers":32,"num_attention_heads":71,"vocab_size":65024,"multi_query":true}`, 6_921_720_704},
		{"StableLM-3B", dims("stablelm", 2560, 6912, 32, 32, 32, 50304, ""), 2_795_443_200},
		{"StarCoder2-3B", dims("starcoder2", 3072, 12288, 30, 24, 2, 49152, ""), 3_030_371_328},
		{"OPT-6.7B", `{"model_type":"opt","hidden_size":4096,"ffn_dim":16384,"num_hidden_layers":32,"num_attention_heads":32,"vocab_size":50272,"max_position_embeddings":2048}`, 6_658_473_984},
		{"InternLM2-7B", dims("internlm2", 4096, 14336, 32, 32, 8, 92544, ""), 7_737_708_544},
		{"GPT-J-6B", `{"model_type":"gptj","n_embd":4096,"n_layer":28,"n_head":16,"vocab_size":50400}`, 6_050_882_784},
		{"StarCoder", `{"model_type":"gpt_bigcode","n_embd":6144,"n_layer":40,"n_head":48,"n_inner":24576,"n_positions":8192,"vocab_size":49152}`, 15_517_456_384},
	} {
		m, err := ParseModel([]byte(tt.config))
		if err != nil {
			t.Fatal(err)
		}
		// With everything left out of quantisation the tensors are the parameters.
		cfg, err := ParseConfig("quantize_config.json", []byte(`{"bits":4,"group_size":128,"dynamic":{"-:":{}}}`))
		if err != nil {
			t.Fatal(err)
		}
		l, err := LayoutOf(cfg, m, LayoutOptions{})
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got := l.DataBytes() / 2; got != tt.want {
			t.Errorf("%s: %d parameters, want %d (%+d)", tt.name, got, tt.want, got-tt.want)
		}
	}
}
