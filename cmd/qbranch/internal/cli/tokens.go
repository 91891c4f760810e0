package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (r *run) tokensCommand() *cobra.Command {
	var special, batch bool
	cmd := &cobra.Command{
		Use:        "tokens REF|DIR|FILE [TEXT|-]",
		GroupID:    groupLocal,
		SuggestFor: []string{"tokenize", "tokenizer", "encode", "decode"},
		Short:      "Show the tokens of a text",
		Long: `Show the tokens of a text: the id, the token as the vocabulary spells it, and the text that
it stands for. The tokenizer is that of a fetched branch, of a folder, or a tokenizer.json.
TEXT is taken as it is, names of special tokens in it included; with - or without TEXT
standard input is read, to its last newline. Bytes that are not UTF-8 count as U+FFFD.

--batch is for programs that compare tokenizers: each line of standard input is an object,
{"text": "...", "special": true} or {"ids": [1, 2], "skip_special_tokens": true}, and is
answered at once by a line {"ids": [...]} or {"text": "..."}, or {"error": "..."}.`,
		Example: `  qbranch tokens TheBloke/Llama-2-13B-chat-GPTQ:main "Why is the sky blue?"
  qbranch tokens ./llama --special - < story.txt
  echo '{"text": "Once upon a time"}' | qbranch tokens ./llama/tokenizer.json --batch`,
		Args:              args(1, 2, "a branch, a folder or a tokenizer.json"),
		ValidArgsFunction: r.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if batch && len(args) > 1 && args[1] != "-" {
				return &usageError{msg: "tokens: --batch reads standard input, leave out TEXT"}
			}
			a, err := r.open(0)
			if err != nil {
				return err
			}
			t, err := a.LoadTokenizer(args[0])
			if err != nil {
				return err
			}
			if batch {
				return r.tokensBatch(cmd.Context(), t)
			}
			text, err := r.tokensText(cmd.Context(), args[1:])
			if err != nil {
				return err
			}
			return r.tokens(t, text, special)
		},
	}
	cmd.Flags().BoolVar(&special, "special", false, "add the special tokens that the tokenizer puts around a text")
	cmd.Flags().BoolVar(&batch, "batch", false, "answer objects on standard input, a line each")
	r.jsonFlag(cmd)
	return cmd
}

// maxInput bounds a text, and a line of --batch, in bytes.
const maxInput = 64 << 20

// tokensText is the text of the command line or of standard input, unchanged.
func (r *run) tokensText(ctx context.Context, args []string) (string, error) {
	if len(args) == 1 && args[0] != "-" {
		return args[0], nil
	}
	if isTerminal(r.In) {
		r.note("reading the text from standard input, end with Ctrl-D")
	}
	text, err := r.readInput(ctx, "standard input", maxInput)
	if len(text) > maxInput {
		return "", &usageError{msg: "standard input is longer than " + app.BytesText(maxInput)}
	}
	return string(text), err
}

// tokensObject is the JSON of tokens.
type tokensObject struct {
	Schema string           `json:"schema"`
	Target string           `json:"target"`
	IDs    []int            `json:"ids"`
	Tokens []app.TokenPiece `json:"tokens"`
}

func (r *run) tokens(t *app.Tokenizer, text string, special bool) error {
	pieces, err := t.Tokens(text, special)
	if err != nil {
		return err
	}
	if r.json {
		o := tokensObject{Schema: "qbranch/tokens/v1", Target: t.Target, Tokens: pieces}
		for _, p := range pieces {
			o.IDs = append(o.IDs, p.ID)
		}
		return r.emit(o)
	}
	rows := make([][]string, len(pieces))
	for i, p := range pieces {
		rows[i] = []string{strconv.Itoa(p.ID), spelled(p.Token), strconv.Quote(p.Text)}
	}
	if len(rows) > 0 {
		fmt.Fprint(r.out, table([]column{{"Id", true}, {title: "Token"}, {title: "Text"}}, rows))
	}
	r.note("%s, %s", plural(len(pieces), "token"), plural(utf8.RuneCountInString(text), "character"))
	return nil
}

// spelled is a token's name as it is, quoted where it holds blanks or what a
// terminal would not show.
func spelled(token string) string {
	odd := func(c rune) bool { return unicode.IsSpace(c) || !unicode.IsPrint(c) }
	if token == "" || strings.HasPrefix(token, `"`) || strings.ContainsFunc(token, odd) || !utf8.ValidString(token) {
		return strconv.Quote(token)
	}
	return token
}

// batchLine is what a line of --batch may say. One of text and ids is given.
type batchLine struct {
	Text        *string `json:"text"`
	Special     bool    `json:"special"`
	IDs         []int   `json:"ids"`
	SkipSpecial bool    `json:"skip_special_tokens"`
}

// The answers of --batch.
type (
	batchIDs struct {
		IDs []int `json:"ids"`
	}
	batchText struct {
		Text string `json:"text"`
	}
	batchError struct {
		Error string `json:"error"`
	}
)

// tokensBatch answers line by line, until standard input or ctx ends. A bad line
// does not end it, but makes it fail.
func (r *run) tokensBatch(ctx context.Context, t *app.Tokenizer) error {
	lines := make(chan inputLine)
	// A read from a terminal cannot be ended from here: after a cancellation the
	// goroutine is left to the end of the process, which follows at once.
	go readLines(ctx, r.In, lines)
	failed, total := 0, 0
	for {
		var line inputLine
		select {
		case line = <-lines:
		case <-ctx.Done():
			return fmt.Errorf("tokens --batch: %w", ctx.Err())
		}
		if line.err != nil {
			if errors.Is(line.err, io.EOF) {
				break
			}
			return fmt.Errorf("read standard input: %w", line.err)
		}
		if !line.long && len(bytes.TrimSpace(line.text)) == 0 {
			continue
		}
		total++
		reply, err := answerLine(t, line)
		if err != nil {
			failed++
			reply = batchError{err.Error()}
		}
		if err := r.emit(reply); err != nil {
			return err
		}
	}
	if failed > 0 {
		return &partialError{failed: failed, total: total, noun: "line"}
	}
	return nil
}

func answerLine(t *app.Tokenizer, line inputLine) (any, error) {
	if line.long {
		return nil, fmt.Errorf("the line is longer than %s", app.BytesText(maxInput))
	}
	var q batchLine
	var wrong *json.UnmarshalTypeError
	switch err := json.Unmarshal(line.text, &q); {
	case errors.As(err, &wrong) && wrong.Field == "":
		return nil, fmt.Errorf("want an object, got %s", wrong.Value)
	case errors.As(err, &wrong):
		return nil, fmt.Errorf("%s: it cannot be a %s", wrong.Field, wrong.Value)
	case err != nil:
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	switch {
	case q.Text != nil && q.IDs != nil:
		return nil, errors.New("both text and ids")
	case q.Text != nil:
		ids, err := t.Encode(*q.Text, q.Special)
		return batchIDs{ids}, err
	case q.IDs != nil:
		for _, id := range q.IDs {
			if id < 0 {
				return nil, fmt.Errorf("ids: %d is not a token id", id)
			}
		}
		return batchText{t.Decode(q.IDs, q.SkipSpecial)}, nil
	}
	return nil, errors.New("neither text nor ids")
}

// inputLine is a line of standard input, or why there are no more.
type inputLine struct {
	text []byte
	long bool // longer than maxInput; text is not all of it
	err  error
}

// readLines sends the lines of in, the last one whether or not it ends, and then
// the error that ended them, until ctx is cancelled.
func readLines(ctx context.Context, in io.Reader, lines chan<- inputLine) {
	b := bufio.NewReaderSize(in, 64<<10)
	var line inputLine
	send := func(l inputLine) bool {
		select {
		case lines <- l:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for {
		part, err := b.ReadSlice('\n')
		if line.long = line.long || len(line.text)+len(part) > maxInput; !line.long {
			line.text = append(line.text, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if (err == nil || len(line.text) > 0 || line.long) && !send(line) {
			return
		}
		if err != nil {
			send(inputLine{err: err})
			return
		}
		line = inputLine{}
	}
}
