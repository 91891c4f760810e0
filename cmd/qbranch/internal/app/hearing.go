package app

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/quant/safetensors"
)

// Sources of a parameter beside the names of configurations.
const (
	FromTensors  = "tensors"  // the shapes of the tensors
	FromMetadata = "metadata" // what the writer noted in the weight files
	FromName     = "name"     // the branch's name
	FromCard     = "card"     // the card's row
	FromTree     = "tree"     // the hub's listing of the files
	FromRefs     = "refs"     // the hub's listing of the branches
	FromStore    = "store"    // where the branch stood when it was fetched
	FromCache    = "cache"    // where it stood when it was last listed
)

// claims is what one source says of a branch; nil where it does not.
type claims struct {
	source  string
	bits    *int
	group   *int // -1 = none
	act     *bool
	sym     *bool
	format  *string
	damp    *float64
	dataset *string
	seqLen  *int
	size    *int64 // of the weights, in bytes
}

// configClaims takes what the file says, not what loaders assume where it does
// not.
func configClaims(c quant.Config) claims {
	said := claims{source: c.File, act: c.DescAct, sym: c.Sym, damp: c.DampPercent}
	if c.Bits != 0 {
		said.bits = &c.Bits
	}
	if c.HasGroupSize {
		said.group = &c.GroupSize
	}
	if c.HasFormat {
		said.format = &c.Format
	}
	return said
}

// calibration adds what a configuration notes of its making, which has no bearing
// on how tensors are read.
func (c *claims) calibration(data []byte) {
	var notes struct {
		Dataset any `json:"dataset"`
		SeqLen  int `json:"model_seqlen"`
	}
	if c.source == modelConfig {
		var outer struct {
			Quantization json.RawMessage `json:"quantization_config"`
		}
		if json.Unmarshal(data, &outer) != nil {
			return
		}
		data = outer.Quantization
	}
	if json.Unmarshal(data, &notes) != nil {
		return
	}
	if name, ok := notes.Dataset.(string); ok && name != "" {
		c.dataset = &name
	}
	if notes.SeqLen > 0 {
		c.seqLen = &notes.SeqLen
	}
}

func nameClaims(branch string) claims {
	p := quant.ParseBranchName(branch)
	return claims{source: FromName, bits: p.Bits, group: p.GroupSize, act: p.ActOrder}
}

// cardClaims reads the card's row of a branch. One of GPTQ that says bits and no
// group size says that there is none (the tables print "None").
func cardClaims(c *Card, branch string) claims {
	r := cardRow(c, branch)
	if r == nil {
		return claims{source: FromCard}
	}
	said := claims{source: FromCard, group: r.GroupSize, act: r.ActOrder, damp: r.Damp, dataset: r.Dataset, seqLen: r.SeqLen, size: r.SizeBytes}
	if r.Bits != nil {
		if bits := int(*r.Bits); float64(bits) == *r.Bits { // 4.65 bits are not GPTQ's
			said.bits = &bits
		}
		if none := -1; r.GroupSize == nil && r.Method == "" && strings.HasPrefix(c.Layout, "gptq") {
			said.group = &none
		}
	}
	return said
}

// metadataClaims reads what AutoGPTQ writes into the weight files: the first file
// that says anything counts.
func metadataClaims(headers map[string]*safetensors.Header) claims {
	c := claims{source: FromMetadata}
	for _, h := range headers {
		number := func(key string) *int {
			if n, err := strconv.Atoi(h.Metadata[key]); err == nil {
				return &n
			}
			return nil
		}
		c.bits = first(c.bits, number("gptq_bits"))
		c.group = first(c.group, number("gptq_group_size"))
		if act, err := strconv.ParseBool(h.Metadata["gptq_desc_act"]); err == nil {
			c.act = first(c.act, &act)
		}
		if damp, err := strconv.ParseFloat(h.Metadata["gptq_damp_percent"], 64); err == nil {
			c.damp = first(c.damp, &damp)
		}
		if format := h.Metadata["gptq_checkpoint_format"]; format != "" {
			c.format = first(c.format, &format)
		}
	}
	return c
}

func first[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// hearing is what all sources say of one branch, the most trustworthy first:
// tensors cannot lie about their shapes, engines read the configurations, people
// the name, and cards are copied from one repository to the next.
type hearing struct {
	tensors claims
	configs []claims // those that could be read, config.json first
	others  []claims // metadata, name and card
	heard   []Source // all of them
}

// hear asks every source.
func hear(f *branchFacts, c *Card) hearing {
	h := hearing{tensors: claims{source: FromTensors}}
	headers := f.evidence.parsed()
	state := SourceUnread
	if len(headers) > 0 {
		said := configClaims(f.evidence.proven)
		h.tensors.bits, h.tensors.group = said.bits, said.group
		state = SourceRead
	}
	h.heard = []Source{{Source: FromTensors, State: state}, {Source: FromMetadata, State: state}}
	for _, file := range slices.Backward(f.configs) { // config.json first, as it is believed
		h.heard = append(h.heard, h.hearConfig(f, file))
	}
	h.others = []claims{metadataClaims(headers), nameClaims(f.Name), cardClaims(c, f.Name)}
	h.heard = append(h.heard, Source{Source: FromName, State: SourceRead})
	state = SourceAbsent
	if cardRow(c, f.Name) != nil {
		state = SourceRead
	}
	h.heard = append(h.heard, Source{Source: FromCard, State: state})
	return h
}

// hearConfig asks one configuration.
func (h *hearing) hearConfig(f *branchFacts, c configFile) Source {
	s := Source{Source: c.name, State: SourceUnread}
	if _, ok := find(f.files, c.name); !ok && f.treeErr == nil {
		s.State = SourceAbsent
		return s
	}
	if !c.read {
		return s
	}
	cfg, ok, err := c.parse()
	switch {
	case err != nil:
		s.State, s.Detail = SourceUnreadable, err.Error()
	case !ok:
		s.State = SourceAbsent
		s.Detail = "no quantization_config"
	default:
		said := configClaims(cfg)
		said.calibration(c.data)
		h.configs = append(h.configs, said)
		s.State = SourceRead
	}
	return s
}

// parse reads the file; ok is false when it says nothing of quantisation.
func (c configFile) parse() (cfg quant.Config, ok bool, err error) {
	if c.err != nil {
		return cfg, false, c.err
	}
	return parseConfig(c.name, c.data)
}

// sizes is the listing as quant takes it.
func (f *branchFacts) sizes() map[string]int64 {
	m := make(map[string]int64, len(f.files))
	for _, file := range f.files {
		m[file.Path] = file.Size
	}
	return m
}

// all are the sources in the order in which they are believed.
func (h hearing) all() []claims { return slices.Concat([]claims{h.tensors}, h.configs, h.others) }

// config is what the configurations say of a parameter: where they differ,
// config.json counts, as it does for transformers, vLLM and TGI.
func config[T comparable](h hearing, of func(claims) *T) (value *T, source string, differ bool) {
	for _, c := range h.configs {
		switch v := of(c); {
		case v == nil:
		case value == nil:
			value, source = v, c.source
		case *v != *value:
			differ = true
		}
	}
	return value, source, differ
}
