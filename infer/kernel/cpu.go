package kernel

import (
	"fmt"
	"os"
	"strings"
)

// Instructions returns the name of the set of instructions that everything is
// computed with, and a warning where QBRANCH_CPU asks for one that this machine,
// or this build, does not have; "" = none.
func Instructions() (name, warning string) {
	return fastest.name, warnOf(os.Getenv("QBRANCH_CPU"), sets())
}

func warnOf(asked string, have []*instructions) string {
	var names []string
	for _, isa := range have {
		if isa.name == asked {
			return ""
		}
		names = append(names, isa.name)
	}
	if asked == "" {
		return ""
	}
	return fmt.Sprintf("QBRANCH_CPU=%s is ignored: there is %s here", asked, strings.Join(names, ", "))
}
