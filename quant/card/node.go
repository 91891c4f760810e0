package card

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/util"
)

// text is what a reader sees of a node, on one line. With marks, emphasis keeps
// its stars, as descriptions do in the JSON of a card.
func (r *reader) text(n ast.Node, marks bool) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the visitor returns no error
		switch n := n.(type) {
		case *ast.Emphasis:
			if marks {
				b.WriteString(strings.Repeat("*", n.Level))
			}
		case *ast.Text:
			if !entering {
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
			return ast.WalkSkipChildren, nil
		}
		return ast.WalkContinue, nil
	})
	return oneLine(b.String())
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

// hubURL is an address on the hub: of a repository, or of a branch or file in it.
type hubURL struct {
	repo string // owner/name
	kind string // "", "tree", "blob" or "resolve"
	rest string // branch, or branch/path
}

// link is a link to the hub and its text.
type link struct {
	hubURL
	text string
}

var repoPart = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$`)

func parseHubURL(s string) (hubURL, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return hubURL{}, false
	}
	switch strings.TrimPrefix(strings.ToLower(u.Host), "www.") {
	case "huggingface.co", "hf.co", "hf-mirror.com":
	default:
		return hubURL{}, false
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(parts) < 2 || !repoPart.MatchString(parts[0]) || !repoPart.MatchString(parts[1]) {
		return hubURL{}, false
	}
	switch parts[0] {
	case "datasets", "spaces", "docs", "blog", "papers", "collections":
		return hubURL{}, false
	}
	h := hubURL{repo: parts[0] + "/" + parts[1]}
	if len(parts) > 2 {
		h.kind, h.rest = parts[2], oneLine(strings.Join(parts[3:], "/"))
	}
	return h, true
}

// links lists the links to the hub under a node, in order.
func (r *reader) links(n ast.Node) []link {
	var list []link
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the visitor returns no error
		l, ok := n.(*ast.Link)
		if !ok || !entering {
			return ast.WalkContinue, nil
		}
		if u, ok := parseHubURL(string(l.Destination)); ok {
			list = append(list, link{u, r.text(l, false)})
		}
		return ast.WalkContinue, nil
	})
	return list
}

// firstLink is the destination of the first link under a node, cleaned.
func firstLink(n ast.Node) string {
	dest := ""
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the visitor returns no error
		if l, ok := n.(*ast.Link); ok && entering {
			dest = oneLine(string(l.Destination))
			return ast.WalkStop, nil
		}
		return ast.WalkContinue, nil
	})
	return dest
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

var promptHeading = regexp.MustCompile(`(?i)^prompt (template|format)\b[ :]*(.*)$`)

// readPrompt finds the heading of the prompt template and, unless the front
// matter gave the template, the first code block below it.
func (r *reader) readPrompt() {
	found := false
	for n := r.docs.FirstChild(); n != nil; n = n.NextSibling() {
		switch n.Kind() {
		case ast.KindHeading:
			if found {
				return
			}
			if m := promptHeading.FindStringSubmatch(r.text(n, false)); m != nil {
				found, r.card.PromptName = true, m[2]
			}
		case ast.KindFencedCodeBlock, ast.KindCodeBlock:
			if found {
				if r.card.PromptTemplate == "" {
					r.card.PromptTemplate = clean(r.code(n))
				}
				return
			}
		}
	}
}
