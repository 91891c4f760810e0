// Package kernel multiplies activations by the weights of a checkpoint as they
// lie in its files.
//
// The function set is small, so that a faster twin can replace one file at a time:
//
//	Pool.Mul   y[t] = x[t]·W + bias for a batch of t tokens, W quantised or dense
//	KV         the keys or values of a layer, and attention over them
//	Floats     half-precision values read where they are
//	Pool.Run   parts of a task on several goroutines
//	Catch      memory faults of mapped files as errors
//
// A quantised matrix is worked on in blocks of 64 columns and tiles of 32 rows.
// A tile is dequantised to float32, W = scale·(code − zero), exactly as
// gptq.Dequantize does (its slow twin), and multiplied with every token of the
// batch before the next one is unpacked. Rows stay in file order: under
// act-order each row looks up its own group, and nothing is copied or repacked,
// so weights can stay in a read-only mapping.
//
// Guaranteed: results do not depend on the number of threads or on how tokens
// are batched, because a column is always summed by one goroutine in the same
// order; nor on the platform, because products are rounded before they are added
// (Go may fuse the two otherwise). Nothing is allocated per call once a Pool has
// grown its scratch space.
//
// Not guaranteed: speed. This is plain Go.
package kernel
