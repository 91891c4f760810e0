//go:build !amd64 || purego

package kernel

// fastest is the only set of instructions here.
var fastest = goInstructions

// sets are the sets of instructions this machine has, the slowest first.
func sets() []*instructions { return []*instructions{goInstructions} }
