// Package infer runs a GPTQ checkpoint on the CPU to prove it: config, weights,
// tokenizer, chat template, generation. It never needs a GPU, a network or a
// store; it is given the paths of a checkpoint's files.
//
//	files     → config, quantisation, safetensors mapped     (package model)
//	prompt    → chat template → tokens                       (chat, tokenizer)
//	tokens    → logits, position by position                 (model, kernel)
//	logits    → next token → text, until a stop              (sample, tokenizer)
//
// Weights are read where they lie (mapfile). What has to be re-packed for fast
// kernels is kept in files too (packfile). Bench measures all of it.
//
// Guaranteed: with Float32 logits agree with a float32 run of the reference
// implementation within 1e-5 of the largest, with Int16, the default, within 1e-3
// (3e-4 on the demo's trained weights); greedy text is the reference's wherever its
// two best tokens are not closer than that. Threads, batches and the processor's
// instructions change no bit. No file, however bad, makes it panic: errors name
// the file or tensor, wrap ErrUnsupported, ErrContext, ErrRequest, ErrMemory,
// ErrCheckpoint or ErrNoCheckpoint, and have a Hint method.
//
// Not guaranteed: how close Int8 comes (a per cent or two). Weights are read from
// the mapped files while a model is in use, so these must not change under it; one
// that shrinks ends the generation with ErrCheckpoint.
package infer
