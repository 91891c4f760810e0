// Command avx512 writes the kernels for amd64 processors with AVX-512 (F, BW,
// VL) and VNNI.
//
// Activations are arranged in planes: an integer is 128·hi + lo, two signed
// bytes. The first half of a container holds the hi bytes, the second the lo
// ones, so that VPDPBUSD multiplies four codes, unsigned bytes, by four of either.
// Codes that come out of a register of words with one shift and mask are bytes
// of a region: with 4 bits the even slots of a word and the odd ones, with 2 bits
// slots 0, 4, 8, 12, slots 1, 5, 9, 13, and so on, with 8 bits all.
package main

import (
	"github.com/qbranch/qbranch/infer/kernel/asm/floats"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const (
	plane    = 128 // bytes of a container's half
	tileRow  = 256 // bytes of a tile's row: 64 columns
	vectors  = 4   // registers of 16 columns that are worked on together
	rowBytes = 4   // of a region, for a row of words
)

func main() {
	ConstraintExpr("amd64,!purego")
	for _, bits := range []int{2, 4, 8} {
		dot(bits)
		unpack(bits)
	}
	finish()
	half()
	tile()
	maxAbs()
	roundInts()
	arrange2()
	arrange4()
	arrange8()
	floats.Set{Name: "AVX512", Wide: true, Chunks: 4}.Generate()
	Generate()
}

func regions(bits int) int { return 8 / bits }

// regionBytes is how far the regions of a plane lie apart.
func regionBytes(bits int) int { return 16 * bits }

func name(base string, bits int) string { return base + string(rune('0'+bits)) + "AVX512" }

// codes leaves in the registers it returns the codes of a register of words,
// region by region.
func codes(w, mask VecVirtual, bits int) []VecVirtual {
	if bits == 8 {
		return []VecVirtual{w}
	}
	var out []VecVirtual
	for i := range regions(bits) {
		c := ZMM()
		if i == 0 {
			VPANDD(w, mask, c)
		} else {
			VPSRLD(U8(i*bits), w, c)
			VPANDD(c, mask, c)
		}
		out = append(out, c)
	}
	return out
}

// zeroed is a register of zeros. Others are copied from it, because a register
// that is cleared by itself counts as one that was in use before.
func zeroed() VecVirtual {
	z := ZMM()
	VPXORD(z, z, z)
	return z
}

func codeMask(bits int) VecVirtual {
	if bits == 8 {
		return nil
	}
	mask, t := ZMM(), GP32()
	MOVL(U32(map[int]uint32{2: 0x03030303, 4: 0x0F0F0F0F}[bits]), t)
	VPBROADCASTD(t, mask)
	return mask
}

// dot adds, column by column, the products of a few rows of words.
func dot(bits int) {
	TEXT(name("dot", bits), NOSPLIT, "func(acc []int32, w []byte, stride, rows int, x []byte, ahead int)")
	Doc(name("dot", bits) + " is the kernel dot.")
	acc, n := Load(Param("acc").Base(), GP64()), Load(Param("acc").Len(), GP64())
	w := Load(Param("w").Base(), GP64())
	stride, rows := Load(Param("stride"), GP64()), Load(Param("rows"), GP64())
	x := Load(Param("x").Base(), GP64())
	ahead := Load(Param("ahead"), GP64())
	mask, zero := codeMask(bits), zeroed()
	columns := func(label string, vecs int) {
		Label(label)
		CMPQ(n, U8(16*vecs))
		JL(LabelRef(label + "_end"))
		var hi, lo []VecVirtual
		for range vecs {
			h, l := ZMM(), ZMM()
			VMOVDQU32(zero, h)
			VMOVDQU32(zero, l)
			hi, lo = append(hi, h), append(lo, l)
		}
		at, xAt, r := GP64(), GP64(), GP64()
		MOVQ(w, at)
		MOVQ(x, xAt)
		MOVQ(rows, r)
		Label(label + "_row")
		for v := range vecs {
			PREFETCHT0(Mem{Base: at, Index: ahead, Scale: 1}.Offset(64 * v))
		}
		var qh, ql []VecVirtual
		for i := range regions(bits) {
			h, l := ZMM(), ZMM()
			VPBROADCASTD(Mem{Base: xAt}.Offset(i*regionBytes(bits)), h)
			VPBROADCASTD(Mem{Base: xAt}.Offset(plane+i*regionBytes(bits)), l)
			qh, ql = append(qh, h), append(ql, l)
		}
		for v := range vecs {
			words := ZMM()
			VMOVDQU32(Mem{Base: at}.Offset(64*v), words)
			for i, c := range codes(words, mask, bits) {
				VPDPBUSD(qh[i], c, hi[v])
				VPDPBUSD(ql[i], c, lo[v])
			}
		}
		ADDQ(stride, at)
		ADDQ(U8(rowBytes), xAt)
		DECQ(r)
		JNZ(LabelRef(label + "_row"))
		for v := range vecs {
			VPSLLD(U8(7), hi[v], hi[v])
			VPADDD(lo[v], hi[v], hi[v])
			VPADDD(Mem{Base: acc}.Offset(64*v), hi[v], hi[v])
			VMOVDQU32(hi[v], Mem{Base: acc}.Offset(64*v))
		}
		ADDQ(U32(64*vecs), w)
		ADDQ(U32(64*vecs), acc)
		SUBQ(U8(16*vecs), n)
		JMP(LabelRef(label))
		Label(label + "_end")
	}
	columns("wide", vectors)
	columns("narrow", 1)
	VZEROUPPER()
	RET()
}

// finishVector is y += (acc − zeros·sum)·scale·scales for 16 columns.
func finishVector(y Mem, acc VecVirtual, zeros, scales Mem, sum, scale VecVirtual) {
	z := ZMM()
	VPMULLD(zeros, sum, z)
	VPSUBD(z, acc, acc)
	VCVTDQ2PS(acc, acc)
	VMULPS(scale, acc, acc)
	VMULPS(scales, acc, acc)
	VADDPS(y, acc, acc)
	VMOVUPS(acc, y)
}

func finish() {
	TEXT("finishAVX512", NOSPLIT, "func(y []float32, acc, zeros []int32, scales []float32, scale float32, sum int32)")
	Doc("finishAVX512 is the kernel finish.")
	y, n := Load(Param("y").Base(), GP64()), Load(Param("y").Len(), GP64())
	acc, zeros := Load(Param("acc").Base(), GP64()), Load(Param("zeros").Base(), GP64())
	scales := Load(Param("scales").Base(), GP64())
	scale, sum, zero := ZMM(), ZMM(), zeroed()
	VBROADCASTSS(param("scale"), scale)
	VPBROADCASTD(Load(Param("sum"), GP32()), sum)
	Label("loop")
	a := ZMM()
	VMOVDQU32(Mem{Base: acc}, a)
	VMOVDQU32(zero, Mem{Base: acc})
	finishVector(Mem{Base: y}, a, Mem{Base: zeros}, Mem{Base: scales}, sum, scale)
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
	TEXT("halfAVX512", NOSPLIT, "func(dst []float32, src []byte, ahead int)")
	Doc("halfAVX512 is the kernel half.")
	ahead := Load(Param("ahead"), GP64())
	dst, n := Load(Param("dst").Base(), GP64()), Load(Param("dst").Len(), GP64())
	src := Load(Param("src").Base(), GP64())
	Label("loop")
	v := ZMM()
	PREFETCHT0(Mem{Base: src, Index: ahead, Scale: 1})
	VCVTPH2PS(Mem{Base: src}, v)
	VMOVUPS(v, Mem{Base: dst})
	ADDQ(U8(32), src)
	ADDQ(U8(64), dst)
	SUBQ(U8(16), n)
	JG(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// unpack writes the codes of rows of words as bytes: all rows of a region, then
// those of the next.
func unpack(bits int) {
	TEXT(name("unpack", bits), NOSPLIT, "func(tile []byte, w []byte, stride, rows int)")
	Doc(name("unpack", bits) + " is the kernel unpack.")
	to := Load(Param("tile").Base(), GP64())
	w := Load(Param("w").Base(), GP64())
	stride, rows := Load(Param("stride"), GP64()), Load(Param("rows"), GP64())
	region := GP64() // bytes from a region to the next one
	MOVQ(rows, region)
	SHLQ(U8(8), region)
	region3 := GP64()
	LEAQ(Mem{Base: region, Index: region, Scale: 2}, region3)
	mask := codeMask(bits)
	Label("row")
	for v := range vectors {
		words := ZMM()
		VMOVDQU32(Mem{Base: w}.Offset(64*v), words)
		for i, c := range codes(words, mask, bits) {
			m := [...]Mem{{Base: to}, {Base: to, Index: region, Scale: 1}, {Base: to, Index: region, Scale: 2}, {Base: to, Index: region3, Scale: 1}}[i]
			VMOVDQU32(c, m.Offset(64*v))
		}
	}
	ADDQ(stride, w)
	ADDQ(U32(tileRow), to)
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

// tile multiplies 64 columns by every token, three at a time.
func tile() {
	TEXT("tileAVX512", NOSPLIT, "func(y []float32, tile []byte, x []byte, d *byte)")
	Doc("tileAVX512 is the kernel tile.")
	y, codes := Load(Param("y").Base(), GP64()), Load(Param("tile").Base(), GP64())
	x, d := Load(Param("x").Base(), GP64()), Load(Param("d"), GP64())
	field := func(offset int) Register {
		r := GP64()
		MOVQ(Mem{Base: d}.Offset(offset), r)
		return r
	}
	tokens, xStride := field(jobTokens), field(jobXStride)
	scale, sums := field(jobScale), field(jobSums)
	zero := zeroed()
	tokenBlock("three", 3, zero, d, y, codes, x, tokens, xStride, scale, sums)
	tokenBlock("one", 1, zero, d, y, codes, x, tokens, xStride, scale, sums)
	VZEROUPPER()
	RET()
}

func tokenBlock(label string, many int, zero VecVirtual, d, y, codes, x, tokens, xStride, scale, sums Register) {
	Label(label)
	CMPQ(tokens, U8(many))
	JL(LabelRef(label + "_end"))
	var hi, lo [3][vectors]VecVirtual
	for t := range many {
		for v := range vectors {
			hi[t][v], lo[t][v] = ZMM(), ZMM()
			VMOVDQU32(zero, hi[t][v])
			VMOVDQU32(zero, lo[t][v])
		}
	}
	at, xAt, xRegion, region, rows, r := GP64(), GP64(), GP64(), GP64(), GP64(), GP64()
	MOVQ(codes, at)
	MOVQ(x, xRegion)
	MOVQ(Mem{Base: d}.Offset(jobRegions), region)
	MOVQ(Mem{Base: d}.Offset(jobRows), rows)
	Label(label + "_region")
	MOVQ(rows, r)
	MOVQ(xRegion, xAt)
	Label(label + "_row")
	var w [vectors]VecVirtual
	for v := range vectors {
		w[v] = ZMM()
		VMOVDQU32(Mem{Base: at}.Offset(64*v), w[v])
	}
	for t := range many {
		m := [3]Mem{{Base: xAt}, {Base: xAt, Index: xStride, Scale: 1}, {Base: xAt, Index: xStride, Scale: 2}}[t]
		q := ZMM()
		VPBROADCASTD(m, q)
		for v := range vectors {
			VPDPBUSD(q, w[v], hi[t][v])
		}
		q = ZMM()
		VPBROADCASTD(m.Offset(plane), q)
		for v := range vectors {
			VPDPBUSD(q, w[v], lo[t][v])
		}
	}
	ADDQ(U32(tileRow), at)
	ADDQ(U8(rowBytes), xAt)
	DECQ(r)
	JNZ(LabelRef(label + "_row"))
	step := GP64()
	MOVQ(Mem{Base: d}.Offset(jobRegionBytes), step)
	ADDQ(step, xRegion)
	DECQ(region)
	JNZ(LabelRef(label + "_region"))
	finishTokens(many, d, y, scale, sums, hi, lo)
	for range many {
		ADDQ(xStride, x)
	}
	ADDQ(U32(uint32(many*tileRow)), y)
	SUBQ(U8(many), tokens)
	JMP(LabelRef(label))
	Label(label + "_end")
}

func finishTokens(many int, d, y, scale, sums Register, hi, lo [3][vectors]VecVirtual) {
	scales, zeros, sStep, sumsStep := GP64(), GP64(), GP64(), GP64()
	MOVQ(Mem{Base: d}.Offset(jobScales), scales)
	MOVQ(Mem{Base: d}.Offset(jobZeros), zeros)
	MOVQ(Mem{Base: d}.Offset(jobScaleStep), sStep)
	MOVQ(Mem{Base: d}.Offset(jobSumStep), sumsStep)
	for t := range many {
		s, sum := ZMM(), ZMM()
		VBROADCASTSS(Mem{Base: scale}, s)
		VPBROADCASTD(Mem{Base: sums}, sum)
		LEAQ(Mem{Base: scale, Index: sStep, Scale: 4}, scale)
		LEAQ(Mem{Base: sums, Index: sumsStep, Scale: 4}, sums)
		for v := range vectors {
			VPSLLD(U8(7), hi[t][v], hi[t][v])
			VPADDD(lo[t][v], hi[t][v], hi[t][v])
			finishVector(Mem{Base: y}.Offset(tileRow*t+64*v), hi[t][v], Mem{Base: zeros}.Offset(64*v), Mem{Base: scales}.Offset(64*v), sum, s)
		}
	}
}

// maxAbs returns the bits of the largest magnitude among 128 values; those of
// infinities and NaN are larger than any number's.
func maxAbs() {
	TEXT("maxAbsAVX512", NOSPLIT, "func(values *[128]float32) uint32")
	Doc("maxAbsAVX512 returns the bits of the largest magnitude.")
	p := Load(Param("values"), GP64())
	mask, t := ZMM(), GP32()
	MOVL(U32(0x7FFFFFFF), t)
	VPBROADCASTD(t, mask)
	var m [2]VecVirtual
	for i := range 8 {
		v := ZMM()
		VPANDD(Mem{Base: p}.Offset(64*i), mask, v)
		if i < 2 {
			m[i] = v
		} else {
			VPMAXUD(v, m[i%2], m[i%2])
		}
	}
	VPMAXUD(m[1], m[0], m[0])
	y, x := YMM(), XMM()
	VEXTRACTI64X4(U8(1), m[0], y)
	VPMAXUD(y, m[0].AsY(), y)
	VEXTRACTI128(U8(1), y, x)
	VPMAXUD(x, y.AsX(), x)
	other := XMM()
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
	TEXT("roundIntsAVX512", NOSPLIT, "func(ints *[128]int16, values *[128]float32, inverse float32)")
	Doc("roundIntsAVX512 rounds values times inverse, halves to the even integer.")
	to, from := Load(Param("ints"), GP64()), Load(Param("values"), GP64())
	inverse := ZMM()
	VBROADCASTSS(param("inverse"), inverse)
	for i := range 8 {
		v := ZMM()
		VMULPS(Mem{Base: from}.Offset(64*i), inverse, v)
		VCVTPS2DQ(v, v)
		VPMOVDW(v, Mem{Base: to}.Offset(32*i))
	}
	VZEROUPPER()
	RET()
}

// split writes the bytes hi and lo of integers in lanes of 32 bits.
func split(q VecVirtual, bias VecVirtual, hi, lo Mem) {
	h := ZMM()
	VPADDD(bias, q, h)
	VPSRAD(U8(7), h, h)
	VPMOVDB(h, hi)
	VPSLLD(U8(7), h, h)
	VPSUBD(h, q, q)
	VPMOVDB(q, lo)
}

func bias32() VecVirtual {
	b, t := ZMM(), GP32()
	MOVL(U32(64), t)
	VPBROADCASTD(t, b)
	return b
}

func arrange4() {
	TEXT("arrange4AVX512", NOSPLIT, "func(dst *[256]byte, ints *[128]int16)")
	Doc("arrange4AVX512 is arrangePlanesGo for 4 bits.")
	to, from := Load(Param("dst"), GP64()), Load(Param("ints"), GP64())
	bias := bias32()
	for i := range 4 {
		even, odd := ZMM(), ZMM()
		VMOVDQU32(Mem{Base: from}.Offset(64*i), odd)
		VPSLLD(U8(16), odd, even)
		VPSRAD(U8(16), even, even)
		VPSRAD(U8(16), odd, odd)
		split(even, bias, Mem{Base: to}.Offset(16*i), Mem{Base: to}.Offset(plane+16*i))
		split(odd, bias, Mem{Base: to}.Offset(64+16*i), Mem{Base: to}.Offset(plane+64+16*i))
	}
	VZEROUPPER()
	RET()
}

// arrange2 turns the 16 slots of each row of words, four by four, so that those of
// a region follow each other.
func arrange2() {
	TEXT("arrange2AVX512", NOSPLIT, "func(dst *[256]byte, ints *[128]int16)")
	Doc("arrange2AVX512 is arrangePlanesGo for 2 bits.")
	to, from := Load(Param("dst"), GP64()), Load(Param("ints"), GP64())
	bias, turn := bias32(), XMM()
	order := GLOBL("turn4x4", RODATA|NOPTR)
	for i := range 16 {
		DATA(i, U8(i%4*4+i/4))
	}
	VMOVDQU(order, turn)
	for r := range 8 {
		q, h := ZMM(), ZMM()
		VPMOVSXWD(Mem{Base: from}.Offset(32*r), q)
		VPADDD(bias, q, h)
		VPSRAD(U8(7), h, h)
		hi, lo := XMM(), XMM()
		VPMOVDB(h, hi)
		VPSLLD(U8(7), h, h)
		VPSUBD(h, q, q)
		VPMOVDB(q, lo)
		for p, x := range []VecVirtual{hi, lo} {
			VPSHUFB(turn, x, x)
			for region := range 4 {
				VPEXTRD(U8(region), x, Mem{Base: to}.Offset(plane*p+32*region+4*r))
			}
		}
	}
	VZEROUPPER()
	RET()
}

func arrange8() {
	TEXT("arrange8AVX512", NOSPLIT, "func(dst *[256]byte, ints *[128]int16)")
	Doc("arrange8AVX512 is arrangePlanesGo for 8 bits.")
	to, from := Load(Param("dst"), GP64()), Load(Param("ints"), GP64())
	bias := bias32()
	for i := range 8 {
		q := ZMM()
		VPMOVSXWD(Mem{Base: from}.Offset(32*i), q)
		split(q, bias, Mem{Base: to}.Offset(16*i), Mem{Base: to}.Offset(plane+16*i))
	}
	VZEROUPPER()
	RET()
}
