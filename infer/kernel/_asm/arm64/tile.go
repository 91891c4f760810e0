package main

// The fields of tileJob, which a test compares with the struct.
const (
	jobRegions, jobRegionBytes, jobRows, jobTokens, jobXStride, jobScaleStep, jobSumStep = 0, 8, 16, 24, 32, 40, 48
	jobScale, jobSums, jobScales, jobZeros                                               = 56, 80, 104, 128
)

const vectors = 4 // registers of 4 columns that are worked on together

// tiling is what the kernel tile keeps in registers.
type tiling struct {
	y, codes, x, job                    reg
	tokens, xStride, scale, sums        reg
	scaleStep, sumStep                  reg
	columns, at, xRegion, regions, rows reg
	xAt                                 []reg // (tokens)
}

// tile multiplies 64 columns by every token, three at a time.
func tile() {
	write("tile", "(y []float32, tile []byte, x []byte, d *tileJob)", "is the kernel tile.", func(k *kernel) {
		t := &tiling{y: k.load("y"), codes: k.load("tile"), x: k.load("x"), job: k.load("d")}
		field := func(offset int) reg {
			r := k.reg()
			k.ins("MOVD {}({}), {}", offset, t.job, r)
			return r
		}
		t.tokens, t.xStride, t.scale, t.sums = field(jobTokens), field(jobXStride), field(jobScale), field(jobSums)
		t.scaleStep, t.sumStep = field(jobScaleStep), field(jobSumStep)
		t.columns, t.at, t.xRegion, t.regions, t.rows = k.reg(), k.reg(), k.reg(), k.reg(), k.reg()
		t.xAt = []reg{k.reg(), k.reg(), k.reg()}
		k.while("three", t.tokens, 3, func() { k.tokenBlock(t, "three", 3) })
		k.while("one", t.tokens, 1, func() { k.tokenBlock(t, "one", 1) })
	})
}

// tokenBlock multiplies 64 columns by many tokens, 16 columns at a time.
func (k *kernel) tokenBlock(t *tiling, label string, many int) {
	k.ins("MOVD $0, {}", t.columns) // their offset
	k.label(label + "Columns")
	k.scope(func() {
		hi, lo := k.vectors(many*vectors), k.vectors(many*vectors)
		for i := range hi {
			k.zero(hi[i])
			k.zero(lo[i])
		}
		k.ins("ADD {}, {}, {}", t.columns, t.codes, t.at)
		k.ins("MOVD {}, {}", t.x, t.xRegion)
		k.ins("MOVD {}({}), {}", jobRegions, t.job, t.regions)
		k.loop(label+"Region", t.regions, 1, func() {
			k.ins("MOVD {}({}), {}", jobRows, t.job, t.rows)
			k.ins("MOVD {}, {}", t.xRegion, t.xAt[0])
			for i := 1; i < many; i++ {
				k.ins("ADD {}, {}, {}", t.xStride, t.xAt[i-1], t.xAt[i])
			}
			k.loop(label+"Row", t.rows, 1, func() { k.tileRow(t, many, hi, lo) })
			step := k.reg()
			k.ins("MOVD {}({}), {}", jobRegionBytes, t.job, step)
			k.ins("ADD {}, {}, {}", step, t.xRegion, t.xRegion)
		})
		k.finishTokens(t, many, hi, lo)
	})
	k.ins("ADD $64, {}, {}", t.columns, t.columns)
	k.ins("CMP ${}, {}", tileRow, t.columns)
	k.ins("BLT {}", label+"Columns")
	for range many {
		k.ins("ADD {}, {}, {}", t.xStride, t.x, t.x)
		k.ins("ADD {}<<2, {}, {}", t.scaleStep, t.scale, t.scale)
		k.ins("ADD {}<<2, {}, {}", t.sumStep, t.sums, t.sums)
	}
	k.advance(many*tileRow, t.y)
}

func (k *kernel) tileRow(t *tiling, many int, hi, lo []vec) {
	w, q := k.vectors(vectors), k.vectors(2)
	for v := range w {
		k.ldr(w[v], t.at, 16*v)
	}
	for i := range many {
		k.ld4(q[0], t.xAt[i], 0)
		k.ld4(q[1], t.xAt[i], plane)
		for v := range w {
			k.sdot(hi[i*vectors+v], w[v], q[0])
			k.sdot(lo[i*vectors+v], w[v], q[1])
		}
		k.advance(4, t.xAt[i])
	}
	k.advance(tileRow, t.at)
}

// finishTokens is finish for 16 columns of every token. Codes of 8 bits, which are
// one region, were taken less 128: so are their zeros.
func (k *kernel) finishTokens(t *tiling, many int, hi, lo []vec) {
	bias, sum, scale, z := k.vec(), k.vec(), k.vec(), k.vec()
	// Registers of the loop serve again.
	zeros, scales, y, scaleAt, sumAt := t.at, t.xRegion, t.rows, t.xAt[0], t.xAt[1]
	k.scope(func() {
		r := t.regions
		k.ins("MOVD {}({}), {}", jobRegions, t.job, r)
		k.ins("CMP $1, {}", r)
		k.ins("CSET EQ, {}", r)
		k.ins("LSL $7, {}, {}", r, r)
		k.dupReg(bias, r)
	})
	k.ins("MOVD {}({}), {}", jobZeros, t.job, zeros)
	k.ins("MOVD {}({}), {}", jobScales, t.job, scales)
	k.ins("ADD {}, {}, {}", t.columns, zeros, zeros)
	k.ins("ADD {}, {}, {}", t.columns, scales, scales)
	k.ins("ADD {}, {}, {}", t.columns, t.y, y)
	k.ins("MOVD {}, {}", t.scale, scaleAt)
	k.ins("MOVD {}, {}", t.sums, sumAt)
	for i := range many {
		k.ld4(scale, scaleAt, 0)
		k.dup(scale, scale)
		k.ld4(sum, sumAt, 0)
		k.dup(sum, sum)
		if i < many-1 {
			k.ins("ADD {}<<2, {}, {}", t.scaleStep, scaleAt, scaleAt)
			k.ins("ADD {}<<2, {}, {}", t.sumStep, sumAt, sumAt)
		}
		for v := range vectors {
			h, l := hi[i*vectors+v], lo[i*vectors+v]
			k.shl(h, h, 7)
			k.add(l, l, h)
			k.ldr(z, zeros, 16*v)
			k.sub(z, z, bias)
			k.finishVector(l, z, sum, scale, y, scales, 16*v)
		}
		k.advance(tileRow, y)
	}
}
