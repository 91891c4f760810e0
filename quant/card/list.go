package card

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/yuin/goldmark/ast"

	"github.com/qbranch/qbranch/quant"
)

var (
	filesHeading = regexp.MustCompile(`(?i)^(?:(?:provided|available|model|gptq|quantized|quantised) )?files\b`)
	inBranch     = regexp.MustCompile(`(?i)\b(?:in|to|from|use) the ([A-Za-z0-9._/-]{1,100}) branch\b`)

	weightFile   = regexp.MustCompile(`[A-Za-z0-9][A-Za-z0-9._-]*\.(?:safetensors|pt)\b`)
	fileBits     = regexp.MustCompile(`(?:^|[-_.])([2348])-?bit(?:[-_.]|$)`)
	parameters   = regexp.MustCompile(`(?i)groupsize\s*=\s*(-?[0-9]+|none)`)
	noActOrder   = regexp.MustCompile(`(?i)\bno act[- ]?order|desc_act\s*=\s*false|without (?:--)?act[- ]?order`)
	withActOrder = regexp.MustCompile(`(?i)\bact[- ]?order`)
	llamaCommand = regexp.MustCompile(`llama\.py\s+\S+\s+(\S+)\s+--wbits\s+([0-9])`)
)

// readFileList reads the oldest layout: below a heading "Provided files", one
// list item per file, its parameters in a list of its own. It says whether
// there are such files.
func (r *reader) readFileList() bool {
	within, title, branch := false, "", "main"
	for n := r.docs.FirstChild(); n != nil; n = n.NextSibling() {
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
	if head == nil || head.FirstChild() == nil || head.FirstChild().Kind() != ast.KindCodeSpan {
		return File{}, false
	}
	row := File{Branch: "main", File: weightFile.FindString(r.text(head, false))}
	if row.File == "" {
		return File{}, false
	}
	if m := fileBits.FindStringSubmatch(row.File); m != nil {
		row.Bits, _ = number(m[1]) // the expression admits only a digit
	}
	_ = ast.Walk(item, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the visitor returns no error
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n.Kind() {
		case ast.KindTextBlock, ast.KindParagraph:
			if s := r.text(n, false); strings.HasPrefix(s, "Parameters:") {
				readParameters(&row, s)
			}
			return ast.WalkSkipChildren, nil
		case ast.KindFencedCodeBlock:
			if m := llamaCommand.FindStringSubmatch(clean(r.code(n))); m != nil {
				row.Dataset = ptr(oneLine(m[1]))
				row.Bits, _ = number(m[2]) // the expression admits only a digit
			}
		}
		return ast.WalkContinue, nil
	})
	return row, true
}

// readParameters reads "Parameters: Groupsize = 128g. No act-order."
func readParameters(row *File, s string) {
	if m := parameters.FindStringSubmatch(s); m != nil {
		row.GroupSize, _ = groupSize(m[1]) // what cannot be read stays nil
	}
	switch {
	case noActOrder.MatchString(s):
		row.ActOrder = ptr(false)
	case withActOrder.MatchString(s):
		row.ActOrder = ptr(true)
	}
}

var (
	saysBits   = regexp.MustCompile(`(?i)\b([0-9]{1,2}(?:\.[0-9]{1,4})?)\s*(?:bpw|bits per weight|-?bits?\b)`)
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
	for _, l := range r.links(r.docs) {
		if !l.ok || l.kind != "tree" || l.rest == "" || seen[l.repo+":"+l.rest] {
			continue
		}
		row, ok := rowOfLink(l)
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

// rowOfLink is the row that a link to a branch makes: its text says the bits,
// or its branch's name does.
func rowOfLink(l link) (Row, bool) {
	row := Row{Branch: l.rest}
	p := quant.ParseBranchName(l.rest)
	m := saysBits.FindStringSubmatch(l.text)
	switch {
	case m != nil:
		row.Bits, _ = number(m[1]) // the expression admits only a decimal
	case p.BPW != nil:
		row.Bits = p.BPW
	case p.Bits != nil:
		row.Bits = ptr(float64(*p.Bits))
	default:
		return row, false
	}
	row.HBits, row.VBits = digits(headBits, l.text), digits(visionBits, l.text)
	if p.Bits != nil {
		row.ActOrder, row.Damp = p.ActOrder, p.Damp
		if p.GroupSize != nil && *p.GroupSize > 0 {
			row.GroupSize = p.GroupSize
		}
		if p.Method != "" && p.Method != "gptq" {
			row.Method = p.Method
		}
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
