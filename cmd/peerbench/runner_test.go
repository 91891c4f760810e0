package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCompared(t *testing.T) {
	mine := []speed{{Prefill: 200, Decode: 65, Rate: 42e9, Read: 50e9}, {Prefill: 100, Decode: 10, Rate: 6e9, Read: 40e9}, {Prefill: 260, Decode: 70, Rate: 45e9, Read: 60e9}}
	peer := []speed{{Prefill: 130, Decode: 50}, {Prefill: 130, Decode: 50}, {Prefill: 120, Decode: 51}}
	for _, tc := range []struct {
		setting setting
		want    []string // measure, target, ours, verdict
	}{
		{setting{2, false}, []string{
			"decode, 2 threads|≥ 1.3 ×|65.0 tokens/s (1.30 ×)|met",
			"prompt, 2 threads|≥ 1.3 ×|200.0 tokens/s (1.54 ×)|met",
			// The median of 84, 15 and 75 per cent, not a ratio of medians.
			"memory read by decoding, 4bit-128g, 2 threads|≥ 75 % of a plain read|42.0 GB/s, 75 % of 50.0 (65.0 tokens/s, prompt 200)|met",
		}},
		{setting{1, false}, []string{ // no targets
			"decode, 1 thread||65.0 tokens/s (1.30 ×)|",
			"prompt, 1 thread||200.0 tokens/s (1.54 ×)|",
			"memory read by decoding, 4bit-128g, 1 thread||42.0 GB/s, 75 % of 50.0 (65.0 tokens/s, prompt 200)|",
		}},
		{setting{2, true}, []string{
			"decode, 2 threads, one other busy process|≥ 3.0 ×|65.0 tokens/s (1.30 ×)|**missed**",
			"prompt, 2 threads, one other busy process|≥ 3.0 ×|200.0 tokens/s (1.54 ×)|**missed**",
		}},
	} {
		var got []string
		for _, l := range compared(tc.setting, mine, peer) {
			got = append(got, strings.Join([]string{l.Measure, l.Target, l.Ours, string(l.Verdict)}, "|"))
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%v:\n got %q\nwant %q", tc.setting, got, tc.want)
		}
	}
}

// Without a Python that has the peer nothing is measured, and one line says why.
func TestRunnerSkips(t *testing.T) {
	t.Setenv(pythonVariable, "")
	var out strings.Builder
	if err := runRunner(context.Background(), nil, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.HasPrefix(got, "the comparison with llama.cpp is skipped: $QBRANCH_LLAMA_PYTHON names no Python") || strings.Count(got, "\n") != 1 {
		t.Errorf("got %q", got)
	}
	out.Reset()
	if err := runRunner(context.Background(), []string{"-llama", filepath.Join(t.TempDir(), "python")}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.Contains(got, "cannot import llama_cpp, gguf and numpy") {
		t.Errorf("got %q", got)
	}
}

// Both programs are run in turn, in every setting, and what they print is read.
// Here they are shell scripts.
func TestRunnerMeasures(t *testing.T) {
	if testing.Short() {
		t.Skip("builds gptqmake")
	}
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("no shell")
	}
	dir := t.TempDir()
	script := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o777); err != nil {
			t.Fatal(err)
		}
		return path
	}
	qbranch := script("qbranch", `case $1 in version) echo qbranch 1;; *) echo '{"prefill_tokens_per_second":200,"decode_tokens_per_second":60,"decode_bytes_per_second":4,"read_bytes_per_second":5}';; esac`)
	python := script("python", `case $2 in run) echo '{"version":"0.3","prefill_tokens_per_second":100,"decode_tokens_per_second":50}';; make) echo gguf > $3;; esac`)
	model := filepath.Join(dir, "tinyllama-4bit-128g")
	if err := os.Mkdir(model, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(model, "config.json"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	var out, log strings.Builder
	args := []string{"-qbranch", qbranch, "-llama", python, "-models", dir, "-runs", "2", "-widths=false"}
	if err := runRunner(context.Background(), args, &out, &log); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"qbranch: qbranch 1; llama-cpp-python: 0.3.\n", "| decode, 2 threads | ≥ 1.3 × | 60.0 tokens/s (1.20 ×) | 50.0 tokens/s | **missed** |\n",
		"| prompt, 2 threads, one other busy process | ≥ 3.0 × | 200.0 tokens/s (2.00 ×) | 100.0 tokens/s | **missed** |\n", "80 % of 0.0",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got\n%s\nwithout %q", out.String(), want)
		}
	}
	if got := strings.Count(log.String(), "bench "+model); got != 6 {
		t.Errorf("qbranch was run %d times, want twice in three settings:\n%s", got, log.String())
	}
}
