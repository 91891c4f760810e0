package mapfile

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// WillNeed asks the system to read the pages of data, which lies in a mapping,
// before anybody waits for them. It is a hint: nothing is wrong when it fails.
func WillNeed(data []byte) {
	if len(data) == 0 {
		return
	}
	// The system takes whole pages: those before data belong to the mapping too,
	// since it begins with one.
	before := int(uintptr(unsafe.Pointer(&data[0])) & uintptr(unix.Getpagesize()-1))
	start := unsafe.Add(unsafe.Pointer(&data[0]), -before)
	_ = unix.Madvise(unsafe.Slice((*byte)(start), len(data)+before), unix.MADV_WILLNEED)
}
