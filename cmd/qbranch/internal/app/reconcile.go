package app

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/qbranch/qbranch/quant"
)

// believe settles a parameter: what the tensors prove, else what the
// configurations say, else the first of the others that says anything.
func believe[T comparable](h hearing, name string, of func(claims) *T) (*T, Parameter) {
	p := Parameter{Name: name, Agree: true}
	for _, c := range h.all() {
		said := Said{Source: c.source}
		if v := of(c); v != nil {
			said.Value = *v
		}
		p.Says = append(p.Says, said)
	}
	value, source, differ := config(h, of)
	switch proven := of(h.tensors); {
	case proven != nil:
		value, p.From, p.Why = proven, FromTensors, "the shapes of the tensors prove it"
	case differ:
		p.From, p.Why = source, "transformers, vLLM and TGI read this file; AutoGPTQ and GPTQModel read the other"
	case value != nil:
		p.From, p.Why = source, "engines read the configuration"
	default:
		for _, c := range h.others {
			if v := of(c); v != nil {
				value, p.From, p.Why = v, c.source, "no configuration says it"
				break
			}
		}
	}
	if value == nil {
		p.Why = "nobody says it"
		return nil, p
	}
	p.Value = *value
	p.Agree = !slices.ContainsFunc(p.Says, func(s Said) bool { return s.Value != nil && s.Value != p.Value })
	return value, p
}

// settle makes the row's parameters, and notes what contradicts what.
func (l *Listing) settle(row *BranchRow, h hearing) {
	var p [8]Parameter
	row.Bits, p[0] = believe(h, "bits", func(c claims) *int { return c.bits })
	row.GroupSize, p[1] = believe(h, "group_size", func(c claims) *int { return c.group })
	row.ActOrder, p[2] = believe(h, "act_order", func(c claims) *bool { return c.act })
	_, p[3] = believe(h, "sym", func(c claims) *bool { return c.sym })
	_, p[4] = believe(h, "format", func(c claims) *string { return c.format })
	_, p[5] = believe(h, "damp_percent", func(c claims) *float64 { return c.damp })
	_, p[6] = believe(h, "seq_len", func(c claims) *int { return c.seqLen })
	_, p[7] = believe(h, "dataset", func(c claims) *string { return c.dataset })
	row.Sources, row.Parameters = h.heard, p[:]
	l.contradictions(row.Branch, h)
}

// contradictions notes what the sources of a branch contradict one another in.
func (l *Listing) contradictions(branch string, h hearing) {
	contradict(l, branch, h, topic{"bits", "NAME_BITS", "CARD_BITS"}, func(c claims) *int { return c.bits }, bitsText)
	contradict(l, branch, h, topic{"group_size", "NAME_GROUP_SIZE", "CARD_GROUP_SIZE"}, func(c claims) *int { return c.group }, groupText)
	contradict(l, branch, h, topic{"act_order", "NAME_ACT_ORDER", "CARD_ACT_ORDER"}, func(c claims) *bool { return c.act }, actText)
	contradict(l, branch, h, topic{field: "sym"}, func(c claims) *bool { return c.sym }, symText)
	contradict(l, branch, h, topic{field: "format"}, func(c claims) *string { return c.format }, func(s string) string { return "format " + s })
	contradict(l, branch, h, topic{field: "damp_percent", card: "CARD_DAMP"}, func(c claims) *float64 { return c.damp }, func(x float64) string {
		return "damp_percent " + strconv.FormatFloat(x, 'g', -1, 64)
	})
}

// decideDescription says who is right where the card's description of a branch
// contradicts the card's table.
func (l *Listing) decideDescription(row *BranchRow) {
	for i := range l.Notes {
		n := &l.Notes[i]
		at := slices.IndexFunc(row.Parameters, func(p Parameter) bool { return p.Name == n.Field })
		if n.Branch != row.Branch || at < 0 || !strings.HasPrefix(n.Code, "DESC_") {
			continue
		}
		p := row.Parameters[at]
		if p.Value == nil || p.From == FromCard || p.From == FromName {
			continue // nobody who knows
		}
		text := fmt.Sprint(p.Value)
		switch v := p.Value.(type) {
		case bool:
			text = actText(v)
		case int:
			if n.Field == "group_size" && v < 0 {
				text = groupText(v)
			}
		}
		n.Message += fmt.Sprintf("; by %s it is %s", speaker(p.From), text)
	}
}

// topic is a parameter that sources may contradict one another in, and the codes of
// the notes about the branch's name and the card.
type topic struct{ field, name, card string }

// contradict notes the configurations that differ, and compares tensors, name and
// card with what the configurations say; the card with the name where there is
// none.
func contradict[T comparable](l *Listing, branch string, h hearing, t topic, of func(claims) *T, text func(T) string) {
	value, source, differ := config(h, of)
	note := func(code, format string, args ...any) {
		l.Notes = append(l.Notes, Note{branch, code, t.field, fmt.Sprintf(format, args...)})
	}
	says := func(source string, v *T) string { return fmt.Sprintf("%s says %s", speaker(source), text(*v)) }
	if differ {
		for _, c := range h.configs {
			if v := of(c); v != nil && *v != *value {
				note("CONFIG_DIFFERS", "%s, %s: engines differ in which they read", says(c.source, v), says(source, value))
			}
		}
	}
	// The shapes of the tensors would decide between a configuration and a name.
	decided := ""
	if value != nil && of(h.tensors) == nil && (t.field == "bits" || t.field == "group_size") {
		decided = "; 'qbranch show' reads the tensors, which decide"
	}
	compare := func(code string, c claims) {
		if v := of(c); v != nil && value != nil && *v != *value {
			note(code, "%s, %s%s", says(c.source, v), says(source, value), decided)
		}
	}
	if v := of(h.tensors); v != nil && value != nil && *v != *value {
		note("TENSORS_DIFFER", "the tensors have %s, %s", text(*v), says(source, value))
	}
	for _, c := range h.others {
		switch c.source {
		case FromMetadata:
			compare("METADATA_DIFFERS", c)
		case FromName:
			compare(t.name, c)
			if value == nil {
				value, source = of(c), c.source
			}
		case FromCard:
			compare(t.card, c)
		}
	}
}

// ToldBy reports whether a finding says of the branch what the note says: where
// both are shown, the note adds nothing. Remarks that are information only do not
// count, as they are not always shown.
func (n Note) ToldBy(findings []Finding) bool {
	codes := map[string][]string{"CONFIG_DIFFERS": {"J5"}, "TENSORS_DIFFER": {"H5"}, "METADATA_DIFFERS": {"H11"},
		"NAME_BITS": {"J6"}, "NAME_GROUP_SIZE": {"J6"}, "NAME_ACT_ORDER": {"J6"},
		"NOT_GPTQ": {"J2", "H7"}, "NO_CONFIG": {"J2"}, "NO_WEIGHTS": {"J12"}, "CONFIG_UNREADABLE": {"J1"}}[n.Code]
	// What findings call a parameter is its key in the files.
	field := map[string]string{"act_order": "desc_act", "format": "checkpoint_format"}[n.Field]
	if field == "" {
		field = n.Field
	}
	return slices.ContainsFunc(findings, func(f Finding) bool {
		return f.Severity != quant.Info && slices.Contains(codes, f.Code) && (n.Field == "" || f.Field == field)
	})
}

// speaker names a source in a sentence.
func speaker(source string) string {
	switch source {
	case FromTensors, FromMetadata, FromName, FromCard:
		return "the " + source
	}
	return source
}

func bitsText(n int) string { return fmt.Sprintf("%d bits", n) }

func groupText(n int) string {
	if n < 0 {
		return "no groups"
	}
	return fmt.Sprintf("groups of %d", n)
}

func actText(act bool) string {
	if act {
		return "act-order"
	}
	return "no act-order"
}

func symText(sym bool) string {
	if sym {
		return "symmetric"
	}
	return "not symmetric"
}

// roundsTo reports whether size, printed with the digits of printed, is
// printed. The last digit printed is taken for the last one that is not zero,
// or for the third: cards print two decimals, "8.00 GB" too.
func roundsTo(size, printed int64) bool {
	if printed <= 0 {
		return false
	}
	unit := int64(1)
	for printed%(unit*10) == 0 && unit*10 <= printed/100 {
		unit *= 10
	}
	return size >= printed-unit/2 && size <= printed+unit/2
}
