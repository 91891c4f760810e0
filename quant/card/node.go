package card

import (
	"bytes"
	"net/url"
	"regexp"
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/util"
)

// text is what a reader sees of a node, on one line, without footnotes in
// superscript and without pictures. With marks, emphasis keeps its stars, as
// descriptions do in the JSON of a card, and nothing is left out.
func (r *reader) text(n ast.Node, marks bool) string {
	var b strings.Builder
	sup := false
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the visitor returns no error
		switch n := n.(type) {
		case *ast.Image:
			if !marks {
				return ast.WalkSkipChildren, nil
			}
		case *ast.Link:
			if r.isFootnote(n) {
				return ast.WalkSkipChildren, nil
			}
		case *ast.Emphasis:
			if marks {
				b.WriteString(strings.Repeat("*", n.Level))
			}
		case *ast.Text:
			if !entering || sup && !marks {
				break
			}
			b.Write(visible(n, r.src))
			if n.SoftLineBreak() || n.HardLineBreak() {
				b.WriteByte(' ')
			}
		case *ast.String:
			if entering {
				b.Write(n.Value)
			}
		case *ast.AutoLink:
			if entering {
				b.Write(n.Label(r.src))
			}
		case *ast.RawHTML:
			switch tag := r.tagOf(n); tag.name {
			case "br":
				b.WriteByte(' ')
			case "sup":
				sup = !tag.closing
			}
			return ast.WalkSkipChildren, nil
		}
		return ast.WalkContinue, nil
	})
	return oneLine(b.String())
}

// isFootnote says that a link is a footnote's mark, "[^1]", which is a link to
// those who do not know footnotes.
func (r *reader) isFootnote(n *ast.Link) bool {
	t, ok := n.FirstChild().(*ast.Text)
	return ok && n.ChildCount() == 1 && bytes.HasPrefix(t.Segment.Value(r.src), []byte("^"))
}

// visible resolves entities and backslash escapes, except inside a code span.
func visible(n *ast.Text, src []byte) []byte {
	raw := n.Segment.Value(src)
	if n.IsRaw() {
		return raw
	}
	if p := n.Parent(); p != nil && p.Kind() == ast.KindCodeSpan {
		return raw
	}
	return util.UnescapePunctuations(util.ResolveEntityNames(util.ResolveNumericReferences(raw)))
}

// tagOf reads an HTML tag inside a line of text.
func (r *reader) tagOf(n *ast.RawHTML) tag {
	var b strings.Builder
	for i := range n.Segments.Len() {
		seg := n.Segments.At(i)
		b.Write(seg.Value(r.src))
	}
	return parseTag(b.String())
}

// altText is the text of the pictures under a node.
func (r *reader) altText(n ast.Node) string {
	var list []string
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the visitor returns no error
		img, ok := n.(*ast.Image)
		if !ok || !entering {
			return ast.WalkContinue, nil
		}
		for c := img.FirstChild(); c != nil; c = c.NextSibling() {
			list = append(list, r.text(c, false))
		}
		return ast.WalkSkipChildren, nil
	})
	return oneLine(strings.Join(list, " "))
}

// codeText is the first code span under a node.
func (r *reader) codeText(n ast.Node) string {
	found := ""
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the visitor returns no error
		if n.Kind() == ast.KindCodeSpan && entering {
			found = r.text(n, false)
			return ast.WalkStop, nil
		}
		return ast.WalkContinue, nil
	})
	return found
}

// hubURL is an address on the hub: of a repository, or of a branch or file in it.
type hubURL struct {
	repo string // owner/name; "" where a link within a repository does not say
	kind string // "", "tree", "blob" or "resolve"
	rest string // branch, or branch/path
}

// link is a link and its text.
type link struct {
	hubURL
	ok   bool // it leads to the hub
	text string
	dest string
}

var (
	repoPart = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$`)
	hubHost  = regexp.MustCompile(`(?i)^https?://(?:www\.)?(?:huggingface\.co|hf\.co|hf-mirror\.com)/`)
	inside   = regexp.MustCompile(`^(?:\.{1,2}/)*(tree|blob|resolve)/(.+)$`)
)

// parseHubURL reads an address of a model on the hub, in full or as a card of a
// repository may shorten it: "/owner/name/tree/b", "../tree/b", "tree/b".
func parseHubURL(s string) (hubURL, bool) {
	if len(s) > 2048 {
		return hubURL{}, false
	}
	if m := inside.FindStringSubmatch(s); m != nil {
		rest, err := url.PathUnescape(m[2])
		return hubURL{kind: m[1], rest: cleanRest(rest)}, err == nil
	}
	path := s
	if host := hubHost.FindString(s); host != "" {
		path = s[len(host):]
	} else if !strings.HasPrefix(s, "/") || !strings.Contains(s, "/tree/") && !strings.Contains(s, "/blob/") && !strings.Contains(s, "/resolve/") {
		return hubURL{}, false
	}
	path, _, _ = strings.Cut(path, "#")
	path, _, _ = strings.Cut(path, "?")
	path, err := url.PathUnescape(path)
	if err != nil {
		return hubURL{}, false
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) > 2 && parts[0] == "models" {
		parts = parts[1:]
	}
	if len(parts) < 2 || !repoPart.MatchString(parts[0]) || !repoPart.MatchString(parts[1]) {
		return hubURL{}, false
	}
	switch parts[0] {
	case "datasets", "spaces", "docs", "blog", "papers", "collections", "models", "join", "settings", "organizations", "api":
		return hubURL{}, false
	}
	h := hubURL{repo: parts[0] + "/" + parts[1]}
	if len(parts) > 2 {
		h.kind, h.rest = parts[2], cleanRest(strings.Join(parts[3:], "/"))
	}
	return h, true
}

func cleanRest(s string) string { return strings.Trim(oneLine(s), "/") }

// links lists the links under a node, in order, also those of HTML.
func (r *reader) links(n ast.Node) []link {
	var list []link
	open := -1 // the link of HTML that is open
	add := func(dest, text string) {
		u, ok := parseHubURL(dest)
		list = append(list, link{u, ok, text, oneLine(dest)})
	}
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the visitor returns no error
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Link:
			if !r.isFootnote(n) {
				add(string(n.Destination), r.text(n, false))
			}
			return ast.WalkSkipChildren, nil
		case *ast.AutoLink:
			add(string(n.URL(r.src)), string(n.Label(r.src)))
		case *ast.RawHTML:
			switch tag := r.tagOf(n); {
			case tag.name == "a" && tag.closing:
				open = -1
			case tag.name == "a" && tag.attr("href") != "":
				open = len(list)
				add(tag.attr("href"), "")
			}
		case *ast.Text:
			if open >= 0 && len(list[open].text) < 400 {
				list[open].text = oneLine(list[open].text + " " + string(visible(n, r.src)))
			}
		}
		return ast.WalkContinue, nil
	})
	return list
}

// code is the text of a code block, its lines as they are.
func (r *reader) code(n ast.Node) string {
	var b strings.Builder
	for i := range n.Lines().Len() {
		seg := n.Lines().At(i)
		b.Write(seg.Value(r.src))
	}
	return b.String()
}

// firstHeading is the text of the first heading.
func (r *reader) firstHeading() string {
	for n := r.docs.FirstChild(); n != nil; n = n.NextSibling() {
		if n.Kind() == ast.KindHeading {
			return r.text(n, false)
		}
	}
	return ""
}

var (
	promptHeading = regexp.MustCompile(`(?i)^(?:the |recommended |suggested )?(?:prompt(?:ing)?|chat|instruction|instruct)[ -]?(?:template|format|style)s?\b\s*(.*)$`)
	promptType    = regexp.MustCompile(`(?i)^(?:prompt )?type: ?([^\s]{1,40})$`)
)

// readPrompt finds the heading of the prompt template and, unless the front
// matter gave the template, the first code block below it. The heading may be a
// paragraph in bold, or an item of a list. Of several, the first with a name and
// the first with a template count.
func (r *reader) readPrompt() {
	within, given := false, r.card.PromptTemplate != ""
	_ = ast.Walk(r.docs, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the visitor returns no error
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n.Kind() {
		case ast.KindHeading, ast.KindParagraph, ast.KindTextBlock:
			if n.Kind() == ast.KindHeading || isItem(n) || isBold(n) {
				within = r.readPromptHeading(n, within)
			}
			return ast.WalkSkipChildren, nil
		case ast.KindFencedCodeBlock, ast.KindCodeBlock:
			if !within {
				return ast.WalkSkipChildren, nil
			}
			if !given {
				r.card.PromptTemplate = clean(r.code(n))
			}
			return ast.WalkStop, nil
		}
		return ast.WalkContinue, nil
	})
}

// readPromptHeading reads a text that may announce the template, or name it, and
// says whether what follows is below such a heading.
func (r *reader) readPromptHeading(n ast.Node, within bool) bool {
	text := r.text(n, false)
	m := promptHeading.FindStringSubmatch(text)
	kind := promptType.FindStringSubmatch(text)
	switch {
	case m != nil && (m[1] == "" || strings.ContainsAny(m[1][:1], ":(-") || strings.HasPrefix(m[1], "–") || strings.HasPrefix(m[1], "—")):
		if name := strings.Trim(m[1], " ():–—-"); name != "" && r.card.PromptName == nil {
			r.card.PromptName = ptr(name)
		}
		return true
	case isItem(n): // an item ends nothing
		if kind != nil && within && r.card.PromptName == nil {
			r.card.PromptName = ptr(kind[1])
		}
		return within
	}
	return m != nil // "Prompt format of this model": no name
}

// isItem says that a text stands in a list.
func isItem(n ast.Node) bool { return n.Parent() != nil && n.Parent().Kind() == ast.KindListItem }

// isBold says that a paragraph is one run of bold text.
func isBold(n ast.Node) bool {
	e, ok := n.FirstChild().(*ast.Emphasis)
	return ok && e.Level == 2 && (n.ChildCount() == 1 || n.ChildCount() == 2)
}
