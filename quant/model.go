package quant

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// Model is the shape of a network as config.json states it, whatever the names
// its architecture has for it. A zero is a value that config.json does not
// state and the architecture does not imply. Source: the configuration_*.py of
// transformers.
type Model struct {
	Kind   string // model_type: "llama", "mixtral", …
	DType  string // torch_dtype or dtype: "float16", "bfloat16", …
	Hidden int    // width of the residual stream
	Inter  int    // width inside a dense MLP, and of Mixtral's experts
	Layers int    // decoder layers
	Heads  int    // attention heads

	KVHeads int  // heads of keys and values; Heads where it is not stated, 1 with multi_query
	HeadDim int  // width of one head; Hidden/Heads where it is not stated
	Vocab   int  // rows of the embedding
	Tied    bool // the head is the embedding and has no tensor of its own

	Experts         int // routed experts of a layer; 0 = a dense model
	ExpertsPerToken int // of them, used for each token
	MoEInter        int // width inside one routed expert
	SharedInter     int // width inside the experts every token uses, together
	MoELayers       int // layers that have experts

	MaxPositions int // longest context the model was made for
	Window       int // sliding_window, in tokens; 0 = every layer attends to everything
	WindowLayers int // layers that keep no more than Window tokens; 0 for a Mixtral, whatever its config.json says
	LatentDim    int // multi-head latent attention: values kept per token and layer instead of keys and values; 0 = none

	Remote bool // auto_map: loading it elsewhere would run code of the repository

	traits
	bad []problem // values that cannot be, of a known architecture
}

// traits are what only the tensors of some architectures depend on.
type traits struct {
	attnBias bool         // q, k, v (and what is fused of them) have a bias
	outBias  bool         // the output of attention has one
	mlpBias  bool         // the matrices of the MLP have one
	qkNorm   bool         // q and k are normalised
	parallel bool         // attention and MLP share their input
	twoNorms bool         // Falcon: attention and MLP side by side, each with its norm
	newStyle bool         // Falcon: new_decoder_architecture
	noAffine bool         // norms without weights
	postNorm bool         // OPT: the norms come after, and there is none at the end
	wordDim  int          // OPT: width of the embedding, Hidden where it is not stated
	sparse   int          // decoder_sparse_step: every so many layers have experts
	dense    map[int]bool // mlp_only_layers, or the layers before first_k_dense_replace
}

// maxMatrices bounds what a hostile config.json can make us list; the largest
// published mixtures of experts have half of it.
const maxMatrices = 200_000

// maxInter is far beyond every MLP; with it and the limits beside it no sum of
// sizes can overflow.
const maxInter = 1 << 20

// problem is a field of config.json that cannot be.
type problem struct{ field, got, want string }

// ParseModel reads config.json, of any architecture: dimensions are found under
// the names that are in use for them, also in text_config. What cannot be a
// dimension counts as not stated. JSON that does not parse gives a [*JSONError].
func ParseModel(config []byte) (*Model, error) {
	keys, err := parseObject("config.json", config)
	if err != nil {
		return nil, err
	}
	return readModel(keys), nil
}

// Known says that the architecture is one whose tensors [LayoutOf] can list,
// and that everything needed for it is stated.
func (m *Model) Known() bool { return m.family().tensors != nil && len(m.bad) == 0 }

// readModel reads config.json as far as sizes and checks need it.
func readModel(keys map[string]json.RawMessage) *Model {
	m := &Model{}
	k := modelKeys{keys: keys}
	k.decode(&m.Kind, "a string", "model_type")
	f := m.family()
	k.strict = f.tensors != nil
	k.keys = k.text()
	k.dimensions(m, f)
	k.experts(m, f)
	k.attention(m, f)
	k.traits(m)
	k.windows(m)
	k.bound(m)
	_, m.Remote = keys["auto_map"]
	m.bad = k.bad
	return m
}

// modelKeys reads config.json. Problems are kept for known architectures only:
// what others mean by a name is not known.
type modelKeys struct {
	keys   map[string]json.RawMessage
	strict bool
	bad    []problem
}

// text gives the keys of the language model of a model for text and images,
// over those beside it, and those that some architectures keep in objects of
// their own.
func (k *modelKeys) text() map[string]json.RawMessage {
	merged := k.keys
	for _, name := range []string{"text_config", "llm_config", "language_config", "attn_config", "ffn_config"} {
		var inner map[string]json.RawMessage
		if k.strict || json.Unmarshal(k.keys[name], &inner) != nil {
			continue
		}
		merged = maps.Clone(merged)
		maps.Copy(merged, inner)
	}
	return merged
}

func (k *modelKeys) dimensions(m *Model, f family) {
	k.decode(&m.DType, "a string", "dtype", "torch_dtype")
	m.DType = strings.TrimPrefix(m.DType, "torch.")
	m.Tied = f.tied
	k.decode(&m.Tied, "true or false", "tie_word_embeddings")
	m.Hidden = k.dim(0, 1<<18, "hidden_size", "n_embd", "d_model", "dim", "model_dim", "embed_dim")
	m.Inter = k.dim(f.inter(m.Hidden), maxInter, "intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "feed_forward_size", "inner_hidden_size")
	if m.Kind == "qwen" {
		m.Inter /= 2 // its configuration counts gate and up together
	}
	m.Layers = k.dim(0, 1<<10, "num_hidden_layers", "n_layer", "num_layers", "n_layers", "decoder_layers")
	m.Heads = k.dim(0, 1<<12, "num_attention_heads", "n_head", "num_heads", "n_heads", "decoder_attention_heads")
	m.Vocab = k.dim(0, 1<<24, "vocab_size", "padded_vocab_size")
	positions := k.optional
	if f.positions {
		positions = func(limit int, names ...string) int { return k.dim(0, limit, names...) }
	}
	m.MaxPositions = positions(1<<30, "max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "seq_length", "n_ctx", "model_max_length")
}

// experts reads what a mixture of experts has beside a dense model.
func (k *modelKeys) experts(m *Model, f family) {
	count := []string{"num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"}
	if f.moe {
		m.Experts = k.dim(0, 1<<12, count...)
	} else if f.tensors == nil {
		m.Experts = k.optional(1<<12, count...)
	}
	if m.Experts == 0 {
		return
	}
	m.ExpertsPerToken = k.optional(1<<12, "num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_top_k", "top_k_experts")
	m.MoEInter = m.Inter
	if m.Kind != "mixtral" {
		m.MoEInter = k.dim(m.Inter, maxInter, "moe_intermediate_size")
	}
	m.SharedInter = k.optional(maxInter, "shared_expert_intermediate_size", "shared_intermediate_size")
	if n := k.optional(64, "n_shared_experts"); n > 0 && m.SharedInter == 0 {
		m.SharedInter = n * m.MoEInter // n experts of one width are one of n times the width
	}
	m.sparse = max(1, k.optional(1<<10, "decoder_sparse_step"))
	var dense []int
	k.decode(&dense, "a list of layers", "mlp_only_layers")
	m.dense = map[int]bool{}
	for _, l := range dense {
		if l >= 0 && l < m.Layers {
			m.dense[l] = true
		}
	}
	for l := range min(m.Layers, k.optional(1<<10, "first_k_dense_replace")) {
		m.dense[l] = true
	}
	for l := range m.Layers {
		if m.isMoE(l) {
			m.MoELayers++
		}
	}
}

// isMoE says that layer l has experts.
func (m *Model) isMoE(l int) bool {
	return m.Experts > 0 && !m.dense[l] && (l+1)%max(1, m.sparse) == 0
}

var headDimNames = []string{"head_dim", "kv_channels", "attention_head_dim"}

func (k *modelKeys) attention(m *Model, f family) {
	missing := m.Heads
	if !k.strict {
		missing = 0 // old names of one another: n_head_kv, multi_query
	}
	m.KVHeads = k.dim(missing, 1<<12, "num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num", "kv_n_heads")
	m.newStyle = m.Kind == "RefinedWeb" // Falcon 40B before it was in transformers
	k.decode(&m.newStyle, "true or false", "new_decoder_architecture")
	multi := f.multiQuery
	k.decode(&multi, "true or false", "multi_query")
	switch {
	case multi && !m.newStyle:
		m.KVHeads = 1
	case m.KVHeads == 0:
		m.KVHeads = m.Heads
	}
	m.HeadDim = f.headDim
	if _, raw := k.find(headDimNames); raw != nil {
		m.HeadDim = k.dim(0, 1<<14, headDimNames...)
	}
	latent, rope := k.optional(1<<20, "kv_lora_rank"), k.optional(1<<20, "qk_rope_head_dim")
	if latent > 0 {
		m.LatentDim = latent + rope
	}
	if m.Heads == 0 || m.Hidden == 0 {
		return // already a problem
	}
	if m.HeadDim == 0 && m.Hidden%m.Heads != 0 {
		k.problem("hidden_size", strconv.Itoa(m.Hidden), fmt.Sprintf("a multiple of %d heads", m.Heads))
	} else if m.HeadDim == 0 {
		m.HeadDim = m.Hidden / m.Heads
	}
	if m.KVHeads > 0 && m.Heads%m.KVHeads != 0 {
		k.problem("num_key_value_heads", strconv.Itoa(m.KVHeads), fmt.Sprintf("a divisor of %d heads", m.Heads))
	}
}

// traits reads what decides which tensors there are. Source: the modeling_*.py
// of transformers.
func (k *modelKeys) traits(m *Model) {
	flag := func(into *bool, name string) { k.decode(into, "true or false", name) }
	switch m.Kind {
	case "llama", "mistral", "gemma", "gemma2", "gemma3_text", "qwen3", "qwen3_moe":
		flag(&m.attnBias, "attention_bias")
		flag(&m.mlpBias, "mlp_bias")
		m.outBias = m.attnBias
		m.qkNorm = m.Kind == "qwen3" || m.Kind == "qwen3_moe" || m.Kind == "gemma3_text"
	case "qwen":
		none := true
		flag(&none, "no_bias") // but queries, keys and values always have one
		m.attnBias, m.outBias, m.mlpBias = true, !none, !none
	case "qwen2", "qwen2_moe":
		m.attnBias = true
		flag(&m.attnBias, "qkv_bias")
	case "phi":
		m.attnBias, m.outBias, m.mlpBias = true, true, true
		flag(&m.qkNorm, "qk_layernorm")
	case "gpt_neox":
		m.attnBias, m.mlpBias = true, true
		flag(&m.attnBias, "attention_bias")
		m.outBias = m.attnBias
	case "falcon", "RefinedWeb", "RefinedWebModel":
		m.parallel = true
		flag(&m.parallel, "parallel_attn")
		flag(&m.attnBias, "bias")
		m.outBias, m.mlpBias = m.attnBias, m.attnBias
		m.twoNorms = m.newStyle && k.optional(2, "num_ln_in_parallel_attn") != 1
	case "stablelm":
		flag(&m.attnBias, "use_qkv_bias")
		flag(&m.parallel, "use_parallel_residual")
		flag(&m.qkNorm, "qk_layernorm")
	case "gpt_bigcode":
		m.attnBias, m.outBias, m.mlpBias = true, true, true
	case "starcoder2":
		m.attnBias = true
		flag(&m.attnBias, "use_bias")
		m.outBias, m.mlpBias = m.attnBias, m.attnBias
	case "opt":
		k.optTraits(m)
	case "internlm2":
		flag(&m.attnBias, "bias")
		m.outBias = m.attnBias
	case "codegen", "gptj":
		m.mlpBias = true
	}
}

func (k *modelKeys) optTraits(m *Model) {
	bias, affine, before := true, true, true
	k.decode(&bias, "true or false", "enable_bias")
	k.decode(&affine, "true or false", "layer_norm_elementwise_affine")
	k.decode(&before, "true or false", "do_layer_norm_before")
	m.attnBias, m.outBias, m.mlpBias = bias, bias, bias
	m.noAffine, m.postNorm = !affine, !before
	m.wordDim = k.dim(m.Hidden, 1<<18, "word_embed_proj_dim")
}

// windows reads which layers forget what lies further back than sliding_window.
func (k *modelKeys) windows(m *Model) {
	k.decode(&m.Window, "a whole number or null", "sliding_window")
	use := !strings.HasPrefix(m.Kind, "qwen") // there it is off where it is not stated
	k.decode(&use, "true or false", "use_sliding_window")
	if m.Window < 0 || !use {
		m.Window = 0
	}
	if m.Window == 0 || m.Kind == "mixtral" {
		return // a Mixtral attends to everything; early configurations say otherwise
	}
	var kinds []string
	if raw := k.keys["layer_types"]; raw != nil && json.Unmarshal(raw, &kinds) == nil && len(kinds) > 0 {
		for _, kind := range kinds[:min(len(kinds), m.Layers)] {
			if kind == "sliding_attention" {
				m.WindowLayers++
			}
		}
		return
	}
	pattern := k.optional(1<<10, "sliding_window_pattern")
	if pattern == 0 && strings.HasPrefix(m.Kind, "gemma3") {
		pattern = 6
	}
	m.WindowLayers = m.Layers
	switch {
	case m.Kind == "gemma2":
		m.WindowLayers = (m.Layers + 1) / 2 // every other layer, from the first
	case pattern > 0:
		m.WindowLayers -= m.Layers / pattern // the last of so many attends to everything
	case strings.HasPrefix(m.Kind, "qwen"):
		m.WindowLayers = max(0, m.Layers-k.optional(1<<10, "max_window_layers"))
	}
}

// bound refuses networks of more matrices than any has.
func (k *modelKeys) bound(m *Model) {
	each := 8 + 3*max(1, m.Experts)
	if m.Kind == "stablelm" && m.qkNorm {
		each += m.Heads + m.KVHeads // a norm for each
	}
	if n := m.Layers * each; n > maxMatrices {
		k.problem("num_hidden_layers", fmt.Sprintf("%d matrices in all", n), fmt.Sprintf("at most %d", maxMatrices))
	}
}

func (k *modelKeys) problem(field, got, want string) {
	if k.strict {
		k.bad = append(k.bad, problem{field, got, want})
	}
}

// find gives the first of the names that has a value; null is none.
func (k *modelKeys) find(names []string) (name string, raw json.RawMessage) {
	for _, name := range names {
		if raw, ok := k.keys[name]; ok && !isNull(raw) {
			return name, raw
		}
	}
	return names[0], nil
}

func (k *modelKeys) decode(into any, want string, names ...string) {
	name, raw := k.find(names)
	if raw == nil {
		return
	}
	if err := json.Unmarshal(raw, into); err != nil {
		k.problem(name, string(raw), want)
	}
}

// dim reads a size from 1 to limit; a missing one is the given size, or a
// problem if that is 0.
func (k *modelKeys) dim(missing, limit int, names ...string) int {
	name, raw := k.find(names)
	if raw == nil && missing > 0 {
		return missing
	}
	n, err := strconv.Atoi(string(raw))
	if err == nil && n >= 1 && n <= limit {
		return n
	}
	got := string(raw)
	if raw == nil {
		got = "nothing"
	}
	k.problem(name, got, fmt.Sprintf("1 to %d", limit))
	return 0
}

// optional reads a size that need not be there; 0 if it is not, or cannot be.
func (k *modelKeys) optional(limit int, names ...string) int {
	_, raw := k.find(names)
	n, err := strconv.Atoi(string(raw))
	if err != nil || n < 1 || n > limit {
		return 0
	}
	return n
}
