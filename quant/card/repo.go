package card

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/qbranch/qbranch/quant"
)

// mention is an address of a repository in the text.
type mention struct {
	hubURL
	before  string // what stands before it on the line, as far as the last mention
	section bool   // below a heading such as "Repositories available"
	code    bool   // in a block of code, or a command
}

var (
	quotedID     = regexp.MustCompile("(?:[\"'`]|download |serve |--model |--model-id )([A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95})(?:[\"'`:\\s]|$)")
	headingLine  = regexp.MustCompile(`(?i)^\s{0,3}(?:#{1,6}\s+|<h[1-6][^>]{0,200}>\s*|\*\*)(.*)$`)
	listsRepos   = regexp.MustCompile(`(?i)repositor(?:y|ies) available|available repositor|repositories|\brepos\b|other (?:formats?|quants?|quanti[sz]ations?|versions?)|(?:quant\w*|available) versions|quantized models|related models`)
	saysOriginal = regexp.MustCompile(`(?i)original|unquanti[sz]ed|\bfp16\b|float16|\bbf16\b|\bHF format\b|base model|full[- ]precision`)
)

// mentions lists the addresses on the hub line by line, which the parsed
// document would scatter over nodes, code and HTML.
func (r *reader) mentions() {
	section := false
	var f fence
	for line := range bytes.Lines(r.src) {
		line = bytes.TrimRight(line, "\n")
		s := string(line)
		code := f.inside(bytes.TrimLeft(line, " \t>"))
		if c := strings.TrimLeft(s, " "); !code && c != "" && strings.ContainsRune("#<*", rune(c[0])) {
			if m := headingLine.FindStringSubmatch(s); m != nil {
				section = listsRepos.MatchString(m[1])
			}
		}
		r.mentionsOf(s, section && !code, code || strings.Contains(s, "git clone"))
		if len(r.hub) >= maxMentions {
			return
		}
	}
}

func (r *reader) mentionsOf(s string, section, code bool) {
	last := 0
	for n := 0; n < 64; n++ {
		from := strings.Index(s[last:], "://")
		if from < 0 {
			return
		}
		from += last
		to := from + 3
		for to < len(s) && !strings.ContainsRune(" \t()<>\"'[]|`*{}", rune(s[to])) {
			to++
		}
		scheme := from
		for scheme > last && s[scheme-1] >= 'A' && s[scheme-1] <= 'z' && scheme > from-5 {
			scheme--
		}
		if u, ok := parseHubURL(strings.TrimRight(s[scheme:to], ".,;:!?\\")); ok {
			r.hub = append(r.hub, mention{u, s[max(last, scheme-300):scheme], section, code})
		}
		last = to
	}
}

// ids lists what stands in code and examples as owner/name.
func (r *reader) ids() []string {
	var list []string
	for line := range bytes.Lines(r.src) {
		if bytes.IndexByte(line, '/') < 0 {
			continue
		}
		for _, m := range quotedID.FindAllSubmatch(line, 8) {
			list = append(list, string(m[1]))
		}
		if len(list) > maxMentions {
			break
		}
	}
	return list
}

// readSiblings lists the same model's repositories: those below a heading that
// says so, then any other whose name differs only in the method, and the
// original.
func (r *reader) readSiblings() {
	seen := map[string]bool{}
	add := func(kind, repo string) {
		if !seen[strings.ToLower(repo)] && len(r.card.Repositories) < maxSiblings {
			seen[strings.ToLower(repo)] = true
			r.card.Repositories = append(r.card.Repositories, [2]string{kind, repo})
		}
	}
	for _, m := range r.hub {
		if m.section && m.kind == "" {
			add(r.kindOf(m), m.repo)
		}
	}
	if len(r.card.Repositories) > 1 {
		return // the card's own list is complete as far as it goes
	}
	own, repo := stem("/"+r.title), ""
	if r.card.Repo != nil {
		repo = *r.card.Repo
		own = stem(repo)
	}
	for _, m := range r.hub {
		switch {
		case own != "" && stem(m.repo) == own && m.repo != repo:
			add(r.kindOf(m), m.repo)
		case !m.code && m.kind == "" && originalOf.MatchString(m.before):
			add("original", m.repo)
		}
	}
	for _, id := range r.card.BaseModel {
		if repoID.MatchString(id) {
			add("original", id)
		}
	}
}

var (
	originalOf = regexp.MustCompile(`(?i)(?:original|base) (?:unquanti[sz]ed )?model\W{1,20}(?:\[[^\]]*\]\()?$|(?:quanti[sz]ations?|quants) of \[?[^\]]*\]?\(?$`)
	repoID     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$`)
)

// kindOf says what a repository holds, by its name, else by what stands before
// the link.
func (r *reader) kindOf(m mention) string {
	if method := methodInName(m.repo); method != "" {
		return display(method)
	}
	for _, id := range r.card.BaseModel {
		if strings.EqualFold(id, m.repo) {
			return "original"
		}
	}
	if saysOriginal.MatchString(m.before) {
		return "original"
	}
	if method := methodInText(m.before); m.section && method != "" {
		return display(method)
	}
	if r.card.Repo != nil && *r.card.Repo == m.repo {
		return display(r.card.Method)
	}
	return "original"
}

// methodInName is the method that a repository's name says, the last one.
func methodInName(repo string) string {
	_, name, _ := strings.Cut(repo, "/")
	found := ""
	for _, w := range wordOfText.FindAllString(name, 32) {
		if m := quant.MethodOf(w); m != "" {
			found = m
		}
	}
	return found
}

var stemWord = regexp.MustCompile(`^(?:[0-9]{1,2}bits?|u?int[0-9]{1,2}|w[0-9]{1,2}a[0-9]{1,2}|-?[0-9]{1,4}g|[0-9]{1,2}bpw|h[0-9]{1,2}|i1|imat|imatrix|quanti[sz]ed|quants?|fp16|bf16|fp32|hf|actorder|true|false|dynamic|marlin|sharded|[0-9])$`)

// quantisedName says that a repository's name, behind the model's, tells how it
// is quantised.
func quantisedName(repo string) bool {
	_, name, _ := strings.Cut(repo, "/")
	return slices.ContainsFunc(wordOfText.FindAllString(strings.ToLower(name), 32), func(w string) bool {
		return quant.MethodOf(w) != "" || widthWord.MatchString(w)
	})
}

var widthWord = regexp.MustCompile(`^(?:[2-8]bits?|u?int[2-8]|w[0-9]{1,2}a[0-9]{1,2}|[0-9]{1,2}bpw|quanti[sz]ed)$`)

// stem is what the repositories of one model have in common: the name without
// its owner, in lower case, without the words at its end that say how it is
// quantised.
func stem(repo string) string {
	_, name, _ := strings.Cut(repo, "/")
	words := wordOfText.FindAllString(strings.ToLower(name), 64)
	for i := len(words); i > 1; i-- {
		if w := words[i-1]; quant.MethodOf(w) == "" && !stemWord.MatchString(w) {
			return strings.Join(words[:i], "-")
		}
	}
	return strings.Join(words[:min(1, len(words))], "-")
}

// findRepo settles the repository. What the rows link to counts, the entry of
// the card's own method among the sister repositories, and the commands that
// fetch it; the first two that agree win, else the first there is.
func (r *reader) findRepo() {
	repo := mostOf(r.linked)
	listed := r.listedRepo()
	switch {
	case repo == "" && listed == "":
		repo = r.namedRepo()
	case repo == "":
		repo = listed
	case listed != "" && listed != repo && listed == r.namedRepo():
		repo = listed
	}
	if repo == "" {
		repo = r.inferredRepo()
	}
	if repo != "" {
		r.card.Repo = ptr(repo)
	}
	for i, to := range r.rowRepos {
		if to == "" || strings.EqualFold(to, repo) {
			continue
		}
		if i < len(r.card.Rows) {
			r.card.Rows[i].LinksToRepo = to
		} else if i < len(r.card.Files) {
			r.card.Files[i].LinksToRepo = to
		}
	}
}

// mostOf is the string that stands there most often, the first of equals.
func mostOf(list []string) string {
	counts, best := map[string]int{}, ""
	for _, s := range list {
		counts[s]++
	}
	for _, s := range list {
		if s != "" && (best == "" || counts[s] > counts[best]) {
			best = s
		}
	}
	return best
}

// ownMethod is the word for the card's own entry in a list of repositories.
func (r *reader) ownMethod() string {
	switch r.card.Layout {
	case "gptq8", "gptq10", "gptq-files":
		return "GPTQ"
	case "awq6":
		return "AWQ"
	case "gguf-files":
		return "GGUF"
	}
	return display(r.card.Method)
}

// listedRepo is the entry of the card's own method in the list of repositories.
func (r *reader) listedRepo() string {
	own := r.ownMethod()
	if own == "" {
		return ""
	}
	for _, m := range r.hub {
		if m.section && m.kind == "" && r.kindOf(m) == own {
			return m.repo
		}
	}
	if r.card.Layout != "none" {
		for _, m := range r.hub { // lists without a heading of their own
			if m.kind == "" && !m.code && methodInName(m.repo) == strings.ToLower(own) && strings.Contains(m.before, own) {
				return m.repo
			}
		}
	}
	return ""
}

// namedRepo is the repository that the title names, or that commands and examples
// name, if its name has the card's method or is the card's title, or is that of
// the base model with more behind it.
func (r *reader) namedRepo() string {
	if repoID.MatchString(r.title) && quantisedName(r.title) {
		return r.title
	}
	title := squeeze(r.title)
	fits := func(repo string) bool {
		_, name, _ := strings.Cut(repo, "/")
		if name = squeeze(name); name == title {
			return true
		}
		method := methodInName(repo)
		return method != "" && (method == r.card.Method || display(method) == r.ownMethod()) && (title == "" || related(title, repo))
	}
	for _, m := range r.hub {
		if m.code && fits(m.repo) {
			return m.repo
		}
	}
	for _, id := range r.ids() {
		if fits(id) {
			return id
		}
	}
	for _, id := range r.ids() {
		for _, base := range r.card.BaseModel {
			_, model, _ := strings.Cut(base, "/")
			if _, name, _ := strings.Cut(id, "/"); model != "" && len(name) > len(model) && strings.EqualFold(name[:len(model)], model) && quantisedName(id) {
				return id
			}
		}
	}
	for _, m := range r.hub { // also in a sentence, if it is the card's title to the letter
		if _, name, _ := strings.Cut(m.repo, "/"); title != "" && squeeze(name) == title {
			return m.repo
		}
	}
	return ""
}

// related says that the title has the model's name in it.
func related(title, repo string) bool {
	return strings.Contains(title, squeeze(stem(repo)))
}

// squeeze keeps letters and digits, in lower case.
func squeeze(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			return c
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		}
		return -1
	}, s)
}

var titleAsName = regexp.MustCompile(`^([A-Za-z]+)[A-Za-z0-9._-]*[-_](?:Int[248]|GPTQ|AWQ|GGUF|EXL2|EXL3|FP8)$`)

// inferredRepo puts a repository together where the card names it nowhere: from
// the title and a file's name or an owner's tag. It is a guess, and says so.
func (r *reader) inferredRepo() string {
	repo := ""
	title := squeeze(r.title)
	for _, f := range r.card.Files {
		name, owner := prefixLike(f.File, title), ""
		for _, m := range r.hub {
			if o, _, _ := strings.Cut(m.repo, "/"); name != "" && stem(m.repo) == stem("/"+name) && methodInName(m.repo) != "" {
				owner = o
				break
			}
		}
		if owner != "" {
			repo = owner + "/" + name
			break
		}
	}
	if m := titleAsName.FindStringSubmatch(r.title); repo == "" && m != nil && len(r.card.BaseModel) == 0 && r.card.QuantizedBy == nil {
		for _, t := range r.tags {
			if strings.EqualFold(t, m[1]) { // who made the model quantised it too
				repo = m[1] + "/" + r.title
				break
			}
		}
	}
	if repo != "" {
		r.note("REPO_INFERRED", "(card)", fmt.Sprintf("the card does not name its repository; by its title it is %s", repo))
	}
	return repo
}

// prefixLike is the beginning of a file's name that reads as the title.
func prefixLike(file, title string) string {
	for i := min(len(file), 200); i > 0 && title != ""; i-- {
		if squeeze(file[:i]) == title {
			return strings.TrimRight(file[:i], "-_.")
		}
	}
	return ""
}
