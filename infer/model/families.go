package model

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// family is one making of decoders.
type family struct {
	architecture string   // as config.json names it
	aliases      []string // other spellings
	types        []string // model_type

	config func(*fields, *Config)                          // reads config.json
	load   func(context.Context, *loader) (decoder, error) // reads the layers
}

// decoder is the layers of a loaded model.
type decoder interface {
	// layer sets h, (tokens, hidden), to the output of layer i. The error is of
	// the session's pool.
	layer(s *Session, i int, h []float32) error
}

// families are those that Load runs.
var families = []family{
	{"LlamaForCausalLM", []string{"LLaMAForCausalLM", "YiForCausalLM"}, []string{"llama", "Yi"}, llamaConfig, loadLlama},
	{"MistralForCausalLM", nil, []string{"mistral"}, mistralConfig, loadLlama},
	{"MixtralForCausalLM", nil, []string{"mixtral"}, mixtralConfig, loadMixtral},
	{"Qwen2ForCausalLM", nil, []string{"qwen2"}, qwen2Config, loadQwen},
	{"Qwen3ForCausalLM", nil, []string{"qwen3"}, qwen3Config, loadQwen},
	{"Qwen2MoeForCausalLM", nil, []string{"qwen2_moe"}, qwen2MoEConfig, loadQwenMoE},
	{"Qwen3MoeForCausalLM", nil, []string{"qwen3_moe"}, qwen3MoEConfig, loadQwenMoE},
	{"GemmaForCausalLM", nil, []string{"gemma"}, gemmaConfig, loadGemma},
	{"Gemma2ForCausalLM", nil, []string{"gemma2"}, gemma2Config, loadGemma2},
	{"PhiForCausalLM", nil, []string{"phi", "phi-msft"}, phiConfig, loadPhi},
	{"Phi3ForCausalLM", nil, []string{"phi3"}, phi3Config, loadPhi3},
	{"GPTNeoXForCausalLM", nil, []string{"gpt_neox"}, neoXConfig, loadNeoX},
	{"FalconForCausalLM", []string{"RWForCausalLM"}, []string{"falcon", "RefinedWeb", "RefinedWebModel"}, falconConfig, loadFalcon},
	{"StableLmForCausalLM", []string{"StableLMEpochForCausalLM"}, []string{"stablelm", "stablelm_epoch"}, stableLMConfig, loadStableLM},
}

// Architectures lists what Load runs.
func Architectures() []string {
	var names []string
	for _, f := range families {
		names = append(names, f.architecture)
	}
	return names
}

// findFamily settles which decoder a config.json is for. model_type decides where
// architectures is missing, as it does in some converted checkpoints.
func findFamily(f *fields) (family, error) {
	var architectures []string
	f.read(&architectures, "a list of strings", "architectures")
	kind := f.text("", "model_type")
	if f.err != nil {
		return family{}, f.err
	}
	name := ""
	if len(architectures) > 0 {
		name = architectures[0]
	}
	if name == "" && kind == "" {
		return family{}, badConfig("no architectures and no model_type")
	}
	byName := slices.IndexFunc(families, func(f family) bool { return f.architecture == name || slices.Contains(f.aliases, name) })
	byKind := slices.IndexFunc(families, func(f family) bool { return slices.Contains(f.types, kind) })
	switch {
	case name == "" && byKind >= 0:
		return families[byKind], nil
	case byName >= 0 && (kind == "" || byName == byKind):
		return families[byName], nil
	case byName >= 0 && byKind >= 0:
		return family{}, badConfig("architectures says %s, but model_type says %s", name, kind)
	case byName >= 0: // another network that borrows the name
		name = fmt.Sprintf("%s of model_type %s", name, kind)
	case name == "":
		name = kind
	}
	return family{}, unsupportedConfig("architecture %s is not supported; the runner knows %s", name, strings.Join(Architectures(), ", "))
}
