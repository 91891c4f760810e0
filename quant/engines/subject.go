package engines

import (
	"slices"
	"strings"

	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/quant/gptq"
	"github.com/qbranch/qbranch/quant/safetensors"
)

// Subject is what is known of a checkpoint and of the machine. A zero or nil
// means that it is not known.
type Subject struct {
	Bits         int
	GroupSize    int // -1 = one group per column
	DescAct      *bool
	Permuted     *bool // g_idx is out of order; nil = follows from DescAct and StaticGroups
	StaticGroups *bool
	Sym          *bool
	Format       string // checkpoint_format; "" = "gptq", as every engine takes it
	Quantizer    string // meta.quantizer
	Mixed        bool   // layers differ in bits or group size (dynamic)
	LMHead       bool   // the head is quantised too

	Arch         string // model_type of config.json
	DType        string // torch_dtype of config.json: "float16", "bfloat16", …
	Experts      int    // routed experts of a layer; 0 = none
	Hidden       int    // width of the residual stream
	ExpertInter  int    // width inside one routed expert
	RouterListed *bool  // modules_in_block_to_quantize is there
	RouterPacked *bool  // the router is quantised, which belongs in floating point
	Matrices     []Matrix
	Shards       int   // weight files
	GIdx         *bool // the tensors have g_idx

	Beliefs []quant.Belief // what loaders read, which need not be what the checkpoint is

	TensorParallel int // cards every matrix is split over; 0 and 1 = not split
	Machine        *Machine
}

// Matrix is the shape of quantised matrices: rows in, columns out.
type Matrix struct {
	K, N int
	Row  bool // tensor parallel splits its rows (o_proj, down_proj, w2), not its columns
}

// Machine is the hardware to judge for; nil in a [Subject] judges for any.
type Machine struct {
	OS     string   // as runtime.GOOS; "" = not known
	CPU    []string // instruction sets: "avx2", "avx512f", …; nil = not known
	Vendor string   // of the card: "nvidia", "amd", "apple", "intel"; "none" = there is none; "" = not known
	CC     string   // CUDA compute capability, "8.6"; "" = not known
	AnyCC  bool     // it stands for cards of any: what a kernel needs of it is no objection
}

// SubjectOf gathers what configuration, model and tensors say; m may be nil, l
// the zero value. Shards and the machine are the caller's to add, and what the
// headers show ([Subject.Measure]).
func SubjectOf(cfg quant.Config, m *quant.Model, l quant.Layout) Subject {
	s := Subject{
		Bits: cfg.Bits, DescAct: cfg.DescAct, StaticGroups: cfg.StaticGroups, Sym: cfg.Sym, Format: cfg.Format,
		Quantizer: cfg.Quantizer, LMHead: cfg.LMHead,
	}
	if cfg.HasGroupSize {
		s.GroupSize = cfg.GroupSize
	}
	for _, r := range cfg.Dynamic {
		s.Mixed = s.Mixed || !r.Exclude && (r.Bits != 0 || r.GroupSize != 0)
		// One matrix that an engine cannot read is enough.
		if r.DescAct != nil && *r.DescAct {
			s.DescAct = r.DescAct
		}
		if r.Sym != nil && !*r.Sym {
			s.Sym = r.Sym
		}
	}
	if cfg.Marlin {
		s.Format = "marlin"
	}
	if m != nil {
		s.DType = m.DType
		s.Arch, s.Experts, s.Hidden, s.ExpertInter = m.Kind, m.Experts, m.Hidden, m.MoEInter
		if m.Kind == "mixtral" && s.ExpertInter == 0 {
			s.ExpertInter = m.Inter
		}
	}
	listed := len(cfg.Modules) > 0 && string(cfg.Modules) != "null"
	s.RouterListed = &listed
	s.Matrices = matricesOf(l, s.Bits)
	return s
}

// matricesOf gives the different shapes of a layout's quantised matrices.
func matricesOf(l quant.Layout, bits int) []Matrix {
	var list []Matrix
	if bits < 2 || bits > 8 {
		return nil
	}
	for _, t := range l.Tensors {
		if t.Part != "qweight" || len(t.Shape) != 2 {
			continue
		}
		m := Matrix{K: int(t.Shape[0]) * 32 / bits, N: int(t.Shape[1]), Row: splitsRows(t.Name)}
		if !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
}

// Measure takes shapes, g_idx and differing bits from the headers of all weight
// files, which are more certain than what a configuration implies. Tensors that
// make no sense are passed over: they are faults of the checkpoint.
func (s *Subject) Measure(headers []*safetensors.Header) {
	shapes := make(map[string][]int64)
	for _, h := range headers {
		for _, t := range h.Tensors {
			shapes[t.Name] = t.Shape
			if packed := strings.HasSuffix(t.Name, ".gate.qweight"); packed || s.RouterPacked == nil && strings.HasSuffix(t.Name, ".gate.weight") {
				s.RouterPacked = &packed
			}
		}
	}
	indexed, quantised := true, false
	var matrices []Matrix
	bits := 0
	for _, h := range headers {
		for _, t := range h.Tensors {
			base, ok := strings.CutSuffix(t.Name, ".qweight")
			if !ok {
				continue
			}
			gidx := shapes[base+".g_idx"]
			quantised, indexed = true, indexed && gidx != nil
			shape, err := gptq.DeriveShape(t.Shape, shapes[base+".qzeros"], shapes[base+".scales"], gidx)
			if err != nil {
				continue
			}
			s.Mixed = s.Mixed || bits != 0 && bits != shape.Bits
			bits = shape.Bits
			if m := (Matrix{K: shape.K, N: shape.N, Row: splitsRows(t.Name)}); !slices.Contains(matrices, m) {
				matrices = append(matrices, m)
			}
		}
	}
	if quantised {
		s.GIdx, s.Matrices = &indexed, matrices
	}
}
