package engines

import (
	"slices"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/quant"
)

// A kernel that could run the checkpoint is of no use to a program that reads a
// file which says something else.
func TestReading(t *testing.T) {
	yes, no := true, false
	gptq := quant.Config{Bits: 4, GroupSize: 128, HasBits: true, HasGroupSize: true, DescAct: &yes, Sym: &yes, Format: "gptq"}
	with := func(change func(*quant.Belief)) quant.Belief {
		b := quant.Belief{Loader: quant.Loader{ID: "gptqmodel", Files: []string{"quantize_config.json"}}, File: "quantize_config.json", Config: gptq, Proven: true}
		change(&b)
		return b
	}
	for _, tc := range []struct {
		name   string
		belief quant.Belief
		group  int
		want   Loads  // of GPTQModel's torch kernel, which reads this file
		text   string // in its first reason
		misled []string
	}{
		{"as it is", with(func(*quant.Belief) {}), 128, Caveat, "the slowest kernel", nil},
		{"bits that the tensors refute", with(func(b *quant.Belief) { b.Config.Bits, b.Wrong = 8, []string{"bits"} }), 128, No,
			"it reads quantize_config.json, which says 8 bits: the tensors have 4 bits; correct the file", []string{"bits"}},
		{"groups that the tensors refute", with(func(b *quant.Belief) { b.Config.GroupSize, b.Wrong = -1, []string{"group_size"} }), 128, No,
			"says no groups: the tensors have groups of 128", []string{"group_size"}},
		{"groups that are assumed, and refuted", with(func(b *quant.Belief) {
			b.Config.GroupSize, b.Wrong, b.Assumed = 64, []string{"group_size"}, []string{"group_size"}
		}), 128, No, "it assumes groups of 64, which no file it reads says: the tensors have", []string{"group_size"}},
		// 4096 rows in one group: -1 and 4096 are the same groups.
		{"another number for the same groups", with(func(b *quant.Belief) { b.Config.GroupSize = 4096 }), -1, Caveat, "the slowest kernel", nil},
		{"bits that nothing proves", with(func(b *quant.Belief) { b.Config.Bits, b.Proven = 8, false }), 128, Unknown,
			"where another source says 4 bits: not known which is right", []string{"bits"}},
		{"act-order", with(func(b *quant.Belief) { b.Config.DescAct, b.Assumed = &no, []string{"desc_act"} }), 128, Unknown,
			"it assumes no act-order, which no file it reads says, where another source says act-order", []string{"act_order"}},
		{"act-order with one group, where it means nothing", with(func(b *quant.Belief) { b.Config.DescAct, b.Config.GroupSize = &no, -1 }), -1, Caveat, "the slowest kernel", nil},
		{"symmetry", with(func(b *quant.Belief) { b.Config.Sym = &no }), 128, Unknown, "says asymmetric zero points, where another source says symmetric", []string{"sym"}},
		{"format", with(func(b *quant.Belief) { b.Config.Format, b.Config.HasFormat = "gptq_v2", true }), 128, Unknown, "says gptq_v2, where another source says gptq", []string{"format"}},
		{"a file that is refused", with(func(b *quant.Belief) { b.Problem = "no file it reads states a quantisation" }), 128, No, "no file it reads states", nil},
	} {
		s := mixtral(4, tc.group)
		s.Beliefs = []quant.Belief{tc.belief}
		v := rowFor(t, "gptqmodel/torch").Evaluate(s)
		if v.Loads != tc.want || !strings.Contains(v.Why[0], tc.text) {
			t.Errorf("%s: got %s %q, want %s with %q", tc.name, v.Loads, v.Why, tc.want, tc.text)
		}
		var misled []string
		for _, m := range s.Misreadings(&tc.belief) {
			misled = append(misled, m.Name)
		}
		if !slices.Equal(misled, tc.misled) {
			t.Errorf("%s: got misled in %q, want %q", tc.name, misled, tc.misled)
		}
		// Whoever reads another file is not misled by this one.
		if other, clean := rowFor(t, "transformers").Evaluate(s), rowFor(t, "transformers").Evaluate(mixtral(4, tc.group)); other.Loads != clean.Loads {
			t.Errorf("%s: transformers: got %s, want %s", tc.name, other.Loads, clean.Loads)
		}
	}
}

// Zero points that are read as they are need no symmetry.
func TestReadingOfSymmetry(t *testing.T) {
	no := false
	b := quant.Belief{Loader: quant.Loader{ID: "autogptq"}, File: "quantize_config.json", Config: quant.Config{Bits: 4, GroupSize: 128, Sym: &no, Format: "gptq"}}
	s := mixtral(4, 128)
	s.Beliefs = []quant.Belief{b}
	for id, want := range map[string]bool{"autogptq/exllamav2": false, "autogptq/marlin": true} {
		why := strings.Join(rowFor(t, id).Evaluate(s).Why, "\n")
		if got := strings.Contains(why, "asymmetric zero points, where"); got != want {
			t.Errorf("%s: got %v, want %v: %q", id, got, want, why)
		}
	}
}

// Every loader that a row names is one that quant knows, and every one that it
// knows is named by a row: else what it reads would be of no account.
func TestLoadersAreKnown(t *testing.T) {
	var known []string
	named := map[string]bool{}
	for _, l := range quant.Loaders() {
		known = append(known, l.ID)
	}
	for _, e := range Engines() {
		if e.Loader != "" && !slices.Contains(known, e.Loader) {
			t.Errorf("%s: there is no loader %q", e.ID, e.Loader)
		}
		if slices.Contains(known, e.Family) && e.Loader == "" {
			t.Errorf("%s: it has no loader", e.ID)
		}
		named[e.Loader] = true
	}
	for _, id := range known {
		if !named[id] {
			t.Errorf("no row is loaded as %s is", id)
		}
	}
}
