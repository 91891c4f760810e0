package kernel

import "math"

// RMSNorm sets each row of dst, (tokens, len(weight)), to the row of src scaled
// to a root mean square of one, times weight. dst may be src.
func RMSNorm(dst, src, weight []float32, eps float64) {
	n := len(weight)
	for ; len(src) > 0; src, dst = src[n:], dst[n:] {
		var sum float64
		for _, v := range src[:n] {
			sum += float64(v) * float64(v)
		}
		scale := float32(1 / math.Sqrt(sum/float64(n)+eps))
		for i, v := range src[:n] {
			dst[i] = weight[i] * (v * scale)
		}
	}
}

// LayerNorm is RMSNorm after the mean is taken off, plus bias, which may be nil.
func LayerNorm(dst, src, weight, bias []float32, eps float64) {
	n := len(weight)
	for ; len(src) > 0; src, dst = src[n:], dst[n:] {
		var mean, sum float64
		for _, v := range src[:n] {
			mean += float64(v)
		}
		mean /= float64(n)
		for _, v := range src[:n] {
			d := float64(v) - mean
			sum += float64(d * d)
		}
		scale := float32(1 / math.Sqrt(sum/float64(n)+eps))
		for i, v := range src[:n] {
			v = float32(weight[i] * ((v - float32(mean)) * scale))
			if bias != nil {
				v += bias[i]
			}
			dst[i] = v
		}
	}
}

// Add is dst += src.
func Add(dst, src []float32) {
	for i, v := range src {
		dst[i] += v
	}
}

// SiLU sets x to x·sigmoid(x).
func SiLU(x []float32) {
	for i, v := range x {
		x[i] = float32(float64(v) / (1 + math.Exp(-float64(v))))
	}
}

// GELU sets x to x·Φ(x), Φ being the normal distribution ("gelu").
func GELU(x []float32) {
	for i, v := range x {
		x[i] = float32(float64(v) * 0.5 * (1 + math.Erf(float64(v)/math.Sqrt2)))
	}
}

// GELUTanh is the approximation of GELU by tanh ("gelu_new",
// "gelu_pytorch_tanh").
func GELUTanh(x []float32) {
	for i, v := range x {
		w := float64(v)
		x[i] = float32(w * 0.5 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(w+0.044715*w*w*w))))
	}
}

// Multiply is dst *= src.
func Multiply(dst, src []float32) {
	for i, v := range src {
		dst[i] *= v
	}
}

// SoftCap sets x to limit·tanh(x/limit).
func SoftCap(x []float32, limit float32) {
	for i, v := range x {
		x[i] = limit * float32(math.Tanh(float64(v/limit)))
	}
}

// Softmax turns scores, at least one, into probabilities in place.
func Softmax(x []float32) {
	top := x[0]
	for _, v := range x {
		top = max(top, v)
	}
	var sum float64
	for i, v := range x {
		e := math.Exp(float64(v - top))
		x[i] = float32(e)
		sum += e
	}
	scale := float32(1 / sum)
	for i := range x {
		x[i] *= scale
	}
}
