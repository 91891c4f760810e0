package engines

import (
	"slices"
	"strings"
	"sync"
)

// Engine is one row of the table: a program that runs GPTQ checkpoints, or one
// of the kernels it has for them.
type Engine struct {
	ID      string // "exllamav2", or family and kernel: "vllm/marlin"
	Family  string // ID of the program it belongs to
	Name    string // as people write it
	Profile string // ID of the memory profile in quant/vram
	Loader  string // ID of the loader in quant that says which files it believes; "" = not known
	AsOf    string // version or commit the facts are from, and its date

	Bits     []int
	Groups   Groups
	ActOrder ActOrder
	Asym     Asym
	Formats  []string // checkpoint formats it reads: "gptq", "gptq_v2", …
	Unsure   []string // formats it may read: no source says
	Archs    Archs
	Shapes   Shapes
	Needs    Needs
	Single   bool // loads one weight file only, no shards
	NeedGIdx bool // fails where g_idx is missing
	Parallel bool // can split matrices over several cards (tensor parallel)
	Mixed    bool // layers may differ in bits and group size
	Head     bool // runs a quantised head
	Rewrites bool // computes with other weights that it makes of these: what they take is not known

	Since     string   // first version that has it, "" = not stated
	Until     string   // last version that has it, "" = still there; makes "yes" a caveat
	Default   string   // what it takes a missing sym for: "true", "false", "the zero points" or "an error"
	BitsError string   // what it prints for bits it has no kernel for
	Notes     []Note   // what no column says
	Sources   []string // repository and file, issue or pull request
}

// Groups are the group sizes an engine takes; -1 is one group per column.
type Groups struct {
	Sizes      []int // exactly these; nil = bounded by the other fields
	Min, Max   int   // 0 = no bound
	None       bool  // one group per column as well, where Sizes is nil
	PowerOfTwo bool  // only powers of two
	Whole      bool  // only where it divides the rows of every matrix
}

// ActOrder is what an engine does with g_idx.
type ActOrder string

// Values of [ActOrder]. With one group per column all but ActRefused are the
// same, since act-order then changes nothing.
const (
	ActYes     ActOrder = "yes"
	ActNo      ActOrder = "no"               // has no kernel for it
	ActRefused ActOrder = "no, refused"      // also refuses desc_act with one group, where it means nothing
	ActIgnored ActOrder = "ignored"          // loads and computes nonsense
	ActUnknown ActOrder = "not known"        // no source says
	ActSlow    ActOrder = "yes, re-ordering" // reorders the weights while loading
)

// Asym is what an engine does with zero points that are not in the middle.
type Asym string

// Values of [Asym].
const (
	AsymYes     Asym = "yes"
	AsymNo      Asym = "no"
	AsymV2      Asym = "gptq_v2" // refuses it in format gptq, unless GPTQModel ≥ 0.9 wrote it
	AsymUnknown Asym = "not known"
)

// Archs are the architectures (model_type) an engine runs.
type Archs struct {
	List []string // sorted
	Open bool     // runs others as well: those are not known, rather than refused
}

// Shapes are what an engine asks of every quantised matrix.
type Shapes struct {
	K, N   int // rows (inputs) and columns (outputs) must be multiples of these; 0 = of nothing
	Either int // and one of the two of this
}

// Needs is the hardware and the system an engine asks for.
type Needs struct {
	Devices []string // any of "cuda", "rocm", "xpu", "mps", "cpu"
	MinCC   string   // least CUDA compute capability; "" = none stated
	BelowCC string   // first one that it does not run on; "" = none stated
	OS      []string // as runtime.GOOS; nil = any
	CPU     []string // instruction sets the CPU must have, "avx2", …
}

// Note is a rule of one engine that no column of the table holds.
type Note struct {
	When   []When // all of them
	Loads  Loads  // anything but Yes
	Text   string
	Source string
}

// Engines gives the whole table in the order in which it is shown, families
// together. The rows are shared: they are to be read only.
func Engines() []Engine { return slices.Clone(table()) }

// table is made once: a screen evaluates it for every branch at every key.
var table = sync.OnceValue(func() []Engine {
	return slices.Concat(autoGPTQ(), gptqModel(), vllm(), servers(), exllama(), frontends(), converters(), ours())
})

// Family is a program, with one or more rows.
type Family struct {
	ID, Name string
	Rows     []Engine
}

// FamilyList gives the programs of the table, in its order. Like the rows, they are
// to be read only.
func FamilyList() []Family { return slices.Clone(families()) }

var families = sync.OnceValue(func() []Family {
	var list []Family
	for _, e := range table() {
		if len(list) == 0 || list[len(list)-1].ID != e.Family {
			list = append(list, Family{ID: e.Family, Name: familyName(e)})
		}
		f := &list[len(list)-1]
		f.Rows = append(f.Rows, e)
	}
	return list
})

// familyName is the row's name without the kernel.
func familyName(e Engine) string {
	if kernel, ok := strings.CutPrefix(e.ID, e.Family+"/"); ok {
		return strings.TrimSuffix(e.Name, " "+kernel)
	}
	return e.Name
}

// Lookup finds the rows that an ID means: one row for an engine or a kernel, all
// of them for a program with several. ok is false for an ID the table does not
// have. Case does not matter.
func Lookup(id string) (rows []Engine, ok bool) {
	for _, e := range table() {
		if strings.EqualFold(e.ID, id) {
			return []Engine{e}, true
		}
		if strings.EqualFold(e.Family, id) {
			rows = append(rows, e)
		}
	}
	return rows, len(rows) > 0
}

// IDs lists what [Lookup] takes: every program, and with kernels every row too.
func IDs(kernels bool) []string {
	var ids []string
	for _, f := range FamilyList() {
		ids = append(ids, f.ID)
		for _, e := range f.Rows {
			if kernels && e.ID != f.ID {
				ids = append(ids, e.ID)
			}
		}
	}
	return ids
}
