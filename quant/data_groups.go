package quant

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/qbranch/qbranch/quant/gptq"
)

// actOrder counts what the g_idx tensors are, over modules of several groups.
type actOrder struct {
	sequential, zero, permuted, absent int
	first                              string // the first permuted module
}

// checkGroups: every row points at a group that exists, and every group has the
// rows it should have.
func (d *dataChecker) checkGroups(m *module, s gptq.Shape) error {
	if m.gidx == nil {
		if s.G > 1 {
			d.act.absent++
		}
		return nil
	}
	unit := 4
	switch m.gidx.DType {
	case "I32":
	case "I64":
		unit = 8
	default:
		return nil // H6's
	}
	_, size, _, _ := d.rules.forModule(m.name)
	if !s.Fits(size) || size <= 0 {
		size = s.GroupSize()
	}
	if s.G > s.K {
		return nil // H5's: no group size gives more groups than rows
	}
	g := groupTally{s: s, size: size, rows: make([]int32, s.G), sequential: true, zero: true, bad: -1}
	hash := sha256.New()
	err := d.stream(m.gidx, unit, func(first int64, piece []byte) error {
		hash.Write(piece) // never fails
		for i := 0; i < len(piece); i += unit {
			v := int64(int32(binary.LittleEndian.Uint32(piece[i:])))
			if unit == 8 {
				v = int64(binary.LittleEndian.Uint64(piece[i:]))
			}
			if !g.add(first+int64(i/unit), v) {
				return errStop
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.judgeGroups(m, &g)
	if g.bad < 0 {
		d.compareSiblings(m, [sha256.Size]byte(hash.Sum(nil)))
	}
	return nil
}

// groupTally is one g_idx as it is read.
type groupTally struct {
	s          gptq.Shape
	size       int
	rows       []int32 // (G) rows of each group
	sequential bool    // row i is in group i/size
	zero       bool    // all zeros
	bad        int64   // the row that points outside, -1 for none
	badGroup   int64   // where it points
}

func (g *groupTally) add(row, group int64) bool {
	if group < 0 || group >= int64(g.s.G) {
		g.bad, g.badGroup = row, group
		return false
	}
	g.rows[group]++
	g.zero = g.zero && group == 0
	g.sequential = g.sequential && (g.size <= 0 && group == 0 || g.size > 0 && group == row/int64(g.size))
	return true
}

func (d *dataChecker) judgeGroups(m *module, g *groupTally) {
	name := m.gidx.Name
	if g.bad >= 0 {
		d.count("range", Finding{
			Code: "D2", Severity: Fatal, Where: name,
			Got: strconv.FormatInt(g.badGroup, 10), Want: fmt.Sprintf("0 to %d", g.s.G-1),
			Message: fmt.Sprintf("row %d points at group %d of %d: kernels would read outside the tensor", g.bad, g.badGroup, g.s.G),
			Hint:    "do not run this file: choose another branch",
		})
		return
	}
	if g.s.G == 1 {
		return
	}
	switch {
	case g.zero:
		d.act.zero++
		return
	case g.sequential:
		d.act.sequential++
		return
	}
	d.act.permuted++
	if d.act.first == "" {
		d.act.first = name
	}
	if !g.s.Fits(g.size) {
		return // H5's
	}
	for group, rows := range g.rows {
		want := g.size
		if group == g.s.G-1 {
			want = g.s.K - g.size*(g.s.G-1)
		}
		if int(rows) != want {
			d.count("rows", Finding{
				Code: "D3", Severity: Fatal, Where: name,
				Got: strconv.Itoa(int(rows)), Want: strconv.Itoa(want),
				Message: fmt.Sprintf("group %d has %d rows, want %d", group, rows, want),
				Hint:    "the tensor is damaged, or group_size is wrong: verify the file, then choose another branch",
			})
			return
		}
	}
}

// compareSiblings: matrices that share their input share the order of their
// rows, which fusing engines rely on.
func (d *dataChecker) compareSiblings(m *module, hash [sha256.Size]byte) {
	dot := strings.LastIndexByte(m.name, '.')
	if dot < 0 {
		return
	}
	kind := ""
	switch m.name[dot+1:] {
	case "q_proj", "k_proj", "v_proj":
		kind = "qkv"
	case "gate_proj", "up_proj", "w1", "w3":
		kind = "gate-up"
	default:
		return
	}
	if d.siblings == nil {
		d.siblings = map[string]sibling{}
	}
	key := m.name[:dot] + "." + kind
	first, ok := d.siblings[key]
	if !ok {
		d.siblings[key] = sibling{m.name, hash}
		return
	}
	if first.hash != hash {
		d.count(kind, Finding{
			Code: "D5", Severity: Warn, Where: m.gidx.Name,
			Message: fmt.Sprintf("%s and %s share their input but not their g_idx: TGI cannot fuse them", first.name, m.name),
			Hint:    "engines that keep the matrices apart are not affected",
		})
	}
}

// judgeActOrder compares what the g_idx are with what is claimed.
func (d *dataChecker) judgeActOrder() {
	a, cfg := d.act, d.cfg
	switch {
	case a.permuted > 0 && cfg.DescAct != nil && !*cfg.DescAct:
		d.add(Finding{
			Code: "D4", Severity: Fatal, Where: a.first,
			Got: "act-order", Want: "desc_act true",
			Message: fmt.Sprintf("%d matrices are in act-order, but desc_act is false: engines that believe it answer with noise", a.permuted),
			Hint:    "set desc_act to true in both configuration files",
		})
	case a.permuted == 0 && a.sequential > 0 && isTrue(cfg.DescAct) && !isTrue(cfg.StaticGroups):
		d.add(Finding{
			Code: "D4", Severity: Warn, Where: "g_idx",
			Got: "rows in order", Want: "act-order",
			Message: "desc_act is true, but every matrix has its rows in order: either static_groups was used or the file is another branch's",
			Hint:    "compare the file's digest with the hub's",
		})
	case a.absent > 0 && isTrue(cfg.DescAct) && !isTrue(cfg.StaticGroups):
		d.add(Finding{
			Code: "D4", Severity: Warn, Where: "g_idx",
			Got: "no g_idx", Want: "act-order",
			Message: fmt.Sprintf("desc_act is true, but %d matrices have no g_idx: their rows are taken in order", a.absent),
			Hint:    "if the output is noise the order is lost: choose another branch",
		})
	}
	if a.zero > 0 {
		d.add(Finding{
			Code: "D4", Severity: Info, Where: "g_idx",
			Got:     "all zeros",
			Message: fmt.Sprintf("%d matrices have a g_idx of zeros beside several groups, as writers before act-order left it: rows are taken in order", a.zero),
		})
	}
}
