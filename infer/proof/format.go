package proof

import (
	"context"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/qbranch/qbranch/infer"
	"github.com/qbranch/qbranch/infer/chat"
)

// Format is what became of the chat template and the special tokens.
type Format struct {
	Template string   `json:"template"` // where it was found; "" = there is none, or it cannot be used
	Problems []string `json:"problems"` // in words
	Checked  int      `json:"checked"`  // special tokens
	Ends     int      `json:"ends"`     // tokens that end a text
}

// question holds what a template must hand through.
const question = "What is 2 + 2? Say \"four\"."

// format judges the template: it renders, its special tokens are single tokens,
// and what it writes comes back from the tokens. The template is nil when there
// is none of the repository's own, or it does not work.
func (r *run) format(ctx context.Context) (Format, *chat.Template) {
	f := Format{Problems: []string{}, Ends: len(r.ends)}
	say := func(text string) { f.Problems = append(f.Problems, text) }
	for _, id := range r.ends {
		if id < 0 || id >= r.facts.Vocab {
			say("the end of a text is a token outside the vocabulary")
		} else if _, ok := r.tok.Token(id); !ok {
			say("the end of a text is a token that the tokenizer does not have")
		}
	}
	t, err := r.m.Template()
	if err != nil {
		say("the chat template cannot be used: " + err.Error())
		return f, nil
	}
	for _, name := range []string{"bos_token", "eos_token"} {
		if token := t.SpecialToken(name); token != "" {
			f.Checked++
			r.single(name, token, say)
		}
	}
	if t.From() == chat.NoFormat {
		return f, nil
	}
	segments, err := t.Render(ctx, []chat.Message{{Role: "user", Content: question}})
	if err != nil {
		say("the chat template fails: " + err.Error())
		return f, nil
	}
	f.Template = t.From()
	text := ""
	for _, s := range segments {
		text += s.Text
	}
	ids, err := r.m.Encode(ctx, infer.Request{Prompt: question})
	switch {
	case err != nil:
		say("what the chat template writes cannot be made into tokens: " + err.Error())
		return f, nil
	case len(ids) == 0 || slices.Max(ids) >= r.facts.Vocab:
		say("what the chat template writes has tokens outside the vocabulary")
		return f, nil
	case !strings.Contains(text, question):
		say("the chat template drops what the user says")
	default:
		r.control(ctx, t, text, say)
	}
	if !strings.Contains(squeeze(r.tok.Decode(ids, false)), squeeze(text)) {
		say("what the chat template writes does not come back from its tokens")
	}
	return f, t
}

// barred finds what looks like a control token.
var barred = regexp.MustCompile(`<\|[\w-]+\|>`)

// plainEnds end a text, not a turn: a template may do without them.
var plainEnds = []string{"</s>", "<eos>", "<|endoftext|>", "<|end_of_text|>"}

// control looks for control tokens of another model in what the template writes,
// and for those of this model: some models have no control tokens and write
// "<|user|>" as plain text, but none has half of them.
func (r *run) control(ctx context.Context, t *chat.Template, text string, say func(string)) {
	var missing []string
	found := 0
	for _, name := range barred.FindAllString(text, -1) {
		if _, ok := r.tok.TokenID(name); ok {
			found++
		} else if !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}
	end := t.SpecialToken("eos_token")
	own := barred.MatchString(end) && !slices.Contains(plainEnds, end)
	if len(missing) > 0 && (found > 0 || own) {
		say("the chat template writes " + strings.Join(missing, ", ") + ", which the tokenizer does not have")
	}
	if !own || found > 0 || filepath.Ext(t.From()) == "" { // a model card's format is of one turn
		return
	}
	segments, err := t.Render(ctx, []chat.Message{{Role: "user", Content: question}, {Role: "assistant", Content: "Four."}, {Role: "user", Content: question}})
	if err != nil {
		return // some templates refuse to go on after an answer
	}
	for _, s := range segments {
		if strings.Contains(s.Text, end) {
			return
		}
	}
	say("the chat template never writes " + end + ", with which the model's turns end")
}

// single checks that a special token is one token with its own name.
func (r *run) single(what, token string, say func(string)) {
	id, ok := r.tok.TokenID(token)
	if !ok {
		say(what + " is " + token + ", which the tokenizer does not have")
		return
	}
	ids, err := r.tok.Encode(token, false)
	if err != nil || len(ids) != 1 || ids[0] != id {
		say(what + " " + token + " is not read as one token")
	} else if got := r.tok.Decode(ids, false); strings.TrimSpace(got) != strings.TrimSpace(token) {
		say(what + " " + token + " does not come back as itself")
	}
}

// squeeze removes blanks, which some decoders trim.
func squeeze(s string) string { return strings.Join(strings.Fields(s), "") }
