package kernel

import (
	"fmt"
	"strings"
)

// Compute chooses the arithmetic of quantised matrices, and how keys and values
// are kept: in float32 for Float32, else as 16-bit integers, each vector with a
// scale. Dense matrices, norms and all sums are float32 in all of them.
type Compute string

const (
	// Float32 dequantises weights and adds float32 products, as a float32 run of
	// the reference does: logits agree within 1e-5 of the largest.
	Float32 Compute = "float32"
	// Int16 rounds activations to 15 bits for every 128 inputs and multiplies
	// them by the codes exactly, in integers. It is the default.
	Int16 Compute = "int16"
	// Int8 rounds activations to 8 bits for every 128 inputs, with the kernels of
	// Int16: no faster, and off by a per cent or two. It shows what is lost that way.
	Int8 Compute = "int8"
)

// ParseCompute reads a user's choice; "" is the default.
func ParseCompute(s string) (Compute, error) {
	switch c := Compute(strings.ToLower(s)); c {
	case "":
		return Int16, nil
	case Float32, Int16, Int8:
		return c, nil
	}
	return "", fmt.Errorf("compute %q is not float32, int16 or int8", s)
}
