package proof

import (
	"fmt"
	"math"
	"strings"
)

// The verdicts of a signal.
const (
	Good    = "good"
	Suspect = "suspect"
	Broken  = "broken"
	Unknown = "unknown" // it was not measured, and why is in the text
)

// Signal is one weak sign of soundness, with what was measured.
type Signal struct {
	Name    string   `json:"name"`
	Value   *float64 `json:"value"` // null when not measured
	Bound   *float64 `json:"bound"` // null when there is none
	Limit   string   `json:"limit"` // the value may be "most" or must be "least" the bound
	Unit    string   `json:"unit"`
	Verdict string   `json:"verdict"`
	Text    string   `json:"text"` // what the value is of, in words; why it was not measured
	Hint    string   `json:"hint,omitempty"`
}

// Numbers are the value and the bound, in words; empty when it was not measured.
func (s Signal) Numbers() (value, bound string) {
	if s.Value == nil || s.Bound == nil {
		return "", ""
	}
	return short(*s.Value), "at " + s.Limit + " " + short(*s.Bound)
}

// short is a number of about three digits.
func short(x float64) string {
	switch a := math.Abs(x); {
	case x == math.Trunc(x) && a < 1e9:
		return fmt.Sprintf("%.0f", x)
	case a >= 100:
		return fmt.Sprintf("%.0f", x)
	case a < 0.001:
		return fmt.Sprintf("%.1g", x)
	}
	return fmt.Sprintf("%.3g", x)
}

// Bounds of the signals. Each is far from what sound models show, since a false
// alarm costs more than a weak signal that stays silent: others see the same
// damage. Where a vocabulary matters they are shares of what guessing costs, the
// logarithm of its size.
const (
	KnownMost     = 0.25   // nats of the best known text: a quarter of what guessing costs
	EntropyMost   = 0.5    // along what the model writes: half of guessing's
	EntropyLeast  = 0.0002 // it is never that certain of everything
	LoopMost      = 0.5    // share of a text that repeats a block of up to four tokens
	VarietyLeast  = 0.3    // different blocks of three tokens among all of them
	StrayMost     = 0.02   // share of characters that no text has
	SpecialsMost  = 0.01   // share of special tokens inside a text
	StartMost     = 0.6    // nats of an answer's first words in a chat
	NextLeast     = 0.5    // share of known continuations among the ten likeliest
	NextRank      = 10     // which are they
	PathsMost     = 0.01   // int16 against float32, of the largest logit
	PathsSame     = 0.98   // of positions whose likeliest token is the same
	almost        = 0.95   // of what guessing costs is no better
	wanderingMost = 0.15   // entropy of a model whose text nobody knows
)

// againstBounds is, by bits, what a quantisation may change: the mean divergence
// as a share of the entropy, and the largest at one position in nats.
func againstBounds(bits int) (mean, most float64) {
	switch bits {
	case 0:
		return 0.001, 0.1
	case 8:
		return 0.005, 0.5
	case 4:
		return 0.05, 1.5
	case 3:
		return 0.2, 4
	}
	return 0.8, 8
}

// endRankMost is how far down a token that ends a turn may stand after an answer.
func endRankMost(vocab int) float64 { return max(10, float64(vocab)/1000) }

// Signals judges what was measured, in the order in which it is told.
func (f *Facts) Signals() []Signal {
	s := &signals{f: f}
	s.numbers()
	if f.NotFinite > 0 {
		return s.all
	}
	s.known()
	s.continuations()
	s.written()
	s.chat()
	s.paths()
	s.against()
	s.gravity()
	return s.all
}

// signals collects them.
type signals struct {
	f   *Facts
	all []Signal
}

// least and most judge a value by a bound.
const (
	most  = "most"
	least = "least"
)

func (s *signals) add(name string, value float64, limit string, bound float64, unit, otherwise, hint, text string, args ...any) {
	x := Signal{Name: name, Value: &value, Bound: &bound, Limit: limit, Unit: unit, Verdict: Good, Text: fmt.Sprintf(text, args...)}
	if limit == most && value > bound || limit == least && value < bound {
		x.Verdict, x.Hint = otherwise, hint
	}
	s.all = append(s.all, x)
}

// none says why a signal was not measured.
func (s *signals) none(name, why string) {
	switch {
	case why != "":
	case s.f.Cut:
		why = "no time was left for it"
	default:
		why = "the context is too short for it"
	}
	s.all = append(s.all, Signal{Name: name, Verdict: Unknown, Text: why})
}

const (
	hintBroken = "the tensors, the configuration or the tokenizer are wrong in a way that no other check sees: choose another branch"
	hintFormat = "compare tokenizer_config.json, generation_config.json and the chat template with those of the original model"
)

// numbers: every logit is a number, and twice the same.
func (s *signals) numbers() {
	f := s.f
	s.add("finite", float64(f.NotFinite), most, 0, "positions", Broken, hintBroken,
		"of %d positions gave values that are no numbers", f.Positions)
	if f.NotFinite > 0 {
		return
	}
	if f.Runs < 2 {
		s.none("repeatable", "")
		return
	}
	s.add("repeatable", float64(f.Unstable), most, 0, "positions", Broken, "the memory or the disk of this machine may be at fault: run it again",
		"positions had another likeliest token when a text was read again")
}

// known: the model knows one of the built-in texts.
func (s *signals) known() {
	f := s.f
	if f.NoText != "" {
		s.none("known_text", "there is no text: "+f.NoText)
		return
	}
	best, ok := f.Best()
	if !ok {
		s.none("known_text", "the context is too short for a text")
		return
	}
	bound := KnownMost * f.Guessing()
	text := fmt.Sprintf("nats a token for %s; guessing costs %.2f", best.Kind, f.Guessing())
	if best.Nats > bound && len(f.Texts) > 1 {
		text = fmt.Sprintf("nats a token for %s, the best known of %d texts in %s; guessing costs %.2f", best.Kind, len(f.Texts), s.languages(), f.Guessing())
	}
	s.add("known_text", best.Nats, most, bound, "nats per token", Suspect,
		"a model that was never trained, one for another field or language, and a damaged one look like that: "+
			"give a text that it must know with --text, or a sound branch with --against", "%s", text)
	if known := &s.all[len(s.all)-1]; !f.AllTexts && known.Verdict != Good {
		known.Hint = "give it more time with --time, such as --time 5m"
		known.Text += "; no time was left for the other texts"
	}
}

func (s *signals) languages() string {
	for _, t := range s.f.Texts {
		if t.Kind == others[0].kind {
			return "English and other languages"
		}
	}
	return "English"
}

func (s *signals) continuations() {
	f := s.f
	switch {
	case f.NoText != "":
		return
	case !f.English():
		s.none("continuations", "it does not know English prose, so English facts are not asked of it")
		return
	case len(f.Continuations) == 0:
		s.none("continuations", "")
		return
	}
	hits := 0
	var words []string
	for _, c := range f.Continuations {
		if c.Rank <= NextRank {
			hits++
		}
		words = append(words, fmt.Sprintf("%s …%s: %d", c.Begin, c.Next, c.Rank))
	}
	s.add("continuations", float64(hits)/float64(len(f.Continuations)), least, NextLeast, "share", Suspect, hintBroken,
		"of %d known next words are among the %d likeliest (%s)", len(f.Continuations), NextRank, strings.Join(words, ", "))
}

// written: entropy, loops, stray characters and special tokens of its own texts.
func (s *signals) written() {
	f := s.f
	if len(f.Written) == 0 {
		for _, name := range []string{"entropy_high", "entropy_low", "loops", "variety"} {
			s.none(name, "")
		}
		return
	}
	w := f.own()
	entropy := w.entropy / f.Guessing()
	s.add("entropy_high", entropy, most, EntropyMost, "of guessing", Suspect, "a model that was never trained looks like that, and one whose norms or scales are damaged",
		"of guessing's entropy, along the %d tokens that it wrote", w.tokens)
	s.add("entropy_low", entropy, least, EntropyLeast, "of guessing", Suspect, hintBroken, "of guessing's entropy: how certain it is, at the most")
	s.add("loops", w.loop, most, LoopMost, "share", Suspect, hintBroken,
		"of the text that loops least repeats a block of up to %d tokens", maxPeriod)
	s.add("variety", w.variety, least, VarietyLeast, "share", Suspect, hintBroken,
		"of the blocks of three tokens are different, in the text with most variety")
	if f.NoText != "" {
		return
	}
	s.add("stray", w.stray, most, StrayMost, "share", Suspect, hintBroken, "of the characters that it wrote are control characters or no characters")
	s.add("specials", w.specials, most, SpecialsMost, "share", Suspect, hintFormat,
		"of the tokens that it wrote are special ones, which belong between texts")
}

// ownText sums up what was written.
type ownText struct {
	tokens                                         int
	entropy, loop, variety, stray, specials, worst float64
}

func (f *Facts) own() ownText {
	w := ownText{loop: 1}
	n := 0.0
	for _, x := range f.Written {
		k := float64(len(x.IDs))
		n += k
		w.entropy += k * x.Entropy
		w.stray += k * x.Stray
		w.specials += float64(x.Specials)
		w.loop = min(w.loop, x.Loop)
		w.worst = max(w.worst, x.Loop)
		w.variety = max(w.variety, x.Variety)
	}
	n = max(n, 1)
	w.tokens, w.entropy, w.stray, w.specials = int(n), w.entropy/n, w.stray/n, w.specials/n
	return w
}

// chat: the format, the end of a turn, and how an answer begins.
func (s *signals) chat() {
	f := s.f
	if f.NoText != "" {
		return
	}
	text := "problems of the special tokens; there is no chat template"
	if f.Format.Template != "" {
		text = "problems of the special tokens and the chat template, found in " + f.Format.Template
	}
	switch len(f.Format.Problems) {
	case 0:
	case 1:
		text = "problem: " + f.Format.Problems[0]
	default:
		text = "problems: " + strings.Join(f.Format.Problems, "; ")
	}
	s.add("format", float64(len(f.Format.Problems)), most, 0, "problems", Suspect, hintFormat, "%s", text)
	if f.Format.Template == "" {
		return
	}
	first := len(s.all)
	switch {
	case f.Format.Ends == 0:
		s.none("end_of_turn", "no token is named that ends a text, so it goes on to the length that is asked for")
	case f.EndRank == 0:
		s.none("end_of_turn", "")
	default:
		s.add("end_of_turn", float64(f.EndRank), most, endRankMost(f.Vocab), "rank", Suspect, hintFormat,
			"is the place of a token that ends a turn, after a finished answer")
	}
	if f.Start == nil {
		s.none("answer", "")
	} else {
		s.add("answer", *f.Start, most, StartMost*f.Guessing(), "nats per token", Suspect, hintFormat,
			"nats a token for the first words of a story that was asked for in the chat format")
	}
	if f.knowsTale() {
		return
	}
	for i := range s.all[first:] {
		if x := &s.all[first+i]; x.Verdict == Suspect {
			x.Verdict, x.Hint = Unknown, ""
			x.Text += "; it does not know the story"
		}
	}
}

func (s *signals) paths() {
	p := s.f.Paths
	if p == nil {
		s.none("int16_difference", "")
		s.none("int16_agreement", "")
		return
	}
	const hint = "the logits are unlike those of other models, or the program computes wrongly on this machine: generate with --compute float32, and tell its makers"
	s.add("int16_difference", p.Difference, most, PathsMost, "of the largest logit", Suspect, hint,
		"of the largest logit, between the int16 and the float32 path")
	same := float64(p.Same) / float64(max(1, p.Positions))
	s.add("int16_agreement", same, least, PathsSame, "share", Suspect, hint, "of %d positions have the same likeliest token on both paths", p.Positions)
}

func (s *signals) against() {
	a := s.f.Against
	if a == nil {
		return
	}
	if a.Positions == 0 {
		s.none("against_kl", "")
		return
	}
	const hint = "one of the two is damaged, or they are not of the same model: compare each with a third one"
	same := float64(a.Same) / float64(a.Positions)
	s.add("against_agreement", same, least, a.SameBound, "share", Suspect, hint, "of %d positions have the same likeliest token in both", a.Positions)
	s.add("against_kl", a.KLMean, most, a.KLBound, "nats", Suspect, hint, "nats of divergence in the mean; the other one's entropy is %s", short(a.Entropy))
	s.add("against_kl_max", a.KLMax, most, a.KLMaxBound, "nats", Suspect, hint, "nats of divergence at the worst position")
	if a.Texts != nil && s.f.NoText == "" {
		s.add("against_tokens", float64(a.Tokens), most, 0, "texts", Suspect, "compare tokenizer.json, tokenizer_config.json and generation_config.json of the two",
			"texts and prompts are other tokens to the other one, or end otherwise")
	}
}

// gravity makes a model broken that knows nothing and writes what no model
// would: either alone has harmless reasons.
func (s *signals) gravity() {
	f := s.f
	best, ok := f.Best()
	if !ok || !f.AllTexts || best.Nats < almost*f.Guessing() || len(f.Written) == 0 {
		return
	}
	w := f.own()
	signs := 0
	for _, odd := range []bool{
		w.entropy > wanderingMost*f.Guessing(),
		w.worst > LoopMost || w.variety < VarietyLeast,
		w.stray > StrayMost,
		w.specials > SpecialsMost,
		float64(f.EndRank) > endRankMost(f.Vocab),
		len(f.Format.Problems) > 0,
	} {
		if odd {
			signs++
		}
	}
	if signs < 2 {
		return
	}
	for i, x := range s.all {
		if x.Name == "known_text" {
			s.all[i].Verdict, s.all[i].Hint = Broken, hintBroken
			s.all[i].Text += "; guessing is as good, and what it writes is no text"
		}
	}
}
