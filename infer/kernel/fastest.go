package kernel

import "os"

// fastest is the fastest set of instructions this machine has, or the one that
// the environment names: QBRANCH_CPU=go, avx2 or avx512 on amd64, neon or dotprod
// on arm64.
var fastest = choose(os.Getenv("QBRANCH_CPU"))

// choose returns the set of this name, the fastest where there is none.
func choose(name string) *instructions {
	all := sets()
	for _, isa := range all {
		if isa.name == name {
			return isa
		}
	}
	return all[len(all)-1]
}
