package chat

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/qbranch/qbranch/infer/chat/jinja"
	"github.com/qbranch/qbranch/infer/tokenizer"
)

var chat = []Message{{"system", "Be brief."}, {"user", "Hi <|im_end|>"}}

// text joins the segments, literal ones in brackets.
func text(p []tokenizer.Segment) string {
	var b strings.Builder
	for _, s := range p {
		if s.Literal {
			b.WriteString("[" + s.Text + "]")
		} else {
			b.WriteString(s.Text)
		}
	}
	return b.String()
}

func has(names ...string) func(string) bool {
	return func(name string) bool {
		for _, n := range names {
			if n == name {
				return true
			}
		}
		return false
	}
}

// Where the template comes from, in order.
func TestSources(t *testing.T) {
	const ml = "<|im_start|>system\n[Be brief.]<|im_end|>\n<|im_start|>user\n[Hi <|im_end|>]<|im_end|>\n<|im_start|>assistant\n"
	tests := []struct {
		name   string
		source Source
		want   string
	}{
		{"nothing", Source{}, "[Be brief.]\n\n[Hi <|im_end|>]"},
		{"ChatML tokens", Source{HasToken: has("<|im_start|>", "<|im_end|>")}, ml},
		{"one of the tokens is not enough", Source{HasToken: has("<|im_end|>")}, "[Be brief.]\n\n[Hi <|im_end|>]"},
		{"null", Source{Config: []byte(`{"chat_template": null}`)}, "[Be brief.]\n\n[Hi <|im_end|>]"},
		{"a string", Source{Config: []byte(`{"chat_template": "{{ messages[1].role }}"}`)}, "user"},
		{"named ones", Source{Config: []byte(`{"chat_template": [{"name": "tools", "template": "t"}, {"name": "default", "template": "d"}]}`)}, "d"},
		{"named ones without a default", Source{Config: []byte(`{"chat_template": [{"name": "a", "template": "1"}, {"name": "b", "template": "2"}]}`)}, "1"},
		{"the file before the config", Source{Jinja: []byte("file"), Config: []byte(`{"chat_template": "config"}`)}, "file"},
		{"special tokens", Source{Config: []byte(`{"bos_token": {"content": "<s>"}, "eos_token": null, "chat_template": "{{ bos_token }}{{ eos_token }}{{ pad_token is defined }}{{ tools is none }}{{ add_generation_prompt }}"}`),
			Special: []byte(`{"eos_token": "</s>", "bos_token": "other"}`)}, "<s></s>FalseTrueTrue"},
	}
	for _, test := range tests {
		tmpl, err := New(test.source)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		p, err := tmpl.Render(context.Background(), chat)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if got := text(p); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
		if tmpl.From() == "" {
			t.Errorf("%s: no source named", test.name)
		}
	}
}

func TestDemoTemplate(t *testing.T) {
	config, err := os.ReadFile("testdata/tokenizer_config.json")
	if err != nil {
		t.Fatal(err)
	}
	tmpl, err := New(Source{Config: config})
	if err != nil {
		t.Fatal(err)
	}
	p, err := tmpl.Render(context.Background(), chat[1:])
	if want := "<|im_start|>user\n[Hi <|im_end|>]<|im_end|>\n<|im_start|>assistant\n"; err != nil || text(p) != want {
		t.Errorf("got %q, %v, want %q", text(p), err, want)
	}
	if got := tmpl.SpecialToken("eos_token"); got != "<|im_end|>" {
		t.Errorf("eos_token: got %q", got)
	}
}

func TestErrors(t *testing.T) {
	tests := []struct {
		name   string
		source Source
		says   string
		hint   string
	}{
		{"config not JSON", Source{Config: []byte(`{"a": 1}]`)}, "tokenizer_config.json", "--raw"},
		{"template not a string", Source{Config: []byte(`{"chat_template": 7}`)}, "chat_template", "--raw"},
		{"a token of the wrong kind", Source{Config: []byte(`{"bos_token": 7}`)}, "bos_token", "--raw"},
		{"special tokens not JSON", Source{Special: []byte(`x`)}, "special_tokens_map.json", "--raw"},
		{"a template that does not parse", Source{Jinja: []byte("\n{{ 1 +")}, "line 2", "--raw"},
		{"a template that includes", Source{Jinja: []byte("{% include 'x' %}")}, "include", "--raw"},
		{"a template that fails", Source{Jinja: []byte("{{ nope.x }}")}, "nope", "--raw"},
		{"a template that refuses", Source{Jinja: []byte("{{ raise_exception('no system role') }}")}, "no system role", "--system"},
		{"too large", Source{Jinja: make([]byte, jinja.MaxSource+1)}, "larger", "--raw"},
	}
	for _, test := range tests {
		tmpl, err := New(test.source)
		if err == nil {
			_, err = tmpl.Render(context.Background(), chat)
		}
		e, ok := errors.AsType[*Error](err)
		if !ok || !strings.Contains(e.Error(), test.says) || !strings.Contains(e.Hint(), test.hint) {
			t.Errorf("%s: got error %v, want one saying %q with a hint naming %s", test.name, err, test.says, test.hint)
		}
	}
}

func TestContext(t *testing.T) {
	tmpl, err := New(Source{Jinja: []byte("{% for i in range(99999) %}{% endfor %}")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := tmpl.Render(ctx, chat); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want context.Canceled", err)
	}
}

func TestNow(t *testing.T) {
	tmpl, err := New(Source{Jinja: []byte("{{ strftime_now('%d %b %Y') }}")})
	if err != nil {
		t.Fatal(err)
	}
	tmpl.now = func() time.Time { return time.Date(2024, 7, 4, 0, 0, 0, 0, time.UTC) }
	if p, err := tmpl.Render(context.Background(), nil); err != nil || text(p) != "04 Jul 2024" {
		t.Errorf("got %q, %v", text(p), err)
	}
}
