package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdJSON compares a field: json SELECT FIELD OP VALUE.
func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	usageIf(ts, neg || len(args) != 4, "json SELECT FIELD OP VALUE")
	got := field(ts, args[0], args[1])
	if !compare(ts, got, args[2], args[3]) {
		ts.Fatalf("%s.%s is %s, want %s %s", args[0], args[1], got, args[2], args[3])
	}
}

// cmdKeep puts a field into the environment: keep NAME SELECT FIELD.
func cmdKeep(ts *testscript.TestScript, neg bool, args []string) {
	usageIf(ts, neg || len(args) != 3, "keep NAME SELECT FIELD")
	ts.Setenv(args[0], field(ts, args[1], args[2]))
}

// field finds a field such as files.0.path, or files.len, in the JSON that the
// last program printed.
func field(ts *testscript.TestScript, selector, path string) string {
	v := selected(ts, selector)
	for name := range strings.SplitSeq(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[name]
		case []any:
			if name == "len" {
				v = json.Number(strconv.Itoa(len(at)))
				continue
			}
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(at) {
				ts.Fatalf("%s: no element %s of %d", path, name, len(at))
			}
			v = at[i]
		default:
			ts.Fatalf("%s: nothing to find %s in", path, name)
		}
	}
	if v == nil {
		return "null"
	}
	return fmt.Sprint(v)
}

func selected(ts *testscript.TestScript, selector string) any {
	lines := strings.Split(strings.TrimSpace(ts.ReadFile("stdout")), "\n")
	var found any
	for i, line := range lines {
		var v map[string]any
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&v); err != nil || d.More() {
			ts.Fatalf("line %d is not one JSON object: %q", i+1, line)
		}
		switch {
		case selector == "only" && len(lines) == 1, selector == "last" && i == len(lines)-1,
			found == nil && v["type"] == selector:
			found = v
		}
	}
	if found == nil {
		ts.Fatalf("no %q among %d lines", selector, len(lines))
	}
	return found
}

// compare applies == != ~ to texts and <= >= to integers.
func compare(ts *testscript.TestScript, got, op, want string) bool {
	switch op {
	case "==":
		return got == want
	case "!=":
		return got != want
	case "~":
		return regexp.MustCompile(want).MatchString(got)
	case "<=":
		return number(ts, got) <= number(ts, want)
	case ">=":
		return number(ts, got) >= number(ts, want)
	}
	ts.Fatalf("unknown comparison %q", op)
	return false
}
