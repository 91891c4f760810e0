package quant

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// manyRules is a configuration of n rules, which differ in their number.
func manyRules(n int, pattern string) string {
	var b strings.Builder
	b.WriteString(`{"bits":4,"group_size":128,"sym":true,"dynamic":{`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `%q:{"bits":8}`, strings.ReplaceAll(pattern, "#", fmt.Sprint(i)))
	}
	return b.String() + "}}"
}

// A file of some hundred kilobytes costs neither seconds nor gigabytes; what is
// not compared is said.
func TestManyRules(t *testing.T) {
	good := tensorsOf(t, mixtral8x7B, config4x128, LayoutOptions{})
	for _, tt := range []struct {
		name, pattern string
		n             int
		said          bool // that not all of them are compared
	}{
		{"a rule for each layer", `+:model\.layers\.#\.self_attn\.nothing`, 10_000, false},
		{"a rule for a few of each", `+:model\.layers\.#\.(mlp|nothing)`, 1000, false},
		{"rules that begin with anything", `.*\.#[xyz]+`, 200, false},
		{"too many of these", `.*\.#[xyz]+`, 10_000, true},
		{"expressions that grow", `.{900}#`, 10_000, true},
		{"one expression that grows", `(.{100}){100}#`, 1, true},
		{"what Go does not have", `(?=#)`, 10_000, true},
	} {
		config := manyRules(tt.n, tt.pattern)
		got, findings := headersSay(t, mixtral8x7B, config, good)
		if said := slices.Contains(got, "J15 warn"); said != tt.said || len(got) > 2 {
			t.Errorf("%s: %v\n%+v", tt.name, got, findings)
		}
		cfg, err := ParseConfig("quantize_config.json", []byte(config))
		if err != nil {
			t.Fatal(err)
		}
		nodes := 0
		for _, r := range cfg.Dynamic {
			if r.re != nil {
				nodes += len(r.Pattern)
			}
		}
		if nodes > 10*maxRules {
			t.Errorf("%s: expressions of %d bytes are compiled", tt.name, nodes)
		}
	}
}

// A rule means the names its expression matches from the start.
func FuzzRule(f *testing.F) {
	for _, pattern := range []string{`model\.layers\.0\.`, `^model`, `(?i)MODEL`, `model|other`, `m?odel`, `mode*l`, `(?m)^m`, `mo(?:del)`, `\Qmodel.l\E`, `m{2}`, `[m]odel`, `^`, ``} {
		f.Add(pattern, "model.layers.0.self_attn.q_proj")
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		nodes := maxRules
		r := (&configKeys{}).rule(pattern, nil, &nodes)
		re, err := regexp.Compile(r.Pattern)
		if err != nil {
			if r.readable() {
				t.Errorf("%q is no expression: %v", r.Pattern, err)
			}
			return
		}
		match := false // the leftmost match begins where the name does, if any does
		if at := re.FindStringIndex(name); at != nil {
			match = at[0] == 0
		}
		begins := strings.HasPrefix(name, r.prefix)
		if match && !begins || r.literal && match != begins || r.re != nil && r.re.MatchString(name) != match {
			t.Errorf("%q matches %q: %v; prefix %q, all of it: %v", r.Pattern, name, match, r.prefix, r.literal)
		}
	})
}
