package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
)

// qbranch judges a checkpoint before its weights move, so the bench serves one
// that holds together: a Llama of one small 4-bit layer, and a tensor of noise
// that makes up the size.
const checkpointConfig = `{
  "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 256, "intermediate_size": 512,
  "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 512, "hidden_act": "silu",
  "max_position_embeddings": 512, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": false,
  "torch_dtype": "float16",
  "quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": false, "sym": true}
}
`

// tensorEntry is a tensor in the header of a safetensors file.
type tensorEntry struct {
	DType   string   `json:"dtype"`
	Shape   []int64  `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// layout collects tensors one behind the other.
type layout struct {
	tensors map[string]tensorEntry
	end     int64
}

func (l *layout) add(name, dtype string, shape ...int64) {
	n := map[string]int64{"I8": 1, "F16": 2, "I32": 4}[dtype]
	for _, d := range shape {
		n *= d
	}
	l.tensors[name] = tensorEntry{dtype, shape, [2]int64{l.end, l.end + n}}
	l.end += n
}

// linear adds a 4-bit matrix of in rows and out columns, groups of 128.
func (l *layout) linear(name string, in, out int64) {
	l.add(name+".qweight", "I32", in/8, out)
	l.add(name+".qzeros", "I32", in/128, out/8)
	l.add(name+".scales", "F16", in/128, out)
	l.add(name+".g_idx", "I32", in)
}

// checkpointHeader begins a safetensors file of size bytes in all, of which
// there have to be some: 2 MiB at least.
func checkpointHeader(size int64) string {
	const (
		length                 = 4096 // of the JSON, padded with spaces
		hidden, inner, entries = 256, 512, 512
	)
	l := layout{tensors: make(map[string]tensorEntry)}
	l.add("model.embed_tokens.weight", "F16", entries, hidden)
	l.add("model.norm.weight", "F16", hidden)
	l.add("lm_head.weight", "F16", entries, hidden)
	const layer = "model.layers.0."
	l.add(layer+"input_layernorm.weight", "F16", hidden)
	l.add(layer+"post_attention_layernorm.weight", "F16", hidden)
	for _, name := range []string{"q", "k", "v", "o"} {
		l.linear(layer+"self_attn."+name+"_proj", hidden, hidden)
	}
	l.linear(layer+"mlp.gate_proj", hidden, inner)
	l.linear(layer+"mlp.up_proj", hidden, inner)
	l.linear(layer+"mlp.down_proj", inner, hidden)
	l.add("model.noise", "I8", size-8-length-l.end)
	text, err := json.Marshal(l.tensors)
	if err != nil || len(text) > length {
		panic(fmt.Sprintf("qbranch: internal error: header of %d bytes: %v", len(text), err))
	}
	return string(binary.LittleEndian.AppendUint64(nil, length)) + string(text) + strings.Repeat(" ", length-len(text))
}
