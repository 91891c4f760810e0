package kernel

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unsafe"
)

// Kernels that arrange activations do it as their plain Go twins.
func TestArrangeTwins(t *testing.T) {
	twins := map[string]func(*[containerBytes]byte, *[containerSlots]int16, int){
		"avx2": arrangePairsGo, "avx512": arrangePlanesGo, "neon": arrangeGo, "dotprod": arrangePlanesGo,
	}
	r := rand.New(rand.NewPCG(14, 14))
	for _, isa := range sets()[1:] {
		for _, bits := range []int{2, 4, 8} {
			var ints [containerSlots]int16
			for i := range ints {
				ints[i] = int16(r.IntN(2*most16+1) - most16)
			}
			var got, want [containerBytes]byte
			isa.arrange(&got, &ints, bits)
			twins[isa.name](&want, &ints, bits)
			if got != want {
				t.Errorf("%s, %d bits: got %x, want %x", isa.name, bits, got, want)
			}
		}
	}
}

// The generators know where the fields of tileJob and move lie.
func TestFieldsOfAssembly(t *testing.T) {
	var d tileJob
	var m move
	at := map[string]uintptr{
		"jobRegions": unsafe.Offsetof(d.regions), "jobRegionBytes": unsafe.Offsetof(d.regionBytes), "jobRows": unsafe.Offsetof(d.rows),
		"jobTokens": unsafe.Offsetof(d.tokens), "jobXStride": unsafe.Offsetof(d.xStride), "jobScaleStep": unsafe.Offsetof(d.scaleStep),
		"jobSumStep": unsafe.Offsetof(d.sumStep), "jobScale": unsafe.Offsetof(d.scale), "jobSums": unsafe.Offsetof(d.sums),
		"jobScales": unsafe.Offsetof(d.scales), "jobZeros": unsafe.Offsetof(d.zeros),
		"moveFrom": unsafe.Offsetof(m.from), "moveShift": unsafe.Offsetof(m.shift), "moveMask": unsafe.Offsetof(m.mask),
		"moveTo": unsafe.Offsetof(m.to), "moveSize": unsafe.Sizeof(m),
	}
	line := regexp.MustCompile(`(?m)^(?:const|\t)\s*((?:job|move)\w+(?:, \w+)*)\s+= ([\d, ]+)$`)
	found := map[string]int{}
	for _, file := range generators(t) {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range line.FindAllStringSubmatch(string(source), -1) {
			names, offsets := strings.Split(m[1], ", "), strings.Split(m[2], ", ")
			for i, name := range names {
				found[name]++
				if want := fmt.Sprint(at[name]); offsets[i] != want {
					t.Errorf("%s: %s = %s, want %s", file, name, offsets[i], want)
				}
			}
		}
	}
	for name := range at {
		if want := map[byte]int{'j': 3, 'm': 2}[name[0]]; found[name] != want {
			t.Errorf("the generators name %s %d times, want %d", name, found[name], want)
		}
	}
}

func generators(t *testing.T) []string {
	files, err := filepath.Glob("_asm/avx*/main.go")
	files = append(files, "_asm/arm64/tile.go", "_asm/arm64/dequantize.go")
	if err != nil || len(files) != 4 {
		t.Fatalf("found the generators %v, error %v", files, err)
	}
	return files
}

// No instruction of a time before AVX touches a vector register: where the upper
// halves of registers are in use, one costs a hundred nanoseconds.
func TestNoLegacySSE(t *testing.T) {
	files, err := filepath.Glob("*_amd64.s")
	if err != nil || len(files) == 0 {
		t.Fatalf("found the assembly %v, error %v", files, err)
	}
	register := regexp.MustCompile(`\b[XYZ]([0-9]|[12][0-9]|3[01])\b`)
	vectors := 0
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(source), "\n") {
			code, _, _ := strings.Cut(line, "//")
			if !strings.HasPrefix(code, "\t") || !register.MatchString(code) {
				continue
			}
			vectors++
			if op := strings.Fields(code)[0]; op[0] != 'V' && op[0] != 'K' {
				t.Errorf("%s:%d: %s is no AVX instruction", file, i+1, op)
			}
		}
	}
	if vectors < 1000 {
		t.Errorf("looked at %d instructions, so few that something is wrong", vectors)
	}
}
