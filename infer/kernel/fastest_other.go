//go:build (!amd64 && !arm64) || purego

package kernel

// sets are the sets of instructions this machine has, the slowest first.
func sets() []*instructions { return []*instructions{goInstructions} }
