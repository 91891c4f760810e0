// Package infertest holds a model to the recorded outputs of the reference
// implementation. Tests of the runner use it on checkpoints on disk, and tests of
// the demo on the ones inside the binary.
//
// It owns the comparison and its tolerances, not the vectors: a folder of
// reference.safetensors holds prompt.P.ids, prompt.P.logits, prompt.P.hidden.L
// and greedy.ids, as the transformers library computed them in float32 from
// weights that AutoGPTQ or GPTQModel dequantised.
package infertest
