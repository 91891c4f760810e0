package model

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// mapFile maps a file of size bytes, at least one, read-only.
func mapFile(f *os.File, size int) (mapping, error) {
	handle, err := windows.CreateFileMapping(windows.Handle(f.Fd()), nil, windows.PAGE_READONLY, 0, 0, nil)
	if err != nil {
		return mapping{}, err
	}
	addr, err := windows.MapViewOfFile(handle, windows.FILE_MAP_READ, 0, 0, uintptr(size))
	if err != nil {
		return mapping{}, errors.Join(err, windows.CloseHandle(handle))
	}
	// The address is not Go memory, so the collector has no interest in it; the
	// detour keeps vet from taking it for a pointer that may move.
	data := unsafe.Slice(*(**byte)(unsafe.Pointer(&addr)), size)
	release := func() error {
		return errors.Join(windows.UnmapViewOfFile(addr), windows.CloseHandle(handle))
	}
	return mapping{data, release}, nil
}
