// Package demo embeds a tiny real GPTQ repository with eight branches, serves
// it from a hub on loopback, and plays the whole job on it with the real
// command line.
//
// It owns the archive (9.1 MB for 18.6 MB of branches; command pack writes
// it), the story that is told between the commands, and the numbers of the
// summary, which come from the hub's own count of bytes sent. It does not
// implement any step: every step is a qbranch command line that a user could
// type against huggingface.co.
package demo
