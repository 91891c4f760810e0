package quant

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// model is what config.json says about the shape of the network. Source:
// configuration_llama.py, configuration_mistral.py and configuration_mixtral.py
// of transformers.
type model struct {
	kind      string // model_type
	hidden    int    // hidden_size
	inter     int    // intermediate_size
	layers    int    // num_hidden_layers
	heads     int    // num_attention_heads
	kvHeads   int    // num_key_value_heads, = heads when absent
	headDim   int    // head_dim, = hidden/heads when absent
	vocab     int    // vocab_size
	experts   int    // num_local_experts; 0 for a dense model
	tied      bool   // tie_word_embeddings
	attnBias  bool   // attention_bias
	mlpBias   bool   // mlp_bias
	window    int    // sliding_window; 0 = none
	remote    bool   // auto_map: loading it elsewhere would run code of the repository
	newNaming bool   // experts are mlp.experts.E.gate_proj, not block_sparse_moe.experts.E.w1
}

// maxMatrices bounds what a hostile config.json can make us list; the largest
// published mixtures of experts have a quarter of it.
const maxMatrices = 200_000

// problem is a field of config.json that cannot be.
type problem struct{ field, got, want string }

// known says that the tensors the architecture needs can be listed.
func (m *model) known() bool {
	return m.kind == "llama" || m.kind == "mistral" || m.kind == "mixtral"
}

// readModel reads config.json as far as the checks need it.
func readModel(keys map[string]json.RawMessage) (*model, []problem) {
	m := &model{}
	k := modelKeys{keys: keys}
	k.decode("model_type", &m.kind, "a string")
	k.decode("tie_word_embeddings", &m.tied, "true or false")
	k.decode("attention_bias", &m.attnBias, "true or false")
	k.decode("mlp_bias", &m.mlpBias, "true or false")
	_, m.remote = keys["auto_map"]
	if !m.known() {
		return m, nil // other architectures name their dimensions otherwise
	}
	m.hidden = k.dim("hidden_size", 0, 1<<20)
	m.inter = k.dim("intermediate_size", 0, 1<<22)
	m.layers = k.dim("num_hidden_layers", 0, 1<<10)
	m.heads = k.dim("num_attention_heads", 0, 1<<12)
	m.vocab = k.dim("vocab_size", 0, 1<<24)
	m.kvHeads = k.dim("num_key_value_heads", m.heads, 1<<12)
	if m.kind == "mixtral" {
		m.experts = k.dim("num_local_experts", 0, 1<<10)
	}
	if w := keys["sliding_window"]; w != nil && !isNull(w) {
		k.decode("sliding_window", &m.window, "a whole number or null")
	}
	k.headDim(m)
	if matrices := m.layers * (4 + 3*max(1, m.experts)); matrices > maxMatrices {
		k.bad = append(k.bad, problem{"num_hidden_layers", fmt.Sprintf("%d matrices in all", matrices), fmt.Sprintf("at most %d", maxMatrices)})
	}
	if m.kvHeads > 0 && m.heads%m.kvHeads != 0 {
		k.bad = append(k.bad, problem{"num_key_value_heads", strconv.Itoa(m.kvHeads), fmt.Sprintf("a divisor of %d heads", m.heads)})
	}
	return m, k.bad
}

type modelKeys struct {
	keys map[string]json.RawMessage
	bad  []problem
}

func (k *modelKeys) decode(name string, into any, want string) {
	raw, ok := k.keys[name]
	if !ok || isNull(raw) {
		return
	}
	if err := json.Unmarshal(raw, into); err != nil {
		k.bad = append(k.bad, problem{name, string(raw), want})
	}
}

// dim reads a size from 1 to limit; missing gives the default, 0 = required.
func (k *modelKeys) dim(name string, missing, limit int) int {
	raw, ok := k.keys[name]
	if (!ok || isNull(raw)) && missing > 0 {
		return missing
	}
	n, err := strconv.Atoi(string(raw))
	if err != nil || n < 1 || n > limit {
		got := string(raw)
		if !ok {
			got = "nothing"
		}
		k.bad = append(k.bad, problem{name, got, fmt.Sprintf("1 to %d", limit)})
		return 0
	}
	return n
}

func (k *modelKeys) headDim(m *model) {
	if raw, ok := k.keys["head_dim"]; ok && !isNull(raw) {
		m.headDim = k.dim("head_dim", 0, 1<<14)
		return
	}
	if m.heads == 0 || m.hidden == 0 {
		return // already a problem
	}
	if m.hidden%m.heads != 0 {
		k.bad = append(k.bad, problem{"hidden_size", strconv.Itoa(m.hidden), fmt.Sprintf("a multiple of %d heads", m.heads)})
		return
	}
	m.headDim = m.hidden / m.heads
}

// linear is a matrix the architecture has in every layer, quantised or not.
type linear struct {
	name string
	k, n int  // inputs, outputs
	bias bool // the architecture has a bias here
}

// linears lists the matrices of layer l.
func (m *model) linears(l int) []linear {
	p := fmt.Sprintf("model.layers.%d.", l)
	q, kv := m.heads*m.headDim, m.kvHeads*m.headDim
	list := []linear{
		{p + "self_attn.q_proj", m.hidden, q, m.attnBias},
		{p + "self_attn.k_proj", m.hidden, kv, m.attnBias},
		{p + "self_attn.v_proj", m.hidden, kv, m.attnBias},
		{p + "self_attn.o_proj", q, m.hidden, m.attnBias},
	}
	if m.kind != "mixtral" {
		return append(list,
			linear{p + "mlp.gate_proj", m.hidden, m.inter, m.mlpBias},
			linear{p + "mlp.up_proj", m.hidden, m.inter, m.mlpBias},
			linear{p + "mlp.down_proj", m.inter, m.hidden, m.mlpBias})
	}
	gate, up, down := "w1", "w3", "w2"
	if m.newNaming {
		gate, up, down = "gate_proj", "up_proj", "down_proj"
	}
	for e := range m.experts {
		x := fmt.Sprintf("%s%s.experts.%d.", p, m.moe(), e)
		list = append(list,
			linear{x + gate, m.hidden, m.inter, false},
			linear{x + up, m.hidden, m.inter, false},
			linear{x + down, m.inter, m.hidden, false})
	}
	return list
}

// moe is the name of a Mixtral layer's block of experts.
func (m *model) moe() string {
	if m.newNaming {
		return "mlp"
	}
	return "block_sparse_moe"
}

// plain is a tensor that stays in floating point.
type plain struct {
	name  string
	shape []int64
}

// plainOf lists the floating-point tensors of layer l.
func (m *model) plainOf(l int) []plain {
	p := fmt.Sprintf("model.layers.%d.", l)
	h := int64(m.hidden)
	list := []plain{
		{p + "input_layernorm.weight", []int64{h}},
		{p + "post_attention_layernorm.weight", []int64{h}},
	}
	if m.kind == "mixtral" {
		list = append(list, plain{p + m.moe() + ".gate.weight", []int64{int64(m.experts), h}})
	}
	return list
}

// plainOutside lists the floating-point tensors outside the layers. lm_head is
// left out where it is tied to the embedding or quantised.
func (m *model) plainOutside(lmHead bool) []plain {
	v, h := int64(m.vocab), int64(m.hidden)
	list := []plain{{"model.embed_tokens.weight", []int64{v, h}}, {"model.norm.weight", []int64{h}}}
	if !m.tied && !lmHead {
		list = append(list, plain{"lm_head.weight", []int64{v, h}})
	}
	return list
}
