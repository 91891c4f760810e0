package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// saidText is a value of a parameter as people write it.
func saidText(parameter string, value any) string {
	switch v := value.(type) {
	case bool:
		return boolText(&v)
	case int:
		if parameter == "group_size" {
			return intText(&v)
		}
		return strconv.Itoa(v)
	case int64:
		return app.BytesText(v)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		if parameter == "commit" {
			return head(clean(v), 7)
		}
		return v
	}
	return ""
}

// parametersSheet is who says what of each parameter.
func parametersSheet(shown *app.Shown) *sheet {
	all := slices.DeleteFunc(slices.Clone(shown.Branch.Parameters), func(p app.Parameter) bool {
		return p.Value == nil && !slices.ContainsFunc(p.Says, func(s app.Said) bool { return s.Value != nil })
	})
	return &sheet{
		n: len(all), empty: "Nobody says anything of it.",
		columns: func(w int) []column {
			return flexible([]column{
				{title: "Parameter", width: 12, cell: func(i int) span { return span{plain, strings.ReplaceAll(all[i].Name, "_", " ")} }},
				{title: "Believed", cell: func(i int) span { return known(saidText(all[i].Name, all[i].Value)) }},
				{title: "From", cell: func(i int) span { return span{dim, all[i].From} }},
				{title: "Others", cell: func(i int) span { return others(all[i]) }},
			}, len(all), w)
		},
		title: func(i int) string { return strings.ReplaceAll(all[i].Name, "_", " ") },
		tell:  func(i, w int) []line { return parameterFacts(shown, all[i], w) },
	}
}

// others is whether the other sources agree.
func others(p app.Parameter) span {
	agree := 0
	var differ []string
	for _, s := range p.Says {
		switch {
		case s.Value == nil || s.Source == p.From:
		case s.Value == p.Value || p.Agree:
			agree++
		default:
			differ = append(differ, s.Source+" "+saidText(p.Name, s.Value))
		}
	}
	switch {
	case len(differ) > 0:
		return span{bad, "✗ " + strings.Join(differ, ", ")}
	case agree > 0:
		return span{good, "✓ " + plural(agree, "agrees", "agree")}
	}
	return span{dim, "nobody else"}
}

// parameterFacts says why a value is believed, and what each source says.
func parameterFacts(shown *app.Shown, p app.Parameter, w int) []line {
	out := fact("because", plain, p.Why, w)
	for _, s := range p.Says {
		text, r := saidText(p.Name, s.Value), plain
		switch {
		case s.Value == nil:
			continue
		case s.Value != p.Value && !p.Agree:
			r, text = bad, "✗ "+text
		case s.Source == p.From:
			r, text = accent, "▸ "+text
		default:
			r, text = good, "✓ "+text
		}
		out = append(out, fact("", r, text+"  "+s.Source, w)...)
	}
	var silent []string
	for _, s := range shown.Branch.Sources {
		switch s.State {
		case app.SourceUnread:
			silent = append(silent, s.Source)
		case app.SourceUnreadable:
			out = append(out, fact("unreadable", warn, s.Source+": "+s.Detail, w)...)
		}
	}
	if len(silent) > 0 {
		out = append(out, fact("not asked", dim, strings.Join(silent, ", "), w)...)
	}
	return out
}

// remarkOn is something that is wrong with a branch, or worth knowing.
type remarkOn struct {
	rank        int // of what is told first
	role        role
	word, code  string
	where, text string
	facts       [][2]string
}

// remarksOn are the findings, the programs that take it for something else, what
// could not be read, and notes; the worst first.
func remarksOn(s *app.Shown) []remarkOn {
	var out []remarkOn
	for _, f := range s.Findings {
		r := remarkOn{rank: 5, role: findingRole(f), word: "· " + string(f.Severity), code: f.Code, where: f.Where, text: f.Message,
			facts: [][2]string{{"found", f.Got}, {"expected", f.Want}, {"do", f.Hint}}}
		switch f.Severity {
		case app.Fatal:
			r.rank, r.word = 0, "✗ fatal"
		case app.Warn:
			r.rank, r.word = 1, "! warn"
		}
		out = append(out, r)
	}
	for _, l := range s.Loaders {
		switch {
		case l.Problem != "":
			out = append(out, remarkOn{2, warn, "! refuses", l.Name, l.File, l.Problem, nil})
		case len(l.Misled) > 0:
			out = append(out, remarkOn{2, warn, "! misled", l.Name, "", "believes: " + misledText(l), [][2]string{{"reads", orAny(l.File, "no configuration: its own defaults")}}})
		}
	}
	for _, u := range s.Unread {
		out = append(out, remarkOn{3, warn, "? not read", "", "", u, nil})
	}
	for _, n := range s.Notes {
		out = append(out, remarkOn{4, plain, "· note", n.Code, noneIf(n.Branch, s.Branch.Branch), n.Message, nil})
	}
	slices.SortStableFunc(out, func(a, b remarkOn) int { return cmp.Compare(a.rank, b.rank) })
	return out
}

// misledText is what a program takes a branch for, where that is wrong.
func misledText(l app.Reading) string {
	var takes []string
	for _, name := range l.Misled {
		value := map[string]string{"bits": fmt.Sprint(l.Bits), "group_size": intText(&l.GroupSize), "act_order": boolText(l.ActOrder),
			"sym": boolText(l.Sym), "format": l.Format}[name]
		takes = append(takes, strings.ReplaceAll(name, "_", " ")+" "+value)
	}
	return strings.Join(takes, ", ")
}

func findingsSheet(shown *app.Shown) *sheet {
	all := remarksOn(shown)
	return &sheet{
		n: len(all), empty: "Nothing is wrong with it, as far as can be told without its weights: v verifies those once they are here.",
		columns: func(w int) []column {
			cols := []column{
				{title: "Severity", width: 10, cell: func(i int) span { return span{all[i].role, all[i].word} }},
				{title: "Code", cell: func(i int) span { return span{plain, all[i].code} }},
				{title: "What", cell: func(i int) span { return span{plain, all[i].text} }},
			}
			return flexible(cols, len(all), w)
		},
		title: func(i int) string { return orAny(all[i].code, strings.TrimLeft(all[i].word, "?!· ")) },
		tell: func(i, w int) []line {
			r := all[i]
			out := fact(strings.TrimLeft(r.word, "✗!·? "), r.role, r.text, w)
			if r.where != "" {
				out = append(out, fact("where", plain, r.where, w)...)
			}
			for _, f := range r.facts {
				if f[1] != "" {
					out = append(out, fact(f[0], plain, f[1], w)...)
				}
			}
			return out
		},
	}
}

// memorySheet is the estimate, term by term. unusable says what but memory speaks
// against the branch: then it is no matter whether there is enough.
func memorySheet(e app.Estimate, cpu *app.EstimateSummary, unusable string) *sheet {
	if len(e.Terms) == 0 {
		return &sheet{empty: "How much memory it needs is not known: " + orAny(e.Why, "nothing is known of the weights")}
	}
	terms := append(slices.Clone(e.Terms), app.EstimateTerm{Name: "= need", Range: e.Need})
	cell := func(n func(t app.EstimateTerm) int64) func(i int) span {
		return func(i int) span {
			r := plain
			if i == len(terms)-1 {
				r = title
			}
			return span{r, gibText(n(terms[i]))}
		}
	}
	return &sheet{
		n: len(terms),
		columns: func(w int) []column {
			cols := []column{
				{title: "Term", width: 20, cell: func(i int) span { return span{plain, terms[i].Name} }},
				{title: "Low", width: 7, right: true, cell: cell(func(t app.EstimateTerm) int64 { return t.Low })},
				{title: "Expected", width: 8, right: true, cell: cell(func(t app.EstimateTerm) int64 { return t.Expected })},
				{title: "High GiB", width: 8, right: true, cell: cell(func(t app.EstimateTerm) int64 { return t.High })},
			}
			if w >= tableWidth(cols)+10 {
				cols = append(cols, column{title: "Source", cell: func(i int) span { return span{dim, string(terms[i].Source)} }})
			}
			return flexible(cols, len(terms), w)
		},
		title: func(i int) string { return strings.TrimPrefix(terms[i].Name, "= ") },
		tell: func(i, w int) []line {
			t := terms[i]
			if i == len(terms)-1 {
				return fact("formula", dim, "the sum of the terms", w)
			}
			return append(fact("formula", plain, orAny(t.Formula, "not said"), w), fact("source", dim, string(t.Source), w)...)
		},
		after: func(w int) []line {
			if unusable != "" {
				return fact("fit", bad, "✗ unusable: "+unusable, w)
			}
			if cpu == nil {
				return verdictFacts(e, w)
			}
			v := verdictSpan(cpu.Verdict)
			return append(fact("in RAM", v.role, v.text+": qbranch gen needs "+app.GiBText(cpu.Need.Expected), w), verdictFacts(e, w)...)
		},
	}
}

// gibText is a number of bytes in GiB; what is not nothing is not shown as such.
func gibText(n int64) string {
	if a := abs(n); a > 0 && a < 1<<30/200 {
		return "<0.01"
	}
	return strconv.FormatFloat(float64(n)/(1<<30), 'f', 2, 64)
}

// verdictFacts say whether a need is met, and what would help.
func verdictFacts(e app.Estimate, w int) []line {
	var out []line
	sign, r := verdictSign(e.Verdict)
	for _, c := range e.Cards {
		v := verdictSpan(c.Verdict)
		out = append(out, fact("fit", v.role, fmt.Sprintf("%s: %s has %s", v.text, c.Card, app.GiBText(c.Available)), w)...)
	}
	switch {
	case len(e.Cards) == 0 && e.Why != "":
		out = append(out, fact("on a card", r, sign+" "+e.Why, w)...)
	case len(e.Cards) == 0:
		out = append(out, fact("fit", dim, "no graphics card is known: p on the table of branches plans with another", w)...)
	case e.MaxContext > 0:
		out = append(out, fact("context", plain, fmt.Sprintf("fits up to %d tokens", e.MaxContext), w)...)
	case e.MaxContextTight > 0:
		out = append(out, fact("context", plain, fmt.Sprintf("tight up to %d tokens", e.MaxContextTight), w)...)
	}
	if e.Context > 0 {
		out = append(out, fact("measured", dim, measuredFor(e.Summary), w)...)
	}
	for i, a := range e.Advice {
		label := ""
		if i == 0 {
			label = "would fit"
		}
		out = append(out, fact(label, plain, "with "+a.Text, w)...)
	}
	for _, n := range e.Notes {
		out = append(out, fact("note", dim, n, w)...)
	}
	return out
}

func engineText(id string) string {
	if id == "" || id == "generic" {
		return "any engine"
	}
	return id
}

// loadsSpan is a sign and a word for what a program does.
func loadsSpan(loads string) span {
	switch loads {
	case "yes":
		return span{good, "✓ yes"}
	case "caveat":
		return span{warn, "~ caveat"}
	case "no":
		return span{bad, "✗ no"}
	}
	return span{dim, "? unknown"}
}

func enginesSheet(shown *app.Shown) *sheet {
	all := shown.Engines
	doubtful := slices.ContainsFunc(shown.Findings, func(f app.Finding) bool { return f.Severity == app.Fatal })
	return &sheet{
		n: len(all), empty: "Which engines load it is not known.",
		columns: func(w int) []column {
			return flexible([]column{
				{title: "Engine", cell: func(i int) span { return span{plain, all[i].Name} }},
				{title: "Loads", width: 9, cell: func(i int) span { return loadsSpan(string(all[i].Loads)) }},
				{title: "Why", cell: func(i int) span { return span{dim, whyLoads(all[i])} }},
			}, len(all), w)
		},
		title: func(i int) string { return all[i].Name },
		tell:  func(i, w int) []line { return engineFacts(all[i], doubtful, w) },
	}
}

// whyLoads is what decides, else the kernels that load it.
func whyLoads(e app.ProgramVerdict) string {
	if len(e.Why) == 0 {
		return strings.Join(e.Best(), ", ")
	}
	return strings.Join(e.Why, "; ")
}

func engineFacts(e app.ProgramVerdict, doubtful bool, w int) []line {
	st := loadsSpan(string(e.Loads))
	out := fact("loads it", st.role, st.text, w)
	if doubtful {
		out = append(out, fact("", warn, "were it what it claims: fatal findings say that it is not", w)...)
	}
	for i, why := range e.Why {
		out = append(out, fact([]string{"because", ""}[min(i, 1)], plain, why, w)...)
	}
	for _, k := range e.Kernels {
		if len(e.Kernels) < 2 && k.Needs == "" {
			continue
		}
		st := loadsSpan(string(k.Loads))
		text := st.text + "  " + k.Name
		if k.Needs != "" {
			text += ", needs " + k.Needs
		}
		for _, why := range k.Why {
			if !slices.Contains(e.Why, why) {
				text += ": " + why
				break
			}
		}
		r := plain
		if k.Loads == "no" || k.Loads == "unknown" {
			r = dim
		}
		out = append(out, fact("", r, text, w)...)
	}
	return out
}

func filesSheet(shown *app.Shown) *sheet {
	all := shown.Files
	total := int64(0)
	for _, f := range all {
		total += f.Size
	}
	return &sheet{
		n: len(all), empty: "No file of it is known.",
		columns: func(w int) []column {
			return flexible([]column{
				{title: "File", cell: func(i int) span { return span{plain, all[i].Path} }},
				{title: "Size", width: 9, right: true, cell: func(i int) span { return span{plain, app.BytesText(all[i].Size)} }},
				{title: "Here", width: 4, cell: func(i int) span {
					if all[i].Held {
						return span{good, "●"}
					}
					return known("")
				}},
				{title: "Digest", cell: func(i int) span { return span{dim, digestText(all[i])} }},
			}, len(all), w)
		},
		title: func(i int) string { return all[i].Path },
		tell: func(i, w int) []line {
			f := all[i]
			out := fact("size", plain, fmt.Sprintf("%d bytes, %s", f.Size, app.BytesText(f.Size)), w)
			if f.SHA256 != "" {
				out = append(out, fact("sha256", plain, f.SHA256, w)...)
			}
			if f.GitOID != "" {
				out = append(out, fact("git blob", plain, f.GitOID, w)...)
			}
			if f.SHA256 == "" && f.GitOID == "" {
				out = append(out, fact("digest", dim, "nobody has computed one", w)...)
			}
			if f.Held {
				out = append(out, fact("here", good, "● the store has it", w)...)
			}
			return out
		},
		after: func(w int) []line {
			return fact("together", dim, fmt.Sprintf("%s, %s", plural(len(all), "file", "files"), app.BytesText(total)), w)
		},
	}
}

func digestText(f app.ShownFile) string {
	switch {
	case f.SHA256 != "":
		return "sha256 " + f.SHA256
	case f.GitOID != "":
		return "git " + f.GitOID
	}
	return "·"
}

// cardSheet is what the card says of the whole repository.
func cardSheet(shown *app.Shown) *sheet {
	c := shown.Card
	if c == nil {
		return &sheet{empty: "There is no card."}
	}
	type cardFact struct{ name, text string }
	var all []cardFact
	add := func(name, text string) {
		if strings.TrimSpace(text) != "" {
			all = append(all, cardFact{name, text})
		}
	}
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	add("repository", text(c.Repo))
	add("method", c.Method)
	add("base model", orAny(strings.Join(c.BaseModel, ", "), c.ModelLink))
	add("model type", text(c.ModelType))
	add("quantised by", text(c.QuantizedBy))
	add("licence", c.License)
	add("languages", strings.Join(c.Languages, ", "))
	add("of the branch", shown.Branch.Description)
	if g := c.Gated; g != nil {
		add("asks for", strings.Join(g.Fields, ", "))
		add("terms", strings.TrimSpace(g.Heading+"\n"+g.Prompt))
	}
	if prompt := strings.Trim(text(c.PromptName)+"\n"+c.PromptTemplate, "\n"); prompt != "" {
		add("prompt", prompt)
	}
	return &sheet{
		n: len(all), empty: "The card says nothing of it.",
		columns: func(w int) []column {
			return flexible([]column{
				{title: "Card", width: 13, cell: func(i int) span { return span{dim, all[i].name} }},
				{title: "Says", cell: func(i int) span { return span{plain, oneLine.Replace(all[i].text)} }},
			}, len(all), w)
		},
		title: func(i int) string { return all[i].name },
		tell: func(i, w int) []line {
			var out []line
			for _, row := range wrap(all[i].text, w-4) {
				out = append(out, say(plain, "   "+row))
			}
			return out
		},
	}
}

// siblingsSheet is where one can walk from here.
func (s *detailScreen) siblingsSheet(m *model) *sheet {
	all := s.siblings()
	listed := make(map[app.Ref]*app.BranchRow)
	for i, r := range m.branches.all() {
		listed[m.branches.ref(r.Branch)] = &m.branches.all()[i]
	}
	row := func(i int) *app.BranchRow { return listed[all[i].ref] }
	return &sheet{
		n: len(all), empty: "No other branch and no other form of the model is known.",
		columns: func(w int) []column {
			return flexible(without([]column{
				{title: "Kind", width: 10, cell: func(i int) span { return span{dim, all[i].kind} }},
				{title: "Name", cell: func(i int) span { return span{plain, all[i].name} }},
				{title: "Local", width: 10, cell: func(i int) span {
					if r := row(i); r != nil {
						return m.branches.local(m, *r)
					}
					return span{}
				}},
			}, len(all)), len(all), w)
		},
		title: func(i int) string { return all[i].name },
		tell: func(i, w int) []line {
			if all[i].ref.Revision == "" {
				return fact(all[i].kind, plain, "the same model in another form; enter lists its branches", w)
			}
			r := row(i)
			if r == nil {
				return fact("branch", plain, "of the same repository; enter shows all of it", w)
			}
			return append(fact("quant", plain, paramsText(*r), w), fact("size", plain, sizeText(*r), w)...)
		},
	}
}
