//go:build unix

package infer

import (
	"fmt"
	"io/fs"
	"syscall"
)

// inode tells two files of one size and time apart.
func inode(info fs.FileInfo) string {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("inode %d of %d", s.Ino, s.Dev)
	}
	return ""
}
