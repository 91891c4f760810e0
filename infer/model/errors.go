package model

import (
	"errors"
	"fmt"
	"strings"
)

// What callers branch on.
var (
	ErrUnsupported = errors.New("not supported by the runner")
	ErrCheckpoint  = errors.New("bad checkpoint")
)

// Error says what is wrong with a checkpoint, and where.
type Error struct {
	Kind   error  // ErrUnsupported or ErrCheckpoint
	File   string // "" when it is not about one file
	Tensor string
	Reason string
	Help   string // what to do next
	Err    error  // the cause, if another package found it
}

// Error names the file and the tensor before the reason.
func (e *Error) Error() string {
	var parts []string
	if e.File != "" {
		parts = append(parts, e.File)
	}
	if e.Tensor != "" {
		parts = append(parts, "tensor "+e.Tensor)
	}
	if e.Reason != "" {
		parts = append(parts, e.Reason)
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	return strings.Join(parts, ": ")
}

// Unwrap gives the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// Hint says what to do next.
func (e *Error) Hint() string {
	if e.Help != "" {
		return e.Help
	}
	if h, ok := errors.AsType[interface {
		error
		Hint() string
	}](e.Err); ok {
		return h.Hint()
	}
	if errors.Is(e.Kind, ErrUnsupported) {
		return "run it with a program that supports this; fetching and verifying work all the same"
	}
	return "verify the files against the hub, and fetch again those that differ"
}

func badTensor(t Tensor, format string, args ...any) *Error {
	return &Error{Kind: ErrCheckpoint, File: t.File, Tensor: t.Name, Reason: fmt.Sprintf(format, args...)}
}
