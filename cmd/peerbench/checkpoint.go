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

// layout collects tensors one behind the other, with their bytes.
type layout struct {
	tensors map[string]tensorEntry
	body    []byte
}

// add adds a tensor whose n words of the dtype's length are what word says.
func (l *layout) add(name, dtype string, word func(i int64) uint32, shape ...int64) {
	begin, n := int64(len(l.body)), int64(1)
	for _, d := range shape {
		n *= d
	}
	for i := range n {
		if dtype == "F16" {
			l.body = binary.LittleEndian.AppendUint16(l.body, uint16(word(i)))
		} else {
			l.body = binary.LittleEndian.AppendUint32(l.body, word(i))
		}
	}
	l.tensors[name] = tensorEntry{dtype, shape, [2]int64{begin, int64(len(l.body))}}
}

// always is a tensor of one value.
func always(w uint32) func(int64) uint32 { return func(int64) uint32 { return w } }

const (
	one   = 0x3c00     // in half precision
	small = 0x2000     // 2^-7
	eight = 0x77777777 // eight zero points of 8, of which 1 is taken off
)

// linear adds a 4-bit matrix of in rows and out columns, groups of 128.
func (l *layout) linear(name string, in, out int64) {
	l.add(name+".qweight", "I32", func(i int64) uint32 { return uint32(i) * 2654435761 }, in/8, out)
	l.add(name+".qzeros", "I32", always(eight), in/128, out/8)
	l.add(name+".scales", "F16", always(small), in/128, out)
	l.add(name+".g_idx", "I32", func(i int64) uint32 { return uint32(i / 128) }, in)
}

// checkpointHead begins a safetensors file of size bytes in all: header and
// tensors up to the noise, which is the rest.
func checkpointHead(size int64) []byte {
	const (
		length                 = 4096 // of the JSON, padded with spaces
		hidden, inner, entries = 256, 512, 512
	)
	l := layout{tensors: make(map[string]tensorEntry)}
	l.add("model.embed_tokens.weight", "F16", always(small), entries, hidden)
	l.add("model.norm.weight", "F16", always(one), hidden)
	l.add("lm_head.weight", "F16", always(small), entries, hidden)
	const layer = "model.layers.0."
	l.add(layer+"input_layernorm.weight", "F16", always(one), hidden)
	l.add(layer+"post_attention_layernorm.weight", "F16", always(one), hidden)
	for _, name := range []string{"q", "k", "v", "o"} {
		l.linear(layer+"self_attn."+name+"_proj", hidden, hidden)
	}
	l.linear(layer+"mlp.gate_proj", hidden, inner)
	l.linear(layer+"mlp.up_proj", hidden, inner)
	l.linear(layer+"mlp.down_proj", inner, hidden)
	end := int64(len(l.body))
	noise := size - 8 - length - end
	l.tensors["model.noise"] = tensorEntry{"I8", []int64{noise}, [2]int64{end, end + noise}}
	text, err := json.Marshal(l.tensors)
	if err != nil || len(text) > length || noise < 0 {
		panic(fmt.Sprintf("qbranch: internal error: header of %d bytes, %d of noise: %v", len(text), noise, err))
	}
	head := binary.LittleEndian.AppendUint64(nil, length)
	head = append(append(head, text...), strings.Repeat(" ", length-len(text))...)
	return append(head, l.body...)
}
