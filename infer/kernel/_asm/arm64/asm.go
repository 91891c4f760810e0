package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"strings"
)

// reg is a general register, vec one of the 32 vector registers of 16 bytes.
type (
	reg int
	vec int
)

func (r reg) String() string { return fmt.Sprintf("R%d", int(r)) }

// kernel is a function being written.
type kernel struct {
	name    string
	offsets map[string]int // of arguments and their parts
	regs    int            // registers in use
	vecs    int
	out     bytes.Buffer
}

// file is what has been written so far: assembly and the declarations for it.
var file, stubs bytes.Buffer

// write writes the kernel base+"NEON" with the arguments given as in Go.
func write(base, signature, doc string, body func(k *kernel)) {
	k := &kernel{name: base + "NEON", offsets: map[string]int{}}
	size := k.layOut(signature)
	body(k)
	fmt.Fprintf(&stubs, "\n// %s%s %s\n//\n//go:noescape\nfunc %s%s\n", base, "NEON", doc, k.name, signature)
	fmt.Fprintf(&file, "\n// func %s%s\nTEXT ·%s(SB), NOSPLIT, $0-%d\n%s\tRET\n", k.name, signature, k.name, size, k.out.Bytes())
}

// layOut finds where arguments lie in the frame and returns its size.
func (k *kernel) layOut(signature string) int {
	expr, err := parser.ParseExpr("func" + signature)
	if err != nil {
		panic(err)
	}
	typ := expr.(*ast.FuncType)
	at := 0
	place := func(name string, t ast.Expr) {
		size := 8
		switch t := t.(type) {
		case *ast.ArrayType:
			k.offsets[name+"_base"], k.offsets[name+"_len"] = at, at+8
			at += 24
			return
		case *ast.Ident:
			size = map[string]int{"int": 8, "uint64": 8, "float32": 4, "int32": 4, "uint32": 4, "byte": 1}[t.Name]
		}
		at = (at + size - 1) / size * size
		k.offsets[name] = at
		at += size
	}
	for _, f := range typ.Params.List {
		for _, n := range f.Names {
			place(n.Name, f.Type)
		}
	}
	if typ.Results != nil {
		at = (at + 7) / 8 * 8
		place("ret", typ.Results.List[0].Type)
	}
	return at
}

// ins writes an instruction of Go's assembler; {} stand for the arguments.
func (k *kernel) ins(text string, args ...any) {
	for _, a := range args {
		text = strings.Replace(text, "{}", fmt.Sprint(a), 1)
	}
	fmt.Fprintf(&k.out, "\t%s\n", text)
}

func (k *kernel) label(name string) { fmt.Fprintf(&k.out, "%s:\n", name) }

// reg takes a general register. The assembler, the runtime and the platform keep
// R18 and those from R26 on.
func (k *kernel) reg() reg {
	r := k.regs
	if k.regs++; r >= 18 {
		r++
	}
	if r > 25 {
		panic(k.name + " needs too many registers")
	}
	return reg(r)
}

func (k *kernel) vec() vec {
	if k.vecs == 32 {
		panic(k.name + " needs too many vector registers")
	}
	k.vecs++
	return vec(k.vecs - 1)
}

func (k *kernel) vectors(n int) []vec {
	v := make([]vec, n)
	for i := range v {
		v[i] = k.vec()
	}
	return v
}

// scope gives the registers that f takes back after it.
func (k *kernel) scope(f func()) {
	regs, vecs := k.regs, k.vecs
	f()
	k.regs, k.vecs = regs, vecs
}

func (k *kernel) arg(name string) string {
	at, ok := k.offsets[name]
	if !ok {
		panic(k.name + " has no argument " + name)
	}
	return fmt.Sprintf("%s+%d(FP)", name, at)
}

// load takes registers for arguments: bases of slices by their name alone.
func (k *kernel) load(name string) reg {
	if _, ok := k.offsets[name+"_base"]; ok {
		name += "_base"
	}
	r := k.reg()
	k.ins("MOVD {}, {}", k.arg(name), r)
	return r
}

// broadcast takes a vector register for an argument of 4 bytes, in every lane.
func (k *kernel) broadcast(name string) vec {
	v := k.vec()
	k.ins("FMOVS {}, F{}", k.arg(name), int(v))
	k.dup(v, v)
	return v
}

// constant is a number in every lane, given by its bits.
func (k *kernel) constant(bits uint32) vec {
	v := k.vec()
	k.scope(func() {
		t := k.reg()
		k.ins("MOVD ${}, {}", fmt.Sprintf("%#x", bits), t)
		k.dupReg(v, t)
	})
	return v
}

// ldr loads 16 bytes, ld8 8 and ld4 4; what is above them becomes zero.
func (k *kernel) ldr(v vec, base reg, offset int) { k.ins("FMOVQ {}({}), F{}", offset, base, int(v)) }
func (k *kernel) ld8(v vec, base reg, offset int) { k.ins("FMOVD {}({}), F{}", offset, base, int(v)) }
func (k *kernel) ld4(v vec, base reg, offset int) { k.ins("FMOVS {}({}), F{}", offset, base, int(v)) }
func (k *kernel) str(v vec, base reg, offset int) { k.ins("FMOVQ F{}, {}({})", int(v), offset, base) }

// loop repeats body, which counts n down by step until nothing is left.
func (k *kernel) loop(name string, n reg, step int, body func()) {
	k.label(name)
	k.scope(body)
	k.ins("SUBS ${}, {}, {}", step, n, n)
	k.ins("BGT {}", name)
}

// while is a loop that does nothing when less than step is left.
func (k *kernel) while(name string, n reg, step int, body func()) {
	k.label(name)
	k.ins("CMP ${}, {}", step, n)
	k.ins("BLT {}", name+"End")
	k.scope(body)
	k.ins("SUB ${}, {}, {}", step, n, n)
	k.ins("B {}", name)
	k.label(name + "End")
}

func (k *kernel) advance(bytes int, regs ...reg) {
	for _, r := range regs {
		k.ins("ADD ${}, {}, {}", bytes, r, r)
	}
}
