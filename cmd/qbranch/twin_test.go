package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/cmd/qbranch/internal/cli"
	"github.com/qbranch/qbranch/hub/hubtest"
)

// mixtralRepo is a repository of eight branches whose weights have 18 to 48 GB.
const mixtralRepo = "TheBloke/dolphin-2.5-mixtral-8x7b-GPTQ"

// mixtralBranch is a branch of it. The bytes of its tensors are known from
// elsewhere, and the published size is that of the card.
type mixtralBranch struct {
	name        string
	bits, group int   // group -1 = none
	data        int64 // bytes of all tensors
	size, desc  string
}

var mixtralBranches = []mixtralBranch{
	{"main", 4, -1, 23_811_006_464, "23.81", "4 bits and act order; no groups, so that it needs the least memory."},
	{"gptq-4bit-128g-actorder_True", 4, 128, 24_696_233_984, "24.70", "4 bits, act order, groups of 128g."},
	{"gptq-4bit-32g-actorder_True", 4, 32, 27_417_288_704, "27.42", "4 bits, act order, groups of 32g: the best of 4 bits, for the most memory."},
	{"gptq-3bit--1g-actorder_True", 3, -1, 18_005_000_192, "18.01", "3 bits and act order, without groups."},
	{"gptq-3bit-128g-actorder_True", 3, 128, 18_845_966_336, "18.85", "3 bits, act order, groups of 128g."},
	{"gptq-3bit-32g-actorder_True", 3, 32, 21_430_968_320, "21.43", "3 bits, act order and group size 64g: the best of 3 bits."}, // as the published one, it says 64
	{"gptq-8bit--1g-actorder_True", 8, -1, 47_035_031_552, "47.04", "8 bits and act order, without groups."},
	{"gptq-8bit-128g-actorder_True", 8, 128, 48_097_304_576, "48.10", "8 bits, act order, groups of 128g."},
}

// mixtralTwin is that repository without its weights: names, parameters, sizes to
// the byte, configurations and safetensors headers are as published, what is in
// the tensors is noise, and the card says the same facts in other words. Digests of
// weights are claimed.
var mixtralTwin = sync.OnceValues(func() (hubtest.RepoData, error) {
	r := hubtest.RepoData{ID: mixtralRepo, Files: make(map[string]map[string]*hubtest.Content)}
	card := hubtest.Bytes([]byte(mixtralCard()))
	tokenizer := hubtest.Synthetic(493_443, 1)
	for i, b := range mixtralBranches {
		header := b.header()
		size := int64(len(header)) + b.data
		config, err := b.config()
		if err != nil {
			return r, err
		}
		r.Files[b.name] = map[string]*hubtest.Content{
			"README.md":              card,
			"config.json":            hubtest.Bytes(config),
			"generation_config.json": hubtest.Bytes([]byte("{\n  \"bos_token_id\": 1,\n  \"eos_token_id\": 32000\n}\n")),
			"quantize_config.json":   hubtest.Bytes([]byte(b.quantizeConfig())),
			"tokenizer.model":        tokenizer,
			weights: hubtest.SyntheticAfter(header, size, uint64(i)).
				Claiming(sha256.Sum256(fmt.Append(header, size))),
		}
	}
	return r, nil
})

// header is the safetensors header as the library writes it: int32 before
// float16, each by name, padded to eight bytes. It is written from the format's
// description, not with this module's code, which it is there to check.
func (b mixtralBranch) header() []byte {
	type entry struct {
		name, dtype string
		shape       []int
	}
	var all []entry
	linear := func(name string, k, n int) {
		groups := 1
		if b.group > 0 {
			groups = k / b.group
		}
		all = append(all,
			entry{name + ".g_idx", "I32", []int{k}},
			entry{name + ".qweight", "I32", []int{k * b.bits / 32, n}},
			entry{name + ".qzeros", "I32", []int{groups, n * b.bits / 32}},
			entry{name + ".scales", "F16", []int{groups, n}},
			entry{name + ".bias", "F16", []int{n}}) // zeros, which the writers of 2023 stored
	}
	plain := func(name string, shape ...int) { all = append(all, entry{name + ".weight", "F16", shape}) }
	const hidden, inter, kv, vocab = 4096, 14336, 1024, 32002
	plain("model.embed_tokens", vocab, hidden)
	plain("model.norm", hidden)
	plain("lm_head", vocab, hidden)
	for l := range 32 {
		layer := fmt.Sprintf("model.layers.%d.", l)
		plain(layer+"input_layernorm", hidden)
		plain(layer+"post_attention_layernorm", hidden)
		plain(layer+"block_sparse_moe.gate", 8, hidden)
		linear(layer+"self_attn.q_proj", hidden, hidden)
		linear(layer+"self_attn.k_proj", hidden, kv)
		linear(layer+"self_attn.v_proj", hidden, kv)
		linear(layer+"self_attn.o_proj", hidden, hidden)
		for e := range 8 {
			expert := fmt.Sprintf("%sblock_sparse_moe.experts.%d.", layer, e)
			linear(expert+"w1", hidden, inter)
			linear(expert+"w2", inter, hidden)
			linear(expert+"w3", hidden, inter)
		}
	}
	slices.SortFunc(all, func(x, y entry) int {
		if x.dtype != y.dtype {
			return strings.Compare(y.dtype, x.dtype)
		}
		return strings.Compare(x.name, y.name)
	})
	var text bytes.Buffer
	text.WriteString(`{"__metadata__":{"format":"pt"}`)
	var at int64
	for _, e := range all {
		n := int64(2)
		if e.dtype == "I32" {
			n = 4
		}
		for _, d := range e.shape {
			n *= int64(d)
		}
		fmt.Fprintf(&text, `,"%s":{"dtype":"%s","shape":%s,"data_offsets":[%d,%d]}`,
			e.name, e.dtype, strings.ReplaceAll(fmt.Sprint(e.shape), " ", ","), at, at+n)
		at += n
	}
	text.WriteByte('}')
	for text.Len()%8 != 0 {
		text.WriteByte(' ')
	}
	return append(binary.LittleEndian.AppendUint64(nil, uint64(text.Len())), text.Bytes()...)
}

// quantizeConfig is the file as AutoGPTQ wrote it.
func (b mixtralBranch) quantizeConfig() string {
	return fmt.Sprintf(`{
  "bits": %d,
  "group_size": %d,
  "damp_percent": 0.1,
  "desc_act": true,
  "sym": true,
  "true_sequential": true,
  "model_name_or_path": null,
  "model_file_base_name": "model"
}`, b.bits, b.group)
}

// config is config.json. The window is a leftover that the model's makers took
// out of theirs.
func (b mixtralBranch) config() ([]byte, error) {
	var quantised map[string]any
	if err := json.Unmarshal([]byte(b.quantizeConfig()), &quantised); err != nil {
		return nil, err
	}
	quantised["quant_method"] = "gptq"
	var modules [][]string
	for _, part := range []string{"k_proj", "v_proj", "q_proj", "o_proj"} {
		modules = append(modules, []string{"self_attn." + part})
	}
	for _, part := range []string{"w1", "w2", "w3"} {
		for e := range 8 {
			modules = append(modules, []string{fmt.Sprintf("block_sparse_moe.experts.%d.%s", e, part)})
		}
	}
	quantised["modules_in_block_to_quantize"] = modules
	return json.MarshalIndent(map[string]any{
		"architectures": []string{"MixtralForCausalLM"}, "model_type": "mixtral", "torch_dtype": "bfloat16",
		"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
		"num_key_value_heads": 8, "num_local_experts": 8, "num_experts_per_tok": 2, "vocab_size": 32002,
		"max_position_embeddings": 32768, "sliding_window": 4096, "rope_theta": 1e6, "rms_norm_eps": 1e-5,
		"hidden_act": "silu", "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 32000,
		"quantization_config": quantised,
	}, "", "  ")
}

// mixtralCard says what the card says.
func mixtralCard() string {
	var rows strings.Builder
	for _, b := range mixtralBranches {
		group := fmt.Sprint(b.group)
		if b.group < 0 {
			group = "None"
		}
		fmt.Fprintf(&rows, "| [%s](https://huggingface.co/%s/tree/%s) | %d | %s | Yes | 0.1 | open instructions | 8192 | %s GB | No | %s |\n",
			b.name, mixtralRepo, b.name, b.bits, group, b.size, b.desc)
	}
	return `---
base_model: ehartford/dolphin-2.5-mixtral-8x7b
license: apache-2.0
model_type: mixtral
quantized_by: TheBloke
---
# Dolphin 2.5 Mixtral 8x7B, quantised

A stand-in for tests: the facts are the published ones, the weights are noise.

| Branch | Bits | GS | Act Order | Damp % | GPTQ Dataset | Seq Len | Size | ExLlama | Desc |
| ------ | ---- | -- | --------- | ------ | ------------ | ------- | ---- | ------- | ---- |
` + rows.String()
}

// The headers of the twin imply the very sizes of the files that were published.
func TestMixtralTwin(t *testing.T) {
	for _, b := range mixtralBranches {
		header := b.header()
		var entries map[string]struct {
			Offsets [2]int64 `json:"data_offsets"`
		}
		if err := json.Unmarshal(header[8:], &entries); err != nil {
			t.Fatal(err)
		}
		delete(entries, "__metadata__")
		var end int64
		for _, e := range entries {
			end = max(end, e.Offsets[1])
		}
		if len(entries) != 4579 || end != b.data {
			t.Errorf("%s: got %d tensors of %d bytes, want 4579 of %d", b.name, len(entries), end, b.data)
		}
		if n := len(header); n < 500_000 || n > 700_000 {
			t.Errorf("%s: got a header of %d bytes, want about 550000", b.name, n)
		}
		if size := fmt.Sprintf("%.2f", float64(b.data+int64(len(header)))/1e9); size != b.size {
			t.Errorf("%s: got %s GB, want %s", b.name, size, b.size)
		}
		if n := len(b.quantizeConfig()); n < 184 || n > 186 {
			t.Errorf("%s: got a quantize_config.json of %d bytes, want 184 to 186", b.name, n)
		}
	}
}

// twinHub is a hub that has the twin.
func twinHub(b *testing.B) *hubtest.Server {
	b.Helper()
	s, err := hubtest.Start(hubtest.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	data, err := mixtralTwin()
	if err == nil {
		err = s.Add(data)
	}
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkFit asks what fits a card, at 50 ms a round trip: with an empty cache,
// with one, and without a network.
func BenchmarkFit(b *testing.B) {
	s := twinHub(b)
	s.SetLatency(50 * time.Millisecond)
	fit := func(b *testing.B, cache string, args ...string) {
		env := map[string]string{"HF_ENDPOINT": s.URL(), "XDG_CACHE_HOME": cache, "QBRANCH_STORE": b.TempDir()}
		code := cli.Main(b.Context(), cli.Program{Args: append([]string{"fit", mixtralRepo, "--vram", "24GiB"}, args...),
			Out: io.Discard, Err: io.Discard, Getenv: func(name string) string { return env[name] }})
		if code != 0 {
			b.Fatalf("code %d", code)
		}
	}
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			fit(b, b.TempDir())
		}
	})
	cache := b.TempDir()
	b.Run("warm", func(b *testing.B) {
		fit(b, cache)
		for b.Loop() {
			fit(b, cache)
		}
	})
	b.Run("offline", func(b *testing.B) {
		fit(b, cache)
		for b.Loop() {
			fit(b, cache, "--offline")
		}
	})
}

// BenchmarkRegrade measures the branches again with another context, as the
// browser does with every key of its planner.
func BenchmarkRegrade(b *testing.B) {
	s := twinHub(b)
	ref, err := app.ParseRef(mixtralRepo)
	if err != nil {
		b.Fatal(err)
	}
	a, err := app.New(app.Config{Hub: app.HubOptions{Endpoint: s.URL()}, StoreDir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	survey, err := a.Survey(b.Context(), ref)
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		if _, err := survey.Fit(app.FitOptions{VRAM: "24GiB", Context: 4096 + i%2}); err != nil {
			b.Fatal(err)
		}
	}
}
