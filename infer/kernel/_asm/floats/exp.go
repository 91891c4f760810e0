package floats

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// exponential is the numbers that exp needs, in registers where there are enough
// of them, else in memory.
type exponential struct {
	low, high, log2e, ln2High, ln2Low, one Op
	poly                                   []Op // from the highest power down
	bias                                   Op   // 127, an integer
}

// The numbers of exp32Go.
var (
	expLow, expHigh = float32(-87), float32(88)
	expPoly         = []float32{1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5}
)

func (s Set) exponential() exponential {
	c := func(f float32) Op { return s.number(math.Float32bits(f)) }
	e := exponential{low: c(expLow), high: c(expHigh), log2e: c(math.Log2E), one: c(1),
		ln2High: c(0.693145751953125), ln2Low: c(1.428606765330187e-06), bias: s.number(127)}
	for _, f := range expPoly {
		e.poly = append(e.poly, c(f))
	}
	return e
}

// number is a constant for use as a first operand.
func (s Set) number(bits uint32) Op {
	if s.Wide {
		return s.constant(bits)
	}
	m, ok := numbers[bits]
	if !ok {
		m = GLOBL(fmt.Sprintf("number%08X", bits), RODATA|NOPTR)
		for i := range 8 {
			DATA(4*i, U32(bits))
		}
		numbers[bits] = m
	}
	return m
}

// numbers are those that lie in memory, by their bits.
var numbers = map[uint32]Mem{}

// loaded is a number in a register.
func (s Set) loaded(number Op) Op {
	if s.Wide {
		return number
	}
	v := s.lanes()[0]
	VMOVUPS(number, v)
	return v
}

// exp sets x to its exponential; NaN stays.
func (s Set) exp(e exponential, x VecVirtual) {
	VMINPS(x, s.loaded(e.high), x)
	VMAXPS(x, s.loaded(e.low), x)
	n, power := s.lanes()[0], s.lanes()[0]
	VMULPS(e.log2e, x, n)
	VCVTPS2DQ(n, power)
	VCVTDQ2PS(power, n)
	VFNMADD231PS(e.ln2High, n, x)
	VFNMADD231PS(e.ln2Low, n, x)
	p := s.lanes()[0]
	VMOVUPS(e.poly[0], p)
	for _, c := range append(e.poly[1:len(e.poly):len(e.poly)], e.one, e.one) {
		VFMADD213PS(c, x, p)
	}
	VPADDD(e.bias, power, power)
	VPSLLD(U8(23), power, power)
	VMULPS(power, p, x)
}

func (s Set) expSum() {
	TEXT("expSum"+s.Name, NOSPLIT, "func(x []float32, top float32) float32")
	Doc("expSum" + s.Name + " is the kernel expSum.")
	p, n := Load(Param("x").Base(), GP64()), Load(Param("x").Len(), GP64())
	top := s.broadcast(param("top"))
	e := s.exponential()
	sum := s.zeroed()
	Label("loop")
	s.each(func(i, off int) {
		v := s.lanes()[0]
		VMOVUPS(Mem{Base: p}.Offset(off), v)
		VSUBPS(top, v, v)
		s.exp(e, v)
		VMOVUPS(v, Mem{Base: p}.Offset(off))
		VADDPS(v, sum[i], sum[i])
	})
	ADDQ(U8(64), p)
	SUBQ(U8(16), n)
	JG(LabelRef("loop"))
	returnFloat(s.sum(sum))
	VZEROUPPER()
	RET()
}

func (s Set) silu() {
	s.gated("silu", func(_ exponential, _, v VecVirtual) {})
}

// The numbers of geluTanhGo: 2·√(2/π), and that times 0.044715.
var geluLinear, geluCubic = float32(1.5957691216057308), float32(0.071354816272600)

func (s Set) geluTanh() {
	s.gated("geluTanh", func(_ exponential, x, v VecVirtual) {
		t := s.lanes()[0]
		VMULPS(x, x, t)
		linear, cubic := s.constant(math.Float32bits(geluLinear)), s.constant(math.Float32bits(geluCubic))
		VFMADD213PS(linear, cubic, t)
		VMULPS(t, v, v)
	})
}

// gated is x·sigmoid(v), where v begins as x.
func (s Set) gated(name string, change func(e exponential, x, v VecVirtual)) {
	TEXT(name+s.Name, NOSPLIT, "func(x []float32)")
	Doc(name + s.Name + " is the kernel " + name + ".")
	p, n := Load(Param("x").Base(), GP64()), Load(Param("x").Len(), GP64())
	e := s.exponential()
	minus := s.constant(0x80000000)
	Label("loop")
	s.each(func(i, off int) {
		x, v := s.lanes()[0], s.lanes()[0]
		VMOVUPS(Mem{Base: p}.Offset(off), x)
		VMOVAPS(x, v)
		change(e, x, v)
		VXORPS(minus, v, v)
		s.exp(e, v)
		VADDPS(e.one, v, v)
		VDIVPS(v, x, x)
		VMOVUPS(x, Mem{Base: p}.Offset(off))
	})
	ADDQ(U8(64), p)
	SUBQ(U8(16), n)
	JG(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
