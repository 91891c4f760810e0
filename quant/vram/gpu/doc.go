// Package gpu finds out which graphics cards a machine has, how much memory
// they have and how much of it is free, without a C library: from the tools and
// files of the drivers.
//
//	QBRANCH_VRAM ── wins
//	nvidia-smi, else what an NVIDIA Jetson's kernel says ─┐
//	AMD: sysfs, else rocm-smi, else amd-smi               ├─ Report: cards, probes, main memory
//	Apple: sysctl                                         │     └─ *_VISIBLE_DEVICES: which a program sees
//	Intel: sysfs                                         ─┘
//
// Each way of asking is a [Probe], which says what it found, or why it found
// nothing and what to do about it. What a program that is started now would not
// see is in the report as well, with the reason. A size is what somebody said
// about this very card; a name is never turned into a size, but for instances of
// a card that is split, which are then marked as approximate.
//
// The package owns asking and reading the answers. It does not judge what fits
// (quant/vram), and it keeps nothing: a report is of one moment.
//
// Guarantees: [Detect] returns, whatever the tools do: each is given two
// seconds and one mebibyte of output. No answer makes it panic. Names in a
// report have no control or invisible characters and at most 120 bytes.
// What is not known is nil, never zero. All of the machine is behind [System], so that recorded answers
// of other machines can be read.
// Not guaranteed: that all of what is free can be had. Drivers keep some of it
// for each program, and others may take it in between. In CUDA's own order of
// cards the number of a card may differ from nvidia-smi's; a report says so.
package gpu
