package chat

import (
	"context"
	"testing"
)

// The formats that cards show, on a first turn with and without a system
// message, and on a third.
func TestCard(t *testing.T) {
	const special = `{"eos_token": "</s>"}`
	tests := []struct {
		name, card, special  string
		user, system, second string
	}{
		{"ChatML", "<|im_start|>system\n{system_message}<|im_end|>\n<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n\n", special,
			"<|im_start|>user\n[U]<|im_end|>\n<|im_start|>assistant\n",
			"<|im_start|>system\n[S]<|im_end|>\n<|im_start|>user\n[U]<|im_end|>\n<|im_start|>assistant\n",
			"<|im_start|>system\n[S]<|im_end|>\n<|im_start|>user\n[U]<|im_end|>\n<|im_start|>assistant\n[A]<|im_end|>\n<|im_start|>user\n[V]<|im_end|>\n<|im_start|>assistant\n"},
		{"Llama 2 with a text of its own", "[INST] <<SYS>>\nBe good.\n<</SYS>>\n{prompt}[/INST]\n", special,
			"[INST] <<SYS>>\nBe good.\n<</SYS>>\n[U][/INST]",
			"[INST] <<SYS>>\nBe good.\n<</SYS>>\n[S\n\n][U][/INST]",
			"[INST] <<SYS>>\nBe good.\n<</SYS>>\n[S\n\n][U][/INST][A]</s>[INST] [V][/INST]"},
		{"Llama 2 with a place", "[INST] <<SYS>>\n{system_message}\n<</SYS>>\n\n{prompt} [/INST]", special,
			"[INST] [U] [/INST]", "[INST] <<SYS>>\n[S]\n<</SYS>>\n\n[U] [/INST]",
			"[INST] <<SYS>>\n[S]\n<</SYS>>\n\n[U] [/INST][A]</s>[INST] [V] [/INST]"},
		{"Alpaca", "Below is an instruction.\n\n### Instruction:\n{prompt}\n\n### Response:\n", "",
			"Below is an instruction.\n\n### Instruction:\n[U]\n\n### Response:\n",
			"Below is an instruction.\n\n### Instruction:\n[S\n\n][U]\n\n### Response:\n",
			"Below is an instruction.\n\n### Instruction:\n[S\n\n][U]\n\n### Response:\n[A]\n### Instruction:\n[V]\n\n### Response:\n"},
		{"Zephyr", "<|system|>\n</s>\n<|user|>\n{prompt}</s>\n<|assistant|>\n", special,
			"<|system|>\n</s>\n<|user|>\n[U]</s>\n<|assistant|>\n", "<|system|>\n</s>\n<|user|>\n[S\n\n][U]</s>\n<|assistant|>\n",
			"<|system|>\n</s>\n<|user|>\n[S\n\n][U]</s>\n<|assistant|>\n[A]</s><|user|>\n[V]</s>\n<|assistant|>\n"},
		{"a system line", "{system_message}\nUSER: {prompt}\nASSISTANT:", special,
			"USER: [U]\nASSISTANT:", "[S]\nUSER: [U]\nASSISTANT:", "[S]\nUSER: [U]\nASSISTANT:[A]</s>USER: [V]\nASSISTANT:"},
		{"two places, one of them the usual one", "{instruction} {prompt}", special, "{instruction} [U]", "{instruction} [S\n\n][U]", "{instruction} [S\n\n][U][A]</s>{instruction} [V]"},
	}
	u, s, a, v := Message{"user", "U"}, Message{"system", "S"}, Message{"assistant", "A"}, Message{"user", "V"}
	for _, test := range tests {
		tmpl, err := New(Source{Card: test.card, Config: []byte(test.special)})
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got := tmpl.From(); got != "the model card" {
			t.Errorf("%s: comes from %q", test.name, got)
		}
		for _, c := range []struct {
			messages []Message
			want     string
		}{{[]Message{u}, test.user}, {[]Message{s, u}, test.system}, {[]Message{s, u, a, v}, test.second}} {
			p, err := tmpl.Render(context.Background(), c.messages)
			if got := text(p); err != nil || got != c.want {
				t.Errorf("%s, %d messages:\n got %q, %v\nwant %q", test.name, len(c.messages), got, err, c.want)
			}
		}
	}
	// A card that does not show where the prompt goes, or twice, is not used; nor is
	// one when the repository has a template.
	for _, card := range []string{"", "Just ask.", "{prompt} and {prompt}"} {
		tmpl, err := New(Source{Card: card})
		if err != nil || tmpl.From() != NoFormat {
			t.Errorf("%q: got %v, %v", card, tmpl, err)
		}
	}
	tmpl, err := New(Source{Card: "{prompt}", Jinja: []byte("x<|eot_id|>")})
	if err != nil || tmpl.From() != "chat_template.jinja" {
		t.Errorf("got %v, %v", tmpl, err)
	}
	if got := tmpl.TurnEnds(); len(got) != 1 || got[0] != "<|eot_id|>" {
		t.Errorf("turn ends: got %q", got)
	}
}

// Whatever a card shows, the prompt is in what is rendered, as data.
func FuzzCard(f *testing.F) {
	f.Add("[INST] <<SYS>>\n{system_message}\n<</SYS>>\n{prompt} [/INST]", "</s>")
	f.Add("{{user}}{", "")
	f.Fuzz(func(t *testing.T, card, eos string) {
		format, ok := parseCard(card, eos)
		if !ok {
			return
		}
		n := 0
		for _, s := range format.render([]Message{{"system", "S"}, {"user", "U"}, {"assistant", "A"}, {"user", "U"}}) {
			if s.Literal && s.Text == "U" {
				n++
			}
		}
		if n != 2 {
			t.Errorf("%q: %d prompts, want 2", card, n)
		}
	})
}
