package quant

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/qbranch/qbranch/quant/gptq"
	"github.com/qbranch/qbranch/quant/safetensors"
)

// Layout is the tensors a checkpoint has by its configuration alone.
type Layout struct {
	Tensors  []LayoutTensor
	Metadata map[string]string // __metadata__ of the file
}

// LayoutTensor is one tensor of a [Layout].
type LayoutTensor struct {
	Name  string
	DType string  // "I32", "F16", …
	Shape []int64 // row-major
	Bytes int64
	Part  string // "qweight", "qzeros", "scales", "g_idx", "bias"; "weight" for what is not quantised
	Role  Role
	Layer int // -1 outside the layers
}

// LayoutOptions are what the configuration does not say about the writer. The
// zero value is a writer of today, with everything in half precision;
// [WriterOptions] guesses them.
type LayoutOptions struct {
	ZeroBias  bool              // every quantised Linear has a bias, also where the architecture has none
	TiedHead  bool              // the head is stored although it is the embedding
	NoGIdx    bool              // there is no g_idx, as before May 2023
	NewNaming bool              // the names transformers has had since version 5 for Mixtral's experts and GPT-NeoX's head; Phi-3's gate and up apart
	Rotary    bool              // every layer carries its rotary frequencies in F32, as Llama files did until August 2023
	Plain     string            // type of what is not quantised; "" = F16
	Scales    string            // type of scales and of biases beside them; "" = F16
	Metadata  map[string]string // of the file; nil = {"format": "pt"}
}

// WriterOptions guesses by the configuration which program wrote a checkpoint,
// and gives the options that follow. AutoGPTQ, which does not name itself, wrote
// a bias for every Linear, a copy of the embedding for a tied head, everything in
// half precision, and its parameters into the file's metadata; its successors
// leave the types as they were and write the biases there are.
func WriterOptions(cfg Config, m *Model) LayoutOptions {
	if cfg.Quantizer == "" {
		return LayoutOptions{ZeroBias: true, TiedHead: true, Metadata: autoGPTQMetadata(cfg)}
	}
	o := LayoutOptions{NewNaming: m.Kind == "gpt_neox"}
	switch m.DType {
	case "bfloat16":
		o.Plain = "BF16"
	case "float32":
		o.Plain = "F32"
	}
	return o
}

// autoGPTQMetadata is what AutoGPTQ's save_quantized has written since 0.3; its
// versions have as many digits.
func autoGPTQMetadata(cfg Config) map[string]string {
	meta := map[string]string{"format": "pt", "auto_gptq_version": "0.4.2", "gptq_bits": cfg.bitsText(), "gptq_group_size": strconv.Itoa(cfg.groupSize())}
	meta["gptq_desc_act"] = "True"
	if cfg.DescAct != nil && !*cfg.DescAct {
		meta["gptq_desc_act"] = "False"
	}
	if cfg.DampPercent != nil {
		meta["gptq_damp_percent"] = floatText(cfg.DampPercent)
	}
	return meta
}

// ErrUnknownArchitecture is returned by [LayoutOf] for a model whose tensors
// cannot be listed.
var ErrUnknownArchitecture = errors.New("the architecture is not known")

// LayoutOf lists the tensors of a checkpoint with this configuration, in no
// particular order. The error is [ErrUnknownArchitecture], or says which value
// cannot be. At most 200,000 matrices are listed, five tensors each.
func LayoutOf(cfg Config, m *Model, o LayoutOptions) (Layout, error) {
	if m.family().tensors == nil {
		return Layout{}, fmt.Errorf("listing the tensors of %q: %w", printable(m.Kind), ErrUnknownArchitecture)
	}
	if len(m.bad) > 0 {
		return Layout{}, fmt.Errorf("listing the tensors: %s is %s, want %s", m.bad[0].field, printable(m.bad[0].got), m.bad[0].want)
	}
	if !widthFits(cfg.Bits) || !sizeFits(cfg.groupSize()) {
		return Layout{}, fmt.Errorf("listing the tensors: bits %d and group size %d cannot be", cfg.Bits, cfg.groupSize())
	}
	b := &layoutBuilder{cfg: cfg, o: o, only: cfg.moduleList(), rules: cfg.rules()}
	b.o.Plain, b.o.Scales = cmp.Or(o.Plain, "F16"), cmp.Or(o.Scales, "F16")
	m.each(o.NewNaming, b.linear, b.plain)
	if o.TiedHead && m.Tied {
		b.plain(plain{"lm_head.weight", RoleHead, -1, b.embedding})
	}
	if o.Rotary {
		for l := range m.Layers {
			b.add(RoleAttention, l, "model.layers."+strconv.Itoa(l)+".self_attn.rotary_emb", "inv_freq", "F32", int64(m.HeadDim/2))
		}
	}
	if b.o.Metadata == nil {
		b.o.Metadata = map[string]string{"format": "pt"}
	}
	b.layout.Metadata = b.o.Metadata
	return b.layout, nil
}

func widthFits(bits int) bool { return bits >= 2 && bits <= 8 }

func sizeFits(groupSize int) bool { return groupSize == -1 || groupSize > 0 }

type layoutBuilder struct {
	cfg    Config
	o      LayoutOptions
	only   moduleList
	rules  *ruleBook
	layout Layout

	embedding []int64 // the embedding's shape
}

// linear adds a matrix, quantised unless the configuration excludes it.
func (b *layoutBuilder) linear(x linear) {
	d := b.rules.forModule(x.name)
	if d.quantised && b.only.has(x) && widthFits(d.bits) && sizeFits(d.groupSize) {
		b.quantised(x, d.bits, d.groupSize)
		return
	}
	b.add(x.role, x.layer, x.name, "weight", b.o.Plain, int64(x.n), int64(x.k))
	if x.bias {
		b.add(x.role, x.layer, x.name, "bias", b.o.Plain, int64(x.n))
	}
}

func (b *layoutBuilder) quantised(x linear, bits, groupSize int) {
	groups := 1
	if groupSize > 0 {
		groups = (x.k-1)/groupSize + 1
	}
	k, n, g := int64(gptq.Words(x.k, bits)), int64(x.n), int64(groups)
	b.add(x.role, x.layer, x.name, "qweight", "I32", k, n)
	b.add(x.role, x.layer, x.name, "qzeros", "I32", g, int64(gptq.Words(x.n, bits)))
	b.add(x.role, x.layer, x.name, "scales", b.o.Scales, g, n)
	if !b.o.NoGIdx {
		b.add(x.role, x.layer, x.name, "g_idx", "I32", int64(x.k))
	}
	if x.bias || b.o.ZeroBias {
		b.add(x.role, x.layer, x.name, "bias", b.o.Scales, n)
	}
}

// plain adds a tensor in floating point; the head may be quantised.
func (b *layoutBuilder) plain(p plain) {
	base, part := p.name, "weight"
	if i := strings.LastIndexByte(p.name, '.'); i >= 0 {
		base, part = p.name[:i], p.name[i+1:]
	}
	if p.role == RoleEmbedding && b.embedding == nil {
		b.embedding = p.shape
	}
	if p.role == RoleHead && b.cfg.LMHead && part == "weight" && p.layer < 0 {
		d := b.rules.forModule(base)
		if d.quantised && widthFits(d.bits) && sizeFits(d.groupSize) {
			b.quantised(linear{name: base, role: p.role, layer: -1, k: int(p.shape[1]), n: int(p.shape[0])}, d.bits, d.groupSize)
			return
		}
	}
	b.add(p.role, p.layer, base, part, b.o.Plain, p.shape...)
}

func (b *layoutBuilder) add(role Role, layer int, base, part, dtype string, shape ...int64) {
	size, _ := safetensors.ByteSize(dtype, shape) // dimensions are bounded: it cannot overflow
	b.layout.Tensors = append(b.layout.Tensors, LayoutTensor{base + "." + part, dtype, shape, size, part, role, layer})
}

// DataBytes is what all tensors take, in bytes.
func (l Layout) DataBytes() int64 {
	var n int64
	for _, t := range l.Tensors {
		n += t.Bytes
	}
	return n
}

// HeaderBytes is the length of the header the safetensors library writes for
// one file of these tensors, with the eight bytes before it: names in the
// library's order, no spaces but those that fill the last eight bytes.
func (l Layout) HeaderBytes() int64 {
	n := int64(len(`{}`))
	if len(l.Metadata) > 0 {
		n += int64(len(`"__metadata__":{}`))
		for k, v := range l.Metadata {
			n += int64(len(k) + len(v) + len(`"":"",`))
		}
		// The last pair has no comma after it, but the object has.
	}
	order := slices.Clone(l.Tensors)
	slices.SortFunc(order, func(a, b LayoutTensor) int {
		return cmp.Or(cmp.Compare(rankOf(a.DType), rankOf(b.DType)), strings.Compare(a.Name, b.Name))
	})
	var offset int64
	for _, t := range order {
		n += int64(len(t.Name)+len(t.DType)) + int64(len(`"":{"dtype":"","shape":[],"data_offsets":[,]},`))
		for i, d := range t.Shape {
			n += digits(d)
			if i > 0 {
				n++
			}
		}
		n += digits(offset) + digits(offset+t.Bytes)
		offset += t.Bytes
	}
	if len(order) > 0 {
		n-- // no comma after the last
	}
	return 8 + (n+7)/8*8
}

// rankOf orders types as the library does, the widest first.
func rankOf(dtype string) int {
	return strings.Index("F32 I32 BF16 F16", dtype)
}

func digits(n int64) int64 {
	d := int64(1)
	for ; n >= 10; n /= 10 {
		d++
	}
	return d
}

// FileBytes is the length of one safetensors file with all tensors, in bytes:
// exact for the tensors; of the header only the metadata is a guess. A
// checkpoint in shards has a header for each, a few kilobytes more in all.
func (l Layout) FileBytes() int64 { return l.HeaderBytes() + l.DataBytes() }

// RoleBytes is what the tensors of each role take, in bytes.
func (l Layout) RoleBytes() map[Role]int64 {
	sums := map[Role]int64{}
	for _, t := range l.Tensors {
		sums[t.Role] += t.Bytes
	}
	return sums
}

// PartBytes is what the tensors of each part take, in bytes: qweight, qzeros,
// scales, g_idx, bias and, not quantised, weight.
func (l Layout) PartBytes() map[string]int64 {
	sums := map[string]int64{}
	for _, t := range l.Tensors {
		sums[t.Part] += t.Bytes
	}
	return sums
}

// LayerBytes is what each layer takes, in bytes, by its number.
func (l Layout) LayerBytes() []int64 {
	var sums []int64
	for _, t := range l.Tensors {
		for t.Layer >= len(sums) {
			sums = append(sums, 0)
		}
		if t.Layer >= 0 {
			sums[t.Layer] += t.Bytes
		}
	}
	return sums
}
