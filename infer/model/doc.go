// Package model is the decoder of the Llama family (Llama, Mistral, Mixtral) run
// from a checkpoint's own tensors.
//
//	config.go      config.json of both generations → Config
//	checkpoint.go  safetensors files, mapped → Checkpoint, tensors by name
//	load.go        Config + Checkpoint → Model, every shape and index checked
//	rope.go        rotary embeddings and their scalings
//	session.go     KV cache and buffers of one generation, the forward pass
//	block.go       attention, feed-forward, mixture of experts
//
// One layer is
//
//	h += o(attention(rope(q(n)), rope(k(n)), v(n)))   n = norm(h)
//	h += down(silu(gate(n)) · up(n))                  n = norm(h)
//
// where a Mixtral layer does the second line with the two experts its router
// prefers, weighted. Arithmetic is float32, as a float32 run of the reference
// implementation (transformers) does it, so that logits agree within 1e-5 of the
// largest; positions are turned into angles in float32 on purpose, because the
// reference does and the difference is visible.
//
// Guaranteed: loading checks everything that an index is later taken from, so a
// hostile file gives an error and never a panic; a file that shrinks while it is
// mapped gives ErrCheckpoint; logits do not depend on threads or batching.
//
// Not guaranteed: the values of embeddings and of a dense lm_head are not read at
// load, so NaN in them shows only in the logits.
//
// A Model is immutable and safe for concurrent use; a Session is for one
// goroutine.
package model
