package quant

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Loader is a program that loads GPTQ checkpoints, as far as it matters to which
// of several configurations it believes.
type Loader struct {
	ID    string // "autogptq", "gptqmodel", "transformers", "vllm", "sglang", "tgi", "exllama", "exllamav2"
	Name  string // as people write it
	Files []string
	// Files is where it looks, in this order; "config.json" stands for the
	// quantization_config object in it, "*quantize_config.json" for the one file
	// whose name ends so. The first that is there is believed.

	Shapes   bool     // bits, group size and act-order come from the tensors, whatever a file says
	Required []string // keys it cannot do without in the file it believes
	Passes   bool     // a file that lacks a required key is passed over for the next one
	Newer    bool     // where a file has both, format beats checkpoint_format
	Source   string   // where this is known from

	assumes Config // what it takes where the file does not say
}

// Loaders lists the programs whose order of files is known. Engines that are not
// listed mostly load through one of these.
func Loaders() []Loader {
	yes, no := true, false
	autogptq := Config{Bits: 4, GroupSize: -1, DescAct: &yes, Sym: &yes}
	gptqmodel := Config{Bits: 4, GroupSize: 128, DescAct: &no, Sym: &yes}
	three := []string{"quantize_config.json", "quant_config.json", "config.json"}
	vllm := []string{"config.json", "*quantize_config.json"}
	four := []string{"bits", "group_size", "desc_act", "sym"}
	return []Loader{
		{ID: "transformers", Name: "transformers", Files: []string{"config.json"}, Required: []string{"bits"},
			assumes: gptqmodel, Source: "transformers utils/quantization_config.py"},
		{ID: "vllm", Name: "vLLM", Files: vllm, Required: four, Source: "vllm model_loader/weight_utils.py"},
		{ID: "sglang", Name: "SGLang", Files: vllm, Required: four, Source: "sglang quantization/gptq.py"},
		{ID: "tgi", Name: "TGI", Files: []string{"config.json", "quantize_config.json", "quant_config.json"}, Passes: true,
			Required: []string{"bits", "group_size", "desc_act"}, assumes: Config{Bits: 4, GroupSize: -1, DescAct: &no, Sym: &no},
			Source: "text-generation-inference utils/quantization.py"},
		{ID: "autogptq", Name: "AutoGPTQ", Files: three, assumes: autogptq, Source: "AutoGPTQ quantization/config.py"},
		{ID: "gptqmodel", Name: "GPTQModel", Files: three, Newer: true, assumes: gptqmodel, Source: "GPTQModel quantization/config.py"},
		{ID: "exllama", Name: "ExLlama", Shapes: true, Source: "exllama model.py"},
		{ID: "exllamav2", Name: "ExLlamaV2", Files: []string{"config.json"}, Shapes: true, Source: "exllamav2 config.py"},
	}
}

// Belief is what a loader takes a checkpoint for.
type Belief struct {
	Loader  Loader
	File    string   // the file it reads; "" for none
	Config  Config   // the values it uses; DescAct is nil where it looks at g_idx instead
	Assumed []string // keys that its file does not state: the value is the loader's own default
	Problem string   // why it refuses what it reads, "" when it does not
	Proven  bool     // the shapes of the tensors were there to compare with
	Wrong   []string // of "bits" and "group_size", what they refute
}

// Beliefs says for every loader which file it reads and with which values it
// would go on, so that those who are misled by a wrong file can be named.
// Loaders that derive bits and group size from tensors have them only when
// headers are in the input; until then they are 0.
func (in Input) Beliefs() []Belief {
	t := in.takeInventory(in.sources(&list{})).truth()
	var all []Belief
	for _, l := range Loaders() {
		all = append(all, in.belief(l, t))
	}
	return all
}

func (in Input) belief(l Loader, t truth) Belief {
	b := Belief{Loader: l, Config: Config{Method: "gptq", Format: "gptq", PackDType: "int32"}}
	for _, pattern := range l.Files {
		names := in.matching(pattern)
		if len(names) > 1 {
			b.Problem = fmt.Sprintf("%s: one file is expected, there are %d", strings.Join(names, ", "), len(names))
			return b
		}
		if len(names) == 0 {
			continue
		}
		cfg, ok, err := in.parse(names[0])
		switch {
		case err != nil && l.Passes:
			continue
		case err != nil:
			b.File, b.Problem = names[0], err.Error()
			return b
		case !ok:
			continue
		}
		lacks := cfg.lacking(l.Required)
		if l.Passes && b.File != "" {
			cfg.fill(b.Config) // what it read before it stumbled stays
		}
		b.File, b.Config = names[0], cfg
		if !l.Passes || len(lacks) == 0 {
			break
		}
	}
	b.settle(t)
	return b
}

// matching names the files of the input that a loader means.
func (in Input) matching(pattern string) []string {
	suffix, any := strings.CutPrefix(pattern, "*")
	var names []string
	for name := range in.JSON {
		if path.Dir(name) == "." && (name == pattern || any && strings.HasSuffix(name, suffix)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (in Input) parse(name string) (cfg Config, ok bool, err error) {
	if name == "config.json" {
		return ParseModelConfig(in.JSON[name])
	}
	cfg, err = ParseConfig(name, in.JSON[name])
	return cfg, true, err
}

// lacking lists those of the keys that the file does not state.
func (c Config) lacking(keys []string) []string {
	var lacks []string
	for _, key := range keys {
		if c.text(key) == "" {
			lacks = append(lacks, key)
		}
	}
	return lacks
}

// text is the value of one of the keys engines act on, "" when it is not stated.
func (c Config) text(key string) string {
	switch key {
	case "bits":
		return c.bitsText()
	case "group_size":
		return c.groupText()
	case "desc_act":
		return boolText(c.DescAct)
	case "sym":
		return boolText(c.Sym)
	case "checkpoint_format":
		return c.formatText()
	}
	return ""
}

// settle fills in what the loader assumes, or sees in the tensors.
func (b *Belief) settle(t truth) {
	c, a, l := &b.Config, b.Loader.assumes, b.Loader
	if l.Newer && c.newerFormat != "" {
		c.Format = c.newerFormat
	}
	if l.Shapes {
		c.Bits, c.DescAct = t.bits, nil
		if c.GroupSize, c.HasGroupSize = t.groupSize(); !c.HasGroupSize {
			c.GroupSize = 0
		}
		return
	}
	b.Assumed = c.lacking([]string{"bits", "group_size", "desc_act", "sym"})
	switch lacks := c.lacking(l.Required); {
	case l.Passes:
	case b.File == "":
		b.Problem = "no file it reads states a quantisation"
	case len(lacks) > 0:
		b.Problem = "it refuses a configuration without " + strings.Join(lacks, ", ")
	}
	if b.Problem != "" {
		b.Assumed = nil
		return
	}
	if !c.HasBits {
		c.Bits = a.Bits
	}
	if !c.HasGroupSize {
		c.GroupSize = a.GroupSize
	}
	c.DescAct, c.Sym = or(c.DescAct, a.DescAct), or(c.Sym, a.Sym)
	_, uniform := t.groupSize()
	b.Proven = t.known() && uniform
	if t.known() && c.Bits != t.bits {
		b.Wrong = append(b.Wrong, "bits")
	}
	if uniform && !t.fits(c.GroupSize) {
		b.Wrong = append(b.Wrong, "group_size")
	}
}

// readers names the loaders that look into a file first.
func readers(file string) string {
	var names []string
	for _, l := range Loaders() {
		if len(l.Files) > 0 && l.Files[0] == file && !l.Shapes {
			names = append(names, l.Name)
		}
	}
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}
