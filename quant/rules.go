package quant

import (
	"bytes"
	"encoding/json"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/qbranch/qbranch/quant/gptq"
)

// Rule is one entry of dynamic: what differs for modules whose name matches.
type Rule struct {
	Pattern   string // regular expression, matched from the start of the module's name
	Exclude   bool   // "-:": the module is not quantised
	Bits      int    // 0 = as for the rest
	GroupSize int    // 0 = as for the rest
	DescAct   *bool  // nil = as for the rest
	Sym       *bool  // nil = as for the rest

	odd []oddValue // values that cannot be, or are not supported

	prefix  string         // every name that matches begins so
	literal bool           // and every name that begins so matches
	re      *regexp.Regexp // nil when that is all, and when Go cannot compile the pattern or should not
}

// readable says that it is known which names the rule means.
func (r Rule) readable() bool { return r.literal || r.re != nil }

// same says that two rules mean the same of the same modules.
func (r Rule) same(s Rule) bool {
	return r.Pattern == s.Pattern && r.Exclude == s.Exclude && r.Bits == s.Bits && r.GroupSize == s.GroupSize &&
		boolText(r.DescAct) == boolText(s.DescAct) && boolText(r.Sym) == boolText(s.Sym)
}

// sameRules compares without regard to order: transformers writes its keys in
// alphabetical order, GPTQModel as they were given.
func sameRules(a, b []Rule) bool {
	sorted := func(list []Rule) []Rule {
		return slices.SortedStableFunc(slices.Values(list), func(a, b Rule) int { return strings.Compare(a.Pattern, b.Pattern) })
	}
	return slices.EqualFunc(sorted(a), sorted(b), Rule.same)
}

// Bounds on rules, which come from outside: a model has some hundred at most, and
// a hostile file of 180 kB kept a core busy for a quarter of a minute.
const (
	maxPattern = 10_000    // nodes of one expression, repetitions counted
	maxRules   = 100_000   // nodes of all expressions of a configuration
	maxMatches = 1_000_000 // expressions that are tried in one check
)

// ruleBook applies the rules of dynamic to the modules of one checkpoint.
type ruleBook struct {
	cfg  Config
	left int // of maxMatches
}

func (c Config) rules() *ruleBook { return &ruleBook{c, maxMatches} }

// spent says that there were more rules and modules than can be compared.
func (b *ruleBook) spent() bool { return b.left < 0 }

// declared is what the configuration says of one module.
type declared struct {
	bits, groupSize int
	descAct, sym    *bool
	quantised       bool // no rule excludes it
	known           bool // every rule could be read, and there were not too many of them
}

// ByModule returns a function that gives the bits and the group size declared for a
// module, which a rule of dynamic may change; 0 is what is not known.
func (c Config) ByModule() func(name string) (bits, groupSize int) {
	rules := c.rules()
	return func(name string) (int, int) {
		if d := rules.forModule(name); d.known && d.quantised {
			return d.bits, d.groupSize
		}
		return 0, 0
	}
}

// forModule is what a module should be.
func (b *ruleBook) forModule(name string) declared {
	c := b.cfg
	d := declared{c.Bits, c.GroupSize, c.DescAct, c.Sym, true, true}
	for _, rule := range c.Dynamic {
		if !rule.readable() {
			d.known = false
			continue
		}
		if !strings.HasPrefix(name, rule.prefix) {
			continue
		}
		if !rule.literal {
			if b.left--; b.left < 0 {
				d.known = false
				return d
			}
			if !rule.re.MatchString(name) {
				continue
			}
		}
		if rule.Exclude {
			d.quantised = false
			break
		}
		if rule.Bits != 0 {
			d.bits = rule.Bits
		}
		if rule.GroupSize != 0 {
			d.groupSize = rule.GroupSize
		}
		d.descAct, d.sym = or(rule.DescAct, c.DescAct), or(rule.Sym, c.Sym)
		break
	}
	return d
}

// readDynamic reads {"-:regex": {}, "+:regex": {"bits": 8}} in file order;
// exclusions come first, as GPTQModel sorts them.
func (k *configKeys) readDynamic() {
	raw := k.any("dynamic")
	if raw == nil {
		return
	}
	nodes := maxRules
	dec := json.NewDecoder(bytes.NewReader(raw))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		k.odd("dynamic", raw, "an object")
		return
	}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return // raw was parsed before: this cannot be
		}
		pattern, _ := tok.(string)
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return
		}
		k.cfg.Dynamic = append(k.cfg.Dynamic, k.rule(pattern, value, &nodes))
	}
	slices.SortStableFunc(k.cfg.Dynamic, func(a, b Rule) int { return boolInt(b.Exclude) - boolInt(a.Exclude) })
}

// rule reads one rule; its expression is compiled as long as nodes last.
func (k *configKeys) rule(pattern string, value json.RawMessage, nodes *int) Rule {
	r := Rule{Pattern: pattern}
	if p, ok := strings.CutPrefix(pattern, "-:"); ok {
		r.Pattern, r.Exclude = p, true
	}
	r.Pattern = strings.TrimPrefix(r.Pattern, "+:")
	if tree, err := syntax.Parse(r.Pattern, syntax.Perl); err == nil {
		r.prefix, r.literal = literalPrefix(tree)
		size := nodesOf(tree)
		if !r.literal && size <= maxPattern && size <= *nodes {
			*nodes -= size
			r.re, _ = regexp.Compile("^(?:" + tree.String() + ")") // it parses: what remains is RE2's own bound on its size
		}
	}
	if !r.Exclude {
		r.override(value)
	}
	return r
}

// override reads what a rule states.
func (r *Rule) override(value json.RawMessage) {
	var over map[string]json.RawMessage
	if json.Unmarshal(value, &over) != nil {
		return
	}
	var c Config
	k := configKeys{raw: lowered(over), cfg: &c, used: map[string]bool{}}
	if n := k.integer("bits"); n != nil {
		if widthFits(*n) { // also one that is not supported: the tensors may have it
			r.Bits = *n
		}
		if !gptq.Supported(*n) {
			k.odd("bits", k.raw["bits"], "2, 3, 4 or 8")
		}
	}
	if n := k.integer("group_size"); n != nil {
		if sizeFits(*n) {
			r.GroupSize = *n
		} else {
			k.odd("group_size", k.raw["group_size"], "-1 or above 0")
		}
	}
	r.DescAct, r.Sym = k.boolean("desc_act"), k.boolean("sym")
	r.odd = c.odd
}

// nodesOf is about how large a compiled expression is.
func nodesOf(re *syntax.Regexp) int {
	n := 1 + len(re.Rune)
	for _, sub := range re.Sub {
		n += nodesOf(sub)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(1, re.Min, re.Max)
	}
	return min(n, 1<<30)
}

// literalPrefix is what every name that matches begins with; whole says that it
// is all the expression asks for.
func literalPrefix(re *syntax.Regexp) (prefix string, whole bool) {
	rest := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		rest = re.Sub
	}
	if rest[0].Op == syntax.OpBeginText && len(rest) > 1 {
		rest = rest[1:]
	}
	if rest[0].Op != syntax.OpLiteral || rest[0].Flags&syntax.FoldCase != 0 {
		return "", false
	}
	return string(rest[0].Rune), len(rest) == 1
}
