//go:build !linux

package infer

// processMemory is not known here.
func processMemory() Memory { return Memory{} }
