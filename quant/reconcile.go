package quant

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Config is the one configuration that follows from all sources, and what they
// contradict one another in. Engines disagree on which file wins: transformers,
// vLLM and TGI read config.json's quantization_config, AutoGPTQ and GPTQModel
// read quantize_config.json. Here config.json's object comes first, what it does
// not say comes from the other files, and where the two differ the one that
// agrees with the tensors is believed. Bits and group size that no file states
// come from the tensors, when their headers are there.
func (in Input) Config() (Config, []Finding) {
	var l list
	sources := in.sources(&l)
	cfg := in.merge(sources, in.takeInventory(sources).truth(), &l)
	return cfg, l.sorted()
}

// Proven is what the headers and the metadata of weight files say, whatever
// configuration files do.
func (in Input) Proven() Config {
	bare := Input{Files: in.Files, Headers: in.Headers}
	if in.inv != nil && slices.Equal(in.inv.files, bare.weightFiles(nil)) {
		bare.inv = in.inv
	}
	cfg, _ := bare.Config() // Check has the findings
	return cfg
}

// Sources is what every source states, each as it is declared: config.json's
// object first, then the files of quantisers in the order AutoGPTQ looks for
// them, then the metadata of weight files whose headers are known. Files that
// cannot be read are left out; [Check] names them.
func (in Input) Sources() []Config {
	return append(in.sources(&list{}), in.metadata()...)
}

// metadata reads what weight files say of themselves.
func (in Input) metadata() []Config {
	var found []Config
	for _, name := range slices.Sorted(maps.Keys(in.Headers)) {
		if h := in.Headers[name]; h != nil {
			if cfg, ok := ParseMetadata(name, h.Metadata); ok {
				found = append(found, cfg)
			}
		}
	}
	return found
}

// sources reads every configuration there is, config.json's object first.
func (in Input) sources(l *list) []Config {
	var list []Config
	var broken []*JSONError
	failed := func(err error) {
		var e *JSONError
		if errors.As(err, &e) {
			broken = append(broken, e)
		}
	}
	if data, ok := in.JSON["config.json"]; ok {
		cfg, ok, err := ParseModelConfig(data)
		failed(err)
		if ok {
			list = append(list, cfg)
		}
	}
	for _, name := range in.quantFiles() {
		cfg, err := ParseConfig(name, in.JSON[name])
		failed(err)
		if err == nil {
			list = append(list, cfg)
		}
	}
	for _, e := range broken {
		severity, rest := Fatal, "no engine can load this branch"
		if e.File != "config.json" && len(list) > 0 {
			severity, rest = Warn, fmt.Sprintf("%s is used; engines that read this file first fail", list[0].File)
		}
		l.add(Finding{Code: "J1", Severity: severity, Where: e.File, Message: e.where() + "; " + rest, Got: e.text, Want: "a JSON object", Hint: e.hint})
	}
	return list
}

// quantFiles names the configuration files of quantisers in the order AutoGPTQ
// looks for them.
func (in Input) quantFiles() []string {
	var names []string
	for name := range in.JSON {
		if path.Dir(name) == "." && (name == "quant_config.json" || strings.HasSuffix(name, "quantize_config.json")) {
			names = append(names, name)
		}
	}
	first := func(name string) int {
		return slices.Index([]string{"quant_config.json", "quantize_config.json"}, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if c := first(b) - first(a); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	return names
}

// merge settles every key over all sources, and t, the tensors.
func (in Input) merge(sources []Config, t truth, l *list) Config {
	c := Config{File: "tensors", Method: "gptq", Format: "gptq", PackDType: "int32"}
	for i, s := range sources {
		if i == 0 {
			c = s
		} else {
			c.fill(s)
		}
	}
	bits := provable{"bits", Config.bitsText, func(s Config) int { return s.Bits }, func(bits int) bool { return bits == t.bits }}
	size := provable{"group_size", Config.groupText, func(s Config) int { return s.GroupSize }, t.fits}
	c.Bits = bits.settle(l, sources, c.Bits, t.known())
	c.GroupSize = size.settle(l, sources, c.GroupSize, t.known())
	c.settleFlags(sources, t, l)
	if !c.HasBits && t.known() {
		c.Bits = t.bits
	}
	if size, ok := t.groupSize(); !c.HasGroupSize && ok {
		c.GroupSize, c.HasGroupSize = size, true
	}
	for _, s := range in.metadata() {
		s.HasBits = s.HasBits && !t.known() // the tensors know better
		c.fill(s)
	}
	return c
}

// known says that every module has the same bits.
func (t truth) known() bool { return t.bits != 0 }

// fill takes from s what c does not say.
func (c *Config) fill(s Config) {
	if !c.HasBits && s.HasBits {
		c.Bits, c.HasBits = s.Bits, true
	}
	if !c.HasGroupSize {
		c.GroupSize, c.HasGroupSize = s.GroupSize, s.HasGroupSize
	}
	if !c.HasFormat {
		c.Format, c.HasFormat = s.Format, s.HasFormat
	}
	if c.Method == "gptq" {
		c.Method = s.Method
	}
	if c.FileBaseName == "" {
		c.FileBaseName = s.FileBaseName
	}
	if c.Dataset == "" {
		c.Dataset = s.Dataset
	}
	if c.SeqLen == 0 {
		c.SeqLen = s.SeqLen
	}
	if c.Quantizer == "" {
		c.Quantizer = s.Quantizer
	}
	if c.Modules == nil {
		c.Modules = s.Modules
	}
	if c.Rotation == "" {
		c.Rotation = s.Rotation
	}
	if c.PackDType == "int32" {
		c.PackDType = s.PackDType
	}
	if len(c.Dynamic) == 0 {
		c.Dynamic = s.Dynamic
	}
	c.LMHead = c.LMHead || s.LMHead
	c.Marlin = c.Marlin || s.Marlin
	c.DescAct, c.Sym = or(c.DescAct, s.DescAct), or(c.Sym, s.Sym)
	c.StaticGroups, c.TrueSeq = or(c.StaticGroups, s.StaticGroups), or(c.TrueSeq, s.TrueSeq)
	c.DampPercent = or(c.DampPercent, s.DampPercent)
	c.odd = append(slices.Clone(c.odd), s.odd...)
}

// provable is a key that the shapes of tensors prove.
type provable struct {
	key    string
	text   func(Config) string // "" when a file does not say
	value  func(Config) int
	agrees func(int) bool // with the tensors
}

// settle gives the value to believe: where sources differ, the one that agrees
// with the tensors, if their headers are there; the others are named.
func (p provable) settle(l *list, sources []Config, current int, proven bool) int {
	said, differ := saying(sources, p.text)
	if !differ {
		return current
	}
	f := contradiction(p.key, Fatal, said, p.text, "engines read different files: correct the wrong one before using this branch")
	if !proven {
		l.add(f)
		return current
	}
	var wrong []string
	best := current
	for _, s := range slices.Backward(said) {
		if p.agrees(p.value(s)) {
			best, f.Want = p.value(s), p.text(s)
		} else {
			wrong = append(wrong, s.File)
			f.Got = p.text(s)
		}
	}
	slices.Sort(wrong)
	if len(wrong) > 0 {
		f.Severity = Warn
		f.Message += "; by the tensors " + strings.Join(wrong, " and ") + " is wrong"
		l.add(f)
	}
	return best
}

// settleFlags compares what shapes cannot prove.
func (c *Config) settleFlags(sources []Config, t truth, l *list) {
	flag := func(key string, text func(Config) string, severity Severity, hint string) {
		if said, differ := saying(sources, text); differ {
			l.add(contradiction(key, severity, said, text, hint))
		}
	}
	act := Fatal
	if t.oneGroup() || len(t.shapes) == 0 && c.GroupSize == -1 {
		act = Warn // with one group per column it makes no difference
	}
	flag("desc_act", func(s Config) string { return boolText(s.DescAct) }, act, "an engine that ignores g_idx answers with noise if it is true: correct the wrong file")
	flag("sym", func(s Config) string { return boolText(s.Sym) }, Fatal, "engines skip the zero points of symmetric files: correct the wrong file")
	flag("checkpoint_format", Config.formatText, Fatal, "the two formats read zero points differently: correct the wrong file")
	if len(c.Dynamic) > 0 {
		for _, s := range sources {
			if !sameRules(s.Dynamic, c.Dynamic) {
				l.add(Finding{
					Code: "J5", Severity: Warn, Where: s.File, Field: "dynamic",
					Got: fmt.Sprintf("%d rules", len(s.Dynamic)), Want: fmt.Sprintf("the %d rules of the other file", len(c.Dynamic)),
					Message: "its dynamic differs from that of another configuration file: engines that read this one take some layers for what they are not",
					Hint:    "give both files the same dynamic",
				})
			}
		}
	}
	for _, s := range sources {
		if c.HasFormat && c.Format != "gptq" && !s.HasFormat {
			l.add(Finding{
				Code: "J5", Severity: Warn, Where: s.File, Field: "checkpoint_format",
				Got: "nothing", Want: c.Format,
				Message: fmt.Sprintf("says no checkpoint_format, which means gptq, while another file says %s", c.Format),
				Hint:    "add checkpoint_format to this file",
			})
		}
	}
}

// saying keeps the sources that state a key, and tells whether they differ.
func saying(sources []Config, text func(Config) string) (said []Config, differ bool) {
	for _, s := range sources {
		if text(s) != "" {
			differ = differ || len(said) > 0 && text(s) != text(said[0])
			said = append(said, s)
		}
	}
	return said, differ
}

// contradiction says what each file says, and who reads it.
func contradiction(key string, severity Severity, said []Config, text func(Config) string, hint string) Finding {
	var parts, values []string
	for _, s := range said {
		part := fmt.Sprintf("%s says %s", s.File, text(s))
		if who := readers(s.File); who != "" {
			part += fmt.Sprintf(" (read by %s)", who)
		}
		parts, values = append(parts, part), append(values, text(s))
	}
	return Finding{Code: "J5", Severity: severity, Where: key, Field: key, Message: strings.Join(parts, ", "),
		Got: strings.Join(values, ", "), Want: "one value", Hint: hint}
}

func (c Config) bitsText() string {
	if !c.HasBits {
		return ""
	}
	return strconv.Itoa(c.Bits)
}

func (c Config) groupText() string {
	if !c.HasGroupSize {
		return ""
	}
	return strconv.Itoa(c.GroupSize)
}

func (c Config) formatText() string {
	if !c.HasFormat {
		return ""
	}
	return c.Format
}

func boolText(b *bool) string {
	if b == nil {
		return ""
	}
	return strconv.FormatBool(*b)
}

func floatText(f *float64) string {
	if f == nil {
		return ""
	}
	return strconv.FormatFloat(*f, 'g', -1, 64)
}
