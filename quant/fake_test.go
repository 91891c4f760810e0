package quant

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/qbranch/qbranch/quant/gptq"
	"github.com/qbranch/qbranch/quant/safetensors"
)

// fake is a small checkpoint that tests spoil.
type fake struct {
	branch  string
	config  map[string]any // config.json
	quant   map[string]any // quantize_config.json; nil = none
	json    map[string]string
	tensors map[string]*safetensors.Data
	meta    map[string]string
	shard   map[string]string // tensor → file; the rest is in model.safetensors
	files   map[string]int64  // beside those that are made
	again   []string          // tensors that also stand in b.safetensors
}

const fakeHidden, fakeInter = 64, 96

// newFake is a Llama of one layer, or a Mixtral of two experts, without a single
// finding: 4 bits, groups of 32, act-order.
func newFake(kind string) *fake {
	f := &fake{
		config: map[string]any{"model_type": kind, "hidden_size": fakeHidden, "intermediate_size": fakeInter, "num_hidden_layers": 1,
			"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 40, "sliding_window": nil,
			"quantization_config": map[string]any{"bits": 4, "group_size": 32, "desc_act": true, "sym": true, "quant_method": "gptq"}},
		quant: map[string]any{"bits": 4, "group_size": 32, "desc_act": true, "sym": true, "static_groups": false, "damp_percent": 0.1,
			"model_name_or_path": nil, "model_file_base_name": "model"},
		json: map[string]string{}, tensors: map[string]*safetensors.Data{}, shard: map[string]string{}, files: map[string]int64{},
	}
	p := "model.layers.0."
	f.plain("model.embed_tokens.weight", 40, fakeHidden)
	f.plain("lm_head.weight", 40, fakeHidden)
	f.plain("model.norm.weight", fakeHidden)
	f.plain(p+"input_layernorm.weight", fakeHidden)
	f.plain(p+"post_attention_layernorm.weight", fakeHidden)
	for name, n := range map[string]int{"q_proj": 64, "k_proj": 32, "v_proj": 32, "o_proj": 64} {
		f.linear(p+"self_attn."+name, 4, 32, fakeHidden, n)
	}
	if kind != "mixtral" {
		f.linear(p+"mlp.gate_proj", 4, 32, fakeHidden, fakeInter)
		f.linear(p+"mlp.up_proj", 4, 32, fakeHidden, fakeInter)
		f.linear(p+"mlp.down_proj", 4, 32, fakeInter, fakeHidden)
		return f
	}
	f.config["num_local_experts"] = 2
	f.config["quantization_config"].(map[string]any)["modules_in_block_to_quantize"] = [][]string{
		{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"},
		{"block_sparse_moe.experts.0.w1", "block_sparse_moe.experts.0.w2", "block_sparse_moe.experts.0.w3"},
		{"block_sparse_moe.experts.1.w1", "block_sparse_moe.experts.1.w2", "block_sparse_moe.experts.1.w3"}}
	f.plain(p+"block_sparse_moe.gate.weight", 2, fakeHidden)
	for e := range 2 {
		x := fmt.Sprintf("%sblock_sparse_moe.experts.%d.", p, e)
		f.linear(x+"w1", 4, 32, fakeHidden, fakeInter)
		f.linear(x+"w3", 4, 32, fakeHidden, fakeInter)
		f.linear(x+"w2", 4, 32, fakeInter, fakeHidden)
	}
	return f
}

func (f *fake) put(name, dtype string, bytes []byte, shape ...int64) {
	f.tensors[name] = &safetensors.Data{Name: name, DType: dtype, Shape: shape, Bytes: bytes}
}

// plain adds an F16 tensor of ones.
func (f *fake) plain(name string, dims ...int) {
	n, shape := 1, []int64{}
	for _, d := range dims {
		n *= d
		shape = append(shape, int64(d))
	}
	f.put(name, "F16", bytes.Repeat([]byte{0x00, 0x3c}, n), shape...)
}

// linear adds a quantised matrix in act-order; matrices of as many inputs have
// the same order.
func (f *fake) linear(name string, bits, size, k, n int) {
	rnd := rand.New(rand.NewPCG(uint64(k), 1))
	g := 1
	if size > 0 {
		g = (k-1)/size + 1
	}
	codes := make([]uint8, k*n) // a bell around zero, as weights are
	for i := range codes {
		v := math.Round(rnd.NormFloat64()*float64(int(1)<<bits)/6) + float64(gptq.SymZero(bits))
		codes[i] = uint8(min(max(v, 0), float64(gptq.MaxCode(bits))))
	}
	f.setCodes(name, bits, k, n, codes)
	f.setZeros(name, bits, g, n, gptq.SymZero(bits)-1)
	f.put(name+".scales", "F16", bytes.Repeat([]byte{0x00, 0x20}, g*n), int64(g), int64(n))
	gidx := make([]uint32, k)
	order := rand.New(rand.NewPCG(uint64(k), 2)).Perm(k)
	for i, at := range order {
		if size > 0 {
			gidx[at] = uint32(i / size)
		}
	}
	f.put(name+".g_idx", "I32", le(gidx), int64(k))
}

func (f *fake) setCodes(name string, bits, k, n int, codes []uint8) {
	f.put(name+".qweight", "I32", le(gptq.PackRows(codes, bits, k, n)), int64(gptq.Words(k, bits)), int64(n))
}

// setZeros stores one value in every field of qzeros.
func (f *fake) setZeros(name string, bits, g, n, field int) {
	zeros := gptq.PackCols(bytes.Repeat([]byte{byte(field)}, g*n), bits, g, n)
	f.put(name+".qzeros", "I32", le(zeros), int64(g), int64(gptq.Words(n, bits)))
}

// each calls change for every quantised matrix.
func (f *fake) each(change func(name string)) {
	var names []string
	for name := range f.tensors {
		if base, ok := bytes.CutSuffix([]byte(name), []byte(".qweight")); ok {
			names = append(names, string(base))
		}
	}
	slices.Sort(names)
	for _, name := range names {
		change(name)
	}
}

func (f *fake) word(name string, i int, v uint32) {
	binary.LittleEndian.PutUint32(f.tensors[name].Bytes[4*i:], v)
}

func (f *fake) half(name string, i int, v uint16) {
	binary.LittleEndian.PutUint16(f.tensors[name].Bytes[2*i:], v)
}

// both changes a key of both configuration files.
func (f *fake) both(key string, v any) {
	f.quant[key] = v
	f.config["quantization_config"].(map[string]any)[key] = v
}

func (f *fake) drop(names ...string) {
	for _, name := range names {
		delete(f.tensors, name)
	}
}

func le(words []uint32) []byte {
	var b []byte
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

// build writes the files.
func (f *fake) build(t *testing.T) (Input, func(string) (io.ReaderAt, error)) {
	t.Helper()
	in := Input{Branch: f.branch, Files: map[string]int64{}, JSON: map[string][]byte{}, Headers: map[string]*safetensors.Header{}}
	put := func(name string, v any) {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		in.JSON[name] = b
	}
	if f.config != nil {
		put("config.json", f.config)
	}
	if f.quant != nil {
		put("quantize_config.json", f.quant)
	}
	for name, text := range f.json {
		in.JSON[name] = []byte(text)
	}
	for name, b := range in.JSON {
		in.Files[name] = int64(len(b))
	}
	parts := map[string][]safetensors.Data{}
	for _, name := range sortedKeys(f.tensors) {
		file := f.shard[name]
		if file == "" {
			file = "model.safetensors"
		}
		parts[file] = append(parts[file], *f.tensors[name])
	}
	for _, name := range f.again {
		parts["b.safetensors"] = append(parts["b.safetensors"], *f.tensors[name])
	}
	content := map[string][]byte{}
	for file, tensors := range parts {
		var b bytes.Buffer
		if err := safetensors.Write(&b, f.meta, tensors); err != nil {
			t.Fatal(err)
		}
		content[file], in.Files[file] = b.Bytes(), int64(b.Len())
		h, err := safetensors.Parse(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatal(err)
		}
		in.Headers[file] = h
	}
	for name, size := range f.files {
		in.Files[name] = size
	}
	return in, func(path string) (io.ReaderAt, error) {
		b, ok := content[path]
		if !ok {
			return nil, fmt.Errorf("no file %s", path)
		}
		return bytes.NewReader(b), nil
	}
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// judge runs both checks and gives "CODE severity" of every finding, sorted.
func judge(t *testing.T, in Input, open func(string) (io.ReaderAt, error)) (brief []string, all []Finding) {
	t.Helper()
	all = Check(in)
	data, err := CheckData(context.Background(), in, open)
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, data...)
	for _, f := range all {
		brief = append(brief, f.Code+" "+string(f.Severity))
		if f.Where == "" || f.Message == "" || f.Got == "" || f.Want == "" || f.Hint == "" {
			t.Errorf("%s says too little: %+v", f.Code, f)
		}
	}
	slices.Sort(brief)
	return brief, all
}

// butSize leaves H13 out, which every whole checkpoint has.
func butSize(brief []string) []string {
	return slices.DeleteFunc(brief, func(code string) bool { return code == "H13 info" })
}
