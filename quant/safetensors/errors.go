package safetensors

import "fmt"

// FormatError says why bytes are not a safetensors file or index. It does not
// know the file's name: callers wrap it.
type FormatError struct {
	Reason string // what is wrong, with values
	Tensor string // the tensor concerned, "" for the file as a whole

	hint string
}

// Error is the reason, after the tensor's name if there is one.
func (e *FormatError) Error() string {
	if e.Tensor == "" {
		return "safetensors: " + e.Reason
	}
	return fmt.Sprintf("safetensors: tensor %q: %s", e.Tensor, e.Reason)
}

// Hint says what to do next.
func (e *FormatError) Hint() string { return e.hint }

func malformed(format string, args ...any) *FormatError {
	return &FormatError{Reason: fmt.Sprintf(format, args...),
		hint: "the file is damaged or not safetensors: fetch it again and compare its size and SHA-256 with the hub's"}
}

func truncated(format string, args ...any) *FormatError {
	return &FormatError{Reason: fmt.Sprintf(format, args...),
		hint: "the file is cut short: fetch it again"}
}

func tensorErr(name, format string, args ...any) *FormatError {
	e := malformed(format, args...)
	e.Tensor = name
	return e
}
