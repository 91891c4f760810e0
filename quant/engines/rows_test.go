package engines

import (
	"slices"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/quant/vram"
)

// dense is a plain Llama in the most common quantisation there is.
func dense(change func(*Subject)) Subject {
	s := Subject{
		Bits: 4, GroupSize: 128, DescAct: ptr(false), Sym: ptr(true), Format: "gptq", Arch: "llama", DType: "float16", Hidden: 4096,
		RouterListed: ptr(false), Shards: 1, GIdx: ptr(true),
		Matrices: []Matrix{{4096, 4096, false}, {4096, 4096, true}, {4096, 11008, false}, {11008, 4096, true}},
	}
	if change != nil {
		change(&s)
	}
	return s
}

func moe(change func(*Subject)) Subject {
	s := mixtral(4, 128)
	s.RouterPacked = ptr(false)
	s.Arch, s.DescAct, s.Experts, s.Hidden, s.ExpertInter = "qwen2_moe", ptr(false), 60, 2048, 1408
	s.Matrices = []Matrix{{2048, 2048, false}, {2048, 2048, true}, {2048, 1408, false}, {1408, 2048, true}}
	if change != nil {
		change(&s)
	}
	return s
}

// Every row has a checkpoint it loads and one it does not, with the reason.
func TestEveryRow(t *testing.T) {
	three := dense(func(s *Subject) { s.Bits = 3 })
	cases := []struct {
		id      string
		loads   Subject
		want    Loads
		refuses Subject
		because string
	}{
		{id: "autogptq/exllamav2", loads: dense(nil), want: Yes, refuses: three, because: "3-bit: AutoGPTQ exllamav2 has 4-bit kernels only"},
		{id: "autogptq/exllama", loads: dense(nil), want: Yes, refuses: three, because: "has 4-bit kernels only"},
		{id: "autogptq/marlin", loads: dense(nil), want: Yes, refuses: dense(func(s *Subject) { s.GroupSize = 64 }), because: "group size 64: AutoGPTQ marlin takes -1 and 128 only"},
		{id: "autogptq/triton", loads: dense(func(s *Subject) { s.Bits = 8 }), want: Yes, refuses: three, because: "2-, 4- and 8-bit kernels only"},
		{id: "autogptq/cuda", loads: three, want: Yes, refuses: dense(func(s *Subject) { s.Bits = 8 }), because: "cuts the zero point 128 down to 0"},
		{id: "autogptq/cuda_old", loads: three, want: Yes, refuses: dense(func(s *Subject) { s.DescAct = ptr(true) }), because: "act-order: AutoGPTQ cuda_old has no kernel for it"},
		{id: "autogptq/qigen", loads: dense(nil), want: Caveat, refuses: dense(func(s *Subject) { s.DescAct = ptr(true) }), because: "drops g_idx"},
		{id: "gptqmodel/marlin", loads: dense(nil), want: Yes, refuses: dense(func(s *Subject) { s.Sym = ptr(false) }), because: "asymmetric zero points"},
		{id: "gptqmodel/machete", loads: dense(nil), want: Yes, refuses: dense(func(s *Subject) { s.Shards = 3 }), because: "3 weight files"},
		{id: "gptqmodel/swordfish", loads: dense(nil), want: Yes, refuses: dense(func(s *Subject) { s.Machine = &Machine{Vendor: "nvidia", CC: "9.0"} }), because: "10.0 to below 12.0; this card has 9.0"},
		{id: "gptqmodel/exllamav2", loads: dense(nil), want: Yes, refuses: three, because: "4-bit kernels only"},
		{id: "gptqmodel/triton", loads: three, want: Caveat, refuses: dense(func(s *Subject) { s.GroupSize = 48 }), because: "group size 48"},
		{id: "gptqmodel/bitblas", loads: dense(nil), want: Yes, refuses: dense(func(s *Subject) { s.DescAct = ptr(true) }), because: "no kernel for it"},
		{id: "gptqmodel/torch", loads: three, want: Caveat, refuses: dense(func(s *Subject) { s.GroupSize = 96 }), because: "group size 96"},
		{id: "gptqmodel/torch_aten", loads: dense(nil), want: Yes, refuses: dense(func(s *Subject) { s.GroupSize = -1 }), because: "one group per column (-1)"},
		{id: "gptqmodel/torch_fused", loads: dense(nil), want: Yes, refuses: three, because: "4-bit kernels only"},
		{id: "gptqmodel/torch_int8", loads: dense(nil), want: Caveat, refuses: three, because: "2-, 4- and 8-bit kernels only"},
		{id: "vllm/marlin", loads: dense(func(s *Subject) { s.Bits = 8 }), want: Yes, refuses: three, because: "4- and 8-bit kernels only"},
		{id: "vllm/moe_wna16", loads: moe(nil), want: Yes, refuses: moe(func(s *Subject) { s.DescAct = ptr(true) }), because: "drops g_idx"},
		{id: "vllm/humming", loads: dense(func(s *Subject) { s.Bits = 2 }), want: Caveat, refuses: dense(func(s *Subject) { s.Format = "gptq_v2" }), because: "format gptq_v2"},
		{id: "vllm/gptq", loads: three, want: Caveat, refuses: dense(func(s *Subject) { s.GroupSize = 96 }), because: "does not divide"},
		{id: "vllm/cpu", loads: dense(nil), want: Caveat, refuses: dense(func(s *Subject) { s.Machine = &Machine{OS: "linux", Vendor: "none", CPU: []string{"avx2"}} }), because: "needs a CPU with AVX512F"},
		{id: "sglang/gptq_marlin", loads: dense(nil), want: Yes, refuses: three, because: "4- and 8-bit kernels only"},
		{id: "sglang/gptq", loads: three, want: Yes, refuses: moe(nil), because: "experts with gptq_marlin only"},
		{id: "tgi/marlin", loads: dense(nil), want: Yes, refuses: dense(func(s *Subject) { s.Sym = nil }), because: "takes it for false"},
		{id: "tgi/exllama", loads: dense(nil), want: Yes, refuses: dense(func(s *Subject) { s.DescAct, s.GroupSize = ptr(true), -1 }), because: "where it means nothing"},
		{id: "tgi/triton", loads: dense(nil), want: Caveat, refuses: three, because: "2-, 4- and 8-bit kernels only"},
		{id: "tgi/ipex", loads: dense(nil), want: Yes, refuses: dense(func(s *Subject) { s.GIdx = ptr(false) }), because: "the file has no g_idx"},
		{id: "exllamav2", loads: mixtral(4, 32), want: Yes, refuses: mixtral(3, 32), because: "3-bit: ExLlamaV2 has 4-bit kernels only (error: “q_weight and gptq_qzeros have incompatible shapes”)"},
		{id: "exllama", loads: dense(nil), want: Yes, refuses: mixtral(4, 128), because: "architecture mixtral: ExLlama runs llama and mistral only"},
		{id: "transformers", loads: dense(nil), want: Caveat, refuses: func() Subject { s := mixtral(4, 128); s.RouterListed = ptr(false); return s }(), because: "takes the router for a quantised layer"},
		{id: "textgen/exllamav2", loads: dense(nil), want: Caveat, refuses: three, because: "4-bit kernels only"},
		{id: "textgen/exllama", loads: dense(nil), want: Caveat, refuses: three, because: "4-bit kernels only"},
		{id: "textgen/autogptq", loads: three, want: Caveat, refuses: dense(func(s *Subject) { s.Bits = 8 }), because: "cuts the zero point"},
		{id: "textgen/transformers", loads: three, want: Caveat, refuses: dense(func(s *Subject) { s.GroupSize = 96 }), because: "group size 96"},
		{id: "textgen/gptq-for-llama", loads: three, want: Caveat, refuses: dense(func(s *Subject) { s.DescAct = ptr(true) }), because: "no kernel for it"},
		{id: "gptq-for-llama/triton", loads: dense(func(s *Subject) { s.DescAct = ptr(true) }), want: Yes, refuses: mixtral(4, 128), because: "before there were mixtures of experts"},
		{id: "gptq-for-llama/cuda", loads: three, want: Yes, refuses: dense(func(s *Subject) { s.DescAct = ptr(true) }), because: "no kernel for it"},
		{id: "mistralrs", loads: dense(nil), want: Yes, refuses: dense(func(s *Subject) { s.Machine = &Machine{Vendor: "none"} }), because: "needs an NVIDIA card"},
		{id: "llamacpp", loads: dense(nil), want: No, refuses: dense(nil), because: "does not run GPTQ"},
		{id: "openvino", loads: dense(nil), want: Yes, refuses: dense(func(s *Subject) { s.DescAct = ptr(true) }), because: "drops g_idx"},
		{id: "neural-speed", loads: dense(nil), want: Yes, refuses: three, because: "ten values a word"},
		{id: "qbranch", loads: mixtral(3, 128), want: Yes, refuses: moe(nil), because: "architecture qwen2_moe: qbranch gen runs llama, mistral and mixtral only"},
	}
	var tried []string
	for _, tc := range cases {
		tried = append(tried, tc.id)
		e := rowFor(t, tc.id)
		if v := e.Evaluate(tc.loads); v.Loads != tc.want {
			t.Errorf("%s: %s %q, want %s", tc.id, v.Loads, v.Why, tc.want)
		}
		v := e.Evaluate(tc.refuses)
		if v.Loads != No || !strings.Contains(strings.Join(v.Why, "\n"), tc.because) {
			t.Errorf("%s: %s %q, want no, because %q", tc.id, v.Loads, v.Why, tc.because)
		}
	}
	for _, e := range Engines() {
		if !slices.Contains(tried, e.ID) {
			t.Errorf("%s: no case", e.ID)
		}
	}
}

// A row says what a row has to say.
func TestRowsAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range Engines() {
		if seen[e.ID] {
			t.Errorf("%s is there twice", e.ID)
		}
		seen[e.ID] = true
		if e.Name == "" || e.AsOf == "" || len(e.Sources) == 0 || len(e.Bits) == 0 || len(e.Formats) == 0 || len(e.Needs.Devices) == 0 {
			t.Errorf("%s: %+v lacks something", e.ID, e)
		}
		if e.ActOrder == "" || e.Asym == "" || e.Default == "" {
			t.Errorf("%s: act-order %q, asymmetric %q, missing sym %q", e.ID, e.ActOrder, e.Asym, e.Default)
		}
		if e.ID != e.Family && !strings.HasPrefix(e.ID, e.Family+"/") {
			t.Errorf("%s is not of the family %s", e.ID, e.Family)
		}
		if _, ok := vram.ProfileFor(e.Profile); !ok || e.Profile == "" {
			t.Errorf("%s: no memory profile %q", e.ID, e.Profile)
		}
		onlyCPU := slices.Equal(e.Needs.Devices, []string{"cpu"})
		if p, _ := vram.ProfileFor(e.Profile); onlyCPU && !p.RAM || p.RAM && !slices.Contains(e.Needs.Devices, "cpu") {
			t.Errorf("%s runs on %v, and its memory profile is %s", e.ID, e.Needs.Devices, e.Profile)
		}
		if text := e.Needs.String(); text == "" || strings.Contains(text, ", or") || strings.HasSuffix(text, ", ") {
			t.Errorf("%s needs %q", e.ID, text)
		}
		for _, n := range e.Notes {
			if n.Source == "" || n.Text == "" || len(n.When) == 0 || n.Loads == Yes || n.Loads.rank() < 0 {
				t.Errorf("%s: note %+v", e.ID, n)
			}
		}
		for _, source := range append(slices.Clone(e.Sources), e.AsOf) {
			if strings.TrimSpace(source) == "" {
				t.Errorf("%s: an empty source", e.ID)
			}
		}
	}
	for _, f := range FamilyList() {
		if strings.ContainsAny(f.Name, "/") || f.Name == "" {
			t.Errorf("%s is called %q", f.ID, f.Name)
		}
	}
}

func TestLookup(t *testing.T) {
	for _, tc := range []struct {
		id   string
		rows int
	}{
		{"vllm", 5}, {"VLLM/Marlin", 1}, {"exllamav2", 1}, {"qbranch", 1}, {"", 0}, {"llama", 0}, {"vllm/", 0},
	} {
		rows, ok := Lookup(tc.id)
		if len(rows) != tc.rows || ok != (tc.rows > 0) {
			t.Errorf("Lookup(%q) = %d rows, %v, want %d", tc.id, len(rows), ok, tc.rows)
		}
	}
	for _, id := range IDs(true) {
		if _, ok := Lookup(id); !ok {
			t.Errorf("IDs lists %q, which Lookup does not find", id)
		}
	}
	if n, all := len(IDs(false)), len(FamilyList()); n != all {
		t.Errorf("IDs(false) = %d names, want %d", n, all)
	}
}
