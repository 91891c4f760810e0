// Package vram estimates the memory a checkpoint needs to run, and says whether
// a card has it.
//
//	need = weights − embeddings kept in RAM + KV cache + engine overhead   per card
//
// Every term has a lowest, an expected and a highest value, a formula and a
// source. Three verdicts follow from them: it fits when the highest need is
// free, it is tight when only the expected one is, else it is too big. What is
// not known is "unknown" with the reason, never "fits". docs/vram.md says where
// the numbers come from and where they are weak.
//
// The package owns the formula, what is known of how each engine uses memory
// ([Profiles]), how layers are laid on several cards, the largest context that
// fits, what would make a checkpoint fit, sizes as people type them
// ([ParseSize]) and as they are printed here ([GiBText]), and the correction by
// what was measured ([Calibration]). It does not find cards (quant/vram/gpu),
// does not say which engine loads which checkpoint (quant/engines), and reads
// and writes nothing.
//
// Guarantees: all arithmetic is in whole bytes, without floating point, and
// does not overflow: dimensions no model has give "unknown". Estimates grow
// with context, batch and weights, so that the largest context is exact: it
// fits, and one token more does not. [Request.Summary] allocates nothing.
// Not guaranteed: that a program that fits runs. Memory that others take while
// it starts, fragmentation and engines of another version are not foreseen; the
// span between lowest and highest is an experience, not a bound.
package vram
