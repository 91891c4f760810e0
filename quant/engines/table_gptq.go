package engines

import "cmp"

// anyGroup is every group size, one group per column included.
func anyGroup() Groups { return Groups{None: true} }

func sizes(list ...int) Groups { return Groups{Sizes: list} }

// whole is these sizes, where they divide the rows of every matrix.
func whole(list ...int) Groups { return Groups{Sizes: list, Whole: true} }

// Files and threads that several rows cite.
const (
	agQlinear = "AutoGPTQ nn_modules/qlinear"
	agMarlin  = "AutoGPTQ utils/marlin_utils.py"
	agMixtral = "AutoGPTQ #480"
	gmQlinear = "GPTQModel nn_modules/qlinear"
)

// autoGPTQ is the library of 2023 and 2024; its last commit is of April 2025.
func autoGPTQ() []Engine {
	row := func(kernel string, e Engine) Engine {
		e.ID, e.Family, e.Loader, e.Profile, e.Name = "autogptq/"+kernel, "autogptq", "autogptq", cmp.Or(e.Profile, "autogptq"), "AutoGPTQ "+kernel
		e.AsOf, e.Default, e.Archs = "AutoGPTQ at 9f7d370, April 2025 (no longer maintained)", "true", autoGPTQArchs()
		if e.Formats == nil {
			e.Formats = []string{"gptq"}
		}
		if e.Shapes == (Shapes{}) {
			e.Shapes = Shapes{K: 32, N: 32}
		}
		e.Notes = append(e.Notes, Note{[]When{WhenMixtral}, Caveat, "a Mixtral needs AutoGPTQ 0.6 and transformers 4.36, or newer", agMixtral})
		e.Sources = append(e.Sources, "AutoGPTQ quantization/config.py", "AutoGPTQ modeling/auto.py")
		return e
	}
	zero := Note{[]When{WhenBits8, WhenNotOnCPU}, No,
		"8-bit: its CUDA kernel cuts the zero point 128 down to 0 and writes gibberish; without a GPU it falls back to torch, which is right", "AutoGPTQ #657"}
	torch := Note{[]When{WhenOnCPU}, Caveat, "without a GPU it unpacks every layer each time it is used: slow", "transformers #26719"}
	imports := Note{[]When{WhenOnCPU}, Caveat, "a build that has CUDA kernels may not even be imported without a GPU", "AutoGPTQ #409"}
	cudaOrCPU := Needs{Devices: []string{"cuda", "rocm", "cpu"}}
	cuda := Needs{Devices: []string{"cuda", "rocm"}}
	return []Engine{
		row("exllamav2", Engine{Bits: []int{4}, Groups: Groups{None: true, Whole: true}, ActOrder: ActYes, Asym: AsymYes, Needs: cuda,
			Sources: []string{agQlinear + "/qlinear_exllamav2.py"}}),
		row("exllama", Engine{Bits: []int{4}, Groups: Groups{None: true, Whole: true}, ActOrder: ActYes, Asym: AsymYes, Needs: cuda,
			Sources: []string{agQlinear + "/qlinear_exllama.py"}}),
		row("marlin", Engine{Bits: []int{4}, Groups: sizes(-1, 128), ActOrder: ActRefused, Asym: AsymNo, Formats: []string{"gptq", "marlin"},
			Shapes: Shapes{K: 128, N: 256}, Single: true, Needs: Needs{Devices: []string{"cuda"}, MinCC: "8.0"},
			Notes:   []Note{{[]When{WhenBF16}, Caveat, "the model says bfloat16, this kernel computes in float16", agMarlin}},
			Sources: []string{agMarlin, agQlinear + "/qlinear_marlin.py"}}),
		row("triton", Engine{Bits: []int{2, 4, 8}, Groups: anyGroup(), ActOrder: ActYes, Asym: AsymYes,
			Needs: Needs{Devices: []string{"cuda"}, OS: []string{"linux"}}, Sources: []string{agQlinear + "/qlinear_tritonv2.py"}}),
		row("cuda", Engine{Bits: []int{2, 3, 4, 8}, Groups: anyGroup(), ActOrder: ActYes, Asym: AsymYes, Needs: cudaOrCPU,
			Notes: []Note{zero, torch, imports}, Sources: []string{agQlinear + "/qlinear_cuda.py", "AutoGPTQ autogptq_extension/cuda_256"}}),
		row("cuda_old", Engine{Bits: []int{2, 3, 4, 8}, Groups: Groups{None: true, Whole: true}, ActOrder: ActNo, Asym: AsymYes, Needs: cudaOrCPU,
			Notes: []Note{zero, torch, imports}, Sources: []string{agQlinear + "/qlinear_cuda_old.py", "AutoGPTQ utils/import_utils.py"}}),
		row("qigen", Engine{Bits: []int{2, 4}, Groups: Groups{}, ActOrder: ActIgnored, Asym: AsymYes, Single: true, Profile: "ram",
			Needs:   Needs{Devices: []string{"cpu"}, OS: []string{"linux"}, CPU: []string{"avx2"}},
			Notes:   []Note{{[]When{WhenAlways}, Caveat, "QiGen has to be built on this machine, and its build often breaks", "AutoGPTQ #379"}},
			Sources: []string{agQlinear + "/qlinear_qigen.py"}}),
	}
}

// gptqModel is AutoGPTQ's successor, maintained.
func gptqModel() []Engine {
	row := func(kernel string, e Engine) Engine {
		e.ID, e.Family, e.Loader, e.Name = "gptqmodel/"+kernel, "gptqmodel", "gptqmodel", "GPTQModel "+kernel
		e.AsOf, e.Default, e.Archs = "GPTQModel at f4c327a, August 2026", "true", gptqModelArchs()
		if e.Profile == "" {
			e.Profile = "gptqmodel"
		}
		if e.Asym == AsymYes {
			e.Asym = AsymV2
		}
		e.Mixed, e.Head = true, true
		if e.Formats = append([]string{"gptq", "gptq_v2"}, e.Formats...); kernel == "swordfish" || kernel == "machete" {
			e.Formats = []string{"gptq"}
		}
		e.Sources = append(e.Sources, "GPTQModel models/loader.py", "GPTQModel models/auto.py")
		return e
	}
	cpu := Needs{Devices: []string{"cpu"}}
	linux := func(cc string) Needs { return Needs{Devices: []string{"cuda"}, MinCC: cc, OS: []string{"linux"}} }
	desktop := Needs{Devices: []string{"cuda"}, OS: []string{"linux", "windows"}}
	return []Engine{
		row("marlin", Engine{Bits: []int{4, 8}, Groups: whole(-1, 32, 64, 128), ActOrder: ActYes, Asym: AsymNo, Shapes: Shapes{N: 64},
			Needs: linux("7.5"), Formats: []string{"marlin"},
			Notes:   []Note{{[]When{WhenTuring}, Caveat, "this card is of compute capability 7.5: float16 only, no bfloat16", gmQlinear + "/marlin.py"}},
			Sources: []string{gmQlinear + "/marlin.py"}}),
		row("machete", Engine{Bits: []int{4, 8}, Groups: sizes(-1, 64, 128), ActOrder: ActYes, Asym: AsymYes, Shapes: Shapes{K: 64, N: 128},
			Single: true, Needs: linux("9.0"), Sources: []string{gmQlinear + "/machete.py"}}),
		row("swordfish", Engine{Bits: []int{4, 8}, Groups: whole(-1, 32, 64, 128), ActOrder: ActYes, Asym: AsymYes, Shapes: Shapes{K: 64, N: 64},
			Single: true, Needs: Needs{Devices: []string{"cuda"}, MinCC: "10.0", BelowCC: "12.0", OS: []string{"linux"}},
			Notes: []Note{
				{[]When{WhenBits8, WhenDescAct}, No, "8-bit with desc_act: it refuses that", gmQlinear + "/swordfish.py"},
				{[]When{WhenBits8, WhenAsym}, No, "8-bit and asymmetric: it refuses that", gmQlinear + "/swordfish.py"},
			},
			Sources: []string{gmQlinear + "/swordfish.py"}}),
		row("exllamav2", Engine{Bits: []int{4}, Groups: sizes(-1, 32, 64, 128), ActOrder: ActYes, Asym: AsymYes, Shapes: Shapes{K: 32, N: 32},
			Needs: linux(""), Sources: []string{gmQlinear + "/exllamav2.py"}}),
		row("triton", Engine{Bits: []int{2, 3, 4, 8}, Groups: sizes(-1, 16, 32, 64, 96, 128, 192, 256, 384, 512, 1024), ActOrder: ActYes, Asym: AsymYes,
			Formats: []string{"gptq_p"}, Shapes: Shapes{K: 32, N: 32}, Needs: desktop,
			Notes:   []Note{{[]When{WhenBits3}, Caveat, "3-bit needs a version of 2026: before, its Triton kernel did not compile or read wrong values", "GPTQModel #2258"}},
			Sources: []string{gmQlinear + "/tritonv2.py", "GPTQModel #2258", "GPTQModel #2949"}}),
		row("bitblas", Engine{Bits: []int{2, 4, 8}, Groups: sizes(-1, 32, 64, 128), ActOrder: ActNo, Asym: AsymYes, Formats: []string{"bitblas"},
			Shapes: Shapes{K: 16, N: 16}, Needs: desktop, Sources: []string{gmQlinear + "/bitblas.py"}}),
		row("torch", Engine{Bits: []int{2, 3, 4, 5, 6, 7, 8}, Groups: sizes(-1, 16, 32, 64, 128, 256, 512, 1024), ActOrder: ActYes, Asym: AsymYes,
			Formats: []string{"gptq_p"}, Needs: Needs{Devices: []string{"cuda", "rocm", "xpu", "mps", "cpu"}},
			Notes:   []Note{{[]When{WhenAlways}, Caveat, "the slowest kernel: it unpacks every layer each time it is used", gmQlinear + "/torch.py"}},
			Sources: []string{gmQlinear + "/torch.py"}}),
		row("torch_aten", Engine{Bits: []int{4}, Groups: sizes(16, 32, 64, 128), ActOrder: ActYes, Asym: AsymYes, Needs: cpu, Profile: "ram",
			Sources: []string{gmQlinear + "/torch_aten_kernel.py"}}),
		row("torch_fused", Engine{Bits: []int{4}, Groups: sizes(-1, 16, 32, 64, 128), ActOrder: ActYes, Asym: AsymUnknown, Profile: "ram",
			Needs: Needs{Devices: []string{"cpu", "xpu"}}, Sources: []string{gmQlinear + "/torch_fused.py"}}),
		row("torch_int8", Engine{Bits: []int{2, 4, 8}, Groups: sizes(-1, 16, 32, 64, 128), ActOrder: ActYes, Asym: AsymYes, Needs: cpu, Profile: "ram", Rewrites: true,
			Notes:   []Note{{[]When{WhenAlways}, Caveat, "only where it is asked for (backend torch_int8); it quantises the weights anew, to 8 bits per column: a loss of its own", gmQlinear + "/torch_int8.py"}},
			Sources: []string{gmQlinear + "/torch_int8.py"}}),
	}
}
