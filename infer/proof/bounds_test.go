package proof

import (
	"math"
	"slices"
	"testing"
)

// sound is what a model of 1000 tokens that knows English gives.
func sound() *Facts {
	start := 0.5
	return &Facts{Vocab: 1000, Positions: 500, Runs: 2,
		Texts: []Text{
			{Kind: english[0].kind, Tokens: 100, Nats: 1.2, Entropy: 1.2},
			{Kind: english[0].kind, Chat: true, Tokens: 100, Nats: 1.1, Entropy: 1.1},
			{Kind: english[1].kind, Tokens: 40, Nats: 1, Entropy: 1},
		},
		AllTexts: true, EndRank: 1, Start: &start,
		Continuations: []Continuation{{"a", "b", 1}, {"c", "d", 10}, {"e", "f", 600}},
		Written:       []Written{{IDs: make([]int, 60), Entropy: 0.5, Variety: 0.9}, {IDs: make([]int, 40), Entropy: 1, Loop: 0.9, Variety: 0.1}},
		Format:        Format{Template: "tokenizer_config.json", Ends: 1},
		Paths:         &Paths{Positions: 64, Difference: 1e-4, Same: 64},
	}
}

// against is a comparison with a model of the same bits.
func against(same int, mean, most float64) *Agreement {
	return &Agreement{Positions: 100, Same: same, KLMean: mean, KLMax: most, Entropy: 1, Texts: []TextAgreement{},
		SameBound: 0.8, KLBound: 0.1, KLMaxBound: 3}
}

// TestSignals changes one thing of a sound model at a time; want is every signal
// that is not good then.
func TestSignals(t *testing.T) {
	broken := func(f *Facts) { // knows nothing, and babbles
		for i := range f.Texts {
			f.Texts[i].Nats = 12
		}
		f.Written[0].Entropy, f.Written[1].Entropy = 2, 2
		f.EndRank = 500
	}
	for _, tc := range []struct {
		name   string
		change func(f *Facts)
		want   []string
	}{
		{"sound", func(*Facts) {}, nil},
		{"no numbers", func(f *Facts) { f.NotFinite = 1 }, []string{"finite broken"}},
		{"two answers", func(f *Facts) { f.Unstable = 1 }, []string{"repeatable broken"}},
		{"knows tales only", func(f *Facts) { f.Texts[2].Nats = 19.5; f.Continuations = nil }, []string{"continuations unknown"}},
		{"knows prose only", func(f *Facts) { f.Texts[0].Nats, f.Texts[1].Nats, f.EndRank = 9, 9, 300 }, []string{"end_of_turn unknown"}},
		{"knows no text well", func(f *Facts) {
			for i := range f.Texts {
				f.Texts[i].Nats = 3
			}
		}, []string{"known_text suspect", "continuations unknown"}},
		{"knows no text at all, and writes well", func(f *Facts) {
			for i := range f.Texts {
				f.Texts[i].Nats = 12
			}
			f.Written[1].Loop, f.Written[1].Variety = 0, 1
		}, []string{"known_text suspect", "continuations unknown"}},
		{"knows no text at all, and babbles", broken, []string{"known_text broken", "continuations unknown", "end_of_turn unknown"}},
		{"the same, and time ran out", func(f *Facts) {
			broken(f)
			f.AllTexts = false
		}, []string{"known_text suspect", "continuations unknown", "end_of_turn unknown"}},
		{"knows a given text", func(f *Facts) {
			broken(f)
			f.Written[0].Entropy, f.Written[1].Entropy = 0.5, 1
			f.Texts = append(f.Texts, Text{Kind: given, Tokens: 50, Nats: 1})
		}, []string{"continuations unknown", "end_of_turn unknown"}},
		{"knows no facts", func(f *Facts) { f.Continuations[0].Rank, f.Continuations[1].Rank = 11, 400 }, []string{"continuations suspect"}},
		{"guesses", func(f *Facts) { f.Written[0].Entropy, f.Written[1].Entropy = 6, 6 }, []string{"entropy_high suspect"}},
		{"is certain of all", func(f *Facts) { f.Written[0].Entropy, f.Written[1].Entropy = 0, 0 }, []string{"entropy_low suspect"}},
		{"loops everywhere", func(f *Facts) { f.Written[0].Loop = 0.6 }, []string{"loops suspect"}},
		{"says little", func(f *Facts) { f.Written[0].Variety = 0.2 }, []string{"variety suspect"}},
		{"stray bytes", func(f *Facts) { f.Written[0].Stray = 0.1 }, []string{"stray suspect"}},
		{"special tokens", func(f *Facts) { f.Written[0].Specials = 2 }, []string{"specials suspect"}},
		{"a format that fails", func(f *Facts) { f.Format.Problems = []string{"it fails"} }, []string{"format suspect"}},
		{"no end of a turn", func(f *Facts) { f.EndRank = 11 }, []string{"end_of_turn suspect"}},
		{"no token that ends", func(f *Facts) { f.EndRank, f.Format.Ends = 0, 0 }, []string{"end_of_turn unknown"}},
		{"another template", func(f *Facts) { *f.Start = 5 }, []string{"answer suspect"}},
		{"a base model", func(f *Facts) { f.Format.Template, f.Start, f.EndRank = "", nil, 0 }, nil},
		{"arithmetic", func(f *Facts) { f.Paths.Difference, f.Paths.Same = 0.1, 50 }, []string{"int16_difference suspect", "int16_agreement suspect"}},
		{"against the same", func(f *Facts) { f.Against = against(95, 0.05, 2) }, nil},
		{"against another", func(f *Facts) { f.Against = against(50, 0.5, 9); f.Against.Tokens = 1 },
			[]string{"against_agreement suspect", "against_kl suspect", "against_kl_max suspect", "against_tokens suspect"}},
		{"a short context", func(f *Facts) { f.Start, f.EndRank, f.Written = nil, 0, nil }, []string{"entropy_high unknown", "entropy_low unknown", "loops unknown", "variety unknown", "end_of_turn unknown", "answer unknown"}},
		{"no tokenizer", func(f *Facts) { f.NoText, f.Texts, f.Continuations = "none", nil, nil }, []string{"known_text unknown"}},
	} {
		f := sound()
		tc.change(f)
		var got []string
		for _, s := range f.Signals() {
			if s.Verdict != Good {
				got = append(got, s.Name+" "+s.Verdict)
			}
			if s.Text == "" || (s.Hint == "") != (s.Verdict == Good || s.Verdict == Unknown) {
				t.Errorf("%s: %s says %q, hint %q", tc.name, s.Name, s.Text, s.Hint)
			}
			if (s.Value == nil) != (s.Bound == nil) || s.Value == nil && s.Verdict != Unknown {
				t.Errorf("%s: %s has a verdict without value and bound: %+v", tc.name, s.Name, s)
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for x, want := range map[float64]string{0: "0", 1: "1", 0.179: "0.179", 1022: "1022", 0.00008: "8e-05", 101.04: "101", 41.26: "41.3", 0.0441: "0.0441"} {
		if got := short(x); got != want {
			t.Errorf("short(%v) is %s, want %s", x, got, want)
		}
	}
}

// Probabilities of 1/2, 1/4, 1/4 by hand.
func TestRows(t *testing.T) {
	half := []float32{float32(math.Log(2)) + 7, 7, 7} // a constant makes no difference
	p := look(half, 1)
	if !p.finite || p.top != 0 || math.Abs(p.loss-math.Log(4)) > 1e-6 || math.Abs(p.entropy-1.5*math.Log(2)) > 1e-6 {
		t.Errorf("got %+v, want loss ln 4 and entropy 1.5 ln 2", p)
	}
	even := []float32{3, 3, 3}
	if p := look(even, -1); math.Abs(p.entropy-math.Log(3)) > 1e-6 || p.loss != 0 {
		t.Errorf("got %+v, want entropy ln 3", p)
	}
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		if look([]float32{0, bad, 1}, 0).finite {
			t.Errorf("%v taken for a number", bad)
		}
	}
	if got, want := divergence(half, even), math.Log(3)-1.5*math.Log(2); math.Abs(got-want) > 1e-6 {
		t.Errorf("divergence %v, want %v", got, want)
	}
	if got := divergence(half, half); got != 0 {
		t.Errorf("divergence from itself %v", got)
	}
	if a, b := rank(half, 0), rank(half, 2); a != 1 || b != 2 {
		t.Errorf("ranks %d and %d, want 1 and 2: equals share the better one", a, b)
	}
}

func TestLoops(t *testing.T) {
	for _, tc := range []struct {
		name    string
		ids     []int
		length  int
		period  int
		variety float64
	}{
		{"nothing", nil, 0, 0, 1},
		{"no loop", []int{1, 2, 3, 4, 5, 6}, 0, 0, 1},
		{"a word twice is none", []int{1, 2, 1, 2, 3}, 0, 0, 1},
		{"one token for ever", []int{5, 9, 9, 9, 9, 9}, 5, 1, 0.5},
		{"two in turn", []int{1, 2, 1, 2, 1, 2}, 6, 2, 0.5},
		{"four in turn, from the middle on", []int{7, 8, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4}, 12, 4, 0.5},
		{"five in turn are a sentence", []int{1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5}, 0, 0, 5.0 / 13},
	} {
		length, period := loop(tc.ids)
		if variety := distinct(tc.ids, 3); length != tc.length || period != tc.period || math.Abs(variety-tc.variety) > 1e-9 {
			t.Errorf("%s: got %d of period %d, variety %v; want %d, %d, %v", tc.name, length, period, variety, tc.length, tc.period, tc.variety)
		}
	}
}

func TestStray(t *testing.T) {
	for text, want := range map[string]float64{
		"":                               0,
		"ein schöner Tag\n":              0,
		"日本語\ttext":                      0,
		"cut in a character\ufffd\ufffd": 0,
		"a\ufffdbc":                      0.25,
		"a\x00b\x07":                     0.5,
	} {
		if got := stray(text); got != want {
			t.Errorf("stray(%q) is %v, want %v", text, got, want)
		}
	}
}
