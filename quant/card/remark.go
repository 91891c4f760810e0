package card

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/yuin/goldmark/ast"

	"github.com/qbranch/qbranch/quant"
)

var (
	descGroup = regexp.MustCompile(`(?i)\bgroup[ _-]?size(?:\.? | of | ?[=:] ?)([0-9]+)g?\b`)
	descBits  = regexp.MustCompile(`(?i)^([2-8])-?bit\b`)
	descThan  = regexp.MustCompile(`(?i)\bthan (?:the )?(?:([0-9])-?bit[ -]?)?(?:([0-9]+)g|None\b|group[ _-]?size ?=? ?(?:([0-9]+)g?|None)\b)(?:-(True|False)\b)?`)
	descBest  = regexp.MustCompile(`(?i)\bhighest quality ([0-9])-?bit\b`)
)

// remark compares what the card says with itself: descriptions, examples and
// explanations are copied from card to card.
func (r *reader) remark() {
	r.remarkRows()
	r.remarkNames()
	r.remarkLayout()
	r.remarkSeqLen()
	r.remarkText()
}

// remarkRows compares each description with its row and with the other rows.
func (r *reader) remarkRows() {
	for _, row := range r.card.Rows {
		if row.Description == nil || r.card.Layout == "exl2-vram" {
			continue
		}
		d := *row.Description
		if m := descGroup.FindStringSubmatch(d); m != nil && m[1] != groupText(row.GroupSize) {
			r.note("DESC_GS", row.Branch, fmt.Sprintf("the description says group size %s, the table %s", m[1], groupText(row.GroupSize)))
		}
		for _, m := range descThan.FindAllStringSubmatch(d, 8) {
			if !r.listed(row, m[1], m[2]+m[3], m[4]) {
				r.note("DESC_REF_ABSENT", row.Branch, fmt.Sprintf("the description says \"… %s\", and there is no such branch", m[0]))
			}
		}
		r.remarkClaims(row, d)
		r.remarkSuperlatives(row, d)
		if strings.Contains(d, "Lower inference quality than other options") && r.anyRow(func(o Row) bool {
			return o.Bits != nil && row.Bits != nil && *o.Bits < *row.Bits
		}) {
			r.note("DESC_GENERIC", row.Branch, "the description says lower quality than other options, but one with fewer bits is listed")
		}
	}
}

// remarkClaims checks the bits and the act-order that a description d begins
// with: what follows compares with other rows.
func (r *reader) remarkClaims(row Row, d string) {
	d, _, _ = strings.Cut(d, ". ")
	d, _, _ = strings.Cut(d, " than ")
	if m := descBits.FindStringSubmatch(d); m != nil && row.Bits != nil && formatFloat(*row.Bits) != m[1] {
		r.note("DESC_BITS", row.Branch, fmt.Sprintf("the description says %s bits, the table %s", m[1], formatFloat(*row.Bits)))
	}
	no := noActOrder.MatchString(d)
	if row.ActOrder != nil && (no || withActOrder.MatchString(d)) && *row.ActOrder == no {
		r.note("DESC_ACT", row.Branch, fmt.Sprintf("the description says act-order %t, the table %t", !no, *row.ActOrder))
	}
}

// remarkSuperlatives checks what a description d says is the most or the least
// of all, against the other rows.
func (r *reader) remarkSuperlatives(row Row, d string) {
	low := strings.ToLower(d)
	if strings.Contains(low, "maximum vram") && r.anyRow(func(o Row) bool {
		return o.SizeBytes != nil && row.SizeBytes != nil && *o.SizeBytes > *row.SizeBytes
	}) {
		r.note("DESC_SUPERLATIVE", row.Branch, "the description says maximum VRAM usage, but a larger branch is listed")
	}
	if strings.Contains(low, "lowest possible vram") && r.anyRow(func(o Row) bool {
		return o.SizeBytes != nil && row.SizeBytes != nil && *o.SizeBytes < *row.SizeBytes
	}) {
		r.note("DESC_SUPERLATIVE", row.Branch, "the description says lowest possible VRAM, but a smaller branch is listed")
	}
	if m := descBest.FindStringSubmatch(d); m != nil && r.anyRow(func(o Row) bool {
		return o.Bits != nil && formatFloat(*o.Bits) == m[1] && o.GroupSize != nil && (row.GroupSize == nil || *o.GroupSize < *row.GroupSize)
	}) {
		r.note("DESC_SUPERLATIVE", row.Branch, fmt.Sprintf("the description says highest quality with %s bits, but a branch with smaller groups is listed", m[1]))
	}
}

// remarkNames compares each branch's name with its row, and with itself.
func (r *reader) remarkNames() {
	odd, named := 0, 0
	first := ""
	for _, row := range r.card.Rows {
		p := quant.ParseBranchName(row.Branch)
		for _, c := range p.Contradictions {
			r.note("NAME_CONTRADICTION", row.Branch, "the branch's name contradicts itself: "+c)
		}
		differ := func(what, name, table string) {
			r.note("ROW_NAME", row.Branch, fmt.Sprintf("the branch's name says %s %s, the table %s", what, name, table))
		}
		if p.Bits != nil && row.Bits != nil && float64(*p.Bits) != *row.Bits {
			differ("bits", strconv.Itoa(*p.Bits), formatFloat(*row.Bits))
		}
		if p.BPW != nil && row.Bits != nil && math.Abs(*p.BPW-*row.Bits) >= 0.1 {
			differ("bits", formatFloat(*p.BPW), formatFloat(*row.Bits))
		}
		if g := max(0, deref(p.GroupSize)); p.GroupSize != nil && row.Bits != nil && g != deref(row.GroupSize) && strings.HasPrefix(r.card.Layout, "gptq") {
			differ("group size", groupText(positive(*p.GroupSize)), groupText(row.GroupSize))
		}
		if p.ActOrder != nil && row.ActOrder != nil && *p.ActOrder != *row.ActOrder {
			differ("act-order", strconv.FormatBool(*p.ActOrder), strconv.FormatBool(*row.ActOrder))
		}
		if row.Branch != "main" {
			named++
		}
		if p.Method == "gptq" && p.Bits != nil && p.GroupSize != nil && !strings.Contains(strings.ToLower(row.Branch), "bit") {
			if odd++; odd == 1 {
				first = row.Branch
			}
		}
	}
	where := first
	if odd > 1 && odd == named {
		where = "(all)"
	}
	if odd > 0 {
		r.note("BRANCH_GRAMMAR", where, fmt.Sprintf("%q has its bits without the word", first))
	}
}

// remarkLayout says what has to be known of a layout that is not the usual one.
func (r *reader) remarkLayout() {
	c := &r.card
	switch c.Layout {
	case "gguf-files":
		r.note("NOT_BRANCHES", "(table)", "lists files of one branch, not branches")
	case "links":
		r.note("NO_TABLE", "(text)", "branches are named by links only")
	case "exl2-vram":
		if r.anyRow(func(o Row) bool { return o.VRAMBytes != nil && o.SizeBytes == nil }) {
			r.note("VRAM_NOT_SIZE", "(table)", "says the memory in use with a context, not the size of the files")
		}
	case "gptq-files":
		branches := map[string]int{}
		for _, f := range c.Files {
			if branches[f.Branch]++; branches[f.Branch] == 2 {
				r.note("MULTI_FILE_BRANCH", f.Branch, "has several weight files to choose from: their sum is not what has to be fetched")
			}
		}
	}
	if c.DecoyTables > 0 {
		var kinds []string
		for _, d := range c.Decoys {
			kinds = append(kinds, d.Kind)
		}
		r.note("DECOY_TABLE", "(text)", "tables that are not read, as they list no quants of this repository: "+strings.Join(kinds, ", "))
	}
}

// remarkSeqLen notes lengths that are no multiple of 256: quantisers count in
// powers of two.
func (r *reader) remarkSeqLen() {
	odd, first := 0, Row{}
	for _, row := range r.card.Rows {
		if row.SeqLen != nil && *row.SeqLen%256 != 0 {
			if odd++; odd == 1 {
				first = row
			}
		}
	}
	if odd == 0 {
		return
	}
	where := first.Branch
	if odd > 1 && odd == len(r.card.Rows) {
		where = "(all)"
	}
	r.note("SEQ_LEN_ODD", where, fmt.Sprintf("sequence length %d is no round number", *first.SeqLen))
}

var (
	mainEmpty   = regexp.MustCompile(`(?i)["'“*_\x60]?main["'”*_\x60]? branch only contains|only contains? (?:the )?measurement\.json|main (?:one )?contain(?:s|ing) only`)
	onlyLlama   = regexp.MustCompile(`(?i)only supports Llama models`)
	quantizeArg = regexp.MustCompile(`--quantize[ =](?:gptq|awq|eetq|bitsandbytes)\b`)
	saveAs      = regexp.MustCompile(`--save_safetensors\s+(\S{1,300})`)
	gitClone    = regexp.MustCompile("git clone [^\n]{0,400}[A-Za-z0-9]`$")
)

// remarkText looks at sentences and commands that are known to go wrong.
func (r *reader) remarkText() {
	c := &r.card
	if len(c.Rows) > 0 && !r.anyRow(func(o Row) bool { return o.Branch == "main" }) && mainEmpty.Match(r.src) {
		r.note("MAIN_WITHOUT_WEIGHTS", "main", "holds no weights, by the text: a branch has to be named")
	}
	if t := str(c.ModelType); t != "" && t != "llama" && r.anyRow(func(o Row) bool { return o.ExLlama != nil && *o.ExLlama }) && onlyLlama.Match(r.src) {
		r.note("EXLLAMA_TEXT", "(text)", fmt.Sprintf("says that ExLlama loads only Llama models, the table that it loads this one of type %s", t))
	}
	listed := map[string]bool{}
	for _, f := range c.Files {
		listed[f.File] = true
	}
	foreign := 0
	_ = ast.Walk(r.docs, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the visitor returns no error
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n.Kind() {
		case ast.KindHeading:
			if originalCard.MatchString(r.text(n, false)) {
				return ast.WalkStop, nil
			}
		case ast.KindCodeSpan:
			if name := r.text(n, false); c.Layout == "gptq-files" && !listed[name] && foreign < 8 && weightFile.FindString(name) == name && name != "" && !r.drifted(name) {
				foreign++
				listed[name] = true
				r.note("FOREIGN_FILE", "(text)", fmt.Sprintf("%s is not among the files of this repository", name))
			}
		case ast.KindFencedCodeBlock, ast.KindCodeBlock:
			r.remarkCode(r.code(n), listed)
		}
		return ast.WalkContinue, nil
	})
}

// drifted says that a name is the one file's other spelling, which FILE_NAME
// has noted.
func (r *reader) drifted(name string) bool {
	return len(r.card.Files) == 1 && strings.Contains(r.card.Files[0].File, strings.TrimSuffix(name, ".safetensors"))
}

func (r *reader) remarkCode(code string, listed map[string]bool) {
	if m := quantizeArg.FindString(code); m != "" && r.card.Method != "" && (r.card.Method == "gptq" || r.card.Method == "awq") {
		if flag := m[len("--quantize "):]; flag != r.card.Method {
			r.note("WRONG_FLAG", "(text)", fmt.Sprintf("a command says %s, but this is %s", m, display(r.card.Method)))
		}
	}
	if r.card.Layout == "gptq-files" {
		if m := saveAs.FindStringSubmatch(code); m != nil {
			if name := m[1][strings.LastIndexByte(m[1], '/')+1:]; !listed[name] {
				r.note("CMD_NAME", "(text)", fmt.Sprintf("the command that made the file saves %s, which is not listed", name))
			}
		}
	}
	for line := range strings.Lines(code) {
		if gitClone.MatchString(strings.TrimRight(line, " \n")) {
			r.note("STRAY_BACKTICK", "(text)", "a git clone command ends with a back-tick: it cannot be pasted into a shell")
			return
		}
	}
}

func formatFloat(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func deref(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// positive is nil for the -1 of no groups.
func positive(n int) *int {
	if n < 0 {
		return nil
	}
	return &n
}

func groupText(g *int) string {
	if g == nil {
		return "none"
	}
	return strconv.Itoa(*g)
}

// listed says whether the table has the row a description compares with; what
// the description leaves out is as in its own row, act-order may be either.
func (r *reader) listed(own Row, bits, group, act string) bool {
	return r.anyRow(func(o Row) bool {
		switch {
		case bits != "" && (o.Bits == nil || formatFloat(*o.Bits) != bits),
			bits == "" && (o.Bits == nil || own.Bits == nil || *o.Bits != *own.Bits),
			group == "" && o.GroupSize != nil,
			group != "" && group != groupText(o.GroupSize),
			act != "" && (o.ActOrder == nil || *o.ActOrder != strings.EqualFold(act, "true")):
			return false
		}
		return true
	})
}

func (r *reader) anyRow(match func(Row) bool) bool {
	for _, o := range r.card.Rows {
		if match(o) {
			return true
		}
	}
	return false
}
