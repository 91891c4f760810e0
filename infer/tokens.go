package infer

import (
	"cmp"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/qbranch/qbranch/infer/model"
	"github.com/qbranch/qbranch/infer/tokenizer"
)

// Tokenizer turns text into token ids and back.
type Tokenizer = tokenizer.Tokenizer

const tokenizerFile = "tokenizer.json"

// LoadTokenizer reads the tokenizer of a checkpoint and nothing else of it.
// ErrUnsupported says that there is none, or what of it is not supported;
// ErrCheckpoint that it is bad.
func LoadTokenizer(files Files) (*Tokenizer, error) {
	data, err := files.read(tokenizerFile, maxTokenizer)
	if err != nil {
		return nil, err
	}
	if data == nil {
		names := make([]string, 0, len(files))
		for name := range files {
			names = append(names, name)
		}
		return nil, noTokenizer(names)
	}
	t, err := tokenizer.Parse(data)
	switch {
	case errors.Is(err, tokenizer.ErrUnsupported):
		return nil, &model.Error{Kind: ErrUnsupported, File: tokenizerFile, Err: err}
	case err != nil:
		return nil, &model.Error{Kind: ErrCheckpoint, File: tokenizerFile, Err: err, Help: "fetch the file again"}
	}
	return t, nil
}

// noTokenizer is the error of a checkpoint with these files, none of which is a
// tokenizer.json.
func noTokenizer(names []string) error {
	e := &model.Error{Kind: ErrUnsupported, File: tokenizerFile, Reason: "missing", Help: "fetch tokenizer.json"}
	if other := otherTokenizer(names); other != "" {
		e.Reason = "missing, and " + other + " is not read"
		e.Help = "take tokenizer.json from the model's original repository, or let transformers write it: " +
			`AutoTokenizer.from_pretrained("DIR").save_pretrained("DIR")`
	}
	return e
}

// IsOtherTokenizer says whether a file of this name is a tokenizer in a form that
// is not read.
func IsOtherTokenizer(name string) bool { return otherTokenizer([]string{name}) != "" }

// otherTokenizer names a tokenizer among the files that is not tokenizer.json.
func otherTokenizer(names []string) string {
	has := func(all ...string) bool {
		return !slices.ContainsFunc(all, func(name string) bool { return !slices.Contains(names, name) })
	}
	byEnding := func(ending string) string {
		i := slices.IndexFunc(names, func(name string) bool { return strings.HasSuffix(path.Base(name), ending) })
		if i < 0 {
			return ""
		}
		return names[i]
	}
	switch {
	case has("tokenizer.model"):
		return "tokenizer.model (SentencePiece, or tiktoken's form)"
	case has("tekken.json"):
		return "tekken.json"
	case has("vocab.json", "merges.txt"):
		return "vocab.json with merges.txt"
	case has("vocab.txt"):
		return "vocab.txt (WordPiece)"
	}
	if name := cmp.Or(byEnding("tiktoken.model"), byEnding(".tiktoken")); name != "" {
		return name + " (tiktoken)"
	}
	if name := cmp.Or(byEnding("spiece.model"), byEnding(".bpe.model")); name != "" {
		return name + " (SentencePiece)"
	}
	return ""
}
