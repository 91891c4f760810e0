package model

import (
	"math"
	"slices"
)

// Config is what config.json says about the decoder, checked and with the
// defaults of its architecture filled in. Source: transformers, the
// configuration classes of the families.
type Config struct {
	Architecture string // "MixtralForCausalLM"
	Hidden       int
	Intermediate int // width of a dense feed-forward
	Layers       int
	Heads        int
	KVHeads      int
	HeadDim      int
	Vocab        int
	Context      int     // positions that can be computed, scaled ones included
	Windows      []int   // (layers) positions attended to, 0 = all; nil = all in all layers
	Act          string  // of the feed-forward: "silu", "gelu" or "gelu_tanh"
	Eps          float64 // of the norms
	Tied         bool    // the output matrix is the embedding, unless it has tensors of its own
	Rope         Rope

	QKVBias, OutBias, MLPBias bool // the matrices must have a bias; others may have one

	QKNorm     bool    // queries and keys are normalised, head by head
	ScoreScale float64 // of attention scores
	ScoreCap   float64 // soft cap of attention scores; 0 = none
	LogitCap   float64 // soft cap of logits; 0 = none

	Parallel bool // attention and feed-forward side by side
	TwoNorms bool // falcon: each with a norm of its own
	Groups   int  // fused queries, keys and values lie in so many groups

	Experts         int // 0 = one dense feed-forward
	ExpertsPerToken int
	ExpertWidth     int
	SharedWidth     int    // of the expert that every token uses; 0 = none
	ScaleChosen     bool   // weights of the chosen experts are scaled to a sum of one
	Sparse          []bool // (layers) which have experts; nil = all
}

// ParseConfig reads config.json. An architecture that is not run, or a setting of
// one that is, is ErrUnsupported, anything else that is wrong ErrCheckpoint.
func ParseConfig(data []byte) (Config, error) {
	f, err := parseFields(data)
	if err != nil {
		return Config{}, err
	}
	family, err := findFamily(f)
	if err != nil {
		return Config{}, err
	}
	c := Config{Architecture: family.architecture}
	family.config(f, &c)
	if f.err != nil {
		return Config{}, f.err
	}
	if err := c.check(); err != nil {
		return Config{}, err
	}
	return c, f.foreign(c.Architecture)
}

// dimensions reads what nearly all families spell alike. missing holds the
// defaults of the family's class: KVHeads (0 = as many as heads), HeadDim (0 =
// hidden/heads), Context, Eps, Tied.
func (c *Config) dimensions(f *fields, missing Config) {
	c.Hidden = f.need("hidden_size")
	c.Intermediate = f.need("intermediate_size")
	c.Layers = f.need("num_hidden_layers")
	c.Heads = f.need("num_attention_heads")
	c.Vocab = f.need("vocab_size")
	c.Context = f.integer(missing.Context, "max_position_embeddings")
	c.Eps = f.float(missing.Eps, "rms_norm_eps", "layer_norm_eps", "norm_eps")
	c.Tied = f.flag(missing.Tied, "tie_word_embeddings")
	c.KVHeads = c.Heads
	if missing.KVHeads > 0 && !f.isNull("num_key_value_heads") {
		c.KVHeads = missing.KVHeads
	}
	c.KVHeads = f.integer(c.KVHeads, "num_key_value_heads")
	c.heads(f.integer(missing.HeadDim, "head_dim"))
}

// heads settles the size of a head and the scale of its scores.
func (c *Config) heads(dim int) {
	c.HeadDim = dim
	if dim == 0 && c.Heads > 0 {
		c.HeadDim = c.Hidden / c.Heads
	}
	c.ScoreScale = 1 / math.Sqrt(float64(c.HeadDim))
}

// activation reads the function of the feed-forward.
func (c *Config) activation(f *fields, missing string, names ...string) {
	switch act := f.text(missing, names...); act {
	case "silu", "swish":
		c.Act = "silu"
	case "gelu", "gelu_python":
		c.Act = "gelu"
	case "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_accurate":
		c.Act = "gelu_tanh"
	default:
		f.fail(unsupportedConfig("%s %q is not supported, only silu, gelu and gelu_pytorch_tanh", names[0], act))
	}
}

// window reads sliding_window for all layers alike: null is none, absence means
// missing.
func (c *Config) window(f *fields, missing int) {
	if f.isNull("sliding_window") {
		missing = 0
	}
	if w := c.windowSize(f, missing); w > 0 {
		c.Windows = slices.Repeat([]int{w}, min(max(c.Layers, 0), maxLayers))
	}
}

func (c *Config) windowSize(f *fields, missing int) int {
	w := f.integer(missing, "sliding_window")
	if w < 0 || w == 0 && missing > 0 {
		f.fail(badConfig("sliding_window is %d", w))
	}
	return w
}

// layerWindows gives a window to the layers that layer_types calls
// sliding_attention or, where it is absent, to those that slides says.
func (c *Config) layerWindows(f *fields, window int, slides func(layer int) bool) {
	var types []string
	f.read(&types, "a list of strings", "layer_types")
	if c.Layers < 1 || c.Layers > maxLayers {
		return // refused later
	}
	if types != nil && len(types) != c.Layers {
		f.fail(badConfig("layer_types has %d entries for %d layers", len(types), c.Layers))
		return
	}
	windows := make([]int, c.Layers)
	any := false
	for i := range windows {
		sliding := slides(i)
		if types != nil {
			if t := types[i]; t != "sliding_attention" && t != "full_attention" {
				f.fail(unsupportedConfig("layer type %q is not supported, only full_attention and sliding_attention", t))
			}
			sliding = types[i] == "sliding_attention"
		}
		if sliding && window > 0 {
			windows[i], any = window, true
		}
	}
	if any {
		c.Windows = windows
	}
}

// windowOf is the window of a layer, 0 for none.
func (c *Config) windowOf(layer int) int {
	if c.Windows == nil {
		return 0
	}
	return c.Windows[layer]
}

// Limits on what a config may claim: beyond them nothing was ever published, and
// products of two stay far from overflow.
const (
	maxWidth   = 1 << 20
	maxContext = 1 << 28
	maxLayers  = 1024
	maxExperts = 1024
)

func (c *Config) check() error {
	for _, field := range []struct {
		name     string
		got, max int
	}{
		{"hidden_size", c.Hidden, maxWidth},
		{"intermediate_size", c.Intermediate, maxWidth},
		{"num_hidden_layers", c.Layers, maxLayers},
		{"num_attention_heads", c.Heads, maxWidth},
		{"num_key_value_heads", c.KVHeads, maxWidth},
		{"head_dim", c.HeadDim, maxWidth},
		{"vocab_size", c.Vocab, 1 << 24},
		{"max_position_embeddings", c.Context, maxContext},
	} {
		if field.got < 1 || field.got > field.max {
			return badConfig("%s is %d", field.name, field.got)
		}
	}
	switch {
	case c.Heads%c.KVHeads != 0:
		return badConfig("%d attention heads do not divide among %d key-value heads", c.Heads, c.KVHeads)
	case c.Heads*c.HeadDim > maxWidth:
		return badConfig("%d heads of %d", c.Heads, c.HeadDim)
	case !(c.Eps > 0 && c.Eps < 1):
		return badConfig("the epsilon of the norms is %v", c.Eps)
	case !(c.ScoreScale > 0 && c.ScoreScale <= 1e6):
		return badConfig("attention scores are scaled by %v", c.ScoreScale)
	case !(c.ScoreCap >= 0 && c.LogitCap >= 0):
		return badConfig("soft caps of %v and %v", c.ScoreCap, c.LogitCap)
	case c.Experts < 0 || c.Experts > maxExperts || c.Experts > 0 && (c.ExpertsPerToken < 1 || c.ExpertsPerToken > c.Experts):
		return badConfig("%d of %d experts per token", c.ExpertsPerToken, c.Experts)
	case c.Experts > 0 && (c.ExpertWidth < 1 || c.ExpertWidth > maxWidth || c.SharedWidth < 0 || c.SharedWidth > maxWidth):
		return badConfig("experts of width %d beside one of %d", c.ExpertWidth, c.SharedWidth)
	}
	return c.Rope.check(c.HeadDim)
}
