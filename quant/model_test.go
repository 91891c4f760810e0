package quant

import "testing"

// Dimensions under the names architectures have for them.
func TestParseModel(t *testing.T) {
	for _, tt := range []struct {
		name, config string
		known        bool
		want         Model // the fields that are set are compared
	}{
		{"llama with grouped heads", `{"model_type":"llama","hidden_size":8192,"intermediate_size":28672,"num_hidden_layers":80,
			"num_attention_heads":64,"num_key_value_heads":8,"vocab_size":32000,"max_position_embeddings":4096,"torch_dtype":"float16"}`, true,
			Model{Hidden: 8192, Inter: 28672, Layers: 80, Heads: 64, KVHeads: 8, HeadDim: 128, Vocab: 32000, MaxPositions: 4096}},
		{"llama without", `{"model_type":"llama","hidden_size":5120,"intermediate_size":13824,"num_hidden_layers":40,"num_attention_heads":40,"vocab_size":32000}`, true,
			Model{KVHeads: 40, HeadDim: 128}},
		{"falcon 7B", `{"model_type":"falcon","hidden_size":4544,"num_hidden_layers":32,"num_attention_heads":71,"vocab_size":65024,"multi_query":true}`, true,
			Model{KVHeads: 1, HeadDim: 64, Inter: 18176}},
		{"falcon 40B of old", `{"model_type":"RefinedWeb","hidden_size":8192,"n_layer":60,"n_head":128,"n_head_kv":8,"vocab_size":65024}`, true,
			Model{Layers: 60, Heads: 128, KVHeads: 8, HeadDim: 64}},
		{"mixtral with a window", `{"model_type":"mixtral","hidden_size":4096,"intermediate_size":14336,"num_hidden_layers":32,"num_attention_heads":32,
			"num_key_value_heads":8,"vocab_size":32002,"num_local_experts":8,"num_experts_per_tok":2,"sliding_window":4096}`, true,
			Model{Experts: 8, ExpertsPerToken: 2, MoEInter: 14336, MoELayers: 32, Window: 4096}},
		{"mistral with a window", `{"model_type":"mistral","hidden_size":4096,"intermediate_size":14336,"num_hidden_layers":32,"num_attention_heads":32,
			"num_key_value_heads":8,"vocab_size":32000,"sliding_window":4096}`, true,
			Model{Window: 4096, WindowLayers: 32}},
		{"qwen2 that does not use its window", `{"model_type":"qwen2","hidden_size":3584,"intermediate_size":18944,"num_hidden_layers":28,"num_attention_heads":28,
			"num_key_value_heads":4,"vocab_size":152064,"sliding_window":131072,"use_sliding_window":false}`, true, Model{Layers: 28}},
		{"gemma2, every other layer slides", `{"model_type":"gemma2","hidden_size":2304,"intermediate_size":9216,"num_hidden_layers":26,"num_attention_heads":8,
			"num_key_value_heads":4,"vocab_size":256000,"sliding_window":4096}`, true,
			Model{HeadDim: 256, Tied: true, Window: 4096, WindowLayers: 13}},
		{"text inside a model of images", `{"model_type":"gemma3","text_config":{"hidden_size":3840,"num_hidden_layers":48,"num_attention_heads":16,
			"num_key_value_heads":8,"head_dim":256,"sliding_window":1024,"sliding_window_pattern":6}}`, false,
			Model{Hidden: 3840, Layers: 48, KVHeads: 8, HeadDim: 256, Window: 1024, WindowLayers: 40}},
		{"the same without its pattern", `{"model_type":"gemma3","text_config":{"hidden_size":3840,"num_hidden_layers":48,"num_attention_heads":16,"sliding_window":1024}}`, false,
			Model{Layers: 48, Window: 1024, WindowLayers: 40}},
		{"dbrx", `{"model_type":"dbrx","d_model":6144,"n_layers":40,"n_heads":48,"max_seq_len":32768,"vocab_size":100352,
			"attn_config":{"kv_n_heads":8},"ffn_config":{"ffn_hidden_size":10752,"moe_num_experts":16,"moe_top_k":4}}`, false,
			Model{Hidden: 6144, Inter: 10752, KVHeads: 8, HeadDim: 128, Experts: 16, ExpertsPerToken: 4, MaxPositions: 32768}},
		{"chatglm", `{"model_type":"chatglm","hidden_size":4096,"num_layers":28,"num_attention_heads":32,"kv_channels":128,"ffn_hidden_size":13696,
			"multi_query_attention":true,"multi_query_group_num":2,"padded_vocab_size":65024,"seq_length":32768}`, false,
			Model{Layers: 28, KVHeads: 2, HeadDim: 128, Inter: 13696, Vocab: 65024, MaxPositions: 32768}},
		{"bloom", `{"model_type":"bloom","n_embed":1,"hidden_size":4096,"n_layer":30,"n_head":32,"vocab_size":250880,"seq_length":2048}`, false,
			Model{Hidden: 4096, Layers: 30, Heads: 32, KVHeads: 32, HeadDim: 128, MaxPositions: 2048}},
		{"deepseek", `{"model_type":"deepseek_v2","hidden_size":2048,"num_hidden_layers":27,"num_attention_heads":16,"n_routed_experts":64,"n_shared_experts":2,
			"moe_intermediate_size":1408,"first_k_dense_replace":1,"num_experts_per_tok":6,"kv_lora_rank":512,"qk_rope_head_dim":64}`, false,
			Model{Experts: 64, ExpertsPerToken: 6, MoEInter: 1408, SharedInter: 2816, MoELayers: 26, LatentDim: 576}},
		{"nothing", `{}`, false, Model{}},
		{"strings and fractions", `{"model_type":"bloom","hidden_size":"wide","n_layer":2.5,"n_head":-1,"head_dim":1e99}`, false, Model{}},
	} {
		m, err := ParseModel([]byte(tt.config))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if m.Known() != tt.known {
			t.Errorf("%s: known %v, %+v", tt.name, m.Known(), m.bad)
		}
		for _, f := range []struct {
			name      string
			got, want int
		}{
			{"Hidden", m.Hidden, tt.want.Hidden}, {"Inter", m.Inter, tt.want.Inter}, {"Layers", m.Layers, tt.want.Layers}, {"Heads", m.Heads, tt.want.Heads},
			{"KVHeads", m.KVHeads, tt.want.KVHeads}, {"HeadDim", m.HeadDim, tt.want.HeadDim}, {"Vocab", m.Vocab, tt.want.Vocab},
			{"Experts", m.Experts, tt.want.Experts}, {"ExpertsPerToken", m.ExpertsPerToken, tt.want.ExpertsPerToken}, {"MoEInter", m.MoEInter, tt.want.MoEInter},
			{"SharedInter", m.SharedInter, tt.want.SharedInter}, {"MoELayers", m.MoELayers, tt.want.MoELayers}, {"MaxPositions", m.MaxPositions, tt.want.MaxPositions},
			{"LatentDim", m.LatentDim, tt.want.LatentDim},
		} {
			if f.want != 0 && f.got != f.want {
				t.Errorf("%s: %s is %d, want %d", tt.name, f.name, f.got, f.want)
			}
		}
		if m.Window != tt.want.Window || m.WindowLayers != tt.want.WindowLayers {
			t.Errorf("%s: window %d in %d layers, want %d in %d", tt.name, m.Window, m.WindowLayers, tt.want.Window, tt.want.WindowLayers)
		}
	}
	if _, err := ParseModel([]byte(`{"a":`)); err == nil {
		t.Error("broken JSON parses")
	}
}
