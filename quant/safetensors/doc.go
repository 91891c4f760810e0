// Package safetensors parses the header of a safetensors file with every bound
// checked. Format: https://github.com/huggingface/safetensors.
package safetensors
