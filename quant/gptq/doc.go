// Package gptq holds the GPTQ bit packing and the slow reference dequantiser
// that every fast kernel is tested against.
//
// A quantised Linear of K inputs and N outputs is stored as five tensors
// (G = ceil(K/group_size) groups, or 1 when group_size is -1):
//
//	qweight  I32 [K·bits/32, N]   codes of one column, packed along K
//	qzeros   I32 [G, N·bits/32]   zero points of one group, packed along N
//	scales   F16 [G, N]
//	g_idx    I32 [K]              the group of each input row; may be absent
//	bias     F16 [N]              optional, not handled here
//
// and means
//
//	W[k][n] = scales[g][n] · (code[k][n] − zero[g][n]),  g = g_idx[k]
//
// For every width, 3 bits included, packing is one little-endian bit stream:
// value i occupies bits i·bits … i·bits+bits−1, counted from bit 0 of the first
// word. How stored zeros relate to zeros differs between formats: see
// [ZeroFormat]. Sources: AutoGPTQ nn_modules/qlinear/qlinear_cuda_old.py,
// GPTQModel utils/model.py and utils/model_dequant.py, IST-DASLab/gptq quant.py.
//
// The package owns packing, zero rules, shapes, the conversions of half floats
// and [Dequantize]. It does not read files and is not fast: everything here is
// written to be checked by eye. Not supported: the planar layout gptq_p at
// widths other than 2, 4 and 8, storage words other than 32 bits.
package gptq
