package card

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/yuin/goldmark/ast"
	east "github.com/yuin/goldmark/extension/ast"

	"github.com/qbranch/qbranch/quant"
)

var (
	filesHeading = regexp.MustCompile(`(?i)^(?:(?:provided|available|model|gptq|quantized|quantised) )?files\b`)
	inBranch     = regexp.MustCompile(`(?i)\b(?:in|to|from|use) the ([A-Za-z0-9._/-]{1,100}) branch\b`)

	weightFile    = regexp.MustCompile(`[A-Za-z0-9][A-Za-z0-9._-]*\.(?:safetensors|pt)\b`)
	parameterList = regexp.MustCompile(`(?i)^(?:gptq )?param(?:eter)?s\b`)
	parameters    = regexp.MustCompile(`(?i)group[ _-]?size\s*[=:]?\s*(-?[0-9]+|none)`)
	groupFlag     = regexp.MustCompile(`--groupsize[ =](-?[0-9]+)`)
	noActOrder    = regexp.MustCompile(`(?i)\bno[- ]act[- ]?order|(?:desc_act|act[-_ ]?order)\s*[=:]\s*(?:false|no)\b|without (?:--)?act[- ]?order`)
	withActOrder  = regexp.MustCompile(`(?i)\bact[- ]?order`)
	llamaCommand  = regexp.MustCompile(`\w+\.py\s+\S+\s+(\S+)\s+--wbits\s+([0-9])[^\n]*`)
)

// readFileList reads the oldest layout: below a heading "Provided files", one
// list item per file, its parameters in a list of its own. It says whether
// there are such files.
func (r *reader) readFileList() bool {
	within, title, branch := false, "", "main"
	for n := r.docs.FirstChild(); n != nil; n = n.NextSibling() {
		if n.Kind() == ast.KindHeading && originalCard.MatchString(r.text(n, false)) {
			break
		}
		switch n.Kind() {
		case ast.KindHeading:
			within, branch = filesHeading.MatchString(r.text(n, false)), "main"
		case ast.KindParagraph:
			// A paragraph that is one bold file name is the file's title.
			if e, ok := n.FirstChild().(*ast.Emphasis); within && ok && e.Level == 2 && n.ChildCount() == 1 {
				title = weightFile.FindString(r.text(e, false))
				branch = "main"
			} else if m := inBranch.FindStringSubmatch(r.text(n, false)); within && m != nil && r.codeIs(n, m[1]) {
				branch = m[1]
			}
		case ast.KindList:
			for item := n.FirstChild(); within && item != nil; item = item.NextSibling() {
				if row, ok := r.readFileItem(item); ok && len(r.card.Files) < maxRows {
					row.Branch = branch
					r.card.Files = append(r.card.Files, row)
				}
			}
		}
	}
	if len(r.card.Files) == 0 && title != "" {
		only := File{Branch: branch, File: title}
		only.readParameters("", "")
		r.card.Files = append(r.card.Files, only)
	}
	if len(r.card.Files) == 0 {
		return false
	}
	r.card.Layout = "gptq-files"
	if only := &r.card.Files[0]; len(r.card.Files) == 1 && title != "" && title != only.File {
		r.note("FILE_NAME", title, fmt.Sprintf("the list below the title calls it %q", only.File))
		only.File = title
	}
	return true
}

// codeIs says that a word is in a code span under n, as names of branches are:
// "the Triton branch" is one of another program.
func (r *reader) codeIs(n ast.Node, word string) bool {
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if c.Kind() == ast.KindCodeSpan && r.text(c, false) == word {
			return true
		}
	}
	return false
}

func (r *reader) readFileItem(item ast.Node) (File, bool) {
	head := item.FirstChild()
	if head == nil || head.Kind() != ast.KindTextBlock && head.Kind() != ast.KindParagraph {
		return File{}, false
	}
	text := r.text(head, false)
	row := File{Branch: "main", File: weightFile.FindString(text)}
	if row.File == "" || !strings.HasPrefix(text, row.File) {
		return File{}, false
	}
	said, command := "", ""
	_ = ast.Walk(item, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the visitor returns no error
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n.Kind() {
		case ast.KindTextBlock, ast.KindParagraph:
			s := r.text(n, false)
			switch {
			case parameterList.MatchString(s):
				said = s
			case command == "":
				command = llamaCommand.FindString(s)
			}
			return ast.WalkSkipChildren, nil
		case ast.KindFencedCodeBlock, ast.KindCodeBlock:
			if command == "" {
				command = llamaCommand.FindString(clean(r.code(n)))
			}
		}
		return ast.WalkContinue, nil
	})
	row.readParameters(said, command)
	return row, true
}

// readParameters takes what is said, "Parameters: Groupsize = 128g. No
// act-order.", then what the command that made the file says, then its name.
func (f *File) readParameters(said, command string) {
	p := quant.ParseBranchName(f.File)
	group := parameters.FindStringSubmatch(said)
	switch {
	case group != nil:
		f.GroupSize, _ = groupSize(group[1]) // what cannot be read stays nil
	case command != "":
		if m := groupFlag.FindStringSubmatch(command); m != nil {
			f.GroupSize, _ = groupSize(m[1])
		}
	case p.GroupSize != nil:
		f.GroupSize = positive(*p.GroupSize)
	}
	switch {
	case noActOrder.MatchString(said):
		f.ActOrder = ptr(false)
	case withActOrder.MatchString(said):
		f.ActOrder = ptr(true)
	case command != "":
		f.ActOrder = ptr(strings.Contains(command, "--act-order"))
	default:
		f.ActOrder = p.ActOrder
	}
	if p.Bits != nil {
		f.Bits = ptr(float64(*p.Bits))
	}
	if m := llamaCommand.FindStringSubmatch(command); m != nil {
		f.Dataset = ptr(oneLine(m[1]))
		f.Bits, _ = number(m[2]) // the expression admits only a digit
	}
}

var (
	saysBits   = regexp.MustCompile(`(?i)\b([0-9]{1,2}(?:\.[0-9]{1,4})?)\s*(?:bpw|bits per weight|-?bits?\b)`)
	saysGroup  = regexp.MustCompile(`(?i)\bgroup[ _-]?size(?: of | ?[=:] ?| )([0-9]{1,6})\b|\b([0-9]{2,4})g\b`)
	saysSize   = regexp.MustCompile(`(?i)(?:^|[\s(,;:~])([0-9]{1,6}(?:[.,][0-9]{1,3})? ?[KMGT]i?B)(?:[\s),;.]|$)`)
	saysMemory = regexp.MustCompile(`(?i)\bv?ram\b|\bmemory\b|\bgpus?\b`)
	headBits   = regexp.MustCompile(`/ H([0-9]{1,2})\b`)
	visionBits = regexp.MustCompile(`/ V([0-9]{1,2})\b`)
)

// readLinks reads a card that names its branches only by links to them. Two
// branches of one repository, each saying its bits, make a list; one link in a
// sentence does not.
func (r *reader) readLinks() {
	var rows []Row
	seen := map[string]bool{}
	repo := ""
	for _, l := range r.linksAndWords() {
		if !l.toBranch() || seen[l.repo+":"+l.rest] {
			continue
		}
		row, ok := rowOfLink(l.link, l.after)
		if !ok || repo != "" && l.repo != repo || len(rows) == maxRows {
			continue
		}
		repo, seen[l.repo+":"+l.rest] = l.repo, true
		rows = append(rows, row)
	}
	if len(rows) < 2 {
		return
	}
	r.card.Layout, r.card.Rows = "links", rows
	for range rows {
		r.linked = append(r.linked, repo)
	}
}

// linkAndWords is a link with the words behind it on its line.
type linkAndWords struct {
	link
	after string
}

// linksAndWords lists the links of the card, each with what its line or item of
// a list says of it.
func (r *reader) linksAndWords() []linkAndWords {
	var list []linkAndWords
	_ = ast.Walk(r.docs, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the visitor returns no error
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n.Kind() {
		case ast.KindParagraph, ast.KindTextBlock, ast.KindHeading, ast.KindHTMLBlock, east.KindTableCell:
			links := r.links(n)
			for i, l := range links {
				one := linkAndWords{link: l}
				if i == 0 && len(links) == 1 && n.Kind() != ast.KindHeading {
					_, one.after, _ = strings.Cut(r.text(n, false), l.text)
				}
				list = append(list, one)
			}
			return ast.WalkSkipChildren, nil
		}
		return ast.WalkContinue, nil
	})
	return list
}

// rowOfLink is the row that a link to a branch makes: its text says the bits, or
// its branch's name does, or what stands behind it.
func rowOfLink(l link, after string) (Row, bool) {
	row := Row{Branch: l.rest}
	p := quant.ParseBranchName(l.rest)
	text, behind := saysBits.FindStringSubmatch(l.text), saysBits.FindStringSubmatch(after)
	switch {
	case text != nil:
		row.Bits, _ = number(text[1]) // the expression admits only a decimal
	case p.BPW != nil:
		row.Bits = p.BPW
	case p.Bits != nil:
		row.Bits = ptr(float64(*p.Bits))
	case behind != nil:
		row.Bits, _ = number(behind[1])
	default:
		return row, false
	}
	row.HBits, row.VBits = digits(headBits, l.text), digits(visionBits, l.text)
	if p.Method != "" && p.Method != "gptq" && p.Bits != nil {
		row.Method = p.Method
	}
	if m := saysSize.FindStringSubmatch(after); m != nil && !saysMemory.MatchString(after) {
		row.SizeBytes, _ = size(m[1], "") // the expression admits only sizes
	}
	if p.BPW != nil {
		return row, true
	}
	row.ActOrder, row.Damp = p.ActOrder, p.Damp
	switch group := saysGroup.FindStringSubmatch(after); {
	case p.GroupSize != nil:
		row.GroupSize = positive(*p.GroupSize)
	case group != nil:
		row.GroupSize, _ = groupSize(group[1] + group[2]) // the expression admits only digits
	}
	switch {
	case row.ActOrder != nil:
	case noActOrder.MatchString(after):
		row.ActOrder = ptr(false)
	case withActOrder.MatchString(after):
		row.ActOrder = ptr(true)
	}
	return row, true
}

func digits(re *regexp.Regexp, s string) *int {
	m := re.FindStringSubmatch(s)
	if m == nil {
		return nil
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return nil
	}
	return &n
}

// digitsOf reads a small number, 0 where there is none.
func digitsOf(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}
