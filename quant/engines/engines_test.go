package engines

import (
	"slices"
	"strings"
	"testing"
)

func ptr[T any](v T) *T { return &v }

// mixtral is a branch of the repository whose eight branches everything here is
// measured by: act-order, symmetric, one file, AutoGPTQ's writing.
func mixtral(bits, groupSize int) Subject {
	return Subject{
		Bits: bits, GroupSize: groupSize, DescAct: ptr(true), Sym: ptr(true), Format: "gptq", Arch: "mixtral", DType: "float16",
		Experts: 8, Hidden: 4096, ExpertInter: 14336, RouterListed: ptr(true), Shards: 1, GIdx: ptr(true),
		Matrices: []Matrix{{4096, 4096, false}, {4096, 4096, true}, {4096, 1024, false}, {4096, 14336, false}, {14336, 4096, true}},
	}
}

// Which kernels load the eight reference branches: those named, and no others.
func TestReferenceBranches(t *testing.T) {
	four := "autogptq/exllamav2 autogptq/exllama autogptq/triton autogptq/cuda gptqmodel/marlin gptqmodel/machete gptqmodel/swordfish " +
		"gptqmodel/exllamav2 gptqmodel/triton gptqmodel/torch gptqmodel/torch_fused gptqmodel/torch_int8 vllm/marlin vllm/gptq sglang/gptq_marlin sglang/gptq " +
		"tgi/marlin tgi/triton tgi/ipex exllamav2 transformers textgen/exllamav2 textgen/autogptq textgen/transformers mistralrs neural-speed qbranch"
	eight := "autogptq/triton gptqmodel/marlin gptqmodel/machete gptqmodel/triton gptqmodel/torch gptqmodel/torch_int8 " +
		"vllm/marlin vllm/gptq sglang/gptq_marlin sglang/gptq tgi/marlin tgi/triton transformers textgen/transformers mistralrs neural-speed qbranch"
	three := "autogptq/cuda gptqmodel/triton gptqmodel/torch vllm/gptq sglang/gptq transformers textgen/autogptq textgen/transformers qbranch"
	for _, tc := range []struct {
		bits, group int
		want        string
	}{
		{4, 128, four + " gptqmodel/torch_aten"},
		{4, 32, strings.ReplaceAll(four, "gptqmodel/machete ", "") + " gptqmodel/torch_aten"},
		// With one group nothing is out of order: kernels without act-order do as well.
		{4, -1, four + " autogptq/cuda_old gptqmodel/bitblas vllm/moe_wna16 vllm/cpu"},
		{3, 128, three},
		{3, 32, three},
		{3, -1, three + " autogptq/cuda_old"},
		{8, 128, eight},
		{8, -1, eight + " gptqmodel/bitblas vllm/moe_wna16"},
	} {
		want := strings.Fields(tc.want)
		slices.Sort(want)
		var got []string
		for _, v := range Evaluate(mixtral(tc.bits, tc.group)) {
			if v.Loads == Yes || v.Loads == Caveat {
				got = append(got, v.ID)
			}
		}
		slices.Sort(got)
		for _, id := range got {
			if !slices.Contains(want, id) {
				t.Errorf("%d-bit %d: %s loads, want that it does not", tc.bits, tc.group, id)
			}
		}
		for _, id := range want {
			if !slices.Contains(got, id) {
				t.Errorf("%d-bit %d: %s does not load: %q", tc.bits, tc.group, id, rowFor(t, id).Evaluate(mixtral(tc.bits, tc.group)).Why)
			}
		}
	}
}

func rowFor(t *testing.T, id string) Engine {
	t.Helper()
	rows, ok := Lookup(id)
	if !ok || len(rows) != 1 {
		t.Fatalf("%s is not one row", id)
	}
	return rows[0]
}

// A program that does not load a checkpoint objects by the kernel that is made
// for its bits, not by one of other bits.
func TestReasonOfTheNearestKernel(t *testing.T) {
	s := mixtral(3, 128)
	s.TensorParallel = 3
	for _, f := range Families(Evaluate(s)) {
		if f.ID != "vllm" && f.ID != "gptq-for-llama" {
			continue
		}
		if f.Loads != No || f.Kernels[0].otherBits() || strings.HasPrefix(f.Why[0], "3-bit: ") {
			t.Errorf("%s: %s %q", f.ID, f.Loads, f.Why)
		}
	}
	s.Bits = 5
	for _, f := range Families(Evaluate(s)) {
		if f.ID == "vllm" && f.Why[0] != "5-bit: vLLM has 2-, 3-, 4- and 8-bit kernels only" {
			t.Errorf("%q", f.Why)
		}
	}
}

// Whom a person with one of the eight branches can turn to, in short: 4 bits run
// nearly everywhere, 3 bits in few programs and on no CPU at speed, 8 bits not in
// ExLlama and not by AutoGPTQ's own CUDA kernels.
func TestReferenceVerdict(t *testing.T) {
	server := &Machine{OS: "linux", Vendor: "nvidia", CC: "9.0"}
	desk := &Machine{OS: "linux", Vendor: "none", CPU: []string{"avx2"}}
	xeon := &Machine{OS: "linux", Vendor: "none", CPU: []string{"avx2", "avx512f"}}
	for _, tc := range []struct {
		name    string
		bits    int
		groups  []int
		machine *Machine
		loads   []string
		not     []string
	}{
		{"4 bits on a card", 4, []int{-1, 128, 32}, server,
			[]string{"autogptq/exllamav2", "autogptq/triton", "autogptq/cuda", "gptqmodel/marlin", "gptqmodel/torch", "vllm/marlin", "sglang/gptq_marlin", "tgi/marlin", "exllamav2", "transformers"},
			[]string{"autogptq/marlin", "autogptq/qigen", "exllama", "tgi/exllama"}},
		{"4 bits on a CPU", 4, []int{-1, 128, 32}, desk, []string{"gptqmodel/torch", "gptqmodel/torch_fused", "neural-speed", "qbranch"},
			[]string{"autogptq/qigen", "vllm/cpu", "exllamav2", "vllm/marlin", "mistralrs"}},
		{"4 bits in groups on a CPU", 4, []int{128, 32}, desk, []string{"gptqmodel/torch_aten"}, nil},
		{"4 bits without groups on a CPU with AVX-512", 4, []int{-1}, xeon, []string{"vllm/cpu"}, []string{"gptqmodel/torch_aten"}},
		{"3 bits on a card", 3, []int{-1, 128, 32}, server, []string{"autogptq/cuda", "gptqmodel/torch", "vllm/gptq", "sglang/gptq", "transformers"},
			[]string{"vllm/marlin", "exllamav2", "tgi/triton", "tgi/marlin", "mistralrs", "llamacpp", "gptqmodel/marlin"}},
		{"3 bits on a CPU", 3, []int{-1, 128, 32}, xeon, []string{"gptqmodel/torch", "qbranch"}, []string{"gptqmodel/torch_aten", "gptqmodel/torch_fused", "gptqmodel/torch_int8", "vllm/cpu", "neural-speed"}},
		{"8 bits on a card", 8, []int{-1, 128}, server, []string{"vllm/marlin", "sglang/gptq_marlin", "tgi/marlin", "gptqmodel/marlin", "gptqmodel/torch", "autogptq/triton"},
			[]string{"exllama", "exllamav2", "autogptq/exllamav2", "autogptq/cuda", "autogptq/cuda_old"}},
		{"8 bits on a CPU", 8, []int{-1, 128}, desk, []string{"gptqmodel/torch", "gptqmodel/torch_int8", "autogptq/cuda"}, []string{"gptqmodel/torch_aten", "vllm/cpu"}},
	} {
		for _, g := range tc.groups {
			s := mixtral(tc.bits, g)
			s.Machine = tc.machine
			for _, id := range tc.loads {
				if v := rowFor(t, id).Evaluate(s); v.Loads != Yes && v.Loads != Caveat {
					t.Errorf("%s, group %d: %s does not load: %q", tc.name, g, id, v.Why)
				}
			}
			for _, id := range tc.not {
				if v := rowFor(t, id).Evaluate(s); v.Loads != No {
					t.Errorf("%s, group %d: %s: %s %q, want no", tc.name, g, id, v.Loads, v.Why)
				}
			}
		}
	}
}
