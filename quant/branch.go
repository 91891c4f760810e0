package quant

import (
	"regexp"
	"strconv"
	"strings"
)

// BranchParams are what a branch's name says; nil where it does not.
type BranchParams struct {
	Bits, GroupSize *int
	ActOrder        *bool
}

var (
	branchBits  = regexp.MustCompile(`(?:^|[-_])([0-9]{1,2})-?bits?(?:$|[-_])`)
	branchPlain = regexp.MustCompile(`^gptq[-_]([0-9]{1,2})(?:$|[-_])`) // gptq-4-32g-…, without the word
	branchGroup = regexp.MustCompile(`[-_](-1|[1-9][0-9]{0,5})g(?:$|[-_])`)
	branchAct   = regexp.MustCompile(`(no[-_]?)?act[-_]?order(?:[-_]?(true|false))?`)
)

// ParseBranchName reads names such as gptq-4bit-32g-actorder_True. In
// gptq-3bit--1g-actorder_True the group size is -1, none. A name that does not
// say its bits says nothing.
func ParseBranchName(name string) BranchParams {
	low := strings.ToLower(name)
	m := branchBits.FindStringSubmatch(low)
	if m == nil {
		m = branchPlain.FindStringSubmatch(low)
	}
	if m == nil {
		return BranchParams{}
	}
	p := BranchParams{Bits: atoi(m[1])}
	if m := branchGroup.FindStringSubmatch(low); m != nil {
		p.GroupSize = atoi(m[1])
	}
	if m := branchAct.FindStringSubmatch(low); m != nil {
		act := m[1] == "" && m[2] != "false"
		p.ActOrder = &act
	}
	return p
}

// atoi converts digits a regular expression has matched.
func atoi(s string) *int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return nil
	}
	return &n
}
