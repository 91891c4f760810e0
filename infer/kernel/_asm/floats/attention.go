package floats

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// keyDots multiplies the queries of some heads by the keys of a tile of 16
// positions, (dim, 16) int16. Dimension d is added to sum d mod 4.
func (s Set) keyDots(heads int) {
	name := fmt.Sprintf("keyDots%d%s", heads, s.Name)
	TEXT(name, NOSPLIT, "func(scores []float32, stride int, q []float32, dim int, keys []int16, scales []float32)")
	Doc(name + fmt.Sprintf(" is the kernel keyDots for %d heads.", heads))
	scores, stride := Load(Param("scores").Base(), GP64()), Load(Param("stride"), GP64())
	q, dim := Load(Param("q").Base(), GP64()), Load(Param("dim"), GP64())
	keys := Load(Param("keys").Base(), GP64())
	scales, n := Load(Param("scales").Base(), GP64()), Load(Param("scales").Len(), GP64())
	row := GP64() // bytes of a query
	MOVQ(dim, row)
	SHLQ(U8(2), row)
	SHLQ(U8(2), stride)
	together := heads
	if !s.Wide { // there is no room for four sums of four heads
		together = 1
	}
	Label("tile")
	for first := 0; first < heads; first += together {
		s.keyTile(first, together, scores, stride, q, row, dim, keys, scales)
	}
	d := GP64()
	MOVQ(dim, d)
	SHLQ(U8(5), d)
	ADDQ(d, keys)
	ADDQ(U8(64), scores)
	ADDQ(U8(64), scales)
	SUBQ(U8(16), n)
	JG(LabelRef("tile"))
	VZEROUPPER()
	RET()
}

func (s Set) keyTile(first, heads int, scores, stride, q, row, dim, keys, scales Register) {
	zero := s.zeroed()
	var acc [4][4]lanes // (sum, head)
	for i := range 4 {
		for h := range heads {
			acc[i][h] = s.copied(zero)
		}
	}
	qAt, kAt, d := GP64(), GP64(), GP64()
	MOVQ(q, qAt)
	for range first {
		ADDQ(row, qAt)
	}
	MOVQ(keys, kAt)
	MOVQ(dim, d)
	row3 := GP64()
	LEAQ(Mem{Base: row, Index: row, Scale: 2}, row3)
	loop := fmt.Sprintf("dim%d", first)
	Label(loop)
	PREFETCHT0(Mem{Base: kAt}.Offset(4096))
	PREFETCHT0(Mem{Base: kAt}.Offset(4160))
	for i := range 4 {
		k := s.convert(Mem{Base: kAt}.Offset(32*i), asI16)
		for h := range heads {
			m := [4]Mem{{Base: qAt}, {Base: qAt, Index: row, Scale: 1}, {Base: qAt, Index: row, Scale: 2}, {Base: qAt, Index: row3, Scale: 1}}[h]
			qv := s.broadcast(m.Offset(4 * i))
			s.each(func(j, _ int) { VFMADD231PS(qv, k[j], acc[i][h][j]) })
		}
	}
	ADDQ(U8(16), qAt)
	ADDQ(U32(128), kAt)
	SUBQ(U8(4), d)
	JG(LabelRef(loop))
	to := GP64()
	MOVQ(scores, to)
	for range first {
		ADDQ(stride, to)
	}
	for h := range heads {
		s.each(func(j, off int) {
			VADDPS(acc[1][h][j], acc[0][h][j], acc[0][h][j])
			VADDPS(acc[3][h][j], acc[2][h][j], acc[2][h][j])
			VADDPS(acc[2][h][j], acc[0][h][j], acc[0][h][j])
			VMULPS(Mem{Base: scales}.Offset(off), acc[0][h][j], acc[0][h][j])
			VMOVUPS(acc[0][h][j], Mem{Base: to}.Offset(off))
		})
		ADDQ(stride, to)
	}
}

// valueSum adds up values, (positions, dim) int16, each times its weight, for
// some heads and 16 dimensions, or as many more as there are registers for.
func (s Set) valueSum(heads int) {
	name := fmt.Sprintf("valueSum%d%s", heads, s.Name)
	TEXT(name, NOSPLIT, "func(out []float32, dim int, weights []float32, stride, n int, values []int16)")
	Doc(name + fmt.Sprintf(" is the kernel valueSum for %d heads.", heads))
	out, dim := Load(Param("out").Base(), GP64()), Load(Param("dim"), GP64())
	weights, stride := Load(Param("weights").Base(), GP64()), Load(Param("stride"), GP64())
	n, values := Load(Param("n"), GP64()), Load(Param("values").Base(), GP64())
	SHLQ(U8(2), stride)
	stride3, row, left := GP64(), GP64(), GP64()
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, stride3)
	MOVQ(dim, row)
	SHLQ(U8(1), row)
	MOVQ(dim, left)
	slab := func(chunks int) {
		label := fmt.Sprintf("slab%d", chunks)
		Label(label)
		CMPQ(left, U8(16*chunks))
		JL(LabelRef(label + "_end"))
		zero := s.zeroed()
		var acc [4][4]lanes // (chunk, head)
		for c := range chunks {
			for h := range heads {
				acc[c][h] = s.copied(zero)
			}
		}
		w, v, i := GP64(), GP64(), GP64()
		MOVQ(weights, w)
		MOVQ(values, v)
		MOVQ(n, i)
		Label(label + "_loop")
		for c := range (chunks + 1) / 2 {
			PREFETCHT0(Mem{Base: v}.Offset(4096 + 64*c))
		}
		var p [4]VecVirtual
		for h := range heads {
			m := [4]Mem{{Base: w}, {Base: w, Index: stride, Scale: 1}, {Base: w, Index: stride, Scale: 2}, {Base: w, Index: stride3, Scale: 1}}[h]
			p[h] = s.broadcast(m)
		}
		for c := range chunks {
			x := s.convert(Mem{Base: v}.Offset(32*c), asI16)
			for h := range heads {
				s.each(func(j, _ int) { VFMADD231PS(p[h], x[j], acc[c][h][j]) })
			}
		}
		ADDQ(U8(4), w)
		ADDQ(row, v)
		DECQ(i)
		JNZ(LabelRef(label + "_loop"))
		to := GP64()
		MOVQ(out, to)
		for h := range heads {
			for c := range chunks {
				s.store(acc[c][h], Mem{Base: to}.Offset(64*c))
			}
			LEAQ(Mem{Base: to, Index: row, Scale: 2}, to)
		}
		ADDQ(U32(uint32(64*chunks)), out)
		ADDQ(U32(uint32(32*chunks)), values)
		SUBQ(U8(16*chunks), left)
		JMP(LabelRef(label))
		Label(label + "_end")
	}
	if s.Chunks > 1 {
		slab(s.Chunks)
	}
	slab(1)
	VZEROUPPER()
	RET()
}
