package card

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

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

// columnNames are the names under which cards have printed each column, as
// [nameOf] writes them: letters and digits only, without what stands in brackets.
var columnNames = map[column][]string{
	colBranch: {"branch", "branches", "branchname", "branchlink", "gitbranch", "hfbranch", "modelbranch", "quantbranch", "revision", "gitrevision",
		"branchrevision", "revisionbranch", "tag", "zweig", "branche", "rama", "ramo", "ветка", "分支", "分支名", "ブランチ", "브랜치"},
	colBits: {"bits", "bit", "wbits", "wbit", "weightbits", "bitsize", "quantbits", "quantizationbits", "quantisationbits", "bitwidth",
		"numberofbits", "nbits", "numbits", "bitsweight", "биты", "разрядность", "位数", "比特", "比特数", "bit数", "量化位数", "量化比特", "ビット", "ビット数", "비트", "비트수"},
	colBPW: {"bpw", "bitsperweight", "avgbits", "averagebits", "bitrate"},
	colGroupSize: {"gs", "g", "group", "groups", "groupsize", "qgroupsize", "gptqgroupsize", "quantgroupsize", "quantizationgroupsize", "gsgroupsize",
		"groupsz", "grpsize", "gsize", "gruppengröße", "tailledegroupe", "tailledugroupe", "tamañodegrupo", "tamanhodogrupo", "dimensionegruppo", "размергруппы",
		"组大小", "分组", "分组大小", "群组大小", "グループサイズ", "그룹크기"},
	colActOrder: {"actorder", "descact", "activationorder", "activationordering", "activationreordering", "actorderdescact", "descactactorder", "ao",
		"激活排序", "激活重排"},
	colDamp:        {"damp", "damppercent", "damping", "damppct", "dampening", "dampfactor", "dampperc", "dampfrac", "dampingfactor", "dämpfung"},
	colGPTQDataset: {"gptqdataset", "quantdataset", "quantisationdataset", "quantizationdataset"},
	colDataset: {"dataset", "calibrationdataset", "calibrationdata", "calibdataset", "calibration", "calibrationset", "calibdata", "caldataset",
		"calibrationcorpus", "datensatz", "kalibrierung", "kalibrierungsdaten", "jeudedonnées", "conjuntodedatos", "датасет", "数据集", "校准数据", "校准数据集", "量化数据集",
		"データセット", "데이터셋"},
	colAWQDataset: {"awqdataset"},
	colSeqLen: {"seqlen", "sequencelength", "seqlength", "sequencelen", "maxseqlen", "maxsequencelength", "gptqsequencelength", "gptqseqlen",
		"calibrationseqlen", "calibrationsequencelength", "calibrationlength", "sequenzlänge", "longueurdeséquence", "длинапоследовательности", "序列长度",
		"シーケンス長", "系列長", "시퀀스길이"},
	colSize: {"size", "filesize", "modelsize", "totalsize", "downloadsize", "disksize", "sizeondisk", "weightssize", "weightsize", "disk", "diskspace",
		"diskusage", "download", "checkpointsize", "reposize", "branchsize", "größe", "dateigröße", "taille", "tailledufichier", "tamaño", "tamanho", "dimensione",
		"размер", "размерфайла", "大小", "体积", "文件大小", "模型大小", "サイズ", "ファイルサイズ", "크기", "파일크기"},
	colExLlama: {"exllama", "exllamacompatible", "exllamacompatibility", "exllamasupport", "exllamasupported", "exllamav2", "exllamav2compatible",
		"workswithexllama"},
	colMadeWith: {"madewith", "createdwith", "quantisedwith", "quantizedwith", "quantizer", "tool", "madeby", "erstelltmit"},
	colDescription: {"desc", "description", "notes", "note", "comment", "comments", "remarks", "remark", "details", "usecase", "info", "beschreibung", "bemerkung",
		"bemerkungen", "remarque", "remarques", "descripción", "descrição", "descrizione", "описание", "примечание", "说明", "描述", "备注", "説明", "備考", "설명", "비고"},
	colHeadBits: {"lmheadbits", "headbits", "lmhead", "head"},
	colFile: {"filename", "file", "files", "link", "name", "modelfile", "gguf", "gguffile", "datei", "dateiname", "fichier", "archivo", "файл", "文件", "文件名",
		"ファイル", "ファイル名", "파일"},
	colQuant: {"quanttype", "quantmethod", "quant", "quantization", "quantisation", "quantizationtype", "type", "quantname", "gguftype", "variant", "version",
		"quantisierung", "量化", "量化类型"},
	colMethod: {"method", "format", "quantizationmethod", "quantisationmethod", "algorithm", "quantformat", "quantizationformat", "modelformat", "methode",
		"méthode", "метод", "方法", "量化方法", "量化格式"},
	colSplit: {"split"},
}

// columnOf finds a column by its name.
var columnOf = func() map[string]column {
	m := map[string]column{}
	for col, names := range columnNames {
		for _, name := range names {
			m[name] = col
		}
	}
	return m
}()

// heading is one header cell.
type heading struct {
	col  column
	text string // as printed
	unit string // of "Size/GB" or "Size (GB)"

	context string // of "VRAM (4k)"
}

var (
	headingNote = regexp.MustCompile(`(?i)^(.*?)\s*(?:[(\[（]([^()\[\]（）]*)[)\]）]|[/,:]\s*([KMGT]i?[Bo]))$`)
	headingUnit = regexp.MustCompile(`(?i)^(.*?)(?:^|\s+(?:in\s+)?)([KMGT]i?[Bo])$`)
	headingFoot = regexp.MustCompile(`\[\^[^\]]{0,20}\]`)
	headingVRAM = regexp.MustCompile(`(?i)\bvram\b`)
	headingCtx  = regexp.MustCompile(`(?i)\b([0-9]{1,4}) ?k\b`)
)

// headingOf knows a column by its name; the same column has had many. Of a name
// with alternatives, "GS / Group size", the first that is known counts.
func headingOf(text string) heading {
	h := heading{text: text}
	name := strings.TrimFunc(headingFoot.ReplaceAllString(text, ""), func(c rune) bool { return c != ')' && c != ']' && c != '）' && nameOf(string(c)) == "" })
	if last, _ := utf8.DecodeLastRuneInString(name); !strings.ContainsRune(")]）BbOo", last) {
		// Neither a note nor a unit ends so.
	} else if m := headingNote.FindStringSubmatch(name); m != nil {
		name, h.unit = m[1], m[2]+m[3]
	} else if m := headingUnit.FindStringSubmatch(name); m != nil {
		name, h.unit = m[1], m[2]
		if name == "" {
			name = "size"
		}
	}
	h.col = columnOf[nameOf(name)]
	if headingVRAM.MatchString(text) {
		h.col = colVRAM
		if unitBytes(h.unit) == 0 {
			h.context, h.unit = h.unit, ""
		}
		if m := headingCtx.FindStringSubmatch(text); m != nil {
			h.context = m[1] + "k"
		}
	}
	if h.col == colOther && len(name) < 100 {
		for part := range strings.SplitSeq(strings.ReplaceAll(name, " or ", "/"), "/") {
			if h.col = columnOf[nameOf(part)]; h.col != colOther {
				break
			}
		}
	}
	return h
}

// nameOf keeps letters and digits, in lower case.
func nameOf(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsLetter(c) || c >= '0' && c <= '9' {
			return unicode.ToLower(c)
		}
		return -1
	}, s)
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
	weak   bool   // the branches' names say so, not the header

	dropped bool // it is the original card's, and this one has its own
}

// sheetOf finds out what a table lists.
func (r *reader) sheetOf(t grid) sheet {
	s := sheet{grid: t, heads: t.columns()}
	s.promote()
	s.promoteBits()
	if s.listsTasks() {
		return s
	}
	if s.layout = layoutOf(s.heads); s.layout == "" {
		s.layout, s.weak = r.layoutByBranches(s), true
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

// listsTasks says that each row is a test that branches have taken, and not a
// branch.
func (s sheet) listsTasks() bool {
	return slices.ContainsFunc(s.heads, func(h heading) bool {
		return slices.Contains([]string{"benchmark", "benchmarks", "task", "tasks", "metric", "metrics"}, nameOf(h.text))
	})
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

// promoteBits makes a column of an unknown name, or of branches the one of the
// quantisation, that of bits when all that stands in it says so: "4-bit", "int8".
func (s *sheet) promoteBits() {
	branch := false
	for _, h := range s.heads {
		if h.col == colBits || h.col == colBPW {
			return
		}
		branch = branch || h.col == colBranch
	}
	for i, h := range s.heads {
		if h.col != colOther && (!branch || h.col != colQuant) {
			continue
		}
		count := func(is func(string) bool) int { return s.count(i, func(c cell) bool { return is(plain(c.text)) }) }
		words := count(bitsInWords.MatchString)
		if words > 0 && words+count(bareBits.MatchString) == count(func(s string) bool { return !blank(s) }) {
			s.heads[i].col = colBits
			return
		}
	}
}

var (
	bitsInWords = regexp.MustCompile(`(?i)^(?:[2-8][ -]?bits?|u?int[2-8]|w[2-8]a16)$`)
	bareBits    = regexp.MustCompile(`^[2-8]$`)
)

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
		if l.toBranch() {
			return &c.links[i]
		}
	}
	return nil
}

// toBranch says that a link leads to a branch, and not to a folder of main.
func (l link) toBranch() bool {
	return l.ok && l.kind == "tree" && l.rest != "" && !strings.HasPrefix(l.rest, "main/")
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
