// Package infer runs a GPTQ checkpoint on the CPU to prove it: config, weights,
// tokenizer, chat template, generation. It never needs a GPU, a network or a
// store; it is given the paths of a checkpoint's files.
package infer
