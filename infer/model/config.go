package model

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Config is what config.json says about the decoder, checked and with the
// defaults of its architecture filled in. Source: transformers, the
// configuration classes of llama, mistral and mixtral.
type Config struct {
	Architecture string // "MixtralForCausalLM"
	Hidden       int
	Intermediate int
	Layers       int
	Heads        int
	KVHeads      int
	HeadDim      int
	Vocab        int
	Context      int     // max_position_embeddings
	Window       int     // how many positions are attended to; 0 = all
	Eps          float64 // of the norms
	Tied         bool    // the output matrix is the embedding
	Rope         Rope

	Experts         int // 0 = one dense feed-forward
	ExpertsPerToken int
}

// Architectures are those that Load runs.
var Architectures = []string{"LlamaForCausalLM", "MistralForCausalLM", "MixtralForCausalLM"}

// configFile is config.json as it lies on disk. Pointers tell absence from zero,
// raw messages absence from null.
type configFile struct {
	Architectures []string `json:"architectures"`
	ModelType     string   `json:"model_type"`

	Hidden       int             `json:"hidden_size"`
	Intermediate int             `json:"intermediate_size"`
	Layers       int             `json:"num_hidden_layers"`
	Heads        int             `json:"num_attention_heads"`
	KVHeads      *int            `json:"num_key_value_heads"`
	HeadDim      *int            `json:"head_dim"`
	Vocab        int             `json:"vocab_size"`
	Context      *int            `json:"max_position_embeddings"`
	Window       json.RawMessage `json:"sliding_window"`
	Eps          *float64        `json:"rms_norm_eps"`
	Tied         bool            `json:"tie_word_embeddings"`
	Act          *string         `json:"hidden_act"`
	Experts      *int            `json:"num_local_experts"`
	PerToken     *int            `json:"num_experts_per_tok"`

	RopeTheta      *float64  `json:"rope_theta"`
	RopeScaling    *ropeFile `json:"rope_scaling"`    // transformers 4
	RopeParameters *ropeFile `json:"rope_parameters"` // transformers 5
	PartialRotary  *float64  `json:"partial_rotary_factor"`
}

// ParseConfig reads config.json. An architecture that is not run is
// ErrUnsupported, anything else that is wrong ErrCheckpoint.
func ParseConfig(data []byte) (Config, error) {
	var f configFile
	if err := json.Unmarshal(data, &f); err != nil {
		return Config{}, &Error{Kind: ErrCheckpoint, File: "config.json", Reason: "not the JSON it should be", Err: err,
			Help: "open the file: a stray bracket or comma is the usual cause; or fetch it again"}
	}
	arch, err := f.architecture()
	if err != nil {
		return Config{}, err
	}
	c := Config{
		Architecture: arch,
		Hidden:       f.Hidden,
		Intermediate: f.Intermediate,
		Layers:       f.Layers,
		Heads:        f.Heads,
		KVHeads:      or(f.KVHeads, f.Heads),
		Vocab:        f.Vocab,
		Context:      or(f.Context, 2048),
		Eps:          or(f.Eps, 1e-6),
		Tied:         f.Tied,
	}
	if arch == "MixtralForCausalLM" {
		c.Experts, c.ExpertsPerToken = or(f.Experts, 8), or(f.PerToken, 2)
	}
	if act := or(f.Act, "silu"); act != "silu" && act != "swish" {
		return Config{}, unsupportedConfig("hidden_act", act, "silu")
	}
	if err := c.setWindow(f.Window); err != nil {
		return Config{}, err
	}
	if c.Heads > 0 {
		c.HeadDim = or(f.HeadDim, c.Hidden/c.Heads)
	}
	if err := c.check(); err != nil {
		return Config{}, err
	}
	c.Rope, err = f.rope(c)
	return c, err
}

func or[T any](p *T, fallback T) T {
	if p == nil {
		return fallback
	}
	return *p
}

// architecture settles which decoder a file is for. model_type decides where
// architectures is missing, as it does in some converted checkpoints.
func (f *configFile) architecture() (string, error) {
	byType := map[string]string{"llama": Architectures[0], "mistral": Architectures[1], "mixtral": Architectures[2]}
	name := byType[f.ModelType]
	if len(f.Architectures) > 0 {
		name = f.Architectures[0]
	}
	switch {
	case name == "LLaMAForCausalLM": // spelling of early 2023
		return Architectures[0], nil
	case slices.Contains(Architectures, name):
		return name, nil
	case name == "" && f.ModelType == "":
		return "", badConfig("no architectures and no model_type")
	case name == "":
		name = f.ModelType
	}
	return "", &Error{Kind: ErrUnsupported, File: "config.json",
		Reason: fmt.Sprintf("architecture %s is not supported; the runner knows %s", name, strings.Join(Architectures, ", "))}
}

func unsupportedConfig(field, got, want string) *Error {
	return &Error{Kind: ErrUnsupported, File: "config.json", Reason: fmt.Sprintf("%s %q is not supported, only %s", field, got, want)}
}

// setWindow reads sliding_window: null is none, and absence means what the
// architecture's own class defaults to.
func (c *Config) setWindow(raw json.RawMessage) error {
	switch {
	case c.Architecture == "LlamaForCausalLM" || string(raw) == "null":
		return nil
	case len(raw) == 0:
		if c.Architecture == "MistralForCausalLM" {
			c.Window = 4096
		}
		return nil
	}
	if err := json.Unmarshal(raw, &c.Window); err != nil || c.Window < 1 {
		return badConfig("sliding_window is %s", raw)
	}
	return nil
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
	case c.HeadDim%2 != 0:
		return badConfig("head_dim %d is odd", c.HeadDim)
	case c.Heads*c.HeadDim > maxWidth:
		return badConfig("%d heads of %d", c.Heads, c.HeadDim)
	case c.Experts < 0 || c.Experts > maxExperts || c.Experts > 0 && (c.ExpertsPerToken < 1 || c.ExpertsPerToken > c.Experts):
		return badConfig("%d of %d experts per token", c.ExpertsPerToken, c.Experts)
	case !(c.Eps > 0 && c.Eps < 1):
		return badConfig("rms_norm_eps is %v", c.Eps)
	}
	return nil
}
