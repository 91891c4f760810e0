package store

import (
	"errors"
	"syscall"
)

// Hint says what to do next about an error of the system that no type of this
// package stands for; "" when there is nothing to say.
func Hint(err error) string {
	is := func(codes ...syscall.Errno) bool {
		for _, c := range codes {
			if errors.Is(err, c) {
				return true
			}
		}
		return false
	}
	switch {
	case is(syscall.EIO):
		return "the disk reports an error: look at the system's log and at the health of the disk, then run the same command again; nothing is believed that was not read back"
	case is(syscall.EMFILE, syscall.ENFILE):
		return "too many files are open: use fewer connections (-j) or raise the limit (ulimit -n)"
	case is(syscall.ENOLCK, syscall.ENOSYS, syscall.EOPNOTSUPP):
		return "the file system cannot do this (locks, perhaps): put the store on a local disk"
	case is(syscall.ESTALE, syscall.ETIMEDOUT, syscall.EHOSTDOWN):
		return "the network file system lost touch with its server: look at the mount, or put the store on a local disk"
	case is(syscall.EROFS):
		return "the disk is mounted read-only, perhaps after an error: look at the system's log"
	case is(syscall.ENOTDIR):
		return "a file is where a directory should be: move it away"
	case errors.Is(err, ErrNotRegular):
		return "something that is not a file is in its place: move it away"
	}
	return ""
}
