package quant

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// BranchParams are what a branch's name says; nil, zero or empty where it does
// not. Most names say nothing, which is fine.
type BranchParams struct {
	Bits      *int     // 2 to 16
	GroupSize *int     // -1: none, one group per column
	ActOrder  *bool    // desc_act
	Damp      *float64 // as a fraction: 0.1
	Sym       *bool
	BPW       *float64 // bits per weight of EXL2 and EXL3, which mix widths
	HeadBits  *int     // the H of EXL2's h6
	Method    string   // "gptq", "awq", "exl2", "gguf", … as [MethodOf] names them
	Format    string   // "gptq_v2", "marlin": how the tensors are packed
	Quant     string   // GGUF's own word for it: "Q4_K_M"

	// Contradictions names what the name says twice and differently, such as
	// "bits 4 and 8"; the first value is kept.
	Contradictions []string
}

// ParseBranchName reads names such as
//
//	gptq-4bit-32g-actorder_True    gptq-3bit--1g-actorder_True (no groups)
//	8bit-128g-desc_act-damp0.1     gptq-4-64g    w4a16g128    int4
//	4bit-128g.no-act-order         4.0bpw-h6     q4_k_m       awq-4bit
//
// also as stems of files. It takes time linear in the name's length.
func ParseBranchName(name string) BranchParams {
	b := branchReader{}
	b.gguf(strings.ToLower(name))
	b.words = branchWords(strings.ToLower(name))
	for b.at < len(b.words) {
		if n := b.word(); n > 0 {
			b.at += n
		} else {
			b.at++
		}
	}
	// A number before a lone g is a group only beside other parameters: 2g may
	// be anything.
	if g := b.p.GroupSize; g != nil && b.p.Bits == nil && *g != -1 && *g%16 != 0 {
		b.p.GroupSize = nil
	}
	return b.p
}

// branchReader walks over the words of a name.
type branchReader struct {
	words []string
	at    int
	p     BranchParams
}

// branchWords splits at everything but letters, digits and the point of a
// number. Two dashes in a row leave an empty word, so that --1g can be told
// from -1g.
func branchWords(low string) []string {
	digit := func(i int) bool { return i >= 0 && i < len(low) && low[i] >= '0' && low[i] <= '9' }
	var words []string
	start := 0
	for i := 0; i <= len(low); i++ {
		if i < len(low) {
			c := low[i]
			if c >= 'a' && c <= 'z' || digit(i) || c >= 0x80 || c == '.' && digit(i-1) && digit(i+1) {
				continue
			}
		}
		words = append(words, low[start:i])
		start = i + 1
	}
	return words
}

var (
	wordBits   = regexp.MustCompile(`^(?:(?:gptq)?([0-9]{1,2})bits?|bits?([0-9]{1,2}))$`)
	wordBoth   = regexp.MustCompile(`^(?:gptq)?([0-9]{1,2})bits?([1-9][0-9]{0,5})g$`)
	wordInt    = regexp.MustCompile(`^u?int([0-9]{1,2})$`)
	wordWidths = regexp.MustCompile(`^(?:w([0-9]{1,2})(?:a(?:[0-9]{1,2}))?(?:g([1-9][0-9]{0,5}))?|b([0-9]{1,2})g([1-9][0-9]{0,5}))$`)
	wordGroup  = regexp.MustCompile(`^([1-9][0-9]{0,5})g$`)
	wordGroup2 = regexp.MustCompile(`^(?:g|gs|group|groupsize)([1-9][0-9]{0,5})$`)
	wordBPW    = regexp.MustCompile(`^([0-9]{1,2}(?:\.[0-9]{1,4})?)bpw$`)
	wordHead   = regexp.MustCompile(`^h([0-9]{1,2})$`)
	wordDamp   = regexp.MustCompile(`^damp(0\.[0-9]{1,6})$`)
	ggufQuant  = regexp.MustCompile(`(?:^|[^a-z0-9])((?:iq|tq|q)[1-8]_(?:[01]|nl|xxs|xs|s|m|k(?:_(?:xxs|xs|s|m|l|xl))?))(?:[^a-z0-9]|$)`)
)

// gguf reads GGUF's names of quants, whose parts are no words of the grammar.
func (b *branchReader) gguf(low string) {
	for range 4 {
		m := ggufQuant.FindStringSubmatchIndex(low)
		if m == nil {
			return
		}
		quant := strings.ToUpper(low[m[2]:m[3]])
		low = low[m[3]:]
		if b.p.Quant != "" && b.p.Quant != quant {
			b.contradict("quant", b.p.Quant, quant)
			continue
		}
		b.p.Quant = quant
		b.method("gguf")
	}
}

// word reads what begins at the current word and gives the number of words it
// took; 0 when it means nothing.
func (b *branchReader) word() int {
	w := b.peek(0)
	if n := b.number(w); n > 0 {
		return n
	}
	if n := b.flag(w); n > 0 {
		return n
	}
	if m := MethodOf(w); m != "" {
		b.method(m)
		return b.afterMethod(m)
	}
	if w == "marlin" {
		b.p.Format = "marlin"
		return 1
	}
	return 0
}

func (b *branchReader) peek(n int) string {
	if b.at+n < len(b.words) {
		return b.words[b.at+n]
	}
	return ""
}

// number reads a word that holds a number.
func (b *branchReader) number(w string) int {
	switch next := b.peek(1); {
	case (next == "bit" || next == "bits") && isCount(w):
		b.bits(w)
		return 2
	case next == "bpw" && decimalWord(w):
		b.setFloat("bits per weight", &b.p.BPW, w)
		return 2
	case w == "damp" && decimalWord(next) && strings.HasPrefix(next, "0."):
		b.setFloat("damp", &b.p.Damp, next)
		return 2
	case (w == "gs" || w == "groupsize") && isCount(next) && next != "0":
		b.group(next)
		return 2
	case (w == "gs" || w == "groupsize") && next == "" && b.peek(2) == "1": // gs--1
		b.group("-1")
		return 3
	}
	if m := match(wordBits, w); m != nil {
		b.bits(m[1] + m[2])
		return 1 + b.bareGroup()
	} else if m := match(wordBoth, w); m != nil {
		b.bits(m[1])
		b.group(m[2])
	} else if m := match(wordInt, w); m != nil {
		b.bits(m[1])
	} else if m := match(wordWidths, w); m != nil {
		b.bits(m[1] + m[3])
		if m[2]+m[4] != "" {
			b.group(m[2] + m[4])
		}
	} else if m := match(wordGroup, w); m != nil {
		b.group(m[1])
	} else if m := match(wordGroup2, w); m != nil {
		b.group(m[1])
	} else if m := match(wordBPW, w); m != nil {
		b.setFloat("bits per weight", &b.p.BPW, m[1])
	} else if m := match(wordDamp, w); m != nil {
		b.setFloat("damp", &b.p.Damp, m[1])
	} else if m := match(wordHead, w); m != nil && b.p.BPW != nil {
		set(b, "head bits", &b.p.HeadBits, *atoi(m[1]))
	} else {
		return 0
	}
	return 1
}

// bareGroup reads the group size right behind the bits where it lacks its g,
// "4bit-128" and "4bit-None", and gives the number of words it took.
func (b *branchReader) bareGroup() int {
	switch next := b.peek(1); next {
	case "32", "64", "128":
		b.group(next)
	case "none":
		b.group("-1")
	default:
		return 0
	}
	return 1
}

func match(re *regexp.Regexp, w string) []string {
	if len(w) < 2 || len(w) > 24 {
		return nil
	}
	return re.FindStringSubmatch(w)
}

// flags are words, or pairs of words, that say yes by standing there.
var flags = []struct {
	words []string
	kind  string
	value bool
}{
	{[]string{"noactorder"}, "act", false},
	{[]string{"actorder"}, "act", true},
	{[]string{"act", "order"}, "act", true},
	{[]string{"desc", "act"}, "act", true},
	{[]string{"descact"}, "act", true},
	{[]string{"asym"}, "sym", false},
	{[]string{"nosym"}, "sym", false},
	{[]string{"sym"}, "sym", true},
	{[]string{"nogroup"}, "group", true},
	{[]string{"nogroupsize"}, "group", true},
	{[]string{"no", "group"}, "group", true},
	{[]string{"no", "groupsize"}, "group", true},
	{[]string{"channelwise"}, "group", true},
	{[]string{"perchannel"}, "group", true},
	{[]string{"per", "channel"}, "group", true},
}

// flag reads a word that is true or false, perhaps with "no" before it or "True"
// behind it.
func (b *branchReader) flag(w string) int {
	if w == "" {
		return 0
	}
	for _, f := range flags {
		n := len(f.words)
		if b.at+n > len(b.words) || !slices.Equal(b.words[b.at:b.at+n], f.words) {
			continue
		}
		value := f.value
		negated := b.at > 0 && (b.words[b.at-1] == "no" || b.words[b.at-1] == "without")
		said, explicit := trueFalse(b.peek(n))
		if explicit {
			n++
		}
		switch f.kind {
		case "group":
			b.group("-1")
		case "act":
			b.bool("act-order", &b.p.ActOrder, value, negated, explicit, said)
		case "sym":
			b.bool("sym", &b.p.Sym, value, negated, explicit, said)
		}
		return n
	}
	return 0
}

// trueFalse reads the True of actorder_True; explicit is false when it is none.
func trueFalse(w string) (value, explicit bool) {
	switch w {
	case "true", "yes", "on":
		return true, true
	case "false", "off":
		return false, true
	}
	return false, false
}

// bool takes no-act-order, act-order, act-order_False and the like.
func (b *branchReader) bool(what string, to **bool, value, negated, explicit, said bool) {
	if negated {
		value = !value
	}
	switch {
	case explicit && !value: // no-act-order_False means no act-order, with True it means nothing
		if said {
			b.contradict(what, "no", "true")
		}
	case explicit:
		value = said
	}
	set(b, what, to, value)
}

// methods are the words by which quantising methods and formats are known.
var methods = map[string]string{
	"gptq": "gptq", "gptqmodel": "gptq", "autogptq": "gptq", "gptqv2": "gptq", "gptaq": "gptaq",
	"awq": "awq", "autoawq": "awq", "exl2": "exl2", "exllamav2": "exl2", "exl3": "exl3", "exllamav3": "exl3",
	"gguf": "gguf", "ggml": "ggml", "aqlm": "aqlm", "hqq": "hqq", "quip": "quip", "vptq": "vptq", "eetq": "eetq",
	"bnb": "bitsandbytes", "bitsandbytes": "bitsandbytes", "nf4": "bitsandbytes", "fp4": "fp4", "nvfp4": "nvfp4", "mxfp4": "mxfp4",
	"fp8": "fp8", "autoround": "autoround", "smoothquant": "smoothquant", "spqr": "spqr", "squeezellm": "squeezellm",
	"omniquant": "omniquant", "higgs": "higgs", "mlx": "mlx", "onnx": "onnx", "qat": "qat", "torchao": "torchao", "quanto": "quanto",
	"compressedtensors": "compressed-tensors", "llmcompressor": "compressed-tensors",
}

// MethodOf gives the name of the quantising method or format that a word means,
// "" when it means none. "auto-gptq" and the like are two words.
func MethodOf(word string) string { return methods[strings.ToLower(word)] }

// afterMethod reads what has a meaning only behind the method's name.
func (b *branchReader) afterMethod(method string) int {
	next := b.peek(1)
	switch {
	case method == "gptq" && (next == "v2" || b.peek(0) == "gptqv2"):
		b.p.Format = "gptq_v2"
		if next == "v2" {
			return 2
		}
	case method == "gptq" && len(next) == 1 && next >= "2" && next <= "8" && b.peek(2) != "bit" && b.peek(2) != "bits" && b.peek(2) != "bpw":
		b.bits(next) // gptq-4-32g, without the word
		return 2
	}
	return 1
}

func (b *branchReader) method(m string) {
	switch {
	case b.p.Method == "" || b.p.Method == m:
		b.p.Method = m
	case b.p.Method == "autoround" && m == "gptq", b.p.Method == "gptq" && m == "autoround":
		b.p.Method = "gptq" // AutoRound writes GPTQ's format
	default:
		b.contradict("method", b.p.Method, m)
	}
}

func (b *branchReader) bits(s string) {
	if n := atoi(s); n != nil && *n >= 1 && *n <= 16 {
		set(b, "bits", &b.p.Bits, *n)
	}
}

func (b *branchReader) group(s string) {
	n := atoi(s)
	if n == nil {
		return
	}
	if *n == 1 { // there are no groups of one: it is the -1 of --1g
		*n = -1
	}
	set(b, "group size", &b.p.GroupSize, *n)
}

func (b *branchReader) setFloat(what string, to **float64, s string) {
	if v, err := strconv.ParseFloat(s, 64); err == nil {
		set(b, what, to, v)
	}
}

// set keeps the first value and notes another one.
func set[T comparable](b *branchReader, what string, to **T, v T) {
	switch {
	case *to == nil:
		*to = &v
	case **to != v:
		b.contradict(what, fmt.Sprint(**to), fmt.Sprint(v))
	}
}

// contradict notes a contradiction, the first few of them.
func (b *branchReader) contradict(what, one, other string) {
	if len(b.p.Contradictions) < 8 {
		b.p.Contradictions = append(b.p.Contradictions, fmt.Sprintf("%s %s and %s", what, one, other))
	}
}

func isCount(s string) bool {
	return s != "" && len(s) <= 6 && strings.Trim(s, "0123456789") == ""
}

func decimalWord(s string) bool {
	return s != "" && len(s) <= 8 && strings.Trim(s, "0123456789.") == "" && s[0] != '.'
}

// atoi converts digits that were looked at before.
func atoi(s string) *int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return nil
	}
	return &n
}
