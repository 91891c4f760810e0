package main

// moveBits is dst |= (src >> shift & mask) << to, word by word.
func moveBits() {
	write("moveBits", "(dst, src []byte, shift int, mask uint32, to int)", "is the kernel moveBits.", func(k *kernel) {
		dst, n, src := k.load("dst"), k.load("dst_len"), k.load("src")
		right, left, mask := k.shifts("shift", true), k.shifts("to", false), k.broadcast("mask")
		k.loop("loop", n, 64, func() {
			d, v := k.vectors(quads), k.vectors(quads)
			k.convert(d, dst, 0, asF32) // as they are
			k.convert(v, src, 0, asF32)
			for i := range v {
				k.ushl(v[i], v[i], right)
				k.and(v[i], v[i], mask)
				k.ushl(v[i], v[i], left)
				k.orr(d[i], d[i], v[i])
			}
			k.store(d, dst, 0)
			k.advance(64, dst, src)
		})
	})
}

// shifts takes a vector register for what ushl shifts by: to the right, where
// that is asked, less than nothing to the left.
func (k *kernel) shifts(name string, right bool) vec {
	v := k.vec()
	k.scope(func() {
		r := k.load(name)
		if right {
			k.ins("NEG {}, {}", r, r)
		}
		k.dupReg(v, r)
	})
	return v
}

// dequantRow is dst = scale·(code − zero).
func dequantRow() {
	write("dequantRow", "(dst, scale, zero []float32, words []uint32, shift uint64, mask uint32)", "is the kernel dequantRow.", func(k *kernel) {
		dst, n, scale := k.load("dst"), k.load("dst_len"), k.load("scale")
		zero, words := k.load("zero"), k.load("words")
		right, mask := k.shifts("shift", true), k.broadcast("mask")
		k.loop("loop", n, 16, func() {
			s, z, w := k.vectors(quads), k.vectors(quads), k.vectors(quads)
			k.convert(s, scale, 0, asF32)
			k.convert(z, zero, 0, asF32)
			k.convert(w, words, 0, asF32) // as they are
			for i := range w {
				k.ushl(w[i], w[i], right)
				k.and(w[i], w[i], mask)
				k.scvtf(w[i], w[i])
				k.fsub(w[i], w[i], z[i])
				k.fmul(w[i], w[i], s[i])
			}
			k.store(w, dst, 0)
			k.advance(64, dst, scale, zero, words)
		})
	})
}

// addProduct is y += x·tile, four rows of 64 columns at a time: products are
// rounded, added in pairs, and the pairs to each other.
func addProduct() {
	write("addProduct", "(y, x, tile []float32)", "is the kernel addProduct.", func(k *kernel) {
		y, n, x, rows, tile := k.load("y"), k.load("y_len"), k.load("x"), k.load("x_len"), k.load("tile")
		k.loop("columns", n, 16, func() {
			xAt, r, at := k.reg(), k.reg(), k.reg()
			k.ins("MOVD {}, {}", x, xAt)
			k.ins("MOVD {}, {}", rows, r)
			k.ins("MOVD {}, {}", tile, at)
			sum := k.vectors(quads)
			k.convert(sum, y, 0, asF32)
			k.loop("rows", r, 4, func() {
				q := k.vec()
				k.ldr(q, xAt, 0)
				for i := range sum {
					k.scope(func() {
						w := k.vectors(4)
						for row := range w {
							k.ldr(w[row], at, tileRow*row+16*i)
							k.fmulLane(w[row], w[row], q, row)
						}
						k.fadd(w[0], w[0], w[1])
						k.fadd(w[2], w[2], w[3])
						k.fadd(w[0], w[0], w[2])
						k.fadd(sum[i], sum[i], w[0])
					})
				}
				k.advance(16, xAt)
				k.advance(4*tileRow, at)
			})
			k.store(sum, y, 0)
			k.advance(64, y, tile)
		})
	})
}
