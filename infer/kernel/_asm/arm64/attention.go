package main

import "fmt"

// keyDots multiplies the queries of some heads by the keys of a tile of 16
// positions, (dim, 16) int16. Dimension d is added to sum d mod 4.
func keyDots(heads int) {
	signature := "(scores []float32, stride int, q []float32, dim int, keys []int16, scales []float32)"
	write(fmt.Sprint("keyDots", heads), signature, fmt.Sprintf("is the kernel keyDots for %d heads.", heads), func(k *kernel) {
		scores, stride, q := k.load("scores"), k.load("stride"), k.load("q")
		dim, keys := k.load("dim"), k.load("keys")
		scales, n := k.load("scales"), k.load("scales_len")
		// As many positions together as there are registers for four sums of each.
		quads := 4 / heads
		part := k.reg() // positions of the tile that are left
		k.label("tile")
		k.ins("MOVD $16, {}", part)
		k.loop("part", part, 4*quads, func() {
			acc := k.zeroed(4 * heads * quads) // (sum, head, quad)
			qAt, kAt, d := []reg{k.reg()}, k.reg(), k.reg()
			k.ins("MOVD {}, {}", q, qAt[0])
			for h := 1; h < heads; h++ {
				qAt = append(qAt, k.reg())
				k.ins("ADD {}<<2, {}, {}", dim, qAt[h-1], qAt[h])
			}
			k.ins("MOVD {}, {}", keys, kAt)
			k.ins("MOVD {}, {}", dim, d)
			k.loop("dim", d, 4, func() { k.keyRows(acc, qAt, kAt, quads) })
			to := qAt[0] // serves again
			k.ins("MOVD {}, {}", scores, to)
			for h := range heads {
				for v := range quads {
					a := func(sum int) vec { return acc[(sum*heads+h)*quads+v] }
					k.fadd(a(0), a(0), a(1))
					k.fadd(a(2), a(2), a(3))
					k.fadd(a(0), a(0), a(2))
					k.ldr(a(1), scales, 16*v)
					k.fmul(a(0), a(0), a(1))
					k.str(a(0), to, 16*v)
				}
				k.ins("ADD {}<<2, {}, {}", stride, to, to)
			}
			k.advance(16*quads, scores, scales)
			k.advance(8*quads, keys)
		})
		// The keys have gone on by a row; a tile has dim of them.
		k.ins("ADD {}<<5, {}, {}", dim, keys, keys)
		k.ins("SUB $32, {}, {}", keys, keys)
		k.ins("SUBS $16, {}, {}", n, n)
		k.ins("BGT tile")
	})
}

// keyRows adds the products of four dimensions.
func (k *kernel) keyRows(acc []vec, qAt []reg, kAt reg, quads int) {
	heads := len(qAt)
	q := k.vectors(heads)
	for h := range q {
		k.ldr(q[h], qAt[h], 0)
	}
	for i := range 4 {
		k.scope(func() {
			v := k.vectors(quads)
			if quads > 1 {
				k.convert(v, kAt, 32*i, asI16)
			} else {
				k.ld8(v[0], kAt, 32*i)
				k.sxtl(v[0], v[0])
				k.scvtf(v[0], v[0])
			}
			for h := range q {
				for j := range v {
					k.fmlaLane(acc[(i*heads+h)*quads+j], v[j], q[h], i)
				}
			}
		})
	}
	k.advance(16, qAt...)
	k.advance(128, kAt)
}

// valueSum adds up values, (positions, dim) int16, each times its weight, for
// some heads and 16 dimensions, or as many more as there are registers for.
func valueSum(heads int) {
	signature := "(out []float32, dim int, weights []float32, stride, n int, values []int16)"
	write(fmt.Sprint("valueSum", heads), signature, fmt.Sprintf("is the kernel valueSum for %d heads.", heads), func(k *kernel) {
		out, dim, weights := k.load("out"), k.load("dim"), k.load("weights")
		stride, n, values := k.load("stride"), k.load("n"), k.load("values")
		left := k.reg()
		k.ins("MOVD {}, {}", dim, left)
		slab := func(label string, quads int) {
			k.while(label, left, 4*quads, func() {
				acc := k.zeroed(heads * quads) // (head, quad)
				w, v, i := []reg{k.reg()}, k.reg(), k.reg()
				k.ins("MOVD {}, {}", weights, w[0])
				for h := 1; h < heads; h++ {
					w = append(w, k.reg())
					k.ins("ADD {}<<2, {}, {}", stride, w[h-1], w[h])
				}
				k.ins("MOVD {}, {}", values, v)
				k.ins("MOVD {}, {}", n, i)
				k.loop(label+"Loop", i, 1, func() {
					k.valueRow(acc, w, v, quads)
					k.ins("ADD {}<<1, {}, {}", dim, v, v)
				})
				to := w[0] // serves again
				k.ins("MOVD {}, {}", out, to)
				for h := range heads {
					k.store(acc[h*quads:][:quads], to, 0)
					k.ins("ADD {}<<2, {}, {}", dim, to, to)
				}
				k.advance(16*quads, out)
				k.advance(8*quads, values)
			})
		}
		if heads == 1 {
			slab("wide", 16)
		}
		slab("narrow", 4)
	})
}

// valueRow adds one position's values.
func (k *kernel) valueRow(acc []vec, w []reg, v reg, quads int) {
	weight := k.vectors(len(w))
	for h := range w {
		k.ld4(weight[h], w[h], 0)
	}
	for j := 0; j < quads; j += 4 {
		k.scope(func() {
			x := k.vectors(4)
			k.convert(x, v, 8*j, asI16)
			for h := range w {
				for i := range x {
					k.fmlaLane(acc[h*quads+j+i], x[i], weight[h], 0)
				}
			}
		})
	}
	k.advance(4, w...)
}
