package quant

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// rowOrder is how the rows of a matrix are assigned to groups.
type rowOrder int

const (
	rowsUnread   rowOrder = iota // its g_idx cannot be read, or is damaged
	rowsOneGroup                 // one group: no order makes a difference
	rowsAbsent                   // several groups and no g_idx
	rowsZero                     // a g_idx of zeros beside several groups
	rowsInOrder
	rowsPermuted // act-order
)

// readGroups: every row points at a group that exists, and every group has the
// rows it should have.
func (w *worker) readGroups(f *facts) error {
	m, s := f.m, f.shape
	if m.gidx == nil {
		f.rows = rowsAbsent
		if s.G == 1 {
			f.rows = rowsOneGroup
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
	size := f.says.groupSize
	if !s.Fits(size) || size <= 0 {
		size = s.GroupSize()
	}
	if s.G > s.K {
		return nil // H5's: no group size gives more groups than rows
	}
	if cap(w.rows) < s.G {
		w.rows = make([]int32, s.G)
	}
	g := groupTally{groups: s.G, size: size, rows: w.rows[:s.G], sequential: true, zero: true, bad: -1}
	clear(g.rows)
	w.sum.Reset()
	err := w.stream(m.gidx, func(at int64, piece []byte) bool {
		w.sum.Write(piece) // never fails
		row := at / int64(unit)
		for i := 0; i+unit <= len(piece); i += unit {
			v := int64(int32(binary.LittleEndian.Uint32(piece[i:])))
			if unit == 8 {
				v = int64(binary.LittleEndian.Uint64(piece[i:]))
			}
			if !g.add(row, v) {
				return false
			}
			row++
		}
		return true
	})
	if err != nil {
		return err
	}
	f.judgeGroups(&g)
	w.sum.Sum(f.gidx[:0])
	return nil
}

// groupTally is one g_idx as it is read.
type groupTally struct {
	groups     int
	size       int
	rows       []int32 // (groups) rows of each group
	sequential bool    // row i is in group i/size
	zero       bool    // all zeros
	bad        int64   // the row that points outside, -1 for none
	badGroup   int64   // where it points
}

func (g *groupTally) add(row, group int64) bool {
	if group < 0 || group >= int64(g.groups) {
		g.bad, g.badGroup = row, group
		return false
	}
	g.rows[group]++
	g.zero = g.zero && group == 0
	g.sequential = g.sequential && (g.size <= 0 && group == 0 || g.size > 0 && group == row/int64(g.size))
	return true
}

func (f *facts) judgeGroups(g *groupTally) {
	name, s := f.m.gidx.Name, f.shape
	switch {
	case g.bad >= 0:
		f.count("range", Finding{
			Code: "D2", Severity: Fatal, Where: name,
			Got: strconv.FormatInt(g.badGroup, 10), Want: fmt.Sprintf("0 to %d", s.G-1),
			Message: fmt.Sprintf("row %d points at group %d of %d: kernels would read outside the tensor", g.bad, g.badGroup, s.G),
			Hint:    "do not run this file: choose another branch",
		})
		return
	case s.G == 1:
		f.rows = rowsOneGroup
		return
	case g.zero:
		f.rows = rowsZero
		return
	case g.sequential:
		f.rows = rowsInOrder
		return
	}
	f.rows = rowsPermuted
	if !s.Fits(g.size) {
		return // H5's
	}
	for group, rows := range g.rows {
		want := g.size
		if group == s.G-1 {
			want = s.K - g.size*(s.G-1)
		}
		if int(rows) != want {
			f.count("rows", Finding{
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
func (d *dataChecker) compareSiblings() {
	first := map[string]*facts{} // by parent and kind
	for i := range d.facts {
		f := &d.facts[i]
		if f.m == nil || f.m.gidx == nil || f.rows == rowsUnread {
			continue
		}
		dot := strings.LastIndexByte(f.m.name, '.')
		kind := siblingKind(f.m.name[dot+1:])
		if dot < 0 || kind == "" {
			continue
		}
		key := f.m.name[:dot] + "." + kind
		if first[key] == nil {
			first[key] = f
		} else if first[key].gidx != f.gidx {
			d.count(kind, Finding{
				Code: "D5", Severity: Warn, Where: f.m.gidx.Name,
				Got: "two orders", Want: "one order",
				Message: fmt.Sprintf("%s and %s share their input but not their g_idx: TGI cannot fuse them", first[key].m.name, f.m.name),
				Hint:    "engines that keep the matrices apart are not affected",
			})
		}
	}
}

func siblingKind(name string) string {
	switch name {
	case "q_proj", "k_proj", "v_proj":
		return "qkv"
	case "gate_proj", "up_proj", "w1", "w3":
		return "gate-up"
	}
	return ""
}

// orders counts how the rows of all matrices lie.
func (d *dataChecker) orders() map[rowOrder]int {
	n := map[rowOrder]int{}
	for i := range d.facts {
		if d.facts[i].m != nil {
			n[d.facts[i].rows]++
		}
	}
	return n
}

// claims counts the matrices whose rows lie otherwise than the configuration
// says, and names the first of each kind.
type claims struct {
	denied, unsaid    tally // in act-order, though desc_act is false; is not stated
	kept              tally // in act-order, as it is claimed
	inOrder, unlisted tally // claimed to be in act-order, but in order; without g_idx
	zero              tally // a g_idx of zeros beside several groups
}

type tally struct {
	n     int
	first string
}

func (t *tally) add(name string) {
	if t.n++; t.n == 1 {
		t.first = name
	}
}

func (d *dataChecker) claims() (c claims) {
	for i := range d.facts {
		f := &d.facts[i]
		if f.m == nil {
			continue
		}
		name, act := f.m.name+".g_idx", f.says.descAct
		claimed := isTrue(act) && !isTrue(d.cfg.StaticGroups)
		if f.rows == rowsZero {
			c.zero.add(name)
		}
		switch permuted, inOrder := f.rows == rowsPermuted, f.rows == rowsInOrder || f.rows == rowsZero; {
		case permuted && act == nil && len(d.sources) > 0:
			c.unsaid.add(name)
		case permuted && act != nil && !*act:
			c.denied.add(name)
		case permuted:
			c.kept.add(name)
		case inOrder && claimed:
			c.inOrder.add(name)
		case f.rows == rowsAbsent && claimed:
			c.unlisted.add(name)
		}
	}
	return c
}

// judgeActOrder compares what the g_idx are with what is claimed.
func (d *dataChecker) judgeActOrder() {
	c := d.claims()
	say := func(severity Severity, where, got, want, message, hint string) {
		d.add(Finding{Code: "D4", Severity: severity, Where: where, Field: "desc_act", Got: got, Want: want, Message: message, Hint: hint})
	}
	both := "set desc_act to true in both configuration files"
	if n := c.unsaid.n; n > 0 {
		say(Warn, c.unsaid.first, "nothing", "desc_act true",
			fmt.Sprintf("%d matrices are in act-order, and desc_act is not stated: GPTQModel and transformers take it for false", n), both)
	}
	if n := c.denied.n; n > 0 {
		say(Fatal, c.denied.first, "act-order", "desc_act true",
			fmt.Sprintf("%d matrices are in act-order, but desc_act is false: engines that believe it answer with noise", n), both)
	}
	switch n := c.inOrder.n; {
	case n > 0 && c.kept.n == 0:
		say(Warn, "g_idx", "rows in order", "act-order",
			"desc_act is true, but every matrix has its rows in order: either static_groups was used or the file is another branch's", "compare the file's digest with the hub's")
	case n > 0:
		say(Warn, c.inOrder.first, "rows in order", "act-order",
			fmt.Sprintf("desc_act is true, but %d of %d matrices have their rows in order: they saw no calibration text, or their g_idx was lost", n, n+c.kept.n),
			"if the output is noise the order is lost: choose another branch")
	}
	if n := c.unlisted.n; n > 0 {
		say(Warn, c.unlisted.first, "no g_idx", "act-order",
			fmt.Sprintf("desc_act is true, but %d matrices have no g_idx: their rows are taken in order", n),
			"if the output is noise the order is lost: choose another branch")
	}
	if n := c.zero.n; n > 0 {
		say(Info, c.zero.first, "all zeros", "rows in order",
			fmt.Sprintf("%d matrices have a g_idx of zeros beside several groups, as writers before act-order left it: rows are taken in order", n),
			"use an engine that takes such a g_idx for none, as ExLlama, vLLM and 'qbranch gen' do")
	}
}
