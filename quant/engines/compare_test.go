package engines

import (
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	for _, tc := range []struct {
		name string
		said []Statement
		s    Subject
		want []string // engine: part of the message
	}{
		// The column speaks of the first ExLlama: it is right, and not all there is to say.
		{"a 4-bit Mixtral", CardStatements(ptr(false), ""), mixtral(4, 128),
			[]string{"exllamav2: the card's “ExLlama: No” means the first ExLlama; ExLlamaV2 loads it"}},
		{"a 3-bit Mixtral", CardStatements(ptr(false), ""), mixtral(3, 128), nil},
		{"a 4-bit Llama", CardStatements(ptr(true), ""), dense(nil), nil},
		{"a 4-bit Llama that the card denies", CardStatements(ptr(false), ""), dense(nil), []string{"exllama: the card says “ExLlama: No”; ExLlama loads it by now: yes"}},
		{"a 4-bit Mixtral that the card allows", CardStatements(ptr(true), ""), mixtral(4, 32),
			[]string{"exllama: the card says “ExLlama: Yes”; ExLlama does not load it: architecture mixtral: ExLlama runs llama and mistral only; ExLlamaV2: yes"}},
		{"an 8-bit Llama that the card allows", CardStatements(ptr(true), ""), dense(func(s *Subject) { s.Bits = 8 }),
			[]string{"exllama: the card says “ExLlama: Yes”; ExLlama does not load it: 8-bit"}},
		{"nothing said", CardStatements(nil, "4-bit, with Act Order."), mixtral(4, 128), nil},
		{"a description", CardStatements(nil, "Fast. Not compatible with AutoGPTQ. Works with vLLM."), dense(nil),
			[]string{"autogptq: the card says “Not compatible with AutoGPTQ”; AutoGPTQ loads it by now: yes (exllamav2, exllama, marlin and 3 kernels more)"}},
		{"a description of 3 bits", CardStatements(nil, "Runs in TGI."), dense(func(s *Subject) { s.Bits = 3 }),
			[]string{"tgi: the card says “Runs in TGI”; TGI does not load it: 3-bit: TGI has 2-, 4- and 8-bit kernels only"}},
		{"a section", SectionStatements("# A\n\n## Serving it with Text Generation Inference (TGI)\n\nSo far not supported for this kind of model.\n\n## More\n\nvLLM"), mixtral(4, 128),
			[]string{"tgi: the card says “not supported for this kind of model”; TGI loads it by now: yes (marlin, ipex)"}},
		{"the same section, rightly", SectionStatements("## TGI\nNot currently supported."), mixtral(3, 128), nil},
		{"a section that says nothing of it", SectionStatements("## TGI\nUse version 1.1.\n## vLLM\nThat is not yet supported by this card's author."), dense(nil),
			[]string{"vllm: the card says “not yet supported by this card's author”; vLLM loads it by now: yes (marlin)"}},
		{"not known here", []Statement{{"exllama", false, "no"}, {"nobody", true, "yes"}}, Subject{}, nil},
	} {
		got := Compare(tc.said, Families(Evaluate(tc.s)))
		if len(got) != len(tc.want) {
			t.Errorf("%s: %+v, want %d remarks", tc.name, got, len(tc.want))
			continue
		}
		for i, r := range got {
			if !strings.HasPrefix(r.Engine+": "+r.Message, tc.want[i]) {
				t.Errorf("%s: %s: %q, want %q", tc.name, r.Engine, r.Message, tc.want[i])
			}
		}
	}
}

// Whatever a card holds, reading it ends, and says no program's name but known ones.
func FuzzStatements(f *testing.F) {
	f.Add("works with ExLlama. not loaded by TGI", "## TGI\nnot supported")
	f.Add("does not work in vLLM\x00\xff", "# vLLM\n#")
	f.Fuzz(func(t *testing.T, description, card string) {
		for _, s := range append(CardStatements(nil, description), SectionStatements(card)...) {
			if _, ok := Lookup(s.Engine); !ok || len(s.Text) > 600 {
				t.Errorf("%+v", s)
			}
		}
	})
}
