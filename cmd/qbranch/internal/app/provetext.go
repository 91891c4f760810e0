package app

import (
	"fmt"
	"strings"
)

// Evidence says what the verdict rests on beside the signals, a line for each.
func (p *ProveReport) Evidence() []string {
	bytes := fmt.Sprintf("read %s; no digests are recorded, so the bytes were not compared", counted(p.Files, "file"))
	if p.Compared {
		bytes = fmt.Sprintf("compared the bytes of %s with their digests", counted(p.Files, "file"))
	}
	lines := []string{bytes}
	if p.Recovered != nil {
		lines = append(lines, "by the tensors: "+RecoveredText(*p.Recovered))
	}
	if p.CannotRun != "" {
		lines = append(lines, "not run: "+p.CannotRun)
	}
	if f := p.Run; f != nil && f.Cut {
		lines = append(lines, "the time for running it was over before everything was measured")
	}
	return lines
}

// Line is the verdict with its reasons, in one line.
func (p *ProveReport) Line() string {
	if len(p.Reasons) == 0 {
		return p.Verdict
	}
	return p.Verdict + ": " + list(p.Reasons, "; ", 2)
}

// SignalName is the name of a signal as people write it.
func SignalName(s Signal) string { return strings.ReplaceAll(s.Name, "_", " ") }

// SignalText is the number of a signal, what it is of, and its bound.
func SignalText(s Signal) string {
	value, bound := s.Numbers()
	if value == "" {
		return "not measured: " + s.Text
	}
	return value + " " + s.Text + " (" + bound + ")"
}

// RecoveredText says parameters as people do.
func RecoveredText(x Recovered) string {
	text := "mixed bits"
	if x.Bits != 0 {
		text = fmt.Sprintf("%d bits", x.Bits)
	}
	switch {
	case x.GroupSize == nil:
		text += ", mixed group sizes"
	case *x.GroupSize == -1:
		text += ", no groups"
	default:
		text += fmt.Sprintf(", groups of %d", *x.GroupSize)
	}
	if x.ActOrder != nil {
		text += map[bool]string{true: ", act-order", false: ", no act-order"}[*x.ActOrder]
	}
	if x.Sym != nil {
		text += map[bool]string{true: ", symmetric", false: ", asymmetric"}[*x.Sym]
	}
	if x.Format != "" {
		text += ", format " + x.Format
	}
	return text
}

// counted is "1 file", "2 files".
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
