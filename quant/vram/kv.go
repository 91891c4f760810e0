package vram

import (
	"fmt"
	"strings"

	"github.com/qbranch/qbranch/quant"
)

// KVType is how an element of the KV cache is stored.
type KVType string

// Types of cache. q8 and q4 keep a scale of 16 bits for 32 elements beside 8
// and 4 bits each, as ExLlamaV2 does.
const (
	KVFP32 KVType = "fp32" // 4 bytes
	KVFP16 KVType = "fp16" // 2 bytes
	KVFP8  KVType = "fp8"  // 1 byte
	KVQ8   KVType = "q8"   // 1.0625 bytes
	KVQ4   KVType = "q4"   // 0.5625 bytes
)

// ParseKVType reads a type as it is typed; "" is fp16.
func ParseKVType(s string) (KVType, error) {
	switch k := KVType(strings.ToLower(s)); k {
	case "":
		return KVFP16, nil
	case KVFP32, KVFP16, KVFP8, KVQ8, KVQ4:
		return k, nil
	}
	return "", fmt.Errorf("%q is not a type of KV cache: fp16, fp8, q8 or q4", s)
}

// sixteenths is the size of an element in sixteenths of a byte; 0 when the type
// is not known.
func (k KVType) sixteenths() int64 {
	switch k {
	case KVFP32:
		return 64
	case KVFP16:
		return 32
	case KVFP8:
		return 16
	case KVQ8:
		return 17
	case KVQ4:
		return 9
	}
	return 0
}

// perElement is the size of an element as people write it.
func (k KVType) perElement() string {
	switch k {
	case KVFP32:
		return "4"
	case KVFP16:
		return "2"
	case KVFP8:
		return "1"
	case KVQ8:
		return "1.0625"
	}
	return "0.5625"
}

// cache is the shape of a KV cache.
type cache struct {
	known   bool
	latent  bool  // multi-head latent attention: one compressed vector, not keys and values
	layers  int   // layers that keep one
	sliding int   // of them, those that keep window tokens at most
	window  int64 // tokens
	width   int64 // elements a token in one layer, keys and values together
	batch   int64
	type16  int64 // sixteenths of a byte an element
}

// cacheOf reads the shape from config.json. why says what is missing.
func cacheOf(m *quant.Model, p *Profile, batch int, kv KVType) (c cache, why string) {
	if m == nil {
		return c, "there is no config.json, so the KV cache is not known"
	}
	c.layers, c.batch, c.type16 = m.Layers, int64(batch), kv.sixteenths()
	switch {
	case m.Layers <= 0 || m.Layers > maxLayers:
		return c, "config.json does not state the number of layers, so the KV cache is not known"
	case c.type16 == 0:
		return c, "the type of KV cache is not known"
	case m.LatentDim > 0:
		c.latent, c.width = true, int64(m.LatentDim)
	case m.KVHeads <= 0 || m.HeadDim <= 0:
		return c, "config.json does not state key-value heads and their size, so the KV cache is not known"
	default:
		c.width = mul(2, mul(int64(m.KVHeads), int64(m.HeadDim)))
	}
	// Mixtral attends to everything: sliding_window 4096 in early configs is a
	// mistake that made engines forget (transformers #29436, vLLM #2064).
	if m.Window > 0 && m.WindowLayers > 0 && !p.FullCache && m.Kind != "mixtral" {
		c.window, c.sliding = int64(m.Window), min(m.WindowLayers, m.Layers)
	}
	c.known = c.width < 1<<40
	if !c.known {
		return c, "config.json states dimensions that no model has"
	}
	return c, ""
}

// slides says whether layer l slides. config.json rarely says which do, so those
// that attend to everything are spread evenly, each behind the sliding ones of its
// period, as in Gemma and Cohere models.
func (c *cache) slides(l int) bool {
	whole := c.layers - c.sliding
	return (l+1)*whole/c.layers == l*whole/c.layers
}

// layer is the cache of one layer, in bytes.
func (c *cache) layer(slides bool, context int64) int64 {
	if slides {
		context = min(context, c.window)
	}
	return divUp(mul(mul(mul(c.width, context), c.batch), c.type16), 16)
}

// bytes is the cache of all layers.
func (c *cache) bytes(context int64) int64 {
	if !c.known {
		return 0
	}
	return add(mul(int64(c.sliding), c.layer(true, context)), mul(int64(c.layers-c.sliding), c.layer(false, context)))
}
