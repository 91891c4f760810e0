package engines

import "slices"

// When is a condition of a [Note], in the words of docs/engines.md.
type When string

// The conditions of the table.
const (
	WhenBits2        When = "2-bit"
	WhenBits3        When = "3-bit"
	WhenBits8        When = "8-bit"
	WhenGrouped      When = "in groups"
	WhenPermuted     When = "act-order that matters"
	WhenDescAct      When = "desc_act"
	WhenAsym         When = "asymmetric"
	WhenMixtral      When = "a Mixtral"
	WhenMistral      When = "a Mistral"
	WhenMoE          When = "a mixture of experts"
	WhenDense        When = "not a mixture of experts"
	WhenOtherMoE     When = "a mixture of experts other than Mixtral"
	WhenOddMoE       When = "a mixture of experts whose shapes Marlin does not take"
	WhenRouterPacked When = "one with a quantised router"
	WhenRouterFree   When = "a Mixtral without modules_in_block_to_quantize"
	WhenV2           When = "format gptq_v2"
	WhenPlanar       When = "format gptq_p"
	WhenBF16         When = "torch_dtype bfloat16"
	WhenOnCPU        When = "run on a CPU"
	WhenNotOnCPU     When = "not run on a CPU"
	WhenSplit        When = "split over several cards"
	WhenTuring       When = "run on a card of compute capability 7.5"
	WhenAlways       When = "any checkpoint"
	WhenNotSplitArch When = "not a Llama, Mistral or Qwen2"
)

// holds answers for one checkpoint.
func (w When) holds(s *Subject) answer {
	switch w {
	case WhenBits2, WhenBits3, WhenBits8:
		return w.bits(s.Bits)
	case WhenGrouped:
		if s.GroupSize == 0 {
			return unsure
		}
		return is(s.GroupSize > 0)
	case WhenPermuted:
		return s.permuted()
	case WhenDescAct:
		return answerOf(s.DescAct)
	case WhenAsym:
		if s.Sym == nil {
			return unsure
		}
		return is(!*s.Sym)
	case WhenV2:
		return is(s.Format == "gptq_v2")
	case WhenPlanar:
		return is(s.Format == "gptq_p")
	case WhenBF16:
		if s.DType == "" {
			return unsure
		}
		return is(s.DType == "bfloat16")
	case WhenSplit:
		return is(s.TensorParallel > 1)
	case WhenOnCPU, WhenNotOnCPU, WhenTuring:
		return w.machine(s.Machine)
	case WhenAlways:
		return yes
	}
	return w.arch(s)
}

func (w When) bits(bits int) answer {
	if bits == 0 {
		return unsure
	}
	switch w {
	case WhenBits2:
		return is(bits == 2)
	case WhenBits3:
		return is(bits == 3)
	}
	return is(bits == 8)
}

func (w When) arch(s *Subject) answer {
	if s.Arch == "" {
		return unsure
	}
	switch w {
	case WhenMixtral:
		return is(s.Arch == "mixtral")
	case WhenMistral:
		return is(s.Arch == "mistral")
	case WhenMoE:
		return is(s.Experts > 0)
	case WhenDense:
		return is(s.Experts == 0)
	case WhenOtherMoE:
		return is(s.Experts > 0 && s.Arch != "mixtral")
	case WhenOddMoE:
		return s.oddExperts()
	case WhenRouterPacked:
		if s.Experts == 0 {
			return no
		}
		return answerOf(s.RouterPacked)
	case WhenRouterFree:
		if s.Arch != "mixtral" {
			return no
		}
		if s.RouterListed == nil {
			return unsure
		}
		return is(!*s.RouterListed)
	case WhenNotSplitArch:
		return is(!slices.Contains([]string{"llama", "mistral", "qwen2"}, s.Arch))
	}
	return unsure
}

// oddExperts: vLLM's Marlin kernel for experts takes a width that is a multiple
// of 128, and inside an expert a multiple of 64 and of the group size.
func (s *Subject) oddExperts() answer {
	if s.Experts == 0 {
		return no
	}
	if s.Hidden == 0 || s.ExpertInter == 0 || s.GroupSize == 0 {
		return unsure
	}
	inter := s.ExpertInter
	if s.TensorParallel > 1 {
		inter /= s.TensorParallel
	}
	return is(s.Hidden%128 != 0 || inter%max(64, s.GroupSize) != 0)
}

// machine answers for the hardware. Where none is given, a kernel runs on what
// it is made for, which is not a CPU where that is a way out.
func (w When) machine(m *Machine) answer {
	if m == nil {
		return is(w == WhenNotOnCPU)
	}
	if m.Vendor == "" {
		return unsure
	}
	switch w {
	case WhenOnCPU:
		return is(m.Vendor == "none")
	case WhenNotOnCPU:
		return is(m.Vendor != "none")
	}
	if m.Vendor == "nvidia" && m.CC == "" && !m.AnyCC {
		return unsure
	}
	return is(m.Vendor == "nvidia" && m.CC == "7.5")
}
