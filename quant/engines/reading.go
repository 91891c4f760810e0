package engines

import (
	"fmt"
	"slices"

	"github.com/qbranch/qbranch/quant"
)

// Misreading is a parameter in which a loader believes something else than other
// sources say.
type Misreading struct {
	Name    string // "bits", "group_size", "act_order", "sym" or "format"
	Refuted bool   // by the tensors; else the sources contradict one another
	Text    string // "it reads quantize_config.json, which says 4 bits: the tensors have 3"
}

// Misreadings compares what a loader goes on with to what the checkpoint is. What
// changes nothing is no difference: act-order with one group per column, another
// group size that means the same groups.
func (s *Subject) Misreadings(b *quant.Belief) []Misreading {
	var list []Misreading
	if b.Problem != "" {
		return nil
	}
	c := &b.Config
	add := func(name, key string, differs bool, takes, is string) {
		refuted := slices.Contains(b.Wrong, key)
		proven := b.Proven && (key == "bits" || key == "group_size")
		if !refuted && (!differs || proven) {
			return
		}
		m := Misreading{Name: name, Refuted: refuted}
		switch {
		case key == "checkpoint_format" && !c.HasFormat:
			m.Text = fmt.Sprintf("%s says no format, which means %s", readFile(b), takes)
		case slices.Contains(b.Assumed, key):
			m.Text = fmt.Sprintf("it assumes %s, which no file it reads says", takes)
		default:
			m.Text = fmt.Sprintf("it reads %s, which says %s", b.File, takes)
		}
		if m.Refuted {
			m.Text += ": the tensors have " + is + "; correct the file"
		} else {
			m.Text += ", where another source says " + is + ": not known which is right"
		}
		list = append(list, m)
	}
	add("bits", "bits", c.Bits != 0 && s.Bits != 0 && c.Bits != s.Bits, bitsWord(c.Bits), bitsWord(s.Bits))
	add("group_size", "group_size", c.GroupSize != 0 && s.GroupSize != 0 && c.GroupSize != s.GroupSize, groupsWord(c.GroupSize), groupsWord(s.GroupSize))
	add("act_order", "desc_act", differ(c.DescAct, s.DescAct) && s.orderMatters(), orderWord(c.DescAct), orderWord(s.DescAct))
	add("sym", "sym", differ(c.Sym, s.Sym), symWord(c.Sym), symWord(s.Sym))
	if len(b.Loader.Files) > 0 {
		format, own := formatOf(s.Format), formatOf(c.Format)
		if c.Marlin {
			own = "marlin"
		}
		add("format", "checkpoint_format", format != own, own, format)
	}
	return list
}

func readFile(b *quant.Belief) string {
	if b.File == "" {
		return "what it reads"
	}
	return b.File
}

func formatOf(format string) string {
	if format == "" {
		return "gptq"
	}
	return shown(format, maxWord)
}

func differ(a, b *bool) bool { return a != nil && b != nil && *a != *b }

func bitsWord(n int) string { return fmt.Sprintf("%d bits", n) }

func groupsWord(n int) string {
	if n == -1 {
		return "no groups"
	}
	return fmt.Sprintf("groups of %d", n)
}

func orderWord(b *bool) string {
	if b != nil && *b {
		return "act-order"
	}
	return "no act-order"
}

// orderMatters says that a loader which takes act-order for the opposite computes
// something else.
func (s *Subject) orderMatters() bool {
	return s.GroupSize != -1 && answerOf(s.StaticGroups) != yes && answerOf(s.Permuted) != no
}

func symWord(b *bool) string {
	if b != nil && *b {
		return "symmetric zero points"
	}
	return "asymmetric zero points"
}

// reading judges what the row's loader reads: a kernel that could run the
// checkpoint is of no use to a program that takes it for something else.
func (j *judge) reading() {
	for i := range j.s.Beliefs {
		b := &j.s.Beliefs[i]
		if b.Loader.ID != j.e.Loader {
			continue
		}
		if b.Problem != "" {
			j.refuses = true
			j.add(No, "%s", shown(b.Problem, 4*maxWord))
			continue
		}
		for _, m := range j.s.Misreadings(b) {
			switch {
			case m.Name == "sym" && j.e.Asym == AsymYes: // it computes with the zero points as they are
			case m.Refuted:
				j.add(No, "%s", m.Text)
			default:
				j.add(Unknown, "%s", m.Text)
			}
		}
	}
}
