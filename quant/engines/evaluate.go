package engines

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// reason is one thing that speaks against a plain yes.
type reason struct {
	loads  Loads
	about  string // aboutBits, or ""
	text   string
	source string
}

// aboutBits marks the reason that a kernel is made for other bits.
const aboutBits = "bits"

// maxWord bounds what a reason repeats of a configuration, in runes.
const maxWord = 40

// answer is the answer to a question of which not everything may be known.
type answer int

const (
	unsure answer = iota
	yes
	no
)

func answerOf(b *bool) answer {
	switch {
	case b == nil:
		return unsure
	case *b:
		return yes
	}
	return no
}

func is(b bool) answer { return answerOf(&b) }

// judge collects the reasons one row has.
type judge struct {
	e   *Engine
	s   *Subject
	why []reason

	refuses bool // the configuration that it reads
	onCPU   bool // it does not use the machine's card
}

func (j *judge) add(loads Loads, format string, args ...any) {
	j.why = append(j.why, reason{loads: loads, text: fmt.Sprintf(format, args...)})
}

// Evaluate judges a checkpoint by every row of the table, in its order.
func Evaluate(s Subject) []Verdict {
	var list []Verdict
	for _, e := range table() {
		list = append(list, e.Evaluate(s))
	}
	return list
}

// Evaluate judges a checkpoint by one row.
func (e Engine) Evaluate(s Subject) Verdict {
	j := judge{e: &e, s: &s}
	if e.Until != "" {
		j.add(Caveat, "old versions only: %s", e.Until)
	}
	j.reading()
	j.bits()
	j.groups()
	j.actOrder()
	j.asym()
	j.format()
	j.arch()
	j.shapes()
	j.files()
	j.notes()
	j.parallel()
	j.machine()
	return j.verdict()
}

func (j *judge) verdict() Verdict {
	v := Verdict{ID: j.e.ID, Family: j.e.Family, Name: j.e.Name, Loads: Yes, Why: []string{}, Needs: j.e.Needs.String(), AsOf: j.e.AsOf}
	v.Sources = slices.Clone(j.e.Sources)
	slices.SortStableFunc(j.why, func(a, b reason) int { return b.loads.rank() - a.loads.rank() })
	for _, r := range j.why {
		v.Loads = v.Loads.worse(r.loads)
		v.Why = append(v.Why, r.text)
		if r.source != "" && !slices.Contains(v.Sources, r.source) {
			v.Sources = append(v.Sources, r.source)
		}
	}
	v.why, v.bits, v.OnCPU = j.why, j.e.Bits, j.onCPU
	return v
}

func (j *judge) bits() {
	switch b := j.s.Bits; {
	case b == 0:
		j.add(Unknown, "the number of bits is not known")
	case !slices.Contains(j.e.Bits, b):
		text := fmt.Sprintf("%d-bit: %s has %s kernels only", b, j.e.Name, bitsText(j.e.Bits))
		if j.e.BitsError != "" {
			text += " (error: “" + j.e.BitsError + "”)"
		}
		j.why = append(j.why, reason{loads: No, about: aboutBits, text: text})
	}
	if j.s.Mixed && !j.e.Mixed {
		j.add(Unknown, "layers differ in bits or group size (dynamic): not known whether %s goes along", j.e.Name)
	}
	if j.s.LMHead && !j.e.Head {
		j.add(Unknown, "the head is quantised too: not known whether %s goes along", j.e.Name)
	}
}

func (j *judge) groups() {
	g, of := j.s.GroupSize, j.e.Groups
	if g == 0 {
		j.add(Unknown, "the group size is not known")
		return
	}
	switch {
	case of.Sizes != nil:
		if !slices.Contains(of.Sizes, g) {
			j.add(No, "%s: %s takes %s only", groupText(g), j.e.Name, sizesText(of.Sizes))
		}
	case g == -1:
		if !of.None {
			j.add(No, "one group per column (-1): %s needs a group size", j.e.Name)
		}
	case of.Min > 0 && g < of.Min, of.Max > 0 && g > of.Max:
		j.add(No, "%s: %s takes %d to %d", groupText(g), j.e.Name, of.Min, of.Max)
	}
	if g > 0 && of.PowerOfTwo && g&(g-1) != 0 {
		j.add(No, "%s is not a power of two: %s rounds it and reads the wrong scales", groupText(g), j.e.Name)
	}
	if g > 0 && of.Whole {
		j.whole(g)
	}
}

// whole: some kernels take no short last group.
func (j *judge) whole(g int) {
	for _, m := range j.s.Matrices {
		if m.K%g != 0 {
			j.add(No, "%s does not divide the %d rows of a matrix: %s takes no short last group", groupText(g), m.K, j.e.Name)
			return
		}
	}
}

// permuted says whether rows of one group lie apart, so that g_idx matters.
func (s *Subject) permuted() answer {
	if s.GroupSize == -1 {
		return no // one group: every row has the same scale
	}
	claim := answerOf(s.DescAct)
	if s.StaticGroups != nil && *s.StaticGroups {
		claim = no // groups were fixed before the rows were sorted
	}
	if s.Permuted != nil {
		claim = answerOf(s.Permuted)
	}
	if claim == yes && s.GroupSize == 0 {
		return unsure
	}
	return claim
}

func (j *judge) actOrder() {
	what := map[ActOrder]struct {
		loads Loads
		text  string
	}{
		ActNo:      {No, "%s has no kernel for it"},
		ActRefused: {No, "%s refuses it"},
		ActIgnored: {No, "%s drops g_idx, loads and computes nonsense"},
		ActUnknown: {Unknown, "not known whether %s has a kernel for it"},
		ActSlow:    {Caveat, "%s re-orders the weights while loading"},
	}
	w, bad := what[j.e.ActOrder]
	if !bad {
		return
	}
	text := fmt.Sprintf(w.text, j.e.Name)
	if j.e.ActOrder == ActRefused && j.s.GroupSize == -1 && answerOf(j.s.DescAct) == yes {
		j.add(No, "desc_act with one group per column, where it means nothing: %s all the same", text)
		return
	}
	switch j.s.permuted() {
	case yes:
		j.add(w.loads, "act-order: %s", text)
	case unsure:
		loads := Unknown
		if w.loads == Caveat {
			loads = Caveat
		}
		j.add(loads, "desc_act is not known; with act-order: %s", text)
	}
}

func (j *judge) asym() {
	sym := j.s.Sym
	if sym == nil {
		j.missingSym()
		return
	}
	if *sym {
		return
	}
	v2 := j.s.Format == "gptq_v2" || j.s.Format == "gptq_p"
	switch j.e.Asym {
	case AsymNo:
		j.add(No, "asymmetric zero points: %s takes symmetric ones only", j.e.Name)
	case AsymUnknown:
		j.add(Unknown, "asymmetric zero points: not known whether %s reads them", j.e.Name)
	case AsymV2:
		if !v2 && !newGPTQModel(j.s.Quantizer) {
			j.add(No, "asymmetric zero points in format gptq: %s refuses them unless GPTQModel 0.9 or newer wrote the file", j.e.Name)
			return
		}
		fallthrough
	default:
		if !v2 {
			j.add(Caveat, "asymmetric zero points in format gptq: readers differ where a stored zero is all ones; expect small differences")
		}
	}
}

// missingSym: what the configuration does not say, every loader fills in its own way.
func (j *judge) missingSym() {
	symOnly := j.e.Asym == AsymNo || j.e.Asym == AsymUnknown
	switch {
	case j.e.Default == "an error" && j.refuses:
		// That has been said.
	case j.e.Default == "an error":
		j.add(No, "sym is not stated: %s needs it; add it to the configuration", j.e.Name)
	case j.e.Default == "the zero points":
		j.add(Caveat, "sym is not stated: %s reads the zero points as they are", j.e.Name)
	case symOnly && j.e.Default == "false":
		j.add(No, "sym is not stated: %s takes it for false, and has symmetric kernels only", j.e.Name)
	case symOnly:
		j.add(Unknown, "sym is not stated: %s takes it for %s, which is wrong for asymmetric zero points", j.e.Name, j.e.Default)
	default:
		j.add(Caveat, "sym is not stated: %s takes it for %s", j.e.Name, j.e.Default)
	}
}

// newGPTQModel reads "gptqmodel:5.0.0": 0.9 and later store asymmetric zeros well.
func newGPTQModel(quantizer string) bool {
	_, version, ok := strings.Cut(strings.ToLower(quantizer), "gptqmodel:")
	if !ok {
		return false
	}
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, errA := strconv.Atoi(major)
	b, errB := strconv.Atoi(minor)
	return errA == nil && (a > 0 || errB == nil && b >= 9)
}

func (j *judge) format() {
	format := j.s.Format
	if format == "" {
		format = "gptq"
	}
	switch {
	case slices.Contains(j.e.Formats, format):
	case slices.Contains(j.e.Unsure, format):
		j.add(Unknown, "format %s: not known whether %s reads it", format, j.e.Name)
	default:
		j.add(No, "format %s: %s reads %s only", shown(format, maxWord), j.e.Name, strings.Join(j.e.Formats, ", "))
	}
}

func (j *judge) arch() {
	a := j.e.Archs
	if a.List == nil && !a.Open {
		return // a converter or a runner that takes any
	}
	arch := shown(j.s.Arch, maxWord)
	known := slices.ContainsFunc(a.List, func(name string) bool { return strings.EqualFold(name, j.s.Arch) }) // Yi and yi are in use
	switch {
	case arch == "":
		j.add(Unknown, "the architecture is not known")
	case known:
	case a.Open:
		j.add(Unknown, "architecture %s: not known whether %s runs it", arch, j.e.Name)
	case len(a.List) <= 4:
		j.add(No, "architecture %s: %s runs %s only", arch, j.e.Name, joined(a.List, "and"))
	default:
		j.add(No, "architecture %s is not among those %s runs", arch, j.e.Name)
	}
}

func (j *judge) shapes() {
	want := j.e.Shapes
	if len(j.s.Matrices) == 0 && (want != Shapes{} || j.e.Groups.Whole && j.s.GroupSize > 0) {
		j.add(Caveat, "the shapes of the matrices are not known: %s needs %s", j.e.Name, j.shapesText())
	}
	var k, n, either bool
	for _, m := range j.s.Matrices {
		if want.K > 0 && m.K%want.K != 0 && !k {
			k = true
			j.add(No, "a matrix has %d rows: %s needs a multiple of %d", m.K, j.e.Name, want.K)
		}
		if want.N > 0 && m.N%want.N != 0 && !n {
			n = true
			j.add(No, "a matrix has %d columns: %s needs a multiple of %d", m.N, j.e.Name, want.N)
		}
		if want.Either > 0 && m.K%want.Either != 0 && m.N%want.Either != 0 && !either {
			either = true
			j.add(No, "a matrix of %d rows and %d columns: %s needs one of them to be a multiple of %d", m.K, m.N, j.e.Name, want.Either)
		}
	}
}

// shapesText is what the row asks of shapes, in words.
func (j *judge) shapesText() string {
	var parts []string
	if want := j.e.Shapes; want.K > 0 && want.N > 0 {
		parts = append(parts, fmt.Sprintf("rows in multiples of %d, columns of %d", want.K, want.N))
	} else if want.N > 0 {
		parts = append(parts, fmt.Sprintf("columns in multiples of %d", want.N))
	}
	if j.e.Groups.Whole && j.s.GroupSize > 0 {
		parts = append(parts, "whole groups")
	}
	return strings.Join(parts, " and ")
}

func (j *judge) files() {
	if j.e.Single {
		switch {
		case j.s.Shards > 1:
			j.add(No, "%d weight files: %s loads a single one; join them first", j.s.Shards, j.e.Name)
		case j.s.Shards == 0:
			j.add(Caveat, "only if the weights are a single file: %s loads no shards", j.e.Name)
		}
	}
	if j.e.NeedGIdx {
		switch answerOf(j.s.GIdx) {
		case no:
			j.add(No, "the file has no g_idx: %s does not load without", j.e.Name)
		case unsure:
			if answerOf(j.s.DescAct) != yes { // act-order cannot be without
				j.add(Caveat, "only if the file has g_idx, as all since mid-2023: %s does not load without", j.e.Name)
			}
		}
	}
}

func (j *judge) notes() {
	for _, note := range j.e.Notes {
		held, open := yes, ""
		for _, w := range note.When {
			switch w.holds(j.s) {
			case no:
				held = no
			case unsure:
				if held == yes {
					held = unsure
				}
				open = string(w)
			}
		}
		r := reason{loads: note.Loads, text: note.Text, source: note.Source}
		switch held {
		case yes:
			j.why = append(j.why, r)
		case unsure:
			if r.loads == No {
				r.loads = Unknown
			}
			r.text = "if it is " + open + " (not known): " + r.text
			j.why = append(j.why, r)
		}
	}
}
