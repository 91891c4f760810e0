package main

import "fmt"

const (
	plane   = 128 // bytes of a container's half
	tileRow = 256 // bytes of a tile's row: 64 columns
)

func regions(bits int) int { return 8 / bits }

// regionBytes is how far the regions of a plane lie apart.
func regionBytes(bits int) int { return 16 * bits }

// codeMask is what codes makes use of.
func (k *kernel) codeMask(bits int) vec {
	return k.constant(map[int]uint32{2: 0x03030303, 4: 0x0F0F0F0F, 8: 0x80808080}[bits])
}

// code sets c to the codes of a region of words; those of 8 bits less 128.
func (k *kernel) code(c, words, mask vec, bits, region int) {
	switch {
	case bits == 8:
		k.eor(c, words, mask)
	case region == 0:
		k.and(c, words, mask)
	case region == regions(bits)-1:
		k.ushr16b(c, words, region*bits)
	default:
		k.ushr16b(c, words, region*bits)
		k.and(c, c, mask)
	}
}

// dot adds, column by column, the products of a few rows of words.
func dot(bits int) {
	write(fmt.Sprint("dot", bits), "(acc []int32, w []byte, stride, rows int, x []byte, ahead int)", "is the kernel dot.", func(k *kernel) {
		acc, n, w := k.load("acc"), k.load("acc_len"), k.load("w")
		stride, rows, x, ahead := k.load("stride"), k.load("rows"), k.load("x"), k.load("ahead")
		mask := k.codeMask(bits)
		var hi, lo vec // what sums begin with
		if bits == 8 {
			hi, lo = k.dotBias(x, rows)
		}
		columns := func(label string, vectors int) {
			k.while(label, n, 4*vectors, func() {
				h, l := k.vectors(vectors), k.vectors(vectors)
				for v := range vectors {
					if bits == 8 {
						k.mov(h[v], hi)
						k.mov(l[v], lo)
					} else {
						k.zero(h[v])
						k.zero(l[v])
					}
				}
				at, xAt, r := k.reg(), k.reg(), k.reg()
				k.ins("MOVD {}, {}", w, at)
				k.ins("MOVD {}, {}", x, xAt)
				k.ins("MOVD {}, {}", rows, r)
				k.loop(label+"Row", r, 1, func() { k.dotRow(bits, h, l, at, xAt, stride, ahead, mask) })
				for v := range vectors {
					old := k.vec()
					k.ldr(old, acc, 16*v)
					k.shl(h[v], h[v], 7)
					k.add(l[v], l[v], h[v])
					k.add(l[v], l[v], old)
					k.str(l[v], acc, 16*v)
					k.vecs--
				}
				k.advance(16*vectors, w, acc)
			})
		}
		columns("wide", 8)
		columns("narrow", 4)
	})
}

// dotRow adds one row's products to the sums h and l.
func (k *kernel) dotRow(bits int, h, l []vec, at, xAt, stride, ahead reg, mask vec) {
	next := k.reg()
	k.ins("ADD {}, {}, {}", ahead, at, next)
	for line := 0; line < 16*len(h); line += 64 {
		k.ins("PRFM {}({}), PLDL2KEEP", line, next)
	}
	qh, ql := k.vectors(regions(bits)), k.vectors(regions(bits))
	for i := range qh {
		k.ld4(qh[i], xAt, i*regionBytes(bits))
		k.ld4(ql[i], xAt, plane+i*regionBytes(bits))
	}
	words, c := k.vec(), k.vec()
	for v := range h {
		k.ldr(words, at, 16*v)
		for i := range qh {
			k.code(c, words, mask, bits, i)
			k.sdot(h[v], c, qh[i])
			k.sdot(l[v], c, ql[i])
		}
	}
	k.ins("ADD {}, {}, {}", stride, at, at)
	k.advance(4, xAt)
}

// dotBias is 128 times the sums of the activations of rows of 8 bits, of either
// plane.
func (k *kernel) dotBias(x, rows reg) (hi, lo vec) {
	hi, lo = k.vec(), k.vec()
	k.scope(func() {
		ones, q := k.constant(0x01010101), k.vec()
		xAt, r := k.reg(), k.reg()
		k.zero(hi)
		k.zero(lo)
		k.ins("MOVD {}, {}", x, xAt)
		k.ins("MOVD {}, {}", rows, r)
		k.loop("bias", r, 1, func() {
			k.ld4(q, xAt, 0)
			k.sdot(hi, ones, q)
			k.ld4(q, xAt, plane)
			k.sdot(lo, ones, q)
			k.advance(4, xAt)
		})
		k.shl(hi, hi, 7)
		k.shl(lo, lo, 7)
	})
	return hi, lo
}

// finishVector is y += (acc − zeros·sum)·scale·scales for 4 columns; acc and zeros
// are lost.
func (k *kernel) finishVector(acc, zeros, sum, scale vec, y, scales reg, offset int) {
	k.mls(acc, zeros, sum)
	k.scvtf(acc, acc)
	k.fmul(acc, acc, scale)
	k.ldr(zeros, scales, offset)
	k.fmul(acc, acc, zeros)
	k.ldr(zeros, y, offset)
	k.fadd(acc, acc, zeros)
	k.str(acc, y, offset)
}

func finish() {
	write("finish", "(y []float32, acc, zeros []int32, scales []float32, scale float32, sum int32)", "is the kernel finish.", func(k *kernel) {
		y, n, acc := k.load("y"), k.load("y_len"), k.load("acc")
		zeros, scales := k.load("zeros"), k.load("scales")
		scale, sum, zero := k.broadcast("scale"), k.broadcast("sum"), k.vec()
		k.zero(zero)
		k.loop("loop", n, 16, func() {
			for i := range 4 {
				a, z := k.vec(), k.vec()
				k.ldr(a, acc, 16*i)
				k.str(zero, acc, 16*i)
				k.ldr(z, zeros, 16*i)
				k.finishVector(a, z, sum, scale, y, scales, 16*i)
			}
			k.advance(64, y, acc, zeros, scales)
		})
	})
}

// unpack writes the codes of rows of words as bytes: all rows of a region, then
// those of the next.
func unpack(bits int) {
	write(fmt.Sprint("unpack", bits), "(tile []byte, w []byte, stride, rows int)", "is the kernel unpack.", func(k *kernel) {
		to, w, stride, rows := k.load("tile"), k.load("w"), k.load("stride"), k.load("rows")
		mask := k.codeMask(bits)
		dst := []reg{to}
		for range regions(bits) - 1 {
			r := k.reg()
			k.ins("ADD {}<<8, {}, {}", rows, dst[len(dst)-1], r)
			dst = append(dst, r)
		}
		k.loop("row", rows, 1, func() {
			words, c := k.vectors(2), k.vectors(2)
			for v := range 16 {
				k.ldr(words[v%2], w, 16*v)
				for i, to := range dst {
					k.code(c[i%2], words[v%2], mask, bits, i)
					k.str(c[i%2], to, 16*v)
				}
			}
			k.ins("ADD {}, {}, {}", stride, w, w)
			k.advance(tileRow, dst...)
		})
	})
}

// arrange splits integers into planes, loading them region by region.
func arrange(bits int) {
	write(fmt.Sprint("arrange", bits), "(dst *[256]byte, ints *[128]int16)", fmt.Sprintf("is arrangePlanesGo for %d bits.", bits), func(k *kernel) {
		to, from, n := k.load("dst"), k.load("ints"), k.reg()
		bias := k.constant(64<<16 | 64)
		k.ins("MOVD $8, {}", n)
		k.loop("loop", n, regions(bits), func() { // 16 bytes of every region
			var q [2][]vec
			for half := range q {
				q[half] = k.vectors(regions(bits))
				k.loadApart(q[half], from)
			}
			for i := range regions(bits) {
				var hi, lo vec
				for half := range q {
					v, h := q[half][i], k.vec()
					k.add8h(h, v, bias)
					k.sshr8h(h, h, 7)
					part := k.vec()
					k.shl8h(part, h, 7)
					k.sub8h(v, v, part)
					if half == 0 {
						hi, lo = h, v
						k.xtn8b(hi, h)
						k.xtn8b(lo, v)
					} else {
						k.xtn16b(hi, h)
						k.xtn16b(lo, v)
					}
				}
				k.str(hi, to, i*regionBytes(bits))
				k.str(lo, to, plane+i*regionBytes(bits))
			}
			k.advance(16, to)
		})
	})
}

// loadApart loads 8 int16 into each of the registers, one for this, one for the
// next, and advances from.
func (k *kernel) loadApart(to []vec, from reg) {
	first, n := to[0], len(to)
	code := map[int]uint32{1: 0x4CDF7400, 2: 0x4CDF8400, 4: 0x4CDF0400}[n]
	k.word(code|uint32(from)<<5|uint32(first), "ld%d {v%d.8h-v%d.8h}, [x%d], #%d", n, first, to[n-1], from, 16*n)
}

// maxAbs returns the bits of the largest magnitude among 128 values; those of
// infinities and NaN are larger than any number's.
func maxAbs() {
	write("maxAbs", "(values *[128]float32) uint32", "returns the bits of the largest magnitude.", func(k *kernel) {
		p := k.load("values")
		m := k.vectors(4)
		for i := range 32 {
			k.scope(func() {
				v := m[i%4]
				if i >= 4 {
					v = k.vec()
				}
				k.ldr(v, p, 16*i)
				k.fabs(v, v)
				if i >= 4 {
					k.umax(m[i%4], m[i%4], v)
				}
			})
		}
		k.umax(m[0], m[0], m[1])
		k.umax(m[2], m[2], m[3])
		k.umax(m[0], m[0], m[2])
		k.umaxv(m[0], m[0])
		k.ins("FMOVS F{}, {}", int(m[0]), k.arg("ret"))
	})
}

func roundInts() {
	write("roundInts", "(ints *[128]int16, values *[128]float32, inverse float32)", "rounds values times inverse, halves to the even integer.", func(k *kernel) {
		to, from, inverse := k.load("ints"), k.load("values"), k.broadcast("inverse")
		for i := range 16 {
			k.scope(func() {
				v := k.vectors(2)
				for j := range v {
					k.ldr(v[j], from, 32*i+16*j)
					k.fmul(v[j], v[j], inverse)
					k.fcvtns(v[j], v[j])
				}
				k.xtn4h(v[0], v[0])
				k.xtn8h(v[0], v[1])
				k.str(v[0], to, 16*i)
			})
		}
	})
}
