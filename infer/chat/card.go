package chat

import (
	"regexp"
	"strings"

	"github.com/qbranch/qbranch/infer/tokenizer"
)

// A model card shows its prompt format as a text with places to fill in:
//
//	[INST] <<SYS>>
//	{system_message}
//	<</SYS>>
//	{prompt} [/INST]
//
// It says nothing of a second turn. What is done: a later turn is the same text
// without its system part, after the answer and the token that ends a text.
var (
	promptPlace = regexp.MustCompile(`\{{1,2}(?:prompt|instruction|input|query|question|user|user_message|user_prompt|user_input)\}{1,2}`)
	systemPlace = regexp.MustCompile(`\{{1,2}(?:system|system_message|system_prompt|system_context)\}{1,2}`)
	// systemPart is a whole system turn, in the formats that mark its end.
	systemPart = regexp.MustCompile(`(?s)<<SYS>>.*?<</SYS>>\s*|<\|im_start\|>system.*?<\|im_end\|>\s*|<\|system\|>.*?</s>\s*`)
)

// cardFormat is the prompt format of a card.
type cardFormat struct {
	head, tail string // around the prompt of the first turn
	turnEnd    string // after an answer
}

// parseCard reads a card's prompt template. ok is false for one that does not
// show, exactly once, where the prompt goes.
func parseCard(text, eos string) (f cardFormat, ok bool) {
	places := promptPlace.FindAllStringIndex(text, -1)
	if len(places) > 1 {
		if i := strings.Index(text, "{prompt}"); i >= 0 && strings.Count(text, "{prompt}") == 1 {
			places = [][]int{{i, i + len("{prompt}")}}
		}
	}
	if len(places) != 1 {
		return f, false
	}
	f = cardFormat{head: text[:places[0][0]], tail: strings.TrimRight(text[places[0][1]:], " \t\r\n"), turnEnd: eos}
	last := f.tail[strings.LastIndex(f.tail, "\n")+1:]
	if strings.HasSuffix(last, "<|im_start|>assistant") || strings.HasPrefix(last, "#") || strings.HasPrefix(last, "<|") && strings.HasSuffix(last, "|>") {
		f.tail += "\n" // which the card's code block cut off
	}
	switch {
	case strings.Contains(text, "<|im_end|>"):
		f.turnEnd = "<|im_end|>\n"
	case eos == "":
		f.turnEnd = "\n"
	}
	return f, true
}

// later is the head of a turn that is not the first.
func (f cardFormat) later() string {
	if systemPart.MatchString(f.head) {
		return systemPart.ReplaceAllString(f.head, "")
	}
	head := f.head
	if at := systemPlace.FindStringIndex(head); at != nil {
		head = strings.TrimLeft(head[at[1]:], " \t\r\n")
	}
	if i := strings.LastIndex(head, "\n\n"); i >= 0 { // a preface, and the turn
		head = head[i+2:]
	}
	return head
}

// render makes the prompt for messages.
func (f cardFormat) render(messages []Message) []tokenizer.Segment {
	var out []tokenizer.Segment
	add := func(text string, literal bool) {
		if text != "" {
			out = append(out, tokenizer.Segment{Text: text, Literal: literal})
		}
	}
	system, first := "", true
	for _, m := range messages {
		switch m.Role {
		case "system":
			system = m.Content
		case "user":
			if first {
				f.open(system, add)
			} else {
				add(f.later(), false)
			}
			first = false
			add(m.Content, true)
			add(f.tail, false)
		case "assistant":
			add(m.Content, true)
			add(f.turnEnd, false)
		}
	}
	return out
}

// open writes the head of the first turn.
func (f cardFormat) open(system string, add func(text string, literal bool)) {
	at := systemPlace.FindStringIndex(f.head)
	switch {
	case at != nil && system != "":
		add(f.head[:at[0]], false)
		add(system, true)
		add(f.head[at[1]:], false)
	case at != nil:
		add(f.later(), false)
	default:
		add(f.head, false)
		if system != "" { // no place for it: it comes with the prompt
			add(system+"\n\n", true)
		}
	}
}
