//go:build !linux

package mapfile

// WillNeed asks the system to read the pages of data, which lies in a mapping,
// before anybody waits for them. Here nobody can be asked.
func WillNeed(data []byte) {}
