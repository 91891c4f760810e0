package model

import (
	"math"
)

// Rope describes rotary embeddings. Source: transformers,
// modeling_rope_utils.py.
type Rope struct {
	Type            string // "default", "linear", "dynamic", "yarn" or "llama3"
	Theta           float64
	Factor          float64
	OriginalContext int     // original_max_position_embeddings
	LowFreq         float64 // llama3
	HighFreq        float64
	BetaFast        float64 // yarn
	BetaSlow        float64
	Attention       float64 // yarn: cos and sin are scaled by it
	Truncate        bool
}

// ropeFile is rope_scaling or rope_parameters.
type ropeFile struct {
	Type            string   `json:"rope_type"`
	OldType         string   `json:"type"`
	Theta           *float64 `json:"rope_theta"`
	Factor          *float64 `json:"factor"`
	OriginalContext *int     `json:"original_max_position_embeddings"`
	LowFreq         *float64 `json:"low_freq_factor"`
	HighFreq        *float64 `json:"high_freq_factor"`
	BetaFast        *float64 `json:"beta_fast"`
	BetaSlow        *float64 `json:"beta_slow"`
	Attention       *float64 `json:"attention_factor"`
	MScale          *float64 `json:"mscale"`
	MScaleAllDim    *float64 `json:"mscale_all_dim"`
	Truncate        *bool    `json:"truncate"`
	Partial         *float64 `json:"partial_rotary_factor"`
}

func (f *configFile) rope(c Config) (Rope, error) {
	s := ropeFile{}
	switch {
	case f.RopeParameters != nil:
		s = *f.RopeParameters
	case f.RopeScaling != nil:
		s = *f.RopeScaling
	}
	r := Rope{
		Type:            s.Type,
		Theta:           or(s.Theta, or(f.RopeTheta, 10000)),
		Factor:          or(s.Factor, 1),
		OriginalContext: or(s.OriginalContext, c.Context),
		LowFreq:         or(s.LowFreq, 1),
		HighFreq:        or(s.HighFreq, 4),
		BetaFast:        or(s.BetaFast, 32),
		BetaSlow:        or(s.BetaSlow, 1),
		Truncate:        or(s.Truncate, true),
	}
	if r.Type == "" {
		r.Type = s.OldType
	}
	if r.Type == "" {
		r.Type = "default"
	}
	switch r.Type {
	case "default", "linear", "dynamic", "yarn", "llama3":
	default:
		return Rope{}, unsupportedConfig("rope_type", r.Type, "default, linear, dynamic, yarn and llama3")
	}
	if or(s.Partial, or(f.PartialRotary, 1)) != 1 {
		return Rope{}, unsupportedConfig("partial_rotary_factor", "other than 1", "1")
	}
	r.Attention = 1
	if r.Type == "yarn" {
		r.Attention = or(s.Attention, yarnAttention(r.Factor, or(s.MScale, 0), or(s.MScaleAllDim, 0)))
	}
	return r, r.check()
}

func (r Rope) check() error {
	for _, field := range []struct {
		name string
		got  float64
		min  float64
	}{
		{"rope_theta", r.Theta, 1},
		{"rope factor", r.Factor, 0},
		{"original_max_position_embeddings", float64(r.OriginalContext), 0},
		{"low_freq_factor", r.LowFreq, 0},
		{"high_freq_factor", r.HighFreq, 0},
		{"beta_fast", r.BetaFast, 0},
		{"beta_slow", r.BetaSlow, 0},
		{"attention_factor", r.Attention, 0},
	} {
		if !(field.got > field.min && field.got < 1e12) {
			return badConfig("%s is %v", field.name, field.got)
		}
	}
	if r.Type == "llama3" && r.HighFreq <= r.LowFreq {
		return badConfig("high_freq_factor %v is not above low_freq_factor %v", r.HighFreq, r.LowFreq)
	}
	return nil
}

// yarnAttention is get_mscale of the reference.
func yarnAttention(factor, mscale, mscaleAllDim float64) float64 {
	scale := func(m float64) float64 {
		if factor <= 1 {
			return 1
		}
		return 0.1*m*math.Log(factor) + 1
	}
	if mscale != 0 && mscaleAllDim != 0 {
		return scale(mscale) / scale(mscaleAllDim)
	}
	return scale(1)
}

// frequencies returns dim/2 angles per position. They are rounded to float32
// where the reference rounds: an angle is frequency times position, and at
// position 1000 the last bit of a frequency is 6e-5 of a turn's radian.
//
// "dynamic" changes frequencies only for positions beyond the context, which are
// refused, so it is "default" here.
func (r Rope) frequencies(dim int) []float32 {
	freqs := make([]float32, dim/2)
	for i := range freqs {
		exponent := float32(2*i) / float32(dim)
		freqs[i] = 1 / float32(math.Pow(r.Theta, float64(exponent)))
	}
	switch r.Type {
	case "linear":
		for i := range freqs {
			freqs[i] /= float32(r.Factor)
		}
	case "yarn":
		r.yarn(freqs)
	case "llama3":
		r.llama3(freqs)
	}
	return freqs
}

// yarn slows the low frequencies down by the factor, leaves the high ones alone
// and blends between.
func (r Rope) yarn(freqs []float32) {
	dim := float64(2 * len(freqs))
	// The dimension that turns a number of times over the original context.
	turning := func(times float64) float64 {
		return dim * math.Log(float64(r.OriginalContext)/(times*2*math.Pi)) / (2 * math.Log(r.Theta))
	}
	low, high := turning(r.BetaFast), turning(r.BetaSlow)
	if r.Truncate {
		low, high = math.Floor(low), math.Ceil(high)
	}
	low, high = max(low, 0), min(high, dim-1)
	if low == high {
		high += 0.001
	}
	for i, f := range freqs {
		ramp := float32(min(max((float64(i)-low)/(high-low), 0), 1))
		keep := 1 - ramp
		freqs[i] = float32(f/float32(r.Factor)*(1-keep)) + float32(f*keep)
	}
}

// llama3 does the same by wavelength.
func (r Rope) llama3(freqs []float32) {
	original := float32(r.OriginalContext)
	lowWave, highWave := original/float32(r.LowFreq), original/float32(r.HighFreq)
	for i, f := range freqs {
		wave := 2 * math.Pi / f
		switch {
		case wave > lowWave:
			freqs[i] = f / float32(r.Factor)
		case wave >= highWave:
			smooth := (original/wave - float32(r.LowFreq)) / float32(r.HighFreq-r.LowFreq)
			freqs[i] = float32((1-smooth)*f/float32(r.Factor)) + float32(smooth*f)
		}
	}
}

// angles fills cos and sin, (dim/2) each, for a position.
func (r Rope) angles(cos, sin, freqs []float32, pos int) {
	for i, f := range freqs {
		angle := float64(f * float32(pos))
		cos[i] = float32(math.Cos(angle)) * float32(r.Attention)
		sin[i] = float32(math.Sin(angle)) * float32(r.Attention)
	}
}

// rotate turns each head of x, (heads, 2·len(cos)), whose halves are the two
// coordinates.
func rotate(x, cos, sin []float32) {
	half := len(cos)
	for ; len(x) > 0; x = x[2*half:] {
		a, b := x[:half], x[half:2*half]
		for i, c := range cos {
			s := sin[i]
			a[i], b[i] = float32(a[i]*c)-float32(b[i]*s), float32(b[i]*c)+float32(a[i]*s)
		}
	}
}
