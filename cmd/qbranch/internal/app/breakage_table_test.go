package app_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/infer/proof"
)

var update = flag.Bool("update", false, "write the table of docs/verdict.md")

const (
	verdictPage = "../../../../docs/verdict.md"
	tableBegin  = "<!-- table of breakages: go test ./cmd/qbranch/internal/app -run TestBreakages -update -->\n"
	tableEnd    = "<!-- end of the table -->\n"
)

// shown are the signals of the table.
var shown = []string{"known_text", "entropy_high", "loops", "specials", "format", "end_of_turn", "answer", "against_agreement", "against_kl", "against_kl_max", "against_tokens"}

// unaided is how many of them need no other branch.
const unaided = 7

// TestBreakages spoils a branch of the demo in every way that is known here, and
// holds the table in the documentation to what prove says of each.
func TestBreakages(t *testing.T) {
	if testing.Short() && !*update {
		t.Skip("runs many models")
	}
	w := newWorld(t, demoBranches(t, main4x32))
	against := newPatient(t, "gptq-8bit-128g-actorder_True").write()
	rows := [][]string{
		{"breakage", "files and tensors", "known text", "entropy", "loops", "specials", "format", "end of turn", "answer", "verdict", "agreement", "KL", "KL at worst", "tokens", "verdict with --against"},
	}
	for _, b := range breakages {
		rows = append(rows, breakageRow(t, w, b.name, b.damage, against))
	}
	page, err := os.ReadFile(verdictPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), tableBegin)
	old, after, closed := strings.Cut(rest, tableEnd)
	if !ok || !closed {
		t.Fatalf("%s has no place for the table", verdictPage)
	}
	if *update {
		if err := os.WriteFile(verdictPage, []byte(before+tableBegin+markdown(rows)+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	compareTables(t, rows, old)
}

// breakageRow proves a spoiled branch against a sound one. What its verdict is
// without the other follows from the reasons, since a comparison alone makes
// nothing broken.
func breakageRow(t *testing.T, w *world, name string, damage func(*patient), against app.Target) []string {
	p := newPatient(t, main4x32)
	damage(p)
	target := p.write()
	rep, err := w.Prove(context.Background(), target, app.ProveOptions{Against: against})
	compared := true
	var refused *app.ProofError
	if rep == nil && app.FailureOf(err) == app.FailureUsage { // not of the same shape
		compared = false
		rep, err = w.Prove(context.Background(), target, app.ProveOptions{})
	}
	if rep == nil || err != nil && !errors.As(err, &refused) || (rep.Verdict == app.Sound) != (err == nil) {
		t.Fatalf("%s: %+v, %v", name, rep, err)
	}
	var codes []string
	for _, f := range rep.Findings {
		if f.Code != app.RunCode && (f.Severity == "fatal" || f.Severity == "warn") {
			codes = append(codes, fmt.Sprintf("%s %s", f.Code, f.Severity))
		}
	}
	alone := rep.Verdict
	if !slices.ContainsFunc(rep.Reasons, func(s string) bool { return !strings.HasPrefix(s, "against ") }) {
		alone = app.Sound
	}
	signals := rep.Signals
	if rep.Run == nil {
		signals = wouldSay(t, w, target, against)
	}
	row := []string{name, strings.Join(codes, ", ")}
	for _, s := range shown[:unaided] {
		row = append(row, cell(signals, s))
	}
	row = append(row, alone)
	for _, s := range shown[unaided:] {
		row = append(row, cell(signals, s))
	}
	if !compared {
		return append(row, "refused")
	}
	return append(row, rep.Verdict)
}

// wouldSay runs what is not run, since its files are found bad before.
func wouldSay(t *testing.T, w *world, target, against app.Target) []app.Signal {
	t.Helper()
	var models [2]*app.Model
	for i, x := range []app.Target{target, against} {
		m, err := w.LoadModel(context.Background(), x)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		models[i] = m
	}
	facts, err := proof.Run(context.Background(), models[0].Model, proof.Options{Against: models[1].Model})
	if err != nil {
		t.Fatal(err)
	}
	return facts.Signals()
}

// cell is the value of a signal, bold where it speaks against the branch, in
// brackets where it is not counted.
func cell(signals []app.Signal, name string) string {
	i := slices.IndexFunc(signals, func(s app.Signal) bool { return s.Name == name })
	if i < 0 || signals[i].Value == nil {
		return "–"
	}
	s := signals[i]
	value := fmt.Sprintf("%.2g", *s.Value)
	if *s.Value >= 100 {
		value = fmt.Sprintf("%.0f", *s.Value)
	}
	switch s.Verdict {
	case app.SignalGood:
	case app.SignalUnknown:
		value = "(" + value + ")"
	default:
		value = "**" + value + "**"
	}
	return value
}

func markdown(rows [][]string) string {
	var b strings.Builder
	for i, row := range rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintf(&b, "|%s\n", strings.Repeat("---|", len(row)))
		}
	}
	return b.String()
}

// compareTables compares words and marks exactly, and numbers as well as they
// are the same on every machine: the order of additions is not.
func compareTables(t *testing.T, rows [][]string, page string) {
	lines := strings.Split(strings.TrimSpace(page), "\n")
	if len(lines) != len(breakages)+2 {
		t.Fatalf("the page has a table of %d lines, want %d: run with -update", len(lines), len(breakages)+2)
	}
	for _, row := range rows {
		i := slices.IndexFunc(lines, func(s string) bool { return strings.HasPrefix(s, "| "+row[0]+" |") })
		if i < 0 {
			t.Errorf("the page has no row of %s", row[0])
			continue
		}
		cells := strings.Split(strings.Trim(lines[i], "|"), "|")
		for j := range min(len(row), len(cells)) {
			if got, want := row[j], strings.TrimSpace(cells[j]); !sameCell(got, want) {
				t.Errorf("%s, %s: got %s, the page says %s: look why, then run with -update", row[0], rows[0][j], got, want)
			}
		}
	}
}

func sameCell(got, want string) bool {
	x, err1 := strconv.ParseFloat(strings.Trim(got, "*()"), 64)
	y, err2 := strconv.ParseFloat(strings.Trim(want, "*()"), 64)
	if err1 != nil || err2 != nil {
		return got == want
	}
	mark := func(s string) string { return strings.Trim(s[:1], "0123456789") }
	return mark(got) == mark(want) && math.Abs(x-y) <= 0.01+0.1*math.Abs(y)
}
