package card

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// wildInputs are what takes careless parsers quadratic time: things that open and never
// close, things that nest, and many of what is remembered.
var wildInputs = []string{
	"|", "|a|b|\n|-|-|\n|c|d|\n\n", "[", "![", "*a **b _c_ ", "a_b*c**d__e ", "<", "<a <b ", "<a b=\"", "&", "&amp;&#99999999;", "- ", "- a\n  - b\n    - c\n",
	"> > > ", "[aa]: http://x\n\n[aa] ", "<table>", "<table><tr><td>", "<table><tr><td>a</td></tr></table>\n\n", "<!-- ", "<![CDATA[ ", "<? ", "`a ``b ```c ", "`\\|`|",
	"```\n\n", "# [x](http://huggingface.co/a/b) `c`\n\n", "https://huggingface.co/a/b ", "`a/b-GPTQ` ", "**Provided files**\n\n", "* `a.safetensors`\n  * Parameters: Groupsize = 1\n\n",
	"[4 bit](https://huggingface.co/a/b/tree/c)\n\n", "|Branch|Bits|GS|\n|-|-|-|\n|4bit-8bit-2bit|4|1|\n\n", "<sup>a", "## Prompt template: x\n\n", "\x00\x1b[", "\\a\\*",
}

// Four times the input may take four times the memory, with something for tables
// that grow; nothing is copied again and again. How the time grows is what
// BenchmarkWild shows: a test that measured it would fail on a busy machine.
func TestLinear(t *testing.T) {
	for _, p := range wildInputs {
		small, large := allocated(wildCard(p, 64<<10)), allocated(wildCard(p, 256<<10))
		if large > 6*small+1<<20 {
			t.Errorf("%q: %d bytes for 64 KiB, %d for 256 KiB", p, small, large)
		}
	}
}

// wildCard repeats a pattern, in paragraphs that are short enough to be read.
func wildCard(p string, n int) []byte {
	line := strings.Repeat(p, max(1, 100/len(p))) + "\n\n"
	return []byte("# A GPTQ\n\n" + strings.Repeat(line, n/len(line)))
}

func allocated(md []byte) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	Parse(md)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// BenchmarkWild: the rate of each input should not fall with its size.
func BenchmarkWild(b *testing.B) {
	for i, p := range wildInputs {
		for _, n := range []int{256 << 10, 1 << 20} {
			b.Run(fmt.Sprintf("%d/%dKiB", i, n>>10), func(b *testing.B) {
				md := wildCard(p, n)
				b.SetBytes(int64(len(md)))
				for b.Loop() {
					Parse(md)
				}
			})
		}
	}
}
