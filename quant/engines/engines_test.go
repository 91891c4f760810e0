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
		"tgi/marlin tgi/triton tgi/ipex exllamav2 transformers textgen/exllamav2 textgen/autogptq textgen/transformers mistralrs llamacpp neural-speed qbranch"
	eight := "autogptq/triton gptqmodel/marlin gptqmodel/machete gptqmodel/triton gptqmodel/torch gptqmodel/torch_int8 " +
		"vllm/marlin vllm/gptq sglang/gptq_marlin sglang/gptq tgi/marlin tgi/triton transformers textgen/transformers mistralrs llamacpp neural-speed qbranch"
	three := "autogptq/cuda gptqmodel/triton gptqmodel/torch vllm/gptq sglang/gptq transformers textgen/autogptq textgen/transformers qbranch"
	for _, tc := range []struct {
		bits, group int
		want        string
	}{
		{4, 128, four + " gptqmodel/torch_aten"},
		{4, 32, strings.ReplaceAll(four, "gptqmodel/machete ", "") + " gptqmodel/torch_aten"},
		// With one group nothing is out of order: kernels without act-order do as well.
		{4, -1, four + " autogptq/cuda_old gptqmodel/bitblas vllm/moe_wna16"},
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
