package app

import (
	"fmt"

	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/quant/card"
)

// The sources of a branch's parameters, the most trustworthy first: engines
// read the configuration, people the name, and cards are copied from one
// repository to the next.
const (
	sourceConfig = iota
	sourceName
	sourceCard
)

// claims is what one source says of a branch; nil where it does not.
type claims struct {
	source string // as in "the card says"
	bits   *int
	group  *int // -1 = none
	act    *bool
}

// configClaims takes what the file says, not what loaders assume where it does
// not.
func configClaims(c quant.Config) claims {
	said := claims{source: c.File, act: c.DescAct}
	if c.Bits != 0 {
		said.bits = &c.Bits
	}
	if c.HasGroupSize {
		said.group = &c.GroupSize
	}
	return said
}

func nameClaims(branch string) claims {
	p := quant.ParseBranchName(branch)
	return claims{"the name", p.Bits, p.GroupSize, p.ActOrder}
}

// cardClaims reads a row of the card. A row that says bits and no group size
// says that there is none (the tables print "None").
func cardClaims(r *card.Row) claims {
	if r == nil {
		return claims{}
	}
	c := claims{source: "the card", group: r.GroupSize, act: r.ActOrder}
	if r.Bits != nil {
		if bits := int(*r.Bits); float64(bits) == *r.Bits { // 4.65 bits are not GPTQ's
			c.bits = &bits
		}
		if none := -1; r.GroupSize == nil {
			c.group = &none
		}
	}
	return c
}

// reconcile takes each parameter from the first source that has it.
func reconcile(all []claims) (bits, group *int, act *bool) {
	for _, c := range all {
		bits, group, act = first(bits, c.bits), first(group, c.group), first(act, c.act)
	}
	return bits, group, act
}

func first[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// contradictions compares the name with the configuration, and the card with
// the first of them that says anything.
func contradictions(branch string, all []claims) []Note {
	config, name, onCard := all[sourceConfig], all[sourceName], all[sourceCard]
	var notes []Note
	compare := func(code string, a, b claims, param func(claims) string) bool {
		x, y := param(a), param(b)
		if x == "" || y == "" {
			return false
		}
		if x != y {
			notes = append(notes, Note{branch, code, fmt.Sprintf("%s says %s, %s says %s", a.source, x, b.source, y)})
		}
		return true
	}
	for _, p := range []struct {
		code string
		text func(claims) string
	}{{"BITS", claims.bitsText}, {"GROUP_SIZE", claims.groupText}, {"ACT_ORDER", claims.actText}} {
		compare("NAME_"+p.code, name, config, p.text)
		if !compare("CARD_"+p.code, onCard, config, p.text) {
			compare("CARD_"+p.code, onCard, name, p.text)
		}
	}
	return notes
}

// The texts below are "" where the source does not say.

func (c claims) bitsText() string {
	if c.bits == nil {
		return ""
	}
	return fmt.Sprintf("%d bits", *c.bits)
}

func (c claims) groupText() string {
	switch {
	case c.group == nil:
		return ""
	case *c.group < 0:
		return "no groups"
	}
	return fmt.Sprintf("groups of %d", *c.group)
}

func (c claims) actText() string {
	switch {
	case c.act == nil:
		return ""
	case *c.act:
		return "act-order"
	}
	return "no act-order"
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
