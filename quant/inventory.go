package quant

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/qbranch/qbranch/quant/gptq"
	"github.com/qbranch/qbranch/quant/safetensors"
)

// WeightFiles names the safetensors files that make up the checkpoint, sorted:
// the index or file that model_file_base_name names, else model.safetensors by
// its index or itself, else the only other index, else the gptq_model-* with the
// configuration's bits and group size in its name, or the first, else every
// safetensors file beside config.json. Source: the search orders of
// AutoGPTQ modeling/_base.py and transformers modeling_utils.py.
func (in Input) WeightFiles() []string {
	if in.inv != nil {
		return slices.Clone(in.inv.files)
	}
	return in.weightFiles(in.sources(&list{}))
}

func (in Input) weightFiles(sources []Config) []string {
	stems := []string{"model"}
	for _, s := range sources {
		if s.FileBaseName != "" {
			stems = []string{s.FileBaseName, "model"}
			break
		}
	}
	for _, stem := range stems {
		if data, ok := in.JSON[stem+".safetensors.index.json"]; ok {
			if x, err := safetensors.ParseIndex(data); err == nil {
				return x.Shards
			}
		}
		if in.has(stem + ".safetensors") {
			return []string{stem + ".safetensors"}
		}
	}
	if shards := in.onlyIndex(); shards != nil {
		return shards
	}
	var all []string
	for name := range in.paths() {
		if path.Dir(name) == "." && path.Ext(name) == ".safetensors" {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	older := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !strings.HasPrefix(name, "gptq_model-") })
	for _, s := range sources { // they are alternatives of one model, not parts
		if name := fmt.Sprintf("gptq_model-%dbit-%dg.safetensors", s.Bits, s.groupSize()); slices.Contains(older, name) {
			return []string{name}
		}
	}
	if len(older) > 0 {
		return older[:1]
	}
	return all
}

// onlyIndex returns the shards of the one index there is, nil if there are none
// or several.
func (in Input) onlyIndex() (shards []string) {
	for name, data := range in.JSON {
		x, err := safetensors.ParseIndex(data)
		if !strings.HasSuffix(name, ".safetensors.index.json") || err != nil {
			continue
		}
		if shards != nil {
			return nil
		}
		shards = x.Shards
	}
	return shards
}

// paths is every path known from the listing or from a header.
func (in Input) paths() map[string]bool {
	m := make(map[string]bool, len(in.Files)+len(in.Headers))
	for name := range in.Files {
		m[name] = true
	}
	for name := range in.Headers {
		m[name] = true
	}
	return m
}

func (in Input) has(name string) bool {
	_, listed := in.Files[name]
	_, read := in.Headers[name]
	return listed || read
}

// placed is a tensor and the file it is in.
type placed struct {
	safetensors.Tensor
	file  string
	index int // among all tensors
}

// module is a Linear whose quantised tensors, or some of them, were found.
type module struct {
	name                                string
	index                               int // among all modules
	qweight, qzeros, scales, gidx, bias *placed
}

// inventory is every tensor of the weight files whose headers are known. Nothing
// changes it: checkers that run at once may share it.
type inventory struct {
	files    []string // weight files
	complete bool     // every one of them has been read
	tensors  map[string]*placed
	modules  []*module // by name
	byName   map[string]*module
	twice    []*placed // of tensors that stand in a later file too, those that count
}

// WithInventory is the input with its tensors listed, for a caller that asks more
// than one thing of it: tens of thousands of tensors take longer to list than to
// judge. Files, JSON and Headers must stay as they are from then on.
func (in Input) WithInventory() Input {
	in.inv = in.takeInventory(in.sources(&list{}))
	return in
}

// takeInventory lists the tensors of the weight files, unless that was done.
func (in Input) takeInventory(sources []Config) *inventory {
	if in.inv != nil {
		return in.inv
	}
	inv := &inventory{files: in.weightFiles(sources), byName: map[string]*module{}}
	inv.complete = len(inv.files) > 0
	total := 0
	for _, file := range inv.files {
		if h := in.Headers[file]; h != nil {
			total += len(h.Tensors)
		}
	}
	inv.tensors = make(map[string]*placed, total)
	for _, file := range inv.files {
		h := in.Headers[file]
		if h == nil {
			inv.complete = false
			continue
		}
		all := make([]placed, len(h.Tensors))
		for i, t := range h.Tensors {
			all[i] = placed{Tensor: t, file: file, index: len(inv.tensors)}
			if other := inv.tensors[t.Name]; other != nil {
				inv.twice = append(inv.twice, other)
				continue
			}
			inv.tensors[t.Name] = &all[i]
		}
	}
	for name := range inv.tensors {
		base, ok := strings.CutSuffix(name, ".qweight")
		if !ok {
			base, ok = strings.CutSuffix(name, ".qzeros")
		}
		if ok && inv.byName[base] == nil {
			inv.byName[base] = inv.moduleOf(base)
		}
	}
	inv.modules = slices.SortedFunc(maps.Values(inv.byName), func(a, b *module) int { return compareNames(a.name, b.name) })
	for i, m := range inv.modules {
		m.index = i
	}
	return inv
}

func (inv *inventory) moduleOf(base string) *module {
	return &module{name: base, qweight: inv.tensors[base+".qweight"], qzeros: inv.tensors[base+".qzeros"],
		scales: inv.tensors[base+".scales"], gidx: inv.tensors[base+".g_idx"], bias: inv.tensors[base+".bias"]}
}

// whole says that the module can be dequantised.
func (m *module) whole() bool { return m.qweight != nil && m.qzeros != nil && m.scales != nil }

// shape derives the module's parameters from its tensors alone.
func (m *module) shape() (gptq.Shape, error) {
	var gidx []int64
	if m.gidx != nil {
		gidx = m.gidx.Shape
	}
	return gptq.DeriveShape(m.qweight.Shape, m.qzeros.Shape, m.scales.Shape, gidx)
}

// truth is what the shapes of all modules agree on.
type truth struct {
	bits   int          // 0 when they differ or there are none
	shapes []gptq.Shape // of the modules that have one; of those with as many inputs and groups, the first
}

// maxSizes bounds the group sizes that are tried for all modules: a model has a
// handful of kinds of matrices, a hostile header as many as it has tensors.
const maxSizes = 64

func (inv *inventory) truth() truth {
	var t truth
	type kind struct{ bits, k, g int }
	seen := map[kind]bool{}
	for _, m := range inv.modules {
		if !m.whole() {
			continue
		}
		s, err := m.shape()
		if err != nil {
			continue
		}
		if len(t.shapes) == 0 {
			t.bits = s.Bits
		} else if t.bits != s.Bits {
			t.bits = 0
		}
		if k := (kind{s.Bits, s.K, s.G}); !seen[k] {
			seen[k] = true
			t.shapes = append(t.shapes, s)
		}
	}
	return t
}

// fits says whether a group size agrees with every module.
func (t truth) fits(groupSize int) bool {
	return len(t.shapes) > 0 && !slices.ContainsFunc(t.shapes, func(s gptq.Shape) bool { return !s.Fits(groupSize) })
}

// groupSize is the most plausible size that agrees with every module; ok is
// false when none does.
func (t truth) groupSize() (int, bool) {
	for _, s := range t.shapes[:min(len(t.shapes), maxSizes)] {
		if size := s.GroupSize(); size != -1 && t.fits(size) {
			return size, true
		}
	}
	return -1, t.fits(-1)
}

// oneGroup says that every matrix has a single group, which makes act-order and
// g_idx meaningless.
func (t truth) oneGroup() bool { return t.fits(-1) }

// compareNames orders layers.2 before layers.10.
func compareNames(a, b string) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	start := i // of the number in which they differ
	for start > 0 && isDigit(a[start-1]) {
		start--
	}
	da, db := digitsFrom(a, start), digitsFrom(b, start)
	if da > 0 && db > 0 && da != db {
		return da - db
	}
	return strings.Compare(a[i:], b[i:])
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// digitsFrom is how many digits stand at i.
func digitsFrom(s string, i int) int {
	n := 0
	for i+n < len(s) && isDigit(s[i+n]) {
		n++
	}
	return n
}

// newNaming says that the tensors carry the newer of the names an architecture
// has: of a Mixtral's experts, of GPT-NeoX's head, of Phi-3's gate and up.
func (inv *inventory) newNaming(m *Model) bool {
	switch m.Kind {
	case "mixtral":
		return inv.has(".mlp.experts.")
	case "phi3":
		return inv.has(".mlp.gate_proj.")
	case "gpt_neox":
		return inv.tensors["embed_out.weight"] == nil && inv.tensors["lm_head.weight"] != nil
	}
	return false
}

// has says that the name of some tensor holds part.
func (inv *inventory) has(part string) bool {
	for name := range inv.tensors {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
