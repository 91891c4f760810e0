package vram

import (
	"strconv"
	"strings"

	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/quant/safetensors"
)

// Source says where a number comes from.
type Source string

// Sources, the surest first.
const (
	FromTensorHeaders Source = "tensor headers" // the bytes of each tensor
	FromTreeSizes     Source = "tree sizes"     // the sizes of the weight files
	FromShapes        Source = "shapes"         // computed from config and architecture
	FromConfig        Source = "config.json"
	FromMeasurement   Source = "measured"   // recorded on this machine
	FromAssumption    Source = "assumption" // experience: see docs/vram.md
)

// Weights is what the tensors of a checkpoint weigh, in bytes. Embed, Head and
// Layers are parts of Bytes; what is left are norms and the like.
type Weights struct {
	Bytes  int64
	Embed  int64   // the embedding; 0 when not known
	Head   int64   // the output matrix; 0 when it is the embedding (tied)
	Layers []int64 // by layer; nil when only the sum is known
	Source Source
}

// Headers adds up the tensors of the weight files' headers. Layers are told by
// the number in a tensor's name (model.layers.7., transformer.h.7.).
func Headers(headers []*safetensors.Header) Weights {
	w := Weights{Source: FromTensorHeaders}
	for _, h := range headers {
		if h == nil {
			continue
		}
		for _, t := range h.Tensors {
			w.addTensor(t.Name, t.Size)
		}
	}
	return w
}

// Layout adds up the tensors that a configuration implies.
func Layout(l quant.Layout) Weights {
	w := Weights{Source: FromShapes}
	for _, t := range l.Tensors {
		w.addTensor(t.Name, max(t.Bytes, 0))
	}
	return w
}

// maxLayers bounds what a hostile name or config.json can make us list; the
// deepest published models have some 130.
const maxLayers = 4096

func (w *Weights) addTensor(name string, size int64) {
	w.Bytes = add(w.Bytes, size)
	if l, ok := layerOf(name); ok {
		for len(w.Layers) <= l {
			w.Layers = append(w.Layers, 0)
		}
		w.Layers[l] = add(w.Layers[l], size)
		return
	}
	switch lastModule(name) {
	case "embed_tokens", "embed_in", "word_embeddings", "wte", "tok_embeddings":
		w.Embed = add(w.Embed, size)
	case "lm_head", "embed_out", "output":
		w.Head = add(w.Head, size)
	}
}

// layerOf finds N in "….layers.N.…" and its synonyms.
func layerOf(name string) (int, bool) {
	before, rest := "", name
	for {
		part, after, more := strings.Cut(rest, ".")
		if !more {
			return 0, false
		}
		switch before {
		case "layers", "h", "blocks", "layer":
			if n, err := strconv.Atoi(part); err == nil && n >= 0 && n < maxLayers {
				return n, true
			}
		}
		before, rest = part, after
	}
}

// lastModule is "lm_head" of "model.lm_head.weight".
func lastModule(name string) string {
	module, _, ok := cutLast(name, ".")
	if !ok {
		return ""
	}
	if _, last, ok := cutLast(module, "."); ok {
		return last
	}
	return module
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// Total is the weights of which only the sum is known: the sizes of the weight
// files, or what shapes imply. The embedding and the output matrix are in 16
// bits, as GPTQ leaves them; m may be nil.
func Total(bytes int64, source Source, m *quant.Model) Weights {
	w := Weights{Bytes: min(bytes, maxBytes), Source: source}
	if m == nil || m.Vocab <= 0 || m.Hidden <= 0 {
		return w
	}
	matrix := mul(2, mul(int64(m.Vocab), int64(m.Hidden)))
	w.Embed = matrix
	if !m.Tied {
		w.Head = matrix
	}
	if add(w.Embed, w.Head) > w.Bytes {
		w.Embed, w.Head = 0, 0 // this cannot be: say nothing rather than something wrong
	}
	return w
}
