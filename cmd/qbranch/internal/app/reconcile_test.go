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

// TestQuality: the better of two, whichever comes first.
func TestQuality(t *testing.T) {
	p := func(n int) *int { return &n }
	yes, no := true, false
	tests := []struct {
		name          string
		better, worse quality
	}{
		{"bits before groups", quality{p(4), p(-1), &no, 9}, quality{p(3), p(32), &yes, 1}},
		{"smaller groups", quality{p(4), p(32), &no, 9}, quality{p(4), p(128), &yes, 1}},
		{"no groups are the worst", quality{p(4), p(1024), &no, 9}, quality{p(4), p(-1), &yes, 1}},
		{"act-order", quality{p(4), p(128), &yes, 9}, quality{p(4), p(128), &no, 1}},
		{"fewer bytes", quality{p(4), p(128), &yes, 1}, quality{p(4), p(128), &yes, 9}},
		{"bits that nobody states are the fewest", quality{p(2), p(-1), nil, 9}, quality{nil, p(32), &yes, 1}},
		{"groups that nobody states are worse than none", quality{p(4), p(-1), nil, 9}, quality{p(4), nil, &yes, 1}},
	}
	for _, test := range tests {
		if test.better.compare(test.worse) >= 0 || test.worse.compare(test.better) <= 0 {
			t.Errorf("%s: got %d, %d", test.name, test.better.compare(test.worse), test.worse.compare(test.better))
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
