// Command avx2 writes the kernels for amd64 processors with AVX2, FMA and F16C.
//
// Activations are arranged in pairs: VPMADDWD multiplies two of them, integers of
// 16 bits, by two codes and adds the products, so that nothing can saturate. The
// 16-bit lanes of a word hold codes r and r+16/bits of a pair at the same place,
// so one mask, and for the upper bytes one shift, makes a pair of codes for each of
// the 16/bits regions of a container. Codes that are not at the bottom of their
// byte are multiplied where they are, and their sum is shifted at the end.
package main

import (
	"github.com/qbranch/qbranch/infer/kernel/asm/floats"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const (
	tileRow  = 256 // bytes of a tile's row: 64 columns
	rowBytes = 4   // of a region, for a row of words
	together = 2   // registers of 8 columns that a tile's tokens share
)

func main() {
	ConstraintExpr("amd64,!purego")
	leaf1()
	for _, bits := range []int{2, 4, 8} {
		dot(bits)
		unpack(bits)
		arrange(bits)
	}
	finish()
	half()
	tile()
	maxAbs()
	roundInts()
	gather()
	floats.Set{Name: "AVX2", Wide: false, Chunks: 1}.Generate()
	Generate()
}

func regions(bits int) int { return 16 / bits }

// regionBytes is how far the regions of a container lie apart.
func regionBytes(bits int) int { return 16 * bits }

func name(base string, bits int) string { return base + string(rune('0'+bits)) + "AVX2" }

// leaf1 tells of F16C, bit 29, which golang.org/x/sys/cpu does not.
func leaf1() {
	TEXT("leaf1ECX", NOSPLIT, "func() uint32")
	Doc("leaf1ECX returns register ECX of CPUID's leaf 1.")
	MOVL(U32(1), EAX)
	XORL(ECX, ECX)
	CPUID()
	Store(ECX, ReturnIndex(0))
	RET()
}

// zeroed is a register of zeros. Others are copied from it, because a register
// that is cleared by itself counts as one that was in use before.
func zeroed() VecVirtual {
	z := YMM()
	VPXOR(z, z, z)
	return z
}

// repeated is a register whose 32-bit lanes are the same.
func repeated(bits uint32) VecVirtual {
	t := GP32()
	MOVL(U32(bits), t)
	return broadcast(t)
}

func broadcast(t Register) VecVirtual {
	x, y := XMM(), YMM()
	VMOVD(t, x)
	VPBROADCASTD(x, y)
	return y
}

// pairMask is the mask of the lowest codes of both 16-bit lanes.
func pairMask(bits int) uint32 { return 0x00010001 * (1<<bits - 1) }

// dot adds, column by column, the products of a few rows of words.
func dot(bits int) {
	TEXT(name("dot", bits), NOSPLIT, "func(acc []int32, w []byte, stride, rows int, x []byte, ahead int)")
	Doc(name("dot", bits) + " is the kernel dot.")
	acc, n := Load(Param("acc").Base(), GP64()), Load(Param("acc").Len(), GP64())
	w := Load(Param("w").Base(), GP64())
	stride, rows := Load(Param("stride"), GP64()), Load(Param("rows"), GP64())
	x := Load(Param("x").Base(), GP64())
	ahead := Load(Param("ahead"), GP64())
	fields := 8 / bits // of a byte
	var masks []VecVirtual
	for f := range fields {
		masks = append(masks, repeated(pairMask(bits)<<(f*bits)))
	}
	columns := func(label string, vecs int) {
		Label(label)
		CMPQ(n, U8(8*vecs))
		JL(LabelRef(label + "_end"))
		sums := make([][]VecVirtual, vecs) // (column register, field)
		for v := range vecs {
			for range fields {
				s := YMM()
				VPXOR(s, s, s)
				sums[v] = append(sums[v], s)
			}
		}
		at, xAt, r := GP64(), GP64(), GP64()
		MOVQ(w, at)
		MOVQ(x, xAt)
		MOVQ(rows, r)
		Label(label + "_row")
		for v := 0; v < vecs; v += 2 {
			PREFETCHT0(Mem{Base: at, Index: ahead, Scale: 1}.Offset(32 * v))
		}
		dotRow(bits, at, xAt, masks, sums)
		ADDQ(stride, at)
		ADDQ(U8(rowBytes), xAt)
		DECQ(r)
		JNZ(LabelRef(label + "_row"))
		for v, s := range sums {
			for f := 1; f < fields; f++ {
				VPSRAD(U8(f*bits), s[f], s[f])
				VPADDD(s[f], s[0], s[0])
			}
			VPADDD(Mem{Base: acc}.Offset(32*v), s[0], s[0])
			VMOVDQU(s[0], Mem{Base: acc}.Offset(32*v))
		}
		ADDQ(U32(32*vecs), w)
		ADDQ(U32(32*vecs), acc)
		SUBQ(U8(8*vecs), n)
		JMP(LabelRef(label))
		Label(label + "_end")
	}
	if bits > 2 { // else there are no registers for it
		columns("wide", 4)
	}
	columns("narrow", 2)
	VZEROUPPER()
	RET()
}

// dotRow adds the products of one row of words, for 8 columns a register, field
// by field of a byte.
func dotRow(bits int, at, xAt Register, masks []VecVirtual, sums [][]VecVirtual) {
	words := make([]VecVirtual, len(sums))
	for v := range words {
		words[v] = YMM()
		VMOVDQU(Mem{Base: at}.Offset(32*v), words[v])
	}
	for r := range regions(bits) {
		f := r % len(masks)
		q := YMM()
		VPBROADCASTD(Mem{Base: xAt}.Offset(r*regionBytes(bits)), q)
		for v, w := range words {
			if r == len(masks) { // the upper bytes
				VPSRLW(U8(8), w, w)
			}
			t := w
			if r == 0 || bits < 8 {
				t = YMM()
				VPAND(w, masks[f], t)
			}
			VPMADDWD(q, t, t)
			VPADDD(t, sums[v][f], sums[v][f])
		}
	}
}

// finishVector is y += (acc − zeros·sum)·scale·scales for 8 columns.
func finishVector(y Mem, acc VecVirtual, zeros, scales Mem, sum, scale VecVirtual) {
	z := YMM()
	VPMULLD(zeros, sum, z)
	VPSUBD(z, acc, acc)
	VCVTDQ2PS(acc, acc)
	VMULPS(scale, acc, acc)
	VMULPS(scales, acc, acc)
	VADDPS(y, acc, acc)
	VMOVUPS(acc, y)
}

func finish() {
	TEXT("finishAVX2", NOSPLIT, "func(y []float32, acc, zeros []int32, scales []float32, scale float32, sum int32)")
	Doc("finishAVX2 is the kernel finish.")
	y, n := Load(Param("y").Base(), GP64()), Load(Param("y").Len(), GP64())
	acc, zeros := Load(Param("acc").Base(), GP64()), Load(Param("zeros").Base(), GP64())
	scales := Load(Param("scales").Base(), GP64())
	scale, sum, zero := YMM(), broadcast(Load(Param("sum"), GP32())), zeroed()
	VBROADCASTSS(param("scale"), scale)
	Label("loop")
	for off := 0; off < 64; off += 32 {
		a := YMM()
		VMOVDQU(Mem{Base: acc}.Offset(off), a)
		VMOVDQU(zero, Mem{Base: acc}.Offset(off))
		finishVector(Mem{Base: y}.Offset(off), a, Mem{Base: zeros}.Offset(off), Mem{Base: scales}.Offset(off), sum, scale)
	}
	for _, p := range []Register{y, acc, zeros, scales} {
		ADDQ(U8(64), p)
	}
	SUBQ(U8(16), n)
	JG(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// param is where a scalar argument lies: loads from there need no other register.
func param(name string) Mem {
	b, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

func half() {
	TEXT("halfAVX2", NOSPLIT, "func(dst []float32, src []byte, ahead int)")
	Doc("halfAVX2 is the kernel half.")
	ahead := Load(Param("ahead"), GP64())
	dst, n := Load(Param("dst").Base(), GP64()), Load(Param("dst").Len(), GP64())
	src := Load(Param("src").Base(), GP64())
	Label("loop")
	PREFETCHT0(Mem{Base: src, Index: ahead, Scale: 1})
	for i := range 2 {
		v := YMM()
		VCVTPH2PS(Mem{Base: src}.Offset(16*i), v)
		VMOVUPS(v, Mem{Base: dst}.Offset(32*i))
	}
	ADDQ(U8(32), src)
	ADDQ(U8(64), dst)
	SUBQ(U8(16), n)
	JG(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// unpack writes the codes of rows of words as pairs: all rows of a region, then
// those of the next.
func unpack(bits int) {
	TEXT(name("unpack", bits), NOSPLIT, "func(tile []byte, w []byte, stride, rows int)")
	Doc(name("unpack", bits) + " is the kernel unpack.")
	to := Load(Param("tile").Base(), GP64())
	w := Load(Param("w").Base(), GP64())
	stride, rows := Load(Param("stride"), GP64()), Load(Param("rows"), GP64())
	region, region3, to4 := GP64(), GP64(), GP64() // bytes from a region to the next one
	MOVQ(rows, region)
	SHLQ(U8(8), region)
	LEAQ(Mem{Base: region, Index: region, Scale: 2}, region3)
	LEAQ(Mem{Base: to, Index: region, Scale: 4}, to4)
	mask := repeated(pairMask(bits))
	Label("row")
	for v := range tileRow / 32 {
		words := YMM()
		VMOVDQU(Mem{Base: w}.Offset(32*v), words)
		for r := range regions(bits) {
			c := YMM()
			switch {
			case r == 0:
				VPAND(words, mask, c)
			case r == regions(bits)-1:
				VPSRLW(U8(16-bits), words, c)
			default:
				VPSRLW(U8(r*bits), words, c)
				VPAND(c, mask, c)
			}
			base := to
			if r >= 4 {
				base = to4
			}
			m := [...]Mem{{Base: base}, {Base: base, Index: region, Scale: 1}, {Base: base, Index: region, Scale: 2}, {Base: base, Index: region3, Scale: 1}}[r%4]
			VMOVDQU(c, m.Offset(32*v))
		}
	}
	ADDQ(stride, w)
	ADDQ(U32(tileRow), to)
	ADDQ(U32(tileRow), to4)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// The fields of tileJob, which a test compares with the struct.
const (
	jobRegions, jobRegionBytes, jobRows, jobTokens, jobXStride, jobScaleStep, jobSumStep = 0, 8, 16, 24, 32, 40, 48
	jobScale, jobSums, jobScales, jobZeros                                               = 56, 80, 104, 128
)

// tile multiplies 64 columns by every token: four tokens at a time, and for them
// 16 columns at a time.
func tile() {
	TEXT("tileAVX2", NOSPLIT, "func(y []float32, tile []byte, x []byte, d *byte)")
	Doc("tileAVX2 is the kernel tile.")
	t := tiling{y: Load(Param("y").Base(), GP64()), codes: Load(Param("tile").Base(), GP64()),
		x: Load(Param("x").Base(), GP64()), d: Load(Param("d"), GP64())}
	t.tokens, t.scale, t.sums = t.field(jobTokens), t.field(jobScale), t.field(jobSums)
	t.block("four", 4)
	t.block("one", 1)
	VZEROUPPER()
	RET()
}

// tiling is the registers of tile.
type tiling struct{ y, codes, x, d, tokens, scale, sums Register }

// field loads a field of the job.
func (t tiling) field(offset int) Register {
	r := GP64()
	MOVQ(Mem{Base: t.d}.Offset(offset), r)
	return r
}

func (t tiling) block(label string, many int) {
	Label(label)
	CMPQ(t.tokens, U8(many))
	JL(LabelRef(label + "_end"))
	col := GP64() // bytes from the first column
	XORQ(col, col)
	Label(label + "_columns")
	t.columns(label, many, col)
	ADDQ(U32(32*together), col)
	CMPQ(col, U32(tileRow))
	JL(LabelRef(label + "_columns"))
	for _, p := range []struct {
		pointer Register
		step    int
		shift   uint8
	}{{t.x, jobXStride, 0}, {t.scale, jobScaleStep, 2}, {t.sums, jobSumStep, 2}} {
		step := t.field(p.step)
		if many == 4 {
			p.shift += 2
		}
		if p.shift > 0 {
			SHLQ(U8(p.shift), step)
		}
		ADDQ(step, p.pointer)
	}
	ADDQ(U32(many*tileRow), t.y)
	SUBQ(U8(many), t.tokens)
	JMP(LabelRef(label))
	Label(label + "_end")
}

// columns multiplies a few columns by some tokens.
func (t tiling) columns(label string, many int, col Register) {
	var sums [4][together]VecVirtual // (token, register of 8 columns)
	for i := range many {
		for v := range together {
			sums[i][v] = YMM()
			VPXOR(sums[i][v], sums[i][v], sums[i][v])
		}
	}
	at, xAt, xRegion, r := GP64(), GP64(), GP64(), GP64()
	LEAQ(Mem{Base: t.codes, Index: col, Scale: 1}, at)
	MOVQ(t.x, xRegion)
	region, xStride, xStride3 := t.field(jobRegions), t.field(jobXStride), GP64()
	LEAQ(Mem{Base: xStride, Index: xStride, Scale: 2}, xStride3)
	Label(label + "_region")
	MOVQ(xRegion, xAt)
	MOVQ(Mem{Base: t.d}.Offset(jobRows), r)
	Label(label + "_row")
	var w [together]VecVirtual
	for v := range w {
		w[v] = YMM()
		VMOVDQU(Mem{Base: at}.Offset(32*v), w[v])
	}
	for i := range many {
		m := [4]Mem{{Base: xAt}, {Base: xAt, Index: xStride, Scale: 1}, {Base: xAt, Index: xStride, Scale: 2}, {Base: xAt, Index: xStride3, Scale: 1}}[i]
		q := YMM()
		VPBROADCASTD(m, q)
		for v := range w {
			p := YMM()
			VPMADDWD(q, w[v], p)
			VPADDD(p, sums[i][v], sums[i][v])
		}
	}
	ADDQ(U32(tileRow), at)
	ADDQ(U8(rowBytes), xAt)
	DECQ(r)
	JNZ(LabelRef(label + "_row"))
	ADDQ(Mem{Base: t.d}.Offset(jobRegionBytes), xRegion)
	DECQ(region)
	JNZ(LabelRef(label + "_region"))
	t.finish(many, col, sums)
}

func (t tiling) finish(many int, col Register, acc [4][together]VecVirtual) {
	y, scale, sums := GP64(), GP64(), GP64()
	LEAQ(Mem{Base: t.y, Index: col, Scale: 1}, y)
	MOVQ(t.scale, scale)
	MOVQ(t.sums, sums)
	scaleStep, sumStep := t.field(jobScaleStep), t.field(jobSumStep)
	scales, zeros := t.field(jobScales), t.field(jobZeros)
	for i := range many {
		s, sum := YMM(), YMM()
		VBROADCASTSS(Mem{Base: scale}, s)
		VPBROADCASTD(Mem{Base: sums}, sum)
		LEAQ(Mem{Base: scale, Index: scaleStep, Scale: 4}, scale)
		LEAQ(Mem{Base: sums, Index: sumStep, Scale: 4}, sums)
		for v := range together {
			finishVector(Mem{Base: y}.Offset(tileRow*i+32*v), acc[i][v], Mem{Base: zeros, Index: col, Scale: 1}.Offset(32*v),
				Mem{Base: scales, Index: col, Scale: 1}.Offset(32*v), sum, s)
		}
	}
}

// maxAbs returns the bits of the largest magnitude among 128 values; those of
// infinities and NaN are larger than any number's.
func maxAbs() {
	TEXT("maxAbsAVX2", NOSPLIT, "func(values *[128]float32) uint32")
	Doc("maxAbsAVX2 returns the bits of the largest magnitude.")
	p := Load(Param("values"), GP64())
	mask := repeated(0x7FFFFFFF)
	var m [4]VecVirtual
	for i := range 16 {
		v := YMM()
		VPAND(Mem{Base: p}.Offset(32*i), mask, v)
		if i < 4 {
			m[i] = v
		} else {
			VPMAXUD(v, m[i%4], m[i%4])
		}
	}
	VPMAXUD(m[1], m[0], m[0])
	VPMAXUD(m[3], m[2], m[2])
	VPMAXUD(m[2], m[0], m[0])
	x, other := XMM(), XMM()
	VEXTRACTI128(U8(1), m[0], x)
	VPMAXUD(x, m[0].AsX(), x)
	VPSHUFD(U8(0x4E), x, other)
	VPMAXUD(other, x, x)
	VPSHUFD(U8(0xB1), x, other)
	VPMAXUD(other, x, x)
	out := GP32()
	VMOVD(x, out)
	Store(out, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

func roundInts() {
	TEXT("roundIntsAVX2", NOSPLIT, "func(ints *[128]int16, values *[128]float32, inverse float32)")
	Doc("roundIntsAVX2 rounds values times inverse, halves to the even integer.")
	to, from := Load(Param("ints"), GP64()), Load(Param("values"), GP64())
	inverse := YMM()
	VBROADCASTSS(param("inverse"), inverse)
	for i := range 8 {
		var v [2]VecVirtual
		for j := range v {
			v[j] = YMM()
			VMULPS(Mem{Base: from}.Offset(64*i+32*j), inverse, v[j])
			VCVTPS2DQ(v[j], v[j])
		}
		VPACKSSDW(v[1], v[0], v[0]) // within each half of the register
		VPERMQ(U8(0xD8), v[0], v[0])
		VMOVDQU(v[0], Mem{Base: to}.Offset(32*i))
	}
	VZEROUPPER()
	RET()
}

func arrange(bits int) {
	TEXT(name("arrange", bits), NOSPLIT, "func(dst *[256]byte, ints *[128]int16)")
	Doc(name("arrange", bits) + " is arrangePairsGo for " + string(rune('0'+bits)) + " bits.")
	to, from := Load(Param("dst"), GP64()), Load(Param("ints"), GP64())
	if bits == 8 {
		arrange8(to, from)
	} else {
		arrangeFew(bits, to, from)
	}
	VZEROUPPER()
	RET()
}

// arrange8 separates slots 0, 2 from slots 1, 3, for four words at a time.
func arrange8(to, from Register) {
	for i := range 8 {
		v, upper := YMM(), XMM()
		VMOVDQU(Mem{Base: from}.Offset(32*i), v)
		VPSHUFLW(U8(0xD8), v, v)
		VPSHUFHW(U8(0xD8), v, v)
		VPSHUFD(U8(0xD8), v, v)
		VPERMQ(U8(0xD8), v, v)
		VMOVDQU(v.AsX(), Mem{Base: to}.Offset(16*i))
		VEXTRACTI128(U8(1), v, upper)
		VMOVDQU(upper, Mem{Base: to}.Offset(regionBytes(8)+16*i))
	}
}

// arrangeFew pairs the lower half of a word's slots with the upper one; four
// words by four regions are then transposed.
func arrangeFew(bits int, to, from Register) {
	wordBytes := 64 / bits
	for first := 0; first*wordBytes < 256; first += 4 {
		for quad := 0; quad < regions(bits); quad += 4 {
			var p [4]VecVirtual // (word) pairs of four regions
			for i := range p {
				lower, upper := XMM(), XMM()
				m := Mem{Base: from}.Offset((first+i)*wordBytes + 2*quad)
				VMOVQ(m, lower)
				VMOVQ(m.Offset(wordBytes/2), upper)
				p[i] = XMM()
				VPUNPCKLWD(upper, lower, p[i])
			}
			a, b, c, d := XMM(), XMM(), XMM(), XMM()
			VPUNPCKLDQ(p[1], p[0], a)
			VPUNPCKHDQ(p[1], p[0], b)
			VPUNPCKLDQ(p[3], p[2], c)
			VPUNPCKHDQ(p[3], p[2], d)
			for r, pair := range [][2]VecVirtual{{a, c}, {b, d}} {
				low, high := XMM(), XMM()
				VPUNPCKLQDQ(pair[1], pair[0], low)
				VPUNPCKHQDQ(pair[1], pair[0], high)
				VMOVDQU(low, Mem{Base: to}.Offset((quad+2*r)*regionBytes(bits)+4*first))
				VMOVDQU(high, Mem{Base: to}.Offset((quad+2*r+1)*regionBytes(bits)+4*first))
			}
		}
	}
}

// The fields of move, which a test compares with the struct.
const moveFrom, moveShift, moveMask, moveTo, moveSize = 0, 8, 12, 16, 24

func gather() {
	TEXT("gatherAVX2", NOSPLIT, "func(dst, src, moves []byte)")
	Doc("gatherAVX2 is the kernel gather; moves are at least one.")
	dst, n := Load(Param("dst").Base(), GP64()), Load(Param("dst").Len(), GP64())
	src := Load(Param("src").Base(), GP64())
	moves, size := Load(Param("moves").Base(), GP64()), Load(Param("moves").Len(), GP64())
	ADDQ(moves, size) // the end
	columns := func(label string, vecs int) {
		Label(label)
		CMPQ(n, U32(32*vecs))
		JL(LabelRef(label + "_end"))
		out := make([]VecVirtual, vecs)
		for i := range out {
			out[i] = YMM()
			VPXOR(out[i], out[i], out[i])
		}
		m := GP64()
		MOVQ(moves, m)
		Label(label + "_move")
		from, shift, to, mask := GP64(), XMM(), XMM(), YMM()
		MOVQ(Mem{Base: m}.Offset(moveFrom), from)
		VMOVD(Mem{Base: m}.Offset(moveShift), shift)
		VMOVQ(Mem{Base: m}.Offset(moveTo), to)
		VPBROADCASTD(Mem{Base: m}.Offset(moveMask), mask)
		for i := range out {
			v := YMM()
			VMOVDQU(Mem{Base: src, Index: from, Scale: 1}.Offset(32*i), v)
			VPSRLD(shift, v, v)
			VPAND(mask, v, v)
			VPSLLD(to, v, v)
			VPOR(v, out[i], out[i])
		}
		ADDQ(U8(moveSize), m)
		CMPQ(m, size)
		JB(LabelRef(label + "_move"))
		for i := range out {
			VMOVDQU(out[i], Mem{Base: dst}.Offset(32*i))
		}
		ADDQ(U32(32*vecs), src)
		ADDQ(U32(32*vecs), dst)
		SUBQ(U32(32*vecs), n)
		JMP(LabelRef(label))
		Label(label + "_end")
	}
	columns("wide", 8)
	columns("narrow", 2)
	VZEROUPPER()
	RET()
}
