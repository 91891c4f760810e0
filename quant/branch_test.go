package quant

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// branchText is what a name says, in short.
func branchText(p BranchParams) string {
	var b strings.Builder
	add := func(name string, v any) { fmt.Fprintf(&b, " %s=%v", name, v) }
	if p.Bits != nil {
		add("bits", *p.Bits)
	}
	if p.GroupSize != nil {
		add("g", *p.GroupSize)
	}
	if p.ActOrder != nil {
		add("act", *p.ActOrder)
	}
	if p.Damp != nil {
		add("damp", *p.Damp)
	}
	if p.Sym != nil {
		add("sym", *p.Sym)
	}
	if p.BPW != nil {
		add("bpw", *p.BPW)
	}
	if p.HeadBits != nil {
		add("head", *p.HeadBits)
	}
	for _, s := range []string{p.Method, p.Format, p.Quant} {
		if s != "" {
			b.WriteString(" " + s)
		}
	}
	for _, s := range p.Contradictions {
		b.WriteString(" !" + s)
	}
	return strings.TrimSpace(b.String())
}

func TestParseBranchName(t *testing.T) {
	tests := []struct{ name, want string }{
		{"gptq-4bit-32g-actorder_True", "bits=4 g=32 act=true gptq"},
		{"gptq-3bit--1g-actorder_True", "bits=3 g=-1 act=true gptq"}, // -1: no groups
		{"gptq-8bit-128g-actorder_False", "bits=8 g=128 act=false gptq"},
		{"gptq-4-32g-actorder_True", "bits=4 g=32 act=true gptq"}, // without the word "bit"
		{"gptq-8--1g-actorder_True", "bits=8 g=-1 act=true gptq"},
		{"4bit-128g", "bits=4 g=128"},
		{"gptq-4bit-128-actorder_True", "bits=4 g=128 act=true gptq"}, // without the g
		{"gptq-4bit-None-actorder_True", "bits=4 g=-1 act=true gptq"},
		{"4bit-4096", "bits=4"}, // no group
		{"4bit-gs--1", "bits=4 g=-1"},
		{"b4g128", "bits=4 g=128"},
		{"bits4_group128", "bits=4 g=128"},
		{"gptq4bit128g", "bits=4 g=128"},
		{"4bit-32g-actorder", "bits=4 g=32 act=true"},
		{"8bit-128g-desc_act-damp0.1", "bits=8 g=128 act=true damp=0.1"},
		{"8bit-128g-desc_act-False", "bits=8 g=128 act=false"},
		{"gptq-4bit", "bits=4 gptq"},
		{"GPTQ-4BIT-128G-ActOrder_TRUE", "bits=4 g=128 act=true gptq"},
		{"gptq_model-4bit--1g", "bits=4 g=-1 gptq"}, // a file's stem
		{"gptq_model-4bit-128g", "bits=4 g=128 gptq"},
		{"Model-GPTQ-4bit-128g.latest", "bits=4 g=128 gptq"},
		{"4-bit-64g-act-order", "bits=4 g=64 act=true"},
		{"4bit-128g.no-act-order", "bits=4 g=128 act=false"},
		{"4bit_128g_no_act_order", "bits=4 g=128 act=false"},
		{"no-act-order", "act=false"},
		{"without-act-order", "act=false"},
		{"actorder", "act=true"},
		{"gptq-16bit", "bits=16 gptq"},
		{"w4a16g128", "bits=4 g=128"},
		{"w8a16", "bits=8"},
		{"w4g128", "bits=4 g=128"},
		{"int4", "bits=4"},
		{"Int8", "bits=8"},
		{"4bit-g128", "bits=4 g=128"},
		{"4bit-gs64", "bits=4 g=64"},
		{"4bits-group-size", "bits=4"},
		{"4bit-channelwise", "bits=4 g=-1"},
		{"4bit-no-group-size", "bits=4 g=-1"},
		{"4bit-nogroup", "bits=4 g=-1"},
		{"gptq-4bit-128g-sym", "bits=4 g=128 sym=true gptq"},
		{"gptq-4bit-128g-asym", "bits=4 g=128 sym=false gptq"},
		{"gptq-4bit-128g-sym_False", "bits=4 g=128 sym=false gptq"},
		{"gptq-v2-4bit", "bits=4 gptq gptq_v2"},
		{"gptq_v2-4bit", "bits=4 gptq gptq_v2"},
		{"gptq-4bit-128g-marlin", "bits=4 g=128 gptq marlin"},
		{"gptaq-4bit-64g", "bits=4 g=64 gptaq"},
		{"awq-4bit-128g", "bits=4 g=128 awq"},
		{"4.0bpw-h6", "bpw=4 head=6"},
		{"4.65bpw", "bpw=4.65"},
		{"SC_1.40bpw_H3_V3", "bpw=1.4 head=3"},
		{"exl2-3.5bpw", "bpw=3.5 exl2"},
		{"q4_k_m", "gguf Q4_K_M"},
		{"IQ2_XXS", "gguf IQ2_XXS"},
		{"Q8_0", "gguf Q8_0"},
		{"8_0", ""}, // EXL2's bits, perhaps; it does not say so
		{"main", ""},
		{"", ""},
		{"refs/pr/3", ""},
		{"v1.0", ""},
		{"2024-01-08", ""},
		{"release-2g", ""}, // a group without bits is none
		{"128g", "g=128"},
		{"v4bitter", ""}, // no word of its own
		{"print4", ""},
		{"1.25bit", ""},       // widths are whole
		{"70b-chat-4x7b", ""}, // parameters of a model
		{"h6", ""},
		{"gptq-4bit-0g", "bits=4 gptq"}, // no group size
		{"gptq-4bit-8bit", "bits=4 gptq !bits 4 and 8"},
		{"4bit-w8a16", "bits=4 !bits 4 and 8"},
		{"4bit-128g-32g", "bits=4 g=128 !group size 128 and 32"},
		{"4bit-128g-channelwise", "bits=4 g=128 !group size 128 and -1"},
		{"no-act-order-actorder_True", "act=false !act-order false and true"},
		{"no-actorder_True", "act=false !act-order no and true"},
		{"gptq-awq-4bit", "bits=4 gptq !method gptq and awq"},
		{"gptq-4bit-q8_0", "bits=4 gguf Q8_0 !method gguf and gptq"},
		{"autoround-gptq-4bit", "bits=4 gptq"},
		{"q4_k_m-q5_k_m", "gguf Q4_K_M !quant Q4_K_M and Q5_K_M"},
	}
	for _, tt := range tests {
		if got := branchText(ParseBranchName(tt.name)); got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// A name that contradicts itself is a finding, one that says nothing is not.
func TestContradictoryBranchName(t *testing.T) {
	const config = `{"bits": 4, "group_size": 128, "desc_act": true, "sym": true, "quant_method": "gptq"}`
	for name, want := range map[string]bool{"gptq-4bit-128g-actorder_True": false, "4bit-8bit": true, "experiment": false} {
		in := Input{Branch: name, JSON: map[string][]byte{"quantize_config.json": []byte(config)}}
		found := slices.ContainsFunc(Check(in), func(f Finding) bool {
			return f.Code == "J6" && strings.Contains(f.Message, "contradicts itself")
		})
		if found != want {
			t.Errorf("%s: contradiction found: %v, want %v", name, found, want)
		}
	}
}

// FuzzParseBranchName: what was read can be written as a name that reads the
// same, whatever else the first name held.
func FuzzParseBranchName(f *testing.F) {
	for _, name := range []string{"gptq-4bit--1g-actorder_True", "8bit-128g-desc_act-damp0.1", "4.0bpw-h6", "w4a16g128", "no-act-order", "q4_k_m", "4bit-8bit"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		p := ParseBranchName(name)
		if p.Bits != nil && (*p.Bits < 1 || *p.Bits > 16) || p.GroupSize != nil && (*p.GroupSize == 0 || *p.GroupSize < -1) {
			t.Fatalf("%q: %s", name, branchText(p))
		}
		var words []string
		if p.Bits != nil {
			words = append(words, fmt.Sprintf("%dbit", *p.Bits))
		}
		if p.GroupSize != nil {
			words = append(words, fmt.Sprintf("%dg", *p.GroupSize))
		}
		if p.ActOrder != nil {
			words = append(words, fmt.Sprintf("actorder_%v", *p.ActOrder))
		}
		if p.Sym != nil {
			words = append(words, fmt.Sprintf("sym_%v", *p.Sym))
		}
		back := ParseBranchName(strings.Join(words, "-"))
		want := BranchParams{Bits: p.Bits, GroupSize: p.GroupSize, ActOrder: p.ActOrder, Sym: p.Sym}
		if got := branchText(back); got != branchText(want) {
			t.Errorf("%q: %s, written again: %s", name, branchText(want), got)
		}
	})
}
