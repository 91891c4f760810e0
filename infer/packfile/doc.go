// Package packfile keeps what was computed from a checkpoint in files that are
// mapped: matrices whose codes had to be moved, which took seconds and would
// otherwise be memory that the system cannot take back.
//
//	Create → Put each section → Commit     a temporary name, synced, renamed
//	Open   → Section by name               mapped; checked when first asked for
//
// A folder holds one file for each key, which names everything that the contents
// follow from. The format is docs/packed-format.md.
//
// Guaranteed: a file under its name is whole, since it gets the name when all of
// it is on the disk; a section whose checksum is wrong is not returned; two
// programs may write the same file at once, and any file may be deleted at any
// time, also while it is mapped; a folder never holds more than its limit, those
// that were not used for the longest time going first. Not guaranteed: that a
// file is still there the next time, or that one can be written at all. Every
// error means: go on without.
package packfile
