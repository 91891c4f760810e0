package floats

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// tileStride is the bytes of a tile's row: 64 columns.
const tileStride = 256

// dequantRow is scale·(code − zero) for the codes at one place of every word.
func (s Set) dequantRow() {
	TEXT("dequantRow"+s.Name, NOSPLIT, "func(dst, scale, zero []float32, words []uint32, shift uint64, mask uint32)")
	Doc("dequantRow" + s.Name + " is the kernel dequantRow.")
	dst, n := Load(Param("dst").Base(), GP64()), Load(Param("dst").Len(), GP64())
	scale, zero := Load(Param("scale").Base(), GP64()), Load(Param("zero").Base(), GP64())
	words := Load(Param("words").Base(), GP64())
	shift, x := XMM(), XMM()
	VMOVQ(Load(Param("shift"), GP64()), shift)
	VMOVD(Load(Param("mask"), GP32()), x)
	mask := s.broadcast(x)
	Label("loop")
	w := s.load(Mem{Base: words})
	s.each(func(i, off int) {
		VPSRLD(shift, w[i], w[i])
		if s.Wide {
			VPANDD(mask, w[i], w[i])
		} else {
			VPAND(mask, w[i], w[i])
		}
		VCVTDQ2PS(w[i], w[i])
		VSUBPS(Mem{Base: zero}.Offset(off), w[i], w[i])
		VMULPS(Mem{Base: scale}.Offset(off), w[i], w[i])
	})
	s.store(w, Mem{Base: dst})
	for _, p := range []Register{dst, scale, zero, words} {
		ADDQ(U8(64), p)
	}
	SUBQ(U8(16), n)
	JG(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// addProduct is y += x·tile, four rows at a time: y += (x0·w0 + x1·w1) + (x2·w2 + x3·w3).
func (s Set) addProduct() {
	TEXT("addProduct"+s.Name, NOSPLIT, "func(y, x, tile []float32)")
	Doc("addProduct" + s.Name + " is the kernel addProduct.")
	y, n := Load(Param("y").Base(), GP64()), Load(Param("y").Len(), GP64())
	x, rows := Load(Param("x").Base(), GP64()), Load(Param("x").Len(), GP64())
	tile := Load(Param("tile").Base(), GP64())
	Label("columns")
	sum := s.load(Mem{Base: y})
	xAt, at, r := GP64(), GP64(), GP64()
	MOVQ(x, xAt)
	MOVQ(tile, at)
	MOVQ(rows, r)
	Label("rows")
	var p [4]lanes
	for i := range 4 {
		p[i] = s.lanes()
		b := s.broadcast(Mem{Base: xAt}.Offset(4 * i))
		s.each(func(j, off int) { VMULPS(Mem{Base: at}.Offset(tileStride*i+off), b, p[i][j]) })
	}
	s.each(func(j, _ int) {
		VADDPS(p[1][j], p[0][j], p[0][j])
		VADDPS(p[3][j], p[2][j], p[2][j])
		VADDPS(p[2][j], p[0][j], p[0][j])
		VADDPS(p[0][j], sum[j], sum[j])
	})
	ADDQ(U8(16), xAt)
	ADDQ(U32(4*tileStride), at)
	SUBQ(U8(4), r)
	JG(LabelRef("rows"))
	s.store(sum, Mem{Base: y})
	ADDQ(U8(64), y)
	ADDQ(U8(64), tile)
	SUBQ(U8(16), n)
	JG(LabelRef("columns"))
	VZEROUPPER()
	RET()
}
