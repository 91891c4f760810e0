// Package model is decoder-only transformers run from a checkpoint's own tensors.
//
//	config.json → Config      fields.go, config.go, families.go, rope.go
//	files       → Checkpoint  checkpoint.go: mapped, tensors by name
//	both        → Model       load.go, linear.go: every shape and index checked
//	tokens      → logits      session.go: KV cache, buffers, the forward pass;
//	                          touched.go counts bytes, readahead.go asks for them
//
// A family is one file that reads from top to bottom: what of config.json is its
// own, which weights it has, how a layer computes.
//
//	llama.go     Llama, Mistral
//	mixtral.go   Mixtral
//	qwen.go      Qwen 1.5, 2, 2.5 and 3
//	qwenmoe.go   their mixtures of experts
//	gemma.go     Gemma, Gemma 2
//	phi.go       Phi 1, 1.5, 2
//	phi3.go      Phi 3, Phi 4
//	neox.go      GPT-NeoX
//	falcon.go    Falcon
//	stablelm.go  StableLM
//
// They are put together from norm.go, attention.go, mlp.go and experts.go. A new
// one is a file and a row of the table in families.go. Most are of the form
//
//	h += o(attention(rope(q(n)), rope(k(n)), v(n)))   n = norm(h)
//	h += down(act(gate(n)) · up(n))                   n = norm(h)
//
// and differ in the norms, in what is turned, capped or biased, and in whether the
// two lines follow one another or stand side by side.
//
// With kernel.Float32 arithmetic is float32, as a float32 run of the reference
// implementation (transformers 5) does it, so that logits agree within 1e-5 of the
// largest; the other choices differ from it in quantised matrices and in how keys
// and values are kept. Positions are turned into angles in float32 on purpose,
// because the reference does and the difference is visible.
//
// Guaranteed: a setting of config.json that changes the arithmetic is followed or
// refused by name; loading checks everything that an index is later taken from, so
// that a hostile file gives an error and never a panic; a file that shrinks while
// it is mapped gives ErrCheckpoint; logits do not depend on threads or batching; a
// token allocates nothing.
//
// Not guaranteed: the values of embeddings and of a dense lm_head are not read at
// load, so NaN in them shows only in the logits.
//
// A Model is immutable and safe for concurrent use; a Session is for one
// goroutine.
package model
