// Package gptq holds the GPTQ bit packing and the slow reference dequantiser
// that every fast kernel is tested against.
package gptq
