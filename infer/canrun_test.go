package infer

import (
	"errors"
	"io/fs"
	"testing"
)

func TestCanRun(t *testing.T) {
	t.Parallel()
	const llama = `"architectures":["LlamaForCausalLM"],"hidden_size":64,"intermediate_size":128,"num_hidden_layers":2,` +
		`"num_attention_heads":4,"vocab_size":100,"max_position_embeddings":64`
	all := []string{"config.json", "tokenizer.json", "model.safetensors"}
	tests := []struct {
		name, config string
		files        []string
		want         error
	}{
		{"runs", "{" + llama + "}", all, nil},
		{"no tokenizer", "{" + llama + "}", []string{"config.json", "tokenizer.model"}, ErrUnsupported},
		{"another architecture", `{"architectures":["QWenLMHeadModel"]}`, all, ErrUnsupported},
		{"another method", "{" + llama + `,"quantization_config":{"quant_method":"awq","bits":4}}`, all, ErrUnsupported},
		{"broken", "{", all, ErrCheckpoint},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := CanRun([]byte(tt.config), tt.files); !errors.Is(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	if got := CanRun(nil, all); !errors.Is(got, ErrCheckpoint) {
		t.Errorf("without config.json: got %v, want %v", got, ErrCheckpoint)
	}
}

func TestNoCheckpoint(t *testing.T) {
	t.Parallel()
	// A folder of other things is no damaged checkpoint.
	_, err := Load(t.Context(), Files{"notes.txt": "nowhere"}, LoadOptions{})
	if !errors.Is(err, ErrNoCheckpoint) || errors.Is(err, ErrCheckpoint) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want %v", err, ErrNoCheckpoint)
	}
	for name, want := range map[string]error{"model.safetensors": ErrCheckpoint, "pytorch_model.bin": ErrUnsupported, "llama.Q4_0.gguf": ErrUnsupported} {
		if _, err := Load(t.Context(), Files{name: "nowhere"}, LoadOptions{}); !errors.Is(err, want) {
			t.Errorf("%s without config.json: got %v, want %v", name, err, want)
		}
	}
}
