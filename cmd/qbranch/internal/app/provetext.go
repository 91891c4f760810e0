package app

import "fmt"

// Evidence says what the verdict rests on, a line for each.
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
	if s := p.Smoke; s != nil {
		text := fmt.Sprintf("ran a text of %d tokens: perplexity %.1f (at most %.0f; guessing has %d)", s.Tokens, s.Perplexity, s.Bound, s.Vocab)
		if !s.Finite {
			text = fmt.Sprintf("ran a text of %d tokens: logits that are no numbers", s.Tokens)
		}
		lines = append(lines, text)
		if s.Finite {
			again := "a second run agrees"
			switch {
			case s.Runs < 2:
				again = "no time for a second run"
			case !s.Stable:
				again = "a second run does not agree"
			}
			on := "no time to continue it"
			if len(s.Generated) > 0 {
				on = fmt.Sprintf("continued it by %s, %d different ones", counted(len(s.Generated), "token"), s.Distinct)
			}
			lines = append(lines, on+"; "+again)
		}
	}
	return lines
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
