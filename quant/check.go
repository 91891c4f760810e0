package quant

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// checker judges one checkpoint.
type checker struct {
	list
	in  Input
	cfg Config
	inv *inventory
	t   truth

	sources []Config // every configuration file that could be read
	model   *Model   // nil when there is no readable config.json

	only      moduleList // what may be quantised
	rules     *ruleBook  // how
	newNaming bool       // the tensors have the newer of their architecture's names

	expected []linear // for each module, what the architecture has in its place
	asked    []bool   // for each tensor, whether the architecture has it
}

// Check judges the configuration files and, where present, the headers.
// Findings are ordered: fatal first, then by code and place.
func Check(in Input) []Finding {
	c := newChecker(in)
	if c.checkOtherMethod() {
		return c.sorted()
	}
	c.checkConfig()
	c.checkNames()
	c.checkModel()
	if len(in.Headers) > 0 {
		c.checkFiles()
		c.checkTensors()
	}
	return c.sorted()
}

// checkOtherMethod says what a checkpoint is that does not claim to be GPTQ.
// Then that is the only finding: what GPTQ asks of files is not asked of it.
func (c *checker) checkOtherMethod() bool {
	method, where := OtherMethod(c.cfg), c.cfg.File
	for _, s := range slices.Backward(c.sources) {
		if OtherMethod(s) == method {
			where = s.File // the first that says so: the others may say GPTQ
		}
	}
	if len(c.sources) == 0 {
		method, where = OtherFormat(slices.Collect(maps.Keys(c.in.Files))), "(listing)"
	}
	if method == "" {
		return false
	}
	f := Finding{
		Code: "J2", Severity: Fatal, Where: where, Field: methodField(c.sources),
		Got: method, Want: "GPTQ",
		Message: fmt.Sprintf("this is %s, not GPTQ", method),
		Hint:    "look for a branch or repository named GPTQ",
	}
	for _, s := range c.sources {
		if OtherMethod(s) == "" {
			f.Message = fmt.Sprintf("says %s, while %s says GPTQ", method, s.File)
			f.Hint = "correct the wrong file: engines read one or the other"
		}
	}
	c.list = list{}
	c.add(f)
	return true
}

func methodField(sources []Config) string {
	if len(sources) == 0 {
		return ""
	}
	return "quant_method"
}

// OtherMethod names the method of a configuration that is not GPTQ's, as people
// write it; "" for GPTQ (Marlin is one of its formats).
func OtherMethod(c Config) string {
	switch c.Method {
	case "gptq", "marlin", "":
		return ""
	case "bitsandbytes", "compressed-tensors":
		return c.Method
	case "quip":
		return "QuIP#"
	case "auto-round", "intel/auto-round":
		return "AutoRound"
	case "modelopt":
		return "ModelOpt"
	}
	return strings.ToUpper(c.Method)
}

// OtherFormat names the format of weights that come in none of the files GPTQ
// has, by the names of a branch's files; "" when there are safetensors files or
// nothing is known.
func OtherFormat(names []string) string {
	format := ""
	for _, name := range names {
		switch strings.ToLower(path.Ext(name)) {
		case ".safetensors":
			return ""
		case ".gguf":
			format = "GGUF"
		case ".ggml":
			format = cmp.Or(format, "GGML")
		}
	}
	return format
}

func newChecker(in Input) *checker {
	c := &checker{in: in}
	c.sources = in.sources(&c.list)
	c.inv = in.takeInventory(c.sources)
	c.t = c.inv.truth()
	c.expected, c.asked = make([]linear, len(c.inv.modules)), make([]bool, len(c.inv.tensors))
	c.cfg = in.merge(c.sources, c.t, &c.list)
	c.only, c.rules = c.cfg.moduleList(), c.cfg.rules()
	return c
}

// readModel reads config.json once; the finding for broken JSON is J1's.
func (c *checker) readModel() []problem {
	data, ok := c.in.JSON["config.json"]
	if !ok {
		return nil
	}
	keys, err := parseObject("config.json", data)
	if err != nil {
		return nil
	}
	c.model = readModel(keys)
	c.newNaming = c.inv.newNaming(c.model)
	return c.model.bad
}

func (c *checker) checkModel() {
	if _, listed := c.in.Files["config.json"]; !listed && c.in.Files != nil && c.in.JSON["config.json"] == nil {
		c.add(Finding{
			Code: "J13", Severity: Fatal, Where: "config.json",
			Got: "nothing", Want: "config.json",
			Message: "the branch has none: nothing says what architecture this is",
			Hint:    "choose another branch, or take config.json from the original model",
		})
		return
	}
	bad := c.readModel()
	for _, p := range bad {
		c.add(Finding{
			Code: "J13", Severity: Fatal, Where: "config.json", Field: p.field,
			Got: p.got, Want: p.want,
			Message: fmt.Sprintf("%s is %s, which cannot be", p.field, p.got),
			Hint:    "compare config.json with that of the original model",
		})
	}
	switch m := c.model; {
	case m == nil:
	case m.family().tensors == nil:
		c.add(Finding{
			Code: "J13", Severity: Info, Where: "config.json", Field: "model_type",
			Got: cmp.Or(m.Kind, "nothing"), Want: "an architecture that is known here",
			Message: fmt.Sprintf("architecture %q is not known: only what the tensors themselves imply is judged", m.Kind),
			Hint:    "what is missing altogether would not be noticed: compare with another checkpoint of the same model",
		})
	case m.Kind == "mixtral" && m.Window > 0:
		c.add(Finding{
			Code: "J13", Severity: Warn, Where: "config.json", Field: "sliding_window",
			Got: fmt.Sprint(m.Window), Want: "null",
			Message: fmt.Sprintf("sliding_window is %d, but Mixtral attends to everything: some engines forget text beyond it", m.Window),
			Hint:    "set sliding_window to null in config.json",
		})
	}
	if m := c.model; m != nil && m.Remote {
		c.add(Finding{
			Code: "J18", Severity: Warn, Where: "config.json", Field: "auto_map",
			Got: "auto_map", Want: "an architecture that engines have themselves",
			Message: "auto_map is set: engines that trust it run Python code of this repository",
			Hint:    "do not load it with trust_remote_code unless you have read that code",
		})
	}
	if m := c.model; m != nil && m.Kind == "mixtral" && len(c.sources) > 0 && isGPTQ(c.cfg) {
		c.checkRouterList()
	}
	if len(bad) > 0 {
		c.model = nil // its dimensions prove nothing
	}
}

// checkRouterList: transformers quantises every Linear that is not listed away,
// and a router of 8 outputs cannot be packed (AutoGPTQ#486, optimum#1742).
func (c *checker) checkRouterList() {
	var keys struct {
		Q map[string]json.RawMessage `json:"quantization_config"`
	}
	if err := json.Unmarshal(c.in.JSON["config.json"], &keys); err != nil || keys.Q == nil {
		return
	}
	for _, s := range c.sources {
		if s.File == "config.json" && s.Modules == nil {
			c.add(Finding{
				Code: "J14", Severity: Warn, Where: "config.json", Field: "modules_in_block_to_quantize",
				Got: "nothing", Want: "a list without block_sparse_moe.gate",
				Message: "a Mixtral without modules_in_block_to_quantize: transformers takes the router for a quantised layer and stops with an AssertionError",
				Hint:    "add modules_in_block_to_quantize to quantization_config, without block_sparse_moe.gate",
			})
		}
	}
}

func isGPTQ(c Config) bool { return c.Method == "gptq" }
