package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, tc := range []struct {
		in   []int64
		want int64
	}{
		{nil, 0},
		{[]int64{5}, 5},
		{[]int64{9, 1, 5}, 5}, // not in order
		{[]int64{4, 2}, 3},    // between the middle two
		{[]int64{1, 1, 100, 1}, 1},
		{[]int64{1<<62 + 2, 1 << 62}, 1<<62 + 1}, // their sum would overflow
	} {
		before := slices.Clone(tc.in)
		if got := median(tc.in); got != tc.want {
			t.Errorf("median(%v) = %d, want %d", tc.in, got, tc.want)
		}
		if !slices.Equal(tc.in, before) {
			t.Errorf("median changed %v to %v", before, tc.in)
		}
	}
}

func TestParseSize(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want int64 // 0 = refused
	}{
		{"1000", 1000},
		{"3KiB", 3 << 10},
		{"256MiB", 256 << 20},
		{"2GiB", 2 << 30},
		{"", 0},
		{"0", 0},
		{"-1GiB", 0},
		{"1.5GiB", 0},
		{"1GB", 0},            // not a unit we have
		{"GiB", 0},            // no number
		{"1GiB ", 0},          // not clean
		{"99999999999GiB", 0}, // more than there can be
	} {
		got, err := parseSize(tc.in)
		if got != tc.want || (err != nil) != (tc.want == 0) {
			t.Errorf("parseSize(%q) = %d, %v, want %d", tc.in, got, err, tc.want)
		}
	}
}

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		args []string
		ok   bool
	}{
		{nil, true},
		{[]string{"--only", "loopback, kill", "--runs", "5", "--size", "64MiB"}, true},
		{[]string{"--only", "nothing"}, false},
		{[]string{"--runs", "0"}, false},
		{[]string{"--size", "big"}, false},
		{[]string{"loopback"}, false}, // a row is named with --only
	} {
		if _, err := parse(tc.args, io.Discard); (err == nil) != tc.ok {
			t.Errorf("parse(%q): %v, want ok %v", tc.args, err, tc.ok)
		}
	}
	var help bytes.Buffer
	if _, err := parse([]string{"--help"}, &help); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("--help: %v", err)
	}
	for _, name := range rowNames() {
		if !strings.Contains(help.String(), name) {
			t.Errorf("--help does not name row %s", name)
		}
	}
}

func TestChosen(t *testing.T) {
	got, err := chosen("kill,loopback")
	if err != nil || len(got) != 2 || got[0].name != "kill" || got[1].name != "loopback" {
		t.Errorf("got %v, %v, want kill and loopback", got, err)
	}
	if all, err := chosen(""); err != nil || len(all) != len(allRows()) {
		t.Errorf("no list: %d rows, %v, want all", len(all), err)
	}
}

func TestVersionIn(t *testing.T) {
	for in, want := range map[string]string{
		"curl 7.88.1 (x86_64)\nRelease-Date: 2023": "curl 7.88.1 (x86_64)",
		"✓ hf version\n  version: 2.4.0\n":         "version: 2.4.0",
		"nothing to see\n":                         "version unknown",
		"":                                         "version unknown",
	} {
		if got := versionIn(in); got != want {
			t.Errorf("versionIn(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestKindOf(t *testing.T) {
	const mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /dev/shm tmpfs rw 0 0\nshort\n/dev/vdb /data xfs rw 0 0\n"
	for dir, want := range map[string]string{
		"/tmp/x": "ext4", "/dev/shm": "tmpfs", "/dev/shm/a": "tmpfs", "/dev/shmoo": "ext4", "/data/b": "xfs",
	} {
		if got := kindOf(mounts, dir); got != want {
			t.Errorf("kindOf(%s) = %s, want %s", dir, got, want)
		}
	}
	if got := kindOf("", "/tmp"); got != "unknown" {
		t.Errorf("no mounts: %s, want unknown", got)
	}
}

func TestAgainst(t *testing.T) {
	fast, slow := sample{Wall: time.Second}, sample{Wall: 2 * time.Second}
	for _, tc := range []struct {
		name    string
		results map[string][]sample
		most    float64
		want    verdict
		ours    string
	}{
		{"as fast as wanted", map[string][]sample{ours: {slow}, "curl": {fast}}, 2, met, "2.00 s (2.00 × curl)"},
		{"too slow", map[string][]sample{ours: {slow}, "curl": {fast}}, 1.9, missed, "2.00 s (2.00 × curl)"},
		{"no peer to compare with", map[string][]sample{ours: {slow}}, 1, unsettled, "2.00 s"},
		{"ours failed", map[string][]sample{"curl": {fast}}, 1, missed, "failed"},
	} {
		got := against(line{}, tc.results, "curl", tc.most)
		if got.Verdict != tc.want || got.Ours != tc.ours {
			t.Errorf("%s: got %q, %q, want %q, %q", tc.name, got.Ours, got.Verdict, tc.ours, tc.want)
		}
	}
}

// Wrong bytes and a tool that gave up are never a success, however little moved.
func TestWithMoved(t *testing.T) {
	u := upload{size: 100}
	for _, tc := range []struct {
		s    sample
		text string
		want verdict
	}{
		{sample{Right: true, Traffic: traffic{Sent: 102}}, "1.020 ×", met},
		{sample{Right: true, Traffic: traffic{Sent: 103}}, "1.030 ×", missed},
		{sample{Traffic: traffic{Sent: 100}}, "1.000 ×, accepted wrong bytes", missed},
		{sample{Exit: 5, Traffic: traffic{Sent: 10}}, "gave up after 0.100 ×", missed},
	} {
		mine := line{}.withMoved(tool{name: ours}, tc.s, u, 1.02)
		if mine.Ours != tc.text || mine.Verdict != tc.want {
			t.Errorf("%+v: got %q, %q, want %q, %q", tc.s, mine.Ours, mine.Verdict, tc.text, tc.want)
		}
		if peer := (line{}).withMoved(tool{name: "curl"}, tc.s, u, 1.02); peer.of("curl") != tc.text || peer.Verdict != "" {
			t.Errorf("a peer: got %q, %q, want %q and no verdict", peer.of("curl"), peer.Verdict, tc.text)
		}
	}
}

func TestPrintTable(t *testing.T) {
	var got strings.Builder
	err := printTable(&got, []line{
		{Measure: "a|b", Target: "≤ 1", Ours: "1", Peers: []value{{"curl", "2"}}, Verdict: met},
		{Measure: "c", Target: "x", Ours: "3", Peers: []value{{"aria2", "4"}}, Verdict: missed, Note: "why"},
	})
	const want = "| measure | target | qbranch | curl | aria2 |  |\n" +
		"| --- | --- | --- | --- | --- | --- |\n" +
		"| a\\|b | ≤ 1 | 1 | 2 |  | met |\n" +
		"| c | x | 3 |  | 4 | **missed** [1] |\n" +
		"\n1. why\n"
	if err != nil || got.String() != want {
		t.Errorf("got %v\n%s\nwant\n%s", err, got.String(), want)
	}
}

// Both ways of reporting say where and with what it was measured.
func TestReport(t *testing.T) {
	m := machine{Command: "peerbench ", Date: "2026-01-02", Tools: []string{"curl: 8"}, Absent: []string{"hf"}}
	lines := []line{{Row: "loopback", Measure: "<wall>", Verdict: met}}
	var text, asJSON bytes.Buffer
	if err := errors.Join(report(&text, false, m, lines), report(&asJSON, true, m, lines)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"`peerbench`, 2026-01-02", "curl: 8.", "left out: hf.", "| <wall> |"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	var gotMachine machine
	var gotLine line
	dec := json.NewDecoder(&asJSON)
	if err := errors.Join(dec.Decode(&gotMachine), dec.Decode(&gotLine)); err != nil {
		t.Fatal(err)
	}
	if gotMachine.Date != m.Date || gotLine.Measure != "<wall>" {
		t.Errorf("read back %+v, %+v", gotMachine, gotLine)
	}
}

// The hub's side of the conversation, without the process.
func TestServeHub(t *testing.T) {
	source := filepath.Join(t.TempDir(), "weights")
	if _, err := writeNoise(source, 3*mebi, 1); err != nil {
		t.Fatal(err)
	}
	files := map[string]file{"weights.bin": {Path: source}, "small.json": {Size: 10}}
	var in, out bytes.Buffer
	for _, c := range []command{
		{Do: "repo", Repo: "o/n", Branch: "main", Files: files},
		{Do: "shape", Shape: shape{ConnRate: 1e6, Faults: []string{"origin=cdn,flip-at=7,times=1"}}},
		{Do: "shape", Shape: shape{Faults: []string{"no such key"}}},
		{Do: "move", Repo: "o/n", Branch: "main", Files: map[string]file{"weights.bin": {Size: 5}}},
		{Do: "expire"}, {Do: "reset"}, {Do: "log"}, {Do: "await", Bytes: 0}, {Do: "dance"},
	} {
		if err := json.NewEncoder(&in).Encode(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := serveHub(&in, &out); err != nil {
		t.Fatal(err)
	}
	var answers []answer
	for s := bufio.NewScanner(&out); s.Scan(); {
		var a answer
		if err := json.Unmarshal(s.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	if len(answers) != 9 {
		t.Fatalf("%d answers, want 9", len(answers))
	}
	for i, a := range answers {
		if refused := i == 2 || i == 8; (a.Error != "") != refused {
			t.Errorf("answer %d: %q, want an error: %v", i, a.Error, refused)
		}
		if a.Endpoint == "" {
			t.Errorf("answer %d has no endpoint", i)
		}
	}
	if len(answers[0].Commit) != 40 || answers[3].Commit == answers[0].Commit {
		t.Errorf("commits %q and %q", answers[0].Commit, answers[3].Commit)
	}
}

func TestHolds(t *testing.T) {
	dir := t.TempDir()
	u := upload{size: 3 * mebi}
	var err error
	if u.digest, err = writeNoise(filepath.Join(dir, "a"), u.size, 1); err != nil {
		t.Fatal(err)
	}
	if got, err := holds(dir, u); err != nil || !got {
		t.Errorf("the file is there: got %v, %v", got, err)
	}
	if err := flipOnDisk(dir, u, 100); err != nil {
		t.Fatal(err)
	}
	if got, err := holds(dir, u); err != nil || got {
		t.Errorf("a bit is flipped: got %v, %v", got, err)
	}
	if err := os.Remove(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	if err := flipOnDisk(dir, u, 100); err == nil {
		t.Error("flipped a bit of nothing")
	}
}
