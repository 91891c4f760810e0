package quant

import (
	"fmt"
	"math"
	"strconv"
)

// SmokeText is a short text in plain English whose perplexity is measured, the
// same for every checkpoint. Language models give it 3 to 30.
const SmokeText = "Once upon a time, in a garden behind the mill, there lived a cheerful llama named Pip. " +
	"One morning Pip packed a small bag and set out for the garden. But on the way the river had grown too wide to cross. " +
	"Then Pip met a tired badger resting under a stone."

// Bounds of a smoke test.
const (
	// SmokePerplexity is the perplexity of [SmokeText] from which a checkpoint
	// is suspect. One that knows nothing has as much as its vocabulary has
	// tokens, and a damaged one mostly more.
	SmokePerplexity = 100
	// SmokeTokens is how many tokens are generated, the likeliest each time.
	SmokeTokens = 32
	// SmokeDistinct is how many different ones among them are the least: fewer
	// mean a model that repeats itself, as broken ones do ("!!!!").
	SmokeDistinct = 4
)

// Smoke is what a short run of a checkpoint gave, and how much of it was run.
type Smoke struct {
	Tokens     int     `json:"tokens"`           // of SmokeText, whose next token was known
	Vocab      int     `json:"vocab_size"`       // what the perplexity of a model that knows nothing would be
	Finite     bool    `json:"finite"`           // every logit is a number
	Perplexity float64 `json:"perplexity"`       // of SmokeText; 0 when not finite
	Bound      float64 `json:"perplexity_bound"` // above it the checkpoint is suspect
	Runs       int     `json:"runs"`             // how often SmokeText was computed; 2 unless time ran out
	Stable     bool    `json:"stable"`           // both runs find the same token likeliest everywhere
	Generated  []int   `json:"generated"`        // greedily, after SmokeText; up to SmokeTokens unless time ran out
	Distinct   int     `json:"distinct"`         // different ones among them
}

// Observe takes the logits of SmokeText, one row of vocab values for each of its
// tokens. The first time it computes the perplexity, the second time it compares
// the likeliest tokens with those of the first, best, which it returns.
func (s *Smoke) Observe(ids []int, logits []float32, vocab int, best []int) []int {
	s.Runs++
	s.Vocab, s.Bound = vocab, SmokePerplexity
	first := best == nil
	if first {
		s.Finite, s.Stable, best = true, true, make([]int, 0, len(ids))
		s.Tokens = max(0, len(ids)-1)
	}
	sum := 0.0
	for i := range min(len(ids), len(logits)/max(1, vocab)) {
		row := logits[i*vocab : (i+1)*vocab]
		top, loss := judgeRow(row, ids[min(i+1, len(ids)-1)])
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			s.Finite = false
		}
		if i < s.Tokens {
			sum += loss
		}
		if first {
			best = append(best, top)
		} else if i >= len(best) || best[i] != top {
			s.Stable = false
		}
	}
	if first && s.Finite && s.Tokens > 0 {
		s.Perplexity = math.Exp(min(sum/float64(s.Tokens), 700)) // JSON has no infinity
	}
	return best
}

// judgeRow gives the likeliest token of a position and the loss of the one that
// comes next; a loss that is no number where a logit is none.
func judgeRow(row []float32, next int) (best int, loss float64) {
	most := row[0]
	for i, v := range row {
		if v != v || math.IsInf(float64(v), 0) {
			return 0, math.NaN()
		}
		if v > most {
			best, most = i, v
		}
	}
	sum := 0.0
	for _, v := range row {
		sum += math.Exp(float64(v - most))
	}
	return best, float64(most-row[next]) + math.Log(sum)
}

// Findings judges a run.
func (s Smoke) Findings() []Finding {
	var all []Finding
	say := func(severity Severity, where, got, want, message, hint string) {
		all = append(all, Finding{Code: "D12", Severity: severity, Where: where, Got: got, Want: want, Message: message, Hint: hint})
	}
	broken := "the tensors or the configuration are wrong in a way that no check of them sees: choose another branch"
	switch p := fmt.Sprintf("%.1f", s.Perplexity); {
	case !s.Finite:
		say(Fatal, "logits", "infinite or no number", "finite", "running it gives values that are no numbers", broken)
		return all
	case s.Perplexity > float64(s.Vocab):
		say(Fatal, "perplexity", p, fmt.Sprintf("at most %.0f", s.Bound),
			fmt.Sprintf("the perplexity of a plain English text is %s: guessing evenly among %d tokens would be better", p, s.Vocab), broken)
	case s.Perplexity > s.Bound:
		say(Warn, "perplexity", p, fmt.Sprintf("at most %.0f", s.Bound),
			fmt.Sprintf("the perplexity of a plain English text is %s, and language models have 3 to 30", p),
			"a model that was never trained, or for another language, has that, too: compare with the unquantised one")
	}
	if s.Runs > 1 && !s.Stable {
		say(Fatal, "logits", "two answers", "one answer", "two runs over the same text do not find the same tokens likeliest", "the memory or the disk of this machine may be at fault: run it again")
	}
	if s.Distinct = distinct(s.Generated); len(s.Generated) >= SmokeTokens/2 && s.Distinct < SmokeDistinct {
		severity := Warn
		if s.Distinct == 1 {
			severity = Fatal
		}
		say(severity, "generation", strconv.Itoa(s.Distinct), fmt.Sprintf("at least %d", SmokeDistinct),
			fmt.Sprintf("%d generated tokens are %d different ones: it repeats itself", len(s.Generated), s.Distinct), broken)
	}
	return all
}

// Generate records what was generated.
func (s *Smoke) Generate(ids []int) { s.Generated, s.Distinct = ids, distinct(ids) }

func distinct(ids []int) int {
	seen := map[int]bool{}
	for _, id := range ids {
		seen[id] = true
	}
	return len(seen)
}

// SmokeFailure is the finding that a checkpoint without a fatal finding could
// not be run because of what is in its files.
func SmokeFailure(err error) Finding {
	f := Finding{Code: "D12", Severity: Fatal, Where: "run", Message: printable(err.Error()), Want: "a run", Got: "an error",
		Hint: "the files do not hold a model that can be run: choose another branch"}
	if hint := hintOf(err); hint != "" {
		f.Hint = printable(hint)
	}
	return f
}
