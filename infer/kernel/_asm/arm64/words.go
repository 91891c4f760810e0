package main

import "fmt"

// Vector instructions are written as numbers, because Go's assembler lacks the
// dot product and many others, and with their names in Arm's syntax beside them.

// word writes an instruction as a number.
func (k *kernel) word(code uint32, format string, args ...any) {
	fmt.Fprintf(&k.out, "\tWORD $%#08x // %s\n", code, fmt.Sprintf(format, args...))
}

// three has two sources of the same shape as the destination.
func (k *kernel) three(code uint32, name, shape string, d, n, m vec) {
	k.word(code|uint32(m)<<16|uint32(n)<<5|uint32(d), "%s v%d.%s, v%d.%s, v%d.%s", name, d, shape, n, shape, m, shape)
}

func (k *kernel) fadd(d, n, m vec)   { k.three(0x4E20D400, "fadd", "4s", d, n, m) }
func (k *kernel) fsub(d, n, m vec)   { k.three(0x4EA0D400, "fsub", "4s", d, n, m) }
func (k *kernel) fmul(d, n, m vec)   { k.three(0x6E20DC00, "fmul", "4s", d, n, m) }
func (k *kernel) fdiv(d, n, m vec)   { k.three(0x6E20FC00, "fdiv", "4s", d, n, m) }
func (k *kernel) fmax(d, n, m vec)   { k.three(0x4E20F400, "fmax", "4s", d, n, m) }
func (k *kernel) fmin(d, n, m vec)   { k.three(0x4EA0F400, "fmin", "4s", d, n, m) }
func (k *kernel) fmaxnm(d, n, m vec) { k.three(0x4E20C400, "fmaxnm", "4s", d, n, m) } // a number rather than NaN
func (k *kernel) fmla(d, n, m vec)   { k.three(0x4E20CC00, "fmla", "4s", d, n, m) }   // d += n·m, rounded once
func (k *kernel) fmls(d, n, m vec)   { k.three(0x4EA0CC00, "fmls", "4s", d, n, m) }   // d −= n·m
func (k *kernel) faddp(d, n, m vec)  { k.three(0x6E20D400, "faddp", "4s", d, n, m) }
func (k *kernel) add(d, n, m vec)    { k.three(0x4EA08400, "add", "4s", d, n, m) }
func (k *kernel) sub(d, n, m vec)    { k.three(0x6EA08400, "sub", "4s", d, n, m) }
func (k *kernel) mls(d, n, m vec)    { k.three(0x6EA09400, "mls", "4s", d, n, m) }
func (k *kernel) umax(d, n, m vec)   { k.three(0x6EA06400, "umax", "4s", d, n, m) }
func (k *kernel) ushl(d, n, m vec)   { k.three(0x6EA04400, "ushl", "4s", d, n, m) }
func (k *kernel) add8h(d, n, m vec)  { k.three(0x4E608400, "add", "8h", d, n, m) }
func (k *kernel) sub8h(d, n, m vec)  { k.three(0x6E608400, "sub", "8h", d, n, m) }
func (k *kernel) and(d, n, m vec)    { k.three(0x4E201C00, "and", "16b", d, n, m) }
func (k *kernel) orr(d, n, m vec)    { k.three(0x4EA01C00, "orr", "16b", d, n, m) }
func (k *kernel) eor(d, n, m vec)    { k.three(0x6E201C00, "eor", "16b", d, n, m) }

// two has one source.
func (k *kernel) two(code uint32, name, to, from string, d, n vec) {
	k.word(code|uint32(n)<<5|uint32(d), "%s v%d.%s, v%d.%s", name, d, to, n, from)
}

func (k *kernel) mov(d, n vec) {
	k.word(0x4EA01C00|uint32(n)<<16|uint32(n)<<5|uint32(d), "mov v%d.16b, v%d.16b", d, n)
}
func (k *kernel) fabs(d, n vec)   { k.two(0x4EA0F800, "fabs", "4s", "4s", d, n) }
func (k *kernel) fneg(d, n vec)   { k.two(0x6EA0F800, "fneg", "4s", "4s", d, n) }
func (k *kernel) scvtf(d, n vec)  { k.two(0x4E21D800, "scvtf", "4s", "4s", d, n) }
func (k *kernel) fcvtns(d, n vec) { k.two(0x4E21A800, "fcvtns", "4s", "4s", d, n) } // to the nearest, halves to even

// Between widths; those that end in 2 read or write the upper half.
func (k *kernel) fcvtl(d, n vec)  { k.two(0x0E217800, "fcvtl", "4s", "4h", d, n) }
func (k *kernel) fcvtl2(d, n vec) { k.two(0x4E217800, "fcvtl2", "4s", "8h", d, n) }
func (k *kernel) xtn4h(d, n vec)  { k.two(0x0E612800, "xtn", "4h", "4s", d, n) }
func (k *kernel) xtn8h(d, n vec)  { k.two(0x4E612800, "xtn2", "8h", "4s", d, n) }
func (k *kernel) xtn8b(d, n vec)  { k.two(0x0E212800, "xtn", "8b", "8h", d, n) }
func (k *kernel) xtn16b(d, n vec) { k.two(0x4E212800, "xtn2", "16b", "8h", d, n) }
func (k *kernel) sxtl(d, n vec)   { k.two(0x0F10A400, "sxtl", "4s", "4h", d, n) }
func (k *kernel) sxtl2(d, n vec)  { k.two(0x4F10A400, "sxtl2", "4s", "8h", d, n) }
func (k *kernel) shll(d, n vec) {
	k.word(0x2E613800|uint32(n)<<5|uint32(d), "shll v%d.4s, v%d.4h, #16", d, n)
}
func (k *kernel) shll2(d, n vec) {
	k.word(0x6E613800|uint32(n)<<5|uint32(d), "shll2 v%d.4s, v%d.8h, #16", d, n)
}

// shift is by a number of bits, written among those of the code.
func (k *kernel) shift(code uint32, name, shape string, d, n vec, bits, field int) {
	k.word(code|uint32(field)<<16|uint32(n)<<5|uint32(d), "%s v%d.%s, v%d.%s, #%d", name, d, shape, n, shape, bits)
}

func (k *kernel) shl(d, n vec, bits int)     { k.shift(0x4F005400, "shl", "4s", d, n, bits, 32+bits) }
func (k *kernel) shl8h(d, n vec, bits int)   { k.shift(0x4F005400, "shl", "8h", d, n, bits, 16+bits) }
func (k *kernel) sshr8h(d, n vec, bits int)  { k.shift(0x4F000400, "sshr", "8h", d, n, bits, 32-bits) }
func (k *kernel) ushr16b(d, n vec, bits int) { k.shift(0x6F000400, "ushr", "16b", d, n, bits, 16-bits) }

func (k *kernel) zero(d vec) { k.word(0x6F00E400|uint32(d), "movi v%d.2d, #0", d) }

// dupReg copies the lower half of a general register to all lanes.
func (k *kernel) dupReg(d vec, n reg) {
	k.word(0x4E040C00|uint32(n)<<5|uint32(d), "dup v%d.4s, w%d", d, int(n))
}

// dup copies the first 4 bytes to all lanes.
func (k *kernel) dup(d, n vec) {
	k.word(0x4E040400|uint32(n)<<5|uint32(d), "dup v%d.4s, v%d.s[0]", d, n)
}

func (k *kernel) umaxv(d, n vec) {
	k.word(0x6EB0A800|uint32(n)<<5|uint32(d), "umaxv s%d, v%d.4s", d, n)
}

func (k *kernel) fmaxnmv(d, n vec) {
	k.word(0x6E30C800|uint32(n)<<5|uint32(d), "fmaxnmv s%d, v%d.4s", d, n)
}

// ext takes bytes from a position on, out of two registers one after the other.
func (k *kernel) ext(d, n, m vec, from int) {
	k.word(0x6E000000|uint32(m)<<16|uint32(from)<<11|uint32(n)<<5|uint32(d), "ext v%d.16b, v%d.16b, v%d.16b, #%d", d, n, m, from)
}

func element(lane int) uint32 { return uint32(lane&1)<<21 | uint32(lane>>1)<<11 }

// fmlaLane is d += n·m[lane].
func (k *kernel) fmlaLane(d, n, m vec, lane int) {
	k.word(0x4F801000|element(lane)|uint32(m)<<16|uint32(n)<<5|uint32(d), "fmla v%d.4s, v%d.4s, v%d.s[%d]", d, n, m, lane)
}

// fmulLane is d = n·m[lane].
func (k *kernel) fmulLane(d, n, m vec, lane int) {
	k.word(0x4F809000|element(lane)|uint32(m)<<16|uint32(n)<<5|uint32(d), "fmul v%d.4s, v%d.4s, v%d.s[%d]", d, n, m, lane)
}

// sdot adds to each lane of d the products of its four signed bytes in n by the
// first four of m.
func (k *kernel) sdot(d, n, m vec) {
	k.word(0x4F80E000|uint32(m)<<16|uint32(n)<<5|uint32(d), "sdot v%d.4s, v%d.16b, v%d.4b[0]", d, n, m)
}
