package jinja

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokEOF        tokenKind = iota
	tokData                 // text between tags
	tokBlockBegin           // {%
	tokBlockEnd
	tokVarBegin // {{
	tokVarEnd
	tokName
	tokString
	tokInt
	tokFloat
	tokOp
)

type token struct {
	kind tokenKind
	val  string
	line int
}

func (t token) String() string {
	switch t.kind {
	case tokEOF:
		return "the end of the template"
	case tokBlockEnd:
		return `"%}"`
	case tokVarEnd:
		return `"}}"`
	}
	return strconv.Quote(t.val)
}

// Error is a fault of a template.
type Error struct {
	Line    int // 1 is the first; 0 when it is not about one line
	Message string
	Err     error // the cause: a limit, or ctx's error
}

// Error names the line.
func (e *Error) Error() string {
	msg := e.Message
	if e.Err != nil {
		msg = strings.TrimPrefix(msg+": "+e.Err.Error(), ": ")
	}
	if e.Line == 0 {
		return "chat template: " + msg
	}
	return fmt.Sprintf("chat template, line %d: %s", e.Line, msg)
}

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.Err }

func faultAt(line int, format string, args ...any) *Error {
	return &Error{Line: line, Message: fmt.Sprintf(format, args...)}
}

// lexer cuts a template into tokens. White space around tags is handled as
// Jinja2's lexer does with trim_blocks and lstrip_blocks.
type lexer struct {
	src       string
	at        int
	line      int
	lineStart bool // the last tag swallowed its newline, or nothing came yet
	tokens    []token
}

func lex(src string) ([]token, error) {
	src = strings.ReplaceAll(strings.ReplaceAll(src, "\r\n", "\n"), "\r", "\n")
	src = strings.TrimSuffix(src, "\n")
	l := &lexer{src: src, line: 1, lineStart: true}
	for l.at < len(l.src) {
		if err := l.step(); err != nil {
			return nil, err
		}
	}
	l.emit(tokEOF, "")
	return l.tokens, nil
}

func (l *lexer) emit(kind tokenKind, val string) {
	l.tokens = append(l.tokens, token{kind, val, l.line})
}

// advance moves on and counts lines.
func (l *lexer) advance(n int) {
	l.line += strings.Count(l.src[l.at:l.at+n], "\n")
	l.at += n
}

// step reads the data up to the next tag, and the tag.
func (l *lexer) step() error {
	rest := l.src[l.at:]
	open := nextTag(rest)
	if open < 0 {
		l.emit(tokData, rest)
		l.advance(len(rest))
		return nil
	}
	data, kind := rest[:open], rest[open+1]
	sign := byte(0)
	if open+2 < len(rest) && (rest[open+2] == '-' || rest[open+2] == '+') {
		sign = rest[open+2]
	}
	switch {
	case sign == '-':
		data = strings.TrimRightFunc(data, unicode.IsSpace)
	case sign == 0 && kind != '{':
		data = l.leftStrip(data)
	}
	if data != "" {
		l.emit(tokData, data)
	}
	l.advance(open + 2)
	if sign != 0 {
		l.advance(1)
	}
	switch kind {
	case '#':
		return l.comment()
	case '{':
		l.emit(tokVarBegin, "{{")
		return l.tag("}}", tokVarEnd)
	}
	if done, err := l.raw(); done {
		return err
	}
	l.emit(tokBlockBegin, "{%")
	return l.tag("%}", tokBlockEnd)
}

// nextTag finds {{, {% or {#.
func nextTag(s string) int {
	for i := 0; i+1 < len(s); i++ {
		if s[i] == '{' && (s[i+1] == '{' || s[i+1] == '%' || s[i+1] == '#') {
			return i
		}
	}
	return -1
}

// leftStrip drops blanks between the start of the line and a tag.
func (l *lexer) leftStrip(data string) string {
	start := strings.LastIndexByte(data, '\n') + 1
	if start == 0 && !l.lineStart {
		return data
	}
	if strings.TrimLeftFunc(data[start:], unicode.IsSpace) == "" {
		return data[:start]
	}
	return data
}

// closeTag moves past the end of a tag at n, whose sign and blanks it handles.
// trim says whether the newline after it goes too.
func (l *lexer) closeTag(n int, sign byte, trim bool) {
	l.advance(n)
	switch {
	case sign == '-':
		rest := l.src[l.at:]
		l.advance(len(rest) - len(strings.TrimLeftFunc(rest, unicode.IsSpace)))
	case sign == 0 && trim && strings.HasPrefix(l.src[l.at:], "\n"):
		l.advance(1)
	}
	l.lineStart = l.at > 0 && l.src[l.at-1] == '\n'
}

func (l *lexer) comment() error {
	end := strings.Index(l.src[l.at:], "#}")
	if end < 0 {
		return faultAt(l.line, "comment without end")
	}
	sign := byte(0)
	if end > 0 {
		if c := l.src[l.at+end-1]; c == '-' || c == '+' {
			sign = c
		}
	}
	l.closeTag(end+2, sign, true)
	return nil
}

var (
	rawBegin = regexp.MustCompile(`^\s*raw\s*([-+]?)%\}`)
	rawEnd   = regexp.MustCompile(`\{%([-+]?)\s*endraw\s*([-+]?)%\}`)
)

// raw reads {% raw %} … {% endraw %}, its opening already read.
func (l *lexer) raw() (bool, error) {
	m := rawBegin.FindStringSubmatchIndex(l.src[l.at:])
	if m == nil {
		return false, nil
	}
	l.closeTag(m[1], signOf(l.src[l.at:][m[2]:m[3]]), true)
	rest := l.src[l.at:]
	e := rawEnd.FindStringSubmatchIndex(rest)
	if e == nil {
		return true, faultAt(l.line, "raw without endraw")
	}
	body := rest[:e[0]]
	switch signOf(rest[e[2]:e[3]]) {
	case '-':
		body = strings.TrimRightFunc(body, unicode.IsSpace)
	case 0:
		body = l.leftStrip(body)
	}
	l.emit(tokData, body)
	l.closeTag(e[1], signOf(rest[e[4]:e[5]]), true)
	return true, nil
}

func signOf(s string) byte {
	if s == "" {
		return 0
	}
	return s[0]
}

// operators, longest first.
var operators = []string{"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ","}

// tag reads the inside of a tag up to end, which counts only outside brackets.
func (l *lexer) tag(end string, kind tokenKind) error {
	var open []byte
	for {
		rest := l.src[l.at:]
		trimmed := strings.TrimLeftFunc(rest, unicode.IsSpace)
		l.advance(len(rest) - len(trimmed))
		rest = trimmed
		if rest == "" {
			return faultAt(l.line, "tag without %q", end)
		}
		if len(open) == 0 {
			sign, n := byte(0), len(end)
			if rest[0] == '-' || rest[0] == '+' && kind == tokBlockEnd {
				sign, n = rest[0], n+1
			}
			if strings.HasPrefix(rest[n-len(end):], end) {
				l.emit(kind, end)
				l.closeTag(n, sign, kind == tokBlockEnd)
				return nil
			}
		}
		if err := l.inner(rest, &open); err != nil {
			return err
		}
	}
}

// inner reads one token inside a tag.
func (l *lexer) inner(rest string, open *[]byte) error {
	r, _ := utf8.DecodeRuneInString(rest)
	switch {
	case r == '"' || r == '\'':
		return l.quoted(rest)
	case r == '_' || unicode.IsLetter(r):
		n := strings.IndexFunc(rest, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		if n < 0 {
			n = len(rest)
		}
		l.emit(tokName, rest[:n])
		l.advance(n)
		return nil
	case '0' <= r && r <= '9':
		l.number(rest)
		return nil
	}
	for _, op := range operators {
		if !strings.HasPrefix(rest, op) {
			continue
		}
		switch op {
		case "(", "[", "{":
			*open = append(*open, op[0])
		case ")", "]", "}":
			pairs := map[byte]string{'(': ")", '[': "]", '{': "}"}
			if len(*open) == 0 || pairs[(*open)[len(*open)-1]] != op {
				return faultAt(l.line, "unexpected %q", op)
			}
			*open = (*open)[:len(*open)-1]
		}
		l.emit(tokOp, op)
		l.advance(len(op))
		return nil
	}
	return faultAt(l.line, "unexpected %q", string(r))
}

var numberForm = regexp.MustCompile(`^[0-9](_?[0-9])*(\.[0-9](_?[0-9])*)?([eE][+-]?[0-9]+)?`)

func (l *lexer) number(rest string) {
	s := numberForm.FindString(rest)
	kind := tokInt
	if strings.ContainsAny(s, ".eE") {
		kind = tokFloat
	}
	l.emit(kind, strings.ReplaceAll(s, "_", ""))
	l.advance(len(s))
}

// quoted reads a string with Python's escapes.
func (l *lexer) quoted(rest string) error {
	quote := rest[0]
	var b strings.Builder
	for i := 1; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == quote:
			l.emit(tokString, b.String())
			l.advance(i + 1)
			return nil
		case c == '\\' && i+1 < len(rest):
			n := unescape(&b, rest[i:])
			i += n - 1
		default:
			b.WriteByte(c)
		}
	}
	return faultAt(l.line, "string without end")
}

// unescape writes the character of an escape and returns the escape's length.
// An unknown one stands for itself.
func unescape(b *strings.Builder, s string) int {
	simple := map[byte]string{'n': "\n", 't': "\t", 'r': "\r", '\\': "\\", '\'': "'", '"': `"`, 'a': "\a", 'b': "\b", 'f': "\f", 'v': "\v", '\n': ""}
	if v, ok := simple[s[1]]; ok {
		b.WriteString(v)
		return 2
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[1]]
	if digits > 0 && len(s) >= 2+digits {
		if v, err := strconv.ParseUint(s[2:2+digits], 16, 32); err == nil {
			b.WriteRune(rune(v))
			return 2 + digits
		}
	}
	if '0' <= s[1] && s[1] <= '7' {
		n := 2
		for n < len(s) && n < 4 && '0' <= s[n] && s[n] <= '7' {
			n++
		}
		v, _ := strconv.ParseUint(s[1:n], 8, 32) // the digits were just looked at
		b.WriteRune(rune(v))
		return n
	}
	b.WriteByte('\\')
	return 1
}
