package chat

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/qbranch/qbranch/infer/chat/jinja"
	"github.com/qbranch/qbranch/infer/tokenizer"
)

// Message is one turn. Role is "system", "user" or "assistant".
type Message struct{ Role, Content string }

// Source is what a template is found in. All of it may be missing.
type Source struct {
	Jinja    []byte                 // chat_template.jinja
	Config   []byte                 // tokenizer_config.json
	Special  []byte                 // special_tokens_map.json
	Card     string                 // the prompt template that the model card shows
	HasToken func(name string) bool // of the tokenizer
}

// Template renders chats. It is immutable and safe for concurrent use.
type Template struct {
	from    string
	tmpl    *jinja.Template // nil: card, or the plain default
	card    *cardFormat
	source  string // of any form
	special map[string]string
	now     func() time.Time
}

// Error is a template that cannot be used.
type Error struct{ Err error }

// Error is the interpreter's text.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the interpreter's error.
func (e *Error) Unwrap() error { return e.Err }

// Hint says how to go on without the template.
func (e *Error) Hint() string {
	if errors.Is(e.Err, jinja.ErrRaised) {
		return "the template refuses these messages: leave out --system, or give the whole prompt with --raw"
	}
	return "give the whole prompt with --raw, which uses no template"
}

// chatML is the default of repositories whose tokenizer has its tokens.
const chatML = `{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`

// maxTime ends a template that its other limits do not.
const maxTime = 10 * time.Second

// New finds and parses a repository's template. The error is an *Error.
func New(s Source) (*Template, error) {
	t := &Template{special: make(map[string]string), now: time.Now}
	var config tokenizerConfig
	if len(s.Config) > 0 {
		if err := json.Unmarshal(s.Config, &config); err != nil {
			return nil, &Error{fmt.Errorf("reading tokenizer_config.json: %w", err)}
		}
	}
	if err := t.readSpecial(s); err != nil {
		return nil, &Error{err}
	}
	t.source, t.from = string(s.Jinja), "chat_template.jinja"
	if len(s.Jinja) == 0 {
		t.source, t.from = config.Template.source, "tokenizer_config.json"
	}
	if t.source == "" {
		if f, ok := parseCard(s.Card, t.special["eos_token"]); ok {
			t.card, t.source, t.from = &f, s.Card, "the model card"
			return t, nil
		}
		if s.HasToken == nil || !s.HasToken("<|im_start|>") || !s.HasToken("<|im_end|>") {
			t.from = NoFormat
			return t, nil
		}
		t.source, t.from = chatML, DefaultChatML
	}
	var err error
	if t.tmpl, err = jinja.Parse(t.source); err != nil {
		return nil, &Error{fmt.Errorf("reading %s: %w", t.from, err)}
	}
	return t, nil
}

// What From says of a repository that has no format of its own.
const (
	NoFormat      = "none: plain text"
	DefaultChatML = "none: ChatML, after the tokenizer's tokens"
)

// turnEnds are tokens that end a turn, of which many repositories name only the
// one that ends a text.
var turnEnds = []string{"<|im_end|>", "<|eot_id|>", "<|eot|>", "<|end|>", "<|end_of_turn|>", "<end_of_turn>", "<|END_OF_TURN_TOKEN|>"}

// TurnEnds returns the tokens that end a turn in this format.
func (t *Template) TurnEnds() []string {
	return slices.DeleteFunc(slices.Clone(turnEnds), func(name string) bool { return !strings.Contains(t.source, name) })
}

// From says where the template was found.
func (t *Template) From() string { return t.from }

// SpecialToken returns a token that the repository names, such as "eos_token";
// "" where it does not.
func (t *Template) SpecialToken(name string) string { return t.special[name] }

// Render makes the prompt after which the assistant's answer begins. The error is
// an *Error or ctx's.
func (t *Template) Render(ctx context.Context, messages []Message) ([]tokenizer.Segment, error) {
	if t.card != nil {
		return t.card.render(messages), nil
	}
	var prompt []tokenizer.Segment
	if t.tmpl == nil {
		for i, m := range messages {
			if i > 0 {
				prompt = append(prompt, tokenizer.Segment{Text: "\n\n"})
			}
			prompt = append(prompt, tokenizer.Segment{Text: m.Content, Literal: true})
		}
		return prompt, nil
	}
	vars := map[string]any{"tools": nil, "documents": nil, "add_generation_prompt": true}
	for name, token := range t.special {
		vars[name] = jinja.Plain(token)
	}
	list := make([]any, 0, len(messages))
	for _, m := range messages {
		d := jinja.NewDict()
		d.Set("role", jinja.Plain(m.Role))
		d.Set("content", jinja.Data(m.Content))
		list = append(list, d)
	}
	vars["messages"] = jinja.NewList(list...)
	limited, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	segments, err := t.tmpl.Render(limited, vars, jinja.Options{Now: t.now})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, &Error{err}
	}
	for _, s := range segments {
		prompt = append(prompt, tokenizer.Segment{Text: s.Text, Literal: s.Data})
	}
	return prompt, nil
}

// tokenizerConfig is the part of tokenizer_config.json that matters here.
type tokenizerConfig struct {
	Template templateField `json:"chat_template"`
}

// templateField is a string, or a list of named templates.
type templateField struct{ source string }

// UnmarshalJSON reads either form.
func (f *templateField) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &f.source)
	}
	var named []struct {
		Name     string `json:"name"`
		Template string `json:"template"`
	}
	if err := json.Unmarshal(data, &named); err != nil {
		return fmt.Errorf("chat_template is neither a string nor a list of named ones: %w", err)
	}
	for i, n := range named {
		if i == 0 || n.Name == "default" {
			f.source = n.Template
		}
		if n.Name == "default" {
			break
		}
	}
	return nil
}

// specialNames are the tokens that a repository can name. Source: transformers,
// SpecialTokensMixin.
var specialNames = []string{"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}

// readSpecial reads the named tokens: those of tokenizer_config.json, else those
// of special_tokens_map.json. A token is a string, or an object with its content.
func (t *Template) readSpecial(s Source) error {
	for _, f := range []struct {
		name string
		data []byte
	}{{"special_tokens_map.json", s.Special}, {"tokenizer_config.json", s.Config}} {
		if len(f.data) == 0 {
			continue
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(f.data, &fields); err != nil {
			return fmt.Errorf("reading %s: %w", f.name, err)
		}
		for name, raw := range fields {
			if !slices.Contains(specialNames, name) {
				continue
			}
			var object struct{ Content string }
			var token string
			if json.Unmarshal(raw, &token) != nil && json.Unmarshal(raw, &object) != nil {
				return fmt.Errorf("reading %s: %s is no token", f.name, name)
			}
			if token = cmp.Or(token, object.Content); token != "" {
				t.special[name] = token
			}
		}
	}
	return nil
}
