package gpu

import (
	"fmt"
	"syscall"
	"unsafe"
)

// memoryStatus is the MEMORYSTATUSEX of Windows.
type memoryStatus struct {
	length, load                            uint32
	totalPhys, availPhys                    uint64
	totalPage, availPage                    uint64
	totalVirtual, availVirtual, availExtend uint64
}

// callMemory asks GlobalMemoryStatusEx.
func callMemory() (total, available int64, err error) {
	var s memoryStatus
	s.length = uint32(unsafe.Sizeof(s))
	ask := syscall.NewLazyDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx")
	if err := ask.Find(); err != nil {
		return 0, 0, err
	}
	if ok, _, err := ask.Call(uintptr(unsafe.Pointer(&s))); ok == 0 {
		return 0, 0, fmt.Errorf("ask for the memory: %w", err)
	}
	return int64(s.totalPhys), int64(s.availPhys), nil
}
