package quant

import (
	"fmt"
	"slices"
	"strings"
)

// Recovered is what the headers of the weight files say about the quantisation,
// without any configuration file. It cannot lie: tensors of these shapes can be
// read in no other way.
type Recovered struct {
	Format    string // "GPTQ", or the name of another format; "" = floating point, or a format that is not known
	Bits      int    // 0 = the modules differ, or there are none
	GroupSize int    // -1 = one group per column; 0 = no size agrees with every module
	GIdx      bool   // every module has g_idx: the rows may be in act-order
	Complete  bool   // the headers of all weight files were there
	Modules   []RecoveredModule
}

// RecoveredModule is one quantised Linear by its headers. Bits is 0 where its
// tensors are incomplete or contradict one another; Problem says how.
type RecoveredModule struct {
	Name      string
	Bits      int
	K, N      int // inputs, outputs
	Groups    int
	GroupSize int // the most plausible size that gives as many groups: -1 = one, 0 = none does
	GIdx      bool
	Bias      bool
	Problem   string

	qweight, qzeros, scales []int64
}

// Evidence says in a line how the shapes lead to the parameters; "" where they
// do not.
func (m RecoveredModule) Evidence() string {
	if m.Bits == 0 {
		return ""
	}
	size := fmt.Sprintf("groups of %d", m.GroupSize)
	if m.Groups == 1 {
		size = "one group"
	}
	return fmt.Sprintf("scales %v: %d outputs, %d groups; qzeros %v: %d bits; qweight %v: %d inputs, so %s", m.scales, m.N, m.Groups, m.qzeros, m.Bits, m.qweight, m.K, size)
}

// RecoverHeaders derives bits, group size and dimensions of every quantised
// Linear from the shapes of its tensors.
func (in Input) RecoverHeaders() Recovered {
	var unread list
	inv := in.takeInventory(in.sources(&unread))
	r := Recovered{Complete: inv.complete, GIdx: len(inv.modules) > 0}
	if r.Format, _ = inv.foreign(); r.Format != "" {
		r.GIdx = false
		return r
	}
	for _, m := range inv.modules {
		rm := RecoveredModule{Name: m.name, GIdx: m.gidx != nil, Bias: m.bias != nil}
		r.GIdx = r.GIdx && rm.GIdx
		if !m.whole() {
			rm.Problem = "not all of qweight, qzeros and scales are there"
		} else if s, err := m.shape(); err != nil {
			rm.Problem = printable(err.Error())
		} else {
			rm.Bits, rm.K, rm.N, rm.Groups, rm.GroupSize = s.Bits, s.K, s.N, s.G, s.GroupSize()
			rm.qweight, rm.qzeros, rm.scales = m.qweight.Shape, m.qzeros.Shape, m.scales.Shape
			r.Format = "GPTQ"
		}
		r.Modules = append(r.Modules, rm)
	}
	t := inv.truth()
	r.Bits = t.bits
	if size, ok := t.groupSize(); ok {
		r.GroupSize = size
	}
	return r
}

// siblings judges what an architecture that is not known has in every layer: a
// matrix that nine layers of ten have is missing where it is not there.
func (c *checker) siblings() {
	type place struct{ block, name string } // "model.layers.#.self_attn", "q_proj"
	blocks, have := map[string]map[string]bool{}, map[place]int{}
	for _, m := range c.inv.modules {
		at, name, ok := cutLast(m.name)
		if !ok {
			continue
		}
		block := numberless(at)
		if blocks[block] == nil {
			blocks[block] = map[string]bool{}
		}
		blocks[block][at] = true
		have[place{block, name}]++
	}
	var lacking []string
	for p, n := range have {
		all := blocks[p.block]
		if lack := len(all) - n; lack == 0 || 10*lack > len(all) {
			continue
		}
		for at := range all {
			name := at + "." + p.name
			if c.inv.byName[name] == nil && c.inv.tensors[name+".weight"] == nil {
				lacking = append(lacking, name)
			}
		}
	}
	if len(lacking) == 0 {
		return
	}
	slices.SortFunc(lacking, compareNames)
	c.add(Finding{
		Code: "H3", Severity: Warn, Where: lacking[0],
		Got: "nothing", Want: "qweight, qzeros, scales",
		Message: "is not there, though nearly every other layer has one" + andMore(len(lacking)),
		Hint:    "compare with the original model: a shard may be missing",
	})
}

func cutLast(name string) (before, after string, ok bool) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return "", "", false
	}
	return name[:i], name[i+1:], true
}

// numberless replaces every number between dots by #.
func numberless(name string) string {
	parts := strings.Split(name, ".")
	for i, p := range parts {
		if p != "" && digitsFrom(p, 0) == len(p) {
			parts[i] = "#"
		}
	}
	return strings.Join(parts, ".")
}
