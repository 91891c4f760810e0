package quant

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/qbranch/qbranch/quant/safetensors"
)

// Severity of a finding.
type Severity string

// Severities: a fatal finding means the branch cannot be what it claims.
const (
	Fatal Severity = "fatal"
	Warn  Severity = "warn"
	Info  Severity = "info"
)

// Finding is one thing that was noticed. Codes are J1…, H1…, D1… of
// docs/findings.md and never change their meaning.
type Finding struct {
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	Where    string   `json:"where"`           // file, tensor or field
	Field    string   `json:"field,omitempty"` // the key of a configuration file that is concerned
	Message  string   `json:"message"`         // what is wrong, with values
	Got      string   `json:"got,omitempty"`   // the value seen
	Want     string   `json:"want,omitempty"`  // the value expected
	Hint     string   `json:"hint,omitempty"`  // what to do next
}

// Input is what is known of a checkpoint before or after its weights moved.
type Input struct {
	Branch  string                         // "" when unknown
	Files   map[string]int64               // path → size, the whole listing
	JSON    map[string][]byte              // config.json, quantize_config.json, *.index.json by path
	Headers map[string]*safetensors.Header // by path; nil before they are read

	inv *inventory // of the headers, where WithInventory has taken it
}

// HeaderFinding is the finding for a weight file whose header cannot be read.
func HeaderFinding(path string, err error) Finding {
	f := Finding{Code: "H1", Severity: Fatal, Where: printable(path), Message: printable(strings.TrimPrefix(err.Error(), "safetensors: ")),
		Got: "no header that can be read", Want: "safetensors, as long as its header says"}
	if f.Hint = printable(hintOf(err)); f.Hint == "" {
		f.Hint = "fetch the file again"
	}
	return f
}

func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// DigestFinding is the finding for a file whose bytes are not what its digest
// names; where says which bytes, as far as that is known.
func DigestFinding(path, where string) Finding {
	return Finding{Code: "D1", Severity: Fatal, Where: printable(path), Got: printable(where), Want: "the bytes its digest names",
		Message: "its bytes have changed since they were fetched", Hint: "'qbranch verify REF --repair' fetches only the bad parts"}
}

// RunFinding is the finding for what a run of a checkpoint shows, Fatal or Warn;
// where names the signal.
func RunFinding(severity Severity, where, got, want, message, hint string) Finding {
	return Finding{Code: "D12", Severity: severity, Where: printable(where), Got: printable(got), Want: printable(want),
		Message: printable(message), Hint: printable(hint)}
}

// RunFailure is the finding for a checkpoint that cannot be run because of what
// is in its files.
func RunFailure(err error) Finding {
	hint := hintOf(err)
	if hint == "" {
		hint = "the files do not hold a model that can be run: choose another branch"
	}
	return RunFinding(Fatal, "run", "an error", "a run", err.Error(), hint)
}

// list collects findings; equal ones about many tensors are counted, so that a
// thousand layers with one fault make one finding.
type list struct {
	findings []Finding
	counts   map[string]*counted
	order    []string
}

type counted struct {
	f Finding
	n int
}

func (l *list) add(f Finding) {
	f.Where, f.Field, f.Message = printable(f.Where), printable(f.Field), printable(f.Message)
	f.Got, f.Want = printable(f.Got), printable(f.Want)
	l.findings = append(l.findings, f)
}

// count adds f to those of the same code and kind; the first one is shown.
func (l *list) count(kind string, f Finding) {
	if l.counts == nil {
		l.counts = map[string]*counted{}
	}
	key := f.Code + kind
	if c := l.counts[key]; c != nil {
		c.n++
		return
	}
	l.counts[key] = &counted{f, 1}
	l.order = append(l.order, key)
}

// sorted gives all findings: fatal first, then by code and place. Call it once.
func (l *list) sorted() []Finding {
	for _, key := range l.order {
		c := l.counts[key]
		c.f.Message += andMore(c.n)
		l.add(c.f)
	}
	slices.SortStableFunc(l.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(rank(a.Severity), rank(b.Severity)), cmp.Compare(kindOf(a.Code), kindOf(b.Code)),
			cmp.Compare(codeNumber(a.Code), codeNumber(b.Code)), cmp.Compare(a.Where, b.Where))
	})
	return l.findings
}

// andMore says of the first of n that there are others.
func andMore(n int) string {
	if n < 2 {
		return ""
	}
	return " (and " + strconv.Itoa(n-1) + " more)"
}

func rank(s Severity) int {
	switch s {
	case Fatal:
		return 0
	case Warn:
		return 1
	}
	return 2
}

// kindOf orders JSON before headers before data.
func kindOf(code string) int { return strings.IndexByte("JHD", code[0]) }

// codeNumber is the 12 of "H12"; codes are constants of this package.
func codeNumber(code string) int {
	n, err := strconv.Atoi(code[1:])
	if err != nil {
		return 0
	}
	return n
}

// printable makes a remote string fit to be shown, and no longer than a line or
// three.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
	if runes := []rune(s); len(runes) > 400 {
		return string(runes[:400]) + "…"
	}
	return s
}
