package quant

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/qbranch/qbranch/quant/gptq"
)

// checkTensors judges the tensors by their headers.
func (c *checker) checkTensors() {
	if format, tensor := c.inv.foreign(); format != "" {
		c.add(Finding{
			Code: "H7", Severity: Fatal, Where: tensor,
			Got: format, Want: "GPTQ",
			Message: fmt.Sprintf("the tensors are %s, not GPTQ", format),
			Hint:    "use an engine for " + format + ", or choose a GPTQ branch",
		})
		return
	}
	if len(c.inv.modules) == 0 {
		if c.inv.complete {
			c.add(Finding{
				Code: "H7", Severity: Fatal, Where: strings.Join(c.inv.files, ", "),
				Got: "no quantised tensors", Want: "qweight, qzeros, scales",
				Message: "no quantised tensors: this is a checkpoint in floating point or in a format that is not known",
				Hint:    "choose a GPTQ branch",
			})
		}
		return
	}
	known := c.model != nil && c.model.Known()
	if known {
		c.checkArchitecture()
	}
	for _, m := range c.inv.modules {
		c.checkModule(m)
	}
	switch {
	case !c.inv.complete:
	case known:
		c.checkExtra()
	case c.model != nil:
		c.siblings()
	}
	if c.rules.spent() {
		c.add(Finding{
			Code: "J15", Severity: Warn, Where: c.cfg.File, Field: "dynamic",
			Got: fmt.Sprintf("%d rules for %d modules", len(c.cfg.Dynamic), len(c.inv.modules)), Want: fmt.Sprintf("%d comparisons at most", maxMatches),
			Message: fmt.Sprintf("%d rules of dynamic are too many for %d modules: some were not compared", len(c.cfg.Dynamic), len(c.inv.modules)),
			Hint:    "the modules that were not are judged by their tensors only",
		})
	}
	c.sizes()
}

// expects is what the architecture has in a module's place; ok is false where
// that is not known.
func (c *checker) expects(m *module) (x linear, ok bool) {
	x = c.expected[m.index]
	return x, x.name != ""
}

// checkModule judges one quantised Linear.
func (c *checker) checkModule(m *module) {
	x, expected := c.expects(m)
	for _, part := range []struct {
		name string
		t    *placed
	}{{"qweight", m.qweight}, {"qzeros", m.qzeros}, {"scales", m.scales}} {
		if part.t == nil && c.inv.complete {
			c.count(part.name, Finding{
				Code: "H3", Severity: Fatal, Where: m.name,
				Got: "nothing", Want: part.name,
				Message: "has no " + part.name,
				Hint:    "the export is incomplete: choose another branch",
			})
		}
	}
	c.checkTypes(m)
	if weight := c.inv.tensors[m.name+".weight"]; weight != nil {
		c.count("both", Finding{
			Code: "H8", Severity: Warn, Where: weight.Name,
			Got: weight.DType + " " + fmt.Sprint(weight.Shape), Want: "qweight, qzeros, scales alone",
			Message: "stands beside the quantised tensors: engines differ in which they use",
			Hint:    "remove it from the weight file",
		})
	}
	if !m.whole() {
		return
	}
	if m.gidx == nil && c.inv.complete {
		c.count("g_idx", Finding{
			Code: "H3", Severity: Warn, Where: m.name,
			Got: "nothing", Want: "g_idx",
			Message: "has no g_idx: rows are taken in order; TGI and others refuse the file",
			Hint:    "act-order cannot be read without it",
		})
	}
	s, err := m.shape()
	if err != nil {
		c.count("shape", Finding{
			Code: "H4", Severity: Fatal, Where: m.name,
			Got:     fmt.Sprintf("qweight %v, qzeros %v, scales %v", m.qweight.Shape, m.qzeros.Shape, m.scales.Shape),
			Want:    "[K·bits/32, N], [G, N·bits/32], [G, N]",
			Message: fmt.Sprintf("the tensors contradict one another: %v", err),
			Hint:    "the export is broken: choose another branch",
		})
		return
	}
	c.checkParameters(m, s)
	if expected && (int64(gptq.Words(x.k, s.Bits)) != m.qweight.Shape[0] || m.gidx != nil && s.K != x.k || s.N != x.n) {
		c.count("dims", Finding{
			Code: "H4", Severity: Fatal, Where: m.qweight.Name,
			Got: fmt.Sprintf("%d×%d", s.K, s.N), Want: fmt.Sprintf("%d×%d", x.k, x.n),
			Message: fmt.Sprintf("is %v, which is %d×%d at %d bits; config.json needs %d×%d", m.qweight.Shape, s.K, s.N, s.Bits, x.k, x.n),
			Hint:    "config.json or the weights belong to another model",
		})
	}
	c.checkBias(m, s.N)
	if expected && !c.only.has(x) {
		c.count("not listed", Finding{
			Code: "H5", Severity: Warn, Where: m.name,
			Got: "quantised", Want: "in floating point",
			Message: "is quantised, but modules_in_block_to_quantize does not list it: transformers will not load it",
			Hint:    "add " + x.inBlock + " to modules_in_block_to_quantize in config.json",
		})
	}
}

// checkBias: old writers store one of zeros everywhere, and none is lost.
func (c *checker) checkBias(m *module, n int) {
	x, expected := c.expects(m)
	if expected && m.bias != nil && !x.bias {
		c.count("bias", Finding{
			Code: "H10", Severity: Info, Where: m.bias.Name,
			Got: fmt.Sprint(m.bias.Shape), Want: "no bias",
			Message: "the architecture has no bias here; AutoGPTQ up to 0.7 writes one of zeros",
			Hint:    "'qbranch verify' tells whether it is zero, once the weights are here",
		})
	}
	if expected && m.bias == nil && x.bias && c.inv.complete {
		c.count("no bias", Finding{
			Code: "H3", Severity: Warn, Where: m.name,
			Got: "nothing", Want: fmt.Sprintf("[%d]", x.n),
			Message: "has no bias, which the architecture has here: some engines refuse the file, others take it for zero",
			Hint:    "compare with the original model",
		})
	}
	if m.bias != nil && !slices.Equal(m.bias.Shape, []int64{int64(n)}) {
		c.count("bias shape", Finding{
			Code: "H4", Severity: Fatal, Where: m.bias.Name,
			Got: fmt.Sprint(m.bias.Shape), Want: fmt.Sprintf("[%d]", n),
			Message: fmt.Sprintf("is %v, want [%d]", m.bias.Shape, n),
			Hint:    "the export is broken: choose another branch",
		})
	}
}

// checkTypes: words of 32 bits, scales in half precision.
func (c *checker) checkTypes(m *module) {
	wrong := func(t *placed, severity Severity, want, why string) {
		c.count(want+t.DType, Finding{
			Code: "H6", Severity: severity, Where: t.Name,
			Got: t.DType, Want: want,
			Message: fmt.Sprintf("is %s, want %s: %s", t.DType, want, why),
			Hint:    "choose a branch written by AutoGPTQ or GPTQModel",
		})
	}
	for _, t := range []*placed{m.qweight, m.qzeros} {
		switch {
		case t == nil || t.DType == "I32":
		case t.DType == "U32":
			wrong(t, Warn, "I32", "the same bits, but engines compare types")
		default:
			wrong(t, Fatal, "I32", "codes cannot be unpacked")
		}
	}
	if t := m.gidx; t != nil && t.DType != "I32" {
		if t.DType == "I64" {
			wrong(t, Warn, "I32", "most kernels read 32-bit indexes")
		} else {
			wrong(t, Fatal, "I32", "rows cannot be assigned to groups")
		}
	}
	for _, t := range []*placed{m.scales, m.bias} {
		switch {
		case t == nil || t.DType == "F16":
		case t.DType == "BF16" || t.DType == "F32":
			wrong(t, Warn, "F16", "ExLlama and others cast it")
		default:
			wrong(t, Fatal, "F16", "it is no floating-point type that engines know")
		}
	}
}

// checkParameters compares bits and group size with what is declared, and
// alignment with what kernels need.
func (c *checker) checkParameters(m *module, s gptq.Shape) {
	d := c.rules.forModule(m.name)
	bits, groupSize := d.bits, d.groupSize
	if bits == 0 && len(c.t.shapes) > 0 {
		bits = c.t.shapes[0].Bits // nothing declared: at least they must agree
	}
	differs := func(kind string, f Finding) {
		f.Code, f.Severity, f.Where = "H5", Fatal, m.name
		f.Hint = "the tensors are what they are: correct the configuration, or choose another branch"
		c.count(kind, f)
	}
	switch {
	case !d.quantised:
		differs("excluded", Finding{Got: "quantised", Want: "in floating point", Message: "is quantised, but a rule of dynamic excludes it"})
	case !d.known:
	case s.Bits != bits:
		differs("bits", Finding{
			Field: "bits", Got: strconv.Itoa(s.Bits), Want: strconv.Itoa(bits),
			Message: fmt.Sprintf("has %d bits by its tensors, the configuration says %d", s.Bits, bits),
		})
	case c.cfg.HasGroupSize && !s.Fits(groupSize) && !(groupSize == 0 || groupSize < -1): // J4's
		differs("groups", Finding{
			Field: "group_size", Got: strconv.Itoa(s.GroupSize()), Want: strconv.Itoa(groupSize),
			Message: fmt.Sprintf("has %d groups for %d rows, which is group size %d; the configuration says %s", s.G, s.K, s.GroupSize(), groupsText(groupSize)),
		})
	}
	if s.K%32 != 0 || s.N%32 != 0 {
		c.count("align", Finding{
			Code: "H12", Severity: Info, Where: m.name,
			Got: fmt.Sprintf("%d×%d", s.K, s.N), Want: "multiples of 32",
			Message: fmt.Sprintf("is %d×%d, not multiples of 32: AutoGPTQ and most kernels cannot load it", s.K, s.N),
			Hint:    "'qbranch show' says which engines can",
		})
	} else if g := groupSize; g > 0 && s.G > 1 && s.Fits(g) && s.K%g != 0 {
		c.count("short", Finding{
			Code: "H12", Severity: Info, Where: m.name,
			Got: strconv.Itoa(s.K % g), Want: strconv.Itoa(g),
			Message: fmt.Sprintf("the last group has %d of %d rows: ExLlama and Marlin cannot load it", s.K%g, g),
			Hint:    "'qbranch show' says which engines can",
		})
	}
}

// checkArchitecture compares what is there with what the architecture needs.
func (c *checker) checkArchitecture() {
	all, inFloat, first := 0, 0, ""
	c.model.each(c.newNaming, func(x linear) {
		all++
		m := c.inv.byName[x.name]
		if m != nil {
			c.expected[m.index] = x
		}
		if !c.inv.complete {
			return
		}
		weight := c.ask(x)
		if m != nil {
			return // H8 and H4 are checkModule's
		}
		d := c.rules.forModule(x.name)
		switch {
		case weight == nil:
			c.count("missing", Finding{
				Code: "H3", Severity: Fatal, Where: x.name,
				Got: "nothing", Want: "qweight, qzeros, scales",
				Message: "is missing altogether",
				Hint:    "config.json belongs to another model, or a shard is missing",
			})
		case !slices.Equal(weight.Shape, []int64{int64(x.n), int64(x.k)}):
			c.count("float", Finding{
				Code: "H4", Severity: Fatal, Where: weight.Name,
				Got: fmt.Sprint(weight.Shape), Want: fmt.Sprintf("[%d %d]", x.n, x.k),
				Message: fmt.Sprintf("is %v and not quantised; config.json needs [%d %d]", weight.Shape, x.n, x.k),
				Hint:    "config.json or the weights belong to another model",
			})
		case d.quantised && d.known && c.only.has(x):
			if inFloat++; first == "" {
				first = weight.Name
			}
		}
	}, c.checkPlain)
	if inFloat > 0 {
		c.add(Finding{
			Code: "H8", Severity: Warn, Where: first,
			Got: strconv.Itoa(all-inFloat) + " quantised", Want: strconv.Itoa(all),
			Message: fmt.Sprintf("%d of %d Linears are not quantised, though nothing excludes them", inFloat, all),
			Hint:    "engines that expect qweight in every layer will not load it",
		})
	}
}

// ask marks the tensors a matrix may have, and gives the one it has if it is not
// quantised.
func (c *checker) ask(x linear) (weight *placed) {
	for _, part := range []string{".qweight", ".qzeros", ".scales", ".g_idx", ".bias", ".weight"} {
		if weight = c.inv.tensors[x.name+part]; weight != nil {
			c.asked[weight.index] = true
		}
	}
	return weight
}

// checkPlain: embedding, norms, router and lm_head stay in floating point.
func (c *checker) checkPlain(p plain) {
	if !c.inv.complete {
		return
	}
	base, ok := strings.CutSuffix(p.name, ".weight")
	if ok && (p.role == RoleHead || p.role == RoleRouter) { // quantised ones are judged below
		c.ask(linear{name: base})
	}
	if p.role == RoleHead && c.cfg.LMHead && ok {
		if c.inv.byName[base] == nil {
			c.count("head", Finding{
				Code: "H8", Severity: Warn, Where: p.name,
				Got: "not quantised", Want: base + ".qweight",
				Message: "is not quantised, though lm_head is set: engines that expect it to be will not load it",
				Hint:    "set lm_head to false in both configuration files",
			})
		}
		return
	}
	t := c.inv.tensors[p.name]
	if t != nil {
		c.asked[t.index] = true
	}
	switch {
	case ok && c.inv.byName[base] != nil && p.role == RoleRouter && p.shape[0]%32 == 0:
		c.count("router", Finding{
			Code: "H9", Severity: Warn, Where: base,
			Got: "quantised", Want: "F16, BF16 or F32",
			Message: "the router is quantised: vLLM and others stop at its g_idx",
			Hint:    "load it with GPTQModel, or choose another branch",
		})
	case ok && c.inv.byName[base] != nil && p.role == RoleHead:
		c.count("head", Finding{
			Code: "H9", Severity: Fatal, Where: base,
			Got: "quantised", Want: "F16, BF16 or F32",
			Message: "is quantised, but lm_head is not set: engines look for " + p.name,
			Hint:    "set lm_head to true in both configuration files",
		})
	case ok && c.inv.byName[base] != nil:
		c.count("quantised", Finding{
			Code: "H9", Severity: Fatal, Where: base,
			Got: "quantised", Want: "F16, BF16 or F32",
			Message: "is quantised: no engine expects that",
			Hint:    "the export is broken: choose another branch",
		})
	case t == nil:
		c.count("absent", Finding{
			Code: "H9", Severity: Fatal, Where: p.name,
			Got: "nothing", Want: fmt.Sprint(p.shape),
			Message: "is missing",
			Hint:    "config.json belongs to another model, or a shard is missing",
		})
	case !isFloat(t.DType):
		c.count("type", Finding{
			Code: "H9", Severity: Fatal, Where: p.name,
			Got: t.DType, Want: "F16, BF16 or F32",
			Message: fmt.Sprintf("is %s, not floating point", t.DType),
			Hint:    "the export is broken: choose another branch",
		})
	case !slices.Equal(t.Shape, p.shape):
		c.count("shape", Finding{
			Code: "H9", Severity: Fatal, Where: p.name,
			Got: fmt.Sprint(t.Shape), Want: fmt.Sprint(p.shape),
			Message: fmt.Sprintf("is %v, config.json needs %v", t.Shape, p.shape),
			Hint:    "config.json or the weights belong to another model",
		})
	}
}

func isFloat(dtype string) bool { return dtype == "F16" || dtype == "BF16" || dtype == "F32" }

// checkExtra lists tensors nobody asked for, up to ten of them.
func (c *checker) checkExtra() {
	var extra []string
	for name, t := range c.inv.tensors {
		// lm_head.weight is stored by some writers although it is tied.
		if !c.asked[t.index] && name != "lm_head.weight" && !isBuffer(name) {
			extra = append(extra, name)
		}
	}
	if len(extra) == 0 {
		return
	}
	slices.SortFunc(extra, compareNames)
	c.add(Finding{
		Code: "H15", Severity: Warn, Where: extra[0],
		Got:     strings.Join(extra[:min(10, len(extra))], ", "),
		Want:    "none of them",
		Message: fmt.Sprintf("%d tensors that %s does not have", len(extra), c.model.Kind),
		Hint:    "they are ignored; config.json may belong to another model",
	})
}

// isBuffer recognises what some writers store although it follows from the
// configuration: rotary frequencies and attention masks of old ones, and the
// parameters that TGI's own quantiser puts beside the weights.
func isBuffer(name string) bool {
	switch name {
	case "gptq_bits", "gptq_groupsize", "gptq_sym":
		return true
	}
	for _, suffix := range []string{".rotary_emb.inv_freq", ".attention.bias", ".attention.masked_bias", ".attn.bias", ".attn.masked_bias",
		".attn.causal_mask", ".attn.embed_positions"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}
