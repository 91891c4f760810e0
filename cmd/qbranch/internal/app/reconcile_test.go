package app

import (
	"slices"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/quant"
)

func TestRoundsTo(t *testing.T) {
	tests := []struct {
		size, printed int64
		want          bool
	}{
		{26774982616, 26_770_000_000, true}, // "26.77 GB": rounded down
		{28029117672, 28_030_000_000, true}, // "28.03 GB": rounded up
		{8002859672, 8_000_000_000, true},   // "8.00 GB": zeros are digits too
		{8012859672, 8_000_000_000, false},  //
		{26784982616, 26_770_000_000, false},
		{1975776, 1_980_000, true}, // "1.98 MB"
		{1975776, 1_970_000, false},
		{36652345792, 36_650_000_000, true},
		{15, 0, false},
		{1234, 1234, true}, // exact
		{1235, 1234, false},
	}
	for _, test := range tests {
		if got := roundsTo(test.size, test.printed); got != test.want {
			t.Errorf("roundsTo(%d, %d) = %v", test.size, test.printed, got)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"main", "gptq-3bit-32g-actorder_True", "gptq-4bit-32g-actorder_True", "gptq-8bit--1g-actorder_True"}
	tests := []struct {
		asked string
		want  []string
	}{
		{"Main", []string{"main"}},
		{"mian", []string{"main"}},
		{"8bit", []string{names[3]}},
		{"gptq-4bit-32g-actorder_true", []string{names[2]}},           // case is no mistake
		{"gptq-5bit-32g-actorder_True", []string{names[1], names[2]}}, // one mistake away from both
		{"32g", []string{names[1], names[2]}},
		{"something-else-entirely", nil},
	}
	for _, test := range tests {
		if got := nearest(test.asked, names); !slices.Equal(got, test.want) {
			t.Errorf("nearest(%q) = %q, want %q", test.asked, got, test.want)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"same", "same", 0}} {
		if got := editDistance(test.a, test.b); got != test.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	corrupt := &CorruptionError{&VerifyReport{Target: "o/n:b", Commit: "c", Files: []FileCheck{
		{Path: "ok", OK: true}, {Path: "a", Ranges: []Range{{Offset: 0, Length: 10}, {Offset: 20, Length: 5}}}, {Path: "b", Missing: true}}}}
	if got, want := corrupt.Error(), "verify o/n:b: a is corrupt at bytes 0-9, 20-24; b is missing"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := corrupt.Hint(), "'qbranch verify o/n:b --repair' fetches only these parts"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	fatal := &FindingsError{Op: "get o/n:b", Findings: []Finding{
		{Code: "J7", Severity: quant.Info, Message: "not this"},
		{Code: "J3", Severity: quant.Fatal, Where: "quantize_config.json", Message: "bits is 5"},
		{Code: "H1", Severity: quant.Fatal, Message: "cut short", Hint: "fetch it again"}}}
	if got, want := fatal.Error(), "get o/n:b: quantize_config.json: bits is 5 (J3), and 1 more"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := fatal.Hint(), "fetch it again; --force fetches it all the same"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	many := &CorruptionError{&VerifyReport{Files: []FileCheck{{Path: "1", Missing: true}, {Path: "2", Missing: true}, {Path: "3", Missing: true}, {Path: "4", Missing: true}}}}
	if !strings.HasSuffix(many.Error(), "; and 1 more") {
		t.Errorf("got %q", many.Error())
	}
}
