//go:build unix

package model

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps a file of size bytes, at least one, read-only.
func mapFile(f *os.File, size int) (mapping, error) {
	data, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return mapping{}, err
	}
	return mapping{data, func() error { return unix.Munmap(data) }}, nil
}
