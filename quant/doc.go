// Package quant judges what a quantised checkpoint claims: its configuration
// files, its safetensors headers and its tensors, against one another.
package quant
