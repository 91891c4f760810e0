// Package quant judges what a quantised checkpoint claims: its configuration
// files, its safetensors headers and its tensors, against one another.
//
//	JSON files ──┐
//	branch name ─┼─ Check: J… and H… findings, from a few kilobytes, before weights move
//	headers ─────┘
//	tensors ─────── CheckData: D… findings, from the whole files
//
// Four sources state the parameters of a GPTQ checkpoint: quantize_config.json,
// the quantization_config object of config.json, the name of the branch, and the
// metadata of the weight file. Engines differ in which they believe. The shapes
// of the tensors are a fifth that cannot lie: from qweight, qzeros, scales and
// g_idx alone the bits, the group size and the dimensions of every matrix follow.
// So the tensors are the truth, and every other source is compared with them.
//
// The package owns the reading of the configuration files, the reconciliation
// ([Input.Config]), the choice of weight files ([Input.WeightFiles]) and every
// finding of docs/findings.md but those about cards. It reads no network and no
// disk of its own: callers hand it bytes and readers. What a header means is in
// quant/safetensors, packing in quant/gptq, model cards in quant/card.
//
// [ParseModel] reads the shape of a network from config.json, [LayoutOf] lists the
// tensors that a configuration and an architecture imply, with the exact length of
// the file, and [Input.RecoverHeaders] goes the other way: from the shapes of the
// tensors to bits, group size and dimensions. An architecture is one function of
// arch.go that reads from top to bottom.
//
// Guarantees: no input makes it panic; findings hold no control characters;
// [CheckData] reads every byte once, and keeps half a mebibyte for each core (32
// at most), two rows of qzeros for each shape, and a count for each group of one
// matrix in memory, whatever the size of the file: below 64 MiB beside the
// headers.
// Not guaranteed: that a checkpoint without findings is a good model, or that
// every architecture is known. Those of arch.go are judged tensor by tensor; of
// others only what the headers themselves imply is judged, and a finding says
// so.
package quant
