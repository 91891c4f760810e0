// Command asm writes the amd64 assembly of package kernel.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("amd64,!purego")
	for _, v := range variants {
		dot4(v)
	}
	readLoop()
	Generate()
}

type variant struct {
	name     string
	rows, pf int
	next, t1 bool
	vecs     int
}

var variants = []variant{
	{"v8", 8, 0, false, false, 4},
	{"v8t0_512", 8, 512, false, false, 4},
	{"v8t0_1024", 8, 1024, false, false, 4},
	{"v8t0_2048", 8, 2048, false, false, 4},
	{"v8t1_1024", 8, 1024, false, true, 4},
	{"v8t1_2048", 8, 2048, false, true, 4},
	{"v8n0", 8, 1, true, false, 4},
	{"v8n1", 8, 1, true, true, 4},
	{"v4n0", 4, 1, true, false, 4},
	{"v4t0_1024", 4, 1024, false, false, 4},
	{"v16n0", 16, 1, true, false, 4},
}

func dot4(vv variant) {
	rows, pf := vv.rows, vv.pf
	TEXT(vv.name, NOSPLIT, "func(acc *int32, w *byte, stride int, n int, x *int8)")
	acc := Load(Param("acc"), GP64())
	w := Load(Param("w"), GP64())
	stride := Load(Param("stride"), GP64())
	n := Load(Param("n"), GP64())
	x := Load(Param("x"), GP64())
	mask := ZMM()
	t := GP32()
	MOVL(U32(0x0F0F0F0F), t)
	VPBROADCASTD(t, mask)
	s3 := GP64()
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, s3)
	ahead := GP64()
	MOVQ(stride, ahead)
	SHLQ(U8(map[int]uint8{4: 2, 8: 3, 16: 4}[rows]), ahead)
	Label("loop")
	hi := [4]VecVirtual{ZMM(), ZMM(), ZMM(), ZMM()}
	lo := [4]VecVirtual{ZMM(), ZMM(), ZMM(), ZMM()}
	for v := range 4 {
		VPXORD(hi[v], hi[v], hi[v])
		VPXORD(lo[v], lo[v], lo[v])
	}
	base := GP64()
	MOVQ(w, base)
	for r := range rows {
		var m Mem
		switch r % 4 {
		case 0:
			if r > 0 {
				LEAQ(Mem{Base: base, Index: stride, Scale: 4}, base)
			}
			m = Mem{Base: base}
		case 1:
			m = Mem{Base: base, Index: stride, Scale: 1}
		case 2:
			m = Mem{Base: base, Index: stride, Scale: 2}
		case 3:
			m = Mem{Base: base, Index: s3, Scale: 1}
		}
		he, ho, le, lod := ZMM(), ZMM(), ZMM(), ZMM()
		xm := Mem{Base: x}.Offset(16 * r)
		VPBROADCASTD(xm, he)
		VPBROADCASTD(xm.Offset(4), ho)
		VPBROADCASTD(xm.Offset(8), le)
		VPBROADCASTD(xm.Offset(12), lod)
		if pf > 0 {
			pm := m.Offset(pf)
			if vv.next {
				t := GP64()
				LEAQ(m, t)
				ADDQ(ahead, t)
				pm = Mem{Base: t}
			}
			for i := range 4 {
				if vv.t1 {
					PREFETCHT1(pm.Offset(64 * i))
				} else {
					PREFETCHT0(pm.Offset(64 * i))
				}
			}
		}
		for v := range 4 {
			a, b := ZMM(), ZMM()
			VMOVDQU32(m.Offset(64*v), b)
			VPANDD(b, mask, a)
			VPSRLD(U8(4), b, b)
			VPANDD(b, mask, b)
			VPDPBUSD(he, a, hi[v])
			VPDPBUSD(le, a, lo[v])
			VPDPBUSD(ho, b, hi[v])
			VPDPBUSD(lod, b, lo[v])
		}
	}
	for v := range 4 {
		VPSLLD(U8(7), hi[v], hi[v])
		VPADDD(lo[v], hi[v], hi[v])
		VMOVDQU32(hi[v], Mem{Base: acc}.Offset(64*v))
	}
	ADDQ(U32(256), w)
	ADDQ(U32(256), acc)
	SUBQ(U8(64), n)
	JG(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

func readLoop() {
	TEXT("readLoop", NOSPLIT, "func(p *byte, n int, out *byte)")
	p := Load(Param("p"), GP64())
	n := Load(Param("n"), GP64())
	out := Load(Param("out"), GP64())
	var a [8]VecVirtual
	for i := range a {
		a[i] = ZMM()
		VPXORD(a[i], a[i], a[i])
	}
	Label("loop")
	for i := range a {
		VPADDD(Mem{Base: p}.Offset(64*i), a[i], a[i])
	}
	ADDQ(U32(512), p)
	SUBQ(U32(512), n)
	JG(LabelRef("loop"))
	for i := 1; i < 8; i++ {
		VPADDD(a[i], a[0], a[0])
	}
	VMOVDQU32(a[0], Mem{Base: out})
	VZEROUPPER()
	RET()
}
