// Package mapfile maps files into memory, read-only, and tells the system which
// parts will be read soon.
//
// A mapping outlives its file's descriptor and its name. Not guaranteed: that its
// bytes stay as they are; a file that shrinks makes reading its end a memory
// fault (kernel.Catch).
package mapfile

// File is a file mapped into memory. Close it; nothing may use Data after that.
type File struct {
	Data    []byte
	release func() error
}

// Close unmaps the file.
func (f *File) Close() error { return f.release() }
