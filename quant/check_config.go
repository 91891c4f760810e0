package quant

import (
	"fmt"
	"math/bits"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/qbranch/qbranch/quant/gptq"
)

// checkConfig judges the settled configuration.
func (c *checker) checkConfig() {
	if !c.checkMethod() {
		return
	}
	c.checkMethodStated()
	c.checkBits()
	c.checkGroupSize()
	c.checkFlags()
	c.checkFormat()
	c.checkOdd()
	c.checkRules()
}

// checkMethod says whether this is a GPTQ checkpoint at all.
func (c *checker) checkMethod() bool {
	if len(c.sources) > 0 {
		return true // checkOtherMethod has seen to the others
	}
	if _, listed := c.in.Files["config.json"]; c.in.JSON["config.json"] == nil && (listed || c.in.Files == nil) {
		return false // it was not read, and could say so
	}
	f := Finding{
		Code: "J2", Severity: Fatal, Where: "config.json", Field: "quantization_config",
		Got: "nothing", Want: "quant_method gptq",
		Message: "no quantisation configuration: this branch does not claim to be quantised",
		Hint:    "look for a branch with quantize_config.json",
	}
	switch {
	case slices.ContainsFunc(c.findings, func(f Finding) bool { return f.Code == "J1" }):
		return false // it may stand in the file that cannot be read
	case len(c.t.shapes) > 0:
		f.Severity = Warn
		f.Message = fmt.Sprintf("no quantisation configuration, but the tensors are GPTQ of %s: most engines will not load them", c.tensorText())
		f.Hint = "write a quantize_config.json with these values"
	case c.hasQuantFile():
		return false // it stands in a file that was not read
	}
	c.add(f)
	return len(c.t.shapes) > 0
}

// checkMethodStated: what reads config.json asks it for the method first.
func (c *checker) checkMethodStated() {
	for _, s := range c.sources {
		if s.File == "config.json" && !s.HasMethod {
			c.add(Finding{
				Code: "J2", Severity: Warn, Where: s.File, Field: "quant_method",
				Got: "nothing", Want: "gptq",
				Message: "quantization_config does not state quant_method, by which transformers, vLLM and TGI find the loader",
				Hint:    "add \"quant_method\": \"gptq\" to quantization_config in config.json",
			})
		}
	}
}

func (c *checker) tensorText() string {
	text := fmt.Sprintf("%d bits", c.t.bits)
	if c.t.bits == 0 {
		text = "mixed bits"
	}
	if size, ok := c.t.groupSize(); ok {
		text += " and " + groupsText(size)
	}
	return text
}

// hasQuantFile says that the listing has a quantiser's configuration file.
func (c *checker) hasQuantFile() bool {
	for name := range c.in.Files {
		if strings.HasSuffix(name, "quantize_config.json") || name == "quant_config.json" {
			return true
		}
	}
	return false
}

func (c *checker) checkBits() {
	b := c.cfg.Bits
	f := Finding{Code: "J3", Severity: Fatal, Where: c.cfg.File, Field: "bits", Got: strconv.Itoa(b), Want: "2, 3, 4 or 8"}
	switch {
	case slices.ContainsFunc(c.sources, func(s Config) bool {
		return slices.ContainsFunc(s.odd, func(o oddValue) bool { return o.key == "bits" })
	}):
		return // checkOdd's
	// The tensors prove the bits, but no engine that reads files would load them.
	case len(c.sources) > 0 && !slices.ContainsFunc(c.sources, func(s Config) bool { return s.HasBits }):
		f.Got, f.Message, f.Hint = "nothing", "bits are not stated", "add bits to quantize_config.json"
		if c.t.known() {
			f.Want = strconv.Itoa(c.t.bits)
			f.Message += fmt.Sprintf("; by the tensors there are %d", c.t.bits)
		}
	case b == 2 || b == 3 || b == 4 || b == 8:
		return
	case b >= 5 && b <= 7:
		f.Message = fmt.Sprintf("%d bits: only the planar layout gptq_p of GPTQModel has them, which is not supported", b)
		f.Hint = "choose a branch of 2, 3, 4 or 8 bits, or run this one with GPTQModel"
	default:
		f.Message = fmt.Sprintf("%d bits do not exist in GPTQ", b)
		f.Hint = "compare the configuration with the branch's name and the model card"
	}
	c.add(f)
}

func (c *checker) checkGroupSize() {
	g := c.cfg.GroupSize
	f := Finding{Code: "J4", Severity: Warn, Where: c.cfg.File, Field: "group_size", Got: strconv.Itoa(g), Want: "-1, 32, 64 or 128"}
	stated := slices.ContainsFunc(c.sources, func(s Config) bool { return s.HasGroupSize })
	switch {
	case !c.cfg.HasGroupSize || len(c.sources) > 0 && !stated:
		f.Got, f.Message = "nothing", "group_size is not stated: AutoGPTQ assumes -1, GPTQModel and transformers 128"
		f.Hint = "add group_size to quantize_config.json"
		if size, ok := c.t.groupSize(); ok {
			f.Want = strconv.Itoa(size)
			f.Message += fmt.Sprintf("; by the tensors it is %d", size)
		}
	case g == 0 || g < -1:
		f.Severity, f.Message = Fatal, fmt.Sprintf("group_size %d is not possible", g)
		f.Hint = "-1 means no groups; compare with the branch's name and the model card"
	case g == -1 || g%8 == 0 && bits.OnesCount(uint(g)) == 1:
		return
	default:
		f.Message = fmt.Sprintf("group size %d is not a power of two from 8 upwards: ExLlamaV2 and most kernels cannot load it", g)
		f.Hint = "AutoGPTQ's and GPTQModel's plain torch kernels can"
	}
	c.add(f)
}

func (c *checker) checkFlags() {
	cfg := c.cfg
	if isTrue(cfg.DescAct) && cfg.GroupSize == -1 && cfg.HasGroupSize {
		c.add(Finding{
			Code: "J7", Severity: Info, Where: cfg.File, Field: "desc_act",
			Got: "true", Want: "true or false",
			Message: "act-order has no effect on reading with one group per column: kernels without act-order apply",
			Hint:    "if an engine refuses act-order, set desc_act to false",
		})
	}
	if len(c.sources) > 0 && cfg.Sym == nil {
		c.add(Finding{
			Code: "J8", Severity: Warn, Where: cfg.File, Field: "sym",
			Got: "nothing", Want: "true or false",
			Message: "sym is not stated: AutoGPTQ assumes true, TGI assumes false",
			Hint:    "add sym to quantize_config.json; the zero points of the tensors tell which",
		})
	}
	if cfg.Sym != nil && !*cfg.Sym && cfg.Format == "gptq" && !recentGPTQModel(cfg.Quantizer) {
		c.add(Finding{
			Code: "J9", Severity: Warn, Where: cfg.File, Field: "sym",
			Got: "false", Want: "true, or format gptq_v2",
			Message: "asymmetric zero points in format gptq: engines disagree on a stored zero of all ones, GPTQModel and recent vLLM refuse the file",
			Hint:    "prefer a symmetric branch or one in format gptq_v2",
		})
	}
	if d := cfg.DampPercent; d != nil && !(*d > 0 && *d < 1) {
		c.add(Finding{
			Code: "J11", Severity: Warn, Where: cfg.File, Field: "damp_percent",
			Got: fmt.Sprint(*d), Want: "between 0 and 1",
			Message: fmt.Sprintf("damp_percent is %v: it plays no part in reading, but AutoGPTQ and transformers refuse to load it", *d),
			Hint:    "set damp_percent to 0.1",
		})
	}
	if cfg.Rotation != "" {
		c.add(Finding{
			Code: "J17", Severity: Warn, Where: cfg.File, Field: "rotation",
			Got: cfg.Rotation, Want: "weights that are not rotated",
			Message: "the weights are rotated: they need a Hadamard transform while running, which few engines do",
			Hint:    "run it with GPTQModel",
		})
	}
}

var gptqModelVersion = regexp.MustCompile(`(?i)gptqmodel:([0-9]+)\.([0-9]+)`)

// recentGPTQModel: from 0.9 on GPTQModel writes asymmetric v1 files it can read.
func recentGPTQModel(quantizer string) bool {
	m := gptqModelVersion.FindStringSubmatch(quantizer)
	if m == nil {
		return false
	}
	major, minor := atoi(m[1]), atoi(m[2])
	return major != nil && *major > 0 || minor != nil && *minor >= 9
}

func (c *checker) checkFormat() {
	cfg := c.cfg
	bad := func(field, got, want, message, hint string) {
		c.add(Finding{
			Code: "J10", Severity: Fatal, Where: cfg.File, Field: field,
			Got: got, Want: want,
			Message: message,
			Hint:    hint,
		})
	}
	elsewhere := "load it with an engine that has this format, or choose another branch"
	switch f := cfg.Format; {
	case cfg.Method == "marlin" || cfg.Marlin:
		bad("checkpoint_format", "marlin", "gptq or gptq_v2", "the file is serialised for the Marlin kernel: it cannot be read as GPTQ", elsewhere)
	case f == "gptq" || f == "gptq_v2":
	case f == "gptq_p":
		if c.threeBits() {
			bad("checkpoint_format", f, "gptq or gptq_v2", "3 bits in the planar layout gptq_p, which splits every code into planes: only its 2, 4 and 8 bits are read, where planes make no difference",
				"run it with GPTQModel, or choose a branch of 3 bits in format gptq")
		}
	default:
		bad("checkpoint_format", f, "gptq or gptq_v2", fmt.Sprintf("the file is serialised as %s: it cannot be read as GPTQ", f), elsewhere)
	}
	if cfg.PackDType != "int32" {
		bad("pack_dtype", cfg.PackDType, "int32", fmt.Sprintf("codes are packed into %s words: only int32 is supported", cfg.PackDType), elsewhere)
	}
}

// threeBits says that a matrix has 3 bits, or should.
func (c *checker) threeBits() bool {
	return c.cfg.Bits == 3 || slices.ContainsFunc(c.cfg.Dynamic, func(r Rule) bool { return r.Bits == 3 }) ||
		slices.ContainsFunc(c.t.shapes, func(s gptq.Shape) bool { return s.Bits == 3 })
}

// checkOdd reports values of the wrong type.
func (c *checker) checkOdd() {
	for _, s := range c.sources {
		for _, o := range s.odd {
			f := Finding{
				Code: "J16", Severity: Warn, Where: s.File, Field: o.key,
				Got: o.value, Want: o.want,
				Message: fmt.Sprintf("%s is %s, which is not %s", o.key, o.value, o.want),
				Hint:    "correct the value: engines refuse it or read it differently",
			}
			switch o.key {
			case "bits":
				f.Code, f.Severity = "J3", Fatal
			case "group_size":
				f.Code, f.Severity = "J4", Fatal
			case "format":
				f.Code, f.Severity = "J10", Fatal
				f.Message = fmt.Sprintf("format is %s but %s: loaders refuse the conflict or read the zero points differently", o.value, o.want)
			}
			c.add(f)
		}
	}
}

// checkRules reports rules of dynamic that cannot be read, or that state what
// cannot be.
func (c *checker) checkRules() {
	for _, r := range c.cfg.Dynamic {
		if !r.readable() {
			c.count("rule", Finding{
				Code: "J15", Severity: Warn, Where: c.cfg.File, Field: "dynamic",
				Got: r.Pattern, Want: "a regular expression of RE2",
				Message: fmt.Sprintf("a rule of dynamic cannot be read: %s (Python's expressions have more than Go's, and there is a bound on their size)", r.Pattern),
				Hint:    "the modules it means are judged by their tensors only",
			})
		}
		for _, o := range r.odd {
			f := Finding{
				Code: "J16", Severity: Warn, Where: c.cfg.File, Field: "dynamic",
				Got: o.value, Want: o.want,
				Message: fmt.Sprintf("the rule %s of dynamic says %s %s, which is not %s", r.Pattern, o.key, o.value, o.want),
				Hint:    "correct the rule, or choose another branch",
			}
			switch o.key {
			case "bits":
				f.Code, f.Severity = "J3", Fatal
			case "group_size":
				f.Code, f.Severity = "J4", Fatal
			}
			c.count("rule "+o.key, f)
		}
	}
}

// checkNames compares with the branch's name and the listing.
func (c *checker) checkNames() {
	p := ParseBranchName(c.in.Branch)
	promise := func(field, want, got, says, is string) {
		c.add(Finding{
			Code: "J6", Severity: Warn, Where: c.in.Branch, Field: field,
			Got: got, Want: want,
			Message: fmt.Sprintf("the branch's name promises %s, the configuration says %s", says, is),
			Hint:    "the configuration and the tensors count; the name is a label",
		})
	}
	for _, contradiction := range p.Contradictions {
		c.add(Finding{
			Code: "J6", Severity: Warn, Where: c.in.Branch,
			Message: "the branch's name contradicts itself: " + contradiction,
			Hint:    "the configuration and the tensors count; the name is a label",
		})
	}
	if p.Bits != nil && c.cfg.Bits != 0 && *p.Bits != c.cfg.Bits {
		promise("bits", strconv.Itoa(*p.Bits), strconv.Itoa(c.cfg.Bits), fmt.Sprintf("%d bits", *p.Bits), strconv.Itoa(c.cfg.Bits))
	}
	if p.GroupSize != nil && c.cfg.HasGroupSize && *p.GroupSize != c.cfg.GroupSize {
		promise("group_size", describe(*p.GroupSize), describe(c.cfg.GroupSize), groupsText(*p.GroupSize), groupsText(c.cfg.GroupSize))
	}
	if p.ActOrder != nil && c.cfg.DescAct != nil && *p.ActOrder != *c.cfg.DescAct {
		promise("desc_act", strconv.FormatBool(*p.ActOrder), strconv.FormatBool(*c.cfg.DescAct), actText(*p.ActOrder), actText(*c.cfg.DescAct))
	}
	if c.in.Files != nil {
		c.checkListing()
	}
}

// checkListing looks for the weight files and for second copies of them.
func (c *checker) checkListing() {
	weights := map[string]bool{}
	var total int64
	for _, name := range c.inv.files {
		weights[name] = true
		total += c.in.Files[name]
	}
	base := c.cfg.FileBaseName
	if base != "" && len(c.inv.files) > 0 && !c.in.has(base+".safetensors") && !c.in.has(base+".safetensors.index.json") {
		c.add(Finding{
			Code: "J12", Severity: Warn, Where: c.cfg.File, Field: "model_file_base_name",
			Got: base, Want: strings.TrimSuffix(c.inv.files[0], ".safetensors"),
			Message: fmt.Sprintf("model_file_base_name points to %s.safetensors, the branch has %s: AutoGPTQ will not find it", base, c.inv.files[0]),
			Hint:    "correct model_file_base_name or rename the file",
		})
	}
	if len(c.inv.files) == 0 && (c.hasQuantFile() || len(c.sources) > 0) {
		c.add(Finding{
			Code: "J12", Severity: Fatal, Where: "(listing)",
			Got: "none", Want: "*.safetensors",
			Message: "the branch has no safetensors file; .bin and .pt files are pickles, which run code when they are loaded",
			Hint:    "choose another branch or repository",
		})
	}
	c.checkSecondCopy(weights, total)
}

// checkSecondCopy looks for files that hold the weights again: those of one kind
// in one folder, since a second copy may be in shards, too.
func (c *checker) checkSecondCopy(weights map[string]bool, total int64) {
	type kind struct{ dir, ext string }
	names, sizes := map[kind][]string{}, map[kind]int64{}
	for name, size := range c.in.Files {
		switch ext := path.Ext(name); ext {
		case ".safetensors", ".bin", ".pt", ".pth", ".gguf", ".ckpt":
			if !weights[name] {
				k := kind{path.Dir(name), ext}
				names[k], sizes[k] = append(names[k], name), sizes[k]+size
			}
		}
	}
	var second []string
	var wasted int64
	for k, size := range sizes {
		if total > 0 && size > total/2 {
			second, wasted = append(second, names[k]...), wasted+size
		}
	}
	if len(second) == 0 {
		return
	}
	slices.Sort(second)
	used := firstOf(c.inv.files)
	c.add(Finding{
		Code: "H14", Severity: Warn, Where: firstOf(second),
		Got: strings.Join(second, ", "), Want: used,
		Message: fmt.Sprintf("%s more of weights beside %s: only the latter is used", decimal(wasted, "B"), used),
		Hint:    "leave the other files out when fetching, with --exclude",
	})
}

// firstOf names the first of several files, and how many more there are.
func firstOf(names []string) string {
	if n := len(names); n > 1 {
		return fmt.Sprintf("%s and %d more", names[0], n-1)
	}
	return names[0]
}
