// Package engines says which programs load a GPTQ checkpoint, and why the others
// do not.
//
//	Subject: bits, groups, act-order, symmetry, format, architecture, shapes, …
//	   │  every row of the table, every rule of a row
//	   ▼
//	[]Verdict: yes / caveat / no / unknown, each with reasons and sources
//	   │  Families
//	   ▼
//	[]FamilyVerdict: one line a program, its best kernel first
//
// The table is data: a row per engine or kernel, with what it takes, what it
// needs, where that is written and how old the facts are. Nothing in the
// evaluation knows an engine by name. docs/engines.md is the same table for
// people; a test compares the two.
//
// The package owns the table, its evaluation and the words for it. It asks no
// network, no disk and no graphics card: what is known of the machine is part of
// the [Subject]. Memory is in quant/vram, faults of a checkpoint in quant.
//
// Guarantees: what is not known never becomes "yes"; every reason that holds is
// given, not only the first; every row names its sources.
// Not guaranteed: that an engine still behaves as it did when its source was
// read ([Engine.AsOf]), that it is installed, that the model fits, or that what
// loads is fast.
package engines
