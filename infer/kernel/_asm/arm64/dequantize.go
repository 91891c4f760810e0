package main

// The fields of move, which a test compares with the struct.
const moveFrom, moveShift, moveMask, moveTo, moveSize = 0, 8, 12, 16, 24

// gather sets dst to (src[from:] >> shift & mask) << to of all moves, word by word.
func gather() {
	write("gather", "(dst, src []byte, moves []move)", "is the kernel gather.", func(k *kernel) {
		dst, n, src := k.load("dst"), k.load("dst_len"), k.load("src")
		moves, count := k.load("moves"), k.load("moves_len")
		columns := func(label string, vectors int) {
			k.while(label, n, 16*vectors, func() {
				out := k.zeroed(vectors)
				m, left := k.reg(), k.reg()
				k.ins("MOVD {}, {}", moves, m)
				k.ins("MOVD {}, {}", count, left)
				k.while(label+"Move", left, 1, func() { k.move(out, src, m) })
				k.store(out, dst, 0)
				k.advance(16*vectors, dst, src)
			})
		}
		columns("wide", 16)
		columns("narrow", 4)
	})
}

// move adds one move's bits to words, and advances m.
func (k *kernel) move(out []vec, src, m reg) {
	at, r := k.reg(), k.reg()
	right, left, mask := k.vec(), k.vec(), k.vec()
	k.ins("MOVD {}({}), {}", moveFrom, m, at)
	k.ins("ADD {}, {}, {}", src, at, at)
	k.ins("MOVWU {}({}), {}", moveShift, m, r)
	k.ins("NEG {}, {}", r, r)
	k.dupReg(right, r)
	k.ins("MOVWU {}({}), {}", moveMask, m, r)
	k.dupReg(mask, r)
	k.ins("MOVD {}({}), {}", moveTo, m, r)
	k.dupReg(left, r)
	for i := range out {
		k.scope(func() {
			v := k.vec()
			k.ldr(v, at, 16*i)
			k.ushl(v, v, right)
			k.and(v, v, mask)
			k.ushl(v, v, left)
			k.orr(out[i], out[i], v)
		})
	}
	k.advance(moveSize, m)
}

// dequantRow is dst = scale·(code − zero).
func dequantRow() {
	write("dequantRow", "(dst, scale, zero []float32, words []uint32, shift uint64, mask uint32)", "is the kernel dequantRow.", func(k *kernel) {
		dst, n, scale := k.load("dst"), k.load("dst_len"), k.load("scale")
		zero, words := k.load("zero"), k.load("words")
		shift, right, mask := k.load("shift"), k.vec(), k.broadcast("mask")
		k.ins("NEG {}, {}", shift, shift)
		k.dupReg(right, shift) // ushl shifts to the left
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
