package engines

const exShape = "q_weight and gptq_qzeros have incompatible shapes"

// exllama is ExLlama and its successor, as programs of their own.
func exllama() []Engine {
	return []Engine{
		{ID: "exllamav2", Family: "exllamav2", Loader: "exllamav2", Name: "ExLlamaV2", Profile: "exllamav2", AsOf: "ExLlamaV2 at da07fac",
			Bits: []int{4}, BitsError: exShape, Groups: Groups{None: true, PowerOfTwo: true, Whole: true}, ActOrder: ActYes, Asym: AsymYes,
			Default: "the zero points", Formats: []string{"gptq", "gptq_v2"}, Archs: exllamaV2Archs(), Shapes: Shapes{K: 32, N: 32},
			Needs: Needs{Devices: []string{"cuda", "rocm"}}, Parallel: true,
			Notes: []Note{{[]When{WhenSplit, WhenNotSplitArch}, No, "it splits matrices of Llama, Mistral, Qwen2 and DeciLM only; layers can still be laid on several cards",
				"ExLlamaV2 architecture.py"}},
			Sources: []string{"ExLlamaV2 exllamav2/ext.py", "ExLlamaV2 architecture.py", "ExLlamaV2 #563"}},
		{ID: "exllama", Family: "exllama", Loader: "exllama", Name: "ExLlama", Profile: "exllama", AsOf: "ExLlama at 3b013cd, September 2023 (replaced by ExLlamaV2)",
			Bits: []int{4}, Groups: Groups{None: true, Whole: true}, ActOrder: ActYes, Asym: AsymYes, Default: "the zero points", Formats: []string{"gptq"},
			Archs: archs(false, "llama mistral"), Shapes: Shapes{K: 32, N: 32}, Needs: Needs{Devices: []string{"cuda", "rocm"}},
			Notes:   []Note{{[]When{WhenMistral}, Caveat, "a Mistral runs as if it were a Llama, without its sliding window", "ExLlama model.py"}},
			Sources: []string{"ExLlama model.py", "ExLlama exllama_ext/cuda_func/q4_matrix.cu", "ExLlama #85", "ExLlama #95"}},
	}
}

// frontends run other people's kernels.
func frontends() []Engine {
	textgen := func(loader string, from Engine) Engine {
		from.ID, from.Family, from.Name = "textgen/"+loader, "textgen", "text-generation-webui "+loader
		from.AsOf, from.Until = "text-generation-webui docs at 0ee8d2b; tree at 1dcde41, May 2026", "its loaders of 2023 and 2024; in May 2026 it has none for GPTQ"
		from.Sources = append(from.Sources, "text-generation-webui docs/04 - Model Tab.md", "text-generation-webui #6677")
		from.Parallel = false
		return from
	}
	transformers := Engine{ID: "transformers", Family: "transformers", Loader: "transformers", Name: "transformers", Profile: "transformers",
		AsOf: "transformers before and after 5.0; optimum at 83c88b8, May 2026",
		Bits: []int{2, 3, 4, 8}, Groups: sizes(-1, 16, 32, 64, 128, 256, 512, 1024), ActOrder: ActYes, Asym: AsymV2, Default: "true",
		Formats: []string{"gptq", "gptq_v2"}, Archs: gptqModelArchs(), Needs: Needs{Devices: []string{"cuda", "rocm", "xpu", "mps", "cpu"}},
		Notes: []Note{
			{[]When{WhenAlways}, Caveat, "with optimum and GPTQModel 1.4.3 or newer installed (AutoGPTQ before transformers 5)", "transformers quantizers/quantizer_gptq.py"},
			{[]When{WhenMixtral}, Caveat, "a Mixtral needs transformers 4.36 or newer", "transformers #27956"},
			{[]When{WhenRouterFree}, No, "it takes the router for a quantised layer and stops with an AssertionError; add modules_in_block_to_quantize to config.json", "optimum #1742"},
		},
		Sources: []string{"transformers utils/quantization_config.py", "optimum gptq/quantizer.py"}}
	gfl := gptqForLlama()
	return []Engine{
		transformers,
		textgen("exllamav2", exllama()[0]),
		textgen("exllama", exllama()[1]),
		textgen("autogptq", byID(autoGPTQ(), "autogptq/cuda")),
		textgen("transformers", transformers),
		textgen("gptq-for-llama", gfl[1]),
		gfl[0], gfl[1],
	}
}

// byID finds a row; the zero value if there is none.
func byID(rows []Engine, id string) Engine {
	for _, e := range rows {
		if e.ID == id {
			return e
		}
	}
	return Engine{}
}

// gptqForLlama is the first implementation for Llama, in two branches.
func gptqForLlama() []Engine {
	row := func(kernel string, e Engine) Engine {
		e.ID, e.Family, e.Name, e.Profile = "gptq-for-llama/"+kernel, "gptq-for-llama", "GPTQ-for-LLaMa "+kernel, "generic"
		e.AsOf, e.Default, e.Formats = "GPTQ-for-LLaMa at e985b70, 2023", "the zero points", []string{"gptq"}
		e.Groups, e.Asym, e.Archs, e.Shapes, e.Single = anyGroup(), AsymYes, archs(true, "llama"), Shapes{K: 32, N: 32}, true
		e.Notes = []Note{{[]When{WhenMoE}, No, "it was written before there were mixtures of experts", "GPTQ-for-LLaMa llama.py"}}
		return e
	}
	return []Engine{
		row("triton", Engine{Bits: []int{2, 4, 8}, ActOrder: ActYes, Needs: Needs{Devices: []string{"cuda"}, OS: []string{"linux"}},
			Sources: []string{"GPTQ-for-LLaMa quant/quant_linear.py"}}),
		row("cuda", Engine{Bits: []int{2, 3, 4, 8}, ActOrder: ActNo, Needs: Needs{Devices: []string{"cuda"}},
			Sources: []string{"GPTQ-for-LLaMa README.md", "text-generation-webui docs/04 - Model Tab.md"}}),
	}
}

// converters and smaller engines.
func converters() []Engine {
	return []Engine{
		{ID: "mistralrs", Family: "mistralrs", Name: "mistral.rs", Profile: "generic", AsOf: "mistral.rs at 9e92262",
			Bits: []int{2, 4, 8}, Groups: anyGroup(), ActOrder: ActYes, Asym: AsymYes, Default: "the zero points", Formats: []string{"gptq"}, Unsure: []string{"gptq_v2"},
			Archs: archs(true, "gemma gemma2 llama mistral mixtral phi phi3 qwen2 starcoder2"), NeedGIdx: true, Needs: Needs{Devices: []string{"cuda"}},
			Notes:   []Note{{[]When{WhenBits2}, Unknown, "2-bit: nobody reports that it works", "mistral.rs mistralrs-quant/src/gptq"}},
			Sources: []string{"mistral.rs mistralrs-quant/src/gptq"}},
		{ID: "llamacpp", Family: "llamacpp", Name: "llama.cpp", Profile: "generic", AsOf: "llama.cpp conversion scripts, no commit known",
			Bits: []int{2, 4, 8}, BitsError: "NotImplementedError", Groups: anyGroup(), ActOrder: ActYes, Asym: AsymYes, Default: "the zero points",
			Formats: []string{"gptq", "gptq_v2"}, Archs: serverArchs(), NeedGIdx: true, Needs: Needs{Devices: []string{"cuda", "rocm", "xpu", "mps", "cpu"}},
			Notes:   []Note{{[]When{WhenAlways}, No, "it does not run GPTQ: look for a GGUF of the model; its converter makes floating point of this one, to be quantised anew", "llama.cpp #11024"}},
			Sources: []string{"llama.cpp convert_hf_to_gguf.py (dequant_gptq)"}},
		{ID: "openvino", Family: "openvino", Name: "OpenVINO", Profile: "ram", AsOf: "OpenVINO at 01da3a3",
			Bits: []int{4}, Groups: Groups{None: true, Whole: true}, ActOrder: ActIgnored, Asym: AsymYes, Default: "the zero points", Formats: []string{"gptq"}, Unsure: []string{"gptq_v2"},
			Archs: serverArchs(), Needs: Needs{Devices: []string{"cpu", "xpu"}},
			Notes:   []Note{{[]When{WhenMoE}, Unknown, "not known whether it converts quantised experts", "OpenVINO frontend/pytorch/gptq.py"}},
			Sources: []string{"OpenVINO frontend/pytorch/gptq.py"}},
		{ID: "neural-speed", Family: "neural-speed", Name: "neural-speed", Profile: "ram", AsOf: "neural-speed at bfd5d3c",
			Bits: []int{4, 8}, Groups: anyGroup(), ActOrder: ActSlow, Asym: AsymYes, Default: "the zero points", Formats: []string{"gptq"}, Unsure: []string{"gptq_v2"},
			Archs: archs(true, "falcon gemma llama mistral mixtral phi qwen qwen2"), Needs: Needs{Devices: []string{"cpu"}, CPU: []string{"avx2"}},
			Notes:   []Note{{[]When{WhenBits3}, No, "its own 3-bit layout holds ten values a word: it cannot read this one", "neural-speed convert/common.py"}},
			Sources: []string{"neural-speed convert/common.py", "neural-speed docs/gptq_and_awq.md"}},
	}
}

// ours is the CPU runner of this program.
func ours() []Engine {
	return []Engine{{ID: "qbranch", Family: "qbranch", Name: "qbranch gen", Profile: "cpu", AsOf: "this version",
		Bits: []int{2, 3, 4, 8}, Groups: anyGroup(), ActOrder: ActYes, Asym: AsymYes, Default: "the zero points",
		Formats: []string{"gptq", "gptq_v2", "gptq_p"}, Archs: archs(false, "llama mistral mixtral"), Needs: Needs{Devices: []string{"cpu"}}, Mixed: true, Head: true,
		Notes:   []Note{{[]When{WhenBits3, WhenPlanar}, No, "3-bit in format gptq_p: planar packing is not read", "qbranch infer/model/load.go"}},
		Sources: []string{"qbranch infer/model"}}}
}
