package app

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/qbranch/qbranch/infer"
)

// Tokenizer is the tokenizer of a checkpoint.
type Tokenizer struct {
	*infer.Tokenizer
	Target string // as it was named
}

// TokenPiece is one token of a text.
type TokenPiece struct {
	ID      int    `json:"id"`
	Token   string `json:"token"` // as the vocabulary spells it
	Text    string `json:"text"`  // what became certain with it; never part of a character
	Special bool   `json:"special"`
}

// LoadTokenizer reads the tokenizer of a fetched branch, of a folder, or a
// tokenizer.json itself. It sends no request.
func (a *App) LoadTokenizer(target string) (*Tokenizer, error) {
	files, err := a.tokenizerFiles(target)
	if err != nil {
		return nil, err
	}
	t, err := infer.LoadTokenizer(files)
	if err != nil {
		return nil, fmt.Errorf("load the tokenizer of %s: %w", target, err)
	}
	return &Tokenizer{t, target}, nil
}

// tokenizerFiles finds what target names. A path that exists is the path, unlike
// elsewhere, where a folder must hold a config.json to win over a reference.
func (a *App) tokenizerFiles(target string) (infer.Files, error) {
	path, err := expandHome(target)
	if err != nil {
		return nil, err
	}
	fi, err := os.Stat(path)
	switch {
	case err == nil && fi.Mode().IsRegular():
		return fileAsTokenizer(path), nil
	case err == nil && fi.IsDir():
		return infer.FilesInDir(path)
	}
	t, err := ParseTarget(target)
	if err != nil {
		return nil, err
	}
	return a.modelFiles(t)
}

// fileAsTokenizer takes a file of any name for a tokenizer.json, but for the
// well-known names of the other forms.
func fileAsTokenizer(path string) infer.Files {
	if name := filepath.Base(path); infer.IsOtherTokenizer(name) {
		return infer.Files{name: path}
	}
	return infer.Files{"tokenizer.json": path}
}

// Tokens is the tokens of a text; special adds those that the tokenizer puts
// around one.
func (t *Tokenizer) Tokens(text string, special bool) ([]TokenPiece, error) {
	ids, err := t.Encode(text, special)
	if err != nil {
		return nil, fmt.Errorf("tokenize with %s: %w", t.Target, err)
	}
	pieces := make([]TokenPiece, len(ids))
	stream := t.NewStream(false)
	for i, id := range ids {
		name, _ := t.Token(id)
		pieces[i] = TokenPiece{id, name, stream.Push(id), t.IsSpecial(id)}
	}
	if n := len(pieces); n > 0 {
		pieces[n-1].Text += stream.Flush()
	}
	return pieces, nil
}
