package card

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// splitFrontMatter cuts the YAML between a first line "---" and the next one
// off the body. A card without it, or without its end, is all body.
func splitFrontMatter(md []byte) (front, body []byte) {
	rest, ok := bytes.CutPrefix(bytes.TrimLeft(md, " \t\n"), []byte("---"))
	if ok {
		if end := bytes.IndexByte(rest, '\n'); end >= 0 && len(bytes.TrimSpace(rest[:end])) == 0 {
			rest = rest[end+1:]
		} else {
			ok = false
		}
	}
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
	m, why := decodeYAML(front)
	if why != "" {
		r.note("FRONT_MATTER", "(front matter)", why+": it is read line by line")
		m = readLines(front)
	}
	c := &r.card
	one := func(key string) string { return oneLine(first(m[key])) }
	for _, s := range texts(m["base_model"]) {
		if id := modelID(s); id != s {
			r.note("BASE_MODEL_URL", "(front matter)", fmt.Sprintf("base_model is a full address, %s is meant", id))
			s = id
		}
		c.BaseModel = append(c.BaseModel, s)
	}
	c.QuantizedBy, c.ModelType = said(one("quantized_by")), said(one("model_type"))
	c.License = one("license")
	if name := one("license_name"); name != "" && (c.License == "" || c.License == "other") {
		c.License = name
	}
	c.ModelName, c.ModelCreator, c.ModelLink = one("model_name"), one("model_creator"), one("model_link")
	c.Pipeline, c.Languages, r.tags = one("pipeline_tag"), texts(m["language"]), texts(m["tags"])
	if s, ok := m["prompt_template"].(string); ok {
		c.PromptTemplate = clean(unfence(s))
		if c.PromptTemplate != clean(s) {
			r.note("PROMPT_FENCE", "(front matter)", "prompt_template has the fence of a code block around it, which is no part of the prompt")
		}
	}
	if _, ok := m["arxiv"].(float64); ok {
		r.note("ARXIV_NUMBER", "(front matter)", "arxiv is not in quotes and reads as a number, which loses zeros at its end")
	}
	c.Gated = gatedBy(m)
}

// gatedBy reads the keys with which the hub asks for consent.
func gatedBy(m map[string]any) *Gated {
	g := Gated{
		Heading: oneLine(first(m["extra_gated_heading"])), Prompt: strings.TrimSpace(clean(first(m["extra_gated_prompt"]))),
		Description: oneLine(first(m["extra_gated_description"])), Button: oneLine(first(m["extra_gated_button_content"])),
	}
	if fields, ok := m["extra_gated_fields"].(map[string]any); ok {
		for name := range fields {
			g.Fields = append(g.Fields, oneLine(name))
		}
		slices.Sort(g.Fields)
		g.Fields = g.Fields[:min(len(g.Fields), maxList)]
	}
	if g.Heading+g.Prompt+g.Description+g.Button == "" && g.Fields == nil {
		return nil
	}
	return &g
}

// decodeYAML decodes the front matter; why is what keeps it from being read.
func decodeYAML(front []byte) (m map[string]any, why string) {
	defer func() {
		if p := recover(); p != nil {
			m, why = nil, "breaks the YAML parser"
		}
	}()
	if why := unsafeYAML(front); why != "" {
		return nil, "is not decoded, because " + why
	}
	if err := yaml.Unmarshal(front, &m); err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return nil, "is not valid YAML: " + first
	}
	return m, ""
}

var yamlKey = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]{0,40}):(?:[ \t]+(.*))?$`)

// readLines takes from YAML that no parser accepts what stands on lines of its
// own: keys with a word behind them, lists of words and blocks of lines. The first
// of equal keys counts.
func readLines(front []byte) map[string]any {
	m := map[string]any{}
	key := ""
	var text *strings.Builder // of a block of lines, "key: |"
	for raw := range bytes.Lines(front) {
		line := strings.TrimRight(string(raw), " \t\n")
		if match := yamlKey.FindStringSubmatch(line); match != nil {
			key, text = match[1], nil
			if _, twice := m[key]; twice || len(m) == maxKeys {
				key = ""
				continue
			}
			m[key] = scalar(match[2])
			if strings.HasPrefix(match[2], "|") || strings.HasPrefix(match[2], ">") {
				text = &strings.Builder{}
			}
			continue
		}
		if text != nil && (line == "" || line[0] == ' ') {
			text.WriteString(strings.TrimPrefix(strings.TrimPrefix(line, " "), " ") + "\n")
			m[key] = text.String()
			continue
		}
		text = nil
		item, ok := strings.CutPrefix(strings.TrimLeft(line, " \t"), "- ")
		if !ok || key == "" {
			continue
		}
		if s := scalar(item); s != "" {
			switch list := m[key].(type) {
			case string:
				if list == "" {
					m[key] = []any{s}
				}
			case []any:
				if len(list) < maxList {
					m[key] = append(list, s)
				}
			}
		}
	}
	return m
}

// scalar is a word of YAML without its quotes; "" for what is more than a word.
func scalar(s string) string {
	s = strings.TrimSpace(s)
	if s == "" || strings.ContainsRune("[{&*!|>%@`", rune(s[0])) {
		return ""
	}
	if s, _, found := strings.Cut(s, " #"); found {
		return scalar(s)
	}
	if q := s[0]; q == '"' || q == '\'' {
		if len(s) < 2 || s[len(s)-1] != q {
			return ""
		}
		return s[1 : len(s)-1]
	}
	return s
}

// said is nil for a key that is not there.
func said(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// texts gives a scalar, or a list, as texts on one line each.
func texts(v any) []string {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	out := []string{}
	for _, e := range list[:min(len(list), maxList)] {
		if s := oneLine(first(e)); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// unsafeYAML names what would make decoding expensive: aliases can name
// themselves into gigabytes, and deep flow collections take quadratic time.
func unsafeYAML(front []byte) string {
	if len(front) > maxFrontYAML {
		return fmt.Sprintf("its %d bytes are more than %d", len(front), maxFrontYAML)
	}
	depth := 0
	for _, c := range front {
		switch c {
		case '[', '{':
			if depth++; depth > 64 {
				return "its brackets nest deeper than 64 levels"
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
