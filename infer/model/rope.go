package model

import (
	"encoding/json"
	"maps"
	"math"
)

// Rope describes rotary embeddings. Source: transformers,
// modeling_rope_utils.py.
type Rope struct {
	Type            string // "default", "linear", "dynamic", "yarn", "longrope" or "llama3"
	Dim             int    // how many values of a head are turned; the others pass
	Theta           float64
	Factor          float64
	Positions       int       // max_position_embeddings
	OriginalContext int       // of the training before the scaling
	LowFreq         float64   // llama3
	HighFreq        float64   // llama3
	BetaFast        float64   // yarn
	BetaSlow        float64   // yarn
	Truncate        bool      // yarn
	Attention       float64   // yarn, longrope: cos and sin are scaled by it
	Short, Long     []float64 // longrope: (Dim/2) divisors up to the original context, and beyond
}

// ropeDefaults are what a family's class says of its rotary embeddings.
type ropeDefaults struct {
	theta   float64
	partial float64 // of a head that is turned; 0 = all, and another value is not known
	su      bool    // "su" and "yarn" are old names of "longrope"
}

// rope reads rotary embeddings in both generations of config.json: rope_theta
// beside rope_scaling, or rope_parameters that hold everything. It follows
// dimensions, and lengthens the context where a scaling does.
func (c *Config) rope(f *fields, missing ropeDefaults) {
	s := f.ropeObject()
	r := Rope{
		Type:            s.text("default", "rope_type", "type"),
		Theta:           s.float(f.float(missing.theta, "rope_theta", "rotary_emb_base"), "rope_theta"),
		Factor:          s.float(0, "factor"),
		Positions:       c.Context,
		OriginalContext: f.integer(s.integer(c.Context, "original_max_position_embeddings"), "original_max_position_embeddings"),
		LowFreq:         s.float(1, "low_freq_factor"),
		HighFreq:        s.float(4, "high_freq_factor"),
		BetaFast:        s.float(32, "beta_fast"),
		BetaSlow:        s.float(1, "beta_slow"),
		Truncate:        s.flag(true, "truncate"),
		Attention:       s.float(0, "attention_factor"),
	}
	if missing.su && (r.Type == "su" || r.Type == "yarn") {
		r.Type = "longrope"
	}
	partial := s.float(f.float(max(missing.partial, 0), "partial_rotary_factor", "rotary_pct", "rope_pct"), "partial_rotary_factor")
	if missing.partial == 0 && partial != 0 && partial != 1 {
		f.fail(unsupportedConfig("partial_rotary_factor %v is not supported for this architecture, only 1", partial))
	}
	if missing.partial == 0 {
		partial = 1
	}
	r.Dim = int(float64(c.HeadDim) * partial)
	r.scaling(f, s)
	if s.err != nil {
		f.fail(s.err)
	}
	c.Rope = r
	if r.Type == "linear" || r.Type == "dynamic" || r.Type == "yarn" {
		c.Context = int(min(max(float64(c.Context), r.Factor*float64(r.OriginalContext)), maxContext))
	}
}

// ropeObject is what holds the parameters: rope_scaling of transformers 4 or
// rope_parameters of transformers 5, which may hold one for each type of layer.
func (f *fields) ropeObject() *fields {
	s := f.object("rope_scaling")
	if s == nil || len(s.raw) == 0 {
		s = f.object("rope_parameters")
	}
	if s == nil {
		return &fields{used: map[string]bool{}}
	}
	full, sliding := s.object("full_attention"), s.object("sliding_attention")
	switch {
	case full == nil && sliding == nil:
		return s
	case full == nil:
		return sliding
	case sliding != nil && !maps.EqualFunc(full.raw, sliding.raw, func(a, b json.RawMessage) bool { return string(a) == string(b) }):
		f.fail(unsupportedConfig("rope_parameters that differ between types of layers are not supported"))
	}
	return full
}

// scaling reads what only some types have, and settles what depends on it.
func (r *Rope) scaling(f, s *fields) {
	_, factor := s.find("factor")
	if factor == nil {
		r.Factor = float64(r.Positions) / float64(max(r.OriginalContext, 1))
	}
	switch r.Type {
	case "default", "llama3":
	case "linear", "dynamic":
		// These know nothing of an original context.
		r.OriginalContext = r.Positions
	case "yarn":
		if r.Attention == 0 {
			r.Attention = yarnAttention(r.Factor, s.float(0, "mscale"), s.float(0, "mscale_all_dim"))
		}
		return
	case "longrope":
		s.read(&r.Short, "a list of numbers", "short_factor")
		s.read(&r.Long, "a list of numbers", "long_factor")
		if r.Attention == 0 {
			r.Attention = longAttention(r.Factor, r.OriginalContext)
		}
		return
	default:
		f.fail(unsupportedConfig("rope_type %q is not supported, only default, linear, dynamic, yarn, longrope and llama3", r.Type))
	}
	if factor == nil && r.Type != "default" {
		f.fail(badConfig("rope_type %s has no factor", r.Type))
	}
	r.Attention = 1
}

func (r *Rope) check(headDim int) error {
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
	if r.Dim < 2 || r.Dim > headDim || r.Dim%2 != 0 {
		return badConfig("%d of %d values of a head are turned, which is odd or too many", r.Dim, headDim)
	}
	if r.Type == "dynamic" && r.Dim == 2 {
		return badConfig("dynamic rope with 2 values of a head")
	}
	if r.Type != "longrope" {
		return nil
	}
	for name, list := range map[string][]float64{"short_factor": r.Short, "long_factor": r.Long} {
		if len(list) != r.Dim/2 {
			return badConfig("%s has %d values, want %d", name, len(list), r.Dim/2)
		}
		for i, v := range list {
			if !(v > 0 && v < 1e12) {
				return badConfig("%s: value %d is %v", name, i, v)
			}
		}
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

func longAttention(factor float64, original int) float64 {
	if factor <= 1 || original <= 1 {
		return 1
	}
	return math.Sqrt(1 + math.Log(factor)/math.Log(float64(original)))
}

// span is what the frequencies of a text of length positions depend on: two
// lengths of the same span have the same. "dynamic" stretches them with every
// position beyond the context, "longrope" has one set for texts up to the
// original context and one for longer ones.
func (r *Rope) span(length int) int {
	switch {
	case r.Type == "dynamic":
		return max(length, r.Positions)
	case r.Type == "longrope" && length > r.OriginalContext:
		return r.OriginalContext + 1
	}
	return 0
}

// frequencies sets freqs to Dim/2 angles per position for texts of a span. They
// are rounded to float32 where the reference rounds: an angle is frequency times
// position, and at position 1000 the last bit of a frequency is 6e-5 of a turn's
// radian.
func (r *Rope) frequencies(freqs []float32, span int) {
	theta := r.Theta
	if r.Type == "dynamic" && span > r.Positions {
		length := float32(r.Factor*float64(span)) / float32(r.Positions)
		stretch := math.Pow(float64(length-float32(r.Factor-1)), float64(float32(float64(r.Dim)/float64(r.Dim-2))))
		theta = float64(float32(r.Theta) * float32(stretch))
	}
	for i := range freqs {
		exponent := float32(2*i) / float32(r.Dim)
		freqs[i] = 1 / float32(math.Pow(theta, float64(exponent)))
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
	case "longrope":
		divisors := r.Short
		if span > r.OriginalContext {
			divisors = r.Long
		}
		for i, d := range divisors {
			exponent := float32(2*i) / float32(r.Dim)
			freqs[i] = 1 / (float32(d) * float32(math.Pow(theta, float64(exponent))))
		}
	}
}

// yarn slows the low frequencies down by the factor, leaves the high ones alone
// and blends between.
func (r *Rope) yarn(freqs []float32) {
	dim := float64(r.Dim)
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
func (r *Rope) llama3(freqs []float32) {
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

// rotation holds the angles of a batch of positions.
type rotation struct {
	rope     *Rope
	freqs    []float32 // (Dim/2)
	span     int       // freqs are for texts of it; -1 = for none yet
	cos, sin []float32 // (tokens, Dim/2)
}

func newRotation(r *Rope, batch int) rotation {
	half := r.Dim / 2
	return rotation{rope: r, freqs: make([]float32, half), span: -1, cos: make([]float32, batch*half), sin: make([]float32, batch*half)}
}

// turn computes the angles of tokens positions from pos on, in a text that is
// length long so far, and says whether the frequencies are not what they were.
func (r *rotation) turn(pos, tokens, length int) (changed bool) {
	span := r.rope.span(length)
	if changed = span != r.span; changed {
		r.rope.frequencies(r.freqs, span)
		r.span = span
	}
	half := len(r.freqs)
	scale := float32(r.rope.Attention)
	for t := range tokens {
		cos, sin := r.cos[t*half:][:half], r.sin[t*half:][:half]
		for i, f := range r.freqs {
			s, c := math.Sincos(float64(f * float32(pos+t)))
			cos[i], sin[i] = float32(c)*scale, float32(s)*scale
		}
	}
	return changed
}

// apply turns the first Dim values of each head of x, (tokens, heads, dim), whose
// halves are the two coordinates.
func (r *rotation) apply(x []float32, tokens, heads, dim int) {
	half := len(r.freqs)
	for t := range tokens {
		cos, sin := r.cos[t*half:][:half], r.sin[t*half:][:half]
		for h := range heads {
			head := x[(t*heads+h)*dim:]
			a, b := head[:half], head[half:2*half]
			for i, c := range cos {
				s := sin[i]
				a[i], b[i] = float32(a[i]*c)-float32(b[i]*s), float32(b[i]*c)+float32(a[i]*s)
			}
		}
	}
}
