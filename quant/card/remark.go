package card

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var (
	descGroup = regexp.MustCompile(`(?i)group size ([0-9]+)g\b`)
	descThan  = regexp.MustCompile(`(?i)\bthan (?:([0-9])-?bit[ -]?)?(?:([0-9]+)g|None\b)(?:-(True|False)\b)?`)
)

// remark compares each description with its row and with the other rows:
// descriptions are copied from card to card.
func (r *reader) remark() {
	for _, row := range r.card.Rows {
		if row.Description == nil || r.card.Layout == "exl2-vram" {
			continue
		}
		d := *row.Description
		if m := descGroup.FindStringSubmatch(d); m != nil && m[1] != groupText(row.GroupSize) {
			r.note("DESC_GS", row.Branch, fmt.Sprintf("the description says group size %s, the table %s", m[1], groupText(row.GroupSize)))
		}
		for _, m := range descThan.FindAllStringSubmatch(d, 8) {
			if !r.listed(row, m[1], m[2], m[3]) {
				r.note("DESC_REF_ABSENT", row.Branch, fmt.Sprintf("the description compares it %q, which is not listed", m[0]))
			}
		}
		if strings.Contains(d, "maximum VRAM usage") && r.anyRow(func(o Row) bool {
			return o.SizeBytes != nil && row.SizeBytes != nil && *o.SizeBytes > *row.SizeBytes
		}) {
			r.note("DESC_SUPERLATIVE", row.Branch, "the description says maximum VRAM usage, but a larger branch is listed")
		}
	}
}

func groupText(g *int) string {
	if g == nil {
		return "none"
	}
	return strconv.Itoa(*g)
}

// listed says whether the table has the row a description compares with; what
// the description leaves out is as in its own row, act-order may be either.
func (r *reader) listed(own Row, bits, group, act string) bool {
	return r.anyRow(func(o Row) bool {
		switch {
		case bits != "" && (o.Bits == nil || strconv.FormatFloat(*o.Bits, 'f', -1, 64) != bits),
			bits == "" && (o.Bits == nil || own.Bits == nil || *o.Bits != *own.Bits),
			group == "" && o.GroupSize != nil,
			group != "" && group != groupText(o.GroupSize),
			act != "" && (o.ActOrder == nil || *o.ActOrder != (act == "True")):
			return false
		}
		return true
	})
}

func (r *reader) anyRow(match func(Row) bool) bool {
	for _, o := range r.card.Rows {
		if match(o) {
			return true
		}
	}
	return false
}
