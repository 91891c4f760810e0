package engines

// Files and threads that several rows cite.
const (
	vllmAuto   = "vLLM quantization/auto_gptq.py"
	vllmMarlin = "vLLM quantization/utils/marlin_utils.py"
	vllmDrop   = "vLLM #38288"
)

func vllm() []Engine {
	row := func(kernel, name string, e Engine) Engine {
		e.ID, e.Family, e.Loader, e.Name = "vllm/"+kernel, "vllm", "vllm", "vLLM "+name
		e.Mixed, e.Head, e.Parallel, e.Archs = true, true, true, serverArchs()
		if e.Archs = serverArchs(); e.Profile == "" {
			e.Profile = "vllm"
		}
		return e
	}
	marlinGroups := whole(-1, 32, 64, 128)
	const noRouter = "its router is quantised: vLLM stops with a KeyError at mlp.gate.g_idx"
	router := Note{[]When{WhenOtherMoE, WhenRouterPacked}, No, noRouter, "vLLM #22017"}
	half := Note{[]When{WhenBF16}, Caveat, "the model says bfloat16, these kernels compute in float16: start it with --dtype half, or it stops", "vLLM #1823"}
	qwen := func(a Archs) Archs { return archs(true, "qwen2_moe qwen3 qwen3_moe "+joinedArchs(a)) }
	now := "vLLM at 055e47c, after June 2026"
	list := []Engine{
		row("marlin", "marlin", Engine{AsOf: now, Bits: []int{4, 8}, Groups: marlinGroups, ActOrder: ActYes, Asym: AsymNo, Default: "an error",
			Formats: []string{"gptq", "gptq_v2"}, Shapes: Shapes{K: 128, N: 64}, Needs: Needs{Devices: []string{"cuda"}, MinCC: "7.5", OS: []string{"linux"}},
			Notes: []Note{
				{[]When{WhenOddMoE}, No, "the shapes of the experts do not fit Marlin's kernel; vLLM falls back to moe_wna16", vllmMarlin},
				{[]When{WhenTuring}, Caveat, "this card is of compute capability 7.5: newer versions only, float16 only", vllmMarlin},
				router,
			},
			Sources: []string{vllmAuto, vllmMarlin, vllmDrop, "vLLM #45051"}}),
		row("moe_wna16", "moe_wna16", Engine{AsOf: "vLLM at 0216619, after June 2026", Bits: []int{4, 8}, Groups: sizes(-1, 32, 64, 128), ActOrder: ActIgnored, Asym: AsymYes,
			Default: "an error", Formats: []string{"gptq"}, Needs: Needs{Devices: []string{"cuda"}, MinCC: "7.0", OS: []string{"linux"}},
			Notes: []Note{
				{[]When{WhenBits8, WhenGrouped}, No, "8-bit in groups: it stops with an assertion, one group per column only", "vLLM quantization/moe_wna16.py"},
				{[]When{WhenDescAct}, Caveat, "only as what vLLM falls back to; asked for by name it refuses desc_act", "vLLM quantization/moe_wna16.py"},
				{[]When{WhenDense}, No, "this kernel is for the experts of a mixture only", "vLLM quantization/moe_wna16.py"},
				router,
			},
			Sources: []string{"vLLM quantization/moe_wna16.py"}}),
		row("humming", "humming", Engine{AsOf: "vLLM at 0237403", Bits: []int{2, 3, 4, 8}, Groups: anyGroup(), ActOrder: ActUnknown, Asym: AsymUnknown,
			Default: "an error", Formats: []string{"gptq"}, Needs: Needs{Devices: []string{"cuda"}, MinCC: "7.5", OS: []string{"linux"}},
			Notes: []Note{
				{[]When{WhenAlways}, Caveat, "install the package humming and ask for it: --quantization humming", "vLLM #45051"},
				{[]When{WhenMoE}, Unknown, "nobody reports a mixture of experts in GPTQ with it", "vLLM #45051"},
			},
			Sources: []string{"vLLM quantization/humming.py", "vLLM #45051"}}),
		row("gptq", "gptq (old)", Engine{AsOf: "vLLM at e5dd90b, before spring 2026", Until: "spring 2026 took these kernels out",
			Bits: []int{2, 3, 4, 8}, Groups: Groups{None: true, Whole: true}, ActOrder: ActYes, Asym: AsymYes, Default: "the zero points",
			Formats: []string{"gptq", "gptq_v2"}, Needs: Needs{Devices: []string{"cuda", "rocm"}, MinCC: "6.0", OS: []string{"linux"}},
			Notes: []Note{
				{[]When{WhenMixtral}, Caveat, "the experts run one after another (QuantMixtralForCausalLM), not as one kernel", "vLLM #2028"},
				{[]When{WhenMixtral, WhenSplit}, Caveat, "a Mixtral over several cards needs a version of 2024 or newer: those of 2023 stop while loading", "vLLM #2208"},
				{[]When{WhenOtherMoE}, Unknown, "not known whether these kernels run its experts", "vLLM quantization/gptq.py"},
				half,
				{[]When{WhenV2}, Caveat, "format gptq_v2 needs a version of October 2025 or later; earlier ones write “!!!!”", "vLLM #26092"},
			},
			Sources: []string{"vLLM quantization/gptq.py", "vLLM csrc/quantization/gptq/q_gemm.cu", vllmDrop}}),
		row("cpu", "CPU", Engine{AsOf: "vLLM at 0035860", Profile: "ram", Bits: []int{4}, Groups: Groups{None: true}, ActOrder: ActYes, Asym: AsymNo,
			Default: "an error", Formats: []string{"gptq", "gptq_v2"}, Shapes: Shapes{K: 32, N: 32},
			Needs: Needs{Devices: []string{"cpu"}, OS: []string{"linux"}, CPU: []string{"avx512f"}},
			Notes: []Note{
				{[]When{WhenMoE}, Caveat, "experts need a version of June 2026 or newer, and a CPU with AMX", "vLLM #43409"},
				{[]When{WhenMoE, WhenPermuted}, Unknown, "its kernel for experts is not given g_idx: not known whether vLLM refuses act-order there", "vLLM fused_moe/experts/cpu_moe.py"},
				{[]When{WhenAlways}, Caveat, "a recent version: older ones turn float16 into bfloat16 on a CPU and then refuse it", "vLLM #12794"},
				{[]When{WhenAlways}, Caveat, "a build of its own; a build for AVX-512 crashes on a CPU that has AVX2 only", "vLLM #55613"},
			},
			Sources: []string{"vLLM kernels/linear/mixed_precision/cpu.py"}}),
	}
	for i := range list {
		list[i].Archs = qwen(list[i].Archs)
	}
	return list
}

// servers are SGLang and text-generation-inference.
func servers() []Engine {
	sglang := func(kernel string, e Engine) Engine {
		e.ID, e.Family, e.Loader, e.Name, e.Profile = "sglang/"+kernel, "sglang", "sglang", "SGLang "+kernel, "sglang"
		e.AsOf, e.Archs, e.Mixed, e.Head, e.Parallel = "SGLang at 006d096", archs(true, "qwen2_moe qwen3 qwen3_moe "+joinedArchs(serverArchs())), true, true, true
		e.Sources = []string{"SGLang layers/quantization/gptq.py"}
		return e
	}
	tgi := func(kernel string, e Engine) Engine {
		e.ID, e.Family, e.Loader, e.Name = "tgi/"+kernel, "tgi", "tgi", "TGI "+kernel
		e.AsOf, e.Archs, e.Parallel, e.NeedGIdx, e.Default = "text-generation-inference at db931fc, January 2026", serverArchs(), true, true, "false"
		if e.Profile == "" {
			e.Profile = "tgi"
		}
		e.Formats, e.Unsure = []string{"gptq"}, []string{"gptq_v2"}
		e.Sources = append(e.Sources, "TGI layers/gptq/__init__.py", "TGI utils/quantization.py")
		return e
	}
	linux := []string{"linux"}
	return []Engine{
		sglang("gptq_marlin", Engine{Bits: []int{4, 8}, Groups: whole(-1, 32, 64, 128), ActOrder: ActYes, Asym: AsymNo, Default: "an error",
			Formats: []string{"gptq"}, Unsure: []string{"gptq_v2"}, Shapes: Shapes{K: 128, N: 64},
			Needs: Needs{Devices: []string{"cuda"}, MinCC: "8.0", OS: linux}}),
		sglang("gptq", Engine{Bits: []int{2, 3, 4, 8}, Groups: Groups{None: true, Whole: true}, ActOrder: ActYes, Asym: AsymYes, Default: "the zero points",
			Formats: []string{"gptq"}, Unsure: []string{"gptq_v2"}, Needs: Needs{Devices: []string{"cuda"}, MinCC: "6.0", OS: linux},
			Notes: []Note{
				{[]When{WhenBF16}, Caveat, "the model says bfloat16, these kernels compute in float16: start it with --dtype half", "SGLang layers/quantization/gptq.py"},
				{[]When{WhenMixtral}, Caveat, "through its class QuantMixtralForCausalLM, as far as its loader shows; nobody reports it", "SGLang layers/quantization/gptq.py"},
				{[]When{WhenOtherMoE}, No, "it runs experts with gptq_marlin only", "SGLang layers/quantization/gptq.py"},
			}}),
		tgi("marlin", Engine{Bits: []int{4, 8}, Groups: whole(-1, 32, 64, 128), ActOrder: ActYes, Asym: AsymNo, Shapes: Shapes{K: 64, N: 64, Either: 128},
			Needs: Needs{Devices: []string{"cuda"}, MinCC: "8.0", OS: linux},
			Notes: []Note{{[]When{WhenMoE, WhenPermuted, WhenSplit}, Caveat,
				"a mixture of experts with act-order and tensor parallel needs one of its last versions", "TGI integration-tests/models/test_flash_mixtral_gptq.py"}},
			Sources: []string{"TGI layers/marlin/gptq.py", "TGI integration-tests/models/test_flash_mixtral_gptq.py"}}),
		tgi("exllama", Engine{Bits: []int{4}, Groups: Groups{None: true, Whole: true}, ActOrder: ActRefused, Asym: AsymYes,
			Needs: Needs{Devices: []string{"cuda", "rocm"}, MinCC: "8.0", OS: linux}, Sources: []string{"TGI layers/gptq/exllamav2.py"}}),
		tgi("triton", Engine{Bits: []int{2, 4, 8}, Groups: anyGroup(), ActOrder: ActYes, Asym: AsymYes,
			Needs:   Needs{Devices: []string{"cuda", "rocm"}, OS: linux},
			Notes:   []Note{{[]When{WhenAlways}, Caveat, "much slower than its other kernels (2.5 times, in one report)", "TGI #1098"}},
			Sources: []string{"TGI layers/gptq/triton.py", "TGI #1407"}}),
		tgi("ipex", Engine{Bits: []int{4}, Groups: anyGroup(), ActOrder: ActYes, Asym: AsymYes, Profile: "ram",
			Needs: Needs{Devices: []string{"cpu", "xpu"}, OS: linux}, Sources: []string{"TGI layers/gptq/ipex.py"}}),
	}
}
