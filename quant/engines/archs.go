package engines

import (
	"slices"
	"strings"
)

func archs(open bool, names string) Archs {
	list := strings.Fields(names)
	slices.Sort(list)
	return Archs{List: list, Open: open}
}

// autoGPTQArchs is the map of AutoGPTQ's modeling/auto.py.
func autoGPTQArchs() Archs {
	return archs(false, `baichuan bloom codegen cohere deci falcon gemma gemma2 gpt2 gpt_bigcode gpt_neox gptj internlm llama longllama
		mistral mixtral moss mpt opt phi qwen qwen2 RefinedWeb RefinedWebModel stablelm_epoch starcoder2 xverse Yi`)
}

// gptqModelArchs is the map of GPTQModel's models/auto.py, of one version; newer
// ones add to it.
func gptqModelArchs() Archs {
	return archs(true, `apertus baichuan bloom chatglm codegen cohere cohere2 dbrx dbrx_converted deci deepseek_v2 deepseek_v3 dream ernie4_5
		ernie4_5_moe exaone falcon falcon_h1 gemma gemma2 gemma3 gemma3_text glm glm4 glm4_moe gpt2 gpt_bigcode gpt_neo gpt_neox gpt_oss
		gpt_pangu gptj granite grinmoe hymba instella internlm internlm2 kimi_k2 klear llama llama4 llava_qwen2 longcat_flash longllama mimo
		minicpm minicpm3 mistral mixtral mllama mobilellm moss mpt nemotron-nas nemotron_h olmo2 opt ovis phi phi3 phi4mm phimoe qwen qwen2
		qwen2_5_omni qwen2_5_vl qwen2_moe qwen2_vl qwen3 qwen3_moe qwen3_next qwen3_omni_moe RefinedWeb RefinedWebModel seed_oss stablelm
		stablelm_epoch starcoder2 telechat xverse yi`)
}

// serverArchs are those the servers certainly have; their registries are longer
// and change with every version.
func serverArchs() Archs {
	return archs(true, `falcon gemma gemma2 gpt_bigcode gpt_neox llama mistral mixtral opt phi phi3 qwen2 starcoder2`)
}

// exllamaV2Archs are those of ExLlamaV2's architecture.py; it loads others as a
// Llama, with a warning.
func exllamaV2Archs() Archs {
	return archs(true, `cohere cohere2 dbrx deci gemma gemma2 gpt2 gpt_bigcode granite internlm2 llama minicpm mistral mixtral orion phi3
		qwen2 qwen2_vl qwen2_5_vl starcoder2 Yi`)
}

// joinedArchs is the list as [archs] takes it.
func joinedArchs(a Archs) string { return strings.Join(a.List, " ") }
