package quant

import (
	"iter"
	"strconv"
)

// Role says what a tensor is for.
type Role string

// Roles of tensors. Attention, MLP, experts and shared experts are what GPTQ
// quantises; the head only where the configuration says so.
const (
	RoleAttention Role = "attention"
	RoleMLP       Role = "mlp"
	RoleExperts   Role = "experts"
	RoleShared    Role = "shared experts"
	RoleRouter    Role = "router"
	RoleNorm      Role = "norms"
	RoleEmbedding Role = "embedding"
	RoleHead      Role = "head"
)

// family is what architectures of one making have in common. The zero value is
// one that is not known.
type family struct {
	tensors    func(*walk) // calls the walk for everything the network has
	tied       bool        // tie_word_embeddings where config.json does not say
	moe        bool        // has experts
	multiQuery bool        // multi_query where config.json does not say
	fourfold   bool        // the MLP is four times as wide as the rest where config.json does not say
	positions  bool        // learns an embedding of positions
	headDim    int         // head_dim where config.json does not say; 0 = hidden/heads
}

// inter is the width of the MLP where config.json does not say; 0 = it must.
func (f family) inter(hidden int) int {
	if f.fourfold {
		return 4 * hidden
	}
	return 0
}

// family finds the architecture by model_type. Names and dimensions are those of
// transformers' modeling_*.py; of internlm2, baichuan and qwen, of the code that
// the original repositories carry.
func (m *Model) family() family {
	switch m.Kind {
	case "llama", "mistral":
		return family{tensors: llama}
	case "qwen2":
		return family{tensors: llama}
	case "qwen3":
		return family{tensors: llama, headDim: 128}
	case "gemma":
		return family{tensors: llama, tied: true, headDim: 256}
	case "gemma2", "gemma3_text":
		return family{tensors: gemma2, tied: true, headDim: 256}
	case "mixtral":
		return family{tensors: mixtral, moe: true}
	case "qwen2_moe", "qwen3_moe":
		return family{tensors: qwenMoE, moe: true}
	case "phi":
		return family{tensors: phi}
	case "phi3":
		return family{tensors: phi3}
	case "gpt_neox":
		return family{tensors: gptNeoX}
	case "falcon", "RefinedWeb", "RefinedWebModel":
		return family{tensors: falcon, tied: true, multiQuery: m.Kind != "RefinedWeb", fourfold: true}
	case "stablelm":
		return family{tensors: stableLM}
	case "gpt_bigcode":
		return family{tensors: bigCode, tied: true, positions: true, multiQuery: true, fourfold: true}
	case "starcoder2":
		return family{tensors: starCoder2, tied: true}
	case "opt":
		return family{tensors: opt, tied: true, positions: true}
	case "qwen":
		return family{tensors: qwen}
	case "internlm2":
		return family{tensors: internLM2}
	case "baichuan":
		return family{tensors: baichuan}
	case "codegen", "gptj":
		return family{tensors: gptJ, fourfold: true}
	}
	return family{}
}

// linear is a matrix the architecture has, quantised or not.
type linear struct {
	name    string // without ".qweight" or ".weight"
	inBlock string // name within the layer
	role    Role
	layer   int
	k, n    int  // inputs, outputs
	bias    bool // the architecture has a bias here
}

// plain is a tensor that stays in floating point.
type plain struct {
	name  string // whole
	role  Role
	layer int // -1 outside the layers
	shape []int64
}

// walk goes through a network. Nothing is kept, so that a hundred thousand
// tensors cost no more memory than their user wants.
type walk struct {
	m         *Model
	newNaming bool // the names transformers has had since version 5, or GPTQModel gives

	linears func(linear)
	plains  func(plain)

	layer  int
	prefix string // of the layer, "" outside
}

// each calls linears and plains for everything a known architecture has.
func (m *Model) each(newNaming bool, linears func(linear), plains func(plain)) {
	w := &walk{m: m, newNaming: newNaming, linears: linears, plains: plains, layer: -1}
	m.family().tensors(w)
}

// layers runs the body of the loop within each decoder layer.
func (w *walk) layers(prefix string) iter.Seq[int] {
	return func(yield func(int) bool) {
		for l := range w.m.Layers {
			w.layer, w.prefix = l, prefix+strconv.Itoa(l)+"."
			if !yield(l) {
				break
			}
		}
		w.layer, w.prefix = -1, ""
	}
}

func (w *walk) linear(role Role, name string, k, n int, bias bool) {
	w.linears(linear{w.prefix + name, name, role, w.layer, k, n, bias})
}

func (w *walk) plain(role Role, name string, dims ...int) {
	shape := make([]int64, len(dims))
	for i, d := range dims {
		shape[i] = int64(d)
	}
	w.plains(plain{w.prefix + name, role, w.layer, shape})
}

func (w *walk) embedding(name string) {
	w.plain(RoleEmbedding, name+".weight", w.m.Vocab, w.m.Hidden)
}

// head is the output layer, which is not there when it is tied to the embedding.
func (w *walk) head(name string, bias bool) {
	if w.m.Tied {
		return
	}
	w.plain(RoleHead, name+".weight", w.m.Vocab, w.m.Hidden)
	if bias {
		w.plain(RoleHead, name+".bias", w.m.Vocab)
	}
}

// rms is a norm with a weight only, layerNorm one with a bias.
func (w *walk) rms(name string, width int) { w.plain(RoleNorm, name+".weight", width) }

func (w *walk) layerNorm(name string, width int) {
	w.plain(RoleNorm, name+".weight", width)
	w.plain(RoleNorm, name+".bias", width)
}

// attention has a matrix each for queries, keys, values and the output.
func (w *walk) attention(out string) {
	m := w.m
	q, kv := m.Heads*m.HeadDim, m.KVHeads*m.HeadDim
	w.linear(RoleAttention, "self_attn.q_proj", m.Hidden, q, m.attnBias)
	w.linear(RoleAttention, "self_attn.k_proj", m.Hidden, kv, m.attnBias)
	w.linear(RoleAttention, "self_attn.v_proj", m.Hidden, kv, m.attnBias)
	w.linear(RoleAttention, "self_attn."+out, q, m.Hidden, m.outBias)
}

// fusedAttention has queries, keys and values in one matrix.
func (w *walk) fusedAttention(qkv, out string) {
	m := w.m
	w.linear(RoleAttention, qkv, m.Hidden, (m.Heads+2*m.KVHeads)*m.HeadDim, m.attnBias)
	w.linear(RoleAttention, out, m.Heads*m.HeadDim, m.Hidden, m.outBias)
}

// gated is an MLP of three matrices: gate and up of the same inputs, and down.
func (w *walk) gated(role Role, gate, up, down string, width int) {
	w.linear(role, gate, w.m.Hidden, width, w.m.mlpBias)
	w.linear(role, up, w.m.Hidden, width, w.m.mlpBias)
	w.linear(role, down, width, w.m.Hidden, w.m.mlpBias)
}

// simple is an MLP of two matrices.
func (w *walk) simple(up, down string) {
	w.linear(RoleMLP, up, w.m.Hidden, w.m.Inter, w.m.mlpBias)
	w.linear(RoleMLP, down, w.m.Inter, w.m.Hidden, w.m.mlpBias)
}

// experts are gated MLPs of one width.
func (w *walk) experts(block, gate, up, down string) {
	for e := range w.m.Experts {
		x := block + ".experts." + strconv.Itoa(e) + "."
		w.gated(RoleExperts, x+gate, x+up, x+down, w.m.MoEInter)
	}
}

// llama is also Mistral, Yi, Gemma, Qwen2 and Qwen3.
func llama(w *walk) {
	w.embedding("model.embed_tokens")
	for range w.layers("model.layers.") {
		w.rms("input_layernorm", w.m.Hidden)
		w.attention("o_proj")
		w.qkNorms()
		w.rms("post_attention_layernorm", w.m.Hidden)
		w.gated(RoleMLP, "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", w.m.Inter)
	}
	w.rms("model.norm", w.m.Hidden)
	w.head("lm_head", false)
}

func (w *walk) qkNorms() {
	if w.m.qkNorm {
		w.rms("self_attn.q_norm", w.m.HeadDim)
		w.rms("self_attn.k_norm", w.m.HeadDim)
	}
}

// gemma2 has a norm before and after each of attention and MLP.
func gemma2(w *walk) {
	w.embedding("model.embed_tokens")
	for range w.layers("model.layers.") {
		w.rms("input_layernorm", w.m.Hidden)
		w.attention("o_proj")
		w.qkNorms()
		w.rms("post_attention_layernorm", w.m.Hidden)
		w.rms("pre_feedforward_layernorm", w.m.Hidden)
		w.gated(RoleMLP, "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", w.m.Inter)
		w.rms("post_feedforward_layernorm", w.m.Hidden)
	}
	w.rms("model.norm", w.m.Hidden)
	w.head("lm_head", false)
}

func mixtral(w *walk) {
	w.embedding("model.embed_tokens")
	for range w.layers("model.layers.") {
		w.rms("input_layernorm", w.m.Hidden)
		w.attention("o_proj")
		w.rms("post_attention_layernorm", w.m.Hidden)
		if w.newNaming {
			w.plain(RoleRouter, "mlp.gate.weight", w.m.Experts, w.m.Hidden)
			w.experts("mlp", "gate_proj", "up_proj", "down_proj")
		} else {
			w.plain(RoleRouter, "block_sparse_moe.gate.weight", w.m.Experts, w.m.Hidden)
			w.experts("block_sparse_moe", "w1", "w3", "w2")
		}
	}
	w.rms("model.norm", w.m.Hidden)
	w.head("lm_head", false)
}

// qwenMoE is Qwen2-MoE, whose layers also have an expert that every token uses,
// and Qwen3-MoE. Some layers may be dense.
func qwenMoE(w *walk) {
	w.embedding("model.embed_tokens")
	for l := range w.layers("model.layers.") {
		w.rms("input_layernorm", w.m.Hidden)
		w.attention("o_proj")
		w.qkNorms()
		w.rms("post_attention_layernorm", w.m.Hidden)
		if !w.m.isMoE(l) {
			w.gated(RoleMLP, "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", w.m.Inter)
			continue
		}
		w.plain(RoleRouter, "mlp.gate.weight", w.m.Experts, w.m.Hidden)
		w.experts("mlp", "gate_proj", "up_proj", "down_proj")
		if s := w.m.SharedInter; s > 0 {
			w.gated(RoleShared, "mlp.shared_expert.gate_proj", "mlp.shared_expert.up_proj", "mlp.shared_expert.down_proj", s)
			w.plain(RoleRouter, "mlp.shared_expert_gate.weight", 1, w.m.Hidden)
		}
	}
	w.rms("model.norm", w.m.Hidden)
	w.head("lm_head", false)
}

// phi is Phi-1, Phi-1.5 and Phi-2.
func phi(w *walk) {
	w.embedding("model.embed_tokens")
	for range w.layers("model.layers.") {
		w.layerNorm("input_layernorm", w.m.Hidden)
		w.attention("dense")
		if w.m.qkNorm {
			w.layerNorm("self_attn.q_layernorm", w.m.HeadDim)
			w.layerNorm("self_attn.k_layernorm", w.m.HeadDim)
		}
		w.simple("mlp.fc1", "mlp.fc2")
	}
	w.layerNorm("model.final_layernorm", w.m.Hidden)
	w.head("lm_head", true)
}

// phi3 fuses gate and up; files that GPTQModel split have them apart.
func phi3(w *walk) {
	w.embedding("model.embed_tokens")
	for range w.layers("model.layers.") {
		w.rms("input_layernorm", w.m.Hidden)
		w.fusedAttention("self_attn.qkv_proj", "self_attn.o_proj")
		w.rms("post_attention_layernorm", w.m.Hidden)
		if w.newNaming {
			w.gated(RoleMLP, "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", w.m.Inter)
			continue
		}
		w.linear(RoleMLP, "mlp.gate_up_proj", w.m.Hidden, 2*w.m.Inter, false)
		w.linear(RoleMLP, "mlp.down_proj", w.m.Inter, w.m.Hidden, false)
	}
	w.rms("model.norm", w.m.Hidden)
	w.head("lm_head", false)
}

func gptNeoX(w *walk) {
	w.embedding("gpt_neox.embed_in")
	for range w.layers("gpt_neox.layers.") {
		w.layerNorm("input_layernorm", w.m.Hidden)
		w.layerNorm("post_attention_layernorm", w.m.Hidden)
		w.fusedAttention("attention.query_key_value", "attention.dense")
		w.simple("mlp.dense_h_to_4h", "mlp.dense_4h_to_h")
	}
	w.layerNorm("gpt_neox.final_layer_norm", w.m.Hidden)
	if w.newNaming {
		w.head("lm_head", false)
	} else {
		w.head("embed_out", false)
	}
}

// falcon has one norm or two where attention and MLP stand side by side, and
// always two where they do not.
func falcon(w *walk) {
	w.embedding("transformer.word_embeddings")
	for range w.layers("transformer.h.") {
		if w.m.twoNorms {
			w.layerNorm("ln_attn", w.m.Hidden)
			w.layerNorm("ln_mlp", w.m.Hidden)
		} else {
			w.layerNorm("input_layernorm", w.m.Hidden)
		}
		w.fusedAttention("self_attention.query_key_value", "self_attention.dense")
		if !w.m.parallel {
			w.layerNorm("post_attention_layernorm", w.m.Hidden)
		}
		w.simple("mlp.dense_h_to_4h", "mlp.dense_4h_to_h")
	}
	w.layerNorm("transformer.ln_f", w.m.Hidden)
	w.head("lm_head", false)
}

func stableLM(w *walk) {
	w.embedding("model.embed_tokens")
	for range w.layers("model.layers.") {
		w.layerNorm("input_layernorm", w.m.Hidden)
		w.attention("o_proj")
		if w.m.qkNorm {
			for h := range w.m.Heads {
				w.rms("self_attn.q_layernorm.norms."+strconv.Itoa(h), w.m.HeadDim)
			}
			for h := range w.m.KVHeads {
				w.rms("self_attn.k_layernorm.norms."+strconv.Itoa(h), w.m.HeadDim)
			}
		}
		if !w.m.parallel {
			w.layerNorm("post_attention_layernorm", w.m.Hidden)
		}
		w.gated(RoleMLP, "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", w.m.Inter)
	}
	w.layerNorm("model.norm", w.m.Hidden)
	w.head("lm_head", false)
}

// bigCode is StarCoder, SantaCoder and WizardCoder.
func bigCode(w *walk) {
	w.embedding("transformer.wte")
	w.plain(RoleEmbedding, "transformer.wpe.weight", w.m.MaxPositions, w.m.Hidden)
	for range w.layers("transformer.h.") {
		w.layerNorm("ln_1", w.m.Hidden)
		w.fusedAttention("attn.c_attn", "attn.c_proj")
		w.layerNorm("ln_2", w.m.Hidden)
		w.simple("mlp.c_fc", "mlp.c_proj")
	}
	w.layerNorm("transformer.ln_f", w.m.Hidden)
	w.head("lm_head", false)
}

func starCoder2(w *walk) {
	w.embedding("model.embed_tokens")
	for range w.layers("model.layers.") {
		w.layerNorm("input_layernorm", w.m.Hidden)
		w.attention("o_proj")
		w.layerNorm("post_attention_layernorm", w.m.Hidden)
		w.simple("mlp.c_fc", "mlp.c_proj")
	}
	w.layerNorm("model.norm", w.m.Hidden)
	w.head("lm_head", false)
}

// opt counts its positions from 2, and OPT-350M embeds words in half its width.
func opt(w *walk) {
	m := w.m
	norm := func(name string) {
		if !m.noAffine {
			w.layerNorm(name, m.Hidden)
		}
	}
	w.plain(RoleEmbedding, "model.decoder.embed_tokens.weight", m.Vocab, m.wordDim)
	w.plain(RoleEmbedding, "model.decoder.embed_positions.weight", m.MaxPositions+2, m.Hidden)
	if m.wordDim != m.Hidden {
		w.plain(RoleEmbedding, "model.decoder.project_in.weight", m.Hidden, m.wordDim)
		w.plain(RoleHead, "model.decoder.project_out.weight", m.wordDim, m.Hidden)
	}
	for range w.layers("model.decoder.layers.") {
		w.attention("out_proj")
		norm("self_attn_layer_norm")
		w.simple("fc1", "fc2")
		norm("final_layer_norm")
	}
	if !m.postNorm {
		norm("model.decoder.final_layer_norm")
	}
	if !m.Tied {
		w.plain(RoleHead, "lm_head.weight", m.Vocab, m.wordDim)
	}
}

// qwen is the first Qwen: its code is in the repositories, and gate and up are
// w2 and w1.
func qwen(w *walk) {
	w.embedding("transformer.wte")
	for range w.layers("transformer.h.") {
		w.rms("ln_1", w.m.Hidden)
		w.fusedAttention("attn.c_attn", "attn.c_proj")
		w.rms("ln_2", w.m.Hidden)
		w.gated(RoleMLP, "mlp.w2", "mlp.w1", "mlp.c_proj", w.m.Inter)
	}
	w.rms("transformer.ln_f", w.m.Hidden)
	w.head("lm_head", false)
}

func internLM2(w *walk) {
	w.embedding("model.tok_embeddings")
	for range w.layers("model.layers.") {
		w.rms("attention_norm", w.m.Hidden)
		w.fusedAttention("attention.wqkv", "attention.wo")
		w.rms("ffn_norm", w.m.Hidden)
		w.gated(RoleMLP, "feed_forward.w1", "feed_forward.w3", "feed_forward.w2", w.m.Inter)
	}
	w.rms("model.norm", w.m.Hidden)
	w.head("output", false)
}

func baichuan(w *walk) {
	w.embedding("model.embed_tokens")
	for range w.layers("model.layers.") {
		w.rms("input_layernorm", w.m.Hidden)
		w.fusedAttention("self_attn.W_pack", "self_attn.o_proj")
		w.rms("post_attention_layernorm", w.m.Hidden)
		w.gated(RoleMLP, "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", w.m.Inter)
	}
	w.rms("model.norm", w.m.Hidden)
	w.head("lm_head", false)
}

// gptJ is also CodeGen, which fuses queries, keys and values.
func gptJ(w *walk) {
	m := w.m
	w.embedding("transformer.wte")
	for range w.layers("transformer.h.") {
		w.layerNorm("ln_1", m.Hidden)
		if m.Kind == "codegen" {
			w.linear(RoleAttention, "attn.qkv_proj", m.Hidden, 3*m.Hidden, false)
		} else {
			for _, name := range []string{"attn.k_proj", "attn.v_proj", "attn.q_proj"} {
				w.linear(RoleAttention, name, m.Hidden, m.Hidden, false)
			}
		}
		w.linear(RoleAttention, "attn.out_proj", m.Hidden, m.Hidden, false)
		w.simple("mlp.fc_in", "mlp.fc_out")
	}
	w.layerNorm("transformer.ln_f", m.Hidden)
	w.head("lm_head", true)
}
