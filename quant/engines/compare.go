package engines

import (
	"fmt"
	"regexp"
	"strings"
)

// Statement is what a model card says of a program and a checkpoint.
type Statement struct {
	Engine string // ID of a program
	Loads  bool
	Text   string // as the card has it, shortened
}

// Remark is a place where a card and the table differ.
type Remark struct {
	Engine  string // ID of the program
	Message string // what both say
}

// claim is a way in which cards speak of a program; its one group names it.
type claim struct {
	re    *regexp.Regexp
	loads bool
}

const (
	claimNames = `(exllamav2|exllama|autogptq|gptq-for-llama|vllm|sglang|tgi|text[ -]generation[ -]inference|text-generation-webui|transformers)`
	claimNo    = `(?i)\b(?:not|won't|doesn't|cannot|can't|isn't)\b[^.!?|]{0,30}\b`
	claimVerb  = `(?:works?|loads?|loaded|compatible|supported|runs?)`
)

// claims, a no before a yes.
var claims = []claim{
	{regexp.MustCompile(claimNo + claimVerb + `\b[^.!?|]{0,15}\b(?:with|in|by)\s+` + claimNames), false},
	{regexp.MustCompile(`(?i)\b` + claimVerb + `\s+(?:with|in|by)\s+` + claimNames), true},
}

// headings are a section about a program and the sentence that says no.
var (
	headingTGI   = regexp.MustCompile(`(?im)^#{1,4}[^\n]*text[ -]generation[ -]inference|(?im)^#{1,4}[^\n]*\bTGI\b`)
	headingVLLM  = regexp.MustCompile(`(?im)^#{1,4}[^\n]*\bvLLM\b`)
	notSupported = regexp.MustCompile(`(?i)\bnot\s+(?:currently|yet)?\s*supported\b[^\n.]{0,80}`)
)

// maxCard bounds what is searched of a card, in bytes.
const maxCard = 1 << 20

// CardStatements reads what a card's row says of programs: its ExLlama column,
// nil where there is none, and its description.
func CardStatements(exllama *bool, description string) []Statement {
	var list []Statement
	if exllama != nil {
		text := "ExLlama: No"
		if *exllama {
			text = "ExLlama: Yes"
		}
		list = append(list, Statement{Engine: "exllama", Loads: *exllama, Text: text})
	}
	return append(list, sentences(description)...)
}

// sentences finds claims in running text; of several about one program the first
// counts, and a no before a yes.
func sentences(text string) []Statement {
	var list []Statement
	seen := map[string]bool{}
	text = text[:min(len(text), 4096)]
	for _, c := range claims {
		for _, m := range c.re.FindAllStringSubmatch(text, -1) {
			id := engineNamed(m[1])
			if !seen[id] {
				seen[id] = true
				list = append(list, Statement{Engine: id, Loads: c.loads, Text: short(m[0])})
			}
		}
	}
	return list
}

// SectionStatements reads the sections of a card about serving with TGI and
// vLLM: some say there that the program does not support the model.
func SectionStatements(card string) []Statement {
	card = card[:min(len(card), maxCard)]
	var list []Statement
	for _, s := range []struct {
		re *regexp.Regexp
		id string
	}{{headingTGI, "tgi"}, {headingVLLM, "vllm"}} {
		at := s.re.FindStringIndex(card)
		if at == nil {
			continue
		}
		_, section, _ := strings.Cut(card[at[0]:], "\n")
		if next := strings.Index(section, "\n#"); next >= 0 {
			section = section[:next]
		}
		if m := notSupported.FindString(section); m != "" {
			list = append(list, Statement{Engine: s.id, Loads: false, Text: short(m)})
		}
	}
	return list
}

func engineNamed(name string) string {
	switch name = strings.ToLower(name); name {
	case "text-generation-webui":
		return "textgen"
	case "tgi", "text generation inference", "text-generation-inference", "text generation-inference", "text-generation inference":
		return "tgi"
	}
	return name
}

// short is a claim in one line.
func short(text string) string {
	return shown(strings.Join(strings.Fields(text), " "), 120)
}

// Compare sets what a card says beside the verdicts and remarks where the two
// differ, or where a no about ExLlama hides that its successor loads it. What is
// unknown here contradicts nothing.
func Compare(said []Statement, families []FamilyVerdict) []Remark {
	verdict := map[string]FamilyVerdict{}
	for _, f := range families {
		verdict[f.ID] = f
	}
	var remarks []Remark
	for _, s := range said {
		f, ok := verdict[s.Engine]
		if !ok || f.Loads == Unknown {
			continue
		}
		loads := f.Loads != No
		successor, hasNext := verdict["exllamav2"]
		next := s.Engine == "exllama" && hasNext && successor.Loads.rank() < Unknown.rank()
		switch {
		case s.Loads == loads && (loads || !next):
		case s.Loads == loads:
			text := fmt.Sprintf("the card's “%s” means the first ExLlama; ExLlamaV2 loads it", s.Text)
			if successor.Loads != Yes {
				text += " " + successor.Line()
			}
			remarks = append(remarks, Remark{"exllamav2", text})
		case loads:
			remarks = append(remarks, Remark{f.ID, fmt.Sprintf("the card says “%s”; %s loads it by now: %s", s.Text, f.Name, f.Line())})
		default:
			text := fmt.Sprintf("the card says “%s”; %s does not load it: %s", s.Text, f.Name, first(f.Why))
			if next {
				text += "; ExLlamaV2: " + successor.Line()
			}
			remarks = append(remarks, Remark{f.ID, text})
		}
	}
	return remarks
}

func first(why []string) string {
	if len(why) == 0 {
		return "no reason"
	}
	return why[0]
}
