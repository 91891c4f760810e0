package quant

import "fmt"

// DataRecovered is what the tensors alone say of a checkpoint's parameters, whatever
// the configuration files say.
type DataRecovered struct {
	Bits      int      `json:"bits"`       // 0 when matrices differ or there are none
	GroupSize *int     `json:"group_size"` // -1 = one group per column; nil when no size fits every matrix
	ActOrder  *bool    `json:"act_order"`  // nil when it makes no difference (one group) or g_idx does not tell
	Sym       *bool    `json:"sym"`        // nil without zero points that can be read
	Format    string   `json:"format"`     // of the stored zero points: "gptq" or "gptq_v2"; "" when the data does not tell
	Evidence  []string `json:"evidence"`   // a sentence for each, with the numbers it rests on
}

func (d *dataChecker) recovered() DataRecovered {
	r := DataRecovered{Bits: d.t.bits}
	say := func(format string, args ...any) { r.Evidence = append(r.Evidence, fmt.Sprintf(format, args...)) }
	matrices := 0
	for i := range d.facts {
		if d.facts[i].m != nil {
			matrices++
		}
	}
	switch size, ok := d.t.groupSize(); {
	case len(d.t.shapes) == 0:
		say("no quantised matrix has sound shapes")
		return r
	case ok:
		r.GroupSize = &size
		say("the shapes of %d matrices give %d bits and group size %d", matrices, r.Bits, size)
	default:
		say("the shapes of %d matrices give %d bits and no common group size", matrices, r.Bits)
	}
	yes, no := true, false
	switch n := d.orders(); {
	case n[rowsPermuted] > 0:
		r.ActOrder = &yes
		say("g_idx of %d matrices is permuted, of %d in order", n[rowsPermuted], n[rowsInOrder]+n[rowsZero])
	case n[rowsInOrder]+n[rowsZero] > 0:
		r.ActOrder = &no
		say("g_idx of all %d matrices is in order", n[rowsInOrder]+n[rowsZero])
	case n[rowsAbsent] > 0:
		say("%d matrices have no g_idx", n[rowsAbsent])
	case n[rowsOneGroup] > 0:
		say("one group per column: the order of rows makes no difference")
	}
	z := d.zeroCount()
	r.Format = z.format()
	switch all := z.v1 + z.v2 + z.other; {
	case all == 0:
		say("no zero points could be read")
	case z.other == 0:
		r.Sym = &yes
		say("every zero point of %d matrices is the symmetric one, as v1 stores it in %d and as v2 in %d", all, z.v1, z.v2)
	default:
		r.Sym = &no
		say("the zero points of %d of %d matrices are not symmetric", z.other, all)
	}
	if z.measured > 0 {
		say("the codes of %d matrices average %.2f above the stored zero points: 1 in v1, 0 in v2", z.measured, z.offset)
	}
	return r
}
