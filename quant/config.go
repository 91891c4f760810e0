package quant

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/qbranch/qbranch/quant/gptq"
)

// Config is a GPTQ configuration as declared, normalised; pointers are nil
// where the file does not say. Source: AutoGPTQ and GPTQModel config.py.
type Config struct {
	File         string // where it was read
	Bits         int    // 0 when the file does not say
	GroupSize    int    // -1 = one group per column; see HasGroupSize
	DescAct      *bool
	Sym          *bool
	StaticGroups *bool
	TrueSeq      *bool
	DampPercent  *float64
	Method       string // "gptq" when absent
	Format       string // checkpoint_format: "gptq" when absent, or "gptq_v2", …
	FileBaseName string // model_file_base_name
	Dataset      string // calibration text; "" when the file does not say
	SeqLen       int    // model_seqlen or seqlen, tokens of a calibration sample; 0 when the file does not say
	Meta         map[string]json.RawMessage
	Extra        map[string]json.RawMessage // keys that are not known, kept
	Ignored      map[string]json.RawMessage // keys that are known and play no part in reading tensors, kept

	HasBits      bool            // the file says bits
	HasGroupSize bool            // the file says group_size
	HasFormat    bool            // the file says checkpoint_format or format
	HasMethod    bool            // the file says quant_method
	LMHead       bool            // lm_head is quantised too
	Marlin       bool            // is_marlin_format, of AutoGPTQ up to 0.7.1
	PackDType    string          // storage word, "int32" when absent
	Quantizer    string          // meta.quantizer, "gptqmodel:5.0.0", …, or AutoRound by autoround_version; "" when absent
	Modules      json.RawMessage // modules_in_block_to_quantize
	Rotation     string          // rotation of newer GPTQModel; "" when absent
	Dynamic      []Rule          // dynamic, exclusions first, then in file order

	newerFormat string     // format, where checkpoint_format stands beside it
	odd         []oddValue // values of the wrong type
}

// oddValue is a key whose value has the wrong type.
type oddValue struct{ key, value, want string }

// maxJSON bounds the configuration files, in bytes.
const maxJSON = 4 << 20

// ParseConfig reads quantize_config.json or quant_config.json. JSON that does
// not parse gives a [*JSONError]; values that make no sense are kept for [Check]
// to judge.
func ParseConfig(file string, data []byte) (Config, error) {
	keys, err := parseObject(file, data)
	if err != nil {
		return Config{}, err
	}
	return readConfig(file, keys), nil
}

// ParseModelConfig reads the quantization_config object of config.json;
// ok is false when there is none.
func ParseModelConfig(data []byte) (cfg Config, ok bool, err error) {
	keys, err := parseObject("config.json", data)
	if err != nil {
		return Config{}, false, err
	}
	raw, ok := keys["quantization_config"]
	if !ok || isNull(raw) {
		return Config{}, false, nil
	}
	var inner map[string]json.RawMessage
	if err := json.Unmarshal(raw, &inner); err != nil {
		return Config{}, false, &JSONError{File: "config.json", Line: 1, Column: 1, Reason: "quantization_config is not an object", text: string(raw[:min(len(raw), 200)]),
			hint: "compare with the original repository: somebody edited the file by hand"}
	}
	return readConfig("config.json", inner), true, nil
}

// Zeros is the rule by which stored zero points of this many bits are read.
func (c Config) Zeros(bits int) gptq.ZeroFormat {
	switch {
	case c.Format == "gptq_v2" || c.Format == "gptq_p":
		return gptq.ZeroV2
	case c.asymmetric() && bits != 3 && strings.Contains(strings.ToLower(c.Quantizer), "gptqmodel"):
		return gptq.ZeroV1Carry // which reads the symmetric zero points of other modules, too
	}
	return gptq.ZeroV1
}

// asymmetric says that some module is, or may be.
func (c Config) asymmetric() bool {
	return c.Sym != nil && !*c.Sym || slices.ContainsFunc(c.Dynamic, func(r Rule) bool { return r.Sym != nil && !*r.Sym })
}

// moduleList is modules_in_block_to_quantize as a set; nil means every Linear.
type moduleList map[string]bool

// has says whether x may be quantised. Names are those within the layer; some
// lists have whole ones.
func (l moduleList) has(x linear) bool { return l == nil || l[x.inBlock] || l[x.name] }

// moduleList reads modules_in_block_to_quantize, a list of names or of lists of
// them.
func (c Config) moduleList() moduleList {
	var lists []json.RawMessage
	if json.Unmarshal(c.Modules, &lists) != nil || len(lists) == 0 {
		return nil
	}
	set := moduleList{}
	for _, raw := range lists {
		var names []string
		var name string
		if json.Unmarshal(raw, &names) == nil {
			for _, name := range names {
				set[name] = true
			}
		} else if json.Unmarshal(raw, &name) == nil {
			set[name] = true
		}
	}
	return set
}

// groupSize is the group size, -1 where the file does not say.
func (c Config) groupSize() int {
	if !c.HasGroupSize {
		return -1
	}
	return c.GroupSize
}

// configKeys reads a configuration object, whose keys match without regard to
// case, as AutoGPTQ and GPTQModel lower them.
type configKeys struct {
	raw  map[string]json.RawMessage
	cfg  *Config
	used map[string]bool
}

// keys that are known and have no bearing on how tensors are read.
var ignoredKeys = strings.Fields(`model_name_or_path act_group_aware pack_impl mse adapter device dataset tokenizer model_seqlen
	block_name_to_quantize module_name_preceding_first_block batch_size pad_token_id max_input_length cache_block_outputs use_cuda_fp16
	use_exllama disable_exllama exllama_config backend autoround_version provider iters seqlen extra_config packing_format damp_auto_increment
	offload_to_disk offload_to_disk_path data_type low_gpu_mem_usage nsamples lr minmax_lr amp scale_dtype to_quant_block_names
	hyb_act gptaq foem fallback failsafe auto_forward_data_parallel wait_for_submodule_finalizers compile mock_quantization
	block_quant_config desc_act_order calibration head_bits`)

func readConfig(file string, raw map[string]json.RawMessage) Config {
	c := Config{File: file}
	k := configKeys{raw: lowered(raw), cfg: &c, used: map[string]bool{}}
	c.Meta = k.object("meta")
	meta := configKeys{raw: lowered(c.Meta), cfg: &c, used: map[string]bool{}}

	if n := k.integer("bits", "w_bit", "wbits"); n != nil {
		c.Bits, c.HasBits = *n, true
	}
	if n := k.integer("group_size", "q_group_size", "groupsize"); n != nil {
		c.GroupSize, c.HasGroupSize = *n, true
	}
	c.DescAct = k.boolean("desc_act")
	c.Sym = k.boolean("sym")
	c.StaticGroups = or(k.boolean("static_groups"), meta.boolean("static_groups"))
	c.TrueSeq = or(k.boolean("true_sequential"), meta.boolean("true_sequential"))
	c.DampPercent = or(k.float("damp_percent"), meta.float("damp_percent"))
	c.LMHead = isTrue(k.boolean("lm_head"))
	c.Marlin = isTrue(k.boolean("is_marlin_format"))
	c.FileBaseName = k.str("model_file_base_name")
	c.PackDType = strings.ToLower(k.str("pack_dtype"))
	c.Method = strings.ToLower(k.str("quant_method", "method"))
	c.HasMethod = !isNull(k.raw["quant_method"]) && k.raw["quant_method"] != nil
	c.Quantizer = meta.strings("quantizer")
	if version := k.any("autoround_version"); c.Quantizer == "" && version != nil {
		c.Quantizer = "auto-round:" + strings.Trim(string(version), `"`)
	}
	c.Dataset = k.strings("dataset")
	calibration := configKeys{raw: lowered(k.object("calibration")), cfg: &c, used: map[string]bool{}} // EXL2's
	if n := or(k.integer("model_seqlen", "seqlen"), calibration.integer("length")); n != nil {
		c.SeqLen = *n
	}
	c.Modules = k.any("modules_in_block_to_quantize", "inside_layer_modules")
	if r := k.any("rotation"); r != nil {
		c.Rotation = string(r)
	}
	k.readFormat()
	k.readDynamic()
	for name, v := range raw {
		low := strings.ToLower(name)
		switch {
		case slices.Contains(ignoredKeys, low):
			keep(&c.Ignored, name, v)
		case !k.used[low]:
			keep(&c.Extra, name, v)
		}
	}
	return c
}

func keep(m *map[string]json.RawMessage, name string, v json.RawMessage) {
	if *m == nil {
		*m = map[string]json.RawMessage{}
	}
	(*m)[name] = v
}

// MetadataSource is how a weight file is called as a source of parameters: it
// is its __metadata__ that says them.
func MetadataSource(file string) string { return file + " metadata" }

// ParseMetadata reads what AutoGPTQ wrote into the metadata of a weight file,
// gptq_bits and the like, where every value is a string; ok is false when there
// is nothing of the kind.
func ParseMetadata(file string, meta map[string]string) (cfg Config, ok bool) {
	raw := map[string]json.RawMessage{}
	for name, v := range meta {
		key, ours := strings.CutPrefix(strings.ToLower(name), "gptq_")
		if !ours {
			continue
		}
		// Python's str: True, None, 4, 0.1 or a name.
		value := json.RawMessage(strings.ToLower(v))
		if v == "None" {
			value = json.RawMessage("null")
		}
		if !json.Valid(value) {
			value, _ = json.Marshal(v) // a string always becomes JSON
		}
		raw[key] = value
	}
	if len(raw) == 0 {
		return Config{}, false
	}
	return readConfig(MetadataSource(file), raw), true
}

// readFormat settles method and format: checkpoint_format and its newer twin
// format, and what only AWQ tools write.
func (k *configKeys) readFormat() {
	c := k.cfg
	older, newer := strings.ToLower(k.str("checkpoint_format")), strings.ToLower(k.str("format"))
	version, zeroPoint := strings.ToLower(k.str("version")), k.boolean("zero_point")
	if older != "" && newer != "" && older != newer {
		c.odd = append(c.odd, oddValue{"format", newer, "checkpoint_format " + older})
	}
	if c.Format = older; older == "" {
		c.Format = newer
	} else {
		c.newerFormat = newer
	}
	c.HasFormat = c.Format != ""
	switch { // by the keys that only one method has
	case c.Method != "":
	case zeroPoint != nil || strings.HasPrefix(version, "gem"):
		c.Method = "awq" // version GEMM or GEMV
	case k.any("load_in_4bit", "load_in_8bit", "_load_in_4bit", "_load_in_8bit") != nil:
		c.Method = "bitsandbytes"
	case k.any("config_groups") != nil:
		c.Method = "compressed-tensors"
	case k.any("quant_algo") != nil:
		c.Method = "modelopt"
	}
	if c.Sym == nil && zeroPoint != nil {
		sym := !*zeroPoint
		c.Sym = &sym
	}
	if c.Format == "" {
		c.Format = "gptq"
	}
	if c.Method == "" {
		c.Method = "gptq"
	}
	if c.PackDType == "" {
		c.PackDType = "int32"
	}
}

// any is the value of the first name that has one; null counts as absent.
func (k *configKeys) any(names ...string) json.RawMessage {
	var found json.RawMessage
	for _, name := range names {
		k.used[name] = true
		if v, ok := k.raw[name]; ok && !isNull(v) && found == nil {
			found = v
		}
	}
	return found
}

func (k *configKeys) odd(key string, raw json.RawMessage, want string) {
	k.cfg.odd = append(k.cfg.odd, oddValue{key, string(raw), want})
}

func (k *configKeys) integer(names ...string) *int {
	raw := k.any(names...)
	if raw == nil {
		return nil
	}
	n, err := strconv.ParseInt(string(raw), 10, 32)
	if err != nil {
		k.odd(names[0], raw, "an integer of 32 bits")
		return nil
	}
	v := int(n)
	return &v
}

func decodeAs[T any](k *configKeys, want string, names ...string) *T {
	raw := k.any(names...)
	if raw == nil {
		return nil
	}
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		k.odd(names[0], raw, want)
		return nil
	}
	return &v
}

func (k *configKeys) boolean(names ...string) *bool {
	return decodeAs[bool](k, "true or false", names...)
}
func (k *configKeys) float(names ...string) *float64 {
	return decodeAs[float64](k, "a number", names...)
}

func (k *configKeys) str(names ...string) string {
	if s := decodeAs[string](k, "a string", names...); s != nil {
		return *s
	}
	return ""
}

// strings reads a string or a list of strings, joined by a space.
func (k *configKeys) strings(name string) string {
	raw := k.any(name)
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return strings.Join(list, " ")
	}
	return k.str(name)
}

func (k *configKeys) object(name string) map[string]json.RawMessage {
	if m := decodeAs[map[string]json.RawMessage](k, "an object", name); m != nil {
		return *m
	}
	return nil
}

// lowered maps lower-case names to values; a name already in lower case wins
// over its other spellings.
func lowered(raw map[string]json.RawMessage) map[string]json.RawMessage {
	m := make(map[string]json.RawMessage, len(raw))
	for name, v := range raw {
		low := strings.ToLower(name)
		if _, taken := raw[low]; low == name || !taken {
			m[low] = v
		}
	}
	return m
}

func isNull(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "null" }

func or[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

func isTrue(b *bool) bool { return b != nil && *b }

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// describe says a group size as people do.
func describe(groupSize int) string { return fmt.Sprintf("%dg", groupSize) }

// groupsText is a group size in a sentence.
func groupsText(size int) string {
	if size < 0 {
		return "no groups"
	}
	return fmt.Sprintf("groups of %d", size)
}

// actText is desc_act in a sentence.
func actText(on bool) string {
	if on {
		return "act-order"
	}
	return "no act-order"
}
