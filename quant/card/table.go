package card

import (
	"regexp"
	"slices"
	"strings"

	"github.com/qbranch/qbranch/quant"
)

// column is what a table column holds.
type column int

const (
	colOther column = iota
	colBranch
	colBits
	colGroupSize
	colActOrder
	colDamp
	colDataset
	colGPTQDataset
	colAWQDataset
	colSeqLen
	colSize
	colExLlama
	colMadeWith
	colDescription
	colHeadBits
	colBPW
	colVRAM
	colFile
	colQuant
	colMethod
	colSplit
)

// columnNames are the names under which cards have printed each column, in
// lower case and without what stands in brackets.
var columnNames = map[column][]string{
	colBranch: {"branch", "branches", "branch name", "branch link", "git branch", "hf branch", "model branch", "quant branch", "revision", "git revision",
		"branch/revision", "revision/branch", "branch / revision", "tag"},
	colBits: {"bits", "bit", "wbits", "w bits", "weight bits", "quant bits", "quantization bits", "quantisation bits", "bit width", "bitwidth", "bit-width",
		"number of bits", "# bits", "bits/weight"},
	colBPW: {"bpw", "bits per weight", "avg bits", "average bits", "bit rate"},
	colGroupSize: {"gs", "g", "group", "groups", "group size", "groupsize", "group-size", "q group size", "gptq group size", "quant group size",
		"gs/group size", "group sz"},
	colActOrder: {"act order", "act-order", "actorder", "desc act", "desc-act", "descact", "activation order", "activation reordering", "act order/desc act",
		"act order / desc act", "desc act/act order", "act. order"},
	colDamp:        {"damp", "damp %", "damp%", "damp percent", "damping", "damp pct", "dampening", "damp factor", "damp perc", "dampening %", "damp frac"},
	colGPTQDataset: {"gptq dataset", "quant dataset", "quantisation dataset", "quantization dataset"},
	colDataset: {"dataset", "calibration dataset", "calibration data", "calib dataset", "calibration", "calibration set", "calib data",
		"calibration corpus"},
	colAWQDataset: {"awq dataset"},
	colSeqLen: {"seq len", "seqlen", "seq-len", "sequence length", "seq length", "sequence len", "seq. len", "seq. length", "max seq len",
		"gptq sequence length", "calibration seq len", "gptq seq len"},
	colSize: {"size", "file size", "filesize", "model size", "total size", "download size", "disk size", "size on disk", "weights size", "weight size",
		"disk", "disk space", "download", "checkpoint size", "repo size", "branch size"},
	colExLlama: {"exllama", "exllama compatible", "exllama compatibility", "exllama support", "exllama?", "exllamav2", "exllamav2 compatible",
		"works with exllama", "ex-llama"},
	colMadeWith:    {"made with", "created with", "quantised with", "quantized with", "quantizer", "tool"},
	colDescription: {"desc", "description", "notes", "note", "comment", "comments", "remarks", "remark", "details", "use case", "info"},
	colHeadBits:    {"lm head bits", "head bits", "lm-head bits", "lm head"},
	colVRAM:        {"vram"},
	colFile:        {"filename", "file", "file name", "files", "link", "name", "model file", "gguf", "gguf file"},
	colQuant:       {"quant type", "quant method", "quant", "quantization", "quantisation", "quantization type", "type", "quant name", "gguf type"},
	colMethod:      {"method", "format", "quantization method", "quantisation method", "algorithm", "quant format", "quantization format", "model format"},
	colSplit:       {"split"},
}

// heading is one header cell.
type heading struct {
	col  column
	text string // as printed
	unit string // of "Size/GB" or "Size (GB)"; the context of "VRAM (4k)"
}

var (
	headingNote  = regexp.MustCompile(`(?i)^(.*?)\s*(?:[(\[]([^()\[\]]*)[)\]]|[/,:]\s*([KMGT]i?B))$`)
	headingUnit  = regexp.MustCompile(`(?i)^(.*?)(?:^|\s+(?:in\s+)?)([KMGT]i?B)$`)
	headingMarks = strings.NewReplacer("_", " ", "*", "", "`", "", "\ufe0f", "", "\u00a0", " ")
)

// headingOf knows a column by its name; the same column has had many.
func headingOf(text string) heading {
	h := heading{text: text}
	name := strings.TrimSpace(headingMarks.Replace(text))
	if m := headingNote.FindStringSubmatch(name); m != nil {
		name, h.unit = m[1], m[2]+m[3]
	} else if m := headingUnit.FindStringSubmatch(name); m != nil {
		name, h.unit = m[1], m[2]
		if name == "" {
			name = "size"
		}
	}
	name = strings.ToLower(strings.Join(strings.Fields(strings.TrimFunc(name, func(c rune) bool {
		return strings.ContainsRune(" ?:.;!†‡¹²³⁰", c) || c >= 0x2190 // symbols and pictures
	})), " "))
	for col, names := range columnNames {
		if slices.Contains(names, name) {
			h.col = col
			return h
		}
	}
	return h
}

// layoutOf names the layout a header belongs to; "" when it is no table of
// quants. Branch and Bits alone are not enough.
func layoutOf(heads []heading) string {
	has := map[column]bool{}
	for _, h := range heads {
		has[h.col] = true
	}
	params := has[colGroupSize] || has[colActOrder]
	width := has[colBits] || has[colBPW]
	switch {
	case has[colBranch] && has[colAWQDataset]:
		return "awq6"
	case has[colBranch] && (has[colVRAM] && width || has[colHeadBits] || has[colBPW]) && !params:
		return "exl2-vram"
	case has[colBranch] && (width && params || params && (has[colSize] || has[colGPTQDataset]) || width && has[colGPTQDataset]):
		if has[colDamp] || has[colDataset] || has[colGPTQDataset] || has[colSeqLen] {
			return "gptq10"
		}
		return "gptq8"
	case !has[colBranch] && has[colFile] && has[colBits] && params:
		return "gptq-files"
	case !has[colBranch] && has[colFile] && (has[colQuant] || has[colSize]):
		return "gguf-files"
	}
	return ""
}

// sheet is a table that may be one of quants.
type sheet struct {
	grid
	heads  []heading
	layout string // "" when it is none
}

// sheetOf finds out what a table lists.
func (r *reader) sheetOf(t grid) sheet {
	s := sheet{grid: t, heads: t.columns()}
	s.promote()
	if s.layout = layoutOf(s.heads); s.layout == "" {
		s.layout = r.layoutByBranches(s)
	}
	if s.layout == "" && len(t.heads) > 0 {
		turned := sheet{grid: t.turned()}
		turned.heads = turned.columns()
		if known(turned.heads) >= 4 && turned.any(0, func(c cell) bool { return branchLink(c) != nil || namesBranch(c.text) }) {
			turned.layout = layoutOf(turned.heads)
		}
		if turned.layout != "" {
			return turned
		}
	}
	switch s.layout {
	case "gguf-files":
		if !s.lists(func(c cell) bool { return isGGUF(c) }) {
			s.layout = ""
		}
	case "gptq-files":
		if !s.lists(func(c cell) bool { return weightFile.MatchString(c.text) }) {
			s.layout = ""
		}
	}
	return s
}

func known(heads []heading) int {
	n := 0
	for _, h := range heads {
		if h.col != colOther {
			n++
		}
	}
	return n
}

// lists says whether a column of files has a file of a kind.
func (s sheet) lists(is func(cell) bool) bool {
	for i, h := range s.heads {
		if h.col == colFile && s.any(i, is) {
			return true
		}
	}
	return false
}

func isGGUF(c cell) bool {
	if strings.Contains(textOf(c), ".gguf") || strings.Contains(textOf(c), "ggml") && strings.Contains(textOf(c), ".bin") {
		return true
	}
	return slices.ContainsFunc(c.links, func(l link) bool {
		return strings.Contains(strings.ToLower(l.dest), ".gguf") || l.kind == "tree" && quant.ParseBranchName(l.rest).Quant != ""
	})
}

// promote makes a column of another name the one of branches, when what stands
// in it are branches: links to them, or names that say their bits.
func (s *sheet) promote() {
	for _, h := range s.heads {
		if h.col == colBranch {
			return
		}
	}
	for i, h := range s.heads {
		switch h.col {
		case colOther, colFile, colQuant, colMethod, colBits, colBPW:
		default:
			continue
		}
		linked := s.count(i, func(c cell) bool { return branchLink(c) != nil })
		named := s.count(i, func(c cell) bool { return namesBranch(c.text) })
		if linked > 0 && linked*2 >= len(s.rows) || named > 0 && named == len(s.rows) && h.col != colBits && h.col != colBPW {
			s.heads[i].col = colBranch
			return
		}
	}
}

// namesBranch says that a text reads like a branch: main, or a name with
// parameters that a model's name would not have.
func namesBranch(s string) bool {
	if s == "main" {
		return true
	}
	if strings.ContainsAny(s, " /") {
		return false
	}
	p := quant.ParseBranchName(s)
	low := strings.ToLower(s)
	starts := strings.HasPrefix(low, "gptq") || strings.HasPrefix(low, "4bit") || strings.HasPrefix(low, "8bit") || strings.HasPrefix(low, "3bit")
	return p.Bits != nil && (p.GroupSize != nil || p.ActOrder != nil) && starts
}

// layoutByBranches takes a table of branches that says little else: the names
// of the branches, or the card, say what they are.
func (r *reader) layoutByBranches(s sheet) string {
	has := map[column]int{}
	for i, h := range s.heads {
		has[h.col] = i + 1
	}
	branch := has[colBranch] - 1
	if branch < 0 || has[colBits]+has[colBPW]+has[colSize]+has[colQuant]+has[colMethod] == 0 {
		return ""
	}
	linked := s.any(branch, func(c cell) bool { return branchLink(c) != nil })
	named := s.any(branch, func(c cell) bool { return namesBranch(c.text) })
	mixed := s.any(branch, func(c cell) bool { return quant.ParseBranchName(c.text).BPW != nil })
	switch {
	case mixed:
		return "exl2-vram"
	case !linked && !named:
		return ""
	case r.card.Method == "exl2" || r.card.Method == "exl3":
		return "exl2-vram"
	}
	return "gptq8"
}

// branchLink is the first link of a cell that leads to a branch.
func branchLink(c cell) *link {
	for i, l := range c.links {
		if l.ok && l.kind == "tree" && l.rest != "" {
			return &c.links[i]
		}
	}
	return nil
}

var decoyWords = []struct {
	kind  string
	words *regexp.Regexp
}{
	{"benchmark", regexp.MustCompile(`(?i)\b(?:mmlu|ppl|perplexity|arc(?:[-_ ]?[ce])?|hellaswag|gsm-?8k|winogrande|truthfulqa|humaneval|ifeval|bbh|piqa|boolq|mt-?bench|alpacaeval|score|accuracy|acc|average|benchmark|metric|recovery|wikitext2?|ceval|kld|zh|eval\w*)\b`)},
	{"speed", regexp.MustCompile(`(?i)\b(?:speed|tokens?/s(?:ec)?|t/s|tok/s|latency|throughput|tps)\b`)},
	{"memory", regexp.MustCompile(`(?i)\b(?:v?ram|gpu memory|memory|peak|usage)\b`)},
	{"training", regexp.MustCompile(`(?i)\b(?:training|params|parameters|epochs?|learning rate|lr|loss|optimizer|gpus?|hours|carbon)\b`)},
}

// decoy names a table that is not read.
func (s sheet) decoy() Decoy {
	d := Decoy{Where: s.place, Columns: []string{}, Rows: min(len(s.rows), maxRows)}
	for _, c := range s.grid.heads {
		d.Columns = append(d.Columns, c.text)
	}
	switch s.layout {
	case "gguf-files":
		d.Kind = "gguf"
	case "awq6":
		d.Kind = "awq"
	case "exl2-vram":
		d.Kind = "exl2"
	case "gptq8", "gptq10", "gptq-files":
		d.Kind = "gptq"
	default:
		d.Kind = "other"
		if m := methodInText(s.place); s.layout == "other" && m != "" {
			d.Kind = m
		}
		all := strings.Join(d.Columns, " | ")
		for _, w := range decoyWords {
			if w.words.MatchString(all) {
				d.Kind = w.kind
				break
			}
		}
	}
	return d
}
