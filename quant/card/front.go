package card

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// splitFrontMatter cuts the YAML between a first line "---" and the next one
// off the body. A card without it, or without its end, is all body.
func splitFrontMatter(md []byte) (front, body []byte) {
	rest, ok := bytes.CutPrefix(md, []byte("---\n"))
	if !ok {
		return nil, md
	}
	for at := 0; at < len(rest); {
		end := bytes.IndexByte(rest[at:], '\n')
		if end < 0 {
			end = len(rest) - at
		}
		line := bytes.TrimRight(rest[at:at+end], " \t")
		next := min(at+end+1, len(rest))
		if string(line) == "---" || string(line) == "..." {
			return rest[:at], rest[next:]
		}
		at = next
	}
	return nil, md
}

func (r *reader) readFrontMatter(front []byte) {
	if len(bytes.TrimSpace(front)) == 0 {
		return
	}
	if why := unsafeYAML(front); why != "" {
		r.note("FRONT_MATTER", "(front matter)", "is not read: "+why)
		return
	}
	var m map[string]any
	if err := yaml.Unmarshal(front, &m); err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		r.note("FRONT_MATTER", "(front matter)", "is not valid YAML: "+first)
		return
	}
	r.card.BaseModel = modelID(oneLine(first(m["base_model"])))
	r.card.License = oneLine(first(m["license"]))
	r.card.QuantizedBy = oneLine(first(m["quantized_by"]))
	if s, ok := m["prompt_template"].(string); ok {
		r.card.PromptTemplate = clean(unfence(s))
	}
}

// unsafeYAML names what would make decoding expensive: aliases can name
// themselves into gigabytes, and deep flow collections take quadratic time.
func unsafeYAML(front []byte) string {
	if len(front) > maxFrontYAML {
		return fmt.Sprintf("%d bytes are more than the limit of %d", len(front), maxFrontYAML)
	}
	depth := 0
	for _, c := range front {
		switch c {
		case '[', '{':
			if depth++; depth > 64 {
				return "brackets nest deeper than 64 levels"
			}
		case ']', '}':
			depth = max(0, depth-1)
		}
	}
	for _, t := range lexer.Tokenize(string(front)) {
		if t.Type == token.AnchorType || t.Type == token.AliasType {
			return "it uses anchors or aliases"
		}
	}
	return ""
}

// first gives a scalar, or the first of a list, as text.
func first(v any) string {
	if list, ok := v.([]any); ok {
		if len(list) == 0 {
			return ""
		}
		v = list[0]
	}
	s, _ := v.(string)
	return s
}

// modelID cuts the hub's address off a model given by its full URL.
func modelID(s string) string {
	if u, ok := parseHubURL(s); ok {
		return u.repo
	}
	return s
}

// unfence removes a code fence around the whole of a prompt template, which
// some cards carry into the front matter.
func unfence(s string) string {
	inner := strings.TrimSpace(s)
	if !strings.HasPrefix(inner, "```") || !strings.HasSuffix(inner, "```") || len(inner) < 7 {
		return s
	}
	_, inner, ok := strings.Cut(inner, "\n")
	if !ok {
		return s
	}
	return strings.TrimSuffix(inner, "```")
}
