package mapfile

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Map maps the first size bytes of a file, at least one.
func Map(f *os.File, size int) (*File, error) {
	handle, err := windows.CreateFileMapping(windows.Handle(f.Fd()), nil, windows.PAGE_READONLY, 0, 0, nil)
	if err != nil {
		return nil, err
	}
	addr, err := windows.MapViewOfFile(handle, windows.FILE_MAP_READ, 0, 0, uintptr(size))
	if err != nil {
		return nil, errors.Join(err, windows.CloseHandle(handle))
	}
	// The address is not Go memory, so the collector has no interest in it; the
	// detour keeps vet from taking it for a pointer that may move.
	data := unsafe.Slice(*(**byte)(unsafe.Pointer(&addr)), size)
	release := func() error {
		return errors.Join(windows.UnmapViewOfFile(addr), windows.CloseHandle(handle))
	}
	return &File{data, release}, nil
}
