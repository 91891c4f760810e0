// Package safetensors reads and writes the safetensors container: a JSON
// header that says where each tensor lies, then the bytes of the tensors.
// Format: https://github.com/huggingface/safetensors, README.md and
// safetensors/src/tensor.rs.
//
//	8 bytes   N, the header's length, unsigned little-endian
//	N bytes   JSON: {"__metadata__": {string: string},
//	          name: {"dtype": "F16", "shape": [4, 8], "data_offsets": [begin, end]}, …}
//	          then spaces; begin and end count from byte 8+N
//	rest      tensor data, row-major, little-endian, without holes
//
// The package owns the header, the index of a sharded checkpoint
// (model.safetensors.index.json) and a small writer. It does not interpret
// tensors: what a qweight means is the business of quant and quant/gptq.
//
// Guarantees: [Parse] reads through an io.ReaderAt and allocates no more than
// the header it was promised, which is bounded before it is read; a returned
// [Header] tiles the file exactly, so that every Offset and Size may be used
// without another check as long as the file keeps its length. It never panics,
// whatever the bytes. Not guaranteed: that the tensors' contents make sense,
// or that a file that shrinks later can still be read.
package safetensors
