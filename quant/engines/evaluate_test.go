package engines

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/quant/safetensors"
)

// What decides, alone and together, in the words that are shown.
func TestEvaluate(t *testing.T) {
	act := func(change func(*Subject)) Subject {
		return dense(func(s *Subject) {
			s.DescAct = ptr(true)
			if change != nil {
				change(s)
			}
		})
	}
	for _, tc := range []struct {
		name string
		id   string
		s    Subject
		want Loads
		why  []string // each is in a reason
	}{
		// All that fails is said, not only the first.
		{"two faults", "exllamav2", dense(func(s *Subject) { s.Bits, s.GroupSize = 3, 96 }), No, []string{"3-bit", "96 is not a power of two", "does not divide"}},
		{"group of 96", "exllamav2", dense(func(s *Subject) { s.GroupSize = 96 }), No, []string{"not a power of two"}},

		// Act-order that means nothing.
		{"desc_act, one group", "autogptq/cuda_old", act(func(s *Subject) { s.GroupSize = -1 }), Yes, nil},
		{"desc_act, one group, refused", "autogptq/marlin", act(func(s *Subject) { s.GroupSize = -1 }), No, []string{"desc_act with one group per column, where it means nothing"}},
		{"static groups", "gptqmodel/bitblas", act(func(s *Subject) { s.StaticGroups = ptr(true) }), Yes, nil},
		{"in order, whatever desc_act says", "gptqmodel/bitblas", act(func(s *Subject) { s.Permuted = ptr(false) }), Yes, nil},
		{"out of order, whatever desc_act says", "gptqmodel/bitblas", dense(func(s *Subject) { s.Permuted = ptr(true) }), No, []string{"act-order"}},
		{"act-order not known", "gptqmodel/bitblas", dense(func(s *Subject) { s.DescAct = nil }), Unknown, []string{"desc_act is not known"}},
		{"act-order not known, of no matter", "exllamav2", dense(func(s *Subject) { s.DescAct = nil }), Yes, nil},

		// Zero points.
		{"asymmetric v1", "exllamav2", dense(func(s *Subject) { s.Sym = ptr(false) }), Caveat, []string{"readers differ"}},
		{"asymmetric v2", "exllamav2", dense(func(s *Subject) { s.Sym, s.Format = ptr(false), "gptq_v2" }), Yes, nil},
		{"asymmetric v1, GPTQModel", "gptqmodel/triton", dense(func(s *Subject) { s.Sym = ptr(false) }), No, []string{"unless GPTQModel 0.9"}},
		{"asymmetric v1, written by GPTQModel", "gptqmodel/triton", dense(func(s *Subject) { s.Sym, s.Quantizer = ptr(false), "gptqmodel:1.4.0" }), Caveat, []string{"readers differ"}},
		{"asymmetric v1, written by an early GPTQModel", "gptqmodel/triton", dense(func(s *Subject) { s.Sym, s.Quantizer = ptr(false), "gptqmodel:0.8.9" }), No, nil},
		{"asymmetric, Marlin", "vllm/marlin", dense(func(s *Subject) { s.Sym = ptr(false) }), No, []string{"symmetric ones only"}},
		{"sym absent, vLLM", "vllm/marlin", dense(func(s *Subject) { s.Sym = nil }), No, []string{"add it to the configuration"}},
		{"sym absent, TGI", "tgi/triton", dense(func(s *Subject) { s.Sym = nil }), Caveat, []string{"takes it for false"}},
		{"sym absent, ExLlamaV2", "exllamav2", dense(func(s *Subject) { s.Sym = nil }), Caveat, []string{"as they are"}},
		{"sym absent, a symmetric kernel", "autogptq/marlin", dense(func(s *Subject) { s.Sym = nil }), Unknown, []string{"wrong for asymmetric"}},

		// Formats and architectures.
		{"v2, AutoGPTQ", "autogptq/exllamav2", dense(func(s *Subject) { s.Format = "gptq_v2" }), No, []string{"format gptq_v2"}},
		{"v2, TGI", "tgi/triton", dense(func(s *Subject) { s.Format = "gptq_v2" }), Unknown, []string{"not known whether"}},
		{"v2, old vLLM", "vllm/gptq", dense(func(s *Subject) { s.Format = "gptq_v2" }), Caveat, []string{"October 2025"}},
		{"Marlin's own format", "exllamav2", dense(func(s *Subject) { s.Format = "marlin" }), No, []string{"format marlin"}},
		{"Marlin's own format, AutoGPTQ", "autogptq/marlin", dense(func(s *Subject) { s.Format = "marlin" }), Yes, nil},
		{"no format stated", "exllamav2", dense(func(s *Subject) { s.Format = "" }), Yes, nil},
		{"planar 3-bit", "qbranch", dense(func(s *Subject) { s.Bits, s.Format = 3, "gptq_p" }), No, []string{"planar"}},
		{"planar 4-bit", "qbranch", dense(func(s *Subject) { s.Format = "gptq_p" }), Yes, nil},
		{"an architecture nobody knows", "vllm/marlin", dense(func(s *Subject) { s.Arch = "brand_new" }), Unknown, []string{"architecture brand_new"}},
		{"an architecture that is refused", "autogptq/triton", dense(func(s *Subject) { s.Arch = "qwen3" }), No, []string{"qwen3"}},
		{"Yi and yi", "autogptq/triton", dense(func(s *Subject) { s.Arch = "yi" }), Yes, nil},
		{"no architecture", "exllama", dense(func(s *Subject) { s.Arch = "" }), Unknown, []string{"the architecture is not known"}},
		{"Mixtral, AutoGPTQ", "autogptq/triton", mixtral(4, 128), Caveat, []string{"AutoGPTQ 0.6 and transformers 4.36"}},
		{"a Mistral as a Llama", "exllama", dense(func(s *Subject) { s.Arch = "mistral" }), Caveat, []string{"sliding window"}},
		{"a router that is not listed away, of no Mixtral", "transformers", dense(nil), Caveat, nil},

		{"bfloat16, old vLLM", "vllm/gptq", dense(func(s *Subject) { s.DType = "bfloat16" }), Caveat, []string{"--dtype half"}},
		{"bfloat16, Marlin", "vllm/marlin", dense(func(s *Subject) { s.DType = "bfloat16" }), Yes, nil},
		{"no type stated", "sglang/gptq", dense(func(s *Subject) { s.DType = "" }), Caveat, []string{"if it is torch_dtype bfloat16 (not known)"}},
		{"v2, machete", "gptqmodel/machete", dense(func(s *Subject) { s.Format = "gptq_v2" }), No, []string{"format gptq_v2: GPTQModel machete reads gptq only"}},

		// Experts.
		{"experts Marlin cannot take", "vllm/marlin", moe(func(s *Subject) { s.ExpertInter = 1400 }), No, []string{"falls back to moe_wna16"}},
		{"experts, groups larger than a part", "vllm/marlin", moe(func(s *Subject) { s.TensorParallel = 4 }), No, []string{"falls back"}},
		{"moe_wna16, 8-bit", "vllm/moe_wna16", moe(func(s *Subject) { s.Bits = 8 }), No, []string{"assertion"}},
		{"moe_wna16, 8-bit, one group", "vllm/moe_wna16", moe(func(s *Subject) { s.Bits, s.GroupSize = 8, -1 }), Yes, nil},
		{"a router in floating point", "vllm/marlin", moe(nil), Yes, nil},
		{"a quantised router", "vllm/marlin", moe(func(s *Subject) { s.RouterPacked = ptr(true) }), No, []string{"its router is quantised"}},
		{"a router not seen", "vllm/marlin", moe(func(s *Subject) { s.RouterPacked = nil }), Unknown, []string{"if it is one with a quantised router (not known)"}},
		{"a quantised router elsewhere", "gptqmodel/marlin", moe(func(s *Subject) { s.RouterPacked = ptr(true) }), Yes, nil},
		{"moe_wna16 on a dense model", "vllm/moe_wna16", dense(nil), No, []string{"for the experts of a mixture only"}},

		// Shapes and files.
		{"columns", "gptqmodel/machete", dense(func(s *Subject) { s.Matrices = []Matrix{{4096, 4160, false}} }), No, []string{"4160 columns"}},
		{"rows and columns", "vllm/cpu", dense(func(s *Subject) { s.Matrices = []Matrix{{100, 100, false}} }), No, []string{"100 rows", "100 columns"}},
		{"shapes not known", "exllamav2", dense(func(s *Subject) { s.Matrices = nil }), Caveat, []string{"rows in multiples of 32, columns of 32 and whole groups"}},
		{"shards", "autogptq/marlin", dense(func(s *Subject) { s.Shards = 2 }), No, []string{"2 weight files"}},
		{"shards not known", "autogptq/marlin", dense(func(s *Subject) { s.Shards = 0 }), Caveat, []string{"only if the weights are a single file"}},
		{"no g_idx", "mistralrs", dense(func(s *Subject) { s.GIdx = ptr(false) }), No, []string{"no g_idx"}},
		{"g_idx not known", "mistralrs", dense(func(s *Subject) { s.GIdx = nil }), Caveat, []string{"only if the file has g_idx"}},
		{"act-order has g_idx", "mistralrs", act(func(s *Subject) { s.GIdx = nil }), Yes, nil},
		{"mixed bits", "exllamav2", dense(func(s *Subject) { s.Mixed = true }), Unknown, []string{"dynamic"}},
		{"mixed bits, vLLM", "vllm/marlin", dense(func(s *Subject) { s.Mixed = true }), Yes, nil},
		{"a quantised head", "exllamav2", dense(func(s *Subject) { s.LMHead = true }), Unknown, []string{"head"}},

		// Tensor parallel.
		{"split", "vllm/marlin", dense(func(s *Subject) { s.TensorParallel = 2 }), Yes, nil},
		{"split, groups", "vllm/gptq", dense(func(s *Subject) { s.TensorParallel = 4 }), No, []string{"2752 rows a card are no whole groups of 128", "not aligned"}},
		{"split, act-order", "vllm/gptq", act(func(s *Subject) { s.TensorParallel = 4 }), No, []string{"keeps all scales", "not aligned"}},
		{"split, act-order, whole groups", "vllm/gptq", act(func(s *Subject) { s.TensorParallel = 2 }), Caveat, []string{"keeps all scales"}},
		{"split, act-order, where every card has all scales", "tgi/triton", act(func(s *Subject) { s.TensorParallel = 4 }), Caveat, []string{"keeps all scales"}},
		{"rows or columns", "tgi/marlin", dense(func(s *Subject) { s.Matrices = []Matrix{{4160, 4160, false}} }), No, []string{"one of them to be a multiple of 128"}},
		{"rows, columns not", "tgi/marlin", dense(func(s *Subject) { s.Matrices = []Matrix{{4096, 4160, false}} }), Yes, nil},
		{"split, columns", "vllm/marlin", dense(func(s *Subject) { s.TensorParallel = 3 }), No, []string{"4096 columns cannot be split", "4096 rows cannot be split"}},
		{"split where nothing can", "autogptq/triton", dense(func(s *Subject) { s.TensorParallel = 2 }), No, []string{"cannot split matrices"}},
		{"split Mixtral, ExLlamaV2", "exllamav2", mixtralOn(2), No, []string{"Llama, Mistral, Qwen2"}},
		{"split, shapes not known", "vllm/marlin", dense(func(s *Subject) { s.TensorParallel, s.Matrices = 2, nil }), Unknown, []string{"shapes of the matrices are not known"}},

		// Hardware.
		{"a card that is too old", "vllm/marlin", on(Machine{OS: "linux", Vendor: "nvidia", CC: "6.1"}), No, []string{"needs compute capability 7.5 or newer; this card has 6.1"}},
		{"compute capability counts as numbers", "gptqmodel/machete", on(Machine{OS: "linux", Vendor: "nvidia", CC: "12.0"}), Yes, nil},
		{"a card that is too new", "gptqmodel/swordfish", on(Machine{OS: "linux", Vendor: "nvidia", CC: "12.0"}), No, []string{"10.0 to below 12.0; this card has 12.0"}},
		{"8-bit with desc_act, swordfish", "gptqmodel/swordfish", act(func(s *Subject) { s.Bits, s.GroupSize = 8, -1 }), No, []string{"refuses that"}},
		{"a card without a number", "vllm/marlin", on(Machine{OS: "linux", Vendor: "nvidia"}), Caveat, []string{"that of this card is not known"}},
		{"Turing", "gptqmodel/marlin", on(Machine{OS: "linux", Vendor: "nvidia", CC: "7.5"}), Caveat, []string{"float16 only"}},
		{"another system", "vllm/marlin", on(Machine{OS: "windows", Vendor: "nvidia", CC: "8.9"}), No, []string{"runs on Linux only"}},
		{"AMD", "exllamav2", on(Machine{OS: "linux", Vendor: "amd"}), Yes, nil},
		{"AMD, CUDA only", "gptqmodel/marlin", on(Machine{OS: "linux", Vendor: "amd"}), No, []string{"this card is AMD"}},
		{"Apple", "exllamav2", on(Machine{OS: "darwin", Vendor: "apple"}), No, []string{"this card is Apple"}},
		{"no card", "exllamav2", on(Machine{OS: "linux", Vendor: "none"}), No, []string{"needs an NVIDIA card or an AMD card"}},
		{"no card known", "exllamav2", on(Machine{OS: "linux"}), Unknown, []string{"no graphics card is known"}},
		{"a CPU kernel beside a card", "qbranch", on(Machine{OS: "linux", Vendor: "nvidia", CC: "8.9"}), Caveat, []string{"does not use this card"}},
		{"a CPU kernel", "vllm/cpu", on(Machine{OS: "linux", Vendor: "none", CPU: []string{"avx2", "avx512f"}}), Caveat, []string{"a build of its own"}},
		{"experts on a CPU", "vllm/cpu", func() Subject {
			s := mixtral(4, -1)
			s.Machine = &Machine{OS: "linux", Vendor: "none", CPU: []string{"avx512f"}}
			return s
		}(), Caveat, []string{"June 2026", "AMX"}},
		{"experts with act-order on a CPU", "vllm/cpu", mixtral(4, 128), Unknown, []string{"not given g_idx"}},
		{"a Mixtral over two cards, old", "vllm/gptq", func() Subject { s := mixtral(3, -1); s.TensorParallel = 2; return s }(), Caveat, []string{"2024 or newer"}},
		{"no card: AutoGPTQ", "autogptq/cuda", on(Machine{Vendor: "none"}), Caveat, []string{"not even be imported", "slow"}},
		{"bfloat16, AutoGPTQ's Marlin", "autogptq/marlin", dense(func(s *Subject) { s.DType = "bfloat16" }), Caveat, []string{"float16"}},
		{"a CPU nobody looked at", "neural-speed", on(Machine{OS: "linux", Vendor: "none"}), Caveat, []string{"AVX2"}},
		{"8-bit without a card: torch", "autogptq/cuda", func() Subject { s := on(Machine{Vendor: "none"}); s.Bits = 8; return s }(), Caveat, []string{"slow"}},
	} {
		v := rowFor(t, tc.id).Evaluate(tc.s)
		if v.Loads != tc.want {
			t.Errorf("%s: %s: %s %q, want %s", tc.name, tc.id, v.Loads, v.Why, tc.want)
		}
		for _, want := range tc.why {
			if !slices.ContainsFunc(v.Why, func(why string) bool { return strings.Contains(why, want) }) {
				t.Errorf("%s: %s says %q, want %q in it", tc.name, tc.id, v.Why, want)
			}
		}
	}
}

func on(m Machine) Subject { return dense(func(s *Subject) { s.Machine = &m }) }

func mixtralOn(cards int) Subject {
	s := mixtral(4, 128)
	s.TensorParallel = cards
	return s
}

// Nothing known of a checkpoint, nothing promised.
func TestNothingKnown(t *testing.T) {
	for _, v := range Evaluate(Subject{}) {
		if v.Loads == Yes || v.Loads == Caveat {
			t.Errorf("%s: %s of a checkpoint nothing is known of", v.ID, v.Loads)
		}
	}
}

// random draws a checkpoint; of each fact it may be that it is not known.
func random(r *rand.Rand) Subject {
	maybe := func() *bool {
		return [3]*bool{nil, ptr(true), ptr(false)}[r.IntN(3)]
	}
	pick := func(list ...int) int { return list[r.IntN(len(list))] }
	s := Subject{
		Bits: pick(0, 2, 3, 4, 8), GroupSize: pick(-1, 0, 16, 32, 96, 128), DescAct: maybe(), Permuted: maybe(), StaticGroups: maybe(), Sym: maybe(),
		Format: []string{"", "gptq", "gptq_v2", "gptq_p", "marlin"}[r.IntN(5)], Mixed: r.IntN(8) == 0, LMHead: r.IntN(8) == 0,
		Arch:    []string{"", "llama", "mistral", "mixtral", "qwen2_moe", "falcon", "brand_new"}[r.IntN(7)],
		Experts: pick(0, 0, 8), Hidden: pick(0, 2048, 2000), ExpertInter: pick(0, 1408, 1400), RouterListed: maybe(), RouterPacked: maybe(), Shards: pick(0, 1, 3), GIdx: maybe(),
		TensorParallel: pick(0, 0, 2, 3),
	}
	if r.IntN(3) > 0 {
		s.Matrices = []Matrix{{K: pick(4096, 4128, 4000), N: pick(4096, 4160, 100)}, {K: pick(11008, 11000), N: 4096, Row: true}}
	}
	if r.IntN(2) == 0 {
		s.Machine = &Machine{OS: []string{"", "linux", "windows"}[r.IntN(3)], Vendor: []string{"", "none", "nvidia", "amd", "apple", "intel", "else"}[r.IntN(7)],
			CC: []string{"", "7.5", "8.6", "9.0", "x"}[r.IntN(5)]}
	}
	return s
}

// What is said without knowing a fact holds whatever the fact is: forgetting
// one never makes a yes of anything else, nor a no.
func TestForgetting(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	forget := map[string]func(*Subject){
		"bits": func(s *Subject) { s.Bits = 0 }, "group size": func(s *Subject) { s.GroupSize = 0 }, "desc_act": func(s *Subject) { s.DescAct = nil },
		"architecture": func(s *Subject) { s.Arch = "" }, "matrices": func(s *Subject) { s.Matrices = nil }, "shards": func(s *Subject) { s.Shards = 0 },
		"g_idx": func(s *Subject) { s.GIdx = nil }, "router": func(s *Subject) { s.RouterListed = nil }, "quantised router": func(s *Subject) { s.RouterPacked = nil }, "width": func(s *Subject) { s.Hidden = 0 },
	}
	rows := Engines()
	for range 120 {
		s := random(r)
		for fact, f := range forget {
			less := s
			f(&less)
			for _, e := range rows {
				v, with := e.Evaluate(less), e.Evaluate(s)
				if v.Loads == Yes && with.Loads != Yes || v.Loads == No && with.Loads != No {
					t.Fatalf("%s: without the %s %s %q, with it %s %q: %+v", v.ID, fact, v.Loads, v.Why, with.Loads, with.Why, s)
				}
			}
		}
	}
}

// Every verdict but yes has a reason, each once, best kernels come first, and
// everything can be written as JSON and a line.
func TestVerdictsAreWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 150 {
		verdicts := Evaluate(random(r))
		for _, v := range verdicts {
			if v.Loads.rank() < 0 || (v.Loads == Yes) != (len(v.Why) == 0) {
				t.Fatalf("%s: %s %q", v.ID, v.Loads, v.Why)
			}
			for i, why := range v.Why {
				if slices.Contains(v.Why[:i], why) || strings.Contains(why, "%!") || why == "" {
					t.Fatalf("%s: %q", v.ID, v.Why)
				}
			}
		}
		families := Families(verdicts)
		for _, f := range families {
			if !slices.IsSortedFunc(f.Kernels, func(a, b Verdict) int { return a.Loads.rank() - b.Loads.rank() }) || f.Loads != f.Kernels[0].Loads {
				t.Fatalf("%s: %+v", f.ID, f.Kernels)
			}
			if line := f.Line(); strings.ContainsAny(line, "\n\t") || f.Loads == No && !strings.HasPrefix(line, "no: ") {
				t.Fatalf("%s: %q", f.ID, line)
			}
		}
		if _, err := json.Marshal(families); err != nil {
			t.Fatal(err)
		}
	}
}

// What a hostile configuration says is repeated in part, and without control
// characters.
func TestReasonsAreBounded(t *testing.T) {
	long := "\x1b[2J" + strings.Repeat("x", 1<<20)
	s := dense(func(s *Subject) { s.Arch, s.Format, s.Quantizer, s.DType = long, long, long, long })
	for _, v := range Evaluate(s) {
		for _, why := range v.Why {
			if len(why) > 500 || strings.ContainsRune(why, '\x1b') {
				t.Fatalf("%s: %.600q", v.ID, why)
			}
		}
	}
}

func TestFamilyLines(t *testing.T) {
	for _, tc := range []struct {
		family string
		s      Subject
		want   string
	}{
		{"tgi", mixtral(3, 128), "no: 3-bit: TGI has 2-, 4- and 8-bit kernels only"},
		{"gptqmodel", mixtral(4, 128), "yes (marlin, machete, swordfish and 4 kernels more)"},
		{"exllamav2", mixtral(4, 128), "yes"},
		{"vllm", mixtral(4, 128), "yes (marlin)"},
		{"exllama", mixtral(3, 128), "no: 3-bit: ExLlama has 4-bit kernels only (and 1 reason more)"},
		{"gptqmodel", mixtral(3, 128), "with a caveat (triton, torch): 3-bit needs a version of 2026: before, its Triton kernel did not compile or read wrong values"},
		{"openvino", dense(func(s *Subject) { s.DescAct = nil }), "unknown: desc_act is not known; with act-order: OpenVINO drops g_idx, loads and computes nonsense"},
	} {
		for _, f := range Families(Evaluate(tc.s)) {
			if f.ID == tc.family && f.Line() != tc.want {
				t.Errorf("%s: %q, want %q", f.ID, f.Line(), tc.want)
			}
		}
	}
	// Verdicts that were kept elsewhere give lines too.
	kept := Families([]Verdict{{ID: "tgi/marlin", Family: "tgi", Loads: No, Why: []string{"a"}}, {ID: "tgi/triton", Family: "tgi", Loads: No, Why: []string{"b"}}})
	if len(kept) != 1 || kept[0].Line() != "no: a" {
		t.Errorf("kept verdicts: %+v", kept)
	}
	if got := Summary(Families(Evaluate(mixtral(4, 128)))); !strings.HasPrefix(got, "GPTQModel, vLLM, SGLang, TGI, ExLlamaV2") {
		t.Errorf("summary %q", got)
	}
	if got := Summary(nil); got != "none" {
		t.Errorf("summary of nothing %q", got)
	}
}

func TestSubjectOf(t *testing.T) {
	const config = `{"model_type":"mixtral","hidden_size":128,"intermediate_size":256,"num_hidden_layers":2,"num_attention_heads":4,
		"num_key_value_heads":2,"vocab_size":100,"num_local_experts":8,"num_experts_per_tok":2,
		"quantization_config":{"bits":4,"group_size":32,"desc_act":true,"sym":true,"quant_method":"gptq","modules_in_block_to_quantize":[["a"]],
		"dynamic":{"x":{"bits":8}}}}`
	cfg, _, err := quant.ParseModelConfig([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	m, err := quant.ParseModel([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Modules = nil
	l, err := quant.LayoutOf(cfg, m, quant.LayoutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := SubjectOf(cfg, m, l)
	if s.Bits != 4 || s.GroupSize != 32 || s.Arch != "mixtral" || s.Experts != 8 || s.ExpertInter != 256 || !s.Mixed || *s.RouterListed {
		t.Errorf("%+v", s)
	}
	for _, want := range []Matrix{{128, 128, true}, {128, 128, false}, {128, 64, false}, {128, 256, false}, {256, 128, true}} {
		if !slices.Contains(s.Matrices, want) {
			t.Errorf("no matrix %+v in %+v", want, s.Matrices)
		}
	}
	yes, no := true, false
	if s := SubjectOf(quant.Config{DescAct: &no, Sym: &yes, Dynamic: []quant.Rule{{DescAct: &yes}, {Sym: &no}, {DescAct: &no, Sym: &yes}}}, nil, quant.Layout{}); !*s.DescAct || *s.Sym || s.Mixed {
		t.Errorf("by rules: act-order %v, symmetric %v, mixed %v", *s.DescAct, *s.Sym, s.Mixed)
	}
	if empty := SubjectOf(quant.Config{}, nil, quant.Layout{}); empty.GroupSize != 0 || empty.Arch != "" || empty.Matrices != nil {
		t.Errorf("of nothing: %+v", empty)
	}
}

// What the headers show counts more than what a configuration implies.
func TestMeasure(t *testing.T) {
	tensor := func(name string, shape ...int64) safetensors.Tensor {
		return safetensors.Tensor{Name: name, DType: "I32", Shape: shape}
	}
	linear := func(name string, bits, k, n, groups int64) []safetensors.Tensor {
		return []safetensors.Tensor{tensor(name+".qweight", k*bits/32, n), tensor(name+".qzeros", groups, n*bits/32), tensor(name+".scales", groups, n), tensor(name+".g_idx", k)}
	}
	q, down := linear("l.0.q_proj", 4, 128, 64, 4), linear("l.0.down_proj", 4, 256, 128, 8)
	s := dense(func(s *Subject) { s.GIdx = nil })
	s.Measure([]*safetensors.Header{{Tensors: q}, {Tensors: down}})
	if !slices.Equal(s.Matrices, []Matrix{{128, 64, false}, {256, 128, true}}) || s.GIdx == nil || !*s.GIdx || s.Mixed {
		t.Errorf("%+v", s)
	}
	s.Measure([]*safetensors.Header{{Tensors: q[:3]}, {Tensors: linear("l.0.k_proj", 8, 128, 64, 4)}})
	if *s.GIdx || !s.Mixed {
		t.Errorf("one without g_idx, one of 8 bits: %+v", s)
	}
	for part, want := range map[string]bool{"weight": false, "qweight": true} {
		s.RouterPacked = nil
		s.Measure([]*safetensors.Header{{Tensors: []safetensors.Tensor{tensor("l.0.mlp.gate."+part, 4, 4)}}})
		if s.RouterPacked == nil || *s.RouterPacked != want {
			t.Errorf("gate.%s: %+v", part, s)
		}
	}
	s.Measure([]*safetensors.Header{{Tensors: q[:3]}, {Tensors: linear("l.0.k_proj", 8, 128, 64, 4)}})
	before := s
	s.Measure([]*safetensors.Header{{Tensors: []safetensors.Tensor{tensor("norm.weight", 4)}}})
	if !slices.Equal(s.Matrices, before.Matrices) || s.GIdx != before.GIdx {
		t.Errorf("nothing quantised: %+v", s)
	}
	s.Measure([]*safetensors.Header{{Tensors: []safetensors.Tensor{tensor("x.qweight", 4), tensor("y.qweight", 4, 4)}}})
	if len(s.Matrices) != 0 || *s.GIdx {
		t.Errorf("nonsense: %+v", s)
	}
}

func BenchmarkEvaluate(b *testing.B) {
	s := mixtral(4, 128)
	b.ReportAllocs()
	for b.Loop() {
		Families(Evaluate(s))
	}
}

// A card that stands for any of its kind is no objection to a kernel that needs a
// newer one, and programs that do not use it are told apart.
func TestAnyCard(t *testing.T) {
	s := mixtral(4, 128)
	s.Machine = &Machine{Vendor: "nvidia", AnyCC: true}
	if v := rowFor(t, "vllm/marlin").Evaluate(s); v.Loads != Yes || v.OnCPU {
		t.Errorf("vLLM marlin: got %s %q", v.Loads, v.Why)
	}
	families := Families(Evaluate(s))
	for _, f := range families {
		if f.ID == "tgi" && (f.Kernels[0].ID != "tgi/marlin" || f.OnCPU) {
			t.Errorf("TGI: got %s first", f.Kernels[0].ID)
		}
		if onCPU := f.ID == "qbranch" || f.ID == "neural-speed"; f.OnCPU != onCPU && f.Loads != No {
			t.Errorf("%s: got on the CPU %v", f.ID, f.OnCPU)
		}
	}
	if got := Summary(families); !strings.HasSuffix(got, "; on the CPU: neural-speed, qbranch gen") || strings.Contains(got, "llama.cpp") {
		t.Errorf("got %q", got)
	}
}
