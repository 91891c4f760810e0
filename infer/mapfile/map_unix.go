//go:build unix

package mapfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// Map maps the first size bytes of a file, at least one.
func Map(f *os.File, size int) (*File, error) {
	data, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return &File{data, func() error { return unix.Munmap(data) }}, nil
}
