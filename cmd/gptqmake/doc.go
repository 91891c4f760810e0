// Command gptqmake writes GPTQ checkpoints of random weights: of any of the
// usual shapes and parameters, quickly, and of any size, for measuring and for
// testing what runs them.
//
//	gptqmake -preset tinyllama ./tinyllama-4bit-128g
//	gptqmake -preset 7b -bits 3 -group 64 -act-order -shard 4000000000 ./mistral
//	gptqmake -preset mixtral -group -1 -zero-bias -sparse ./mixtral    23.8 GB that take 1.3 on disk
//
// The tensors are those that quant.LayoutOf lists for the configuration, in the
// order in which the safetensors library writes them. They are made one by one
// while they are written, so memory does not grow with the model.
//
//	preset, flags → config.json, quantize_config.json   shape.go
//	              → tensors, their files and headers     write.go
//	              → codes, scales, zeros, g_idx          fill.go
//	              → tokenizer.json                       tokenizer.go
//
// Given: every matrix has a standard deviation of about 0.02, as trained ones
// do, so that hidden states stay moderate through all layers and logits finite;
// matrices that share an input share their act-order; the same flags and seed
// make the same bytes. Not given: sense. The text of such a model is noise, and
// its tokenizer knows bytes and invented words.
package main
