package main

import "math"

// Sixteen values are worked on at a time, in four registers, and sums are formed
// in the order that the plain Go twins have.
const quads = 4

// Types of stored values.
const (
	asF32 = iota
	asF16
	asBF16
	asI16
)

func size(typ int) int {
	if typ == asF32 {
		return 4
	}
	return 2
}

func floats() {
	dotFloats("dotF32", asF32)
	dotFloats("dotRawF32", asF32)
	dotFloats("dotF16", asF16)
	dotFloats("dotBF16", asBF16)
	binary("add", (*kernel).fadd)
	binary("multiply", (*kernel).fmul)
	norm()
	scale()
	largest()
	expSum()
	silu()
	geluTanh()
}

func (k *kernel) zeroed(n int) []vec {
	v := k.vectors(n)
	for _, v := range v {
		k.zero(v)
	}
	return v
}

// convert loads stored values as float32.
func (k *kernel) convert(to []vec, base reg, offset, typ int) {
	if typ == asF32 {
		for i, v := range to {
			k.ldr(v, base, offset+16*i)
		}
		return
	}
	lower, upper := (*kernel).fcvtl, (*kernel).fcvtl2
	switch typ {
	case asBF16:
		lower, upper = (*kernel).shll, (*kernel).shll2
	case asI16:
		lower, upper = (*kernel).sxtl, (*kernel).sxtl2
	}
	for i := 0; i < len(to); i += 2 {
		k.ldr(to[i+1], base, offset+8*i)
		lower(k, to[i], to[i+1])
		upper(k, to[i+1], to[i+1])
	}
	if typ == asI16 {
		for _, v := range to {
			k.scvtf(v, v)
		}
	}
}

// sum adds 16 lanes, which are lost: 8 to 8, 4 to 4, 2 to 2, 1 to 1.
func (k *kernel) sum(l []vec) vec {
	k.fadd(l[0], l[0], l[2])
	k.fadd(l[1], l[1], l[3])
	k.fadd(l[0], l[0], l[1])
	k.ext(l[1], l[0], l[0], 8)
	k.fadd(l[0], l[0], l[1])
	k.faddp(l[0], l[0], l[0])
	return l[0]
}

func (k *kernel) returnFloat(v vec) { k.ins("FMOVS F{}, {}", int(v), k.arg("ret")) }

// dotFloats multiplies two vectors; chunk i of 16 products is added to sum i mod 4.
func dotFloats(name string, typ int) {
	b := "[]byte"
	if name == "dotF32" {
		b = "[]float32"
	}
	write(name, "(a []float32, b "+b+") float32", "is a kernel dot.", func(k *kernel) {
		pa, n, pb := k.load("a"), k.load("a_len"), k.load("b")
		acc := k.zeroed(4 * quads)
		step := func(i, at int) {
			k.scope(func() {
				x, v := k.vectors(quads), k.vectors(quads)
				k.convert(x, pa, 64*at, asF32)
				k.convert(v, pb, 16*size(typ)*at, typ)
				for j := range quads {
					k.fmla(acc[i*quads+j], x[j], v[j])
				}
			})
		}
		k.while("wide", n, 64, func() {
			k.ins("PRFM 1024({}), PLDL1KEEP", pb)
			k.ins("PRFM 1088({}), PLDL1KEEP", pb)
			for i := range 4 {
				step(i, i)
			}
			k.advance(256, pa)
			k.advance(64*size(typ), pb)
		})
		for i := range 3 {
			k.ins("CMP $16, {}", n)
			k.ins("BLT done")
			step(i, i)
			k.ins("SUB $16, {}, {}", n, n)
		}
		k.label("done")
		for j := range quads {
			k.fadd(acc[j], acc[j], acc[quads+j])
			k.fadd(acc[2*quads+j], acc[2*quads+j], acc[3*quads+j])
			k.fadd(acc[j], acc[j], acc[2*quads+j])
		}
		k.returnFloat(k.sum(acc[:quads]))
	})
}

// half converts float16 values.
func half() {
	write("half", "(dst []float32, src []byte, ahead int)", "is the kernel half.", func(k *kernel) {
		dst, n, src, ahead := k.load("dst"), k.load("dst_len"), k.load("src"), k.load("ahead")
		k.ins("ADD {}, {}, {}", src, ahead, ahead)
		k.loop("loop", n, 16, func() {
			k.ins("PRFM 0({}), PLDL2KEEP", ahead)
			v := k.vectors(quads)
			k.convert(v, src, 0, asF16)
			k.store(v, dst, 0)
			k.advance(32, src, ahead)
			k.advance(64, dst)
		})
	})
}

func (k *kernel) store(v []vec, base reg, offset int) {
	for i, v := range v {
		k.str(v, base, offset+16*i)
	}
}

func binary(name string, op func(k *kernel, d, n, m vec)) {
	write(name, "(dst, src []float32)", "is the kernel "+name+".", func(k *kernel) {
		dst, n, src := k.load("dst"), k.load("dst_len"), k.load("src")
		k.loop("loop", n, 16, func() {
			a, b := k.vectors(quads), k.vectors(quads)
			k.convert(a, dst, 0, asF32)
			k.convert(b, src, 0, asF32)
			for i := range a {
				op(k, a[i], a[i], b[i])
			}
			k.store(a, dst, 0)
			k.advance(64, dst, src)
		})
	})
}

func norm() {
	write("norm", "(dst, src, weight []float32, scale float32)", "is the kernel norm.", func(k *kernel) {
		dst, n, src, weight := k.load("dst"), k.load("dst_len"), k.load("src"), k.load("weight")
		factor := k.broadcast("scale")
		k.loop("loop", n, 16, func() {
			a, w := k.vectors(quads), k.vectors(quads)
			k.convert(a, src, 0, asF32)
			k.convert(w, weight, 0, asF32)
			for i := range a {
				k.fmul(a[i], a[i], factor)
				k.fmul(a[i], a[i], w[i])
			}
			k.store(a, dst, 0)
			k.advance(64, dst, src, weight)
		})
	})
}

func scale() {
	write("scale", "(x []float32, factor float32)", "is the kernel scale.", func(k *kernel) {
		p, n, factor := k.load("x"), k.load("x_len"), k.broadcast("factor")
		k.loop("loop", n, 16, func() {
			a := k.vectors(quads)
			k.convert(a, p, 0, asF32)
			for i := range a {
				k.fmul(a[i], a[i], factor)
			}
			k.store(a, p, 0)
			k.advance(64, p)
		})
	})
}

// largest leaves NaN out.
func largest() {
	write("largest", "(x []float32) float32", "is the kernel largest.", func(k *kernel) {
		p, n := k.load("x"), k.load("x_len")
		top := k.vectors(quads)
		k.convert(top, p, 0, asF32)
		k.loop("loop", n, 16, func() {
			v := k.vectors(quads)
			k.convert(v, p, 0, asF32)
			for i := range v {
				k.fmaxnm(top[i], top[i], v[i])
			}
			k.advance(64, p)
		})
		k.fmaxnm(top[0], top[0], top[1])
		k.fmaxnm(top[2], top[2], top[3])
		k.fmaxnm(top[0], top[0], top[2])
		k.fmaxnmv(top[0], top[0])
		k.returnFloat(top[0])
	})
}

// exponential is what exp needs in registers, the numbers of exp32.
type exponential struct {
	low, high, log2e, ln2High, ln2Low, one, bias vec
	poly                                         []vec // from the highest power down
}

func (k *kernel) exponential() exponential {
	c := func(f float32) vec { return k.constant(math.Float32bits(f)) }
	e := exponential{low: c(-87), high: c(88), log2e: c(math.Log2E), one: c(1),
		ln2High: c(0.693145751953125), ln2Low: c(1.428606765330187e-06), bias: k.constant(127)}
	for _, f := range []float32{1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5} {
		e.poly = append(e.poly, c(f))
	}
	e.poly = append(e.poly, e.one, e.one)
	return e
}

// exp sets each x to its exponential; NaN stays.
func (k *kernel) exp(e exponential, x []vec) {
	k.scope(func() {
		n, p, next := k.vectors(len(x)), k.vectors(len(x)), k.vectors(len(x))
		each := func(f func(i int)) {
			for i := range x {
				f(i)
			}
		}
		each(func(i int) { k.fmin(x[i], x[i], e.high) })
		each(func(i int) { k.fmax(x[i], x[i], e.low) })
		each(func(i int) { k.fmul(n[i], x[i], e.log2e) })
		each(func(i int) { k.fcvtns(n[i], n[i]) })
		each(func(i int) { k.scvtf(p[i], n[i]) })
		each(func(i int) { k.fmls(x[i], p[i], e.ln2High) })
		each(func(i int) { k.fmls(x[i], p[i], e.ln2Low) })
		each(func(i int) { k.mov(p[i], e.poly[0]) })
		for _, c := range e.poly[1:] {
			each(func(i int) { k.mov(next[i], c) })
			each(func(i int) { k.fmla(next[i], p[i], x[i]) })
			p, next = next, p
		}
		each(func(i int) { k.add(n[i], n[i], e.bias) })
		each(func(i int) { k.shl(n[i], n[i], 23) })
		each(func(i int) { k.fmul(x[i], p[i], n[i]) })
	})
}

func expSum() {
	write("expSum", "(x []float32, top float32) float32", "is the kernel expSum.", func(k *kernel) {
		p, n, top := k.load("x"), k.load("x_len"), k.broadcast("top")
		e, sum := k.exponential(), k.zeroed(quads)
		k.loop("loop", n, 16, func() {
			for i := 0; i < quads; i += 2 {
				k.scope(func() {
					v := k.vectors(2)
					k.convert(v, p, 16*i, asF32)
					k.fsub(v[0], v[0], top)
					k.fsub(v[1], v[1], top)
					k.exp(e, v)
					k.store(v, p, 16*i)
					k.fadd(sum[i], sum[i], v[0])
					k.fadd(sum[i+1], sum[i+1], v[1])
				})
			}
			k.advance(64, p)
		})
		k.returnFloat(k.sum(sum))
	})
}

func silu() { gated("silu", func(k *kernel, x, v []vec) {}) }

func geluTanh() {
	gated("geluTanh", func(k *kernel, x, v []vec) {
		// The numbers of geluTanhGo: 2·√(2/π), and that times 0.044715.
		linear, cubic := k.constant(math.Float32bits(1.5957691216057308)), k.constant(math.Float32bits(0.071354816272600))
		for i := range x {
			t, square := k.vec(), k.vec()
			k.fmul(square, x[i], x[i])
			k.mov(t, linear)
			k.fmla(t, square, cubic)
			k.fmul(v[i], t, v[i])
		}
	})
}

// gated is x·sigmoid(v), where v begins as x.
func gated(name string, change func(k *kernel, x, v []vec)) {
	write(name, "(x []float32)", "is the kernel "+name+".", func(k *kernel) {
		p, n := k.load("x"), k.load("x_len")
		e := k.exponential()
		k.loop("loop", n, 8, func() {
			x, v := k.vectors(2), k.vectors(2)
			k.convert(x, p, 0, asF32)
			k.convert(v, p, 0, asF32)
			k.scope(func() { change(k, x, v) })
			for i := range x {
				k.fneg(v[i], v[i])
			}
			k.exp(e, v)
			for i := range x {
				k.fadd(v[i], v[i], e.one)
				k.fdiv(x[i], x[i], v[i])
			}
			k.store(x, p, 0)
			k.advance(32, p)
		})
	})
}

// read ors all of memory together, to measure how fast it comes.
func read() {
	write("read", "(p []byte) byte", "reads all of p, a multiple of 512 bytes.", func(k *kernel) {
		p, n, out := k.load("p"), k.load("p_len"), k.reg()
		acc := k.zeroed(8)
		k.loop("loop", n, 512, func() {
			v := k.vectors(8)
			for at := 0; at < 512; at += 128 {
				for i := range v {
					k.ldr(v[i], p, at+16*i)
					k.orr(acc[i], acc[i], v[i])
				}
			}
			k.advance(512, p)
		})
		for i := 1; i < len(acc); i++ {
			k.orr(acc[0], acc[0], acc[i])
		}
		k.ext(acc[1], acc[0], acc[0], 8)
		k.orr(acc[0], acc[0], acc[1])
		k.ins("FMOVD F{}, {}", int(acc[0]), out)
		for _, bits := range []int{32, 16, 8} {
			k.ins("ORR {}>>{}, {}, {}", out, bits, out, out)
		}
		k.ins("MOVB {}, {}", out, k.arg("ret"))
	})
}
