// Package floats writes the kernels on floating-point vectors, which are the same
// for all amd64 processors but for the width of a register. Sixteen values are
// worked on at a time, in one register or two, and sums are formed in the order
// that the plain Go twins have.
package floats

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Set is an instruction set.
type Set struct {
	Name   string
	Wide   bool // registers of 64 bytes, else of 32
	Chunks int  // how many times 16 values a kernel of attention may keep for each of 4 heads
}

// lanes is 16 values in one register or two.
type lanes []VecVirtual

func (s Set) lanes() lanes {
	if s.Wide {
		return lanes{ZMM()}
	}
	return lanes{YMM(), YMM()}
}

// each calls f for every register of 16 values, with the offset of its memory.
func (s Set) each(f func(i, offset int)) {
	n := 2
	if s.Wide {
		n = 1
	}
	for i := range n {
		f(i, i*64/n)
	}
}

func (s Set) zeroed() lanes {
	l := s.lanes()
	for _, v := range l {
		if s.Wide {
			VPXORD(v, v, v)
		} else {
			VPXOR(v, v, v)
		}
	}
	return l
}

// copied is a copy of another.
func (s Set) copied(from lanes) lanes {
	l := s.lanes()
	for i, v := range l {
		VMOVAPS(from[i], v)
	}
	return l
}

// broadcast is one register, not sixteen values: every lane has it.
func (s Set) broadcast(m Op) VecVirtual {
	v := s.lanes()[0]
	VBROADCASTSS(m, v)
	return v
}

// constant is a broadcast number, given by its bits.
func (s Set) constant(bits uint32) VecVirtual {
	t, x := GP32(), XMM()
	MOVL(U32(bits), t)
	VMOVD(t, x)
	return s.broadcast(x)
}

func (s Set) load(m Mem) lanes {
	l := s.lanes()
	s.each(func(i, off int) { VMOVUPS(m.Offset(off), l[i]) })
	return l
}

func (s Set) store(l lanes, m Mem) {
	s.each(func(i, off int) { VMOVUPS(l[i], m.Offset(off)) })
}

// Types of stored values.
const (
	asF32 = iota
	asF16
	asBF16
	asI16
)

// convert loads 16 stored values as float32.
func (s Set) convert(m Mem, typ int) lanes {
	l := s.lanes()
	s.each(func(i, off int) {
		switch typ {
		case asF32:
			VMOVUPS(m.Offset(off), l[i])
		case asF16:
			VCVTPH2PS(m.Offset(off/2), l[i])
		case asBF16:
			VPMOVZXWD(m.Offset(off/2), l[i])
			VPSLLD(U8(16), l[i], l[i])
		case asI16:
			VPMOVSXWD(m.Offset(off/2), l[i])
			VCVTDQ2PS(l[i], l[i])
		}
	})
	return l
}

func bytes(typ int) int {
	if typ == asF32 {
		return 64
	}
	return 32
}

// sum adds the lanes: 8 to 8, 4 to 4, 2 to 2, 1 to 1.
func (s Set) sum(l lanes) VecVirtual {
	y, x := YMM(), XMM()
	if s.Wide {
		VEXTRACTF64X4(U8(1), l[0], y)
		VADDPS(y, l[0].AsY(), y)
	} else {
		VADDPS(l[1], l[0], y)
	}
	VEXTRACTF128(U8(1), y, x)
	VADDPS(x, y.AsX(), x)
	other := XMM()
	VPSHUFD(U8(0x4E), x, other)
	VADDPS(other, x, x)
	VPSHUFD(U8(0xB1), x, other)
	VADDPS(other, x, x)
	return x
}

func param(name string) Mem {
	b, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

func returnFloat(x VecVirtual) {
	b, err := ReturnIndex(0).Resolve()
	if err != nil {
		panic(err)
	}
	VMOVSS(x, b.Addr)
}

// Generate writes all kernels.
func (s Set) Generate() {
	s.dot("dotF32", asF32)
	s.dot("dotRawF32", asF32)
	s.dot("dotF16", asF16)
	s.dot("dotBF16", asBF16)
	s.binary("add", func(dst, src Op, to VecVirtual) { VADDPS(src, dst, to) })
	s.binary("multiply", func(dst, src Op, to VecVirtual) { VMULPS(src, dst, to) })
	s.norm()
	s.scale()
	s.largest()
	s.expSum()
	s.silu()
	s.geluTanh()
	for _, heads := range []int{1, 4} {
		s.keyDots(heads)
		s.valueSum(heads)
	}
	s.dequantRow()
	s.addProduct()
	s.read()
}

// dot multiplies two vectors; chunk i of 16 products is added to sum i mod 4.
func (s Set) dot(name string, typ int) {
	b := "[]byte"
	if name == "dotF32" {
		b = "[]float32"
	}
	TEXT(name+s.Name, NOSPLIT, "func(a []float32, b "+b+") float32")
	Doc(name + s.Name + " is a kernel dot.")
	pa, n, pb := Load(Param("a").Base(), GP64()), Load(Param("a").Len(), GP64()), Load(Param("b").Base(), GP64())
	var acc [4]lanes
	for i := range acc {
		acc[i] = s.zeroed()
	}
	step := func(i, at int) {
		v := s.convert(Mem{Base: pb}.Offset(at*bytes(typ)), typ)
		s.each(func(j, off int) { VFMADD231PS(Mem{Base: pa}.Offset(64*at+off), v[j], acc[i][j]) })
	}
	Label("wide")
	CMPQ(n, U8(64))
	JL(LabelRef("rest"))
	if typ != asF32 {
		PREFETCHT0(Mem{Base: pb}.Offset(2048))
		PREFETCHT0(Mem{Base: pb}.Offset(2112))
	}
	for i := range 4 {
		step(i, i)
	}
	ADDQ(U32(256), pa)
	ADDQ(U32(uint32(4*bytes(typ))), pb)
	SUBQ(U8(64), n)
	JMP(LabelRef("wide"))
	Label("rest")
	for i := range 3 {
		CMPQ(n, U8(16))
		JL(LabelRef("done"))
		step(i, i)
		SUBQ(U8(16), n)
	}
	Label("done")
	s.each(func(j, _ int) {
		VADDPS(acc[1][j], acc[0][j], acc[0][j])
		VADDPS(acc[3][j], acc[2][j], acc[2][j])
		VADDPS(acc[2][j], acc[0][j], acc[0][j])
	})
	x := s.sum(acc[0])
	returnFloat(x)
	VZEROUPPER()
	RET()
}

func (s Set) binary(name string, op func(dst, src Op, to VecVirtual)) {
	TEXT(name+s.Name, NOSPLIT, "func(dst, src []float32)")
	Doc(name + s.Name + " is the kernel " + name + ".")
	dst, n, src := Load(Param("dst").Base(), GP64()), Load(Param("dst").Len(), GP64()), Load(Param("src").Base(), GP64())
	Label("loop")
	v := s.load(Mem{Base: dst})
	s.each(func(i, off int) { op(v[i], Mem{Base: src}.Offset(off), v[i]) })
	s.store(v, Mem{Base: dst})
	ADDQ(U8(64), dst)
	ADDQ(U8(64), src)
	SUBQ(U8(16), n)
	JG(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

func (s Set) norm() {
	TEXT("norm"+s.Name, NOSPLIT, "func(dst, src, weight []float32, scale float32)")
	Doc("norm" + s.Name + " is the kernel norm.")
	dst, n := Load(Param("dst").Base(), GP64()), Load(Param("dst").Len(), GP64())
	src, weight := Load(Param("src").Base(), GP64()), Load(Param("weight").Base(), GP64())
	scale := s.broadcast(param("scale"))
	Label("loop")
	v := s.load(Mem{Base: src})
	s.each(func(i, off int) {
		VMULPS(scale, v[i], v[i])
		VMULPS(Mem{Base: weight}.Offset(off), v[i], v[i])
	})
	s.store(v, Mem{Base: dst})
	for _, p := range []Register{dst, src, weight} {
		ADDQ(U8(64), p)
	}
	SUBQ(U8(16), n)
	JG(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

func (s Set) scale() {
	TEXT("scale"+s.Name, NOSPLIT, "func(x []float32, factor float32)")
	Doc("scale" + s.Name + " is the kernel scale.")
	p, n := Load(Param("x").Base(), GP64()), Load(Param("x").Len(), GP64())
	factor := s.broadcast(param("factor"))
	Label("loop")
	v := s.load(Mem{Base: p})
	s.each(func(i, _ int) { VMULPS(factor, v[i], v[i]) })
	s.store(v, Mem{Base: p})
	ADDQ(U8(64), p)
	SUBQ(U8(16), n)
	JG(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// largest is the largest value; one that is not a number is the result, if it is
// the last of its lane.
func (s Set) largest() {
	TEXT("largest"+s.Name, NOSPLIT, "func(x []float32) float32")
	Doc("largest" + s.Name + " is the kernel largest.")
	p, n := Load(Param("x").Base(), GP64()), Load(Param("x").Len(), GP64())
	top := s.load(Mem{Base: p})
	Label("loop")
	s.each(func(i, off int) { VMAXPS(Mem{Base: p}.Offset(off), top[i], top[i]) })
	ADDQ(U8(64), p)
	SUBQ(U8(16), n)
	JG(LabelRef("loop"))
	y, x, other := YMM(), XMM(), XMM()
	if s.Wide {
		VEXTRACTF64X4(U8(1), top[0], y)
		VMAXPS(y, top[0].AsY(), y)
	} else {
		VMAXPS(top[1], top[0], y)
	}
	VEXTRACTF128(U8(1), y, x)
	VMAXPS(x, y.AsX(), x)
	VPSHUFD(U8(0x4E), x, other)
	VMAXPS(other, x, x)
	VPSHUFD(U8(0xB1), x, other)
	VMAXPS(other, x, x)
	returnFloat(x)
	VZEROUPPER()
	RET()
}

// read reads memory as fast as it comes, to measure it.
func (s Set) read() {
	TEXT("read"+s.Name, NOSPLIT, "func(p []byte) byte")
	Doc("read" + s.Name + " is the kernel read.")
	p, n := Load(Param("p").Base(), GP64()), Load(Param("p").Len(), GP64())
	var acc [4]lanes
	for i := range acc {
		acc[i] = s.zeroed()
	}
	Label("loop")
	for i := range 8 {
		s.each(func(j, off int) { VORPS(Mem{Base: p}.Offset(64*i+off), acc[i%4][j], acc[i%4][j]) })
	}
	ADDQ(U32(512), p)
	SUBQ(U32(512), n)
	JG(LabelRef("loop"))
	for i := 1; i < 4; i++ {
		s.each(func(j, _ int) { VORPS(acc[i][j], acc[0][j], acc[0][j]) })
	}
	y, x, other := YMM(), XMM(), XMM()
	if s.Wide {
		VEXTRACTF64X4(U8(1), acc[0][0], y)
		VORPS(y, acc[0][0].AsY(), y)
	} else {
		VORPS(acc[0][1], acc[0][0], y)
	}
	VEXTRACTF128(U8(1), y, x)
	VORPS(x, y.AsX(), x)
	VPSHUFD(U8(0x4E), x, other)
	VORPS(other, x, x)
	out, shifted := GP64(), GP64()
	VMOVQ(x, out)
	for _, n := range []uint8{32, 16, 8} {
		MOVQ(out, shifted)
		SHRQ(U8(n), shifted)
		ORQ(shifted, out)
	}
	Store(out.As8(), ReturnIndex(0))
	VZEROUPPER()
	RET()
}
