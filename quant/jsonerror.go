package quant

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// JSONError says where a configuration file stops being JSON.
type JSONError struct {
	File   string
	Line   int // from 1
	Column int // from 1, in bytes
	Reason string

	text string // of that line
	hint string
}

// Error names the file, the place and the reason.
func (e *JSONError) Error() string { return e.File + " " + e.where() }

func (e *JSONError) where() string {
	return fmt.Sprintf("is not valid JSON at line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

// Hint says what to do next.
func (e *JSONError) Hint() string { return e.hint }

// parseObject reads a JSON object, bounded, with errors that say where.
func parseObject(file string, data []byte) (map[string]json.RawMessage, error) {
	if len(data) > maxJSON {
		return nil, &JSONError{File: file, Line: 1, Column: 1, Reason: fmt.Sprintf("%d bytes are more than a configuration can have", len(data)),
			hint: "this is not the configuration file of a model"}
	}
	var m map[string]json.RawMessage
	err := json.Unmarshal(data, &m)
	if err == nil && m != nil {
		return m, nil
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	e := &JSONError{File: file, Line: 1, Column: 1, Reason: "it is not an object", hint: "the file must hold one object in braces"}
	switch {
	case errors.As(err, &syntax):
		e.locate(data, int(syntax.Offset))
		e.Reason = syntax.Error()
		e.hint = jsonHint(data, int(syntax.Offset), e.Reason)
	case errors.As(err, &kind):
		e.locate(data, int(kind.Offset))
	}
	return nil, e
}

// locate sets line and column of the byte before offset, the one that was wrong.
func (e *JSONError) locate(data []byte, offset int) {
	at := min(max(offset-1, 0), len(data))
	e.Line = 1 + bytes.Count(data[:at], []byte("\n"))
	start := bytes.LastIndexByte(data[:at], '\n') + 1
	e.Column = at - start + 1
	line, _, _ := bytes.Cut(data[start:], []byte("\n"))
	e.text = string(bytes.TrimSpace(line[:min(len(line), 200)]))
}

// jsonHint recognises the mistakes that are found in published configurations.
func jsonHint(data []byte, offset int, reason string) string {
	rest := data[min(max(offset-1, 0), len(data)):]
	before := bytes.TrimSpace(data[:len(data)-len(rest)])
	switch {
	case bytes.HasPrefix(bytes.TrimSpace(data), []byte("<")):
		return "this is a web page: the address or a proxy answered something else than the file"
	case bytes.HasPrefix(data, []byte("\ufeff")):
		return "the file begins with a byte order mark: save it as UTF-8 without one"
	case bytes.HasPrefix(data, []byte("version https://git-lfs")):
		return "this is a git-lfs pointer, not the file: fetch the file itself"
	case len(rest) == 0 || strings.HasPrefix(reason, "unexpected end"):
		return "the file ends too early: fetch it again, or add the brackets that are missing at its end"
	case bytes.HasPrefix(rest, []byte("True")), bytes.HasPrefix(rest, []byte("False")), bytes.HasPrefix(rest, []byte("None")),
		bytes.HasPrefix(rest, []byte("rue")), bytes.HasPrefix(rest, []byte("alse")), bytes.HasPrefix(rest, []byte("one")):
		return "JSON writes true, false and null, not True, False and None"
	case bytes.HasPrefix(rest, []byte("NaN")), bytes.HasPrefix(rest, []byte("Infinity")):
		return "JSON has no NaN and no Infinity: Python reads them, other programs stop"
	case rest[0] == ']' || rest[0] == '}':
		if bytes.HasSuffix(before, []byte(",")) {
			return "remove the comma before this bracket"
		}
		return "this bracket closes what is not open: remove it, or the one before it"
	case rest[0] == '"' && len(before) > 0:
		return "a comma is missing before this string, or a bracket was closed too early"
	}
	return "compare with the original repository or another branch: somebody edited the file by hand"
}
