package kernel

import "math"

// Vectors are worked on by the fastest kernels there are, 16 values at a time;
// these see to the rest of them.

// Dot is the inner product of two vectors of the same length, in an order that
// depends on the length alone.
func Dot(a, b []float32) float32 {
	n := len(a) / lanes * lanes
	sum := fastest.dotF32(a[:n], b[:n])
	for i, v := range a[n:] {
		sum = fma32(v, b[n+i], sum)
	}
	return sum
}

// RMSNorm sets each row of dst, (tokens, len(weight)), to the row of src scaled
// to a root mean square of one, times weight. dst may be src.
func RMSNorm(dst, src, weight []float32, eps float64) {
	n := len(weight)
	for ; len(src) > 0; src, dst = src[n:], dst[n:] {
		sum := float64(Dot(src[:n], src[:n]))
		normRow(dst[:n], src[:n], weight, float32(1/math.Sqrt(sum/float64(n)+eps)))
	}
}

func normRow(dst, src, weight []float32, scale float32) {
	n := len(dst) / lanes * lanes
	if n > 0 {
		fastest.norm(dst[:n], src[:n], weight[:n], scale)
	}
	normGo(dst[n:], src[n:], weight[n:], scale)
}

// LayerNorm is RMSNorm after the mean is taken off, plus bias, which may be nil.
func LayerNorm(dst, src, weight, bias []float32, eps float64) {
	n := len(weight)
	for ; len(src) > 0; src, dst = src[n:], dst[n:] {
		var mean float64
		for _, v := range src[:n] {
			mean += float64(v)
		}
		mean /= float64(n)
		for i, v := range src[:n] {
			dst[i] = v - float32(mean)
		}
		sum := float64(Dot(dst[:n], dst[:n]))
		normRow(dst[:n], dst[:n], weight, float32(1/math.Sqrt(sum/float64(n)+eps)))
		if bias != nil {
			Add(dst[:n], bias)
		}
	}
}

// Add is dst += src.
func Add(dst, src []float32) {
	n := len(src) / lanes * lanes
	if n > 0 {
		fastest.add(dst[:n], src[:n])
	}
	addGo(dst[n:], src[n:])
}

// AddScaled is dst += w·src.
func AddScaled(dst, src []float32, w float32) {
	dst = dst[:len(src)]
	for i, v := range src {
		dst[i] += float32(w * v)
	}
}

// Multiply is dst *= src.
func Multiply(dst, src []float32) { fastest.multiplyAll(dst[:len(src)], src) }

func (isa *instructions) multiplyAll(dst, src []float32) {
	n := len(dst) / lanes * lanes
	if n > 0 {
		isa.multiply(dst[:n], src[:n])
	}
	multiplyGo(dst[n:], src[n:])
}

func (isa *instructions) scaleAll(x []float32, factor float32) {
	n := len(x) / lanes * lanes
	if n > 0 {
		isa.scale(x[:n], factor)
	}
	scaleGo(x[n:], factor)
}

// SiLU sets x to x·sigmoid(x).
func SiLU(x []float32) {
	n := len(x) / lanes * lanes
	if n > 0 {
		fastest.silu(x[:n])
	}
	siluGo(x[n:])
}

// GELU sets x to x·Φ(x), Φ being the normal distribution ("gelu").
func GELU(x []float32) {
	for i, v := range x {
		x[i] = float32(float64(v) * 0.5 * (1 + math.Erf(float64(v)/math.Sqrt2)))
	}
}

// GELUTanh is the approximation of GELU by tanh ("gelu_new",
// "gelu_pytorch_tanh"): ½x(1 + tanh(√(2/π)(x + 0.044715x³))), which is x times the
// sigmoid of twice tanh's argument.
func GELUTanh(x []float32) {
	n := len(x) / lanes * lanes
	if n > 0 {
		fastest.geluTanh(x[:n])
	}
	geluTanhGo(x[n:])
}

// SoftCap sets x to limit·tanh(x/limit).
func SoftCap(x []float32, limit float32) {
	for i, v := range x {
		x[i] = limit * float32(math.Tanh(float64(v/limit)))
	}
}

// Softmax turns scores, at least one, into probabilities in place.
func Softmax(x []float32) {
	sum := fastest.exponentials(x)
	fastest.scaleAll(x, 1/sum)
}

// exponentials sets x, at least one value, to its exponentials, divided by that
// of the largest, and returns their sum.
func (isa *instructions) exponentials(x []float32) float32 {
	n := len(x) / lanes * lanes
	top := x[len(x)-1]
	if n > 0 {
		top = isa.largest(x[:n])
	}
	top = max(top, largestGo(x[n:]))
	var sum float32
	if n > 0 {
		sum = isa.expSum(x[:n], top)
	}
	for i, v := range x[n:] {
		x[n+i] = exp32(v - top)
		sum += x[n+i]
	}
	return sum
}

// The slow twins.

// fma32 is x·y + z, rounded once. The product is exact in float64; where its sum
// with z is not, and lies right between two float32, the part that float64 lost
// decides.
func fma32(x, y, z float32) float32 {
	p, c := float64(x)*float64(y), float64(z)
	s := p + c
	bits := math.Float64bits(s)
	if bits&(1<<29-1) == 1<<28 {
		b := s - p
		lost := (p - (s - b)) + (c - b)
		if lost != 0 {
			if (lost > 0) == (s > 0) {
				bits++
			} else {
				bits--
			}
			s = math.Float64frombits(bits)
		}
	}
	return float32(s)
}

// sumGo adds 16 lanes: 8 to 8, 4 to 4, 2 to 2, 1 to 1.
func sumGo(l *[lanes]float32) float32 {
	for n := lanes / 2; n > 0; n /= 2 {
		for i := range n {
			l[i] += l[i+n]
		}
	}
	return l[0]
}

// foldGo adds the four sums of a dot, and then their lanes.
func foldGo(acc *[4][lanes]float32) float32 {
	for i := range lanes {
		acc[0][i] = float32(acc[0][i]+acc[1][i]) + float32(acc[2][i]+acc[3][i])
	}
	return sumGo(&acc[0])
}

// dotGo adds the products of chunk i of 16 to sum i mod 4.
func dotGo(a, b []float32) float32 {
	var acc [4][lanes]float32
	for c := 0; len(a) > 0; c++ {
		to := &acc[c%4]
		for i := range lanes {
			to[i] = fma32(a[i], b[i], to[i])
		}
		a, b = a[lanes:], b[lanes:]
	}
	return foldGo(&acc)
}

func addGo(dst, src []float32) {
	for i, v := range src {
		dst[i] += v
	}
}

func multiplyGo(dst, src []float32) {
	for i, v := range src[:len(dst)] {
		dst[i] *= v
	}
}

func scaleGo(x []float32, factor float32) {
	for i := range x {
		x[i] *= factor
	}
}

func normGo(dst, src, weight []float32, scale float32) {
	for i, v := range src {
		dst[i] = float32(v*scale) * weight[i]
	}
}

// exp32 is the exponential within two units of the last place, between e^−87 and
// e^88: x = n·ln 2 + r, and e^r by its series.
func exp32(x float32) float32 {
	x = max(min(x, 88), -87)
	n := int32(math.RoundToEven(float64(float32(x * math.Log2E))))
	r := fma32(-float32(n), 0.693145751953125, x)
	r = fma32(-float32(n), 1.428606765330187e-06, r)
	p := float32(1.0 / 5040)
	for _, c := range [...]float32{1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1, 1} {
		p = fma32(p, r, c)
	}
	return p * math.Float32frombits(uint32(n+127)<<23)
}

func largestGo(x []float32) float32 {
	top := float32(math.Inf(-1))
	for _, v := range x {
		if v > top {
			top = v
		}
	}
	return top
}

func expSumGo(x []float32, top float32) float32 {
	var acc [lanes]float32
	for i, v := range x {
		x[i] = exp32(v - top)
		acc[i%lanes] += x[i]
	}
	return sumGo(&acc)
}

func siluGo(x []float32) {
	for i, v := range x {
		x[i] = v / (1 + exp32(-v))
	}
}

func geluTanhGo(x []float32) {
	for i, v := range x {
		t := fma32(float32(v*v), 0.071354816272600, 1.5957691216057308)
		x[i] = v / (1 + exp32(-float32(t*v)))
	}
}
